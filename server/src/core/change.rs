//! "A key changed": the one place where writes, deletes, expiries, evictions and flushes are told.
//!
//! Who listens: WATCH, client-side caches, and the channels of `notify-keyspace-events`. While nobody does,
//! a change costs one relaxed load here and a read nothing. A move between tiers is no change.
//!
//! Why that load may be relaxed: who begins to listen raises the count first and then passes the stripe of the
//! key, or of all keys, before it reads. A writer holds the stripe, so either it was done before the reader
//! looks, or it sees the count. What changes keys without their stripe (the sweep, an eviction) fences itself.

pub mod event;
pub mod tracking;
pub mod watch;

pub use event::{Classes, KeyEvent};

use crate::core::bus::ClientId;
use crate::core::node::Node;
use gs_client::cache::KeyId;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence};

/// One change of one key.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Logical database.
    pub db: u8,
    /// The key.
    pub key: &'a [u8],
    /// Its identity in the section.
    pub id: &'a KeyId,
    /// What happened, in Redis's words.
    pub event: KeyEvent,
    /// The connection that did it, 0 for the node itself.
    pub by: ClientId,
}

/// Who listens to the changes of a node.
#[derive(Default)]
pub struct Changes {
    /// Reasons to look further at all.
    armed: Armed,
    /// Watched keys.
    pub watches: watch::Watches,
    /// Keys that clients cache.
    pub tracking: tracking::Tracking,
    /// The classes of `notify-keyspace-events`.
    classes: AtomicU32,
}

/// On a cache line of its own: every write reads it.
#[derive(Default)]
#[repr(align(64))]
struct Armed(AtomicUsize);

impl Changes {
    /// True while somebody listens to anything.
    #[inline]
    pub fn armed(&self) -> bool {
        self.armed.0.load(Ordering::Relaxed) > 0
    }

    /// As [`Changes::armed`], for what changed a key without its stripe.
    pub fn armed_after(&self) -> bool {
        // SYNC POINT: the change before the look at who listens; who begins to listen does it the other way
        // round.
        fence(Ordering::SeqCst);
        self.armed()
    }

    /// What `notify-keyspace-events` is set to.
    pub fn classes(&self) -> Classes {
        Classes(self.classes.load(Ordering::Acquire))
    }

    fn arm(&self, more: bool) {
        if more {
            self.armed.0.fetch_add(1, Ordering::AcqRel);
            fence(Ordering::SeqCst);
        } else {
            self.armed.0.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Node {
    /// A key was changed: dirties who watches it, invalidates who caches it, publishes the event. The caller
    /// holds the key's stripe, and the change can be read already.
    #[inline]
    pub fn changed(&self, change: &Change<'_>) {
        if self.changes.armed() {
            self.tell(change);
        }
    }

    /// Publishes a further event of a change that was told: SET with EX is a `set` and an `expire`.
    #[inline]
    pub fn happened(&self, db: u8, key: &[u8], event: KeyEvent) {
        if self.changes.armed() {
            self.publish_event(db, key, event);
        }
    }

    /// As [`Node::changed`], where the stripe is not held.
    pub fn changed_unlocked(&self, change: &Change<'_>) {
        if self.changes.armed_after() {
            self.tell(change);
        }
    }

    /// Where somebody listens: ends the key's record if it is past its deadline, and tells so. A key that is
    /// looked for, or about to be replaced, has expired before that.
    #[inline]
    pub fn settle_expired(&self, db: u8, key: &[u8], id: &KeyId) {
        if self.changes.armed() && self.cache.section().expire_key(id, self.now_ms()).is_some() {
            self.metrics.expired.add(1);
            self.expired(db, key, id);
        }
    }

    /// The node itself found a key past its deadline and ended it.
    pub fn expired(&self, db: u8, key: &[u8], id: &KeyId) {
        self.changed_unlocked(&Change { db, key, id, event: KeyEvent::EXPIRED, by: 0 });
    }

    /// The node itself let a key go for want of room.
    pub fn evicted(&self, db: u8, key: &[u8], id: &KeyId) {
        self.changed_unlocked(&Change { db, key, id, event: KeyEvent::EVICTED, by: 0 });
    }

    /// Changes which events are published, as `notify-keyspace-events` does.
    pub fn set_event_classes(&self, classes: Classes) {
        let before = Classes(self.changes.classes.swap(classes.0, Ordering::AcqRel));
        if before.is_silent() != classes.is_silent() {
            // Nobody's stripe is passed: an event that is published an instant later than it could be is no harm,
            // and CONFIG SET may run in a transaction that holds them.
            self.changes.arm(before.is_silent());
        }
    }

    /// Everything of a database, or of all, may be gone: a flush, or a relief that was given up.
    pub fn emptied(&self, db: Option<u8>) {
        if self.changes.armed_after() {
            self.changes.watches.emptied(db);
            self.changes.tracking.emptied();
        }
    }

    #[cold]
    fn tell(&self, change: &Change<'_>) {
        self.changes.watches.touched(change.id);
        self.changes.tracking.touched(change.key, change.by);
        self.publish_event(change.db, change.key, change.event);
    }

    #[cold]
    fn publish_event(&self, db: u8, key: &[u8], event: KeyEvent) {
        let classes = self.changes.classes();
        if !classes.contains(event.class) {
            return;
        }
        let publish = |channel: &[u8], payload: &[u8]| {
            if self.bus.is_heard(channel) {
                self.bus.publish(channel, payload);
            }
        };
        if classes.contains(Classes::KEYSPACE) {
            publish(&[format!("__keyspace@{db}__:").as_bytes(), key].concat(), event.name.as_bytes());
        }
        if classes.contains(Classes::KEYEVENT) {
            publish(format!("__keyevent@{db}__:{}", event.name).as_bytes(), key);
        }
    }
}
