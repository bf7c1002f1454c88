//! The machine's limits, so that a figure can be told from what no server could do better.

use std::hint::black_box;
use std::time::Instant;

use crate::compare::bench::Bench;
use crate::compare::lanes::Lane;
use crate::compare::load::Plan;
use crate::compare::mix::{Draw, Keys, Mix};
use crate::compare::servers::{Launch, Peer, Program};
use crate::compare::wire::Op;
use crate::sim::random::Random;

/// One cache line.
const LINE_WORDS: usize = 16;

/// What the server that only answers is called in the results.
pub const NULL: &str = "null server";

/// The server that only answers: no other can be below it.
pub fn null() -> Peer {
    Peer { name: NULL.into(), program: Program::Null }
}

/// A system call, a dependent read of memory, a server that only answers.
pub fn run(bench: &mut Bench) -> anyhow::Result<()> {
    bench.begin("limits", bench.sizes.reps * (3 + bench.sizes.depths.len()));
    let null = null();
    let keys = Keys::new(bench.sizes.keys, Draw::Uniform);
    let chain = chain(bench.sizes.dram_bytes);
    for rep in 0..bench.sizes.reps {
        bench.step("system call");
        bench.keep_figures("machine", "getppid", (1, 0), rep, &[("ns", syscall_ns())]);
        bench.step("dependent read");
        bench.keep_figures("machine", "dependent read of DRAM", (1, 0), rep, &[("ns", read_ns(&chain))]);
        let server = bench.start(&null, &Launch::default())?;
        for depth in bench.sizes.depths.clone() {
            let plan = bench.plan(Mix::Only(Op::Get), &keys, depth);
            bench.race(vec![Lane::closed(&server, "GET", &plan)?], rep)?;
        }
        let plan = Plan { conns: 1, ..bench.plan(Mix::Only(Op::Get), &keys, 1) };
        bench.race(vec![Lane::closed(&server, "GET, one connection", &plan)?], rep)?;
    }
    Ok(())
}

fn syscall_ns() -> f64 {
    const TIMES: u32 = 500_000;
    let began = Instant::now();
    for _ in 0..TIMES {
        black_box(rustix::process::getppid());
    }
    began.elapsed().as_nanos() as f64 / f64::from(TIMES)
}

/// Lines of memory that each name the next, in one circle without order (Sattolo).
fn chain(bytes: usize) -> Vec<u32> {
    let lines = bytes / (LINE_WORDS * 4);
    let mut circle: Vec<u32> = (0..lines as u32).collect();
    let mut random = Random::new(3);
    for at in (1..lines).rev() {
        circle.swap(at, (random.bits() % at as u64) as usize);
    }
    let mut chain = vec![0; lines * LINE_WORDS];
    circle.iter().enumerate().for_each(|(line, next)| chain[line * LINE_WORDS] = *next);
    chain
}

fn read_ns(chain: &[u32]) -> f64 {
    const TIMES: u32 = 2_000_000;
    let began = Instant::now();
    let mut at = 0;
    for _ in 0..TIMES {
        at = chain[at as usize * LINE_WORDS];
    }
    black_box(at);
    began.elapsed().as_nanos() as f64 / f64::from(TIMES)
}
