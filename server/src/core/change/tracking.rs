//! Client-side caches: who is told that a key it has read, or a key under its prefix, is no longer what it was.
//!
//! As in Redis, keys are known by their names alone, whatever the database, and a client is told once per read.
//! A key is noted before it is read: a change after that read finds the note, and its word cannot overtake the
//! reply, because a connection writes its messages between its commands.

use crate::core::bus::{ClientId, Mailbox, Message};
use crate::core::node::Node;
use bytes::Bytes;
use dashmap::DashMap;
use foldhash::fast::RandomState;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const SHARDS: usize = 64;

/// What a client asked for with CLIENT TRACKING ON.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The connection that is told instead, 0 for the client itself.
    pub redirect: ClientId,
    /// Every change under the prefixes, read or not.
    pub bcast: bool,
    /// Only reads behind CLIENT CACHING YES.
    pub optin: bool,
    /// All reads but those behind CLIENT CACHING NO.
    pub optout: bool,
    /// Not the client's own changes.
    pub noloop: bool,
    /// What is broadcast; "" for everything.
    pub prefixes: BTreeSet<Bytes>,
}

/// One client that caches.
#[derive(Debug)]
pub struct Tracker {
    /// The client.
    pub client: ClientId,
    /// What it asked for.
    pub options: Options,
    own: Mailbox,
    /// Where it has its invalidations sent.
    target: Option<Mailbox>,
    broken: AtomicBool,
}

impl Tracker {
    /// A client with its mailbox, and that of the connection to be told instead.
    pub fn new(client: ClientId, options: Options, own: Mailbox, target: Option<Mailbox>) -> Tracker {
        Tracker { client, options, own, target, broken: AtomicBool::new(false) }
    }

    /// True where it is told of changes by prefix.
    pub fn broadcasts(&self) -> bool {
        self.options.bcast
    }

    /// True once the connection to be told instead was found gone.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    fn tell(&self, message: impl Fn(bool) -> Message) {
        match &self.target {
            None => drop(self.own.post(message(false))),
            Some(target) if !self.is_broken() && target.post(message(true)) => {}
            Some(_) => {
                self.broken.store(true, Ordering::Release);
                self.own.post(Message::RedirectBroken(self.options.redirect));
            }
        }
    }
}

type Table = HashMap<Bytes, Vec<ClientId>, RandomState>;

/// All that clients cache.
pub struct Tracking {
    clients: DashMap<ClientId, Arc<Tracker>>,
    prefixes: RwLock<BTreeMap<Bytes, Vec<ClientId>>>,
    /// Keys to broadcast that a running command has changed, by its connection.
    gathered: DashMap<ClientId, Vec<Bytes>>,
    table: [Mutex<Table>; SHARDS],
    /// Keys in the table, each as often as clients cache it.
    items: AtomicUsize,
    hasher: RandomState,
}

impl Default for Tracking {
    fn default() -> Self {
        Tracking {
            clients: DashMap::new(),
            prefixes: RwLock::default(),
            gathered: DashMap::new(),
            table: std::array::from_fn(|_| Mutex::default()),
            items: AtomicUsize::new(0),
            hasher: RandomState::default(),
        }
    }
}

impl Tracking {
    fn shard(&self, key: &[u8]) -> usize {
        self.hasher.hash_one(key) as usize & (SHARDS - 1)
    }

