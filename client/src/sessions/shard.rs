//! One relay as a front end sees it: its section on this machine, the link to it, and the rules between the two.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::config::LruConfig;
use crate::cache::{
    Cache, Fill, KIND_MAX, KeyId, Leased, Lookup, Meta, NewRecord, NotCached, OpenError, Recency,
};
use crate::clock::Clock;
use crate::kinds::is_whole_value;
use crate::link::{self, Link, LinkConfig};

/// The kind of a *marker*: a record without a value that says "whatever is at most this version is out of date".
///
/// A deletion or a value that could not be kept leaves nothing in the section that a late, older fill would have to
/// beat: the agent may still be about to apply an older put from the stream. The marker is what it has to beat. No
/// reader ever gets it as a value.
pub(crate) const KIND_MARKER: u8 = KIND_MAX;
/// The database that sessions live in.
pub(crate) const DB: u8 = 0;
/// Attempts at placing a marker: each fails only if another writer touched the same fence meanwhile.
const MARK_TRIES: u32 = 4;
/// How often a section may be replaced under a running process; each replaced one stays mapped until the end.
const GENERATIONS_MAX: usize = 64;
/// Pause between attempts to attach to a section that is not there yet.
const ATTACH_PAUSE: Duration = Duration::from_millis(20);

/// What this machine alone can say of a key.
pub(crate) enum Local {
    /// Found under a valid lease; the value was appended.
    Hit(Meta),
    /// Not here. The ticket is for a fill with what the relay answers.
    Miss(u64),
    /// The lease lapsed, or writers were in the way: nothing may be said.
    Blind,
}

/// Counters of a shard; of this process only.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) misses: AtomicU64,
    pub(crate) asked: AtomicU64,
    pub(crate) stale: AtomicU64,
    pub(crate) unavailable: AtomicU64,
    pub(crate) events: AtomicU64,
    pub(crate) gaps: AtomicU64,
    pub(crate) terms: AtomicU64,
}

/// A section and the one that replaced it, if one did. Old ones stay until the end: readers hold plain references,
/// so the hit path needs neither a lock nor a reference count.
struct Generation {
    cache: Cache,
    next: OnceLock<Box<Generation>>,
}

pub(crate) struct Shard {
    first: Generation,
    pub(crate) link: Link,
    pub(crate) link_config: LinkConfig,
    lru: LruConfig,
    pub(crate) lease: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) counters: Counters,
}

impl Shard {
    pub(crate) async fn open(
        lru: &LruConfig,
        link_config: LinkConfig,
        lease: Duration,
        heartbeat: Duration,
    ) -> Result<Shard, OpenError> {
        let cache = open_cache_when_there(lru, &link_config.addr).await?;
        Ok(Shard {
            first: Generation { cache, next: OnceLock::new() },
            link: Link::open(link_config.clone()),
            link_config,
            lru: lru.clone(),
            lease,
            heartbeat,
            counters: Counters::default(),
        })
    }

    /// The section in use.
    pub(crate) fn cache(&self) -> &Cache {
        let mut generation = &self.first;
        while let Some(next) = generation.next.get() {
            generation = next;
        }
        &generation.cache
    }

    /// Attaches anew if the section was replaced by another process (or this process is a fork).
    pub(crate) fn follow_replacement(&self) {
        let mut generation = &self.first;
        let mut count = 1;
        while let Some(next) = generation.next.get() {
            (generation, count) = (next, count + 1);
        }
        let section = generation.cache.section();
        if !(section.retired() || section.forked()) || count >= GENERATIONS_MAX {
            return;
        }
        let attach = LruConfig { manage_section: false, ..self.lru.clone() };
        match open_cache(&attach, self.link.addr(), generation.cache.clock().clone()) {
            Ok(cache) => {
                // Another task of this process may have been first; then its section is as good.
                let _ = generation.next.set(Box::new(Generation { cache, next: OnceLock::new() }));
            }
            Err(error) => tracing::warn!("the section was replaced and cannot be attached: {error}"),
        }
    }

    /// Looks on this machine only.
    pub(crate) fn look(&self, cache: &Cache, id: &KeyId, key: &[u8], out: &mut Vec<u8>) -> Local {
        let (section, mark) = (cache.section(), out.len());
        match section.get_leased(id, key, || cache.now_coarse_ms(), true, out, |_, _| {}) {
            Leased::Hit(meta) if !is_whole_value(meta.kind) => {
                out.truncate(mark);
                Local::Miss(section.ticket(id))
            }
            Leased::Hit(meta) => Local::Hit(meta),
            Leased::Miss { ticket } => Local::Miss(ticket),
            Leased::Contended | Leased::NoLease => Local::Blind,
        }
    }

