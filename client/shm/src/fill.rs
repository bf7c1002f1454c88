//! Cache mode: what a front end keeps of the relay's answers. Many processes fill at once.
//!
//! The observe rule: take the ticket, only then ask the relay; whoever holds its answer, kept or not, moves
//! the fence and kills every strictly older copy before it passes the answer on; it publishes only if the
//! fence had not moved since the ticket and nothing newer was seen.

use crate::blocks::State;
use crate::index::tag;
use crate::section::{Section, count};
use crate::sync::{Ordering, fence, mutant};
use crate::types::{Fill, KeyId, NewRecord, NotCached};
use crate::{blocks::Slot, layout};

/// Attempts to take over the coldest slot of two full buckets.
const STEALS: usize = 3;

impl Section {
    /// The fence to compare a later fill with. Take it before asking the relay.
    pub fn ticket(&self, id: &KeyId) -> u64 {
        self.fence(id)
    }

    /// Steps 2 to 5 of the observe rule for an answer of the relay. When it returns, kept or not, no strictly
    /// older copy of the key is readable.
    pub fn fill(&self, rec: &NewRecord<'_>, ticket: u64, now_ms: u64) -> Fill {
        self.filled(rec, ticket, now_ms, false)
    }

    /// [`Section::fill`] for what arrives unasked, and so perhaps after what made it history. A newer record or a marker
    /// of the key stops it, as in any fill; and so does a record of any key, at least as new, that was let go, for it
    /// may have been the one that would have stopped it. The key is then asked for when it is wanted.
    pub fn fill_late(&self, rec: &NewRecord<'_>, ticket: u64, now_ms: u64) -> Fill {
        self.filled(rec, ticket, now_ms, true)
    }

    fn filled(&self, rec: &NewRecord<'_>, ticket: u64, now_ms: u64, late: bool) -> Fill {
        match self.try_fill(rec, ticket, now_ms, late) {
            Ok(()) => Fill::Cached,
            Err(why) => Fill::NotCached(why),
        }
    }

    /// Step 4 alone: this version was seen, so strictly older copies must not be read again.
    pub fn observe(&self, id: &KeyId, _key: &[u8], version: u64) {
        if !mutant("observe-no-fence") {
            self.bump(id);
        }
        // SYNC POINT: a fill that this scan misses finds the fence moved.
        fence(Ordering::SeqCst);
        let upto = version.saturating_add(u64::from(mutant("observe-kills-equal")));
        if !mutant("observe-keeps-older") {
            self.kill(self.mem(), id, |head| head.version < upto);
        }
    }

    /// Kills the copies of a key, all (`None`) or those below a version, and every fill under way for it.
    /// True if a readable one was there.
    pub fn invalidate(&self, id: &KeyId, _key: &[u8], below: Option<u64>) -> bool {
        let late = mutant("invalidate-fence-late");
        if !mutant("invalidate-no-fence") && !late {
            self.bump(id);
        }
        // SYNC POINT: as in `observe`.
        fence(Ordering::SeqCst);
        let killed = self.kill(self.mem(), id, |head| below.is_none_or(|below| head.version < below));
        if late {
            self.bump(id);
        }
        killed.is_some()
    }

