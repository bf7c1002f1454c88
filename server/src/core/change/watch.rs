//! Keys that connections watch: who has to be told that EXEC must not run.

use crate::core::bus::ClientId;
use crate::core::node::Node;
use foldhash::fast::RandomState;
use gs_client::cache::KeyId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const SHARDS: usize = 64;

/// One connection that watches a key.
struct Watcher {
    client: ClientId,
    db: u8,
    /// True if the key was there: only then a flush takes something away.
    existed: bool,
    dirty: Arc<AtomicBool>,
}

type Shard = Mutex<HashMap<KeyId, Vec<Watcher>, RandomState>>;

/// All watched keys of a node.
pub struct Watches {
    shards: [Shard; SHARDS],
    count: AtomicUsize,
}

impl Default for Watches {
    fn default() -> Self {
        Watches { shards: std::array::from_fn(|_| Shard::default()), count: AtomicUsize::new(0) }
    }
}

impl Watches {
    fn shard(&self, id: &KeyId) -> &Shard {
        &self.shards[(id.hi >> 58) as usize & (SHARDS - 1)]
    }

    /// Watches that are held now, each key once for each connection.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// A key changed: whoever watches it must not run EXEC.
    pub(super) fn touched(&self, id: &KeyId) {
        if self.count() == 0 {
            return;
        }
        if let Some(list) = self.shard(id).lock().get(id) {
            list.iter().for_each(|watcher| watcher.dirty.store(true, Ordering::Release));
        }
    }

    /// All keys of a database, or of all, may be gone.
    pub(super) fn emptied(&self, db: Option<u8>) {
        for shard in self.shards.iter().filter(|_| self.count() > 0) {
            for watcher in shard.lock().values().flatten() {
                if watcher.existed && db.is_none_or(|db| db == watcher.db) {
                    watcher.dirty.store(true, Ordering::Release);
                }
            }
        }
    }
}

/// What one connection watches.
#[derive(Default)]
pub struct Watching {
    keys: Vec<(KeyId, u64)>,
    dirty: Arc<AtomicBool>,
}

impl Watching {
    /// Watched keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// True where nothing is watched.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// True if the key is watched already: it stays as it was when that began.
    pub fn has(&self, id: &KeyId) -> bool {
        self.keys.iter().any(|(known, _)| known == id)
    }

    /// The identities of the watched keys: EXEC holds them still while it looks at them and runs.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.keys.iter().map(|(id, _)| *id)
    }

    /// True if a watched key changed, or has expired since: its deadline was that of the time of WATCH, any
    /// other one would have been a change.
    pub fn is_dirty(&self, now_ms: u64) -> bool {
        self.dirty.load(Ordering::Acquire)
            || self.keys.iter().any(|(_, until)| *until != 0 && *until <= now_ms)
    }

    /// Takes a key among the watched ones. `found` looks at it, and tells its deadline where it is there; it is
    /// asked twice, because what the node drops by itself takes no stripe. The caller holds the key's.
    pub fn add<E>(
        &mut self,
        node: &Node,
        client: ClientId,
        db: u8,
        id: KeyId,
        found: impl Fn() -> Result<Option<u64>, E>,
    ) -> Result<(), E> {
        let watches = &node.changes.watches;
        // Armed first: a record that has expired already is then ended by the look at it, and that it is cleared
        // away later is no change any more.
        node.changes.arm(true);
        let deadline_ms = found().inspect_err(|_| node.changes.arm(false))?;
        watches.count.fetch_add(1, Ordering::AcqRel);
        let watcher = Watcher { client, db, existed: deadline_ms.is_some(), dirty: self.dirty.clone() };
        watches.shard(&id).lock().entry(id).or_default().push(watcher);
        self.keys.push((id, deadline_ms.unwrap_or(0)));
        if deadline_ms.is_some() && !matches!(found(), Ok(Some(_))) {
            self.dirty.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Watches nothing any more.
    pub fn clear(&mut self, node: &Node, client: ClientId) {
        if self.keys.is_empty() {
            return;
        }
        let watches = &node.changes.watches;
        for (id, _) in self.keys.drain(..) {
            let mut shard = watches.shard(&id).lock();
            if let Some(list) = shard.get_mut(&id) {
                list.retain(|watcher| watcher.client != client);
                if list.is_empty() {
                    shard.remove(&id);
                }
            }
            drop(shard);
            watches.count.fetch_sub(1, Ordering::AcqRel);
            node.changes.arm(false);
        }
        self.dirty.store(false, Ordering::Release);
    }
}
