//! The whole site at work on a trace of sessions.

use gs_client::sessions::patience_ms;
use gs_server::core::members::Tier;

use super::events::Event;
use super::nodes::{Found, RelayNode};
use super::site::{Plan, Site};
use super::store::{Record, Store};
use crate::sim::random::Random;
use crate::sim::trace::{Op, Request};

/// Rooms, in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rooms {
    /// Of a front end.
    pub front: usize,
    /// Of a relay.
    pub relay: usize,
    /// Of an expansion and of an aging node.
    pub reliefs: [usize; 2],
}

/// Share of requests that do not go to the front end that the user's others go to.
const STRAY: f64 = 0.05;
/// Share of requests that change the session.
const SAVES: f64 = 0.05;
/// How long a bucket of the figures over time is.
pub const BUCKET_MS: u64 = 60_000;
const TICK_MS: u64 = 60_000;

/// What became of the requests of a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub requests: u64,
    /// Logins.
    pub logins: u64,
    /// Answered out of the front end's own section.
    pub local: u64,
    /// Answered by the relay from its own.
    pub relay: u64,
    /// Fetched back from an expansion node.
    pub expansion: u64,
    /// Fetched back from an aging node.
    pub aging: u64,
    /// Refused: whoever has it cannot be asked.
    pub unavailable: u64,
    /// A live session that nobody had any more: its user has to log in again.
    pub cut: u64,
    /// Commands at all relays.
    pub commands: u64,
    /// Commands at the relay that had most of them.
    pub busiest: u64,
}

#[derive(Clone, Copy, Default)]
struct Session {
    home: u32,
    drawn: u32,
    version: u32,
    made_ms: u64,
    deadline_ms: u64,
    told_ms: u64,
    patience_ms: u64,
    /// Until when a touch waits for others to join it.
    due_ms: u64,
}

struct Front {
    store: Store,
    up: bool,
    requests: u64,
}

/// The site, and what it did.
pub struct World {
    /// Who owns what.
    pub site: Site,
    /// The relays with their reliefs, by number.
    pub relays: Vec<RelayNode>,
    /// Figures over time, [`BUCKET_MS`] each.
    pub buckets: Vec<Counts>,
    plan: Plan,
    rooms: Rooms,
    fronts: Vec<Front>,
    sessions: Vec<Session>,
    slots: Vec<u16>,
    seed: u64,
    /// Commands of each relay up to the end of the last bucket.
    commands_before: Vec<u64>,
    returning: Vec<(u64, usize, u16)>,
    tick_at_ms: u64,
}

impl World {
    /// A site without sessions.
    pub fn new(plan: &Plan, rooms: Rooms, keys: u32, seed: u64) -> World {
        let site = Site::new(plan);
        let mut random = Random::new(seed);
        let mut token = || format!("sess:{:016x}{:016x}", random.bits(), random.bits());
        let slots = (0..keys).map(|_| gs_resp::slot_of(token().as_bytes())).collect();
        let relay = |(number, family)| RelayNode::new(number, family, rooms.relay, rooms.reliefs);
        let relays = site.families.iter().enumerate().map(relay);
        let front = |_| Front { store: Store::new(rooms.front), up: true, requests: 0 };
        World {
            relays: relays.collect(),
            buckets: vec![Counts::default()],
            tick_at_ms: TICK_MS,
            plan: *plan,
            rooms,
            fronts: (0..plan.fronts).map(front).collect(),
            sessions: vec![Session::default(); keys as usize],
            slots,
            commands_before: vec![0; plan.relays],
            returning: Vec::new(),
            site,
            seed,
        }
    }

    /// Replays the requests that come before `until_ms`.
    pub fn run(&mut self, requests: &[Request], until_ms: u64) {
        for request in requests {
            self.pass(request.at_ms);
            match request.op {
                Op::Get => self.request(request),
                Op::Delete => self.logout(request),
            }
        }
        self.pass(until_ms);
    }

    /// Time passes.
    fn pass(&mut self, now_ms: u64) {
        while now_ms >= (self.buckets.len() as u64) * BUCKET_MS {
            self.close_bucket();
        }
        if now_ms >= self.tick_at_ms {
            self.tick(now_ms);
            self.tick_at_ms += TICK_MS;
        }
        for (_, relay, index) in self.returning.extract_if(.., |(at_ms, ..)| *at_ms <= now_ms) {
            if let Some(relief) = self.relays[relay].relief(index) {
                relief.up = true;
            }
        }
    }

