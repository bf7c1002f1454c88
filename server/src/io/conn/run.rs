//! Running what a connection has read.

use super::ahead::Ahead;
use super::{CHUNK_BYTES, Flow, Serving, Session, below};
use crate::commands::exec::{self, execute_row};
use crate::commands::{Answer, Command, Ctx, Outcome, Reply, Stop, Waiting};
use crate::core::pause;
use crate::core::resolve::{Waited, clear_the_way};
use crate::core::seconds::{self, Owed};
use crate::io::pipe::Stream;
use gs_resp::{Args, Code, Flags, Limits, Refusal, Writer, is_cross_protocol};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How often one command is run again because a key had to be brought up.
const ATTEMPTS_MAX: usize = 32;
/// Replies that are ready are held back this long for one that has to wait, to leave in one write.
const HOLD_BACK: Duration = Duration::from_millis(1);

/// What came of running a command without waiting.
enum Tried {
    /// It is done.
    Done(Flow),
    /// It has to wait, or to be looked at more closely; what came of it, if it was run.
    Not(Option<Ran>),
}

/// What came of running a command once.
struct Ran {
    outcome: Outcome,
    /// Where its reply begins in the output.
    mark: usize,
    /// Second copies that it owes before it is answered.
    owed: Vec<Owed>,
}

impl<S: Stream> Serving<S> {
    /// Runs the complete commands of the input, until the output is worth a write.
    pub(super) async fn commands(&mut self) -> std::io::Result<Flow> {
        self.unfinished = false;
        if self.pipe.input.is_empty() {
            return Ok(Flow::On);
        }
        self.begin_metering();
        self.session.conn.info.input.store(self.pipe.input.len(), Ordering::Relaxed);
        // The words of the commands lie in the input, which must not move while one of them waits.
        let (input, mut ahead) = (std::mem::take(&mut self.pipe.input), std::mem::take(&mut self.ahead));
        let flow = self.batch(&input, input.capacity(), &mut ahead).await;
        let (done, now_ms) = (ahead.done(), ahead.now_ms(&self.session.node));
        ahead.begin();
        (self.pipe.input, self.ahead) = (input, ahead);
        self.session.conn.scope.end_input();
        let flow = flow?;
        self.settle_meter();
        if done > 0 {
            self.pipe.consume(done);
            let conn = &self.session.conn;
            conn.info.active_ms.store(now_ms, Ordering::Relaxed);
            conn.publish((self.pipe.pending(), self.pipe.out.capacity()));
            conn.info.input.store(self.pipe.input.len(), Ordering::Relaxed);
            conn.info.input_room.store(self.pipe.input.capacity() - self.pipe.input.len(), Ordering::Relaxed);
        }
        Ok(flow)
    }

    /// Asks for the memory that the first commands of the input will touch, and lets the other connections that have
    /// something to do ask for theirs: so their misses overlap, also where nobody pipelines.
    pub(super) async fn ask_with_others(&mut self) {
        let Session { node, conn } = &self.session;
        let limits = if conn.authenticated { &self.bounds.requests } else { &Limits::BEFORE_AUTH };
        if self.ahead.prepare(node, conn.db, &self.pipe.input, limits) {
            others_first().await;
            self.ahead.ask_for_records(&self.session.node);
        }
    }

    async fn batch(&mut self, input: &[u8], input_bytes: usize, ahead: &mut Ahead) -> std::io::Result<Flow> {
        loop {
            let Session { node, conn } = &mut self.session;
            let authenticated = conn.authenticated;
            let limits = if authenticated { &self.bounds.requests } else { &Limits::BEFORE_AUTH };
            let place = match ahead.next(node, conn.db, input, limits) {
                Ok(Some(place)) => place,
                Ok(None) => return Ok(Flow::On),
                Err(error) => {
                    node.metrics.protocol_errors.add(1);
                    self.writer().error(&error.refusal());
                    return Ok(Flow::Linger);
                }
            };
            let now_ms = ahead.now_ms(node);
            let (seen, args) = ahead.command(place, input);
            let (end, is_brief) = (seen.end, seen.is_brief);
            conn.meter.more = end < input.len();
            conn.scope.known = seen.known;
            conn.scope.now_ms = if is_brief { now_ms } else { 0 };
            let mut flow = match self.at_once(seen.row, args) {
                Tried::Done(flow) => {
                    if !is_brief {
                        ahead.time_passed();
                    }
                    flow
                }
                Tried::Not(ran) => {
                    self.session.conn.scope.now_ms = 0;
                    // Boxed, because this is rare, and an idle connection would have its state as well.
                    let flow = Box::pin(self.command(args, ran, &input[end..])).await?;
                    ahead.time_passed();
                    flow
                }
            };
            if self.session.conn.authenticated != authenticated {
                ahead.forget_rest();
            }
            if matches!(flow, Flow::On) && self.session.conn.hears_at_once() {
                flow = self.messages(None);
            }
            if !matches!(flow, Flow::On) {
                return Ok(flow);
            }
            if self.pipe.pending() < CHUNK_BYTES {
                continue;
            }
            if !self.tell_holdings(input_bytes) {
                return Ok(Flow::Drop);
            }
            if self.is_full() {
                self.unfinished = true;
                return Ok(Flow::On);
            }
            self.settle_meter();
            if !self.flush(false).await? {
                return Ok(Flow::Drop);
            }
            ahead.time_passed();
            self.begin_metering();
        }
    }

