//! Versions: the order of all changes to a key, assigned only by the key's owner relay.
//!
//! A version is `epoch16 << 48 | hlc48`. The epoch is persisted and grows at each start, so a version of a
//! later life of the relay is always higher; inside an epoch a hybrid logical clock (Kulkarni et al. 2014)
//! keeps the order even when the wall clock steps back.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bits of the hybrid clock in a version.
pub const HLC_BITS: u32 = 48;
const HLC_MASK: u64 = (1 << HLC_BITS) - 1;
/// A millisecond of wall clock leaves room for this many versions before the logical part runs ahead.
const TICKS_PER_MS: u64 = 128;

/// The source of versions of one relay; lock-free.
#[derive(Debug)]
pub struct Versions {
    last: AtomicU64,
}

impl Versions {
    /// Starts a new epoch. `epoch` must be higher than that of any earlier life of this node.
    pub fn new(epoch: u16, unix_ms: u64) -> Self {
        Versions { last: AtomicU64::new((u64::from(epoch) << HLC_BITS) | Self::hlc(unix_ms)) }
    }

    fn hlc(unix_ms: u64) -> u64 {
        unix_ms.wrapping_mul(TICKS_PER_MS) & HLC_MASK
    }

    /// The epoch all versions of this life carry.
    pub fn epoch(&self) -> u16 {
        (self.last.load(Ordering::Relaxed) >> HLC_BITS) as u16
    }

    /// The next version: higher than every one given before, and no lower than the wall clock says.
    pub fn next(&self, unix_ms: u64) -> u64 {
        let hlc = Self::hlc(unix_ms);
        // The closure always returns Some, so the update cannot fail.
        let step = |last: u64| {
            let wall = (last & !HLC_MASK) | hlc;
            Some(wall.max(last + 1))
        };
        match self.last.fetch_update(Ordering::AcqRel, Ordering::Relaxed, step) {
            Ok(last) | Err(last) => ((last & !HLC_MASK) | hlc).max(last + 1),
        }
    }

    /// The highest version given so far.
    pub fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wall clock that steps back must not make a later change look older than an earlier one.
    #[test]
    fn versions_only_grow_even_when_the_clock_steps_back() {
        let versions = Versions::new(3, 1_000_000);
        let a = versions.next(1_000_001);
        let b = versions.next(999_000);
        let c = versions.next(1_000_002);
        assert!(a < b && b < c, "{a} {b} {c}");
        assert_eq!(versions.epoch(), 3);
        assert!(Versions::new(4, 0).next(0) > c, "a later epoch is always higher");
    }
}
