//! TLS: what it adds to a GET, and what a full handshake costs.

use std::sync::Arc;
use std::time::Instant;

use crate::compare::bench::Bench;
use crate::compare::certs::Certs;
use crate::compare::lanes::Lane;
use crate::compare::load::{Outcome, Pipe, Plan, Tally};
use crate::compare::mix::{Draw, Keys, Mix};
use crate::compare::servers::{Launch, Peer, Server};
use crate::compare::wire::Op;

use super::commands::turned;

/// Handshakes in one run.
const HANDSHAKES: u64 = 800;

/// GET in the clear and over TLS, and full handshakes (ECDSA P-256, no resumption).
pub fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let peers: Vec<Peer> = bench.resp_peers().into_iter().filter(Peer::is_ours_to_start).collect();
    let depths = [1, 16];
    bench.begin("tls", bench.sizes.reps * peers.len() * (1 + 2 * depths.len()));
    let files = tempfile::tempdir()?;
    let certs = Certs::new(files.path())?;
    let keys = Keys::new(bench.sizes.keys, Draw::Uniform);
    for rep in 0..bench.sizes.reps {
        let mut servers = Vec::new();
        let launch = Launch { tls: Some(&certs), ..bench.launch() };
        for peer in turned(&peers, rep) {
            let server = bench.start(&peer, &launch)?;
            bench.preload(&server, bench.sizes.keys, bench.sizes.value_bytes, Op::SetEx)?;
            servers.push(server);
        }
        for depth in depths {
            let clear = bench.plan(Mix::Only(Op::Get), &keys, depth);
            let tls = Plan { tls: Some(certs.client.clone()), ..clear.clone() };
            let mut lanes = Vec::new();
            for server in &servers {
                lanes.push(Lane::closed(server, "GET", &clear)?);
                lanes.push(Lane::closed(server, "GET over TLS", &tls)?);
            }
            bench.race(lanes, rep)?;
        }
        let ops_max = HANDSHAKES.min(bench.sizes.ops_max / 40);
        let plan = Plan { ops_max, ..bench.plan(Mix::Only(Op::Get), &keys, 1) };
        let certs = &certs;
        let lane = |server| Lane {
            slice: Box::new(move |plan: &Plan| handshakes(server, certs, plan.ops_max)),
            ..Lane::of(server, "TLS handshake", &plan)
        };
        bench.race(servers.iter().map(lane).collect(), rep)?;
    }
    Ok(())
}

fn handshakes(server: &Server, certs: &Certs, count: u64) -> anyhow::Result<Outcome> {
    use anyhow::Context as _;
    let addr = server.tls_addr.context("this server has no TLS port")?;
    let client = Arc::clone(&certs.client);
    let mut tally = Tally::new();
    let (began, cpu_before) = (Instant::now(), server.cpu_seconds());
    for _ in 0..count {
        let start = Instant::now();
        drop(Pipe::connect(addr, Some(&client))?);
        tally.latency.saturating_record(start.elapsed().as_nanos() as u64);
    }
    let (seconds, cpu_s) = (began.elapsed().as_secs_f64(), server.cpu_seconds() - cpu_before);
    tally.right = count;
    Ok(Outcome { ops: count, seconds, cpu_s, tally, others_pct: None })
}
