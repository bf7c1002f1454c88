//! One message to many: PUBLISH to subscribers, and what a relay tells its front ends of a change.

use crate::compare::bench::Bench;
use crate::compare::lanes::Lane;
use crate::compare::load::Plan;
use crate::compare::mix::{Draw, Keys, Mix};
use crate::compare::servers::{Launch, Peer, Server};
use crate::compare::stage::{LISTENERS, Pace, Stage, Told};
use crate::compare::wire::{Op, Shape, Speech};

use super::commands::turned;

/// How fast the writer is. A server that gathers messages shows it with many: the rates are the same for everybody,
/// and a writer that waits for its answers only is as fast as the server lets it be.
pub const PACES: [Pace; 6] = [
    Pace::EachSecond(100),
    Pace::EachSecond(1_000),
    Pace::EachSecond(10_000),
    Pace::Answered(1),
    Pace::Answered(16),
    Pace::Answered(128),
];

/// Messages in one run.
fn messages(bench: &Bench, pace: Pace) -> u64 {
    let most = match pace {
        Pace::EachSecond(rate) => (f64::from(rate) * bench.sizes.time.as_secs_f64()) as u64,
        Pace::Answered(1) => 2_000,
        Pace::Answered(window) => (window as u64 * 250).min(20_000),
    };
    most.clamp(10, bench.sizes.ops_max)
}

/// PUBLISH at every server that has it; DEL and SET at a relay with as many front ends.
pub fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let peers = bench.resp_peers();
    bench.begin("fanout", bench.sizes.reps * PACES.len() * (peers.len() + 3));
    bench.group.notes.push(
        "operations are deliveries; at the relay they include the DEL or SET that is told of, and its listeners are front \
         ends' agents; the writer waits for its answers only, and the latency is that of its answers"
            .into(),
    );
    let shape = Shape::new(Speech::Resp, bench.sizes.value_bytes);
    let any = Keys::new(1, Draw::Once(0));
    for rep in 0..bench.sizes.reps {
        let cases = cases(bench, &turned(&peers, rep))?;
        for pace in PACES {
            let ops_max = messages(bench, pace) * LISTENERS as u64;
            let plan = Plan { ops_max, ..bench.plan(Mix::Only(Op::Set), &any, pace.window()) };
            let lanes =
                cases.iter().map(|(case, told, server)| lane(case, *told, server, &shape, pace, &plan));
            bench.race(lanes.collect::<anyhow::Result<Vec<_>>>()?, rep)?;
        }
    }
    Ok(())
}

fn cases(bench: &mut Bench, peers: &[Peer]) -> anyhow::Result<Vec<(&'static str, Told, Server)>> {
    let gs = bench.gs()?;
    let published = peers.iter().map(|peer| ("PUBLISH", peer, Told::Published, "all"));
    let changed = [
        ("DEL", Told::Deleted, "invalidate"),
        ("SET", Told::Written, "invalidate"),
        ("SET, new value pushed", Told::Written, "all"),
    ];
    let changed = changed.map(|(case, told, push)| (case, &gs, told, push));
    let mut cases = Vec::new();
    for (case, peer, told, push) in published.chain(changed) {
        let server = bench.start(peer, &launch(push))?;
        cases.push((case, told, server));
    }
    Ok(cases)
}

/// A relay that pushes this, with leases that outlast the run: renewing them is not what is measured.
pub fn launch(push: &str) -> Launch<'static> {
    let sets = vec![format!("stream.push={push}"), "lease_ms=600000".to_owned()];
    Launch { capacity: 64 << 20, sets, ..Launch::default() }
}

fn lane<'a>(
    case: &str,
    told: Told,
    server: &'a Server,
    shape: &Shape,
    pace: Pace,
    plan: &Plan,
) -> anyhow::Result<Lane<'a>> {
    let mut stage = Stage::new(server, told, shape)?;
    let slice = Box::new(move |part: &Plan| {
        let messages = (part.ops_max as usize / LISTENERS).max(1);
        stage.deliver(messages.next_multiple_of(pace.window()), pace)
    });
    Ok(Lane { slice, ..Lane::of(server, &format!("{case}{}", pace.name()), plan) })
}
