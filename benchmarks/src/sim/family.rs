//! The whole family: a front end's section, the relay, an expansion and an aging node, exclusive below the front end.
//!
//! What a tier gives up is its policy's order; everything else is the family's: a login is stored at the relay and kept
//! in front; a miss looks further down and what is found moves up to the relay; the relay's victims go to expansion, or
//! to aging once they are an hour old; expansion's overflow goes to aging, and what aging gives up is lost. Touches
//! join as the front end joins them. The orders are exact, as the sweeps approximate them.

use std::collections::BTreeSet;

use super::trace::{Op, Request, Trace};

/// Who leaves a tier first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The longest unused.
    Recency,
    /// The first that was made, whenever it came here.
    Oldest,
    /// The first that came here.
    Arrival,
    /// What would soonest expire.
    LeastLife,
}

/// The orders below the front end.
#[derive(Clone, Copy, Debug)]
pub struct Orders {
    /// The relay's.
    pub relay: Order,
    /// The expansion node's.
    pub expansion: Order,
    /// The aging node's.
    pub aging: Order,
}

/// What the family does by default.
pub const DEFAULT: Orders =
    Orders { relay: Order::Recency, expansion: Order::Oldest, aging: Order::LeastLife };

/// A victim at least this old goes to aging.
const AGED_AFTER_MS: u64 = 3_600_000;

/// Where requests were answered, and what moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All requests.
    pub requests: u64,
    /// The first of their session: nothing could have had it.
    pub first: u64,
    /// Answered by the front end, the relay, expansion, aging.
    pub hits: [u64; 4],
    /// Requests for a live session that no tier had any more.
    pub lost: u64,
    /// Sessions that moved down a tier.
    pub demoted: u64,
    /// Sessions that moved up to the relay.
    pub promoted: u64,
    /// Live sessions that the aging node gave up.
    pub evicted: u64,
    /// Touches that went to the relay at once; those that waited come to no more.
    pub touches: u64,
}

#[derive(Clone, Copy, Default)]
struct Session {
    made_ms: u64,
    used_ms: u64,
    /// When it ends; and as the relay was told, who hears of the rest in time.
    deadline_ms: u64,
    told_ms: u64,
    patience_ms: u64,
}

/// A tier: its records in the order in which they leave, and by deadline.
struct Tier {
    order: Order,
    room: usize,
    leaving: BTreeSet<(u64, u32)>,
    expiring: BTreeSet<(u64, u32)>,
    place: Vec<Option<(u64, u64)>>,
}

impl Tier {
    fn new(order: Order, room: usize, keys: u32) -> Tier {
        let place = vec![None; keys as usize];
        Tier { order, room, leaving: BTreeSet::new(), expiring: BTreeSet::new(), place }
    }

    fn take(&mut self, key: u32) -> bool {
        let Some((rank, deadline_ms)) = self.place[key as usize].take() else { return false };
        self.leaving.remove(&(rank, key));
        self.expiring.remove(&(deadline_ms, key));
        true
    }

    /// Puts a record in, or in its new place; returns who has to leave for it.
    fn put(&mut self, key: u32, session: &Session, now_ms: u64) -> Vec<u32> {
        self.take(key);
        let rank = match self.order {
            Order::Recency => session.used_ms,
            Order::Oldest => session.made_ms,
            Order::Arrival => now_ms,
            Order::LeastLife => session.told_ms,
        };
        let ends_ms = session.told_ms + session.patience_ms;
        self.place[key as usize] = Some((rank, ends_ms));
        self.leaving.insert((rank, key));
        self.expiring.insert((ends_ms, key));
        while let Some((deadline_ms, dead)) = self.expiring.first().copied()
            && deadline_ms <= now_ms
        {
            self.take(dead);
        }
        let mut gone = Vec::new();
        while self.leaving.len() > self.room
            && let Some((_, victim)) = self.leaving.first().copied()
        {
            self.take(victim);
            gone.push(victim);
        }
        gone
    }
}

/// The family at work on one trace.
struct Family {
    front: Tier,
    /// Relay, expansion, aging.
    below: [Tier; 3],
    sessions: Vec<Session>,
    counts: Counts,
}

impl Family {
    fn down(&mut self, from: usize, victims: Vec<u32>, now_ms: u64) {
        for key in victims {
            let session = self.sessions[key as usize];
            let aged = now_ms - session.made_ms >= AGED_AFTER_MS;
            let to = if from == 0 && !aged { 1 } else { 2 };
            if from == 2 {
                self.counts.evicted += 1;
                continue;
            }
            self.counts.demoted += 1;
            let next = self.below[to].put(key, &session, now_ms);
            self.down(to, next, now_ms);
        }
    }

