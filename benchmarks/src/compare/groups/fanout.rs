//! One message to many: PUBLISH to subscribers, and what a relay tells its front ends of a change.

use std::time::Instant;

use anyhow::Context as _;

use crate::compare::bench::Bench;
use crate::compare::crowd::Listeners;
use crate::compare::load::{Outcome, Tally};
use crate::compare::servers::{Launch, Peer, Server};
use crate::compare::talk::Batch;
use crate::compare::wire::{Op, Shape, key};

use super::commands::turned;

/// Who listens.
const LISTENERS: usize = 100;
/// Messages that are on their way to everybody at once.
const WINDOWS: [usize; 2] = [1, 16];
/// Messages in one run.
const MESSAGES: usize = 4_000;
const MESSAGES_SINGLE: usize = 1_500;

/// PUBLISH at every server that has it; SET at a relay with as many front ends.
pub fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let peers = bench.resp_peers();
    bench.begin("fanout", bench.sizes.reps * WINDOWS.len() * (peers.len() + 2));
    bench.group.notes.push(
        "operations are deliveries; a change at the relay includes the SET that makes it, its listeners are front ends' agents"
            .into(),
    );
    for rep in 0..bench.sizes.reps {
        for window in WINDOWS {
            for peer in turned(&peers, rep) {
                publish(bench, &peer, window, rep)?;
            }
            let gs = bench.gs()?;
            for (case, push) in [("change, invalidated", "invalidate"), ("change, new value pushed", "all")] {
                follow(bench, &gs, (case, push), window, rep)?;
            }
        }
    }
    Ok(())
}

fn messages(bench: &Bench, window: usize) -> usize {
    let most = if window == 1 { MESSAGES_SINGLE } else { MESSAGES };
    let most = most.min(bench.sizes.ops_max as usize / 10);
    most - most % window
}

/// Invalidations as an application would send them: the key of what changed.
fn publish(bench: &mut Bench, peer: &Peer, window: usize, rep: usize) -> anyhow::Result<()> {
    bench.step(&format!("PUBLISH, window {window}, {}", peer.name));
    let server = bench.start(peer, &Launch { capacity: 64 << 20, ..Launch::default() })?;
    let mut listeners =
        Listeners::connect(server.addr, LISTENERS, |talk| talk.call(&["SUBSCRIBE", "changes"]).map(drop))?;
    let request = |n: u64, out: &mut Vec<u8>| {
        out.extend_from_slice(b"*3\r\n$7\r\nPUBLISH\r\n$7\r\nchanges\r\n$32\r\n");
        out.extend_from_slice(&key(n));
        out.extend_from_slice(b"\r\n");
    };
    let count = messages(bench, window);
    let outcome = deliver(&server, &mut listeners, count, window, request)?;
    keep(bench, &peer.name, "PUBLISH", window, rep, &outcome);
    Ok(())
}

/// Changes that a relay tells the agents of its front ends.
fn follow(
    bench: &mut Bench,
    gs: &Peer,
    (case, push): (&str, &str),
    window: usize,
    rep: usize,
) -> anyhow::Result<()> {
    bench.step(&format!("{case}, window {window}"));
    // A lease that outlasts the run: renewing it is not what is measured.
    let sets = vec![format!("stream.push={push}"), "lease_ms=600000".to_owned()];
    let server = bench.start(gs, &Launch { capacity: 64 << 20, sets, ..Launch::default() })?;
    let mut listeners = Listeners::connect(server.addr, LISTENERS, |talk| {
        talk.call(&["HELLO", "3"])?;
        talk.call(&["GS.STREAM", "0", "0"]).map(drop)
    })?;
    let shape = Shape::new(server.speech, bench.sizes.value_bytes);
    let request = |n: u64, out: &mut Vec<u8>| {
        shape.ask(Op::Set, n % 1000, out);
    };
    let count = messages(bench, window);
    let outcome = deliver(&server, &mut listeners, count, window, request)?;
    keep(bench, &gs.name, case, window, rep, &outcome);
    Ok(())
}

fn keep(bench: &mut Bench, server: &str, case: &str, window: usize, rep: usize, outcome: &Outcome) {
    let keys = crate::compare::mix::Keys::new(1, crate::compare::mix::Draw::Once(0));
    let mix = crate::compare::mix::Mix::Only(Op::Set);
    let plan = bench.plan(mix, &keys, window);
    bench.keep(server, case, &plan, rep, outcome);
}

/// Sends messages, `window` at a time, and waits until everybody has each of them.
fn deliver(
    server: &Server,
    listeners: &mut Listeners,
    count: usize,
    window: usize,
    request: impl Fn(u64, &mut Vec<u8>),
) -> anyhow::Result<Outcome> {
    let mut sender = Batch::to(server.addr)?;
    let mut tally = Tally::new();
    let (mut began, mut cpu_before) = (Instant::now(), server.cpu_seconds());
    let warm = (count / 10).next_multiple_of(window);
    let mut out = Vec::new();
    let mut sent = 0;
    while sent < warm + count {
        if sent == warm {
            (began, cpu_before) = (Instant::now(), server.cpu_seconds());
        }
        out.clear();
        (0..window as u64).for_each(|nth| request(sent as u64 + nth, &mut out));
        let start = Instant::now();
        sender.send(&out)?;
        listeners.hear(window)?;
        sender.replies(window).context("the sender's replies")?;
        if sent >= warm {
            tally.latency.saturating_record(start.elapsed().as_nanos() as u64);
        }
        sent += window;
    }
    let (seconds, cpu_s) = (began.elapsed().as_secs_f64(), server.cpu_seconds() - cpu_before);
    let ops = (sent - warm) as u64 * listeners.count() as u64;
    tally.right = ops;
    Ok(Outcome { ops, seconds, cpu_s, tally, others_pct: None })
}
