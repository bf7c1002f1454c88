//! Where what is told to a connection comes in, whoever tells it.

use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
    bytes_max: usize,
    /// The books of what all of them hold.
    holdings: Arc<Holdings>,
}

impl Mailroom {
    /// Mailboxes of at most so many bytes each.
    pub fn new(bytes_max: usize, holdings: Arc<Holdings>) -> Arc<Mailroom> {
        Arc::new(Mailroom { bytes_max, holdings })
    }
}

/// What both sides of a mailbox know of it.
#[derive(Debug)]
struct Fill {
    queued: AtomicUsize,
    cut: AtomicBool,
    room: Arc<Mailroom>,
}

impl Drop for Fill {
    fn drop(&mut self) {
        // What nobody read.
        self.room.holdings.mail(*self.queued.get_mut(), 0);
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

/// Makes a mailbox.
pub fn mailbox(room: &Arc<Mailroom>) -> (Mailbox, Inbox) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let fill = Fill { queued: AtomicUsize::new(0), cut: AtomicBool::new(false), room: room.clone() };
    let fill = Arc::new(fill);
    (Mailbox { sender, fill: fill.clone() }, Inbox { receiver, fill })
}

impl Mailbox {
    /// Puts a message in; false when the reader is gone or was cut for not reading.
    pub fn post(&self, message: Message) -> bool {
        let Fill { queued, cut, room } = &*self.fill;
        if cut.load(Ordering::Acquire) {
            return false;
        }
        let size = message.size();
        let before = queued.fetch_add(size, Ordering::AcqRel);
        room.holdings.mail(before, before + size);
        if before + size > room.bytes_max {
            cut.store(true, Ordering::Release);
        }
        // The message that overflows still goes in, so that the reader wakes up and sees the cut.
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
        (!self.is_cut()).then_some(message)
    }

    /// True once the mailbox overflowed.
    pub fn is_cut(&self) -> bool {
        self.fill.cut.load(Ordering::Acquire)
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
        self.made.lock().0.as_ref().map_or(0, |mailbox| mailbox.fill.queued.load(Ordering::Relaxed))
    }

    /// Waits until somebody has the mailbox made.
    pub async fn made(&self) {
        self.wake.notified().await;
    }
}
