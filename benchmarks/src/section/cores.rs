//! Which cores a thread may run on, and how long it ran.

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A core that is kept for one thread of a measurement: the n-th of those that this program was given, or none if it
/// has fewer.
pub fn nth(n: usize) -> Option<CpuSet> {
    let given = sched_getaffinity(None).ok()?;
    let core = (0..CpuSet::MAX_CPU).filter(|&core| given.is_set(core)).nth(n)?;
    let mut one = CpuSet::new();
    one.set(core);
    Some(one)
}

/// Keeps a process's first thread on these cores.
pub fn keep(pid: Pid, cores: &CpuSet) -> anyhow::Result<()> {
    Ok(sched_setaffinity(Some(pid), cores)?)
}

/// The calling thread, on these cores for as long as this lives.
pub struct Kept(CpuSet);

impl Kept {
    /// From now on.
    pub fn on(cores: &CpuSet) -> anyhow::Result<Kept> {
        let before = sched_getaffinity(None)?;
        sched_setaffinity(None, cores)?;
        Ok(Kept(before))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = sched_setaffinity(None, &self.0);
    }
}

/// Nanoseconds that a thread has had a core, the calling one's (`thread-self`) or a process's first (its id).
pub fn cpu_ns(whose: &str) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{whose}/schedstat")).ok()?;
    text.split_whitespace().next()?.parse().ok()
}
