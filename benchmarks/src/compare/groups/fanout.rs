//! One message to many: PUBLISH to subscribers, and what a relay tells its front ends of a change.

use std::time::Instant;

use anyhow::Context as _;

use crate::compare::bench::Bench;
use crate::compare::crowd::Listeners;
use crate::compare::lanes::Lane;
use crate::compare::load::{Outcome, Plan, Tally};
use crate::compare::mix::{Draw, Keys, Mix};
use crate::compare::servers::{Launch, Peer, Server};
use crate::compare::talk::{Batch, Talk};
use crate::compare::wire::{Op, Shape, key};

use super::commands::turned;

/// Who listens.
const LISTENERS: usize = 100;
/// Messages that are on their way to everybody at once: a server that gathers them shows it with many.
const WINDOWS: [usize; 3] = [1, 16, 128];
/// Messages in one run, by window.
const MESSAGES: [u64; 3] = [1_000, 4_000, 10_000];
/// Keys that change.
const KEYS: u64 = 1000;

/// What is told, and to whom.
#[derive(Clone, Copy)]
enum Told {
    /// The key of what changed, as an application would publish it.
    Published,
    /// Changes, to the agents of front ends.
    Changed,
}

/// A server, those who listen to it, and who makes it speak.
struct Stage {
    case: &'static str,
    server: Server,
    told: Told,
    shape: Shape,
}

/// PUBLISH at every server that has it; SET at a relay with as many front ends.
pub fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let peers = bench.resp_peers();
    bench.begin("fanout", bench.sizes.reps * WINDOWS.len() * (peers.len() + 2));
    bench.group.notes.push(
        "operations are deliveries; a change at the relay includes the SET that makes it, its listeners are front ends' agents"
            .into(),
    );
    let any = Keys::new(1, Draw::Once(0));
    for rep in 0..bench.sizes.reps {
        let stages = stages(bench, &turned(&peers, rep))?;
        for (window, messages) in WINDOWS.into_iter().zip(MESSAGES) {
            let ops_max = (messages * LISTENERS as u64).min(bench.sizes.ops_max * 20);
            let plan = Plan { ops_max, ..bench.plan(Mix::Only(Op::Set), &any, window) };
            let lanes = stages.iter().map(|stage| stage.lane(&plan));
            bench.race(lanes.collect::<anyhow::Result<Vec<_>>>()?, rep)?;
        }
    }
    Ok(())
}

fn stages(bench: &mut Bench, peers: &[Peer]) -> anyhow::Result<Vec<Stage>> {
    let gs = bench.gs()?;
    let shape = Shape::new(crate::compare::wire::Speech::Resp, bench.sizes.value_bytes);
    let published = peers.iter().map(|peer| ("PUBLISH", peer, Told::Published, "all"));
    let changed = [("change, invalidated", "invalidate"), ("change, new value pushed", "all")];
    let changed = changed.map(|(case, push)| (case, &gs, Told::Changed, push));
    let mut stages = Vec::new();
    for (case, peer, told, push) in published.chain(changed) {
        // A lease that outlasts the run: renewing it is not what is measured.
        let sets = vec![format!("stream.push={push}"), "lease_ms=600000".to_owned()];
        let server = bench.start(peer, &Launch { capacity: 64 << 20, sets, ..Launch::default() })?;
        stages.push(Stage { case, server, told, shape: shape.clone() });
    }
    Ok(stages)
}

impl Stage {
    fn lane<'a>(&'a self, plan: &Plan) -> anyhow::Result<Lane<'a>> {
        let begin = |talk: &mut Talk| match self.told {
            Told::Published => talk.call(&["SUBSCRIBE", "changes"]).map(drop),
            Told::Changed => {
                talk.call(&["HELLO", "3"])?;
                talk.call(&["GS.STREAM", "0", "0"]).map(drop)
            }
        };
        let mut listeners = Listeners::connect(self.server.addr, LISTENERS, begin)?;
        let mut sender = Batch::to(self.server.addr)?;
        // The first ones meet cold buffers.
        self.deliver(&mut listeners, &mut sender, 64, plan.depth)?;
        let slice = Box::new(move |part: &Plan| {
            let messages = (part.ops_max as usize / LISTENERS).next_multiple_of(part.depth);
            self.deliver(&mut listeners, &mut sender, messages, part.depth)
        });
        Ok(Lane { slice, ..Lane::of(&self.server, self.case, plan) })
    }

    fn request(&self, n: u64, out: &mut Vec<u8>) {
        match self.told {
            Told::Published => {
                out.extend_from_slice(b"*3\r\n$7\r\nPUBLISH\r\n$7\r\nchanges\r\n$32\r\n");
                out.extend_from_slice(&key(n));
                out.extend_from_slice(b"\r\n");
            }
            Told::Changed => {
                self.shape.ask(Op::Set, n, out);
            }
        }
    }

    /// Sends messages, `window` at a time, and waits until everybody has each of them.
    fn deliver(
        &self,
        listeners: &mut Listeners,
        sender: &mut Batch,
        messages: usize,
        window: usize,
    ) -> anyhow::Result<Outcome> {
        let (mut tally, mut out) = (Tally::new(), Vec::new());
        let (began, cpu_before) = (Instant::now(), self.server.cpu_seconds());
        let mut sent = 0;
        while sent < messages {
            out.clear();
            (0..window).for_each(|nth| self.request((sent + nth) as u64 % KEYS, &mut out));
            let start = Instant::now();
            sender.send(&out)?;
            listeners.hear(window)?;
            sender.replies(window).context("the sender's replies")?;
            tally.latency.saturating_record(start.elapsed().as_nanos() as u64);
            sent += window;
        }
        let (seconds, cpu_s) = (began.elapsed().as_secs_f64(), self.server.cpu_seconds() - cpu_before);
        let ops = (sent * listeners.count()) as u64;
        tally.right = ops;
        Ok(Outcome { ops, seconds, cpu_s, tally, others_pct: None })
    }
}
