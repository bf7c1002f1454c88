//! The directory: which sessions live downstream, on which node, as which copy.
//!
//! It answers two questions without asking anyone: "can any relief hold this key?" (if not, a miss is
//! `nil` for certain) and "which copy is the valid one?". Entries are exact and idempotent: hand-offs and
//! reports arrive at least once, and a counting filter that hears a message twice would forget a key that
//! is still there, which ends in a wrong `nil`. ARCHITECTURE.md has the memory and the error of both.
//!
//! An entry is live or a *shadow*. A shadow is a copy that must not be read any more (superseded, destroyed
//! or promoted) and whose holder has not yet acknowledged that it dropped it.

mod entry;

pub use entry::{COPY_BITS, Holder, NODE_MAX, Relocated};

use crate::core::directory::entry::{Entry, SECOND, SHADOW};
use gs_client::cache::KeyId;
use hashbrown::HashTable;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

const SHARDS: usize = 64;

struct Shard {
    table: HashTable<Entry>,
}

/// Holders of one key. Rarely more than one or two.
pub type Holders = Vec<Holder>;

/// The directory of one relay; every method may be called from any thread.
pub struct Directory {
    shards: Box<[Mutex<Shard>]>,
    /// Sessions with a live entry, per database. A session with copies on two nodes counts once.
    live: [AtomicI64; 16],
    entries: AtomicU64,
}

impl Default for Directory {
    fn default() -> Self {
        Directory {
            shards: (0..SHARDS).map(|_| Mutex::new(Shard { table: HashTable::new() })).collect(),
            live: Default::default(),
            entries: AtomicU64::new(0),
        }
    }
}

impl Directory {
    fn shard(&self, id: &KeyId) -> &Mutex<Shard> {
        &self.shards[(id.hi >> 58) as usize & (SHARDS - 1)]
    }

    /// All copies of a key that some node may hold, shadows included.
    pub fn holders(&self, id: &KeyId) -> Holders {
        if self.entries.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let shard = self.shard(id).lock();
        shard.table.iter_hash(id.lo).filter(|e| e.is(id)).map(Entry::holder).collect()
    }

    /// True where a readable copy lives downstream.
    pub fn is_below(&self, id: &KeyId) -> bool {
        if self.entries.load(Ordering::Acquire) == 0 {
            return false;
        }
        let shard = self.shard(id).lock();
        shard.table.iter_hash(id.lo).any(|e| e.is(id) && !e.shadow())
    }

    /// Changes the entries of one key under the shard's lock and keeps the count of live sessions exact.
    fn edit<T>(&self, id: &KeyId, db: u8, f: impl FnOnce(&mut Vec<Entry>) -> T) -> T {
        let mut shard = self.shard(id).lock();
        let mut found = Vec::new();
        while let Ok(slot) = shard.table.find_entry(id.lo, |e| e.is(id)) {
            found.push(slot.remove().0);
        }
        let count = |list: &[Entry]| list.iter().any(Entry::counts);
        let (before, before_len) = (count(&found), found.len());
        let result = f(&mut found);
        let after = count(&found);
        // Entries grow before a reader could skip the table: the count is raised first, lowered last.
        if found.len() >= before_len {
            self.entries.fetch_add((found.len() - before_len) as u64, Ordering::AcqRel);
        }
        let removed = before_len.saturating_sub(found.len()) as u64;
        for entry in found {
            shard.table.insert_unique(id.lo, entry, |e| e.tag);
        }
        self.entries.fetch_sub(removed, Ordering::AcqRel);
        if before != after {
            self.live[usize::from(db & 15)].fetch_add(if after { 1 } else { -1 }, Ordering::AcqRel);
        }
        result
    }

    /// Notes a readable copy. An earlier entry of the same node is replaced; copies of an older version on
    /// other nodes become shadows and are returned, so that the caller has them dropped.
    pub fn insert(&self, id: &KeyId, db: u8, node: u16, version: u64, copy: u64) -> Holders {
        self.note(id, db, Holder { node, version, copy, shadow: false, second: false })
    }

    /// Notes a second copy of a session that is resident here.
    pub fn insert_second(&self, id: &KeyId, db: u8, node: u16, version: u64, copy: u64) -> Holders {
        self.note(id, db, Holder { node, version, copy, shadow: false, second: true })
    }

