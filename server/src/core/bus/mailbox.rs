//! Where what is told to a connection comes in, whoever tells it.

use bytes::Bytes;
use gs_client::clock::Clock;
use gs_conf::Limits;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::{Notify, mpsc};

use super::ClientId;
use crate::core::holdings::Holdings;

/// Something that a connection is told without having asked for it now.
#[derive(Clone, Debug)]
pub enum Message {
    /// It was published on a channel.
    Published {
        /// The pattern that matched, for a pattern subscription.
        pattern: Option<Bytes>,
        /// The channel it was published on.
        channel: Bytes,
        /// What was published.
        payload: Bytes,
        /// True for a shard channel.
        shard: bool,
    },
    /// A key that the client may have cached changed.
    Invalid {
        /// The key.
        key: Bytes,
        /// True if another connection had it sent here.
        redirected: bool,
    },
    /// What one command changed of the keys under a prefix.
    Broadcast {
        /// The prefix that the client asked for.
        prefix: Bytes,
        /// The keys.
        keys: Arc<BTreeSet<Bytes>>,
        /// True if another connection had it sent here.
        redirected: bool,
    },
    /// Whatever the client cached changed.
    AllInvalid {
        /// True if another connection had it sent here.
        redirected: bool,
    },
    /// A command ran: a line for MONITOR.
    Ran(Bytes),
    /// The connection that invalidations were to be sent to is gone.
    RedirectBroken(ClientId),
}

impl Message {
    fn size(&self) -> usize {
        let bytes = match self {
            Message::Published { channel, payload, .. } => channel.len() + payload.len(),
            Message::Invalid { key, .. } => key.len(),
            Message::Ran(line) => line.len(),
            Message::Broadcast { keys, .. } => keys.iter().map(|key| key.len() + 32).sum(),
            Message::AllInvalid { .. } | Message::RedirectBroken(_) => 0,
        };
        bytes + 64
    }
}

/// What the mailboxes of one node have in common.
#[derive(Debug)]
pub struct Mailroom {
    /// Bytes of unread messages that each may hold.
    bytes_max: AtomicUsize,
    /// Bytes that each may hold for a while; `usize::MAX` for no such bound.
    soft_bytes: AtomicUsize,
    /// That while.
    soft_ms: AtomicU64,
    clock: Clock,
    /// The books of what all of them hold.
    holdings: Arc<Holdings>,
}

impl Mailroom {
    /// Mailboxes with the bounds of these limits.
    pub fn new(limits: &Limits, clock: Clock, holdings: Arc<Holdings>) -> Arc<Mailroom> {
        let room = Mailroom {
            bytes_max: AtomicUsize::new(0),
            soft_bytes: AtomicUsize::new(0),
            soft_ms: AtomicU64::new(0),
            clock,
            holdings,
        };
        room.act(limits);
        Arc::new(room)
    }

    /// Lets these limits be in force, for the mailboxes that there are as well.
    pub fn act(&self, limits: &Limits) {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let soft = Some(size(limits.pubsub_soft_bytes)).filter(|bytes| *bytes > 0);
        self.bytes_max.store(size(limits.pubsub_buffer_bytes), Ordering::Relaxed);
        self.soft_bytes.store(soft.unwrap_or(usize::MAX), Ordering::Relaxed);
        self.soft_ms.store(limits.pubsub_soft_ms, Ordering::Relaxed);
    }
}

/// Why a mailbox takes nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// More waited than may.
    Full,
    /// More waited for too long than may for a while.
    Slow,
}

/// Beside the bytes that wait: the reader is gone, and nothing waits any more. In the same word, so that each message
/// is either in what the reader's end took out of the books or never comes into them.
const GONE: usize = 1 << (usize::BITS - 1);

/// What both sides of a mailbox know of it.
#[derive(Debug)]
struct Fill {
    /// Bytes that wait, or [`GONE`].
    queued: AtomicUsize,
    /// Since when more waits than may for long, boot-time milliseconds; 0 while it does not.
    long_since_ms: AtomicU64,
    cut: OnceLock<Cut>,
    room: Arc<Mailroom>,
}

impl Fill {
    /// Cuts the mailbox off if so many bytes are too many.
    fn judge(&self, bytes: usize) {
        let room = &self.room;
        if bytes > room.bytes_max.load(Ordering::Relaxed) {
            let _ = self.cut.set(Cut::Full);
        } else if bytes > room.soft_bytes.load(Ordering::Relaxed) {
            let now_ms = room.clock.now_ms().max(1);
            let began = self.long_since_ms.compare_exchange(0, now_ms, Ordering::AcqRel, Ordering::Acquire);
            let soft_ms = room.soft_ms.load(Ordering::Relaxed);
            if began.is_err_and(|since_ms| now_ms.saturating_sub(since_ms) > soft_ms) {
                let _ = self.cut.set(Cut::Slow);
            }
        }
    }
}

