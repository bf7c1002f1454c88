//! Owner mode: storing, deleting, and moving deadlines. One process does these; its threads serialise them
//! per key.

use crate::blocks::{Ctl, Slot, State};
use crate::index::Place;
use crate::record::{Deadline, Head, W_DEADLINE};
use crate::section::{Section, count};
use crate::sync::{Ordering, fence, mutant};
use crate::types::{BlockRef, Deleted, KeyId, Meta, NewRecord, Put};
use crate::{DATABASES, KEY_BYTES_LIMIT, KIND_MAX, PutError};

/// Tries of linking a slot and of moving a deadline; each failure means that another process moved it.
const TRIES: usize = if cfg!(any(loom, shuttle)) { 2 } else { 8 };

impl Section {
    /// Stores a record: it becomes readable beside the old one, then the fence moves, then the old one goes.
    /// At no moment, and at no crash, is neither readable. Refuses to go below a newer version; an equal one
    /// is stored anew. Never takes a live record's blocks or slot: see [`PutError::Full`] and
    /// [`PutError::BucketFull`].
    pub fn put(&self, rec: &NewRecord<'_>, now_ms: u64) -> Result<Put, PutError> {
        self.accepts(rec)?;
        if self.detached() {
            return Err(PutError::Detached);
        }
        self.prefetch(&rec.id);
        let mem = self.mem();
        let mut old = mem.newest_ahead(&rec.id, |db| self.min_epoch(db), |b| self.prefetch_block(mem, b));
        if let Some((_, head)) = &old
            && head.version > rec.version
            && !mutant("put-below-newer")
        {
            // An expired newer copy would hide the new record: out with it, unless it was just touched.
            if !self.retire_expired(mem, head, now_ms) {
                return Err(PutError::Newer { have: head.version });
            }
            old = mem.newest(&rec.id, |db| self.min_epoch(db));
        }
        // All of the old record will be scrubbed: it arrives while the new one is written. And who only ever writes
        // learns here how much of a record to ask for.
        if let Some((_, head)) = &old {
            self.prefetch_rest(mem, head);
        }
        // Looked at before the bytes are written: a full bucket is then found out cheaply.
        let loose = mem.loose_place(&rec.id);
        if loose.is_none() && !self.clear_buckets(&rec.id, now_ms) {
            count(&self.counters.bucket_full);
            return Err(PutError::BucketFull);
        }
        let key_len = if self.cfg.keep_keys { rec.key.len() } else { 0 };
        let needed = self.geometry.record_blocks(key_len, rec.value.len());
        let Some(chain) = self.allocate(needed, now_ms) else {
            count(&self.counters.full);
            return Err(PutError::Full { needed });
        };
        let epoch = self.min_epoch(usize::from(rec.db));
        let pending = self.build(&chain, rec, epoch, now_ms).ok_or(PutError::Lost)?;
        if mutant("put-retires-first") {
            self.kill(mem, &rec.id, |head| head.block != chain.head && head.version <= rec.version);
        }
        let Some(place) = self.link_at(loose, &rec.id, chain.head, pending) else {
            self.retire(mem, chain.head, pending);
            count(&self.counters.bucket_full);
            return Err(PutError::BucketFull);
        };
        // SYNC POINT: the commit. Release publishes every word of the record; from here on it is the truth.
        let Some(live) = self.claim(mem, chain.head, pending, State::Live) else {
            return Err(PutError::Lost);
        };
        self.live_add(usize::from(rec.db), epoch, 1);
        // A reader that scanned past the new slot and comes to the old one after it is gone sees this move.
        if !mutant("put-no-fence") {
            self.bump(&rec.id);
        }
        if !mutant("put-keeps-older") {
            self.kill(mem, &rec.id, |head| head.block != chain.head && head.version <= rec.version);
        }
        let w4 = Deadline::new(rec.deadline_ms, live.gen16()).0;
        Ok(Put {
            replaced: old.filter(|(_, h)| !h.deadline.expired(now_ms)).map(|(_, h)| mem.meta(&h, now_ms)),
            rebucketed: old.is_none_or(|(at, _)| at.bucket != place.bucket),
            at: BlockRef { index: chain.head, ctl: live.0, w4 },
        })
    }

    /// Kills every copy of a key, whoever holds it, and moves its fence first, so that what is being filled
    /// from older knowledge dies too.
    pub fn delete(&self, id: &KeyId, _key: &[u8]) -> Deleted {
        if !mutant("delete-no-fence") {
            self.bump(id);
        }
        // SYNC POINT: an insert that this scan misses must see the bump when it looks at the fence.
        fence(Ordering::SeqCst);
        let mem = self.mem();
        Deleted { found: self.kill(mem, id, |_| true).map(|head| mem.meta(&head, 0)) }
    }

