//! The same hours of traffic, each time with another thing happening in the middle.

use gs_server::core::members::Tier;

use super::balance::Spread;
use super::events::Event;
use super::nodes::{RelayNode, Work};
use super::site::{FULL, Plan};
use super::world::{BUCKET_MS, Counts, Rooms, World};
use crate::sim::sessions::{Mix, SESSIONS, make};
use crate::sim::trace::Trace;

/// How large a simulation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The machines.
    pub plan: Plan,
    /// Logins in all.
    pub logins: u32,
    /// Hours.
    pub hours: u32,
}

/// The size of the published figures.
pub const PUBLISHED: Size = Size { plan: FULL, logins: 120_000, hours: 4 };

/// A small one, of the same proportions.
pub const SMALL: Size =
    Size { plan: Plan { fronts: 40, relays: 5, expansion: 2, aging: 2 }, logins: 9_000, hours: 3 };

impl Size {
    /// Room for the sessions in use at a front end, for a quarter of those alive at the relays, for a sixth at the
    /// expansion nodes, and for all at the aging ones, with a third to spare: machines are not bought exactly full.
    pub fn rooms(&self) -> Rooms {
        let per = |share: f64, nodes: usize| (f64::from(self.logins) * share / nodes as f64) as usize + 8;
        let Plan { fronts, relays, expansion, aging } = self.plan;
        Rooms {
            front: per(0.6, fronts),
            relay: per(0.25, relays),
            reliefs: [per(0.16, relays * expansion), per(0.8, relays * aging)],
        }
    }

    /// When things happen: after three fifths of the time.
    pub fn event_ms(&self) -> u64 {
        u64::from(self.hours) * 3_600_000 * 3 / 5
    }

    /// The users of the trace.
    pub fn mix(&self) -> Mix {
        Mix { logins: self.logins, length_s: f64::from(self.hours) * 3600.0, ..SESSIONS }
    }
}

/// How long the first commotion is looked at.
pub const SOON_MS: u64 = 600_000;

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Its name in tables.
    pub name: &'static str,
    /// What happens.
    pub event: Option<Event>,
    /// So many times the users, on the same machines.
    pub users: u32,
}

/// Everything that is tried, the undisturbed case first.
pub const SCENARIOS: [Scenario; 11] = {
    const fn one(name: &'static str, event: Event) -> Scenario {
        Scenario { name, event: Some(event), users: 1 }
    }
    const MINUTE_MS: u64 = 60_000;
    [
        Scenario { name: "undisturbed", event: None, users: 1 },
        Scenario { name: "twice the users", event: None, users: 2 },
        one("a front end is lost", Event::FrontLost { front: 7 }),
        one("a front end is added", Event::FrontAdded),
        one("a relay restarts (5 s)", Event::RelayAway { relay: 3, for_ms: 5_000 }),
        one("a relay's machine is replaced (1 min)", Event::RelayReplaced { relay: 3, for_ms: MINUTE_MS }),
        one("a relay is taken off the list", Event::RelayUnlisted { relay: 3 }),
        one("a relay is added", Event::RelayAdded),
        one(
            "an aging node is away (10 min)",
            Event::ReliefAway { relay: 3, relief: 2, for_ms: 10 * MINUTE_MS },
        ),
        one("an aging node is given up", Event::ReliefLost { relay: 3, relief: 2 }),
        one("an aging node is added", Event::ReliefAdded { relay: 3 }),
    ]
};

/// What came of one scenario. Sums are of the time after the event.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was tried.
    pub scenario: Scenario,
    /// Everything after the event.
    pub after: Counts,
    /// Figures over all the time, [`BUCKET_MS`] each.
    pub buckets: Vec<Counts>,
    /// Commands of each relay that is still listed, after the event.
    pub commands: Spread,
    /// Questions of front ends, after the event.
    pub gets: u64,
    /// Changes streamed by each relay, after the event.
    pub events: Spread,
    /// Sessions that each relay answers for, its reliefs' among them.
    pub owned: Spread,
    /// Sessions held by each expansion node, and each aging node.
    pub held_below: [Spread; 2],
    /// Messages of each relief, over all the time.
    pub messages: Spread,
    /// Requests of each front end, over all the time.
    pub requests: Spread,
    /// Sessions that went down a tier, and that came up, after the event.
    pub moved: [u64; 2],
    /// Live sessions given up by aging nodes for want of room.
    pub evicted: u64,
    /// Writes that found no room.
    pub full: u64,
    /// The busiest minute of one relay after the event, over the mean of all.
    pub storm: f64,
    /// Commands at all relays within [`SOON_MS`] of the event.
    pub soon: u64,
    /// What the check at the end found wrong.
    pub faults: Vec<String>,
}