    fn note(&self, id: &KeyId, db: u8, holder: Holder) -> Holders {
        let Holder { node, version, .. } = holder;
        self.edit(id, db, |list| {
            list.retain(|e| e.node() != node);
            let mut superseded = Vec::new();
            for entry in list.iter_mut().filter(|e| !e.shadow() && e.version < version) {
                entry.word |= SHADOW;
                superseded.push(entry.holder());
            }
            list.push(Entry::new(id, db, &holder));
            superseded
        })
    }

    /// Moves the readable copy from one relief to another.
    ///
    /// A copy that is not listed is not thereby one that nobody reads: a relief may pass on what it was given
    /// a moment ago, before its giver's word of it is here. It has to stay until that word came.
    ///
    /// Storing a version again gives its copy a new number; where `to` is listed already, the number is followed,
    /// or the one listed copy would be withdrawn as an orphan.
    pub fn relocate(&self, id: &KeyId, db: u8, from: (u16, u64), to: (u16, u64, u64)) -> Relocated {
        let (node, version, copy) = to;
        self.edit(id, db, |list| {
            let is_from = |e: &Entry| e.node() == from.0 && e.copy() == from.1;
            let at_from = list.iter().position(|e| is_from(e) && !e.shadow());
            let at_to = list.iter().position(|e| e.node() == node && !e.shadow() && e.version == version);
            let unreadable = list.iter().any(|e| is_from(e) && e.shadow());
            if at_from.is_none() && at_to.is_none() {
                return if unreadable { Relocated::Unreadable } else { Relocated::Unheard };
            }
            // It counts once: a copy that replaces only second copies is one itself.
            let second = [at_from, at_to].into_iter().flatten().all(|at| list[at].holder().second);
            list.retain(|e| e.node() != node && (e.shadow() || !is_from(e)));
            list.push(Entry::new(id, db, &Holder { node, version, copy, shadow: false, second }));
            let unheard = at_from.is_none() && !unreadable;
            if unheard && second { Relocated::Both } else { Relocated::Listed }
        })
    }

    /// Follows the number of a listed copy that was stored again. False where this version is not listed there.
    pub fn renumber(&self, id: &KeyId, db: u8, node: u16, version: u64, copy: u64) -> bool {
        self.edit(id, db, |list| {
            let Some(at) = list.iter().position(|e| e.node() == node && !e.shadow() && e.version == version)
            else {
                return false;
            };
            let second = list[at].holder().second;
            list[at] = Entry::new(id, db, &Holder { node, version, copy, shadow: false, second });
            true
        })
    }

    /// Makes every copy of the key unreadable and returns all of them, older shadows too: each has to be
    /// dropped by its holder. The bool says whether a readable one was among them.
    pub fn shadow_all(&self, id: &KeyId, db: u8) -> (Holders, bool) {
        if self.entries.load(Ordering::Acquire) == 0 {
            return (Vec::new(), false);
        }
        self.edit(id, db, |list| {
            let was_live = list.iter().any(|e| !e.shadow());
            for entry in list.iter_mut() {
                entry.word |= SHADOW;
            }
            (list.iter().map(Entry::holder).collect(), was_live)
        })
    }

    /// Forgets one copy, whatever its state, if it is still the one named. True if it was there.
    pub fn remove(&self, id: &KeyId, db: u8, node: u16, copy: u64) -> bool {
        self.edit(id, db, |list| {
            let before = list.len();
            list.retain(|e| !(e.node() == node && e.copy() == copy));
            list.len() != before
        })
    }

    /// Forgets the readable copy of this version on one node: it was stored anew there, and went.
    pub fn forget_copy(&self, id: &KeyId, db: u8, node: u16, version: u64) {
        self.edit(id, db, |list| {
            list.retain(|e| !(e.node() == node && e.version == version && !e.shadow()));
        });
    }

    /// Forgets the unreadable copy of the key on one node: its holder has acknowledged.
    pub fn remove_shadow(&self, id: &KeyId, db: u8, node: u16, copy: u64) {
        self.edit(id, db, |list| list.retain(|e| !(e.node() == node && e.shadow() && e.copy() == copy)));
    }

