//! One client connection: read, run every complete command, write once.
//!
//! What comes in one read is answered in one write. A command that has to wait for another node makes the later
//! ones of its connection wait, and nobody else. Everything a client can make grow has a bound: its unfinished
//! request, its unread replies, its unread messages, the time until it has said who it is.

mod ahead;
mod below;
mod deliver;
mod heard;
mod held;
mod output;
mod run;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use crate::commands::Conn;
use crate::core::bus::{Cut, Inbox, Message};
use crate::core::clients::ClientInfo;
use crate::core::node::Node;
use crate::core::stream::Next;
use crate::io::pipe::{Pipe, Stream, Turn};
use gs_resp::{Limits, Protocol};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;

/// Replies beyond this are written before the next command runs.
const CHUNK_BYTES: usize = 64 * 1024;
/// A client that has filled its output buffer and takes nothing for this long is cut off.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the listener tells all its connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signal {
    /// True once the node stops: finish what is read, write, close.
    pub stopping: bool,
    /// Grows when it is time to look around: killed? idle?
    pub round: u64,
}

/// Why a connection goes on or not.
enum Flow {
    On,
    /// Close after what is written.
    Close,
    /// Close after what is written, and let it arrive.
    Linger,
    /// Close now.
    Drop,
}

/// What a client that is cut off does not read.
#[derive(Clone, Copy)]
enum Unread {
    Replies,
    Messages(Cut),
}

/// The bounds of a connection, computed once per listener.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Of requests after authentication.
    pub requests: Limits,
    /// Bytes of replies that may wait.
    pub output_bytes: usize,
    /// Until authenticated.
    pub auth_timeout: Duration,
    /// A client that takes none of its replies for this long is cut off.
    pub patience: Duration,
}

impl Bounds {
    /// The bounds of a node's connections.
    pub fn of(node: &Node) -> Bounds {
        let settings = &node.settings;
        Bounds {
            requests: Limits {
                args_max: settings.args_max,
                bulk_bytes_max: settings.query_buffer_bytes,
                request_bytes_max: settings.query_buffer_bytes,
                ..Limits::AFTER_AUTH
            },
            output_bytes: settings.output_buffer_bytes.max(CHUNK_BYTES),
            auth_timeout: settings.auth_timeout,
            patience: PATIENCE,
        }
    }
}

/// Leaves the node's tables also when the connection's task is dropped or panics.
struct Session {
    node: Arc<Node>,
    conn: Conn,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.conn.end(&self.node);
    }
}

/// A connection being served.
struct Serving<S> {
    session: Session,
    pipe: Pipe<S>,
    ahead: ahead::Ahead,
    bounds: Bounds,
    signal: heard::Heard,
    /// True once the node stops.
    stopping: bool,
    /// The client took nothing for a while: its replies gather instead of holding its commands up.
    stalled: bool,
    /// Since when its output buffer is full, boot-time milliseconds; 0 when it is not.
    full_since_ms: u64,
    /// True while complete commands wait in the input for room in the output.
    unfinished: bool,
    /// True if it sent something since the last round.
    active: bool,
    /// Bytes that it last said it holds.
    told: usize,
}

/// Serves one connection until it ends; what it is given to keep is dropped then, or when the future is.
///
/// No `async fn`, which would hold what it is called with twice: it is there for each of ten thousand connections.
pub fn serve<S: Stream, K: Send>(
    node: Arc<Node>,
    info: Arc<ClientInfo>,
    stream: S,
    bounds: Bounds,
    signal: watch::Receiver<Signal>,
    keep: K,
) -> impl Future<Output = ()> + Send {
    let conn = Conn::new(&node, info);
    let mut serving = Serving {
        session: Session { node, conn },
        pipe: Pipe::new(stream),
        ahead: ahead::Ahead::default(),
        bounds,
        signal: heard::Heard::new(signal),
        stopping: false,
        stalled: false,
        full_since_ms: 0,
        unfinished: false,
        active: true,
        told: 0,
    };
    async move {
        // The listener may have spoken before this began.
        serving.heed();
        let mut run = pin!(serving.run());
        // An IO error has nobody left to be told.
        let _ = std::future::poll_fn(|cx| turn(run.as_mut(), cx)).await;
        // Taken along, to be dropped behind the rest.
        let _ = &keep;
    }
}

