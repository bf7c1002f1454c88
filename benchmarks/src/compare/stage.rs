//! One server tells many of what one writer does: what that costs it for each message that arrives.
//!
//! The writer is answered by the server and never waits for the listeners, as no application does; what is on its way
//! to them when the writer is done is waited for, and counts.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::crowd::Listeners;
use super::load::{Outcome, Tally};
use super::servers::Server;
use super::talk::{Batch, Talk};
use super::wire::{Op, Shape, key};

/// Who listens.
pub const LISTENERS: usize = 100;
/// Messages that are told in one go where the time is not measured.
const UNMEASURED: usize = 64;

/// What is told, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The key of what changed, as an application would publish it, to subscribers.
    Published,
    /// DEL, to the agents of front ends.
    Deleted,
    /// SET, to the agents of front ends.
    Written,
}

/// How fast the writer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// So many commands at once; the next ones when they are answered.
    Answered(usize),
    /// So many commands a second, one at a time.
    EachSecond(u32),
}

impl Pace {
    /// Commands that are sent at once.
    pub fn window(self) -> usize {
        match self {
            Pace::Answered(window) => window,
            Pace::EachSecond(_) => 1,
        }
    }

    /// How it is told in the name of a case.
    pub fn name(self) -> String {
        match self {
            Pace::Answered(_) => String::new(),
            Pace::EachSecond(rate) => format!(", {rate} a second"),
        }
    }
}

/// A server, those who listen to it, and who makes it speak.
pub struct Stage<'a> {
    server: &'a Server,
    told: Told,
    shape: Shape,
    listeners: Listeners,
    writer: Batch,
}

impl<'a> Stage<'a> {
    /// Gathers the listeners.
    pub fn new(server: &'a Server, told: Told, shape: &Shape) -> anyhow::Result<Stage<'a>> {
        let begin = |talk: &mut Talk| match told {
            Told::Published => talk.call(&["SUBSCRIBE", "changes"]).map(drop),
            Told::Deleted | Told::Written => {
                talk.call(&["HELLO", "3"])?;
                talk.call(&["GS.STREAM", "0", "0"]).map(drop)
            }
        };
        let listeners = Listeners::connect(server.addr, LISTENERS, begin)?;
        let mut stage =
            Stage { server, told, shape: shape.clone(), listeners, writer: Batch::to(server.addr)? };
        // The first ones meet cold buffers.
        stage.deliver(UNMEASURED, Pace::Answered(UNMEASURED))?;
        Ok(stage)
    }

    fn request(&self, n: usize, out: &mut Vec<u8>) {
        let n = n as u64;
        match self.told {
            Told::Published => {
                out.extend_from_slice(b"*3\r\n$7\r\nPUBLISH\r\n$7\r\nchanges\r\n$32\r\n");
                out.extend_from_slice(&key(n));
                out.extend_from_slice(b"\r\n");
            }
            Told::Deleted => _ = self.shape.ask(Op::Del, n, out),
            Told::Written => _ = self.shape.ask(Op::Set, n, out),
        }
    }

    /// Makes what is to be deleted.
    fn prepare(&mut self, messages: usize) -> anyhow::Result<()> {
        for from in (0..messages).step_by(UNMEASURED) {
            let (mut out, some) = (Vec::new(), UNMEASURED.min(messages - from));
            for n in from..from + some {
                self.shape.ask(Op::Set, n as u64, &mut out);
            }
            self.listeners.expect(some);
            self.writer.send(&out)?;
            self.writer.replies(some)?;
            self.listeners.hear()?;
        }
        Ok(())
    }

    /// Sends messages at this pace and waits until everybody has each of them. Operations are deliveries; the latency
    /// is that of the writer's answers.
    pub fn deliver(&mut self, messages: usize, pace: Pace) -> anyhow::Result<Outcome> {
        if self.told == Told::Deleted {
            self.prepare(messages)?;
        }
        let (mut tally, mut out) = (Tally::new(), Vec::new());
        self.listeners.expect(messages);
        let (began, cpu_before) = (Instant::now(), self.server.cpu_seconds());
        let mut sent = 0;
        while sent < messages {
            let some = pace.window().min(messages - sent);
            out.clear();
            (sent..sent + some).for_each(|n| self.request(n, &mut out));
            match pace {
                // What has come is read, so that nobody's buffers fill.
                Pace::Answered(_) => self.listeners.listen(Duration::ZERO)?,
                Pace::EachSecond(rate) => {
                    let due = began + Duration::from_secs_f64(sent as f64 / f64::from(rate));
                    while let Some(left) = due.checked_duration_since(Instant::now()) {
                        self.listeners.listen(left)?;
                    }
                }
            }
            let start = Instant::now();
            self.writer.send(&out)?;
            self.writer.replies(some).context("the writer's replies")?;
            tally.latency.saturating_record(start.elapsed().as_nanos() as u64);
            sent += some;
        }
        self.listeners.hear()?;
        let (seconds, cpu_s) = (began.elapsed().as_secs_f64(), self.server.cpu_seconds() - cpu_before);
        let ops = (sent * self.listeners.count()) as u64;
        tally.right = ops;
        Ok(Outcome { ops, seconds, cpu_s, tally, others_pct: None })
    }
}
