//! A miss at the relay that climbs to the aging node and back, beside a proxy in front of a Redis.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::compare::bench::Bench;
use crate::compare::load::{self, Outcome, Plan};
use crate::compare::mix::{Draw, Keys, Mix};
use crate::compare::servers::{Launch, Peer, Program, Server, find};
use crate::compare::talk::Talk;
use crate::compare::wire::{Op, Speech};

/// Sessions that go down, at most.
const SESSIONS_MAX: u64 = 400_000;
/// The relay has room for one in so many of them.
const RELAY_SHARE: u64 = 8;
const DEPTHS: [usize; 2] = [1, 16];
/// Sessions that are asked for one at a time.
const SINGLES: u64 = 5_000;

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

    fn cpu_seconds(&self) -> f64 {
        self.relay.cpu_seconds() + self.aging.cpu_seconds()
    }

    /// Sessions that the aging node was asked for.
    fn fetched(&self) -> anyhow::Result<u64> {
        let said = Talk::to(self.aging.addr)?.call(&["INFO", "commandstats"])?;
        let calls = said.lines().find_map(|line| line.strip_prefix("cmdstat_gs.fetch:calls="));
        Ok(calls.and_then(|rest| rest.split(',').next()?.parse().ok()).unwrap_or(0))
    }

    /// Asks for sessions that nobody has asked for yet: each is a miss.
    fn ask(&mut self, plan: &Plan, from: u64) -> anyhow::Result<(Outcome, f64)> {
        let keys = Keys::new(u64::MAX, Draw::Once(from));
        let (cpu_before, fetched) = (self.cpu_seconds(), self.fetched()?);
        let mut outcome =
            load::closed(&self.relay, &Plan { keys, ..plan.clone() })?.must_be_right("misses")?;
        outcome.cpu_s = self.cpu_seconds() - cpu_before;
        let share = (self.fetched()? - fetched) as f64 / outcome.ops as f64;
        Ok((outcome, share))
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
    for rep in 0..bench.sizes.reps {
        climb(bench, &gs, rep)?;
        round_trip(bench, rep)?;
        if let (Some(proxy), Some(redis)) = (&proxy, &redis) {
            through_a_proxy(bench, proxy, redis, rep)?;
        }
    }
    Ok(())
}

fn climb(bench: &mut Bench, gs: &Peer, rep: usize) -> anyhow::Result<()> {
    let mut family = Family::start(bench, gs)?;
    let singles = SINGLES.min(family.below / 10);
    let share = (family.below - singles) / DEPTHS.len() as u64;
    let any = Keys::new(1, Draw::Once(0));
    bench.step("misses one by one");
    let one = Plan { conns: 1, ops_max: singles, ..bench.plan(Mix::Only(Op::Get), &any, 1) };
    let (outcome, missed) = family.ask(&one, 0)?;
    keep(bench, &gs.name, "miss, one connection", &one, (rep, missed), &outcome);
    for (nth, depth) in DEPTHS.into_iter().enumerate() {
        bench.step(&format!("misses p{depth}"));
        let plan = bench.plan(Mix::Only(Op::Get), &any, depth);
        let ops_max = (share - plan.conns as u64 * depth as u64).min(bench.sizes.ops_max);
        let plan = Plan { ops_max, time: Duration::from_secs(20), ..plan };
        let (outcome, missed) = family.ask(&plan, singles + nth as u64 * share)?;
        keep(bench, &gs.name, "miss", &plan, (rep, missed), &outcome);
    }
    Ok(())
}

fn keep(bench: &mut Bench, server: &str, case: &str, plan: &Plan, at: (usize, f64), outcome: &Outcome) {
    bench.keep(server, case, plan, at.0, outcome);
    if let Some(sample) = bench.group.samples.last_mut() {
        sample.figures.insert("miss_share".into(), at.1);
    }
}

fn round_trip(bench: &mut Bench, rep: usize) -> anyhow::Result<()> {
    bench.step("round trip");
    let null = Peer { name: "null server".into(), program: Program::Null };
    let server = bench.start(&null, &Launch::default())?;
    let keys = Keys::new(u64::MAX, Draw::Once(0));
    let plan = Plan { conns: 1, ops_max: SINGLES, ..bench.plan(Mix::Only(Op::Get), &keys, 1) };
    let outcome = load::closed(&server, &plan)?.must_be_right("round trip")?;
    bench.keep("null server", "round trip, one connection", &plan, rep, &outcome);
    Ok(())
}

fn through_a_proxy(bench: &mut Bench, proxy: &Path, redis: &Peer, rep: usize) -> anyhow::Result<()> {
    let behind = bench.start(redis, &bench.launch())?;
    let count = bench.sizes.keys.min(SESSIONS_MAX);
    bench.preload(&behind, count, bench.sizes.value_bytes, Op::SetEx)?;
    let front = Server::start_proxy(proxy, behind.addr, &bench.cores)?;
    anyhow::ensure!(front.speech == Speech::Resp, "twemproxy speaks RESP");
    let keys = Keys::new(count, Draw::Uniform);
    for depth in DEPTHS {
        bench.step(&format!("twemproxy p{depth}"));
        let plan = bench.plan(Mix::Only(Op::Get), &keys, depth);
        let cpu_before = front.cpu_seconds() + behind.cpu_seconds();
        let mut outcome = load::closed(&front, &plan)?.must_be_right("twemproxy")?;
        outcome.cpu_s = front.cpu_seconds() + behind.cpu_seconds() - cpu_before;
        bench.keep("twemproxy + redis", "GET", &plan, rep, &outcome);
    }
    Ok(())
}
