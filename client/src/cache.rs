//! The one cache engine of every tier: a section, a clock, and the tier's answer to "who leaves?".
//!
//! A front end's L1, a relay and a relief differ in the section's mode and in the eviction policy, not in code.
//! The section's own operations are reached through [`Cache::section`]; what needs time or policy as well is here.

use std::path::Path;
use std::sync::Arc;

use gs_policies::evict::Swept;
use gs_policies::{Evict, evict, pressure};
use parking_lot::RwLock;

pub use gs_conf::Backing;
pub use gs_policies::evict::{Cutoff, Fifo, LeastLife};
pub use gs_policies::pressure::PressureParams;
pub use gs_policies::recency::Recency;
pub use gs_shm::*;

use crate::clock::Clock;

/// An eviction policy as a cache holds it.
pub type Policy = Arc<dyn Evict + Send + Sync>;

/// What a section evicts of the records that its hand met: see [`Recency`].
pub fn by_recency(met: &mut [Met], wanted: usize) -> usize {
    Recency::DEFAULT.choose(met, wanted, |met| (met.refs, met.idle_ms))
}

/// A section with its clock and its tier's eviction policy.
pub struct Cache {
    section: Section,
    clock: Clock,
    policy: RwLock<Policy>,
    pressure: RwLock<PressureParams>,
}

impl Cache {
    /// Creates the section `name` in `dir`, or adopts it with its records if it is there and fits.
    /// [`Backing::Memory`] makes a private one, which nobody can attach to and which ends with the process.
    pub fn open(
        dir: &Path,
        name: &str,
        config: &SectionConfig,
        backing: Backing,
        clock: Clock,
        policy: Policy,
    ) -> Result<(Cache, Origin), OpenError> {
        let (section, origin) = match backing {
            Backing::Shm => Section::create_or_adopt(dir, name, config, clock.now_ms())?,
            Backing::Memory => (Section::heap_in(dir, name, config, clock.now_ms())?, Origin::Fresh),
        };
        Ok((Cache::over(section, clock, policy), origin))
    }

    /// Attaches to a section that another process made. Without `config`, the one it was made with is taken.
    pub fn attach(
        dir: &Path,
        name: &str,
        config: Option<&SectionConfig>,
        clock: Clock,
        policy: Policy,
    ) -> Result<Cache, OpenError> {
        Ok(Cache::over(Section::attach(dir, name, config)?, clock, policy))
    }

    /// A second attachment to a cache in private memory, with a process slot of its own: a sibling inside its relay.
    pub fn attach_inside(&self) -> Result<Cache, OpenError> {
        Ok(Cache::over(self.section.attach_heap()?, self.clock.clone(), self.policy()))
    }

    /// Puts a cache together from a section that was opened elsewhere.
    pub fn over(mut section: Section, clock: Clock, policy: Policy) -> Cache {
        section.set_choose(by_recency);
        Cache {
            section,
            clock,
            policy: RwLock::new(policy),
            pressure: RwLock::new(PressureParams::default()),
        }
    }

    /// The section.
    pub fn section(&self) -> &Section {
        &self.section
    }

    /// The clock that its deadlines are in.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Exact boot-time milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Boot-time milliseconds for the hit path; see [`Clock::now_coarse_ms`].
    pub fn now_coarse_ms(&self) -> u64 {
        self.clock.now_coarse_ms()
    }

    /// The policy in force.
    pub fn policy(&self) -> Policy {
        self.policy.read().clone()
    }

    /// Puts another policy in force, for instance the same with a moved [`Cutoff`].
    pub fn set_policy(&self, policy: Policy) {
        *self.policy.write() = policy;
    }

    /// Changes what counts as pressure.
    pub fn set_pressure(&self, params: PressureParams) {
        *self.pressure.write() = params;
    }

    /// Pressure on the section, 0..=100.
    pub fn pressure(&self) -> u8 {
        let stats = self.section.stats();
        pressure::level(stats.free_blocks, stats.blocks, &self.pressure.read())
    }

    /// Moves the shared hand over `probes` blocks and marks what the policy takes EVICTING, for this process.
    pub fn demote(&self, probes: u32, victims: &mut Vec<Victim>) -> Swept {
        self.demote_at_most(probes, u32::MAX, victims)
    }

    /// Like [`Cache::demote`], but leaves the rest alone once `wanted` records were taken. The answer is what a
    /// [`Cutoff`] is moved by.
    pub fn demote_at_most(&self, probes: u32, wanted: u32, victims: &mut Vec<Victim>) -> Swept {
        let (policy, pressure) = (self.policy(), self.pressure());
        let mut swept = Swept { seen: 0, taken: 0, wanted };
        let mut decide = |view: &View| {
            if swept.taken >= wanted {
                return Verdict::Keep;
            }
            swept.seen += 1;
            let verdict = policy.judge(&evict::View {
                refs: view.refs,
                age_ms: view.age_ms,
                idle_ms: view.idle_ms,
                remaining_ms: view.remaining_ms,
                bytes: u32::try_from(view.bytes).unwrap_or(u32::MAX),
                pressure,
            });
            match verdict {
                evict::Verdict::Keep => Verdict::Keep,
                evict::Verdict::Demerit => Verdict::Demerit,
                evict::Verdict::Take => {
                    swept.taken += 1;
                    Verdict::Take
                }
            }
        };
        self.section.sweep(probes, self.clock.now_ms(), &mut decide, victims);
        swept
    }
}
