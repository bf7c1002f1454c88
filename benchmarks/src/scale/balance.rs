//! How evenly keys fall to nodes, and how many of them change their owner when a node comes or goes.

use gs_client::sessions::Owners;
use gs_policies::place::SLOTS;
use gs_server::core::members::Tier;

use super::site::{Plan, Site, relay_names};
use crate::sim::random::Random;

/// How many keys each slot has.
pub struct Keys {
    /// By slot.
    pub per_slot: Vec<u32>,
    /// All.
    pub total: u64,
}

impl Keys {
    /// Random session tokens, hashed as the product does.
    pub fn draw(count: usize, seed: u64) -> Keys {
        let mut random = Random::new(seed);
        let mut per_slot = vec![0; SLOTS];
        for _ in 0..count {
            let token = format!("sess:{:016x}{:016x}", random.bits(), random.bits());
            per_slot[usize::from(gs_resp::slot_of(token.as_bytes()))] += 1;
        }
        Keys { per_slot, total: count as u64 }
    }
}

/// How loads differ.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// Nodes.
    pub nodes: usize,
    /// The mean load.
    pub mean: f64,
    /// The greatest load over the mean.
    pub max: f64,
    /// The least load over the mean.
    pub min: f64,
    /// The standard deviation over the mean.
    pub stddev: f64,
}

impl Spread {
    /// The spread of some loads.
    pub fn of(loads: &[f64]) -> Spread {
        let nodes = loads.len();
        let mean = loads.iter().sum::<f64>() / nodes.max(1) as f64;
        if mean == 0.0 {
            return Spread { nodes, ..Spread::default() };
        }
        let variance = loads.iter().map(|load| (load - mean).powi(2)).sum::<f64>() / nodes as f64;
        let over = |start: f64, pick: fn(f64, f64) -> f64| loads.iter().copied().fold(start, pick) / mean;
        Spread {
            nodes,
            mean,
            max: over(0.0, f64::max),
            min: over(f64::MAX, f64::min),
            stddev: variance.sqrt() / mean,
        }
    }
}

/// A rule that finds the relay of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The product's: lots drawn from names.
    Lots,
    /// As many ranges of slots as there are relays.
    Ranges,
    /// The slot modulo the number of relays.
    Modulo,
}

impl Rule {
    /// The name of the owner of every slot.
    pub fn owners(self, relays: &[String]) -> Vec<&str> {
        let lots = Owners::of(if self == Rule::Lots { relays } else { &[] });
        let owner = |slot: usize| match self {
            Rule::Lots => lots.of_slot(slot as u16),
            Rule::Ranges => slot * relays.len() / SLOTS,
            Rule::Modulo => slot % relays.len(),
        };
        (0..SLOTS).map(|slot| relays[owner(slot)].as_str()).collect()
    }
}

/// The keys of each relay under a rule.
pub fn loads(rule: Rule, relays: &[String], keys: &Keys) -> Vec<f64> {
    loads_of(&rule.owners(relays), relays, keys)
}

fn loads_of(owners: &[&str], relays: &[String], keys: &Keys) -> Vec<f64> {
    let of = |relay: &String| {
        let own = owners.iter().zip(&keys.per_slot).filter(|(owner, _)| **owner == relay);
        f64::from(own.map(|(_, n)| *n).sum::<u32>())
    };
    relays.iter().map(of).collect()
}

/// What a change of the list of relays does, in shares of all keys.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Change {
    /// Keys that have another owner.
    pub moved: f64,
    /// Of these, keys whose old and new owner are both on both lists: they need not have moved.
    pub needless: f64,
}

/// Compares the owners under two lists.
pub fn change(rule: Rule, before: &[String], after: &[String], keys: &Keys) -> Change {
    change_of((&rule.owners(before), before), (&rule.owners(after), after), keys)
}

fn change_of(before: (&[&str], &[String]), after: (&[&str], &[String]), keys: &Keys) -> Change {
    let mut change = Change::default();
    for ((old, new), count) in before.0.iter().zip(after.0).zip(&keys.per_slot) {
        if old != new {
            let share = f64::from(*count) / keys.total as f64;
            change.moved += share;
            let stays = |name: &str, list: &[String]| list.iter().any(|other| other == name);
            change.needless += if stays(old, after.1) && stays(new, before.1) { share } else { 0.0 };
        }
    }
    change
}

/// The worst and the mean of a change for each relay that may be lost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Losses {
    /// Mean share of keys that move.
    pub mean_moved: f64,
    /// The largest.
    pub max_moved: f64,
    /// The largest share that moves needlessly.
    pub max_needless: f64,
    /// The greatest load over the mean among survivors, after the worst loss.
    pub max_after: f64,
}

/// Takes each relay off the list in turn.
pub fn losses(rule: Rule, relays: &[String], keys: &Keys) -> Losses {
    let mut losses = Losses::default();
    let before = rule.owners(relays);
    for lost in 0..relays.len() {
        let mut left = relays.to_vec();
        left.remove(lost);
        let after = rule.owners(&left);
        let change = change_of((&before, relays), (&after, &left), keys);
        losses.mean_moved += change.moved / relays.len() as f64;
        losses.max_moved = losses.max_moved.max(change.moved);
        losses.max_needless = losses.max_needless.max(change.needless);
        losses.max_after = losses.max_after.max(Spread::of(&loads_of(&after, &left, keys)).max);
    }
    losses
}

/// The keys of each relief of a tier, all families together.
pub fn relief_loads(site: &Site, tier: Tier, keys: &Keys) -> Vec<f64> {
    let mut loads = Vec::new();
    let relays = site.relays_of_slots();
    for (relay, family) in site.families.iter().enumerate() {
        for relief in family.reliefs.iter().filter(|relief| relief.tier == tier) {
            let owned = |slot: u16| {
                relays[usize::from(slot)] == relay && family.tables.owner(tier, slot) == relief.index
            };
            let held = (0..SLOTS as u16).filter(|slot| owned(*slot));
            loads.push(held.map(|slot| f64::from(keys.per_slot[usize::from(slot)])).sum());
        }
    }
    loads
}

/// The spread over so many relays, for each number.
pub fn by_number(numbers: &[usize], rule: Rule, keys: &Keys) -> Vec<(usize, Spread)> {
    numbers.iter().map(|n| (*n, Spread::of(&loads(rule, &relay_names(*n), keys)))).collect()
}

/// Families that are looked at one relief after the other: they differ by chance alone.
const FAMILIES: usize = 10;

/// What losing, or gaining, one relief of a family does to its sibling's tables, in shares of the family's slots.
pub fn relief_change(plan: &Plan, joins: bool) -> Vec<Change> {
    let site = Site::new(plan);
    let relays = site.relays_of_slots();
    let mut changes = Vec::new();
    for (relay, family) in site.families.iter().enumerate().take(FAMILIES) {
        let slots: Vec<u16> = (0..SLOTS as u16).filter(|slot| relays[usize::from(*slot)] == relay).collect();
        for relief in &family.reliefs {
            let mut after = family.clone();
            let own = if joins {
                after.join(&format!("new.{relay}"), relief.tier)
            } else {
                after.leave(relief.index);
                relief.index
            };
            let mut change = Change::default();
            for slot in &slots {
                let (old, new) =
                    (family.tables.owner(relief.tier, *slot), after.tables.owner(relief.tier, *slot));
                let share = f64::from(old != new) / slots.len() as f64;
                change.moved += share;
                change.needless += if old == own || new == own { 0.0 } else { share };
            }
            changes.push(change);
        }
    }
    changes
}
