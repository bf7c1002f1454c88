//! Which reliefs have joined, and which of them owns which slot.

use crate::core::members::Tier;
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
    /// Its share of the slots.
    pub weight: AtomicU64,
    /// The link to it.
    pub link: Link,
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
    /// True while it takes no new sessions, on an operator's word.
    pub draining: AtomicBool,
}

impl Peer {
    /// True if it can be asked now.
    pub fn is_up(&self) -> bool {
        self.link.is_up()
    }
}

/// Who owns which slot, for each tier.
pub struct Placement {
    /// The reliefs by index.
    pub peers: Vec<Arc<Peer>>,
    expansion: Box<place::Table>,
    aging: Box<place::Table>,
    /// Grows with each change of an owner.
    pub epoch: u64,
}

impl Default for Placement {
    fn default() -> Self {
        let nobody = || Box::new([NOBODY; SLOTS]);
        Placement { peers: Vec::new(), expansion: nobody(), aging: nobody(), epoch: 0 }
    }
}

impl Placement {
    fn table(&self, tier: Tier) -> &place::Table {
        match tier {
            Tier::Expansion => &self.expansion,
            Tier::Aging => &self.aging,
        }
    }

    /// The owner of a slot.
    pub fn owner(&self, tier: Tier, slot: u16) -> Option<&Arc<Peer>> {
        let index = self.table(tier)[usize::from(slot) % SLOTS];
        self.peers.iter().find(|peer| peer.index == index)
    }

    /// A relief by its index.
    pub fn peer(&self, index: u16) -> Option<&Arc<Peer>> {
        self.peers.iter().find(|peer| peer.index == index)
    }

    /// Owners anew, after a relief joined or left.
    pub(super) fn assign(&mut self) {
        for tier in [Tier::Expansion, Tier::Aging] {
            let nodes: Vec<place::Node> = self
                .peers
                .iter()
                .filter(|peer| peer.tier == tier && !peer.draining.load(Ordering::Relaxed))
                .map(|peer| place::Node {
                    index: peer.index,
                    weight: peer.weight.load(Ordering::Relaxed).max(1),
                    seed: place::seed_of(peer.name.as_bytes()),
                })
                .collect();
            match tier {
                Tier::Expansion => place::fill(&mut self.expansion, &nodes),
                Tier::Aging => place::fill(&mut self.aging, &nodes),
            }
        }
        self.epoch += 1;
    }

    /// Slots of a tier as ranges of equal owner.
    pub fn ranges(&self, tier: Tier) -> Vec<(u16, u16, u16)> {
        let mut ranges: Vec<(u16, u16, u16)> = Vec::new();
        for (slot, owner) in (0u16..).zip(self.table(tier)) {
            match ranges.last_mut() {
                Some(last) if last.2 == *owner => last.1 = slot,
                _ => ranges.push((slot, slot, *owner)),
            }
        }
        ranges.retain(|range| range.2 != NOBODY);
        ranges
    }
}
