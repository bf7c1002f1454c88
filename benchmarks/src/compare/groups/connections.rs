//! Connections: many that say nothing, and many that say one thing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use anyhow::Context as _;

use crate::compare::bench::Bench;
use crate::compare::lanes::Lane;
use crate::compare::load::{Outcome, Tally};
use crate::compare::mix::{Draw, Keys, Mix};
use crate::compare::servers::Server;
use crate::compare::wire::{Op, Shape};

use super::commands::turned;

/// Connections that are made one after the other in one run: fewer than there are ports.
const CHURN_MAX: u64 = 4_000;

/// GET without and with idle connections; what each of them costs in memory.
pub fn idle(bench: &mut Bench) -> anyhow::Result<()> {
    // A running one cannot be there twice.
    let peers: Vec<_> = bench.peers.iter().filter(|peer| peer.is_ours_to_start()).cloned().collect();
    let depths = [1, 16];
    bench.begin("idle", bench.sizes.reps * peers.len() * depths.len() * 2);
    let keys = Keys::new(bench.sizes.keys, Draw::Uniform);
    let many = format!("GET beside {} idle connections", bench.sizes.idle);
    for rep in 0..bench.sizes.reps {
        for peer in turned(&peers, rep) {
            let servers = bench.start_loaded(&[peer.clone(), peer])?;
            let [alone, crowded] = &servers[..] else {
                anyhow::bail!("two servers were started");
            };
            let before = crowded.held_bytes();
            let idle = connect(crowded, bench.sizes.idle)?;
            let each = crowded.held_bytes().saturating_sub(before) as f64 / idle.len() as f64;
            bench.keep_figures(&crowded.name, "an idle connection", (1, 0), rep, &[("bytes", each)]);
            for depth in depths {
                let plan = bench.plan(Mix::Only(Op::Get), &keys, depth);
                let lanes = vec![Lane::closed(alone, "GET", &plan)?, Lane::closed(crowded, &many, &plan)?];
                bench.race(lanes, rep)?;
            }
        }
    }
    Ok(())
}

/// Each says one thing, so that the server has met it, and then nothing.
fn connect(server: &Server, count: usize) -> anyhow::Result<Vec<TcpStream>> {
    let (mut request, mut reply) = (Vec::new(), [0; 64 * 1024]);
    Shape::new(server.speech, 384).ask(Op::Get, 0, &mut request);
    let mut all = Vec::with_capacity(count);
    for nth in 0..count {
        let mut stream = TcpStream::connect(server.addr).with_context(|| format!("connection {nth}"))?;
        stream.write_all(&request)?;
        anyhow::ensure!(stream.read(&mut reply)? > 0, "connection {nth} was closed");
        all.push(stream);
    }
    Ok(all)
}

/// Connect, GET, close: one after the other, as a PHP request does.
pub fn churn(bench: &mut Bench) -> anyhow::Result<()> {
    let peers = bench.peers.clone();
    bench.begin("churn", bench.sizes.reps * peers.len());
    let keys = Keys::new(bench.sizes.keys, Draw::Uniform);
    for rep in 0..bench.sizes.reps {
        let servers = bench.start_loaded(&turned(&peers, rep))?;
        for server in &servers {
            bench.step(&server.name);
            let plan = bench.plan(Mix::Only(Op::Get), &keys, 1);
            let outcome = come_and_go(server, bench.sizes.ops_max.min(CHURN_MAX), &keys)?;
            bench.keep(&server.name, "connect, GET, close", &plan, rep, &outcome);
        }
    }
    Ok(())
}

fn come_and_go(server: &Server, times: u64, keys: &Keys) -> anyhow::Result<Outcome> {
    let shape = Shape::new(server.speech, 384);
    let (mut tally, mut request, mut reply) = (Tally::new(), Vec::new(), vec![0; 64 * 1024]);
    let (began, cpu_before) = (Instant::now(), server.cpu_seconds());
    for n in 0..times {
        let start = Instant::now();
        request.clear();
        let want = shape.ask(Op::Get, n % keys.count, &mut request);
        let mut stream = TcpStream::connect(server.addr)?;
        stream.set_nodelay(true)?;
        stream.write_all(&request)?;
        let mut have = 0;
        let right = loop {
            let bytes = stream.read(&mut reply[have..])?;
            anyhow::ensure!(bytes > 0, "{} closed a connection without a reply", server.name);
            have += bytes;
            if let Some((_, right)) = shape.judge(&want, &reply[..have]) {
                break right;
            }
        };
        anyhow::ensure!(right, "{}: a wrong reply", server.name);
        drop(stream);
        tally.right += 1;
        tally.latency.saturating_record(start.elapsed().as_nanos() as u64);
    }
    let (seconds, cpu_s) = (began.elapsed().as_secs_f64(), server.cpu_seconds() - cpu_before);
    Ok(Outcome { ops: times, seconds, cpu_s, tally, others_pct: None })
}
