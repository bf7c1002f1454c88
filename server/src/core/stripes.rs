//! Striped locks: they order the read-modify-writes of this process's own threads, key by key.
//!
//! They are process-local on purpose: a lock in the section could be left behind by a dead process, these
//! die with theirs. Reads never take one.

use gs_client::cache::KeyId;
use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Stripes of one node; a power of two.
const STRIPES: usize = 1024;

/// The locks of one node.
pub struct Stripes {
    locks: Box<[Mutex<()>]>,
    moves: RwLock<()>,
}

impl Default for Stripes {
    fn default() -> Self {
        Stripes { locks: (0..STRIPES).map(|_| Mutex::new(())).collect(), moves: RwLock::new(()) }
    }
}

impl Stripes {
    /// The stripe that orders changes of this key.
    pub fn index(&self, id: &KeyId) -> usize {
        (id.lo as usize) & (STRIPES - 1)
    }

    /// Locks the stripe of one key.
    pub fn lock(&self, id: &KeyId) -> MutexGuard<'_, ()> {
        self.locks[self.index(id)].lock()
    }

    /// Locks the stripes of several keys, each once and in ascending order, so that two callers cannot wait
    /// for each other.
    pub fn lock_many(&self, ids: &[KeyId]) -> Vec<MutexGuard<'_, ()>> {
        let mut indexes: Vec<usize> = ids.iter().map(|id| self.index(id)).collect();
        indexes.sort_unstable();
        indexes.dedup();
        indexes.into_iter().map(|i| self.locks[i].lock()).collect()
    }

    /// Locks everything: for a flush, which changes all keys at once.
    pub fn lock_all(&self) -> Vec<MutexGuard<'_, ()>> {
        self.locks.iter().map(|lock| lock.lock()).collect()
    }

    /// Takes and leaves every stripe: what was changed before can be read after this, and what is changed from
    /// now on knows all that the caller did before.
    pub fn pass_all(&self) {
        self.locks.iter().for_each(|lock| drop(lock.lock()));
    }

    /// Held while a session changes its tier, so that a count of the family never sees it in two or in none.
    pub fn moving(&self) -> RwLockReadGuard<'_, ()> {
        self.moves.read()
    }

    /// Held by who counts the family.
    pub fn counting(&self) -> RwLockWriteGuard<'_, ()> {
        self.moves.write()
    }
}