    /// Moves the deadline of a live record in place (0: none) and returns what it was before. `None`: absent,
    /// expired, or someone has already acted on the deadline it had.
    pub fn set_deadline(&self, id: &KeyId, _key: &[u8], deadline_ms: u64, now_ms: u64) -> Option<Meta> {
        let mem = self.mem();
        for _ in 0..TRIES {
            let (_, found) = mem.newest(id, |db| self.min_epoch(db))?;
            let closed = found.deadline.closed() && !mutant("touch-closed");
            if found.deadline.expired(now_ms) || (closed && found.ctl.state() == State::Live) {
                return None;
            }
            if (found.deadline.closed() && !mutant("touch-closed"))
                || found.deadline.gen16() != found.ctl.gen16()
            {
                // Leaving: it is gone in a moment; or a torn header: look again.
                continue;
            }
            let to = found.deadline.with_ms(deadline_ms);
            let word = &mem.block(found.block)[W_DEADLINE];
            if mutant("touch-by-store") {
                word.store(to.0, Ordering::Release);
                return Some(mem.meta(&found, now_ms));
            }
            let moved = word.compare_exchange(found.deadline.0, to.0, Ordering::AcqRel, Ordering::Relaxed);
            // The old value bears the generation, so only that incarnation can have been moved; whether it
            // was still readable then is asked now.
            if moved.is_ok() && mem.still(found.block, found.ctl) {
                // Who prolongs a session uses it: behind a cache an owner sees the touches and not the reads. Right
                // after a read it is the same use.
                if mem.refs_idle(found.block, now_ms).1 > 0 {
                    mem.count_read(found.block, now_ms);
                }
                return Some(mem.meta(&found, now_ms));
            }
        }
        None
    }

    /// Ends the record of a key if it is past its deadline, and says what it was. For the one caller that won it.
    pub fn expire_key(&self, id: &KeyId, now_ms: u64) -> Option<Meta> {
        let mem = self.mem();
        let (_, head) = mem.newest(id, |db| self.min_epoch(db))?;
        self.retire_expired(mem, &head, now_ms).then(|| mem.meta(&head, now_ms))
    }

    /// Ends a record whose deadline, as it was seen in `at`, has passed. False if it was touched since, or is
    /// no longer that incarnation.
    pub fn close_expired(&self, at: &BlockRef, now_ms: u64) -> bool {
        let mem = self.mem();
        if at.index >= self.geometry.blocks {
            return false;
        }
        let ctl = mem.load_ctl(at.index);
        if ctl.generation() != Ctl(at.ctl).generation() || ctl.state() == State::Leaving {
            return false;
        }
        let Some(head) = mem.proven_head(at.index, ctl) else {
            return false;
        };
        self.retire_expired(mem, &Head { deadline: Deadline(at.w4), ..head }, now_ms)
    }

    pub(crate) fn accepts(&self, rec: &NewRecord<'_>) -> Result<(), PutError> {
        let max = u64::from(self.cfg.value_bytes_max);
        if rec.value.len() as u64 > max {
            return Err(PutError::TooLarge { len: rec.value.len() as u64, max });
        }
        if rec.key.len() > KEY_BYTES_LIMIT {
            return Err(PutError::KeyTooLarge { len: rec.key.len() as u64, max: KEY_BYTES_LIMIT as u64 });
        }
        if usize::from(rec.db) >= DATABASES || rec.kind > KIND_MAX {
            return Err(PutError::Range { db: rec.db, kind: rec.kind });
        }
        Ok(())
    }

    /// Puts a PENDING block into a loose slot of its key's buckets.
    pub(crate) fn link(&self, id: &KeyId, block: u32, pending: Ctl) -> Option<Place> {
        self.link_at(None, id, block, pending)
    }

    /// [`Section::link`] that tries a place first which was found loose before. Only an empty slot is still loose when
    /// its word is the same: a block that a loose slot names may have been taken for this very record meanwhile.
    fn link_at(&self, found: Option<(Place, Slot)>, id: &KeyId, block: u32, pending: Ctl) -> Option<Place> {
        let mem = self.mem();
        let mut found = found.filter(|(_, slot)| *slot == Slot::EMPTY);
        let slot = Slot::new(crate::index::tag(id), pending.gen16(), block);
        for _ in 0..TRIES {
            let (place, loose) = match found.take() {
                Some(found) => found,
                None => mem.loose_place(id)?,
            };
            let word = mem.slot_word(place);
            if mutant("link-by-store") {
                word.store(slot.0, Ordering::Release);
                return Some(place);
            }
            if word.compare_exchange(loose.0, slot.0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return Some(place);
            }
        }
        None
    }

    /// Reclaims what is expired or flushed in a key's two full buckets; true if a slot came free.
    pub(crate) fn clear_buckets(&self, id: &KeyId, now_ms: u64) -> bool {
        let mem = self.mem();
        for place in mem.places(id) {
            let slot = Slot(mem.slot_word(place).load(Ordering::Acquire));
            if let Some(block) = slot.block(&self.geometry) {
                let ctl = mem.load_ctl(block);
                if ctl.gen16() == slot.gen16() {
                    self.reclaim(mem, block, ctl, now_ms, true);
                }
            }
        }
        mem.loose_place(id).is_some()
    }
}
