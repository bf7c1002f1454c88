//! Ending records: killing, scrubbing, freeing, and doing the same for those who died at it.

use crate::blocks::{Ctl, Mem, Slot, State};
use crate::index::tag;
use crate::layout::{FORGOTTEN, HEAD_WORDS};
use crate::record::{ChainWord, Deadline, Head, Shape, W_CHAIN, W_DEADLINE, W_SHAPE, W_VERSION};
use crate::section::{Section, count};
use crate::sync::{Ordering, fence, mutant};
use crate::types::KeyId;
use crate::words::zero_words;
use crate::{KEY_BYTES_LIMIT, Mode};

/// Reloads of a control word while killing. Within one generation a record changes state a few times only;
/// the cap is for garbage.
const KILL_TRIES: usize = if cfg!(any(loom, shuttle)) { 4 } else { 64 };

impl Section {
    /// Ends one exact incarnation (PENDING or readable). True for the one caller that won it.
    pub(crate) fn retire(&self, mem: Mem<'_>, block: u32, ctl: Ctl) -> bool {
        if ctl.state().readable() && !mutant("forgotten-late") && !self.let_go(mem, block, ctl) {
            return false;
        }
        let late = mutant("forgotten-late").then(|| mem.block(block)[W_VERSION].load(Ordering::Relaxed));
        let gone = self.end(mem, block, ctl);
        late.inspect(|version| self.forgotten(*version));
        gone
    }

    /// [`Section::retire`] without a note of its version.
    fn end(&self, mem: Mem<'_>, block: u32, ctl: Ctl) -> bool {
        let Some(dead) = self.claim(mem, block, ctl, State::Dead) else {
            return false;
        };
        if ctl.state().readable() {
            let shape = Shape(mem.block(block)[W_SHAPE].load(Ordering::Relaxed));
            self.live_add(shape.db(), shape.epoch(), -1);
        }
        self.finish_dead(mem, block, dead);
        true
    }

    /// Notes that a cache is about to know the version of a record no more. False if the block is not that incarnation
    /// any more: what its words say now may be somebody's bytes.
    ///
    /// SYNC POINT: before the CAS that ends the record. Whoever looks for newer copies and finds it ended sees this.
    fn let_go(&self, mem: Mem<'_>, block: u32, ctl: Ctl) -> bool {
        if self.cfg.mode != Mode::Cache || mutant("forgotten-untold") {
            return true;
        }
        let version = mem.block(block)[W_VERSION].load(Ordering::Relaxed);
        // SYNC POINT: as in `Mem::still`, for the exact word.
        if !mutant("let-go-no-acquire") {
            fence(Ordering::Acquire);
        }
        if mem.load_ctl(block) != ctl && !mutant("forgotten-unproven") {
            return false;
        }
        self.forgotten(version);
        true
    }

    /// Notes that nothing here tells any more that everything up to `version` is history, of whatever key:
    /// [`Section::fill_late`] keeps nothing that old.
    pub fn forgotten(&self, version: u64) {
        let word = &self.mem().words[FORGOTTEN];
        let mut newest = word.load(Ordering::Relaxed);
        // Each failure means that another process raised it.
        while newest < version {
            match word.compare_exchange(newest, version, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => newest = now,
            }
        }
    }

    /// From DEAD(me) to FREE: out of the index, continuations first, then the head.
    fn finish_dead(&self, mem: Mem<'_>, block: u32, dead: Ctl) {
        let id = mem.id_words(block);
        mem.unlink(&id, block, dead);
        // SYNC POINT: readers who see a scrubbed word see DEAD (or later) when they look at the head again.
        if !mutant("scrub-no-release") {
            fence(Ordering::Release);
        }
        let mut next = ChainWord(mem.block(block)[W_CHAIN].load(Ordering::Relaxed)).first();
        for _ in 0..self.chain_cap() {
            let Some(member) = mem.checked(next) else { break };
            let ctl = mem.load_ctl(member);
            let link = mem.block(member)[1].load(Ordering::Relaxed);
            let ours = ctl.state() == State::Continuation
                && ctl.generation() == dead.generation()
                && (link >> 32) as u32 == block;
            // The first that is not ours any more ends the walk: who took it, or the hand, takes the rest.
            if !ours || mutant("continuations-left") {
                break;
            }
            let Some(gone) = self.claim(mem, member, ctl, State::Dead) else {
                break;
            };
            next = link as u32;
            self.scrub(mem, member);
            self.free(mem, member, gone);
        }
        self.scrub(mem, block);
        self.free(mem, block, dead);
    }