    fn close_bucket(&mut self) {
        self.commands_before.resize(self.relays.len(), 0);
        let mut busiest = 0;
        let mut all = 0;
        for (relay, before) in self.relays.iter().zip(&mut self.commands_before) {
            let now = relay.work.commands();
            busiest = busiest.max(now - *before);
            all += now - *before;
            *before = now;
        }
        if let Some(bucket) = self.buckets.last_mut() {
            (bucket.commands, bucket.busiest) = (all, busiest);
        }
        self.buckets.push(Counts::default());
    }

    fn count(&mut self) -> &mut Counts {
        let last = self.buckets.len() - 1;
        &mut self.buckets[last]
    }

    fn tick(&mut self, now_ms: u64) {
        for relay in self.site.listed.clone() {
            self.relays[relay].tick(&self.slots, &self.site.families[relay], now_ms);
        }
    }

    /// What is left to chance about a session is its own: what happens to others does not change it, so that two runs
    /// differ by what was tried alone.
    fn chance(&mut self, key: u32) -> Random {
        let session = &mut self.sessions[key as usize];
        session.drawn += 1;
        Random::new(self.seed ^ Random::new((u64::from(key) << 32) | u64::from(session.drawn)).bits())
    }

    /// A front end that is up, any of them.
    fn any_front(&self, random: &mut Random) -> usize {
        let (all, first) = (self.fronts.len(), self.plan.fronts);
        loop {
            let added = random.bits() as usize % all;
            let at = if added >= first { added } else { random.bits() as usize % first };
            if self.fronts[at].up {
                return at;
            }
        }
    }

    /// Where the load balancer sends a request: to where the user was before, mostly.
    fn front_of(&mut self, key: u32, random: &mut Random) -> usize {
        if random.chance(STRAY) {
            return self.any_front(random);
        }
        let home = self.sessions[key as usize].home as usize;
        if self.fronts[home].up {
            return home;
        }
        let home = self.any_front(random);
        self.sessions[key as usize].home = home as u32;
        home
    }

    fn request(&mut self, request: &Request) {
        let (key, now_ms) = (request.key, request.at_ms);
        self.count().requests += 1;
        let known = self.sessions[key as usize];
        let relay = self.site.relay_of(self.slots[key as usize]);
        if self.relays[relay].down_until_ms > now_ms {
            // The lease has lapsed, or will within a second: nothing is answered, here or there.
            self.count().unavailable += 1;
            return;
        }
        let mut random = self.chance(key);
        if known.made_ms == 0 || known.deadline_ms <= now_ms {
            let front = self.any_front(&mut random);
            self.sessions[key as usize].home = front as u32;
            self.fronts[front].requests += 1;
            self.count().logins += 1;
            return self.log_in(front, request);
        }
        let saves = random.chance(SAVES);
        let front = self.front_of(key, &mut random);
        self.fronts[front].requests += 1;
        let life = self.relays[relay].life;
        let record = self.fronts[front].store.read(key, now_ms);
        let local = record.is_some_and(|record| record.version == known.version && record.life == life);
        let tell = self.prolong(request);
        self.relays[relay].work.touches += u64::from(tell);
        if local && !tell {
            self.count().local += 1;
        } else if !self.ask(front, relay, local, now_ms, key) {
            return;
        }
        if saves {
            self.store(front, request);
        }
    }

    /// Asks the relay, and keeps the answer. False if there was none, or no session.
    fn ask(&mut self, front: usize, relay: usize, local: bool, now_ms: u64, key: u32) -> bool {
        self.relays[relay].work.gets += u64::from(!local);
        let found = self.relays[relay].find(key, &self.slots, &self.site.families[relay], now_ms);
        let count = self.count();
        match found {
            Found::Unavailable => count.unavailable += 1,
            Found::Nowhere => count.cut += 1,
            _ if local => count.local += 1,
            Found::Relay => count.relay += 1,
            Found::Expansion => count.expansion += 1,
            Found::Aging => count.aging += 1,
        }
        let session = self.sessions[key as usize];
        if found == Found::Nowhere {
            let ttl_ms = session.deadline_ms - now_ms;
            self.log_in(front, &Request { at_ms: now_ms, key, op: Op::Get, ttl_ms });
        } else if found != Found::Unavailable {
            let record = self.record(key, relay, now_ms);
            if let Some(held) = self.relays[relay].store.read(key, now_ms) {
                held.deadline_ms = record.deadline_ms;
            }
            self.fronts[front].store.keep(record, now_ms);
        }
        !matches!(found, Found::Unavailable | Found::Nowhere)
    }