/// The sending side of a connection's mailbox.
#[derive(Clone, Debug)]
pub struct Mailbox {
    sender: mpsc::UnboundedSender<Message>,
    fill: Arc<Fill>,
}

/// The receiving side.
#[derive(Debug)]
pub struct Inbox {
    receiver: mpsc::UnboundedReceiver<Message>,
    fill: Arc<Fill>,
}

impl Drop for Inbox {
    fn drop(&mut self) {
        // What nobody read. Others may keep the sending side for long.
        let unread = self.fill.queued.swap(GONE, Ordering::AcqRel);
        self.fill.room.holdings.mail(unread, 0);
    }
}

/// Makes a mailbox.
pub fn mailbox(room: &Arc<Mailroom>) -> (Mailbox, Inbox) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let fill = Fill {
        queued: AtomicUsize::new(0),
        long_since_ms: AtomicU64::new(0),
        cut: OnceLock::new(),
        room: room.clone(),
    };
    let fill = Arc::new(fill);
    (Mailbox { sender, fill: fill.clone() }, Inbox { receiver, fill })
}

impl Mailbox {
    /// Puts a message in; false when the reader is gone or was cut for not reading.
    pub fn post(&self, message: Message) -> bool {
        if self.fill.cut.get().is_some() {
            return false;
        }
        let size = message.size();
        let before = self.fill.queued.fetch_add(size, Ordering::AcqRel);
        if before & GONE != 0 {
            self.fill.queued.fetch_sub(size, Ordering::AcqRel);
            return false;
        }
        self.fill.room.holdings.mail(before, before + size);
        self.fill.judge(before + size);
        // The message that overflows still goes in, so that the reader wakes up and sees the cut. A reader that is
        // gone by now has taken it out of the books.
        self.sender.send(message).is_ok()
    }
}

impl Inbox {
    /// The next message; none when the mailbox overflowed and the connection must be closed.
    pub async fn next(&mut self) -> Option<Message> {
        let message = self.receiver.recv().await?;
        self.taken(message)
    }

    /// The next message if one is there.
    pub fn try_next(&mut self) -> Option<Message> {
        let message = self.receiver.try_recv().ok()?;
        self.taken(message)
    }

    fn taken(&mut self, message: Message) -> Option<Message> {
        let size = message.size();
        let before = self.fill.queued.fetch_sub(size, Ordering::AcqRel);
        self.fill.room.holdings.mail(before, before - size);
        let long = self.fill.long_since_ms.load(Ordering::Acquire) > 0;
        if long && before - size <= self.fill.room.soft_bytes.load(Ordering::Relaxed) {
            self.fill.long_since_ms.store(0, Ordering::Release);
        }
        self.cut().is_none().then_some(message)
    }

    /// Why the connection must be closed, where it must.
    pub fn cut(&self) -> Option<Cut> {
        self.fill.cut.get().copied()
    }

    /// As [`Inbox::cut`], where nobody has sent anything for a while.
    pub fn cut_by_now(&self) -> Option<Cut> {
        self.fill.judge(self.fill.queued.load(Ordering::Acquire));
        self.cut()
    }
}

/// The way to a connection's mailbox, which others may need before the connection itself does. Most connections
/// never have one.
#[derive(Debug, Default)]
pub struct Letterbox {
    made: Mutex<(Option<Mailbox>, Option<Inbox>)>,
    filled: AtomicBool,
    wake: Notify,
}

impl Letterbox {
    /// The sending side; made where it is the first time.
    pub fn mailbox(&self, room: &Arc<Mailroom>) -> Mailbox {
        let mut made = self.made.lock();
        if let Some(mailbox) = &made.0 {
            return mailbox.clone();
        }
        let (sender, inbox) = mailbox(room);
        *made = (Some(sender.clone()), Some(inbox));
        self.filled.store(true, Ordering::Release);
        self.wake.notify_one();
        sender
    }

    /// The receiving side, once, if somebody had the mailbox made.
    pub fn take(&self) -> Option<Inbox> {
        if !self.filled.load(Ordering::Acquire) {
            return None;
        }
        self.made.lock().1.take()
    }