    fn begin_metering(&mut self) {
        let Session { node, conn } = &mut self.session;
        conn.meter.begin(node);
    }

    fn settle_meter(&mut self) {
        let Session { node, conn } = &mut self.session;
        conn.meter.settle(node);
    }

    pub(super) fn writer(&mut self) -> Writer<'_> {
        Writer { out: &mut self.pipe.out, proto: self.session.conn.proto }
    }

    /// Runs a command that has nothing to wait for, as nearly all: without a future of its own.
    #[inline]
    fn at_once(&mut self, row: Option<&'static Command>, args: Args<'_>) -> Tried {
        if row.is_none() || self.session.node.pause.is_on() {
            return Tried::Not(None);
        }
        let (mark, outcome) = self.execute(row, args);
        let owes = self.session.node.relay().is_some_and(|relay| !relay.seconds.is_empty());
        if let (Ok(Reply::Done), false) = (&outcome, owes) {
            self.hold_back(mark);
            self.ended(args);
            return Tried::Done(Flow::On);
        }
        let ran = self.ran(mark, outcome);
        let flow = match &ran.outcome {
            Ok(Reply::Done) if ran.owed.is_empty() => Flow::On,
            Ok(Reply::Close) if ran.owed.is_empty() => Flow::Close,
            _ => return Tried::Not(Some(ran)),
        };
        self.ended(args);
        Tried::Done(flow)
    }

    /// Runs one command to its reply. `ran` is what came of it where it was tried already, `rest` the input behind it.
    async fn command(&mut self, args: Args<'_>, ran: Option<Ran>, rest: &[u8]) -> std::io::Result<Flow> {
        if ran.is_none() {
            if is_cross_protocol(args.name()) {
                self.session.node.metrics.protocol_errors.add(1);
                let addr = self.session.conn.info.addr;
                tracing::warn!(%addr, "closed: this is HTTP, a page may be trying to reach the cache");
                return Ok(Flow::Drop);
            }
            if self.session.node.pause.is_on() && !self.pass(args).await? {
                return Ok(Flow::Drop);
            }
        }
        let flow = self.attempts(args, ran, rest).await;
        self.ended(args);
        flow
    }

    /// A command has come to its end.
    fn ended(&mut self, args: Args<'_>) {
        let conn = &mut self.session.conn;
        conn.scope.clear();
        // It is good for one command, or for one transaction.
        conn.caching = conn.caching && (conn.multi.is_some() || args.is(0, "client"));
        conn.mute = conn.mute.next();
    }

    /// Waits while CLIENT PAUSE holds the command. False when the connection has to end.
    #[cold]
    async fn pass(&mut self, args: Args<'_>) -> std::io::Result<bool> {
        let Session { node, conn } = &mut self.session;
        // What is refused anyway is refused at once.
        let Some(row) = exec::find(args).ok().filter(|row| row.spec.arity.accepts(args.len())) else {
            return Ok(true);
        };
        if conn.is_peer || row.spec.flags.contains(Flags::PEER) || conn.follow.is_some() {
            return Ok(true);
        }
        let queued = || conn.multi.iter().flat_map(|multi| &multi.queue);
        let writes = exec::may_write(row)
            || (row.spec.name == "exec"
                && queued().any(|owned| exec::find(owned.as_args()).is_ok_and(exec::may_write)));
        let (node, info) = (node.clone(), conn.info.clone());
        info.paused.store(true, Ordering::Relaxed);
        let passed = self.wait(Box::pin(pause::wait(&node, writes))).await;
        info.paused.store(false, Ordering::Relaxed);
        self.begin_metering();
        Ok(passed?.is_some())
    }

    /// An EXEC that waited and was refused after all is over: what comes next is not queued.
    fn end_transaction(&mut self, args: Args<'_>) {
        if args.is(0, "exec") {
            let Session { node, conn } = &mut self.session;
            if conn.multi.is_some() {
                conn.end_transaction(node);
            }
        }
    }

    /// Runs a command as far as it goes; where its reply begins in the output, and what came of it.
    #[inline]
    fn execute(&mut self, row: Option<&'static Command>, args: Args<'_>) -> (usize, Outcome) {
        let Session { node, conn } = &mut self.session;
        let mark = self.pipe.out.len();
        (mark, execute_row(&mut Ctx { node, conn, out: &mut self.pipe.out }, row, args))
    }

    /// Takes a reply back that the client does not want.
    #[inline]
    fn hold_back(&mut self, mark: usize) {
        if self.session.conn.mute.holds_back() {
            self.pipe.out.truncate(mark);
        }
    }

    fn ran(&mut self, mark: usize, outcome: Outcome) -> Ran {
        let Session { node, conn } = &mut self.session;
        let owed = node.relay().map(|relay| relay.seconds.take(conn.info.id)).unwrap_or_default();
        self.hold_back(mark);
        Ran { outcome, mark, owed }
    }

    fn attempt(&mut self, args: Args<'_>) -> Ran {
        let (mark, outcome) = self.execute(None, args);
        self.ran(mark, outcome)
    }

    async fn attempts(&mut self, args: Args<'_>, mut ran: Option<Ran>, rest: &[u8]) -> std::io::Result<Flow> {
        let mut waited = Waited::default();
        let mut fetches = 0;
        while fetches < ATTEMPTS_MAX {
            let Ran { outcome, mark, owed } = ran.take().unwrap_or_else(|| self.attempt(args));
            if !owed.is_empty() {
                let placed = tokio::spawn(seconds::place(self.session.node.clone(), owed));
                if matches!(outcome, Ok(Reply::Done)) {
                    // Boxed, because this is rare.
                    return Box::pin(self.second_copies(mark, placed)).await;
                }
            }
            let refusal = match outcome {
                Ok(Reply::Done) => return Ok(Flow::On),
                Ok(Reply::Close) => return Ok(Flow::Close),
                Ok(Reply::Wait(waiting)) => match self.wait_and_meter(waiting).await? {
                    None => return Ok(Flow::Drop),
                    Some(Ok(answer)) => {
                        self.say(answer);
                        return Ok(Flow::On);
                    }
                    Some(Err(refusal)) => {
                        self.session.node.metrics.erred(refusal.code);
                        refusal
                    }
                },
                Err(Stop::Refuse(refusal)) => refusal,
                Err(stop) => {
                    // Waiting for room is bounded by time, not by turns.
                    fetches += usize::from(matches!(stop, Stop::Below(_)));
                    let event = if matches!(stop, Stop::Full) { "room" } else { "fetch" };
                    let ahead = self.wanted_next(&stop, fetches, args, rest);
                    let mut scope = std::mem::take(&mut self.session.conn.scope);
                    let node = self.session.node.clone();
                    let began_ms = node.now_ms();
                    // Boxed, because this is rare and its state is large.
                    let told = scope.brought.len();
                    let way = Box::pin(clear_the_way(&node, stop, ahead, &mut scope, &mut waited));
                    let cleared = self.wait(way).await?;
                    if !args.is(0, "gs.get") {
                        // Nobody else tells where a session came from.
                        scope.brought.truncate(told);
                    }
                    self.session.conn.scope = scope;
                    self.begin_metering();
                    node.slow.sample(&node, event, node.now_ms().saturating_sub(began_ms));
                    match cleared {
                        None => return Ok(Flow::Drop),
                        Some(Ok(())) => continue,
                        Some(Err(refusal)) => {
                            node.metrics.erred(refusal.code);
                            refusal
                        }
                    }
                }
            };
            self.end_transaction(args);
            self.say(|w| w.error(&refusal));
            return Ok(Flow::On);
        }
        self.end_transaction(args);
        let text = "the keys of this command move as fast as they are brought here; send it again";
        self.say(|w| w.error(&Refusal::new(Code::TryAgain, text)));
        Ok(Flow::On)
    }

    /// Keys to bring up along with those that stopped a command: once for a command, and for none that will be queued.
    fn wanted_next(&self, stop: &Stop, fetches: usize, args: Args<'_>, rest: &[u8]) -> Vec<(u8, Box<[u8]>)> {
        let Session { node, conn } = &self.session;
        if fetches != 1 || conn.scope.crowded || conn.multi.is_some() || !matches!(stop, Stop::Below(_)) {
            return Vec::new();
        }
        below::wanted_next(node, conn.db, args, rest, &self.bounds.requests)
    }

    /// Holds the reply back until the second copies of what was written are there; it says so if they are not.
    #[cold]
    async fn second_copies(
        &mut self,
        mark: usize,
        placed: JoinHandle<Result<(), Refusal>>,
    ) -> std::io::Result<Flow> {
        let reply = self.pipe.out.split_off(mark);
        let placed = self.wait(Box::pin(placed)).await?;
        self.begin_metering();
        match placed {
            None => return Ok(Flow::Drop),
            Some(Ok(Err(refusal))) => {
                self.session.node.metrics.erred(refusal.code);
                self.say(|w| w.error(&refusal));
            }
            // Its task cannot be cancelled, and tells of all that fails.
            Some(_) => self.pipe.out.extend_from_slice(&reply),
        }
        Ok(Flow::On)
    }

    /// Waits for an answer; the time does not count as the next command's.
    async fn wait_and_meter(&mut self, waiting: Waiting) -> std::io::Result<Option<Result<Answer, Refusal>>> {
        let done = self.wait(waiting).await;
        self.begin_metering();
        done
    }

    /// Writes a reply, unless the client wants none.
    fn say(&mut self, write: impl FnOnce(&mut Writer<'_>)) {
        if !self.session.conn.mute.holds_back() {
            write(&mut self.writer());
        }
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
                () = self.signal.changed() => {
                    self.heed();
                    if self.killed() {
                        return Ok(None);
                    }
                }
            }
        }
    }
}

/// Lets every task that is ready run first.
async fn others_first() {
    let mut let_by = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut let_by, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await
}
