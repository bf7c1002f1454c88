//! The operations, in the order that the guarantees need.
//!
//! The observe rule, for whatever the relay answers: take the ticket (the fence of the key) *before* asking, fill with
//! it after. If anything killed a copy of the key meanwhile, the fence has moved and the fill is refused.

use std::sync::atomic::Ordering;
use std::time::Duration;

use gs_resp::Reply;

use super::Inner;
use super::config::PartitionPolicy;
use super::session::{Session, Sought, Source, as_version, deadline, read_sought};
use super::shard::{DB, KIND_MARKER, Local, Shard};
use crate::cache::{Cache, KeyId, NewRecord};
use crate::error::{SessionError, refusal};
use crate::hashed::{self, KIND_HASHED, KIND_STRING};
use crate::link::LinkError;

impl Inner {
    pub(super) async fn get(&self, key: &[u8]) -> Result<Option<Session>, SessionError> {
        let shard = self.shard(key);
        let cache = shard.cache();
        let id = cache.section().key_id(DB, key);
        let mut value = Vec::new();
        let ticket = match shard.look(cache, &id, key, &mut value) {
            Local::Hit(meta) if meta.kind == KIND_HASHED => return Err(SessionError::Hashed),
            Local::Hit(meta) => {
                self.count_hit();
                return Ok(Some(Session::of_record(&meta, value, cache.now_ms(), Source::Local)));
            }
            Local::Miss(ticket) => {
                shard.counters.misses.fetch_add(1, Ordering::Relaxed);
                ticket
            }
            Local::Blind => cache.section().ticket(&id),
        };
        match self.fetch(shard, cache, id, key, ticket).await {
            Err(SessionError::Unavailable { reason, maybe_done }) => {
                self.stale(shard, key).map(Some).ok_or_else(|| {
                    shard.counters.unavailable.fetch_add(1, Ordering::Relaxed);
                    SessionError::Unavailable { reason, maybe_done }
                })
            }
            result => result,
        }
    }

    /// Asks the relay, and keeps the answer.
    async fn fetch(
        &self,
        shard: &Shard,
        cache: &Cache,
        id: KeyId,
        key: &[u8],
        ticket: u64,
    ) -> Result<Option<Session>, SessionError> {
        shard.counters.asked.fetch_add(1, Ordering::Relaxed);
        let mut sent_ms = cache.now_ms();
        let ask: [&[u8]; 3] = [b"GS.GET", key, b"WITHVERSION"];
        let mut reply = shard.link.call(&ask).await;
        if matches!(reply, Err(LinkError::Lost)) {
            // Reading twice does no harm, and most breaks are over by the next connection.
            sent_ms = cache.now_ms();
            reply = shard.link.call(&ask).await;
        }
        let fetched = match read_sought(refusal(reply.map_err(read_error)?)?)? {
            Sought::There(fetched) => fetched,
            Sought::Absent(history) => {
                // Copies from before the lease lapsed may still be here; the owner says that they are history.
                cache.section().invalidate(&id, key, None);
                // So may a put be that is still in the stream, before the delete that this answer knows of. One more,
                // because the put of that very version may have come since the line above.
                if history > 0 {
                    shard.mark(cache, id, key, history.saturating_add(1));
                }
                return Ok(None);
            }
        };
        if fetched.kind == KIND_HASHED {
            // The sealed bytes come by the stream only. What is older must stay away all the same.
            shard.mark(cache, id, key, fetched.version.saturating_sub(1));
            return Err(SessionError::Hashed);
        }
        let record = NewRecord {
            id,
            db: DB,
            key,
            value: &fetched.value,
            version: fetched.version,
            deadline_ms: deadline(fetched.pttl, sent_ms),
            kind: fetched.kind,
            created_ms: sent_ms.saturating_sub(fetched.age_ms),
        };
        shard.keep(cache, &record, ticket);
        Ok(Some(Session {
            version: fetched.version,
            remaining_ms: u64::try_from(fetched.pttl).ok(),
            value: fetched.value,
            source: Source::Relay,
        }))
    }

    fn stale(&self, shard: &Shard, key: &[u8]) -> Option<Session> {
        let PartitionPolicy::Stale { for_ms } = self.relay.partition_of(key) else {
            return None;
        };
        let mut value = Vec::new();
        let meta = shard.look_stale(key, for_ms, &mut value)?;
        let now_ms = shard.cache().now_ms();
        (meta.kind != KIND_HASHED).then(|| Session::of_record(&meta, value, now_ms, Source::Stale))
    }

