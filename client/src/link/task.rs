//! The task behind a link: connects, carries calls, reconnects.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gs_resp::Reply;
use tokio::sync::{mpsc, watch};

use super::{CLOSED, CONNECTING, Call, DOWN, Got, LinkConfig, LinkError, Shared, ToTask, UP, Wire};

/// Unwritten bytes beyond which no further call is taken in until the peer reads.
const BACKLOG_BYTES_MAX: usize = 1 << 20;

/// Why a connection is no more.
enum Ended {
    /// The owner is done with the link.
    Closed,
    /// The connection failed; try again. True where calls waited for their answers.
    Broken(LinkError, bool),
}

pub(super) async fn run(
    shared: Arc<Shared>,
    mut inbox: mpsc::UnboundedReceiver<ToTask>,
    up: watch::Sender<bool>,
) {
    let mut pause = shared.config.reconnect_min;
    loop {
        match connect(&shared, &mut inbox).await {
            Attempt::Closed => return,
            Attempt::Failed(error, waiting) => {
                set_state(&shared, DOWN);
                note(&shared, &error);
                for call in waiting {
                    finish(call, Err(LinkError::Down));
                }
                if refuse_for(jittered(pause), &mut inbox).await {
                    return;
                }
                pause = (pause * 2).min(shared.config.reconnect_max);
            }
            Attempt::Connected(wire, waiting) => {
                pause = shared.config.reconnect_min;
                shared.connections.fetch_add(1, Ordering::AcqRel);
                set_state(&shared, UP);
                // Nobody listening is no error.
                let _ = up.send(true);
                let ended = Carrier::new(wire, &shared).carry(waiting, &mut inbox).await;
                let _ = up.send(false);
                let Ended::Broken(error, waited) = ended else { return };
                set_state(&shared, CONNECTING);
                if error == LinkError::Lost && !waited {
                    // A peer that has answered everything may go; what comes of it shows when it is called again.
                    tracing::debug!(peer = %shared.config.addr, "link: the peer closed the connection");
                } else {
                    note(&shared, &error);
                }
                // A peer that accepts and hangs up at once must not be dialled in a tight loop; calls wait meanwhile.
                tokio::time::sleep(jittered(pause)).await;
            }
        }
    }
}

enum Attempt {
    Connected(Box<Wire>, Vec<Call>),
    Failed(LinkError, Vec<Call>),
    Closed,
}

/// One attempt to connect. Calls that come in meanwhile are kept for the connection.
async fn connect(shared: &Shared, inbox: &mut mpsc::UnboundedReceiver<ToTask>) -> Attempt {
    let mut waiting = Vec::new();
    let connecting = Wire::connect(&shared.config);
    tokio::pin!(connecting);
    loop {
        tokio::select! {
            result = &mut connecting => return match result {
                Ok((wire, _)) => Attempt::Connected(Box::new(wire), waiting),
                Err(error) => Attempt::Failed(error, waiting),
            },
            message = inbox.recv() => match message {
                Some(ToTask::Call(call)) => waiting.push(call),
                Some(ToTask::Close) | None => {
                    waiting.into_iter().for_each(|call| finish(call, Err(LinkError::Closed)));
                    return Attempt::Closed;
                }
            },
        }
    }
}

/// Refuses calls for the length of the pause; true when the link was closed.
async fn refuse_for(pause: Duration, inbox: &mut mpsc::UnboundedReceiver<ToTask>) -> bool {
    let end = tokio::time::sleep(pause);
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return false,
            message = inbox.recv() => match message {
                Some(ToTask::Call(call)) => finish(call, Err(LinkError::Down)),
                Some(ToTask::Close) | None => return true,
            },
        }
    }
}

/// A standing connection with the calls that wait for its replies.
struct Carrier<'a> {
    wire: Box<Wire>,
    waiting: VecDeque<Call>,
    /// Checks in a row that found calls waiting and no reply since the one before.
    silent_checks: u32,
    shared: &'a Shared,
}

impl<'a> Carrier<'a> {
    fn new(wire: Box<Wire>, shared: &'a Shared) -> Self {
        Self { wire, waiting: VecDeque::new(), silent_checks: 0, shared }
    }

    async fn carry(mut self, first: Vec<Call>, inbox: &mut mpsc::UnboundedReceiver<ToTask>) -> Ended {
        first.into_iter().for_each(|call| self.accept(call));
        let ended = self.carry_until_end(inbox).await;
        let error = match &ended {
            Ended::Closed => LinkError::Closed,
            Ended::Broken(..) => LinkError::Lost,
        };
        for call in self.waiting {
            finish(call, Err(error.clone()));
        }
        ended
    }

