//! Going through the section: by buckets (SCAN), by blocks (expiry), at random, and flushing.

use crate::blocks::{Mem, Slot, State};
use crate::layout;
use crate::read::PayloadWords;
use crate::record::Head;
use crate::section::Section;
use crate::sync::{Ordering, mutant};
use crate::types::Meta;
use crate::{DATABASES, Mode};

/// Flushes of one database between two walks that take every flushed record out: epochs have 16 bits, so a
/// flushed record must not be left standing until its epoch comes round again.
const EPOCHS_PER_PURGE: u16 = 1 << 14;
/// Buckets tried for a random key before a full turn is made.
const RANDOM_TURN: u64 = 1 << 20;

/// Records that ended in passing and wait to be told of, at most.
const PASSED_MAX: usize = 65_536;

impl Section {
    /// Shows the readable, unexpired records of `buckets` buckets, beginning at `from`, with their keys (empty
    /// where keys are not kept); of a key's copies the newest. Returns where to go on, `None` at the end.
    /// What exists throughout is shown, at most once unless it is rewritten meanwhile.
    pub fn scan_buckets(
        &self,
        from: u64,
        buckets: u32,
        now_ms: u64,
        f: &mut dyn FnMut(&Meta, &[u8]),
    ) -> Option<u64> {
        let mem = self.mem();
        let end = from.saturating_add(u64::from(buckets)).min(self.geometry.buckets);
        let mut key = Vec::new();
        for bucket in from..end {
            for word in mem.bucket(bucket) {
                let slot = Slot(word.load(Ordering::Acquire));
                if let Some(head) = self.listed(mem, slot, now_ms, &mut key) {
                    f(&mem.meta(&head, now_ms), &key);
                }
            }
        }
        (end < self.geometry.buckets).then_some(end)
    }

    /// The record of a slot, if a scan should show it, and its key.
    fn listed(&self, mem: Mem<'_>, slot: Slot, now_ms: u64, key: &mut Vec<u8>) -> Option<Head> {
        let block = slot.block(&self.geometry)?;
        let ctl = mem.load_ctl(block);
        if ctl.gen16() != slot.gen16() {
            return None;
        }
        let head = self.keyed_head(mem, block, key)?;
        let flushed = head.shape.epoch() != self.min_epoch(head.shape.db());
        if flushed || head.deadline.expired(now_ms) || head.ctl.generation() != ctl.generation() {
            return None;
        }
        let (_, newest) = mem.newest(&head.id, |db| self.min_epoch(db))?;
        // Of two copies of one version (a restamp under way) the one in the index's order is shown.
        (newest.block == head.block || newest.version < head.version).then_some(head)
    }

    /// A readable head with its key, proven to belong together; `key` is replaced.
    fn keyed_head(&self, mem: Mem<'_>, block: u32, key: &mut Vec<u8>) -> Option<Head> {
        let ctl = mem.load_ctl(block);
        if !ctl.state().readable() {
            return None;
        }
        key.clear();
        let head = mem.head(block, ctl);
        let whole = self.plausible(&head) && PayloadWords::new(mem, &head).copy(head.shape.key_len(), key);
        if !mem.still(block, ctl) || !whole {
            return None;
        }
        let own = !self.cfg.keep_keys || self.key_id(head.shape.db() as u8, key) == head.id;
        own.then_some(head)
    }

    /// Ends an expired record that is in the way of a write. An owner's next sweep tells of it as of those that it
    /// ends itself.
    pub(crate) fn expire_in_passing(&self, mem: Mem<'_>, head: &Head, now_ms: u64) {
        let mut key = Vec::new();
        let owner = self.cfg.mode == Mode::Owner && !self.forked();
        let keyed = if owner { self.keyed_head(mem, head.block, &mut key) } else { None };
        let newest = mem.newest(&head.id, |db| self.min_epoch(db));
        let hidden = newest.is_some_and(|(_, n)| n.version > head.version);
        if self.retire_expired(mem, head, now_ms)
            && let Some(keyed) = keyed.filter(|keyed| keyed.ctl == head.ctl && !hidden)
        {
            let mut passed = self.passed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if passed.len() < PASSED_MAX {
                passed.push((mem.meta(&keyed, now_ms), key));
            }
        }
    }