/// What a connection's task does each time it is woken. A function of its own in every profile: by its name the
/// instructions of a command are counted (`benchmarks::callgrind`).
#[inline(never)]
fn turn<F: Future>(run: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
    run.poll(cx)
}

impl<S: Stream> Serving<S> {
    async fn run(&mut self) -> std::io::Result<()> {
        let node = self.session.node.clone();
        let deadline =
            (!self.session.conn.authenticated).then(|| tokio::time::sleep(self.bounds.auth_timeout));
        let mut deadline = pin!(deadline);
        loop {
            // Made before the stream is read, so that no event falls between the reading and the waiting.
            let followed = self.session.conn.follow.is_some();
            let appended = node.relay().filter(|_| followed).map(|relay| relay.stream.appended());
            let mut appended = pin!(appended);
            let mut flow = self.messages(None);
            let mut drained = true;
            if matches!(flow, Flow::On) {
                (flow, drained) = self.events();
            }
            // A follower's commands are answered behind all events before them.
            if matches!(flow, Flow::On) && drained && (self.stalled || self.pipe.pending() < CHUNK_BYTES) {
                flow = self.commands().await?;
            }
            if matches!(flow, Flow::On) && (self.stopping || self.killed()) {
                flow = Flow::Close;
            }
            match flow {
                Flow::Drop => return Ok(()),
                Flow::On => {}
                Flow::Close | Flow::Linger => return self.close(matches!(flow, Flow::Linger)).await,
            }
            if !self.flush(false).await? {
                return Ok(());
            }
            if !self.tell_holdings(self.pipe.input.capacity()) {
                return Ok(());
            }
            // Whoever has just begun to follow has events to get that no new one announces.
            let events_left = !drained || followed != self.session.conn.follow.is_some();
            if (events_left && self.pipe.pending() < CHUNK_BYTES) || (self.unfinished && !self.is_full()) {
                continue;
            }
            if self.session.conn.authenticated {
                deadline.set(None);
            }
            let full = self.is_full();
            if full && self.full_since_ms == 0 {
                self.full_since_ms = node.now_ms();
            }
            let wanted = self.ahead.needed().saturating_sub(self.pipe.input.len());
            // Invalidations may be sent here from another connection before this one ever listened.
            let waits_for_mail =
                self.session.conn.inbox.is_none() && self.session.conn.proto == Protocol::Resp3;
            let Conn { inbox, info, .. } = &mut self.session.conn;
            tokio::select! {
                biased;
                turned = self.pipe.turn(!full, wanted) => match turned? {
                    Turn::Read(0) => return self.close(false).await,
                    Turn::Read(n) => {
                        self.active = true;
                        node.metrics.bytes_in.add(n as u64);
                        node.metrics.socket_reads.add(1);
                        self.ask_with_others().await;
                    }
                    Turn::Wrote => self.progressed(),
                },
                () = maybe(appended.as_mut()) => {}
                message = next_message(inbox), if self.pipe.pending() < CHUNK_BYTES => match message {
                    Some(message) => drop(self.messages(Some(message))),
                    None => {
                        // A mailbox ends for no other reason while its connection lives.
                        let cut = inbox.as_ref().and_then(Inbox::cut).unwrap_or(Cut::Full);
                        self.cut(Unread::Messages(cut));
                        return Ok(());
                    }
                },
                () = info.letterbox.made(), if waits_for_mail => {}
                () = self.signal.changed() => {
                    self.heed();
                    if self.look_around() {
                        return Ok(());
                    }
                }
                () = maybe(deadline.as_mut()) => {
                    node.metrics.auth_timeouts.add(1);
                    return Ok(());
                }
            }
        }
    }

