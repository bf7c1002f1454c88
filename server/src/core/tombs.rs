//! Tombstones and floors: the remembered death of a key, and the version below which no copy may return.
//!
//! An entry stays until every holder that could have an older copy has acknowledged that it dropped it, and
//! for a while longer, because a copy may be on its way; on a path where destroying wins it stays for
//! `gone_for`, so that a late save is refused. Tombstones are
//! never evicted: at the bound, new writes on such paths are refused first.

use foldhash::fast::RandomState;
use gs_client::cache::KeyId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

const SHARDS: usize = 64;

/// Why versions below a bound are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The key was destroyed at this version: this version and all below are refused.
    Tomb,
    /// A newer value was written at this version: all below are refused.
    Floor,
}

/// What is remembered of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tomb {
    /// Destroyed or superseded.
    pub kind: Kind,
    /// The version of the delete or of the superseding write.
    pub version: u64,
    /// Wall-clock milliseconds until which a destroyed key must not be written again; 0 where a new write is
    /// a new object.
    pub gone_until: u64,
    /// Wall-clock milliseconds at which it was noted.
    pub at: u64,
    /// Acknowledgements still owed by holders.
    pub owed: u32,
}

impl Tomb {
    /// True if a copy of this version must not be read or stored.
    pub fn refuses(&self, version: u64) -> bool {
        match self.kind {
            Kind::Tomb => version <= self.version,
            Kind::Floor => version < self.version,
        }
    }
}

/// The tombstones of one node.
pub struct Tombs {
    shards: Box<[Mutex<HashMap<KeyId, Tomb, RandomState>>]>,
    len: AtomicU64,
    /// At most this many; the caller refuses new ones before that.
    bound: u64,
}

impl Tombs {
    /// An empty table that holds at most `bound` entries.
    pub fn new(bound: u64) -> Tombs {
        Tombs {
            shards: (0..SHARDS).map(|_| Mutex::new(HashMap::default())).collect(),
            len: AtomicU64::new(0),
            bound,
        }
    }

    fn shard(&self, id: &KeyId) -> &Mutex<HashMap<KeyId, Tomb, RandomState>> {
        &self.shards[(id.hi >> 58) as usize & (SHARDS - 1)]
    }

    /// What is remembered of the key.
    pub fn get(&self, id: &KeyId) -> Option<Tomb> {
        if self.len.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.shard(id).lock().get(id).copied()
    }

    /// True if a copy of this version of the key must not be read or stored.
    pub fn refuses(&self, id: &KeyId, version: u64) -> bool {
        self.get(id).is_some_and(|tomb| tomb.refuses(version))
    }

    /// The wall-clock time until which the key must stay destroyed, if it is.
    pub fn gone_until(&self, id: &KeyId, unix_ms: u64) -> Option<u64> {
        self.get(id).map(|tomb| tomb.gone_until).filter(|until| *until > unix_ms)
    }

    /// True when there is no room for another.
    pub fn is_full(&self) -> bool {
        self.len.load(Ordering::Acquire) >= self.bound
    }

    /// Remembers; the higher version wins, what is owed adds up.
    pub fn put(&self, id: &KeyId, tomb: Tomb) {
        let mut shard = self.shard(id).lock();
        match shard.get_mut(id) {
            Some(old) => {
                let owed = old.owed + tomb.owed;
                let gone_until = old.gone_until.max(tomb.gone_until);
                if tomb.version >= old.version {
                    *old = tomb;
                }
                (old.owed, old.gone_until) = (owed, gone_until);
            }
            None => {
                shard.insert(*id, tomb);
                self.len.fetch_add(1, Ordering::AcqRel);
            }
        }
    }

    /// A holder dropped its copy.
    pub fn acknowledged(&self, id: &KeyId) {
        if let Some(tomb) = self.shard(id).lock().get_mut(id) {
            tomb.owed = tomb.owed.saturating_sub(1);
        }
    }

    /// Drops what need not be kept: nothing owed, its time over, and noted before `noted_before`.
    pub fn sweep(&self, unix_ms: u64, noted_before: u64) -> u64 {
        let mut dropped = 0;
        for shard in &self.shards {
            let mut shard = shard.lock();
            let before = shard.len();
            shard.retain(|_, t| t.gone_until > unix_ms || t.owed > 0 || t.at >= noted_before);
            dropped += (before - shard.len()) as u64;
        }
        self.len.fetch_sub(dropped, Ordering::AcqRel);
        dropped
    }

    /// Visits all, one shard at a time.
    pub fn each(&self, mut f: impl FnMut(&KeyId, &Tomb)) {
        for shard in &self.shards {
            for (id, tomb) in shard.lock().iter() {
                f(id, tomb);
            }
        }
    }

    /// How many are remembered.
    pub fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    /// True when nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most that are remembered.
    pub fn bound(&self) -> u64 {
        self.bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: KeyId = KeyId { hi: 7, lo: 9 };

    fn tomb(kind: Kind, version: u64, gone_until: u64, owed: u32) -> Tomb {
        Tomb { kind, version, gone_until, at: 0, owed }
    }

    /// A floor must not refuse the very write that set it, or its own demotion would be dropped.
    #[test]
    fn a_floor_lets_its_own_version_pass_and_a_tombstone_does_not() {
        assert!(tomb(Kind::Tomb, 5, 0, 0).refuses(5));
        assert!(!tomb(Kind::Floor, 5, 0, 0).refuses(5));
        assert!(tomb(Kind::Floor, 5, 0, 0).refuses(4));
    }

    /// A destroyed session stays refused until every holder said that its copy is gone.
    #[test]
    fn a_tombstone_stays_until_all_holders_acknowledged() {
        let tombs = Tombs::new(10);
        tombs.put(&ID, tomb(Kind::Tomb, 5, 0, 2));
        tombs.acknowledged(&ID);
        assert_eq!(tombs.sweep(1, 1), 0);
        assert!(tombs.refuses(&ID, 5));
        tombs.acknowledged(&ID);
        assert_eq!(tombs.sweep(1, 1), 1);
        assert!(tombs.is_empty());
    }

    /// Where destroying wins, acknowledgements do not end the refusal; time does.
    #[test]
    fn gone_for_outlives_the_acknowledgements() {
        let tombs = Tombs::new(10);
        tombs.put(&ID, tomb(Kind::Tomb, 5, 100, 1));
        tombs.acknowledged(&ID);
        assert_eq!(tombs.gone_until(&ID, 99), Some(100));
        assert_eq!(tombs.sweep(101, 1), 1);
        assert_eq!(tombs.gone_until(&ID, 99), None);
    }

    /// An older message that arrives later must not lower what is refused.
    #[test]
    fn the_higher_version_wins() {
        let tombs = Tombs::new(10);
        tombs.put(&ID, tomb(Kind::Tomb, 9, 0, 1));
        tombs.put(&ID, tomb(Kind::Floor, 5, 0, 1));
        assert_eq!(tombs.get(&ID).map(|t| (t.kind, t.version, t.owed)), Some((Kind::Tomb, 9, 2)));
    }
}
