//! One client connection: read, run every complete command, write once.
//!
//! What comes in one read is answered in one write. A command that has to wait for another node makes the later
//! ones of its connection wait, and nobody else. Everything a client can make grow has a bound: its unfinished
//! request, its unread replies, its unread messages, the time until it has said who it is.

use crate::commands::{Conn, Ctx, Reply, Stop, execute};
use crate::core::clients::ClientInfo;
use crate::core::node::Node;
use crate::core::resolve::{Waited, clear_the_way};
use crate::core::stream::Next;
use crate::io::pipe::{Pipe, Stream, Turn};
use gs_resp::{Args, Code, Limits, Parsed, Parser, Refusal, Writer, is_cross_protocol};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

/// Replies beyond this are written before the next command runs.
const CHUNK_BYTES: usize = 64 * 1024;
/// How often one command is run again because something was missing.
const ATTEMPTS_MAX: usize = 32;
/// Replies that are ready are held back this long for one that has to wait, to leave in one write.
const HOLD_BACK: Duration = Duration::from_millis(1);
/// After this long without a byte taken by the client, its further commands run into the buffer.
const STALL: Duration = Duration::from_millis(100);
/// A client that has filled its output buffer and takes nothing for this long is cut off.
const PATIENCE: Duration = Duration::from_secs(10);
/// After a protocol error this much more is read and forgotten, at most this long, so that the error arrives.
const LINGER_BYTES: usize = 1024 * 1024;
const LINGER: Duration = Duration::from_millis(500);

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

/// What ended a wait for the socket to take bytes.
enum Told {
    Turned(std::io::Result<Turn>),
    Stalled,
    Signal,
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
    /// A silent connection is closed after this; zero for never.
    pub idle_ms: u64,
}