    /// Looks at `blocks` blocks from `from_block` on, reclaims what has expired (and what was flushed or
    /// abandoned), and tells each expired record to `f` with its key. Returns where to go on; wraps.
    pub fn expire_sweep(
        &self,
        from_block: u32,
        blocks: u32,
        now_ms: u64,
        f: &mut dyn FnMut(&Meta, &[u8]),
    ) -> u32 {
        let total = self.geometry.blocks;
        if self.detached() {
            return from_block % total;
        }
        let passed =
            std::mem::take(&mut *self.passed.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        passed.iter().for_each(|(meta, key)| f(meta, key));
        let mem = self.mem();
        let mut key = Vec::new();
        let mut at = from_block % total;
        for _ in 0..blocks.min(total) {
            let ctl = mem.load_ctl(at);
            match ctl.state() {
                State::Live | State::Evicting => self.expire_one(mem, at, now_ms, &mut key, f),
                _ => self.reclaim(mem, at, ctl, now_ms, false),
            }
            at = (at + 1) % total;
        }
        at
    }

    fn expire_one(
        &self,
        mem: Mem<'_>,
        block: u32,
        now_ms: u64,
        key: &mut Vec<u8>,
        f: &mut dyn FnMut(&Meta, &[u8]),
    ) {
        let ctl = mem.load_ctl(block);
        let Some(head) = mem.proven_head(block, ctl) else {
            return;
        };
        let flushed = head.shape.epoch() != self.min_epoch(head.shape.db());
        if flushed {
            self.reclaim(mem, block, ctl, now_ms, false);
        } else if !head.deadline.expired(now_ms) {
            mem.age(block, now_ms, false);
        } else if let Some(head) = self.keyed_head(mem, block, key) {
            let meta = mem.meta(&head, now_ms);
            // A copy hidden by a newer one expires without a word: the key has not.
            let newest = mem.newest(&head.id, |db| self.min_epoch(db));
            let hidden = newest.is_some_and(|(_, n)| n.version > head.version) && !mutant("hidden-told");
            if self.retire_expired(mem, &head, now_ms) && !hidden {
                f(&meta, key);
            }
        } else {
            self.retire_expired(mem, &head, now_ms);
        }
    }

    /// Some key of a database, picked by `random`; `None` if it has none (or keys are not kept).
    pub fn random_key(&self, db: u8, random: u64, now_ms: u64) -> Option<Vec<u8>> {
        if !self.cfg.keep_keys || self.live_count(db) == 0 {
            return None;
        }
        let mem = self.mem();
        let buckets = self.geometry.buckets;
        let mut key = Vec::new();
        let first = (random >> 3) % buckets;
        for step in 0..buckets.min(RANDOM_TURN) {
            let slots = mem.bucket((first + step) % buckets);
            for turn in 0..slots.len() {
                // The first bucket from a random slot on; a full turn finds what there is.
                let word = &slots[(random as usize + turn) % slots.len()];
                let slot = Slot(word.load(Ordering::Acquire));
                if let Some(head) = self.listed(mem, slot, now_ms, &mut key)
                    && head.shape.db() == usize::from(db)
                {
                    return Some(key);
                }
            }
        }
        None
    }

    /// Makes every record of a database (or of all) invisible at once and kills every fill under way; the
    /// blocks are reclaimed by and by.
    pub fn flush_db(&self, db: Option<u8>, now_ms: u64) {
        let words = self.region.words();
        let dbs = match db {
            Some(db) => {
                let db = usize::from(db) & (DATABASES - 1);
                db..db + 1
            }
            None => 0..DATABASES,
        };
        // SYNC POINT: the counter first: a fill that still publishes after this read the epoch before, and
        // its record is invisible after the next line; one that reads the new epoch sees the counter moved.
        words[layout::FLUSHES].fetch_add(u64::from(!mutant("flush-no-counter")), Ordering::AcqRel);
        for db in dbs {
            let epoch = (words[layout::MIN_EPOCH + db].fetch_add(1, Ordering::AcqRel) as u16).wrapping_add(1);
            self.live_reset(db, epoch);
            if epoch.is_multiple_of(EPOCHS_PER_PURGE) && !mutant("flush-no-purge") {
                self.purge(now_ms);
            }
        }
    }

    /// Takes every flushed record out.
    fn purge(&self, now_ms: u64) {
        let mem = self.mem();
        for block in 0..self.geometry.blocks {
            let ctl = mem.load_ctl(block);
            self.reclaim(mem, block, ctl, now_ms, self.cfg.mode == Mode::Cache);
        }
    }
}
