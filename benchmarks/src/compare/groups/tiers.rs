//! A miss at the relay that climbs to the aging node and back, beside a proxy in front of a Redis.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::compare::bench::Bench;
use crate::compare::lanes::Lane;
use crate::compare::load::Plan;
use crate::compare::mix::{Draw, Keys, Mix};
use crate::compare::servers::{Launch, Peer, Program, Server, find};
use crate::compare::talk::Talk;
use crate::compare::wire::Op;

/// Sessions that go down, at most.
const SESSIONS_MAX: u64 = 400_000;
/// The relay has room for one in so many of them.
const RELAY_SHARE: u64 = 8;
const DEPTHS: [usize; 2] = [1, 16];
/// Sessions that are asked for one at a time.
const SINGLES: u64 = 12_000;

/// A relay that holds an eighth of its sessions; an aging node has the rest.
struct Family {
    relay: Server,
    aging: Server,
    /// Sessions that surely are on the aging node, from the first one on.
    below: u64,
}

impl Family {
    fn start(bench: &mut Bench, gs: &Peer) -> anyhow::Result<Family> {
        let Program::Gs(path) = &gs.program else {
            anyhow::bail!("{} is not gs", gs.name);
        };
        let (keys, bytes) = (bench.sizes.keys.clamp(50_000, SESSIONS_MAX), bench.sizes.value_bytes);
        let room = keys / RELAY_SHARE;
        let capacity = (room * (bytes as u64 + 160)).max(2 << 20);
        // Whatever leaves the relay counts as aged.
        let sets = vec!["aging.aged_after_ms=0".to_owned()];
        let relay = bench.start(gs, &Launch { capacity, sets, ..Launch::default() })?;
        let aging =
            relay.start_relief(path, "relief-aging", Bench::capacity(keys * 2, bytes), &bench.cores)?;
        joined(&relay)?;
        bench.preload(&relay, keys, bytes, Op::SetEx)?;
        Ok(Family { relay, aging, below: keys - keys / 4 })
    }

    /// Sessions that are asked for one at a time.
    fn singles(&self) -> u64 {
        SINGLES.min(self.below / 10)
    }

    /// Sessions that the relay found at the aging node. Its questions are fewer: one asks for several.
    fn fetched(&self) -> anyhow::Result<u64> {
        let said = Talk::to(self.relay.addr)?.call(&["INFO"])?;
        let found = said.lines().find_map(|line| line.strip_prefix("gs_hits_aging:"));
        found
            .and_then(|count| count.trim().parse().ok())
            .context("the relay does not say what it found below")
    }

    /// Asks for sessions that nobody has asked for yet, so that each is a miss; from this one on, at most so many
    /// in all.
    fn lane<'a>(
        &'a self,
        bench: &Bench,
        case: &str,
        plan: &Plan,
        (from, most): (u64, u64),
        asked: &'a Cell<u64>,
    ) -> anyhow::Result<Lane<'a>> {
        let keys = Keys::new(u64::MAX, Draw::Once(from));
        // A run may be made several times, and every connection ends at a whole batch.
        let ops_max = (most / bench.sizes.tries as u64 * 3 / 4).min(bench.sizes.ops_max);
        let plan = Plan { keys, ops_max, ..plan.clone() };
        let mut lane = Lane::closed(&self.relay, case, &plan)?.beside(vec![&self.aging]);
        let mut inner = lane.slice;
        lane.slice = Box::new(move |part| {
            let outcome = inner(part)?;
            asked.set(asked.get() + outcome.ops);
            Ok(outcome)
        });
        Ok(lane)
    }
}

