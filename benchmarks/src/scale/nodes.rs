//! A relay with its sibling and its reliefs: what `server/src/roles` does, one step at a time, on invented time.

use gs_client::cache::KeyId;
use gs_policies::age::{Reach, Route, route};
use gs_policies::{Params, pressure};
use gs_server::core::directory::Directory;
use gs_server::core::members::Tier;

use super::site::Family;
use super::store::{Leaves, Record, Store};

/// Places that a demoter looks at in one step.
const PROBES: usize = 8_192;
/// Places that an aging node looks at for room, and how often.
const ROOM_PROBES: usize = 256;
const ROOM_TRIES: usize = 80;

/// Commands that a relay executed and messages that it exchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Questions of front ends that missed.
    pub gets: u64,
    /// Logins and saves.
    pub sets: u64,
    /// Lives prolonged.
    pub touches: u64,
    /// Logouts.
    pub dels: u64,
    /// Sessions handed to reliefs.
    pub demoted: u64,
    /// Sessions fetched back or handed back.
    pub promoted: u64,
    /// Writes that found no room at all.
    pub full: u64,
}

impl Work {
    /// Commands of front ends.
    pub fn commands(&self) -> u64 {
        self.gets + self.sets + self.touches + self.dels
    }

    /// Changes that every front end hears of.
    pub fn events(&self) -> u64 {
        self.sets + self.dels
    }
}

/// A relief.
pub struct ReliefNode {
    /// Its index in its family.
    pub index: u16,
    /// What it is for.
    pub tier: Tier,
    /// What it holds.
    pub store: Store,
    /// True while it can be asked.
    pub up: bool,
    /// Sessions that it took, gave back and dropped on order.
    pub messages: u64,
    /// Live sessions that it gave up for want of room.
    pub evicted: u64,
}

/// Where a session was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// At the relay.
    Relay,
    /// At an expansion node.
    Expansion,
    /// At an aging node.
    Aging,
    /// Its holder cannot be asked.
    Unavailable,
    /// Nobody has it, and the relay knows that.
    Nowhere,
}

/// A relay, its sibling and their reliefs.
pub struct RelayNode {
    /// What it holds itself.
    pub store: Store,
    /// What its reliefs hold.
    pub directory: Directory,
    /// Those reliefs.
    pub reliefs: Vec<ReliefNode>,
    /// Which life of which relay this is: front ends forget what an earlier one said, and ask none in another's name.
    pub life: u32,
    /// Until when it does not answer.
    pub down_until_ms: u64,
    /// What it did.
    pub work: Work,
}

/// The identity of a key; any good hash will do.
fn id(key: u32) -> KeyId {
    let bits = |salt: u64| crate::sim::random::Random::new(u64::from(key) ^ salt).bits();
    KeyId { hi: bits(1 << 40), lo: bits(1 << 41) }
}

impl RelayNode {
    /// The relay of this number, empty, with empty reliefs.
    pub fn new(number: usize, family: &Family, room: usize, relief_rooms: [usize; 2]) -> RelayNode {
        let mut relay = RelayNode {
            store: Store::new(room),
            directory: Directory::default(),
            reliefs: Vec::new(),
            life: (number as u32) << 16,
            down_until_ms: 0,
            work: Work::default(),
        };
        family.reliefs.iter().for_each(|relief| relay.join(relief.index, relief.tier, relief_rooms));
        relay
    }

    /// A relief joins, empty.
    pub fn join(&mut self, index: u16, tier: Tier, rooms: [usize; 2]) {
        let room = if tier == Tier::Expansion { rooms[0] } else { rooms[1] };
        let store = Store::telling(room);
        self.reliefs.push(ReliefNode { index, tier, store, up: true, messages: 0, evicted: 0 });
    }

    /// A relief by its index.
    pub fn relief(&mut self, index: u16) -> Option<&mut ReliefNode> {
        self.reliefs.iter_mut().find(|relief| relief.index == index)
    }

    fn is_up(&self, index: u16) -> bool {
        self.reliefs.iter().any(|relief| relief.index == index && relief.up)
    }

    fn reach(&self) -> Reach {
        let up = |tier| self.reliefs.iter().any(|relief| relief.tier == tier && relief.up);
        Reach { expansion: up(Tier::Expansion), aging: up(Tier::Aging) }
    }

    /// Stores a session at the relay, as a command does: what lives below is superseded, and room is made after it.
    pub fn put(&mut self, record: Record, slots: &[u16], family: &Family, now_ms: u64) {
        self.drop_below(record.key);
        if !self.store.put(record) {
            self.make_room(slots, family, now_ms);
            self.work.full += u64::from(!self.store.put(record));
        }
        self.make_room(slots, family, now_ms);
    }

    /// Looks for a session here and below; what is found below comes up.
    pub fn find(&mut self, key: u32, slots: &[u16], family: &Family, now_ms: u64) -> Found {
        if self.store.read(key, now_ms).is_some() {
            return Found::Relay;
        }
        let Some(holder) = self.directory.holders(&id(key)).into_iter().find(|holder| !holder.shadow) else {
            return Found::Nowhere;
        };
        let Some(relief) = self.relief(holder.node) else { return Found::Nowhere };
        if !relief.up {
            return Found::Unavailable;
        }
        let tier = relief.tier;
        relief.messages += 2;
        let Some(mut record) = relief.store.take(key).filter(|record| record.deadline_ms > now_ms) else {
            self.directory.remove(&id(key), 0, holder.node, holder.copy);
            return Found::Nowhere;
        };
        (record.refs, record.used_ms) = (0, now_ms);
        self.work.promoted += 1;
        self.put(record, slots, family, now_ms);
        if tier == Tier::Expansion { Found::Expansion } else { Found::Aging }
    }