    /// What the section has although its lease lapsed, if that is at most `for_ms` ago.
    pub(crate) fn look_stale(&self, key: &[u8], for_ms: u64, out: &mut Vec<u8>) -> Option<Meta> {
        let cache = self.cache();
        let section = cache.section();
        let in_time = || {
            let until_ms = section.lease().until_ms;
            until_ms > 0 && cache.now_ms() < until_ms.saturating_add(for_ms)
        };
        if !in_time() {
            return None;
        }
        let start = out.len();
        let id = section.key_id(DB, key);
        match section.get(&id, key, cache.now_ms(), true, out, |_, _| {}) {
            Lookup::Hit(meta) if is_whole_value(meta.kind) && in_time() => {
                self.counters.stale.fetch_add(1, Ordering::Relaxed);
                Some(meta)
            }
            _ => {
                out.truncate(start);
                None
            }
        }
    }

    /// Keeps what the relay answered, by the observe rule: older copies die whether it can be kept or not.
    pub(crate) fn keep(&self, cache: &Cache, record: &NewRecord<'_>, ticket: u64) {
        self.kept(cache, record, cache.section().fill(record, ticket, cache.now_ms()));
    }

    /// [`Shard::keep`] for what the stream brings, perhaps after this machine knew better and forgot it.
    pub(crate) fn keep_late(&self, cache: &Cache, record: &NewRecord<'_>, ticket: u64) {
        self.kept(cache, record, cache.section().fill_late(record, ticket, cache.now_ms()));
    }

    fn kept(&self, cache: &Cache, record: &NewRecord<'_>, fill: Fill) {
        match fill {
            Fill::Cached
            | Fill::NotCached(
                NotCached::Newer | NotCached::Forgotten | NotCached::Present | NotCached::Detached,
            ) => {}
            // Not kept, so nothing here would stop an older put that is still in the stream. The marker is one
            // version below: the record itself may come later and must not lose against it.
            Fill::NotCached(_) => self.mark(cache, record.id, record.key, record.version.saturating_sub(1)),
        }
    }

    /// Notes that everything up to `version` is out of date; see [`KIND_MARKER`].
    pub(crate) fn mark(&self, cache: &Cache, id: KeyId, key: &[u8], version: u64) {
        let section = cache.section();
        section.observe(&id, key, version);
        let now_ms = cache.now_ms();
        let marker = NewRecord {
            id,
            db: DB,
            key,
            value: b"",
            version,
            // An event that is older than the lease is applied before the lease is renewed, so nobody can read
            // what it wrongly put here; until then the marker must hold.
            deadline_ms: now_ms + 2 * self.lease.as_millis() as u64 + 1000,
            kind: KIND_MARKER,
            created_ms: now_ms,
        };
        for _ in 0..MARK_TRIES {
            // A marker is true for ever, so a fresh ticket is always good enough for it.
            match section.fill(&marker, section.ticket(&id), now_ms) {
                Fill::NotCached(NotCached::Raced | NotCached::NoRoom | NotCached::NoSlot) => {}
                _ => return,
            }
        }
        section.forgotten(version);
        // What came late before that word was written is found now, or finds the fence moved.
        section.observe(&id, key, version.saturating_add(1));
    }
}

/// One attempt to create or attach.
fn open_cache(lru: &LruConfig, relay: &str, clock: Clock) -> Result<Cache, OpenError> {
    let (name, config) = (lru.section_name(relay), lru.section(relay));
    let policy = Arc::new(Recency::default());
    if lru.manage_section {
        return Cache::open(&lru.dir, &name, &config, lru.backing, clock, policy).map(|(cache, _)| cache);
    }
    Cache::attach(&lru.dir, &name, Some(&config), clock, policy)
}

/// Creates, or attaches as soon as the section is there, but waits no longer than `attach_wait`.
async fn open_cache_when_there(lru: &LruConfig, relay: &str) -> Result<Cache, OpenError> {
    let clock = Clock::real();
    let give_up_ms = clock.now_ms().saturating_add(lru.attach_wait.as_millis() as u64);
    loop {
        match open_cache(lru, relay, clock.clone()) {
            Err(OpenError::Absent { .. } | OpenError::Retired(_)) if clock.now_ms() < give_up_ms => {
                link::pause(ATTACH_PAUSE).await;
            }
            result => return result,
        }
    }
}