    /// Clients that cache.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Keys that are remembered.
    pub fn keys(&self) -> usize {
        self.table.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Keys that are remembered, each as often as clients cache it.
    pub fn items(&self) -> usize {
        self.items.load(Ordering::Relaxed)
    }

    /// Prefixes that are broadcast.
    pub fn prefixes(&self) -> usize {
        self.prefixes.read().len()
    }

    /// The client as a tracker, if it is one.
    pub fn of(&self, client: ClientId) -> Option<Arc<Tracker>> {
        self.clients.get(&client).map(|entry| entry.value().clone())
    }

    /// A client is about to read a key. At the bound some other key is invalidated early.
    pub fn note(&self, client: ClientId, key: &[u8], items_max: usize) {
        let at = self.shard(key);
        let mut table = self.table[at].lock();
        let list = match table.get_mut(key) {
            Some(list) => list,
            None => table.entry(Bytes::copy_from_slice(key)).or_default(),
        };
        if list.contains(&client) {
            return;
        }
        list.push(client);
        drop(table);
        if self.items.fetch_add(1, Ordering::AcqRel) >= items_max {
            self.make_room(at, key);
        }
    }

    fn make_room(&self, at: usize, spared: &[u8]) {
        for step in 1..=SHARDS {
            let table = self.table[(at + step) & (SHARDS - 1)].lock();
            let victim = table.keys().find(|key| *key != spared).cloned();
            drop(table);
            if let Some(victim) = victim {
                return self.forget(&victim, 0);
            }
        }
    }

    /// A key changed.
    pub(super) fn touched(&self, key: &[u8], by: ClientId) {
        if self.clients.is_empty() {
            return;
        }
        if self.prefixes.read().keys().any(|prefix| key.starts_with(prefix)) {
            let key = Bytes::copy_from_slice(key);
            match by {
                0 => self.broadcast(&[key], by),
                by => self.gathered.entry(by).or_default().push(key),
            }
        }
        self.forget(key, by);
    }

    /// A command of a connection is done: what it changed is broadcast, in one message for each prefix.
    pub fn done(&self, by: ClientId) {
        if let Some((_, keys)) = self.gathered.remove(&by) {
            self.broadcast(&keys, by);
        }
    }

    fn broadcast(&self, keys: &[Bytes], by: ClientId) {
        for (prefix, ids) in self.prefixes.read().iter() {
            let under = keys.iter().filter(|key| key.starts_with(prefix));
            let keys: Arc<BTreeSet<Bytes>> = Arc::new(under.cloned().collect());
            if keys.is_empty() {
                continue;
            }
            for tracker in ids.iter().filter_map(|id| self.of(*id)) {
                let own = tracker.options.noloop && tracker.client == by;
                let message = |redirected| Message::Broadcast {
                    prefix: prefix.clone(),
                    keys: keys.clone(),
                    redirected,
                };
                if !own {
                    tracker.tell(message);
                }
            }
        }
    }

    /// Tells who cached a key, once.
    fn forget(&self, key: &[u8], by: ClientId) {
        let Some((key, ids)) = self.table[self.shard(key)].lock().remove_entry(key) else {
            return;
        };
        self.items.fetch_sub(ids.len(), Ordering::AcqRel);
        for tracker in ids.iter().filter_map(|id| self.of(*id)) {
            // It may have begun anew in the other mode since.
            let deaf = tracker.options.bcast || (tracker.options.noloop && tracker.client == by);
            if !deaf {
                tracker.tell(|redirected| Message::Invalid { key: key.clone(), redirected });
            }
        }
    }

    /// All keys of some database may be gone.
    pub(super) fn emptied(&self) {
        for shard in &self.table {
            let gone: Table = std::mem::take(&mut *shard.lock());
            self.items.fetch_sub(gone.values().map(Vec::len).sum(), Ordering::AcqRel);
        }
        // Collected first: what is told must not wait for the map, nor the map for it.
        let all: Vec<_> = self.clients.iter().map(|entry| entry.value().clone()).collect();
        for tracker in all {
            tracker.tell(|redirected| Message::AllInvalid { redirected });
        }
    }

    fn leave_prefixes(&self, tracker: &Tracker) {
        let mut prefixes = self.prefixes.write();
        for prefix in &tracker.options.prefixes {
            if let Some(ids) = prefixes.get_mut(prefix) {
                ids.retain(|id| *id != tracker.client);
            }
        }
        prefixes.retain(|_, ids| !ids.is_empty());
    }
}

impl Node {
    /// A client caches from now on, or in another way. The caller holds no stripe, or all of them.
    pub fn begin_tracking(&self, tracker: &Arc<Tracker>, holds_all: bool) {
        let tracking = &self.changes.tracking;
        if let Some(before) = tracking.clients.insert(tracker.client, tracker.clone()) {
            tracking.leave_prefixes(&before);
        } else {
            self.changes.arm(true);
        }
        for prefix in &tracker.options.prefixes {
            tracking.prefixes.write().entry(prefix.clone()).or_default().push(tracker.client);
        }
        // From here on every writer sees it; what was written before can be read.
        if !holds_all {
            self.stripes.pass_all();
        }
    }

    /// A client caches no longer.
    pub fn end_tracking(&self, tracker: &Tracker) {
        let tracking = &self.changes.tracking;
        if tracking.clients.remove(&tracker.client).is_some() {
            tracking.leave_prefixes(tracker);
            self.changes.arm(false);
        }
    }
}
