//! Which record leaves: one answer per record the hand meets.
//!
//! A policy sees a [`View`] and answers a [`Verdict`]; it keeps no state of its own. What must adapt (how old is
//! old?) is a number in the policy that the caller moves with [`Cutoff`], so that the same record and the same
//! numbers always give the same verdict.

use core::cmp::Ordering;

/// What the hand knows about one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Reference counter, 0..=3: raised by hits, lowered by [`Verdict::Demerit`]. A new record has 0.
    pub refs: u8,
    /// Milliseconds since the object was created (not since it arrived in this tier).
    pub age_ms: u64,
    /// Milliseconds since the last hit.
    pub idle_ms: u64,
    /// Milliseconds left to live; `None` without a deadline.
    pub remaining_ms: Option<u64>,
    /// Bytes of the section that the record occupies.
    pub bytes: u32,
    /// Pressure on the section, 0..=100 (see [`crate::pressure::level`]).
    pub pressure: u8,
}

/// The answer for one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Leave it as it is.
    Keep,
    /// Leave it, but lower its reference counter: it will be taken at a later pass unless it is read again.
    Demerit,
    /// It goes.
    Take,
}

/// An eviction policy.
///
/// What every policy keeps (`tests/conformance.rs` runs all of them through it): equal views get equal verdicts;
/// an expired record is always taken; a `Demerit` is only answered for `refs > 0`; and with the
/// cutoff wide open repeated passes take every record, so a caller that needs room always gets it.
pub trait Evict {
    /// The verdict on one record.
    fn judge(&self, view: &View) -> Verdict;

    /// Order for sampling: `Less` when `a` should leave before `b`.
    fn worse(&self, a: &View, b: &View) -> Ordering;

    /// The policy's name, as configuration and metrics write it.
    fn name(&self) -> &'static str;
}

/// True when the deadline has passed: every policy takes such a record.
pub(crate) fn expired(view: &View) -> bool {
    view.remaining_ms == Some(0)
}

/// Oldest first, whatever was read: for an expansion node, whose hits move the object back up anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fifo {
    /// Records at least this old are taken. The caller moves it with [`Cutoff::older`].
    pub older_than_ms: u64,
}

impl Evict for Fifo {
    fn judge(&self, view: &View) -> Verdict {
        if expired(view) || view.age_ms >= self.older_than_ms { Verdict::Take } else { Verdict::Keep }
    }

    fn worse(&self, a: &View, b: &View) -> Ordering {
        expired(b).cmp(&expired(a)).then(b.age_ms.cmp(&a.age_ms)).then(b.idle_ms.cmp(&a.idle_ms))
    }

    fn name(&self) -> &'static str {
        "fifo"
    }
}

/// Least remaining life first: for an aging node, where the object that would soon have expired costs least.
///
/// A record without a deadline counts as living for ever: it goes last, and only when the cutoff is wide open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeastLife {
    /// Records with at most this much left are taken. The caller moves it with [`Cutoff::sooner`].
    pub remaining_up_to_ms: u64,
}

/// What is left to live, with "no deadline" as the longest life.
fn life_ms(view: &View) -> u64 {
    view.remaining_ms.unwrap_or(u64::MAX)
}

impl Evict for LeastLife {
    fn judge(&self, view: &View) -> Verdict {
        if expired(view) || life_ms(view) <= self.remaining_up_to_ms { Verdict::Take } else { Verdict::Keep }
    }

    fn worse(&self, a: &View, b: &View) -> Ordering {
        life_ms(a).cmp(&life_ms(b)).then(b.idle_ms.cmp(&a.idle_ms)).then(b.age_ms.cmp(&a.age_ms))
    }

    fn name(&self) -> &'static str {
        "least-life"
    }
}

/// What one sweep found, for moving a cutoff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Live records judged.
    pub seen: u32,
    /// Of these, taken.
    pub taken: u32,
    /// How many the caller wanted.
    pub wanted: u32,
}

/// Moves the number that [`Fifo`] and [`LeastLife`] compare with, sweep by sweep.
///
/// The step is a factor of two: within 64 sweeps a cutoff crosses its whole range, so progress is bounded, and near
/// its mark it swings between neighbours only. A sweep that saw nothing teaches nothing and moves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cutoff(
    /// The present mark in milliseconds.
    pub u64,
);

impl Cutoff {
    /// The next mark for "take what is at least this old": too few taken lowers it, more than twice enough raises it.
    #[must_use]
    pub fn older(self, swept: Swept) -> Cutoff {
        match need(swept) {
            Need::More => Cutoff(self.0 / 2),
            Need::Fewer => Cutoff(self.0.saturating_mul(2).max(1)),
            Need::Same => self,
        }
    }

    /// The next mark for "take what has at most this much left": too few taken raises it, more than twice enough
    /// lowers it.
    #[must_use]
    pub fn sooner(self, swept: Swept) -> Cutoff {
        match need(swept) {
            Need::More => Cutoff(self.0.saturating_mul(2).max(1)),
            Need::Fewer => Cutoff(self.0 / 2),
            Need::Same => self,
        }
    }
}

/// Which way a mark must move.
enum Need {
    More,
    Fewer,
    Same,
}

fn need(swept: Swept) -> Need {
    if swept.seen == 0 {
        Need::Same
    } else if swept.taken < swept.wanted {
        Need::More
    } else if swept.taken > swept.wanted.saturating_mul(2) {
        Need::Fewer
    } else {
        Need::Same
    }
}
