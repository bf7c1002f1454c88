//! The user's face of the library: sessions, from this machine's section if it may answer, else from the relay.
//!
//! ```no_run
//! use std::time::Duration;
//! use gs_client::sessions::{LruConfig, RelayConfig, SessionCacheManager};
//!
//! # async fn example() -> Result<(), gs_client::error::SessionError> {
//! let sessions = SessionCacheManager::open(LruConfig::default(), RelayConfig::default()).await?;
//! let version = sessions.set(b"sess:1", b"alice", Some(Duration::from_secs(3600))).await?;
//! let session = sessions.get(b"sess:1").await?;
//! assert!(session.is_some_and(|s| s.version == version));
//! sessions.delete(b"sess:1").await?;
//! # Ok(())
//! # }
//! ```
//!
//! What holds for every call:
//! - An answer from the section is given only under a valid lease, checked again after the value was copied.
//! - Nothing enters the section without a version from the relay. A relay that cannot be reached is an error.
//! - `None` means that the relay said so. It is never a guess.
//! - After `set` or `delete` returned, no process on this machine sees the state before it.

mod config;
mod ops;
mod owners;
mod session;
pub(crate) mod shard;
mod touches;
pub(crate) mod wants;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub use config::{LruConfig, PartitionPolicy, RelayConfig, TlsFiles};
pub use owners::Owners;
pub use session::{Session, Source};
pub(crate) use session::{as_version, deadline};
use shard::{DB, Local, Shard};
use touches::Touches;
pub use touches::patience_ms;
use wants::Wants;
pub use wants::{WANT_MS, WANTS_MAX};

use crate::agent::{self, Background};
use crate::cache::Cache;
use crate::error::SessionError;
use crate::hashed::KIND_HASHED;
use crate::link::Topics;

/// Local hits are counted in this many places, so that threads do not fight for one cache line.
const HIT_STRIPES: usize = 16;

/// The sessions of this machine and its relays. Cheap to clone; background work ends with the last clone.
#[derive(Clone)]
pub struct SessionCacheManager {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) shards: Vec<Arc<Shard>>,
    owners: Owners,
    pub(crate) wants: Wants,
    touches: Touches,
    relay: RelayConfig,
    hits: [Stripe; HIT_STRIPES],
    /// Dropping it ends the background tasks.
    _background: Background,
}

#[derive(Default)]
#[repr(align(64))]
struct Stripe(AtomicUsize);

/// What a manager did, and how its sections stand. The counters are of this process since it opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionStats {
    /// Lookups answered from the section.
    pub hits: u64,
    /// Lookups that found nothing there under a valid lease.
    pub misses: u64,
    /// Lookups that went to the relay.
    pub asked: u64,
    /// Lookups answered from the section after its lease.
    pub stale: u64,
    /// Lookups that failed because the relay could not be reached.
    pub unavailable: u64,
    /// Events of the relay's stream that this process applied as agent.
    pub events: u64,
    /// Times this process, as agent, flushed a section because the stream had a gap.
    pub gaps: u64,
    /// Times this process became agent.
    pub terms: u64,
    /// Records in the sections.
    pub records: u64,
    /// Whether every section has a valid lease now.
    pub leased: bool,
    /// Whether every relay is connected now.
    pub connected: bool,
}

impl SessionCacheManager {
    /// Creates or attaches the sections and starts connecting to the relays. Does not wait for them: until a relay is
    /// there, calls answer [`SessionError::Unavailable`].
    ///
    /// Must be called inside a tokio runtime with IO and time enabled; without one, see [`crate::blocking`].
    pub async fn open(lru: LruConfig, relay: RelayConfig) -> Result<SessionCacheManager, SessionError> {
        let mut shards = Vec::new();
        for link in relay.links()? {
            shards.push(Arc::new(Shard::open(&lru, link, relay.lease, relay.heartbeat).await?));
        }
        let inner = Arc::new_cyclic(|inner| Inner {
            _background: agent::start(&shards, inner.clone()),
            shards,
            owners: Owners::of(&relay.relays),
            wants: Wants::default(),
            touches: Touches::default(),
            relay,
            hits: Default::default(),
        });
        Ok(SessionCacheManager { inner })
    }

    /// Looks on this machine only. `None` says nothing about the session: it may not be here, or the section may not
    /// answer now.
    pub fn get_local(&self, key: &[u8]) -> Option<Session> {
        let mut value = Vec::new();
        let shard = self.inner.shard(key);
        let cache = shard.cache();
        let id = cache.section().key_id(DB, key);
        match shard.look(cache, &id, key, &mut value) {
            Local::Hit(meta) if meta.kind != KIND_HASHED => {
                self.inner.count_hit();
                Some(Session::of_record(&meta, value, cache.now_ms(), Source::Local))
            }
            _ => None,
        }
    }

    /// [`SessionCacheManager::get_local`] without an allocation: replaces the contents of `value` and answers the
    /// version. `value` is empty when the answer is `None`.
    pub fn get_local_into(&self, key: &[u8], value: &mut Vec<u8>) -> Option<u64> {
        value.clear();
        let shard = self.inner.shard(key);
        let cache = shard.cache();
        let id = cache.section().key_id(DB, key);
        match shard.look(cache, &id, key, value) {
            Local::Hit(meta) if meta.kind != KIND_HASHED => {
                self.inner.count_hit();
                Some(meta.version)
            }
            _ => {
                value.clear();
                None
            }
        }
    }

    /// The session, from the section or else from the relay (and then kept in the section); `None` if the relay says
    /// that there is none.
    pub async fn get(&self, key: &[u8]) -> Result<Option<Session>, SessionError> {
        self.inner.get(key).await
    }