    /// Bytes of messages that wait to be taken.
    pub fn queued(&self) -> usize {
        if !self.filled.load(Ordering::Acquire) {
            return 0;
        }
        let queued = self.made.lock().0.as_ref().map(|mailbox| mailbox.fill.queued.load(Ordering::Relaxed));
        queued.filter(|bytes| bytes & GONE == 0).unwrap_or(0)
    }

    /// Waits until somebody has the mailbox made.
    pub async fn made(&self) {
        self.wake.notified().await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;

    /// A room with these bounds whose clock shows what the second answer holds.
    pub(in crate::core::bus) fn room(hard: u64, soft: u64, soft_ms: u64) -> (Arc<Mailroom>, Arc<AtomicU64>) {
        let mut limits = gs_conf::Config::default().limits;
        limits.pubsub_buffer_bytes = hard;
        limits.pubsub_soft_bytes = soft;
        limits.pubsub_soft_ms = soft_ms;
        let now_ms = Arc::new(AtomicU64::new(5));
        (Mailroom::new(&limits, Clock::manual(now_ms.clone()), Arc::default()), now_ms)
    }

    fn line() -> Message {
        Message::Ran(Bytes::from_static(&[b'x'; 1000]))
    }

    /// A reader that lags for a moment is not cut, one that does for longer is, whether or not more comes for it.
    #[test]
    fn a_reader_may_lag_for_a_while() {
        for more_comes in [true, false] {
            let (room, now_ms) = room(100_000, 5_000, 100);
            let (mailbox, mut inbox) = mailbox(&room);
            let late_by = |ms| {
                for _ in 0..6 {
                    assert!(mailbox.post(line()));
                }
                now_ms.fetch_add(ms, Ordering::SeqCst);
            };
            late_by(100);
            assert_eq!(inbox.cut_by_now(), None);
            while inbox.try_next().is_some() {}
            // The time before it caught up does not count.
            late_by(100);
            assert_eq!(inbox.cut_by_now(), None);
            now_ms.fetch_add(1, Ordering::SeqCst);
            if more_comes {
                assert!(mailbox.post(line()), "the last one goes in, to wake the reader");
                assert_eq!(inbox.cut(), Some(Cut::Slow));
            }
            assert_eq!(inbox.cut_by_now(), Some(Cut::Slow));
            assert!(!mailbox.post(line()) && inbox.try_next().is_none());
        }
    }

    /// No soft bound is no bound, and one that is set later is in force for who lags already.
    #[test]
    fn the_bounds_may_change() {
        let (room, now_ms) = room(20_000, 0, 100);
        let (mailbox, inbox) = mailbox(&room);
        for _ in 0..10 {
            now_ms.fetch_add(1_000, Ordering::SeqCst);
            assert!(mailbox.post(line()) && inbox.cut_by_now().is_none());
        }
        let mut limits = gs_conf::Config::default().limits;
        (limits.pubsub_buffer_bytes, limits.pubsub_soft_bytes, limits.pubsub_soft_ms) = (20_000, 5_000, 100);
        room.act(&limits);
        assert_eq!(inbox.cut_by_now(), None, "its time begins now");
        now_ms.fetch_add(101, Ordering::SeqCst);
        assert_eq!(inbox.cut_by_now(), Some(Cut::Slow));
    }

    /// What waits is in the books while the reader is there, read or not, and no longer, whoever keeps the sending
    /// side and goes on posting.
    #[test]
    fn nothing_waits_for_a_reader_that_is_gone() {
        let (room, _) = room(10_000_000, 0, 0);
        let letterbox = Letterbox::default();
        let mailbox = letterbox.mailbox(&room);
        let mut inbox = letterbox.take().unwrap();
        (0..100).for_each(|_| assert!(mailbox.post(line())));
        assert!(inbox.try_next().is_some());
        assert_eq!((letterbox.queued(), room.holdings.total()), (99 * 1064, 99 * 1064 / 16_384 * 16_384));
        drop(inbox);
        (0..100).for_each(|_| assert!(!mailbox.post(line())));
        assert_eq!((letterbox.queued(), room.holdings.total()), (0, 0));
    }

    /// So it is when the reader goes while others post: each message is taken back once.
    #[test]
    fn a_reader_may_go_while_others_post() {
        let (room, _) = room(10_000_000, 0, 0);
        for _ in 0..200 {
            let (mailbox, inbox) = mailbox(&room);
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| while mailbox.post(Message::Ran(Bytes::from_static(&[0; 20_000]))) {});
                }
                while inbox.fill.queued.load(Ordering::Relaxed) == 0 {
                    std::thread::yield_now();
                }
                drop(inbox);
            });
            assert_eq!(room.holdings.total(), 0);
        }
    }
}