    /// Most continuations that a record can have.
    pub(crate) fn chain_cap(&self) -> usize {
        let most = self.geometry.record_blocks(KEY_BYTES_LIMIT, self.geometry.value_bytes_max as usize);
        most.min(self.geometry.blocks) as usize
    }

    /// Zeroes everything but the control word: sessions are secrets, and a free block must not tell.
    pub(crate) fn scrub(&self, mem: Mem<'_>, block: u32) {
        if !mutant("no-scrub") {
            zero_words(&mem.block(block)[1..]);
        }
    }

    /// Frees a WRITING, PENDING or DEAD block whose owner is gone.
    pub(crate) fn reclaim_dead(&self, mem: Mem<'_>, block: u32, ctl: Ctl) {
        if let Some(dead) = self.claim(mem, block, ctl, State::Dead) {
            count(&self.counters.recovered);
            self.finish_dead(mem, block, dead);
        }
    }

    /// Makes an abandoned hand-off (EVICTING or LEAVING) ours again, to be sent once more. Its deadline may
    /// have been closed by a releaser that died; the record stays, so touches must work. (One that was closed
    /// because it was past is past without the mark.)
    pub(crate) fn take_over(&self, mem: Mem<'_>, block: u32, ctl: Ctl) -> Option<Ctl> {
        let mine = self.claim(mem, block, ctl, State::Evicting)?;
        self.next_turn(mem, block, ctl, true);
        Some(mine)
    }

