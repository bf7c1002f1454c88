//! The machines, and who of them owns which slot.

use gs_client::sessions::Owners;
use gs_policies::place::SLOTS;
use gs_server::core::members::Tier;
use gs_server::roles::sibling::{Share, Tables};

/// How many machines there are of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Machines that run applications.
    pub fronts: usize,
    /// Relays, each with its sibling.
    pub relays: usize,
    /// Expansion nodes of each relay.
    pub expansion: usize,
    /// Aging nodes of each relay.
    pub aging: usize,
}

/// The site that the figures are of: 1,000 front ends, 50 relays, 200 reliefs.
pub const FULL: Plan = Plan { fronts: 1_000, relays: 50, expansion: 2, aging: 2 };

impl Plan {
    /// All reliefs.
    pub fn reliefs(&self) -> usize {
        self.relays * (self.expansion + self.aging)
    }
}

/// A relief as its sibling knows it.
#[derive(Clone, Debug)]
pub struct Relief {
    /// The index that the relay gave it.
    pub index: u16,
    /// Its name, which its lots are drawn from.
    pub name: String,
    /// What it is for.
    pub tier: Tier,
}

impl Relief {
    fn share(&self) -> Share<'_> {
        Share { index: self.index, name: &self.name, tier: self.tier, weight: 1 << 30, draining: false }
    }
}

/// A relay's reliefs.
#[derive(Clone, Debug)]
pub struct Family {
    /// Those that have joined.
    pub reliefs: Vec<Relief>,
    /// Who of them owns which slot.
    pub tables: Tables,
}

impl Family {
    /// A family of equal reliefs.
    pub fn new(relay: &str, plan: &Plan) -> Family {
        let mut family = Family { reliefs: Vec::new(), tables: Tables::of(&[]) };
        for (tier, count) in [(Tier::Expansion, plan.expansion), (Tier::Aging, plan.aging)] {
            for _ in 0..count {
                family.join(relay, tier);
            }
        }
        family
    }

    /// Another relief joins; returns its index.
    pub fn join(&mut self, relay: &str, tier: Tier) -> u16 {
        let index = self.reliefs.iter().map(|relief| relief.index).max().unwrap_or(0) + 1;
        self.reliefs.push(Relief { index, name: format!("{}-{index}.{relay}", tier.word()), tier });
        self.assign();
        index
    }

    /// A relief leaves.
    pub fn leave(&mut self, index: u16) {
        self.reliefs.retain(|relief| relief.index != index);
        self.assign();
    }

    fn assign(&mut self) {
        let shares: Vec<Share<'_>> = self.reliefs.iter().map(Relief::share).collect();
        self.tables = Tables::of(&shares);
    }
}

/// The name of the n-th relay, as front ends list it.
pub fn relay_name(n: usize) -> String {
    format!("relay-{n}.example:7878")
}

/// The names of the first `n` relays.
pub fn relay_names(n: usize) -> Vec<String> {
    (0..n).map(relay_name).collect()
}

/// All tables of a site.
#[derive(Clone, Debug)]
pub struct Site {
    /// The relays that front ends list, by number.
    pub listed: Vec<usize>,
    owners: Owners,
    /// The reliefs of each relay, by the relay's number.
    pub families: Vec<Family>,
}

impl Site {
    /// A site after plan.
    pub fn new(plan: &Plan) -> Site {
        let families = (0..plan.relays).map(|n| Family::new(&relay_name(n), plan)).collect();
        let mut site = Site { listed: (0..plan.relays).collect(), owners: Owners::of::<&str>(&[]), families };
        site.list();
        site
    }

    fn list(&mut self) {
        let names: Vec<String> = self.listed.iter().map(|n| relay_name(*n)).collect();
        self.owners = Owners::of(&names);
    }

    /// Front ends take a relay off their list.
    pub fn unlist(&mut self, relay: usize) {
        self.listed.retain(|n| *n != relay);
        self.list();
    }

    /// Front ends add a relay with its reliefs to their list; returns its number.
    pub fn add(&mut self, plan: &Plan) -> usize {
        let relay = self.families.len();
        self.families.push(Family::new(&relay_name(relay), plan));
        self.listed.push(relay);
        self.list();
        relay
    }

    /// The relay of a slot, by its number.
    pub fn relay_of(&self, slot: u16) -> usize {
        self.listed[self.owners.of_slot(slot)]
    }

    /// Relay of every slot.
    pub fn relays_of_slots(&self) -> Vec<usize> {
        (0..SLOTS as u16).map(|slot| self.relay_of(slot)).collect()
    }
}