    async fn carry_until_end(&mut self, inbox: &mut mpsc::UnboundedReceiver<ToTask>) -> Ended {
        let mut check = tokio::time::interval(check_every(&self.shared.config));
        check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let open = self.wire.backlog() < BACKLOG_BYTES_MAX;
            tokio::select! {
                message = inbox.recv(), if open => match message {
                    Some(ToTask::Call(call)) => self.accept(call),
                    Some(ToTask::Close) | None => return Ended::Closed,
                },
                turned = self.wire.turn() => {
                    if let Err(error) = turned.and_then(|()| self.deliver()) {
                        return Ended::Broken(error, !self.waiting.is_empty());
                    }
                }
                _ = check.tick() => {
                    if self.stuck() {
                        return Ended::Broken(LinkError::Timeout, true);
                    }
                }
            }
            if self.shared.state.load(Ordering::Acquire) == CLOSED {
                return Ended::Closed;
            }
            // All that is there already goes into the same write.
            while self.wire.backlog() < BACKLOG_BYTES_MAX {
                match inbox.try_recv() {
                    Ok(ToTask::Call(call)) => self.accept(call),
                    Ok(ToTask::Close) => return Ended::Closed,
                    Err(_) => break,
                }
            }
        }
    }

    fn accept(&mut self, call: Call) {
        // Nobody waits for it any more and it was not sent yet: better it never happens.
        if call.answer.is_closed() {
            return;
        }
        self.wire.send(&call.bytes);
        if matches!(call.got, Got::Replies(_, 0)) {
            finish(call, Ok(()));
        } else {
            self.waiting.push_back(call);
        }
    }

    fn deliver(&mut self) -> Result<(), LinkError> {
        while let Some(len) = self.wire.ready()? {
            self.silent_checks = 0;
            let front = self.waiting.front_mut().map(|call| &mut call.got);
            let done = match front {
                Some(Got::Whole(whole)) if !self.wire.begins_push() => {
                    *whole = self.wire.whole(len);
                    true
                }
                front => match (self.wire.decode(len)?, front) {
                    (Reply::Push(_), _) => false,
                    (reply, Some(Got::Replies(got, wanted))) => {
                        got.push(reply);
                        got.len() == *wanted
                    }
                    _ => return Err(LinkError::Protocol("the peer answered what nobody asked".into())),
                },
            };
            if done && let Some(call) = self.waiting.pop_front() {
                finish(call, Ok(()));
            }
        }
        Ok(())
    }

    /// Whether the oldest call is overdue and the peer has been silent all the while: a half-open connection, or a
    /// peer that hangs. One slow command of a peer that goes on talking is not that. Called at every check.
    fn stuck(&mut self) -> bool {
        let Some(oldest) = self.waiting.front() else {
            self.silent_checks = 0;
            return false;
        };
        self.silent_checks += 1;
        let checks_in_limit = oldest.limit.as_nanos() / check_every(&self.shared.config).as_nanos();
        // One more, since the oldest may have come just before the first of them.
        u128::from(self.silent_checks) > checks_in_limit + 1
    }
}

/// The pause between two checks for a silent peer.
fn check_every(config: &LinkConfig) -> Duration {
    config.call_timeout.max(Duration::from_millis(2)) / 2
}

/// Answers a call. The caller may have gone; then nobody misses the answer.
fn finish(call: Call, result: Result<(), LinkError>) {
    let Call { got, answer, .. } = call;
    let _ = answer.send(result.map(|()| got));
}

fn note(shared: &Shared, error: &LinkError) {
    let text = error.to_string();
    let mut last = shared.last_error.lock();
    // A peer that is away for an hour is one line in the log, not a line per attempt.
    if shared.config.quiet.load(Ordering::Relaxed) {
        tracing::debug!(peer = %shared.config.addr, "link: {text}");
    } else if last.as_ref() != Some(&text) {
        tracing::warn!(peer = %shared.config.addr, "link: {text}");
    }
    *last = Some(text);
}

/// Changes the state unless the owner closed the link meanwhile.
fn set_state(shared: &Shared, state: u8) {
    let _ = shared
        .state
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |old| (old != CLOSED).then_some(state));
}

/// Between half and all of the pause, so that the peers of a restarted node do not all come at once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..=1.0))
}
