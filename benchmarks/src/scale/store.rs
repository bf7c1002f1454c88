//! The records of one node, without the memory that they would lie in: a table that a hand goes round, with the real
//! policies judging what it meets. One record takes one place.

use std::collections::HashMap;

use gs_policies::evict::{Cutoff, Evict, Fifo, LeastLife, Swept, Verdict, View};
use gs_policies::{Params, Recency, pressure};

use crate::sim::adaptive::Fixed;
use crate::sim::hand::Gait;

/// A session, as a node keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Which session.
    pub key: u32,
    /// Its version.
    pub version: u32,
    /// The life of the relay that it was heard from; a front end forgets what an earlier one said.
    pub life: u32,
    /// Reads since it came, 0..=3.
    pub refs: u8,
    /// When the session was made.
    pub made_ms: u64,
    /// When it was last read here.
    pub used_ms: u64,
    /// When it ends.
    pub deadline_ms: u64,
}

/// The policy that chooses what goes from an expansion or an aging node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// The oldest.
    Oldest,
    /// The soonest to expire.
    LeastLife,
}

/// A node's records.
pub struct Store {
    places: Vec<Option<Record>>,
    free: Vec<u32>,
    at: HashMap<u32, u32, Fixed>,
    hand: usize,
    cutoff: Cutoff,
    freeing: bool,
    /// Keys that expired here, where somebody wants to know.
    expired: Option<Vec<u32>>,
}

impl Store {
    /// Room for so many records.
    pub fn new(room: usize) -> Store {
        Store {
            places: vec![None; room],
            free: (0..room as u32).rev().collect(),
            at: HashMap::default(),
            hand: 0,
            cutoff: Cutoff(1_000),
            freeing: false,
            expired: None,
        }
    }

    /// The same, for a node that tells its relay what expires.
    pub fn telling(room: usize) -> Store {
        Store { expired: Some(Vec::new()), ..Store::new(room) }
    }

    /// What expired and did not come again.
    pub fn told(&mut self) -> Vec<u32> {
        let mut expired = self.expired.as_mut().map(std::mem::take).unwrap_or_default();
        expired.retain(|key| !self.at.contains_key(key));
        expired
    }

    fn expire(&mut self, key: u32) {
        self.take(key);
        self.expired.iter_mut().for_each(|list| list.push(key));
    }

    /// Records held.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// True if it holds none.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// Places that are free, and all.
    pub fn room(&self) -> (u64, u64) {
        (self.free.len() as u64, self.places.len() as u64)
    }

    /// Reads a record.
    pub fn read(&mut self, key: u32, now_ms: u64) -> Option<&mut Record> {
        let at = *self.at.get(&key)?;
        let record = self.places[at as usize].as_ref()?;
        if record.deadline_ms <= now_ms {
            self.expire(key);
            return None;
        }
        let record = self.places[at as usize].as_mut()?;
        record.refs = (record.refs + 1).min(3);
        record.used_ms = now_ms;
        Some(record)
    }

    /// Stores a record, in place of an older one of its key. False where there is no room.
    pub fn put(&mut self, record: Record) -> bool {
        let at = self.at.get(&record.key).copied().or_else(|| self.free.pop());
        let Some(at) = at else { return false };
        self.places[at as usize] = Some(record);
        self.at.insert(record.key, at);
        true
    }

    /// Takes a record out.
    pub fn take(&mut self, key: u32) -> Option<Record> {
        let at = self.at.remove(&key)?;
        self.free.push(at);
        self.places[at as usize].take()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Store::new(self.places.len());
    }

    /// The next place that the hand comes to; what expired is gone from it.
    fn step(&mut self, now_ms: u64) -> Option<Record> {
        let at = self.hand;
        self.hand = (at + 1) % self.places.len();
        let record = self.places[at]?;
        if record.deadline_ms <= now_ms {
            self.expire(record.key);
            return None;
        }
        Some(record)
    }

    /// Keeps a record as a front end's section does: the most deserving of a window go where there is no room.
    pub fn keep(&mut self, record: Record, now_ms: u64) {
        if self.free.is_empty() && !self.at.contains_key(&record.key) {
            let (gait, total) = (Gait::default(), self.places.len());
            let wanted = 1 + (total / gait.ahead_one_in).min(64);
            let window = (wanted * gait.window_per_block).max(gait.window_least).min(total);
            for gone in self.coldest(window, wanted, now_ms) {
                self.take(gone.key);
            }
        }
        self.put(record);
    }

    /// The most deserving to go among the records in the next `probes` places. They stay until they are taken.
    pub fn coldest(&mut self, probes: usize, wanted: usize, now_ms: u64) -> Vec<Record> {
        let mut met: Vec<Record> = Vec::new();
        for _ in 0..probes.min(self.places.len()) {
            met.extend(self.step(now_ms));
        }
        let idle = |record: &Record| (record.refs, (now_ms / 1000 - record.used_ms / 1000) * 1000);
        let chosen = Recency::DEFAULT.choose(&mut met, wanted, idle);
        met.truncate(chosen);
        met
    }

    /// How many places a demoter would free now.
    pub fn demand(&mut self, params: &Params) -> usize {
        let (free, total) = self.room();
        let demand = pressure::demand(free, total, self.freeing, &params.pressure());
        self.freeing = demand.freeing;
        (demand.blocks as usize).min(params.batch() as usize)
    }

    /// Up to `max` records that leave under pressure, by a policy whose mark moves with what each sweep found.
    pub fn pressed(&mut self, leaves: Leaves, probes: usize, max: usize, now_ms: u64) -> Vec<Record> {
        let mark = self.cutoff.0;
        let judge = |view: &View| match leaves {
            Leaves::Oldest => Fifo { older_than_ms: mark }.judge(view),
            Leaves::LeastLife => LeastLife { remaining_up_to_ms: mark }.judge(view),
        };
        let (mut seen, mut gone) = (0, Vec::new());
        for _ in 0..probes.min(self.places.len()) {
            let Some(record) = self.step(now_ms) else { continue };
            seen += 1;
            if gone.len() < max && judge(&view(&record, now_ms)) == Verdict::Take {
                gone.push(record);
            }
        }
        let swept = Swept { seen, taken: gone.len() as u32, wanted: (max / 2).max(1) as u32 };
        self.cutoff = match leaves {
            Leaves::Oldest => self.cutoff.older(swept),
            Leaves::LeastLife => self.cutoff.sooner(swept),
        };
        gone
    }

    /// What is at least so old, and has not been read for as long; expired records go on the way.
    pub fn aged(&mut self, aged_after_ms: u64, now_ms: u64) -> Vec<Record> {
        let mut aged = Vec::new();
        for _ in 0..self.places.len() {
            let Some(record) = self.step(now_ms) else { continue };
            let since = |then_ms: u64| now_ms.saturating_sub(then_ms) >= aged_after_ms;
            if since(record.made_ms) && since(record.used_ms) {
                aged.push(record);
            }
        }
        aged
    }

    /// Some records, for handing back.
    pub fn some(&self, max: usize) -> Vec<Record> {
        self.places.iter().flatten().take(max).copied().collect()
    }
}

fn view(record: &Record, now_ms: u64) -> View {
    View {
        refs: record.refs,
        age_ms: now_ms.saturating_sub(record.made_ms),
        idle_ms: now_ms.saturating_sub(record.used_ms),
        remaining_ms: Some(record.deadline_ms.saturating_sub(now_ms)),
        bytes: 0,
        pressure: 0,
    }
}
