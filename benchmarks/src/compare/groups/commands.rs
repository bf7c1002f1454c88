//! Commands in the closed loop: throughput and CPU.

use crate::compare::bench::Bench;
use crate::compare::groups::limits::null;
use crate::compare::lanes::Lane;
use crate::compare::load::Plan;
use crate::compare::mix::{Draw, Keys, Mix};
use crate::compare::servers::{Launch, Peer, Server};
use crate::compare::wire::Op;

/// Bytes of all values of one size, at most.
const SIZES_BYTES: u64 = 256 << 20;

/// GET and SET on uniform keys.
pub fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let peers = bench.peers.clone();
    let depths = bench.sizes.depths.clone();
    bench.begin("commands", bench.sizes.reps * (2 * peers.len() + 1) * depths.len());
    let keys = Keys::new(bench.sizes.keys, Draw::Uniform);
    for rep in 0..bench.sizes.reps {
        let servers = bench.start_loaded(&turned(&peers, rep))?;
        // In the same turns as the others, because the machine's own phases change the kernel's share most.
        let null = bench.start(&null(), &Launch::default())?;
        for (case, op) in [("GET", Op::Get), ("SET", Op::Set)] {
            // It knows no other command.
            let floor = (op == Op::Get).then_some(&null);
            for &depth in &depths {
                let plan = bench.plan(Mix::Only(op), &keys, depth);
                bench.race(lanes(servers.iter().chain(floor), case, &plan)?, rep)?;
            }
        }
    }
    Ok(())
}

/// The same at each of these.
fn lanes<'a>(
    servers: impl IntoIterator<Item = &'a Server>,
    case: &str,
    plan: &Plan,
) -> anyhow::Result<Vec<Lane<'a>>> {
    servers.into_iter().map(|server| Lane::closed(server, case, plan)).collect()
}

/// In another order each time: who comes first meets another machine than who comes last.
pub fn turned(peers: &[Peer], rep: usize) -> Vec<Peer> {
    let mut peers = peers.to_vec();
    if !peers.is_empty() {
        let by = rep % peers.len();
        peers.rotate_left(by);
    }
    peers
}

/// The other commands of sessions.
pub fn verbs(bench: &mut Bench) -> anyhow::Result<()> {
    let uniform = Keys::new(bench.sizes.keys, Draw::Uniform);
    // A hash has four fields, so a quarter as many make as much data.
    let hashes = Keys::new(bench.sizes.keys / 4, Draw::Uniform);
    let few = Keys::new(bench.sizes.keys - 16, Draw::Uniform);
    // Sessions that nobody else reads or prolongs meanwhile.
    let fresh = Keys::new(u64::MAX, Draw::Once(1 << 40));
    let cases = [
        ("SET EX", Mix::Only(Op::SetEx), &uniform, true),
        ("EXPIRE", Mix::Only(Op::Expire), &uniform, true),
        ("SET, then DEL", Mix::SetDel, &fresh, true),
        ("80 % GET, 15 % EXPIRE, 5 % SET", Mix::Session, &uniform, true),
        ("GET, zipf 0.99", Mix::Only(Op::Get), &Keys::new(bench.sizes.keys, Draw::Zipf), true),
        ("MGET of 16", Mix::Only(Op::Mget(16)), &few, true),
        ("HGET", Mix::HGet, &hashes, false),
        ("HSET", Mix::HSet, &hashes, false),
    ];
    let peers = bench.peers.clone();
    let depths = [1, 16];
    let both = peers.len() + bench.resp_peers().len();
    bench.begin("verbs", bench.sizes.reps * depths.len() * (6 * peers.len() + 2 * (both - peers.len())));
    for rep in 0..bench.sizes.reps {
        let servers = bench.start_loaded(&turned(&peers, rep))?;
        let with_hashes: Vec<&Server> = servers.iter().filter(|server| server.speaks_resp()).collect();
        for server in &with_hashes {
            bench.preload(server, hashes.count, bench.sizes.value_bytes, Op::HFill)?;
        }
        for (case, mix, keys, everybody) in &cases {
            for depth in depths {
                let some = servers.iter().filter(|server| *everybody || server.speaks_resp());
                let plan = bench.plan(*mix, keys, depth);
                bench.race(lanes(some, case, &plan)?, rep)?;
            }
        }
    }
    Ok(())
}

/// GET and SET of other sizes.
pub fn sizes(bench: &mut Bench) -> anyhow::Result<()> {
    let sizes = [64usize, 1024, 4096, 16384];
    let peers = bench.peers.clone();
    // Filling the servers of four sizes takes as long as the runs: with more it is no group for one sitting.
    let reps = bench.sizes.reps.min(3);
    bench.begin("sizes", reps * peers.len() * sizes.len() * 2);
    bench.group.notes.push("as many sessions as make 256 MiB of values, at most the usual number".into());
    for rep in 0..reps {
        for bytes in sizes {
            let count = bench.sizes.keys.min(SIZES_BYTES / bytes as u64);
            let keys = Keys::new(count, Draw::Uniform);
            let launch = Launch { capacity: Bench::capacity(count, bytes), ..Launch::default() };
            let mut servers = Vec::new();
            for peer in turned(&peers, rep) {
                let server = bench.start(&peer, &launch)?;
                bench.preload(&server, count, bytes, Op::Set)?;
                servers.push(server);
            }
            for (case, op) in [("GET", Op::Get), ("SET", Op::Set)] {
                let plan = Plan { value_bytes: bytes, ..bench.plan(Mix::Only(op), &keys, 16) };
                bench.race(lanes(&servers, case, &plan)?, rep)?;
            }
        }
    }
    Ok(())
}