    fn keep_at_relay(&mut self, key: u32, now_ms: u64) {
        let session = self.sessions[key as usize];
        let victims = self.below[0].put(key, &session, now_ms);
        self.down(0, victims, now_ms);
    }

    /// Brings a session to the relay, if any tier has it; says which.
    fn find(&mut self, key: u32, now_ms: u64) -> Option<usize> {
        let tier = self.below.iter_mut().position(|tier| tier.take(key))?;
        self.counts.promoted += u64::from(tier > 0);
        self.keep_at_relay(key, now_ms);
        Some(tier)
    }

    fn request(&mut self, request: &Request) {
        let (key, now_ms) = (request.key, request.at_ms);
        self.counts.requests += 1;
        let known = self.sessions[key as usize];
        let deadline_ms = now_ms + request.ttl_ms;
        let session = &mut self.sessions[key as usize];
        session.used_ms = now_ms;
        session.deadline_ms = deadline_ms;
        let patience_ms = (request.ttl_ms / 10).max(30_000).min(request.ttl_ms / 4);
        session.patience_ms = patience_ms;
        let tell = deadline_ms - known.told_ms.min(deadline_ms) > patience_ms;
        if known.deadline_ms == 0 {
            (session.made_ms, session.told_ms) = (now_ms, deadline_ms);
            self.counts.first += 1;
            self.keep_at_relay(key, now_ms);
        } else {
            if tell {
                session.told_ms = deadline_ms;
            }
            self.counts.touches += u64::from(tell);
            let in_front = self.front.place[key as usize].is_some();
            let found = if in_front && !tell { Some(0) } else { self.find(key, now_ms) };
            match (in_front, found) {
                (true, _) => self.counts.hits[0] += 1,
                (false, Some(tier)) => self.counts.hits[tier + 1] += 1,
                (false, None) => self.counts.lost += 1,
            }
            if found.is_none() {
                self.keep_at_relay(key, now_ms);
            }
        }
        let session = self.sessions[key as usize];
        self.front.put(key, &session, now_ms);
    }
}

/// Replays a trace of sessions: rooms of front end, relay, expansion and aging in records.
pub fn run(trace: &Trace, rooms: [usize; 4], orders: Orders) -> Counts {
    let tier = |order, room| Tier::new(order, room, trace.keys);
    let mut family = Family {
        front: tier(Order::Recency, rooms[0]),
        below: [tier(orders.relay, rooms[1]), tier(orders.expansion, rooms[2]), tier(orders.aging, rooms[3])],
        sessions: vec![Session::default(); trace.keys as usize],
        counts: Counts::default(),
    };
    for request in &trace.requests {
        match request.op {
            Op::Get => family.request(request),
            Op::Delete => {
                family.front.take(request.key);
                for tier in &mut family.below {
                    tier.take(request.key);
                }
            }
        }
    }
    family.counts
}

/// A table of what becomes of a trace under each of [`VARIANTS`], at rooms in percent of the sessions.
pub fn table(trace: &Trace, shares: [u32; 4]) -> String {
    let rooms = shares.map(|share| trace.share(share));
    let mut out = format!(
        "\n{}, rooms of {shares:?} % of {} sessions:\n\n| orders | front | relay | expansion | aging | first | lost | \
         down | up | touches | evicted alive | hits lost per eviction |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n",
        trace.name, trace.keys
    );
    for (name, orders) in VARIANTS {
        let c = run(trace, rooms, orders);
        let shares =
            [c.hits[0], c.hits[1], c.hits[2], c.hits[3], c.first, c.lost, c.demoted, c.promoted, c.touches];
        let cells = shares.map(|n| format!("{:.2}", 100.0 * n as f64 / c.requests.max(1) as f64)).join(" | ");
        let each = c.lost as f64 / c.evicted.max(1) as f64;
        out.push_str(&format!("| {name} | {cells} | {} | {each:.3} |\n", c.evicted));
    }
    out
}

/// Orders worth comparing, with names.
pub const VARIANTS: [(&str, Orders); 8] = [
    ("default", DEFAULT),
    ("relay: first come", Orders { relay: Order::Arrival, ..DEFAULT }),
    ("relay: oldest", Orders { relay: Order::Oldest, ..DEFAULT }),
    ("expansion: first come", Orders { expansion: Order::Arrival, ..DEFAULT }),
    ("expansion: recency", Orders { expansion: Order::Recency, ..DEFAULT }),
    ("aging: first come", Orders { aging: Order::Arrival, ..DEFAULT }),
    ("aging: recency", Orders { aging: Order::Recency, ..DEFAULT }),
    ("aging: oldest", Orders { aging: Order::Oldest, ..DEFAULT }),
];
