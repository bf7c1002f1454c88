//! Least recently used, with less credit for what was never read: for a front end's section and the relay.

use core::cmp::{Ordering, Reverse};

use crate::evict::{Evict, Verdict, View, expired};

/// Recency among the records that the hand met, newcomers first.
///
/// On session traces recency is what predicts a next read, and frequency does not; so the order is that of idle time.
/// Two things temper it, both measured (`benchmarks/results/policy.md`):
///
/// * Beyond a time of grace, idleness counts the more the less a record was read since it came: a login that
///   bounced is known by its silence, while within the grace everybody is between two requests. After a while that has
///   been said, and idleness is idleness again.
/// * Records that were never read (*newcomers*) hold a share of the room at most. Beyond it the idlest of them go
///   first, so a scan, or a wave of robots, displaces its own. The share is the larger the less time they had to be
///   read again: where the room is so short that they leave within seconds, most would have come back.
///
/// It has no memory: who goes depends on the records in view alone, so any process may choose at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recency {
    /// Up to this idleness only idleness counts. Milliseconds.
    pub grace_ms: u64,
    /// For so long beyond the grace silence tells who was hardly read. Milliseconds.
    pub telling_ms: u64,
    /// The share of records that newcomers may hold once they have had half the grace, in percent.
    pub newcomers_pct: u8,
    /// The share that they may hold while they have only just come, in percent.
    pub newest_pct: u8,
}

impl Recency {
    /// The default, as a constant.
    pub const DEFAULT: Recency =
        Recency { grace_ms: 60_000, telling_ms: 600_000, newcomers_pct: 20, newest_pct: 50 };

    /// How much a record deserves to go: its idleness in thirds of milliseconds, times 4 beyond the grace for as long as that
    /// tells, if it was never read, times 2 if once, times 4/3 if twice.
    #[must_use]
    pub fn rank(&self, refs: u8, idle_ms: u64) -> u64 {
        let times: u64 = match refs {
            0 => 12,
            1 => 6,
            2 => 4,
            _ => 3,
        };
        let grace = idle_ms.min(self.grace_ms);
        let telling = (idle_ms - grace).min(self.telling_ms);
        let rest = idle_ms - telling;
        rest.saturating_mul(3).saturating_add(telling.saturating_mul(times))
    }

    /// The percentage that newcomers of this mean idleness may hold.
    fn share_pct(&self, mean_idle_ms: u64) -> usize {
        let half = (self.grace_ms / 2).max(1);
        let had = mean_idle_ms.min(half);
        let [least, most] = [self.newcomers_pct, self.newest_pct.max(self.newcomers_pct)].map(u64::from);
        (most - (most - least).saturating_mul(had) / half) as usize
    }

    /// Chooses `wanted` of the records met (or all, if there are fewer): they are the first of `met` afterwards, and
    /// their number is the answer. `view` tells a record's references and its idleness in milliseconds.
    pub fn choose<T>(&self, met: &mut [T], wanted: usize, view: impl Fn(&T) -> (u8, u64)) -> usize {
        let wanted = wanted.min(met.len());
        let newcomers = newcomers_first(met, &view);
        let idle_ms = met[..newcomers].iter().fold(0u64, |sum, one| sum.saturating_add(view(one).1));
        let allowed = met.len() * self.share_pct(idle_ms / newcomers.max(1) as u64) / 100;
        let banned = newcomers.saturating_sub(allowed).min(wanted);
        let rank = |record: &T| {
            let (refs, idle_ms) = view(record);
            (Reverse(self.rank(refs, idle_ms)), refs)
        };
        worst_first(&mut met[..newcomers], banned, rank);
        worst_first(&mut met[banned..], wanted - banned, rank);
        wanted
    }
}

/// Moves the never-read to the front; returns their number.
fn newcomers_first<T>(met: &mut [T], view: &impl Fn(&T) -> (u8, u64)) -> usize {
    let mut newcomers = 0;
    for at in 0..met.len() {
        if view(&met[at]).0 == 0 {
            met.swap(newcomers, at);
            newcomers += 1;
        }
    }
    newcomers
}

/// Moves the `n` with the least keys to the front.
fn worst_first<T, K: Ord>(records: &mut [T], n: usize, key: impl Fn(&T) -> K) {
    if n > 0 && n < records.len() {
        records.select_nth_unstable_by_key(n - 1, key);
    }
}

impl Default for Recency {
    fn default() -> Self {
        Recency::DEFAULT
    }
}

impl Evict for Recency {
    /// Where there is nothing to choose among, the hand gives each reference a pass.
    fn judge(&self, view: &View) -> Verdict {
        if view.refs > 0 && !expired(view) { Verdict::Demerit } else { Verdict::Take }
    }

    fn worse(&self, a: &View, b: &View) -> Ordering {
        expired(b)
            .cmp(&expired(a))
            .then(self.rank(b.refs, b.idle_ms).cmp(&self.rank(a.refs, a.idle_ms)))
            .then(a.refs.cmp(&b.refs))
            .then(b.age_ms.cmp(&a.age_ms))
    }

    fn name(&self) -> &'static str {
        "recency"
    }
}
