//! What others use of the cores that are measured on.

use std::time::Instant;

use super::machine::{self, Cores};

/// Looks at the cores from when it is made.
pub struct Others {
    cores: Cores,
    pids: Vec<u32>,
    began: Instant,
    before: f64,
}

impl Others {
    /// Everybody but these processes and this one.
    pub fn than(pids: impl IntoIterator<Item = u32>, cores: &Cores) -> Others {
        let mut pids: Vec<u32> = pids.into_iter().chain([std::process::id()]).collect();
        pids.sort_unstable();
        pids.dedup();
        let before = used(cores, &pids);
        Others { cores: cores.clone(), pids, began: Instant::now(), before }
    }

    /// What they used until now, in per cent of the cores.
    pub fn pct(&self) -> f64 {
        let cores = if self.cores.separate() { 2.0 } else { 1.0 };
        let used = used(&self.cores, &self.pids) - self.before;
        (used / (self.began.elapsed().as_secs_f64() * cores) * 100.0).max(0.0)
    }
}

fn used(cores: &Cores, pids: &[u32]) -> f64 {
    machine::busy_seconds(cores) - machine::cpu_seconds(pids)
}