    /// Prolongs a session; true if the relay is told now.
    fn prolong(&mut self, request: &Request) -> bool {
        let now_ms = request.at_ms;
        let session = &mut self.sessions[request.key as usize];
        let patience_ms = session.patience_ms;
        session.deadline_ms = now_ms + request.ttl_ms;
        let tell =
            session.deadline_ms.saturating_sub(session.told_ms) > patience_ms || now_ms >= session.due_ms;
        if tell {
            session.told_ms = session.deadline_ms;
            session.due_ms = now_ms + patience_ms;
        }
        tell
    }

    fn record(&self, key: u32, relay: usize, now_ms: u64) -> Record {
        let session = &self.sessions[key as usize];
        Record {
            key,
            version: session.version,
            life: self.relays[relay].life,
            refs: 0,
            made_ms: session.made_ms,
            used_ms: now_ms,
            // A touch that waits comes within its patience.
            deadline_ms: session.deadline_ms + session.patience_ms,
        }
    }

    fn log_in(&mut self, front: usize, request: &Request) {
        let session = &mut self.sessions[request.key as usize];
        session.made_ms = request.at_ms.max(1);
        session.deadline_ms = request.at_ms + request.ttl_ms;
        session.told_ms = session.deadline_ms;
        session.patience_ms = patience_ms(request.ttl_ms);
        session.due_ms = request.at_ms + session.patience_ms;
        self.store(front, request);
    }

    /// Stores a session at its relay, then in front.
    fn store(&mut self, front: usize, request: &Request) {
        let (key, now_ms) = (request.key, request.at_ms);
        let relay = self.site.relay_of(self.slots[key as usize]);
        self.sessions[key as usize].version += 1;
        let record = self.record(key, relay, now_ms);
        self.relays[relay].work.sets += 1;
        self.relays[relay].put(record, &self.slots, &self.site.families[relay], now_ms);
        self.fronts[front].store.keep(record, now_ms);
    }

    fn logout(&mut self, request: &Request) {
        let relay = self.site.relay_of(self.slots[request.key as usize]);
        self.relays[relay].work.dels += 1;
        self.relays[relay].delete(request.key);
        self.sessions[request.key as usize].deadline_ms = 0;
    }

    /// Something happens.
    pub fn happens(&mut self, event: Event, now_ms: u64) {
        match event {
            Event::FrontLost { front } => self.fronts[front].up = false,
            Event::FrontAdded => {
                self.fronts.push(Front { store: Store::new(self.rooms.front), up: true, requests: 0 });
            }
            Event::RelayAway { relay, for_ms } => {
                let relay = &mut self.relays[relay];
                (relay.down_until_ms, relay.life) = (now_ms + for_ms, relay.life + 1);
            }
            Event::RelayReplaced { relay, for_ms } => {
                let relay = &mut self.relays[relay];
                (relay.down_until_ms, relay.life) = (now_ms + for_ms, relay.life + 1);
                relay.store.clear();
            }
            Event::RelayUnlisted { relay } => self.site.unlist(relay),
            Event::RelayAdded => {
                let added = self.site.add(&self.plan);
                let family = &self.site.families[added];
                self.relays.push(RelayNode::new(added, family, self.rooms.relay, self.rooms.reliefs));
            }
            Event::ReliefAway { relay, relief, for_ms } => {
                let relief = &mut self.relays[relay].reliefs[relief];
                relief.up = false;
                self.returning.push((now_ms + for_ms, relay, relief.index));
            }
            Event::ReliefLost { relay, relief } => {
                let lost = self.relays[relay].reliefs.remove(relief).index;
                self.relays[relay].directory.forget_node(lost);
                self.site.families[relay].leave(lost);
            }
            Event::ReliefAdded { relay } => {
                let name = super::site::relay_name(relay);
                let index = self.site.families[relay].join(&name, Tier::Aging);
                self.relays[relay].join(index, Tier::Aging, self.rooms.reliefs);
            }
        }
    }

    /// Requests of each front end so far.
    pub fn front_requests(&self) -> Vec<u64> {
        self.fronts.iter().filter(|front| front.up).map(|front| front.requests).collect()
    }

    /// What the relays list and what their reliefs hold must be the same; anything else is a fault of the simulation.
    pub fn check(&self) -> Vec<String> {
        let check = |(number, relay): (usize, &RelayNode)| {
            let held: usize = relay.reliefs.iter().map(|relief| relief.store.len()).sum();
            let listed = relay.directory.len() as usize;
            (held != listed).then(|| format!("relay {number} lists {listed} copies, its reliefs hold {held}"))
        };
        self.relays.iter().enumerate().filter_map(check).collect()
    }
}