impl Bounds {
    /// The bounds of a node's connections.
    pub fn of(node: &Node, idle_ms: u64) -> Bounds {
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
            idle_ms,
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
    parser: Parser,
    bounds: Bounds,
    signal: watch::Receiver<Signal>,
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
}

/// Serves one connection until it ends.
pub async fn serve<S: Stream>(
    node: Arc<Node>,
    info: Arc<ClientInfo>,
    stream: S,
    bounds: Bounds,
    signal: watch::Receiver<Signal>,
) {
    let conn = Conn::new(&node, info);
    let mut serving = Serving {
        session: Session { node, conn },
        pipe: Pipe::new(stream),
        parser: Parser::new(),
        bounds,
        signal,
        stopping: false,
        stalled: false,
        full_since_ms: 0,
        unfinished: false,
        active: true,
    };
    // The listener may have spoken before this began.
    serving.heed();
    // An IO error has nobody left to be told.
    let _ = serving.run().await;
}

impl<S: Stream> Serving<S> {
    async fn run(&mut self) -> std::io::Result<()> {
        let node = self.session.node.clone();
        let deadline = (!self.session.conn.authenticated).then(|| tokio::time::sleep(self.bounds.auth_timeout));
        let mut deadline = pin!(deadline);
        loop {
            // Made before the stream is read, so that no event falls between the reading and the waiting.
            let followed = self.session.conn.follow.is_some();
            let appended = node.relay().filter(|_| followed).map(|relay| relay.stream.appended());
            let mut appended = pin!(appended);
            let mut flow = self.messages();
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
            let wanted = self.parser.needed().saturating_sub(self.pipe.input.len());
            let mailbox = &mut self.session.conn.subs.mailbox;
            tokio::select! {
                biased;
                turned = self.pipe.turn(!full, wanted) => match turned? {
                    Turn::Read(0) => return self.close(false).await,
                    Turn::Read(n) => {
                        self.active = true;
                        node.metrics.bytes_in.add(n as u64);
                    }
                    Turn::Wrote => self.progressed(),
                },
                () = maybe(appended.as_mut()) => {}
                message = next_message(mailbox), if self.pipe.pending() < CHUNK_BYTES => match message {
                    Some(message) => self.deliver(&message),
                    None => {
                        self.cut("messages");
                        return Ok(());
                    }
                },
                _ = self.signal.changed() => {
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
        self.stopping = self.signal.borrow_and_update().stopping;
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
        if self.session.conn.subs.mailbox.as_ref().is_some_and(|(_, inbox)| inbox.is_cut()) {
            self.cut("messages");
            return true;
        }
        if self.full_since_ms > 0 && now_ms.saturating_sub(self.full_since_ms) > PATIENCE.as_millis() as u64 {
            self.cut("replies");
            return true;
        }
        if !std::mem::take(&mut self.active) {
            self.pipe.shrink();
            let conn = &mut self.session.conn;
            if conn.scratch.capacity() > CHUNK_BYTES {
                conn.scratch = Vec::new();
            }
            let silent = now_ms.saturating_sub(conn.info.active_ms.load(Ordering::Relaxed));
            let listens = conn.subs.count() > 0 || conn.follow.is_some();
            return self.bounds.idle_ms > 0 && silent >= self.bounds.idle_ms && !listens;
        }
        false
    }

    fn cut(&self, what: &str) {
        let info = &self.session.conn.info;
        self.session.node.metrics.outbox_cut.add(1);
        tracing::warn!(client = info.id, addr = %info.addr, "cut off: it does not read its {what}");
    }

    /// Takes the messages that are there.
    fn messages(&mut self) -> Flow {
        while self.pipe.pending() < CHUNK_BYTES {
            let Some((_, inbox)) = &mut self.session.conn.subs.mailbox else { return Flow::On };
            match inbox.try_next() {
                Some(message) => self.deliver(&message),
                None if inbox.is_cut() => {
                    self.cut("messages");
                    return Flow::Drop;
                }
                None => return Flow::On,
            }
        }
        Flow::On
    }

    fn deliver(&mut self, message: &crate::core::bus::Message) {
        let conn = &self.session.conn;
        let mut w = Writer { out: &mut self.pipe.out, proto: conn.proto };
        // What was on its way when the client unsubscribed is not delivered after it was told so.
        match &message.pattern {
            Some(pattern) if conn.subs.patterns.contains(&pattern[..]) => {
                w.push(4);
                w.bulk(b"pmessage");
                w.bulk(pattern);
            }
            None if conn.subs.channels.contains(&message.channel[..]) => {
                w.push(3);
                w.bulk(b"message");
            }
            _ => return,
        }
        w.bulk(&message.channel);
        w.bulk(&message.payload);
    }

    /// Sends a follower the events since the last one. The second answer is true when none is left.
    fn events(&mut self) -> (Flow, bool) {
        let node = &self.session.node;
        let (Some(follow), Some(relay)) = (&mut self.session.conn.follow, node.relay()) else {
            return (Flow::On, true);
        };
        while self.pipe.pending() < CHUNK_BYTES {
            match relay.stream.read(follow.next, CHUNK_BYTES) {
                Next::Empty => return (Flow::On, true),
                Next::Events(events, next) => {
                    events.iter().for_each(|event| self.pipe.out.extend_from_slice(event));
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

    /// Runs the complete commands of the input, until the output is worth a write.
    async fn commands(&mut self) -> std::io::Result<Flow> {
        let mut at = 0;
        let mut flow = Flow::On;
        self.unfinished = false;
        while at < self.pipe.input.len() {
            let limits =
                if self.session.conn.authenticated { &self.bounds.requests } else { &Limits::BEFORE_AUTH };
            match self.parser.advance(&self.pipe.input[at..], limits) {
                Ok(Parsed::Incomplete) => break,
                Ok(Parsed::Empty { consumed }) => at += consumed,
                Ok(Parsed::Command { consumed }) => {
                    // The command's words lie in the input, which must not move while it waits.
                    let input = std::mem::take(&mut self.pipe.input);
                    let parser = std::mem::take(&mut self.parser);
                    flow = self.command(parser.args(&input[at..])).await?;
                    (self.pipe.input, self.parser) = (input, parser);
                    at += consumed;
                    if !matches!(flow, Flow::On) {
                        break;
                    }
                    if self.is_full() {
                        self.unfinished = true;
                        break;
                    }
                    if self.pipe.pending() >= CHUNK_BYTES && !self.flush(false).await? {
                        flow = Flow::Drop;
                        break;
                    }
                }
                Err(error) => {
                    self.session.node.metrics.protocol_errors.add(1);
                    self.writer().error(&error.refusal());
                    flow = Flow::Linger;
                    break;
                }
            }
        }
        if at > 0 {
            self.pipe.consume(at);
            let (node, conn) = (&self.session.node, &self.session.conn);
            conn.info.active_ms.store(node.clock.now_coarse_ms(), Ordering::Relaxed);
            conn.info.db.store(usize::from(conn.db), Ordering::Relaxed);
        }
        Ok(flow)
    }

    fn writer(&mut self) -> Writer<'_> {
        Writer { out: &mut self.pipe.out, proto: self.session.conn.proto }
    }

    /// Runs one command to its reply.
    async fn command(&mut self, args: Args<'_>) -> std::io::Result<Flow> {
        if is_cross_protocol(args.name()) {
            self.session.node.metrics.protocol_errors.add(1);
            let addr = self.session.conn.info.addr;
            tracing::warn!(%addr, "closed: this is HTTP, a page may be trying to reach the cache");
            return Ok(Flow::Drop);
        }
        let flow = self.attempts(args).await;
        self.session.conn.scope.clear();
        flow
    }

    async fn attempts(&mut self, args: Args<'_>) -> std::io::Result<Flow> {
        let mut waited = Waited::default();
        for _ in 0..ATTEMPTS_MAX {
            let Session { node, conn } = &mut self.session;
            let outcome = execute(&mut Ctx { node, conn, out: &mut self.pipe.out }, args);
            let refusal = match outcome {
                Ok(Reply::Done) => return Ok(Flow::On),
                Ok(Reply::Close) => return Ok(Flow::Close),
                Ok(Reply::Wait(waiting)) => match self.wait(waiting).await? {
                    None => return Ok(Flow::Drop),
                    Some(Ok(answer)) => {
                        answer(&mut self.writer());
                        return Ok(Flow::On);
                    }
                    Some(Err(refusal)) => refusal,
                },
                Err(Stop::Refuse(refusal)) => refusal,
                Err(stop) => {
                    let mut scope = std::mem::take(&mut self.session.conn.scope);
                    let (node, db) = (self.session.node.clone(), self.session.conn.db);
                    // Boxed, because this is rare and its state is large.
                    let way = Box::pin(clear_the_way(&node, db, stop, &mut scope, &mut waited));
                    let cleared = self.wait(way).await?;
                    self.session.conn.scope = scope;
                    match cleared {
                        None => return Ok(Flow::Drop),
                        Some(Ok(())) => continue,
                        Some(Err(refusal)) => refusal,
                    }
                }
            };
            self.writer().error(&refusal);
            return Ok(Flow::On);
        }
        let text = "the keys of this command move as fast as they are brought here; send it again";
        self.writer().error(&Refusal::new(Code::TryAgain, text));
        Ok(Flow::On)
    }

    /// Waits for something that is not ours, sending meanwhile what is ready. None when the connection has to end.
    async fn wait<T>(&mut self, work: impl Future<Output = T>) -> std::io::Result<Option<T>> {
        let mut work = pin!(work);
        let mut held = pin!(tokio::time::sleep(HOLD_BACK));
        let mut send = false;
        loop {
            // What waits for the disk goes out with the flush that waits for the disk.
            let may_send = send && self.session.conn.durable == 0 && !self.pipe.is_flushed();
            tokio::select! {
                biased;
                done = work.as_mut() => return Ok(Some(done)),
                () = held.as_mut(), if !send => send = true,
                turned = self.pipe.turn(false, 0), if may_send => { turned?; }
                _ = self.signal.changed() => {
                    self.heed();
                    if self.killed() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Writes what there is. False when the connection has to end. Where the client does not take it, the rest is
    /// left for later, unless `all` is asked for.
    async fn flush(&mut self, all: bool) -> std::io::Result<bool> {
        if !self.durable().await {
            return Ok(false);
        }
        while !self.pipe.is_flushed() {
            let patience = if all { PATIENCE } else { STALL };
            let told = {
                let mut turn = pin!(self.pipe.turn(false, 0));
                // Nearly always the socket takes everything at once, and no timer is made.
                match poll_once(turn.as_mut()).await {
                    Some(turned) => Told::Turned(turned),
                    None if self.stalled && !all => Told::Stalled,
                    None => tokio::select! {
                        biased;
                        turned = turn => Told::Turned(turned),
                        () = tokio::time::sleep(patience) => Told::Stalled,
                        _ = self.signal.changed() => Told::Signal,
                    },
                }
            };
            match told {
                Told::Turned(turned) => {
                    turned?;
                    self.progressed();
                }
                Told::Signal => {
                    self.heed();
                    if self.killed() {
                        return Ok(false);
                    }
                }
                Told::Stalled if all => return Ok(false),
                Told::Stalled => {
                    self.stalled = true;
                    break;
                }
            }
        }
        self.session.node.metrics.bytes_out.add(self.pipe.take_written());
        Ok(true)
    }

    /// Waits until what the replies promise is on disk. False when it cannot be: then they must not leave.
    async fn durable(&mut self) -> bool {
        let number = std::mem::take(&mut self.session.conn.durable);
        let Some(relay) = self.session.node.relay().filter(|_| number > 0) else { return true };
        let Err(error) = relay.journal.synced(number).await else { return true };
        self.session.node.metrics.journal_failures.add(1);
        tracing::error!(client = self.session.conn.info.id, %error, "closed without a reply");
        false
    }

    async fn close(&mut self, linger: bool) -> std::io::Result<()> {
        if !self.flush(true).await? {
            return Ok(());
        }
        self.pipe.shutdown().await?;
        if linger {
            // Closing with unread input resets the connection, and the peer may never see the error.
            let _ = tokio::time::timeout(LINGER, self.pipe.discard(LINGER_BYTES)).await;
        }
        Ok(())
    }
}

/// Waits for a future that may not be there.
async fn maybe<F: Future>(mut future: Pin<&mut Option<F>>) {
    match future.as_mut().as_pin_mut() {
        Some(future) => drop(future.await),
        None => std::future::pending().await,
    }
}

/// The next message of a subscriber; for ever, where there is no mailbox.
async fn next_message(
    mailbox: &mut Option<(crate::core::bus::Mailbox, crate::core::bus::Inbox)>,
) -> Option<crate::core::bus::Message> {
    match mailbox {
        Some((_, inbox)) => inbox.next().await,
        None => std::future::pending().await,
    }
}

/// Polls once.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match future.as_mut().poll(cx) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