    fn try_fill(&self, rec: &NewRecord<'_>, ticket: u64, now_ms: u64, late: bool) -> Result<(), NotCached> {
        let unkept = |why| {
            self.observe(&rec.id, rec.key, rec.version);
            Err(why)
        };
        if self.accepts(rec).is_err() {
            return unkept(NotCached::TooLarge);
        }
        if self.detached() {
            return unkept(NotCached::Detached);
        }
        let mem = self.mem();
        if let Some((_, here)) = mem.newest(&rec.id, |db| self.min_epoch(db))
            && here.version == rec.version
            && !here.deadline.expired(now_ms)
        {
            return unkept(NotCached::Present);
        }
        // A fence that has moved already spares the copying.
        if self.fence(&rec.id) != ticket && !mutant("fill-any-ticket") {
            return unkept(NotCached::Raced);
        }
        let key_len = if self.cfg.keep_keys { rec.key.len() } else { 0 };
        let Some(chain) = self.allocate(self.geometry.record_blocks(key_len, rec.value.len()), now_ms) else {
            count(&self.counters.full);
            return unkept(NotCached::NoRoom);
        };
        let epoch = self.min_epoch(usize::from(rec.db));
        let Some(pending) = self.build(&chain, rec, epoch, now_ms) else {
            return unkept(NotCached::NoRoom);
        };
        let linked = self.link(&rec.id, chain.head, pending).is_some()
            || self.steal(rec, chain.head, pending.gen16(), now_ms);
        if !linked {
            count(&self.counters.bucket_full);
            self.retire(mem, chain.head, pending);
            return unkept(NotCached::NoSlot);
        }
        // SYNC POINT: the slot is linked before the fence is moved, and a delete moves the fence before it
        // scans: one of the two sees the other.
        let old = self.bump(&rec.id);
        fence(Ordering::SeqCst);
        let flushes = mem.words[layout::FLUSHES].load(Ordering::Acquire);
        if !mutant("fill-keeps-older") {
            self.kill(mem, &rec.id, |head| head.block != chain.head && head.version < rec.version);
        }
        let noted = || mem.words[layout::FORGOTTEN].load(Ordering::Acquire);
        let early = mutant("forgotten-early").then(noted);
        let newer = self.newer_linked(rec, chain.head) && !mutant("fill-below-newer");
        let raced = old.wrapping_add(flushes) != ticket && !mutant("fill-any-ticket");
        // SYNC POINT: the look may have found a record alive and compared words that were scrubbed since. Who scrubbed
        // them had noted the record before, and with the words this fence sees the note.
        if !mutant("late-no-acquire") {
            fence(Ordering::Acquire);
        }
        // After the look for newer copies: what ended before that look was noted before it ended.
        let forgotten = late && early.unwrap_or_else(noted) >= rec.version;
        let refused = newer || raced || forgotten;
        if refused || !mem.cas_ctl(chain.head, pending, pending.to(State::Live, self.me)) {
            self.retire(mem, chain.head, pending);
            return Err(if newer {
                NotCached::Newer
            } else if forgotten && !raced {
                NotCached::Forgotten
            } else {
                NotCached::Raced
            });
        }
        self.live_add(usize::from(rec.db), epoch, 1);
        Ok(())
    }

    /// Whether a newer version of the key is linked, readable or about to be.
    fn newer_linked(&self, rec: &NewRecord<'_>, mine: u32) -> bool {
        let mem = self.mem();
        mem.places(&rec.id).any(|place| {
            let slot = Slot(mem.slot_word(place).load(Ordering::Acquire));
            let Some(block) = slot.block(&self.geometry) else {
                return false;
            };
            let ctl = mem.load_ctl(block);
            if slot.tag() != tag(&rec.id)
                || block == mine
                || !ctl.state().killable()
                || ctl.gen16() != slot.gen16()
            {
                return false;
            }
            let head = mem.head(block, ctl);
            head.id == rec.id && head.version > rec.version
        })
    }

    /// Both buckets are full: the coldest of the sixteen records makes room. Never one that is PENDING.
    fn steal(&self, rec: &NewRecord<'_>, block: u32, gen16: u16, now_ms: u64) -> bool {
        let mem = self.mem();
        let slot = Slot::new(tag(&rec.id), gen16, block);
        for _ in 0..STEALS {
            let Some(cold) = self.coldest(mem, &rec.id, now_ms) else {
                return false;
            };
            if self.retire(mem, cold.block, cold.ctl) {
                count(&self.counters.evicted);
            }
            let Some((place, loose)) = mem.loose_place(&rec.id) else {
                continue;
            };
            if mem
                .slot_word(place)
                .compare_exchange(loose.0, slot.0, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                return true;
            }
        }
        false
    }
}