    /// Reads for somebody who waits for the key: without counting, and asking the relay only if `ask`.
    pub(crate) async fn look_for(&self, key: &[u8], ask: bool) -> Option<Session> {
        let shard = self.shard(key);
        let cache = shard.cache();
        let id = cache.section().key_id(DB, key);
        let mut value = Vec::new();
        match shard.look(cache, &id, key, &mut value) {
            Local::Hit(meta) => Some(Session::of_record(&meta, value, cache.now_ms(), Source::Local)),
            Local::Miss(ticket) if ask => self.fetch(shard, cache, id, key, ticket).await.ok().flatten(),
            Local::Blind if ask => {
                let ticket = cache.section().ticket(&id);
                self.fetch(shard, cache, id, key, ticket).await.ok().flatten()
            }
            _ => None,
        }
    }

    /// Read-your-writes on this machine: the old copy dies before the relay is asked, so from the moment the relay
    /// has the new value no process here can read the old one.
    pub(super) async fn set(
        &self,
        key: &[u8],
        value: &[u8],
        ttl: Option<Duration>,
        if_version: Option<u64>,
    ) -> Result<Option<u64>, SessionError> {
        let (shard, cache, id) = self.forget(key);
        let ticket = cache.section().ticket(&id);
        let sent_ms = cache.now_ms();
        let px = ttl.map(|ttl| millis(ttl).to_string());
        let expected = if_version.map(|version| version.to_string());
        let mut args: Vec<&[u8]> = vec![b"GS.SET", key, value];
        if let Some(px) = &px {
            args.extend([b"PX".as_slice(), px.as_bytes()]);
        }
        if let Some(expected) = &expected {
            args.extend([b"IFV".as_slice(), expected.as_bytes()]);
        }
        let reply = refusal(shard.link.call(&args).await?)?;
        if reply.is_null() && if_version.is_some() {
            return Ok(None);
        }
        let version = as_version(&reply).ok_or(SessionError::Protocol { command: "GS.SET" })?;
        let record = NewRecord {
            id,
            db: DB,
            key,
            value,
            version,
            deadline_ms: ttl.map_or(0, |ttl| sent_ms.saturating_add(millis(ttl))),
            kind: KIND_STRING,
            created_ms: sent_ms,
        };
        shard.keep(cache, &record, ticket);
        Ok(Some(version))
    }

    /// Local, relay, local again: the first makes this machine forget what is deleted, the second has the authority,
    /// the third kills what another process here fetched in between, and keeps late events from bringing it back.
    pub(super) async fn delete(&self, key: &[u8], everywhere: bool) -> Result<bool, SessionError> {
        const BAD: SessionError = SessionError::Protocol { command: "GS.DEL" };
        let (shard, cache, id) = self.forget(key);
        let reply = if everywhere {
            // The relay may have to wait for the leases of machines that it cannot reach.
            let limit = shard.link_config.call_timeout + 2 * shard.lease;
            shard.link.call_within(&[b"GS.DEL", key, b"SYNC", b"WITHVERSION"], limit).await?
        } else {
            shard.link.call(&[b"GS.DEL", key, b"WITHVERSION"]).await?
        };
        let reply = refusal(reply)?;
        let parts = reply.as_array().ok_or(BAD)?;
        let (Some(count), Some(version)) =
            (parts.first().and_then(Reply::as_u64), parts.get(1).and_then(as_version))
        else {
            return Err(BAD);
        };
        cache.section().invalidate(&id, key, Some(version.saturating_add(1)));
        if version > 0 {
            shard.mark(cache, id, key, version);
        }
        Ok(count > 0)
    }

    pub(super) async fn touch(&self, key: &[u8], ttl: Duration) -> Result<bool, SessionError> {
        let shard = self.shard(key);
        let cache = shard.cache();
        let (section, now_ms, ttl_ms) = (cache.section(), cache.now_ms(), millis(ttl));
        let leased = section.lease().until_ms > now_ms;
        if let Some(meta) = section.peek(&section.key_id(DB, key), key, now_ms)
            && meta.kind != KIND_MARKER
            && leased
        {
            // Only ever later, as at the relay: what has no deadline, or a later one, stays as it is.
            let later_ms = now_ms.saturating_add(ttl_ms);
            if meta.deadline_ms == 0 || meta.deadline_ms >= later_ms {
                return Ok(true);
            }
            if self.touches.wait(key, ttl_ms, later_ms - meta.deadline_ms, now_ms) {
                return Ok(true);
            }
        }
        self.touch_now(key, ttl_ms).await
    }

