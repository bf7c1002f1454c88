//! What grows: sessions, threads.

use crate::compare::bench::Bench;
use crate::compare::lanes::Lane;
use crate::compare::mix::{Draw, Keys, Mix};
use crate::compare::servers::Launch;
use crate::compare::wire::Op;

/// GET among the usual number of sessions and among ten times as many.
pub fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let reps = bench.sizes.reps.min(3);
    let depths = bench.sizes.depths.clone();
    bench.begin("growth", reps * 2 * depths.len());
    let gs = bench.gs()?;
    let (few, many) = (bench.sizes.keys, bench.sizes.keys_grown);
    for rep in 0..reps {
        let mut servers = Vec::new();
        for count in [few, many] {
            let capacity = Bench::capacity(count, bench.sizes.value_bytes);
            let server = bench.start(&gs, &Launch { capacity, ..Launch::default() })?;
            bench.preload(&server, count, bench.sizes.value_bytes, Op::SetEx)?;
            servers.push((server, Keys::new(count, Draw::Uniform)));
        }
        for &depth in &depths {
            let mut lanes = Vec::new();
            for (server, keys) in &servers {
                let case = if keys.count == few { "GET among few" } else { "GET among ten times as many" };
                lanes.push(Lane::closed(server, case, &bench.plan(Mix::Only(Op::Get), keys, depth))?);
            }
            bench.race(lanes, rep)?;
        }
    }
    bench.group.notes.push(format!("{few} and {many} sessions"));
    Ok(())
}

/// One serving thread on one core; two on two, where the second is the load's as well.
pub fn threads(bench: &mut Bench) -> anyhow::Result<()> {
    let depths = bench.sizes.depths.clone();
    bench.begin("threads", bench.sizes.reps * 2 * depths.len());
    bench.group.notes.push(
        "the load shares a core with the second thread, so throughput shows nothing here: what two cores would bring is \
         twice the operations that one second of CPU brings with two threads"
            .into(),
    );
    let gs = bench.gs()?;
    let keys = Keys::new(bench.sizes.keys, Draw::Uniform);
    for rep in 0..bench.sizes.reps {
        let mut servers = Vec::new();
        for threads in [1, 2] {
            let launch = Launch { threads, wide: threads == 2, ..bench.launch() };
            let server = bench.start(&gs, &launch)?;
            bench.preload(&server, bench.sizes.keys, bench.sizes.value_bytes, Op::SetEx)?;
            servers.push(server);
        }
        for &depth in &depths {
            let plan = bench.plan(Mix::Only(Op::Get), &keys, depth);
            let cases = ["GET, one thread", "GET, two threads"].iter().zip(&servers);
            let lanes = cases.map(|(case, server)| Lane::closed(server, case, &plan));
            bench.race(lanes.collect::<anyhow::Result<Vec<_>>>()?, rep)?;
        }
    }
    Ok(())
}