    /// Destroys a session here and below.
    pub fn delete(&mut self, key: u32) {
        self.store.take(key);
        self.drop_below(key);
    }

    /// Copies below become unreadable at once; their holders are told to drop them.
    fn drop_below(&mut self, key: u32) {
        for holder in self.directory.shadow_all(&id(key), 0).0 {
            if let Some(relief) = self.relief(holder.node) {
                relief.messages += 1;
                relief.store.take(key);
            }
            self.directory.remove_shadow(&id(key), 0, holder.node, holder.copy);
        }
    }

    /// The sibling's step: frees what pressure demands.
    fn make_room(&mut self, slots: &[u16], family: &Family, now_ms: u64) {
        let params = Params::DEFAULT;
        let wanted = self.store.demand(&params);
        if wanted > 0 {
            for victim in self.store.coldest(PROBES, wanted, now_ms) {
                self.demote(victim, slots, family, now_ms);
            }
        }
    }

    /// Sends a victim to the relief of its slot; it stays where nobody takes it.
    fn demote(&mut self, victim: Record, slots: &[u16], family: &Family, now_ms: u64) {
        let age_ms = now_ms.saturating_sub(victim.made_ms);
        let Some(route) = route(age_ms, &Params::DEFAULT.age(), self.reach()) else { return };
        let tier = if route == Route::Expansion { Tier::Expansion } else { Tier::Aging };
        let slot = slots[victim.key as usize];
        let first = family.tables.target(tier, slot, |index| self.is_up(index));
        let then = Some(family.tables.owner(Tier::Aging, slot)).filter(|index| self.is_up(*index));
        for index in first.into_iter().chain(then) {
            if self.give(index, victim, now_ms) {
                self.store.take(victim.key);
                self.work.demoted += 1;
                self.relieve(index, slots, family, now_ms);
                return;
            }
        }
    }

    /// A relief is offered a record. An aging node makes room for it, and loses what would soonest have expired.
    fn give(&mut self, index: u16, record: Record, now_ms: u64) -> bool {
        let Some(relief) = self.relief(index) else { return false };
        relief.messages += 1;
        let copy = relief.messages;
        let mut taken = relief.store.put(record);
        let mut lost = Vec::new();
        for _ in 0..ROOM_TRIES {
            if taken || relief.tier == Tier::Expansion {
                break;
            }
            lost = relief.store.pressed(Leaves::LeastLife, ROOM_PROBES, 8, now_ms);
            for gone in &lost {
                relief.store.take(gone.key);
                relief.evicted += 1;
            }
            taken = relief.store.put(record);
        }
        for gone in lost {
            let copies = self.directory.holders(&id(gone.key));
            for holder in copies.into_iter().filter(|holder| holder.node == index) {
                self.directory.remove(&id(gone.key), 0, index, holder.copy);
            }
        }
        if taken {
            self.directory.insert(&id(record.key), 0, index, u64::from(record.version), copy);
        }
        taken
    }

    /// An expansion node under pressure passes its oldest on to the aging nodes of their slots.
    fn relieve(&mut self, index: u16, slots: &[u16], family: &Family, now_ms: u64) {
        let Some(relief) = self.relief(index).filter(|relief| relief.tier == Tier::Expansion) else { return };
        let wanted = relief.store.demand(&Params::DEFAULT);
        if wanted > 0 {
            let old = relief.store.pressed(Leaves::Oldest, PROBES, wanted, now_ms);
            old.into_iter().for_each(|record| self.pass_on(index, record, slots, family, now_ms));
        }
    }

    /// A record of an expansion node goes to the aging node of its slot, or stays.
    fn pass_on(&mut self, from: u16, record: Record, slots: &[u16], family: &Family, now_ms: u64) {
        let to = family.tables.owner(Tier::Aging, slots[record.key as usize]);
        let old = self.directory.holders(&id(record.key)).into_iter().find(|holder| holder.node == from);
        let (Some(old), true) = (old, self.is_up(to)) else { return };
        if !self.give(to, record, now_ms) {
            return;
        }
        self.directory.remove(&id(record.key), 0, from, old.copy);
        if let Some(relief) = self.relief(from) {
            relief.messages += 1;
            relief.store.take(record.key);
        }
    }

    /// What happens without a command, about once a minute: age, expiry, and the way back as pressure falls.
    pub fn tick(&mut self, slots: &[u16], family: &Family, now_ms: u64) {
        let params = Params::DEFAULT;
        for victim in self.store.aged(params.age().aged_after_ms, now_ms) {
            self.demote(victim, slots, family, now_ms);
        }
        let expansions: Vec<u16> =
            self.reliefs.iter().filter(|r| r.up && r.tier == Tier::Expansion).map(|r| r.index).collect();
        for index in expansions {
            let Some(relief) = self.relief(index) else { continue };
            let aged = relief.store.aged(params.age().aged_after_ms, now_ms);
            let held = relief.store.len() as u64;
            aged.into_iter().for_each(|record| self.pass_on(index, record, slots, family, now_ms));
            let (free, total) = self.store.room();
            let back = pressure::hand_back(free, total, held, &params.pressure());
            let climbing = self.relief(index).map(|r| r.store.some(back as usize)).unwrap_or_default();
            for record in climbing {
                self.find(record.key, slots, family, now_ms);
            }
        }
        for relief in self.reliefs.iter_mut().filter(|relief| relief.up) {
            // Only to look at each place once: what expired goes, and is told.
            relief.store.aged(u64::MAX, now_ms);
            for key in relief.store.told() {
                let copies = self.directory.holders(&id(key)).into_iter();
                for holder in copies.filter(|holder| holder.node == relief.index) {
                    self.directory.remove(&id(key), 0, relief.index, holder.copy);
                }
            }
        }
    }
}