    /// True when as many replies wait as may.
    fn is_full(&self) -> bool {
        self.pipe.pending() >= self.bounds.output_bytes
    }

    /// The client took something.
    fn progressed(&mut self) {
        self.stalled = false;
        self.full_since_ms = 0;
    }

    /// Takes note of what the listener said.
    fn heed(&mut self) {
        self.stopping = self.signal.take().stopping;
    }

    fn killed(&self) -> bool {
        self.session.conn.info.kill.load(Ordering::Acquire)
    }

    /// A round of the listener: true when the connection must end.
    fn look_around(&mut self) -> bool {
        let now_ms = self.session.node.now_ms();
        if self.killed() {
            return true;
        }
        if let Some(cut) = self.session.conn.inbox.as_ref().and_then(Inbox::cut_by_now) {
            self.cut(Unread::Messages(cut));
            return true;
        }
        if self.full_since_ms > 0
            && now_ms.saturating_sub(self.full_since_ms) > self.bounds.patience.as_millis() as u64
        {
            self.cut(Unread::Replies);
            return true;
        }
        if !std::mem::take(&mut self.active) {
            self.pipe.shrink();
            self.ahead.shrink();
            let conn = &mut self.session.conn;
            conn.scratch = Vec::new();
            let silent = now_ms.saturating_sub(conn.info.active_ms.load(Ordering::Relaxed));
            // A link of the family is silent while there is nothing to say.
            let listens = !conn.subs.is_empty()
                || conn.follow.is_some()
                || conn.is_peer
                || conn.info.monitors.load(Ordering::Relaxed);
            let idle_ms = self.session.node.live.idle_ms();
            return idle_ms > 0 && silent >= idle_ms && !listens;
        }
        false
    }

    fn cut(&self, unread: Unread) {
        let (info, metrics) = (&self.session.conn.info, &self.session.node.metrics);
        let (counter, what) = match unread {
            Unread::Replies => (&metrics.cut_replies, "replies"),
            Unread::Messages(Cut::Full) => (&metrics.cut_messages, "messages"),
            Unread::Messages(Cut::Slow) => (&metrics.cut_messages_slow, "messages fast enough"),
        };
        counter.add(1);
        tracing::warn!(client = info.id, addr = %info.addr, "cut off: it does not read its {what}");
    }

    /// Sends a follower the events since the last one. The second answer is true when none is left.
    fn events(&mut self) -> (Flow, bool) {
        let node = &self.session.node;
        let (Some(follow), Some(relay)) = (&mut self.session.conn.follow, node.relay()) else {
            return (Flow::On, true);
        };
        while self.pipe.pending() < CHUNK_BYTES {
            match relay.stream.read(follow.next) {
                Next::Empty => return (Flow::On, true),
                Next::Events(events, next) => {
                    self.pipe.out.extend_from_slice(&events);
                    follow.next = next;
                }
                Next::Gap => {
                    // It connects again, asks to go on where it was, and hears then that it cannot.
                    node.metrics.stream_gaps.add(1);
                    tracing::warn!(client = self.session.conn.info.id, "a front end fell behind the stream");
                    return (Flow::Drop, false);
                }
            }
        }
        (Flow::On, false)
    }
}

/// Waits for a future that may not be there.
async fn maybe<F: Future>(mut future: Pin<&mut Option<F>>) {
    match future.as_mut().as_pin_mut() {
        Some(future) => drop(future.await),
        None => std::future::pending().await,
    }
}

/// The next message for a connection; for ever, where nobody ever needed its mailbox.
async fn next_message(inbox: &mut Option<Inbox>) -> Option<Message> {
    match inbox {
        Some(inbox) => inbox.next().await,
        None => std::future::pending().await,
    }
}
