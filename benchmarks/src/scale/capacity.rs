//! Sums: what a number of machines carries, from the measured figures and from what the simulation counts for each
//! request.

use gs_server::core::stream::{Event, Next, Stream};

use super::constants::value;
use super::scenario::Outcome;

/// What a machine has, and how much of it may be used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// Cores of a relay's machine that serve.
    pub cores: f64,
    /// Of a front end's machine, the cores that gs may take.
    pub front_cores: f64,
    /// Network of each, in bytes a second each way.
    pub network: f64,
    /// Memory of a relay's or a relief's machine for sessions, in bytes.
    pub memory: f64,
    /// Share of each that may be used: the rest is for the busiest node and the busiest minute.
    pub share: f64,
}

/// The machine of the tables.
pub const MACHINE: Machine =
    Machine { cores: 8.0, front_cores: 1.0, network: 1.25e9, memory: 64e9, share: 0.6 };

/// What a request at a front end makes for work elsewhere: counted in a simulation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mix {
    /// Questions to a relay.
    pub gets: f64,
    /// Writes at a relay: logins, saves, logouts. Each is a change that all front ends hear of.
    pub writes: f64,
    /// Lives prolonged at a relay.
    pub touches: f64,
    /// Sessions that change tiers.
    pub moves: f64,
}

impl Mix {
    /// What an outcome counted.
    pub fn of(outcome: &Outcome) -> Mix {
        let per = |n: f64| n / outcome.after.requests.max(1) as f64;
        let writes = outcome.events.mean * outcome.events.nodes as f64;
        let gets = outcome.gets as f64;
        Mix {
            gets: per(gets),
            writes: per(writes),
            touches: per(outcome.after.commands as f64 - writes - gets),
            moves: per((outcome.moved[0] + outcome.moved[1]) as f64),
        }
    }
}

/// Renewals a second of one front end at one relay.
const RENEWALS: f64 = 4.0;
/// Bytes on the wire for one packet beside what it carries.
const PACKET: f64 = 66.0;

/// Bytes of one change in the stream, as the server encodes it: a new value and a mere invalidation.
pub fn event_bytes() -> (f64, f64) {
    let bytes = |event: &Event<'_>| {
        let stream = Stream::new(1, 1 << 20);
        stream.enable();
        stream.append(event);
        match stream.read(1) {
            Next::Events(events, _) => events.len() as f64,
            Next::Gap | Next::Empty => f64::NAN,
        }
    };
    let (key, value, version) = ([b'k'; 32], [b'v'; 384], 1 << 60);
    let put = Event::Put { db: 0, key: &key, version, pttl: 7_200_000, kind: 0, value: &value };
    (bytes(&put), bytes(&Event::Inval { db: 0, key: &key, version }))
}

/// Machines of each kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machines {
    /// Front ends.
    pub fronts: f64,
    /// Relays.
    pub relays: f64,
    /// The busiest relay's load over the mean.
    pub uneven: f64,
}

/// Where a site reaches its limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Of what.
    pub what: &'static str,
    /// Requests a second, of the whole site.
    pub requests: f64,
}

/// How messages come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Whether the stream carries new values, or only says that they changed.
    pub values: bool,
    /// Whether commands come sixteen at a time, or each alone.
    pub batched: bool,
}

/// Writes of a relay to one front end in a second at most: changes gather for a millisecond.
const WRITES_MAX: f64 = 1_000.0;

/// What a site spends a second at a rate of requests: of the busiest relay's CPU and network, of a front end's.
pub fn spent(mix: &Mix, machines: &Machines, traffic: Traffic, requests: f64) -> [f64; 4] {
    let command =
        |name: &str| 1e-6 * value(&if traffic.batched { format!("{name}_16") } else { name.into() });
    let us = |name: &str| 1e-6 * value(name);
    let change = |name: &str| us(&if traffic.values { format!("{name}_value") } else { name.into() });
    let Machines { fronts, relays, uneven } = *machines;
    let (put, inval) = event_bytes();
    let event = if traffic.values { put } else { inval };
    let session = value("b_session");
    // Of the busiest relay, and of a front end.
    let (here, front) = (requests * uneven / relays, requests / fronts);
    let changes = mix.writes * here;
    let writes = changes.min(WRITES_MAX);
    let heard = mix.writes * requests;
    let reads = relays * (heard / relays).min(WRITES_MAX);
    let own = (mix.gets + mix.touches) * command("c_get") + mix.writes * command("c_set");
    let renewals = RENEWALS * us("c_renew");
    [
        here * (own + mix.moves * command("c_move"))
            + fronts * (writes * us("c_write") + changes * change("c_deliver") + renewals),
        here * (mix.gets * (session + PACKET) + (mix.writes + mix.touches) * PACKET)
            + fronts * (writes * PACKET + changes * event + RENEWALS * PACKET),
        front * us("c_hit") + reads * us("c_wake") + heard * change("c_apply") + relays * renewals,
        front * mix.gets * (session + PACKET) + reads * PACKET + heard * event + relays * RENEWALS * PACKET,
    ]
}

/// All limits of a site, in requests a second at all its front ends together.
pub fn limits(mix: &Mix, machines: &Machines, machine: &Machine, traffic: Traffic) -> Vec<Limit> {
    let have = [machine.cores, machine.network, machine.front_cores, machine.network];
    let what = ["a relay's CPU", "a relay's network", "a front end's CPU", "a front end's network"];
    let limit = |(at, what): (usize, &'static str)| {
        // Spending grows with the rate, so the rate is found by halving.
        let fits = |requests: f64| spent(mix, machines, traffic, requests)[at] <= have[at] * machine.share;
        let (mut low, mut high) = (0.0, 1e12);
        for _ in 0..80 {
            let middle = (low + high) / 2.0;
            (low, high) = if fits(middle) { (middle, high) } else { (low, middle) };
        }
        Limit { what, requests: low }
    };
    what.into_iter().enumerate().map(limit).collect()
}

/// The limit that is reached first.
pub fn first(limits: &[Limit]) -> Limit {
    let none = Limit { what: "nothing", requests: f64::INFINITY };
    limits.iter().copied().fold(none, |first, one| if one.requests < first.requests { one } else { first })
}

/// Sessions in so many bytes of a relay's or a relief's section.
pub fn sessions(bytes: f64, over: &str) -> f64 {
    bytes / (value("b_session") + value(over))
}
