//! Latency over load: requests come at a rate that does not wait for replies.

use crate::compare::bench::Bench;
use crate::compare::lanes::Lane;
use crate::compare::load;
use crate::compare::mix::{Draw, Keys, Mix};
use crate::compare::wire::Op;
use crate::section::stats::Spread;

use super::commands::turned;

/// Shares of the reference's saturation.
const SHARES: [f64; 6] = [0.10, 0.25, 0.50, 0.70, 0.85, 0.95];

/// GET at shares of what the first Redis (or gs, where there is none) takes at most.
pub fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let peers = bench.peers.clone();
    bench.begin("latency", bench.sizes.reps * peers.len() * (SHARES.len() + 1));
    let keys = Keys::new(bench.sizes.keys, Draw::Uniform);
    let mut most = Vec::new();
    for rep in 0..bench.sizes.reps {
        let servers = bench.start_loaded(&turned(&peers, rep))?;
        let plan = bench.plan(Mix::Only(Op::Get), &keys, 1);
        let is_redis = |server: &str| bench.group.servers.get(server).is_some_and(|v| v.starts_with("Redis"));
        let reference = servers.iter().find(|server| is_redis(&server.name)).unwrap_or(&servers[0]);
        let name = reference.name.clone();
        let saturated = load::closed(reference, &plan)?.must_be_right("saturation")?;
        most.push(saturated.ops_s());
        // One rate for all repetitions: the first one's.
        let full = most[0];
        bench.keep(&name, "GET, closed loop", &plan, rep, &saturated);
        for share in SHARES {
            let case = format!("GET at {:.0} %", share * 100.0);
            let lane = |server| Lane::open(server, &case, &plan, full * share);
            let lanes = servers.iter().map(lane).collect::<anyhow::Result<Vec<_>>>()?;
            bench.race(lanes, rep)?;
        }
    }
    let most = Spread::of(most);
    bench.group.notes.push(format!("100 % is Redis's saturation: {:.0} operations a second", most.median));
    Ok(())
}