    /// Moves the deadline word on to its next turn, so that no release of an earlier hand-off fits it.
    pub(crate) fn next_turn(&self, mem: Mem<'_>, block: u32, ctl: Ctl, reopen: bool) {
        let word = &mem.block(block)[W_DEADLINE];
        for _ in 0..KILL_TRIES {
            let seen = Deadline(word.load(Ordering::Acquire));
            let next = if reopen && !mutant("taken-over-closed") {
                seen.next_turn().reopen()
            } else {
                seen.next_turn()
            };
            if seen.gen16() != ctl.gen16()
                || mutant("same-turn")
                || word.compare_exchange(seen.0, next.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            {
                return;
            }
        }
    }

    /// What the hand does with any block it meets that is not free: takes back what nobody owns any more.
    /// Live records go only if flushed, or (`expired_too`) past their deadline.
    pub(crate) fn reclaim(&self, mem: Mem<'_>, block: u32, ctl: Ctl, now_ms: u64, expired_too: bool) {
        match ctl.state() {
            State::Free => {}
            State::Writing | State::Pending | State::Dead => {
                if !self.presence.alive(ctl.owner(), Some(now_ms)) || mutant("living-reclaimed") {
                    self.reclaim_dead(mem, block, ctl);
                }
            }
            State::Live | State::Evicting => {
                let Some(head) = mem.proven_head(block, ctl) else {
                    return;
                };
                if head.shape.epoch() != self.min_epoch(head.shape.db()) {
                    if self.retire(mem, block, ctl) {
                        count(&self.counters.recovered);
                    }
                } else if expired_too && head.deadline.expired(now_ms) {
                    self.expire_in_passing(mem, &head, now_ms);
                }
            }
            State::Leaving => {}
            State::Continuation => self.reclaim_continuation(mem, block, ctl),
            State::Garbage => {
                if let Some(dead) = self.claim(mem, block, ctl, State::Dead) {
                    count(&self.counters.corrupt);
                    self.scrub(mem, block);
                    self.free(mem, block, dead);
                }
            }
        }
    }

    /// A continuation is live while its head has the same generation and is being written or readable.
    /// `ctl` was loaded before the link, and is exact: it can never be live again under that word.
    fn reclaim_continuation(&self, mem: Mem<'_>, block: u32, ctl: Ctl) {
        let link = mem.block(block)[1].load(Ordering::Relaxed);
        let head = (link >> 32) as u32;
        if head < self.geometry.blocks && head != block {
            let head_ctl = mem.load_ctl(head);
            let state = head_ctl.state();
            let held = state.killable() || (state == State::Writing && !mutant("written-chain-reclaimed"));
            if head_ctl.generation() == ctl.generation() && held && !mutant("live-chain-reclaimed") {
                return;
            }
        }
        let ctl = if mutant("continuation-late-word") { mem.load_ctl(block) } else { ctl };
        if let Some(dead) = self.claim(mem, block, ctl, State::Dead) {
            count(&self.counters.recovered);
            fence(Ordering::Release);
            self.scrub(mem, block);
            self.free(mem, block, dead);
        }
    }

    /// Ends a record that is past its deadline: closes exactly the deadline that was judged, so that no
    /// touch can slip in between, then kills older copies, then the record. False if a touch came first.
    pub(crate) fn retire_expired(&self, mem: Mem<'_>, head: &Head, now_ms: u64) -> bool {
        if !head.deadline.expired(now_ms) || !self.close(mem, head.block, head.ctl, head.deadline) {
            return false;
        }
        self.kill_older(mem, &head.id, head.version, head.block);
        let gone = self.retire(mem, head.block, head.ctl);
        if gone {
            count(&self.counters.expired);
        }
        gone
    }

    /// CAS of an exact deadline word to CLOSED; true also if someone has closed exactly that deadline.
    pub(crate) fn close(&self, mem: Mem<'_>, block: u32, ctl: Ctl, judged: Deadline) -> bool {
        if judged.gen16() != ctl.gen16() {
            return false;
        }
        let word = &mem.block(block)[W_DEADLINE];
        match word.compare_exchange(judged.0, judged.close().0, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => true,
            Err(found) => found == judged.close().0 || mutant("close-not-exact"),
        }
    }

    /// Kills copies that are older than `version`, so that none of them outlives the record that hid it.
    /// In cache mode an observer has killed them before the record was published.
    pub(crate) fn kill_older(&self, mem: Mem<'_>, id: &KeyId, version: u64, except: u32) {
        if self.cfg.mode != Mode::Owner || mutant("older-outlives") {
            return;
        }
        let older = |head: &Head| head.block != except && head.version < version;
        let mut any = false;
        mem.each_copy(id, |db| self.min_epoch(db), |_| (), |_, head| any |= older(&head));
        if any {
            // Whoever stored the newer copy may not have come to moving the fence yet, and a reader may have
            // passed its slot before it was linked: it must not find the older one gone and nothing moved.
            if !mutant("older-no-fence") {
                self.bump(id);
            }
            self.kill(mem, id, older);
        }
    }

    /// Kills every PENDING or readable record of a key, of any owner, that `doomed` names. Returns the newest
    /// readable one of them, as it was.
    pub(crate) fn kill(&self, mem: Mem<'_>, id: &KeyId, doomed: impl Fn(&Head) -> bool) -> Option<Head> {
        let mut newest: Option<Head> = None;
        let buckets = if mutant("kill-one-bucket") { 1 } else { 2 };
        let searched = mem.buckets_of(id).into_iter().take(buckets);
        for place in searched.flat_map(|bucket| mem.tagged(bucket, tag(id))) {
            let slot = Slot(mem.slot_word(place).load(Ordering::Acquire));
            if slot == Slot::EMPTY || slot.tag() != tag(id) {
                continue;
            }
            let Some(block) = slot.block(&self.geometry) else {
                continue;
            };
            for _ in 0..KILL_TRIES {
                let ctl = mem.load_ctl(block);
                let spared = ctl.state() == State::Pending && mutant("pending-survives");
                if ctl.gen16() != slot.gen16() || !ctl.state().killable() || spared {
                    break;
                }
                // Read under this control word; the CAS that kills is exact, so they belong together.
                let head = mem.head(block, ctl);
                if (head.id != *id && !mutant("kill-any-id")) || !doomed(&head) {
                    break;
                }
                // One attempt is not enough: the demoter may move LIVE to EVICTING and back meanwhile.
                if self.retire(mem, block, ctl) {
                    let stale = head.shape.epoch() != self.min_epoch(head.shape.db());
                    if ctl.state().readable()
                        && !stale
                        && newest.as_ref().is_none_or(|n| head.version >= n.version)
                    {
                        newest = Some(head);
                    }
                    break;
                }
                if mutant("kill-once") {
                    break;
                }
            }
        }
        newest
    }

    /// Takes out a record whose bytes do not match their checksum or key.
    pub(crate) fn retire_corrupt(&self, mem: Mem<'_>, block: u32, ctl: Ctl) {
        // Its version may be what is wrong with it, and a wrong one would be believed for ever.
        if self.end(mem, block, ctl) {
            count(&self.counters.corrupt);
        }
    }

    /// Whether a header could have been written by us: sizes in range, generations agreeing.
    pub(crate) fn plausible(&self, head: &Head) -> bool {
        let key_ok = self.cfg.keep_keys || head.shape.key_len() == 0;
        key_ok
            && head.shape.value_len() <= self.geometry.value_bytes_max as usize
            && head.deadline.gen16() == head.ctl.gen16()
            && self.geometry.block_words > HEAD_WORDS
    }
}