/// Waits until the sibling counts the relief among its members, and the relay knows what is absent.
fn joined(relay: &Server) -> anyhow::Result<()> {
    let sibling = relay.listeners.iter().find(|(role, ..)| role == "sibling").context("no sibling")?.2;
    let began = std::time::Instant::now();
    loop {
        let up = Talk::to(sibling)?.call(&["GS.SHARD", "NODES"])?.contains("\r\nup\r\n");
        if up && Talk::to(relay.addr)?.call(&["GET", "nobody"]).is_ok() {
            return Ok(());
        }
        anyhow::ensure!(began.elapsed() < Duration::from_secs(60), "the relief does not join");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Misses one by one and pipelined; twemproxy in front of Redis; a round trip to a server that only answers.
pub fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let proxy = find("nutcracker");
    let redis = bench.peers.iter().find(|peer| matches!(peer.program, Program::Redis(_))).cloned();
    bench.begin("tiers", bench.sizes.reps * (2 + 2 * DEPTHS.len()));
    bench.group.notes.push(
        "CPU of all processes: relay, sibling and aging node; twemproxy and Redis. Each session is asked for once".into(),
    );
    if proxy.is_none() {
        bench.group.notes.push("twemproxy is not installed (Debian: nutcracker)".into());
    }
    let gs = bench.gs()?;
    let null = Peer { name: "null server".into(), program: Program::Null };
    for rep in 0..bench.sizes.reps {
        let family = Family::start(bench, &gs)?;
        let null = bench.start(&null, &Launch::default())?;
        let proxied = match (&proxy, &redis) {
            (Some(proxy), Some(redis)) => Some(Proxied::start(bench, proxy, redis)?),
            _ => None,
        };
        let (before, asked) = (family.fetched()?, Cell::new(0));
        one_by_one(bench, (&family, &asked), &null, rep)?;
        pipelined(bench, (&family, &asked), proxied.as_ref(), rep)?;
        let share = (family.fetched()? - before) as f64 / asked.get() as f64;
        bench.keep_figures(
            &gs.name,
            "share of misses",
            (1, bench.sizes.value_bytes),
            rep,
            &[("miss_share", share)],
        );
    }
    Ok(())
}

/// twemproxy and the Redis behind it.
struct Proxied {
    front: Server,
    behind: Server,
    keys: Keys,
}

impl Proxied {
    fn start(bench: &mut Bench, proxy: &Path, redis: &Peer) -> anyhow::Result<Proxied> {
        let behind = bench.start(redis, &bench.launch())?;
        let count = bench.sizes.keys.min(SESSIONS_MAX);
        bench.preload(&behind, count, bench.sizes.value_bytes, Op::SetEx)?;
        let mut front = Server::start_proxy(proxy, behind.addr, &bench.cores)?;
        front.name = "twemproxy + redis".into();
        Ok(Proxied { front, behind, keys: Keys::new(count, Draw::Uniform) })
    }
}

/// Latency of one miss, beside a round trip to a server that only answers.
fn one_by_one(
    bench: &mut Bench,
    (family, asked): (&Family, &Cell<u64>),
    null: &Server,
    rep: usize,
) -> anyhow::Result<()> {
    let any = Keys::new(u64::MAX, Draw::Once(0));
    let one = Plan { conns: 1, ops_max: SINGLES, ..bench.plan(Mix::Only(Op::Get), &any, 1) };
    let most = family.singles();
    let lanes = vec![
        family.lane(bench, "miss, one connection", &one, (0, most), asked)?,
        Lane::closed(null, "round trip, one connection", &one)?,
    ];
    bench.race(lanes, rep)
}

/// CPU of many misses, beside GETs through a proxy.
fn pipelined(
    bench: &mut Bench,
    (family, asked): (&Family, &Cell<u64>),
    proxied: Option<&Proxied>,
    rep: usize,
) -> anyhow::Result<()> {
    let share = (family.below - family.singles()) / DEPTHS.len() as u64;
    for (nth, depth) in DEPTHS.into_iter().enumerate() {
        let any = Keys::new(u64::MAX, Draw::Once(0));
        let plan = bench.plan(Mix::Only(Op::Get), &any, depth);
        let from = family.singles() + nth as u64 * share;
        let mut lanes = vec![family.lane(bench, "miss", &plan, (from, share), asked)?];
        if let Some(Proxied { front, behind, keys }) = proxied {
            let plan = bench.plan(Mix::Only(Op::Get), keys, depth);
            lanes.push(Lane::closed(front, "GET", &plan)?.beside(vec![behind]));
        }
        bench.race(lanes, rep)?;
    }
    Ok(())
}