    /// Stores a session at the relay, then in the section; returns its version. Without `ttl` it lives until deleted
    /// or evicted.
    ///
    /// On a path where destruction wins, a key that was deleted answers [`SessionError::Gone`].
    pub async fn set(&self, key: &[u8], value: &[u8], ttl: Option<Duration>) -> Result<u64, SessionError> {
        let version = self.inner.set(key, value, ttl, None).await?;
        version.ok_or(SessionError::Protocol { command: "GS.SET" })
    }

    /// Stores a session only if its version at the relay is still `version`, the one this save is based on. `None`
    /// when it is not: read it again and decide; a deleted session is one such case.
    pub async fn set_if_version(
        &self,
        key: &[u8],
        value: &[u8],
        ttl: Option<Duration>,
        version: u64,
    ) -> Result<Option<u64>, SessionError> {
        self.inner.set(key, value, ttl, Some(version)).await
    }

    /// Destroys a session; true if there was one. The relay remembers the deletion, so no older copy comes back from
    /// any tier. Other machines hear of it within milliseconds, or stop answering when their lease ends.
    pub async fn delete(&self, key: &[u8]) -> Result<bool, SessionError> {
        self.inner.delete(key, false).await
    }

    /// [`SessionCacheManager::delete`] that returns only when no machine can serve the session any more.
    pub async fn delete_everywhere(&self, key: &[u8]) -> Result<bool, SessionError> {
        self.inner.delete(key, true).await
    }

    /// Lets a session live for `ttl` from now on, if that is longer than it would have; true if there is one.
    ///
    /// Cheap to call with each request: where the section has the session and the gain is small, the relay is told
    /// later, once for many touches: after min(max(30 s, a tenth of `ttl`), a quarter of `ttl`) at most.
    pub async fn touch(&self, key: &[u8], ttl: Duration) -> Result<bool, SessionError> {
        self.inner.touch(key, ttl).await
    }

    /// Keeps only a salted hash of `value` under `key`; returns the version.
    pub async fn hash_set(
        &self,
        key: &[u8],
        value: &[u8],
        ttl: Option<Duration>,
    ) -> Result<u64, SessionError> {
        self.inner.hash_set(key, value, ttl).await
    }

    /// Whether `value` is what was given to `hash_set`; `None` if there is nothing under the key.
    pub async fn check_hash(&self, key: &[u8], value: &[u8]) -> Result<Option<bool>, SessionError> {
        self.inner.check_hash(key, value).await
    }

    /// Calls `callback`, once, when the session is there, which may be at once. The key is waited for during
    /// [`WANT_MS`] at most, then forgotten without a call; at most [`WANTS_MAX`] callbacks may wait.
    ///
    /// The callback runs on a task of the library: it must not block.
    pub fn on_key(
        &self,
        key: &[u8],
        callback: impl FnOnce(Session) + Send + 'static,
    ) -> Result<(), SessionError> {
        let now_ms = self.inner.shard(key).cache().now_ms();
        if self.inner.wants.add(key, now_ms, Box::new(callback)) {
            Ok(())
        } else {
            Err(SessionError::TooManyWants(WANTS_MAX))
        }
    }

    /// Subscribes to a topic of this manager's path (`session`, `session_gone`, `session_backup`, ...) at every
    /// relay. At most once: what is published while a connection is down is missed, and the stream says so.
    pub async fn subscribe(&self, topic: &str) -> Topics {
        let topic = format!("{}/{topic}", self.inner.relay.auth_path);
        let peers = self.inner.shards.iter().map(|shard| shard.link_config.clone()).collect();
        Topics::open(peers, &[topic]).await
    }

    /// Waits until every relay is connected and every section has a valid lease, so that lookups can be local.
    pub async fn ready(&self) -> Result<(), SessionError> {
        for shard in &self.inner.shards {
            shard.link.up().await?;
            while !has_lease(shard.cache()) {
                crate::link::pause(Duration::from_millis(5)).await;
            }
        }
        Ok(())
    }

    /// Counters and state.
    pub fn stats(&self) -> SessionStats {
        let mut stats = SessionStats { leased: true, connected: true, ..SessionStats::default() };
        stats.hits = self.inner.hits.iter().map(|stripe| stripe.0.load(Ordering::Relaxed) as u64).sum();
        for shard in &self.inner.shards {
            let counters = &shard.counters;
            stats.misses += counters.misses.load(Ordering::Relaxed);
            stats.asked += counters.asked.load(Ordering::Relaxed);
            stats.stale += counters.stale.load(Ordering::Relaxed);
            stats.unavailable += counters.unavailable.load(Ordering::Relaxed);
            stats.events += counters.events.load(Ordering::Relaxed);
            stats.gaps += counters.gaps.load(Ordering::Relaxed);
            stats.terms += counters.terms.load(Ordering::Relaxed);
            stats.records += shard.cache().section().live_count(DB);
            stats.leased &= has_lease(shard.cache());
            stats.connected &= shard.link.is_up();
        }
        stats
    }
}

fn has_lease(cache: &Cache) -> bool {
    cache.section().lease().until_ms > cache.now_ms()
}

impl Inner {
    /// The relay that owns a key.
    fn shard(&self, key: &[u8]) -> &Arc<Shard> {
        &self.shards[self.owners.of_key(key)]
    }

    fn count_hit(&self) {
        thread_local! {
            static STRIPE: usize = {
                static NEXT: AtomicUsize = AtomicUsize::new(0);
                NEXT.fetch_add(1, Ordering::Relaxed) % HIT_STRIPES
            };
        }
        STRIPE.with(|stripe| self.hits[*stripe].0.fetch_add(1, Ordering::Relaxed));
    }
}
