//! Which reliefs have joined, and which of them owns which slot.

use crate::core::members::Tier;
use crate::roles::sibling::Lane;
use gs_client::link::Link;
use gs_policies::place::{self, NOBODY, SLOTS};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A relief that has joined.
pub struct Peer {
    /// The index the relay gave it.
    pub index: u16,
    /// Its name.
    pub name: String,
    /// Its tier.
    pub tier: Tier,
    /// Where it is.
    pub addr: String,
    /// Identity of its contents.
    pub incarnation: String,
    /// Bytes it can hold.
    pub capacity: u64,
    /// Its share of the slots; 0 while it takes no new sessions, on an operator's word.
    pub weight: AtomicU64,
    /// The link to it.
    pub link: Link,
    /// The order in which the relay is told what it took.
    pub lane: Lane,
    /// When it was last heard from, boot-time milliseconds.
    pub heard_ms: AtomicU64,
    /// Sessions it said it holds.
    pub objects: AtomicU64,
    /// Blocks in use, as it said.
    pub used: AtomicU64,
    /// Blocks it has, as it said.
    pub total: AtomicU64,
    /// True if the relay was last told that it is up.
    pub told_up: AtomicBool,
    /// Reports asked for; while one runs, more only make it run again.
    pub reports: AtomicU64,
}

impl Peer {
    /// True if it can be asked now.
    pub fn is_up(&self) -> bool {
        self.link.is_up()
    }

    fn share(&self) -> Share<'_> {
        let weight = self.weight.load(Ordering::Relaxed);
        Share { index: self.index, name: &self.name, tier: self.tier, weight, draining: weight == 0 }
    }
}

/// What decides which slots a relief gets.
#[derive(Clone, Copy, Debug)]
pub struct Share<'a> {
    /// The index the relay gave it.
    pub index: u16,
    /// Its name, which its lots are drawn from.
    pub name: &'a str,
    /// Its tier.
    pub tier: Tier,
    /// Its share of the slots.
    pub weight: u64,
    /// True while it takes no new sessions.
    pub draining: bool,
}

/// Who owns which slot, for each tier: a matter of who is there, and of nothing else.
#[derive(Clone, Debug)]
pub struct Tables {
    expansion: Box<place::Table>,
    aging: Box<place::Table>,
}

impl Tables {
    /// The owners when these reliefs have joined.
    pub fn of(shares: &[Share<'_>]) -> Tables {
        let of_tier = |tier| {
            let nodes: Vec<place::Node> = shares
                .iter()
                .filter(|share| share.tier == tier && !share.draining)
                .map(|share| place::Node {
                    index: share.index,
                    weight: share.weight.max(1),
                    seed: place::seed_of(share.name.as_bytes()),
                })
                .collect();
            let mut table = Box::new([NOBODY; SLOTS]);
            place::fill(&mut table, &nodes);
            table
        };
        Tables { expansion: of_tier(Tier::Expansion), aging: of_tier(Tier::Aging) }
    }

    fn table(&self, tier: Tier) -> &place::Table {
        match tier {
            Tier::Expansion => &self.expansion,
            Tier::Aging => &self.aging,
        }
    }

    /// The index of the relief that owns a slot; [`NOBODY`] where there is none.
    pub fn owner(&self, tier: Tier, slot: u16) -> u16 {
        self.table(tier)[usize::from(slot) % SLOTS]
    }

    /// Where a session of this slot goes: its owner in this tier, or where `up` says that it cannot be asked, its
    /// owner in the other.
    pub fn target(&self, tier: Tier, slot: u16, up: impl Fn(u16) -> bool) -> Option<u16> {
        let other = if tier == Tier::Aging { Tier::Expansion } else { Tier::Aging };
        [tier, other]
            .into_iter()
            .map(|tier| self.owner(tier, slot))
            .find(|index| *index != NOBODY && up(*index))
    }
}

/// The reliefs that have joined, and who of them owns which slot.
pub struct Placement {
    /// The reliefs by index.
    pub peers: Vec<Arc<Peer>>,
    tables: Tables,
    /// Grows with each change of an owner, also over the lives of siblings: it is never below the wall clock's
    /// milliseconds at the last change.
    pub epoch: u64,
}

impl Default for Placement {
    fn default() -> Self {
        Placement { peers: Vec::new(), tables: Tables::of(&[]), epoch: 0 }
    }
}

impl Placement {
    /// The owner of a slot.
    pub fn owner(&self, tier: Tier, slot: u16) -> Option<&Arc<Peer>> {
        self.peer(self.tables.owner(tier, slot))
    }

    /// The relief that a session of this slot goes to, if one of its tier or else of the other can be asked.
    pub fn target(&self, tier: Tier, slot: u16) -> Option<&Arc<Peer>> {
        let up = |index| self.peer(index).is_some_and(|peer| peer.is_up());
        self.peer(self.tables.target(tier, slot, up)?)
    }

    /// As [`Placement::target`]; where none can be asked yet, one that has just joined and is still being connected to:
    /// what it is asked waits for that.
    pub fn target_soon(&self, tier: Tier, slot: u16) -> Option<&Arc<Peer>> {
        self.target(tier, slot).or_else(|| {
            let coming = |index| self.peer(index).is_some_and(|peer| !peer.link.is_down());
            self.peer(self.tables.target(tier, slot, coming)?)
        })
    }

    /// A relief by its index.
    pub fn peer(&self, index: u16) -> Option<&Arc<Peer>> {
        self.peers.iter().find(|peer| peer.index == index)
    }

    /// Owners anew, after a relief joined or left.
    pub(super) fn assign(&mut self, unix_ms: u64) {
        let shares: Vec<Share<'_>> = self.peers.iter().map(|peer| peer.share()).collect();
        self.tables = Tables::of(&shares);
        self.epoch = (self.epoch + 1).max(unix_ms);
    }

    /// Slots of a tier as ranges of equal owner.
    pub fn ranges(&self, tier: Tier) -> Vec<(u16, u16, u16)> {
        let mut ranges: Vec<(u16, u16, u16)> = Vec::new();
        for (slot, owner) in (0u16..).zip(self.tables.table(tier)) {
            match ranges.last_mut() {
                Some(last) if last.2 == *owner => last.1 = slot,
                _ => ranges.push((slot, slot, *owner)),
            }
        }
        ranges.retain(|range| range.2 != NOBODY);
        ranges
    }
}