    /// Sessions of a database that live only downstream or also there.
    pub fn live(&self, db: u8) -> u64 {
        self.live[usize::from(db & 15)].load(Ordering::Acquire).max(0) as u64
    }

    /// Copies known, shadows included.
    pub fn len(&self) -> u64 {
        self.entries.load(Ordering::Acquire)
    }

    /// True when no node holds anything.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets everything of one database, or of all: a flush. The caller holds all stripes.
    pub fn flush(&self, db: Option<u8>) {
        self.retain(|entry_db, _| db.is_some_and(|db| db != entry_db));
    }

    /// Forgets all copies of one node and returns how many sessions are lost by that: those with no other copy. Of
    /// those that have one, it is counted from now on.
    pub fn forget_node(&self, node: u16) -> u64 {
        let mut lost = 0;
        for shard in &self.shards {
            let mut shard = shard.lock();
            let gone: Vec<Entry> = shard.table.iter().filter(|e| e.node() == node).copied().collect();
            shard.table.retain(|e| e.node() != node);
            self.entries.fetch_sub(gone.len() as u64, Ordering::AcqRel);
            for entry in gone.iter().filter(|e| e.counts()) {
                let mut others =
                    shard.table.iter_hash_mut(entry.tag).filter(|e| e.tag == entry.tag && !e.shadow());
                match others.next() {
                    Some(other) => other.word &= !SECOND,
                    None => lost += 1,
                }
            }
        }
        self.recount();
        lost
    }

    /// Sessions of which a node has the only copy.
    pub fn only_on(&self, node: u16) -> u64 {
        let alone = |table: &HashTable<Entry>, entry: &Entry| {
            !table.iter_hash(entry.tag).any(|e| e.tag == entry.tag && !e.shadow() && e.node() != node)
        };
        let of_shard = |shard: &Mutex<Shard>| {
            let table = &shard.lock().table;
            table.iter().filter(|e| e.node() == node && e.counts() && alone(table, e)).count() as u64
        };
        self.shards.iter().map(of_shard).sum()
    }

    /// A session whose first copy is gone is counted by its second one.
    pub fn count_second(&self, id: &KeyId, db: u8) {
        self.edit(id, db, |list| {
            if !list.iter().any(Entry::counts)
                && let Some(second) = list.iter_mut().find(|e| !e.shadow())
            {
                second.word &= !SECOND;
            }
        });
    }

    /// Readable copies on each of the given nodes.
    pub fn count_by_node(&self) -> Vec<(u16, u64)> {
        let mut counts = vec![0u64; usize::from(NODE_MAX) + 1];
        for shard in &self.shards {
            for entry in shard.lock().table.iter() {
                counts[usize::from(entry.node())] += u64::from(!entry.shadow());
            }
        }
        (0u16..).zip(counts).filter(|(_, n)| *n > 0).collect()
    }

