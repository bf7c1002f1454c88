//! What changed a moment ago, by a hash of the key.
//!
//! "Absent" is an answer without a version. A front end that was given one may still have an older put of the key before
//! it in the stream; it would keep that and show it until the delete behind it arrives: a session that was seen gone would
//! be there again. So whoever is told "absent" is also told up to which version the key is history, if it changed within
//! the time that an event can be on its way to a front end whose lease holds. Of a key that did not, nothing is on its
//! way, and whoever tries tokens that never were costs the front ends few markers, unless nearly all places are recent: after
//! a flush, or above some ten thousand writes a second.
//!
//! Keys share places: the newest version and time of any of them count. That is more than needed at times, never less.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Places, a power of two: 1 MiB of them, once a front end connects.
const PLACES: usize = 1 << 16;

/// Both only grow, so a reader between the two stores sees too much at worst.
#[derive(Default)]
struct Place {
    version: AtomicU64,
    at_ms: AtomicU64,
}

impl Place {
    fn note(&self, version: u64, now_ms: u64) {
        self.version.fetch_max(version, Ordering::AcqRel);
        self.at_ms.fetch_max(now_ms, Ordering::AcqRel);
    }

    fn since(&self, from_ms: u64) -> u64 {
        if self.at_ms.load(Ordering::Acquire) >= from_ms { self.version.load(Ordering::Acquire) } else { 0 }
    }
}

/// The newest versions of what changed.
#[derive(Default)]
pub struct Recent {
    places: OnceLock<Box<[Place]>>,
    flushed: Place,
}

impl Recent {
    fn place(&self, hash: u64) -> &Place {
        let places = self.places.get_or_init(|| (0..PLACES).map(|_| Place::default()).collect());
        &places[hash as usize & (PLACES - 1)]
    }

    /// A key changed. Before the change can be followed by a delete: under its stripe.
    pub fn note(&self, hash: u64, version: u64, now_ms: u64) {
        self.place(hash).note(version, now_ms);
    }

    /// Everything was flushed, or one database.
    pub fn note_flush(&self, version: u64, now_ms: u64) {
        self.flushed.note(version, now_ms);
    }

    /// The version up to which an absent key is history, if that changed at `from_ms` or later; else 0.
    pub fn history(&self, hash: u64, from_ms: u64) -> u64 {
        let key = self.places.get().map_or(0, |_| self.place(hash).since(from_ms));
        key.max(self.flushed.since(from_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who is told less than what is on its way sees a deleted session again; who is told more keeps a marker for nothing.
    #[test]
    fn only_what_may_still_be_on_its_way_is_told() {
        let recent = Recent::default();
        assert_eq!(recent.history(1, 0), 0, "nothing has changed");
        recent.note(1, 70, 5_000);
        recent.note(1, 60, 6_000);
        assert_eq!(recent.history(1, 6_000), 70, "the newest version counts as long as anything is recent");
        assert_eq!(recent.history(1, 6_001), 0);
        assert_eq!(recent.history(2, 0), 0);
        recent.note_flush(80, 7_000);
        assert_eq!((recent.history(2, 7_000), recent.history(1, 6_000)), (80, 80));
        assert_eq!(recent.history(2, 7_001), 0);
    }
}