    /// Tells the relay, and then the section.
    async fn touch_now(&self, key: &[u8], ttl_ms: u64) -> Result<bool, SessionError> {
        let shard = self.shard(key);
        let cache = shard.cache();
        let sent_ms = cache.now_ms();
        let px = ttl_ms.to_string();
        let reply = refusal(shard.link.call(&[b"GS.TOUCH", key, b"PX", px.as_bytes()]).await?)?;
        let touched = reply.as_int().ok_or(SessionError::Protocol { command: "GS.TOUCH" })? > 0;
        let section = cache.section();
        let id = section.key_id(DB, key);
        let later_ms = sent_ms.saturating_add(ttl_ms);
        if touched
            && section.peek(&id, key, sent_ms).is_some_and(|m| m.deadline_ms != 0 && m.deadline_ms < later_ms)
        {
            section.set_deadline(&id, key, later_ms, sent_ms);
        }
        Ok(touched)
    }

    /// Tells the relay of the touches that have waited long enough.
    pub(crate) async fn tell_touches(&self) {
        let now_ms = self.shards[0].cache().now_ms();
        for due in self.touches.due(now_ms) {
            let left_ms = due.deadline_ms.saturating_sub(self.shards[0].cache().now_ms());
            if left_ms > 0
                && let Err(SessionError::Unavailable { .. }) = self.touch_now(&due.key, left_ms).await
            {
                self.touches.again(due, now_ms);
            }
        }
    }

    pub(super) async fn hash_set(
        &self,
        key: &[u8],
        value: &[u8],
        ttl: Option<Duration>,
    ) -> Result<u64, SessionError> {
        let (shard, cache, id) = self.forget(key);
        let px = ttl.map(|ttl| millis(ttl).to_string());
        let mut args: Vec<&[u8]> = vec![b"GS.HASHSET", key, value];
        if let Some(px) = &px {
            args.extend([b"PX".as_slice(), px.as_bytes()]);
        }
        let reply = refusal(shard.link.call(&args).await?)?;
        let version = as_version(&reply).ok_or(SessionError::Protocol { command: "GS.HASHSET" })?;
        // The salt is the relay's, so there is nothing to keep here yet; what is older must stay away all the same.
        shard.mark(cache, id, key, version.saturating_sub(1));
        Ok(version)
    }

    pub(super) async fn check_hash(&self, key: &[u8], value: &[u8]) -> Result<Option<bool>, SessionError> {
        let shard = self.shard(key);
        let cache = shard.cache();
        let id = cache.section().key_id(DB, key);
        let mut sealed = Vec::new();
        if let Local::Hit(meta) = shard.look(cache, &id, key, &mut sealed)
            && meta.kind == KIND_HASHED
        {
            self.count_hit();
            return Ok(Some(hashed::verify(&sealed, value)));
        }
        shard.counters.asked.fetch_add(1, Ordering::Relaxed);
        let reply = refusal(shard.link.call(&[b"GS.CHECKHASH", key, value]).await.map_err(read_error)?)?;
        if reply.is_null() {
            // This answer has no version: that of the other question keeps late events from showing it again.
            let ticket = cache.section().ticket(&id);
            return match self.fetch(shard, cache, id, key, ticket).await {
                Err(lost @ SessionError::Unavailable { .. }) => Err(lost),
                // Whatever has come since came after this answer.
                _ => Ok(None),
            };
        }
        let same = reply.as_int().ok_or(SessionError::Protocol { command: "GS.CHECKHASH" })?;
        Ok(Some(same != 0))
    }

    /// The first step of every write: no process of this machine may read the state before it from now on.
    fn forget(&self, key: &[u8]) -> (&Shard, &Cache, KeyId) {
        let shard = self.shard(key);
        let cache = shard.cache();
        let id = cache.section().key_id(DB, key);
        cache.section().invalidate(&id, key, None);
        self.touches.forget(key);
        (shard, cache, id)
    }
}

/// A read is never "maybe done".
fn read_error(error: LinkError) -> SessionError {
    SessionError::Unavailable { reason: error.to_string(), maybe_done: false }
}

/// Milliseconds of a time to live; at least one, since 0 is none.
fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(i64::MAX as u64).clamp(1, i64::MAX as u64)
}