    fn retain(&self, mut keep: impl FnMut(u8, Holder) -> bool) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            let before = shard.table.len();
            shard.table.retain(|e| keep(e.db() as u8, e.holder()));
            self.entries.fetch_sub((before - shard.table.len()) as u64, Ordering::AcqRel);
        }
        self.recount();
    }

    /// Counts the live sessions anew; only after a bulk change, when single steps were not followed.
    fn recount(&self) {
        let mut live = [0i64; 16];
        for shard in &self.shards {
            let shard = shard.lock();
            for entry in shard.table.iter().filter(|e| e.counts()) {
                // A key with several readable copies counts once: by the one on the lowest node.
                let lowest = shard
                    .table
                    .iter_hash(entry.tag)
                    .filter(|e| e.tag == entry.tag && e.counts())
                    .map(Entry::node)
                    .min();
                live[entry.db()] += i64::from(lowest == Some(entry.node()));
            }
        }
        for (slot, n) in self.live.iter().zip(live) {
            slot.store(n, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> KeyId {
        KeyId { hi: n.wrapping_mul(0x9e37_79b9_7f4a_7c15), lo: n.wrapping_mul(0xc2b2_ae3d_27d4_eb4f) }
    }

    /// Hand-offs arrive at least once: hearing one twice must not change what is known.
    #[test]
    fn hearing_a_hand_off_twice_changes_nothing() {
        let dir = Directory::default();
        dir.insert(&id(1), 0, 5, 10, 100);
        dir.insert(&id(1), 0, 5, 10, 100);
        assert_eq!((dir.live(0), dir.len()), (1, 1));
        assert!(dir.remove(&id(1), 0, 5, 100));
        assert!(!dir.remove(&id(1), 0, 5, 100));
        assert_eq!((dir.live(0), dir.len(), dir.is_below(&id(1))), (0, 0, false));
    }

    /// The answer to an old "drop" must not make a copy that was stored again later disappear.
    #[test]
    fn a_late_drop_does_not_remove_a_newer_copy() {
        let dir = Directory::default();
        dir.insert(&id(1), 0, 5, 10, 100);
        dir.shadow_all(&id(1), 0);
        dir.insert(&id(1), 0, 5, 10, 101);
        dir.remove_shadow(&id(1), 0, 5, 100);
        assert_eq!(
            dir.holders(&id(1)),
            [Holder { node: 5, version: 10, copy: 101, shadow: false, second: false }]
        );
    }

    /// A session with a second copy is one session.
    #[test]
    fn copies_count_once_and_shadows_not_at_all() {
        let dir = Directory::default();
        dir.insert(&id(1), 2, 5, 10, 100);
        dir.insert(&id(1), 2, 6, 10, 200);
        dir.insert(&id(2), 2, 5, 11, 101);
        assert_eq!((dir.live(2), dir.len()), (2, 3));
        assert_eq!(dir.shadow_all(&id(1), 2).0.len(), 2);
        assert_eq!((dir.live(2), dir.len()), (1, 3));
        assert_eq!((dir.only_on(5), dir.forget_node(5)), (1, 1));
        assert_eq!((dir.live(2), dir.len()), (0, 1));
        dir.flush(Some(2));
        assert!(dir.is_empty());
    }

    /// A session is lost with its last copy, and counted as long as there is one.
    #[test]
    fn a_session_with_another_copy_is_not_lost() {
        let dir = Directory::default();
        for n in 1..4 {
            dir.insert(&id(n), 0, 5, 10, 100 + n);
        }
        dir.insert_second(&id(1), 0, 6, 10, 200);
        dir.insert_second(&id(4), 0, 5, 10, 104);
        assert_eq!((dir.live(0), dir.only_on(5)), (3, 2));
        assert_eq!(dir.forget_node(5), 2);
        assert_eq!((dir.live(0), dir.len()), (1, 1));
        assert_eq!(dir.forget_node(6), 1);
        assert_eq!(dir.live(0), 0);
    }

    /// A pass-on between reliefs that names a copy which is no longer the readable one is refused.
    #[test]
    fn a_stale_pass_on_is_refused() {
        let dir = Directory::default();
        dir.insert(&id(1), 0, 5, 10, 100);
        assert_eq!(dir.relocate(&id(1), 0, (5, 99), (6, 10, 7)), Relocated::Unheard);
        assert_eq!(dir.relocate(&id(1), 0, (5, 100), (6, 10, 6)), Relocated::Listed);
        // The answer was lost and the node passes the copy on again: the one listed copy got a new number.
        assert_eq!(dir.relocate(&id(1), 0, (5, 100), (6, 10, 7)), Relocated::Listed);
        assert_eq!(
            dir.holders(&id(1)),
            [Holder { node: 6, version: 10, copy: 7, shadow: false, second: false }]
        );
        assert_eq!(
            dir.insert(&id(1), 0, 7, 12, 1),
            [Holder { node: 6, version: 10, copy: 7, shadow: true, second: false }]
        );
    }

    /// A second copy further down is no reason to let a copy go whose listing may be on its way.
    #[test]
    fn a_pass_on_beside_a_second_copy_lets_both_stay() {
        let dir = Directory::default();
        dir.insert_second(&id(1), 0, 6, 10, 6);
        assert_eq!(dir.relocate(&id(1), 0, (5, 100), (6, 10, 7)), Relocated::Both);
        let second = Holder { node: 6, version: 10, copy: 7, shadow: false, second: true };
        assert_eq!(dir.holders(&id(1)), [second]);
        dir.shadow_all(&id(1), 0);
        assert_eq!(dir.relocate(&id(1), 0, (6, 7), (8, 10, 1)), Relocated::Unreadable);
    }
}