/// The requests of so many times the users.
pub fn trace(size: &Size, users: u32, seed: u64) -> Trace {
    make(&Mix { logins: size.mix().logins * users, ..size.mix() }, seed)
}

/// Plays a scenario on the trace of its users.
pub fn play(size: &Size, scenario: Scenario, trace: &Trace, seed: u64) -> Outcome {
    let mut world = World::new(&size.plan, size.rooms(), trace.keys, seed);
    let event_ms = size.event_ms();
    let middle = trace.requests.partition_point(|request| request.at_ms < event_ms);
    world.run(&trace.requests[..middle], event_ms);
    let work_before: Vec<_> = world.relays.iter().map(|relay| relay.work).collect();
    let first = world.buckets.len() - 1;
    if let Some(event) = scenario.event {
        world.happens(event, event_ms);
    }
    world.run(&trace.requests[middle..], u64::from(size.hours) * 3_600_000);
    let since = |pick: fn(&Work) -> u64| -> Vec<f64> {
        let before = |n: usize| work_before.get(n).map_or(0, pick);
        world.site.listed.iter().map(|n| (pick(&world.relays[*n].work) - before(*n)) as f64).collect()
    };
    let sum = |loads: Vec<f64>| loads.into_iter().sum::<f64>() as u64;
    world.buckets.pop();
    let after = &world.buckets[first..];
    let busiest = after.iter().map(|bucket| bucket.busiest).max().unwrap_or(0);
    let mean = after.iter().map(|bucket| bucket.commands).sum::<u64>() as f64
        / (after.len() * world.site.listed.len()) as f64;
    let soon = after.iter().take((SOON_MS / BUCKET_MS) as usize).map(|bucket| bucket.commands).sum();
    let listed = || world.site.listed.iter().map(|n| &world.relays[*n]);
    let owned = |relay: &RelayNode| relay.store.len() as f64 + relay.directory.live(0) as f64;
    let reliefs = || listed().flat_map(|relay| &relay.reliefs);
    let below = |tier| -> Vec<f64> {
        reliefs().filter(|relief| relief.tier == tier).map(|relief| relief.store.len() as f64).collect()
    };
    Outcome {
        scenario,
        after: total(&world.buckets[first..]),
        commands: Spread::of(&since(|work| work.commands())),
        gets: sum(since(|work| work.gets)),
        events: Spread::of(&since(|work| work.events())),
        owned: Spread::of(&listed().map(owned).collect::<Vec<_>>()),
        held_below: [Spread::of(&below(Tier::Expansion)), Spread::of(&below(Tier::Aging))],
        messages: Spread::of(&reliefs().map(|relief| relief.messages as f64).collect::<Vec<_>>()),
        requests: Spread::of(&world.front_requests().iter().map(|n| *n as f64).collect::<Vec<_>>()),
        moved: [sum(since(|work| work.demoted)), sum(since(|work| work.promoted))],
        evicted: reliefs().map(|relief| relief.evicted).sum(),
        full: sum(since(|work| work.full)),
        storm: busiest as f64 / mean,
        soon,
        faults: world.check(),
        buckets: std::mem::take(&mut world.buckets),
    }
}

fn total(buckets: &[Counts]) -> Counts {
    buckets.iter().fold(Counts::default(), |sum, one| Counts {
        requests: sum.requests + one.requests,
        logins: sum.logins + one.logins,
        local: sum.local + one.local,
        relay: sum.relay + one.relay,
        expansion: sum.expansion + one.expansion,
        aging: sum.aging + one.aging,
        unavailable: sum.unavailable + one.unavailable,
        cut: sum.cut + one.cut,
        commands: sum.commands + one.commands,
        busiest: sum.busiest.max(one.busiest),
    })
}

/// Commands of the busiest relay, by minutes since the simulation began.
pub fn busiest_by_minute(outcome: &Outcome) -> Vec<(f64, f64)> {
    let minutes = outcome.buckets.iter().enumerate();
    minutes.map(|(n, bucket)| ((n as u64 * BUCKET_MS) as f64 / 60_000.0, bucket.busiest as f64)).collect()
}

/// Plays all scenarios, several at a time where there are cores; the figures do not depend on that.
pub fn play_all(size: &Size, seed: u64, scenarios: &[Scenario]) -> Vec<Outcome> {
    let most = scenarios.iter().map(|scenario| scenario.users).max().unwrap_or(1);
    let traces: Vec<Trace> = (1..=most).map(|users| trace(size, users, seed)).collect();
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let done = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(scenario) =
                    scenarios.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    let trace = &traces[scenario.users as usize - 1];
                    let outcome = play(size, *scenario, trace, seed);
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(outcome);
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|outcome| scenarios.iter().position(|scenario| *scenario == outcome.scenario));
    done
}
