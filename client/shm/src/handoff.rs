//! Handing records to another node: marked EVICTING, copied, sent, and freed only when acknowledged.
//!
//! ```text
//! LIVE --sweep--> EVICTING(marker) --release--> LEAVING(releaser) --> DEAD --> FREE
//!   ^                |     ^                        |
//!   '-----abort------'     '--deadline was touched--'
//! ```
//! All but DEAD and FREE are readable. Abort and release each move the exact control word, so one of them
//! wins: an abort that said "it stays" is never followed by a release of the same hand-off. Whoever gives a
//! hand-off up or takes it over also moves the deadline word to its next turn: a release that comes late,
//! when the record has been marked again, does not fit.

use crate::blocks::{Ctl, Mem, State};
use crate::read::PayloadWords;
use crate::record::{self, Deadline};
use crate::section::Section;
use crate::sync::mutant;
use crate::types::{BlockRef, Meta, Release, Victim};

impl Section {
    /// Appends key and value of a record that is EVICTING under exactly this control word; its metadata bear
    /// the deadline as it is now (use `meta.at` from here on). `None`: someone ended or aborted it.
    pub fn copy_victim(&self, at: &BlockRef, key: &mut Vec<u8>, value: &mut Vec<u8>) -> Option<Meta> {
        let mem = self.mem();
        let ctl = Ctl(at.ctl);
        if at.index >= self.geometry.blocks || ctl.state() != State::Evicting || mem.load_ctl(at.index) != ctl
        {
            return None;
        }
        if self.flushed(mem, at.index, ctl) {
            return None;
        }
        let head = mem.head(at.index, ctl);
        let (key_at, value_at) = (key.len(), value.len());
        let mut words = PayloadWords::new(mem, &head);
        let whole = self.plausible(&head)
            && words.copy(head.shape.key_len(), key)
            && words.copy(head.shape.value_len(), value);
        // Exact, not merely readable: whoever moved it on has it now.
        crate::sync::fence(crate::sync::Ordering::Acquire);
        let moved = mem.load_ctl(at.index) != ctl;
        let sound = whole
            && record::checksum(&head.id, head.version, head.shape, &value[value_at..]) == head.checksum
            && (!self.cfg.keep_keys || self.key_id(head.shape.db() as u8, &key[key_at..]) == head.id);
        if moved || !sound {
            key.truncate(key_at);
            value.truncate(value_at);
            if !moved {
                self.retire_corrupt(mem, at.index, ctl);
            }
            return None;
        }
        Some(mem.meta(&head, 0))
    }

    /// Frees a record whose hand-off was acknowledged. Only the process that serialises the key's writes may
    /// say so, and only once its own knowledge of the copy's whereabouts is in place: right after this a
    /// lookup finds nothing here.
    pub fn release(&self, at: &BlockRef) -> Release {
        let mem = self.mem();
        let marked = Ctl(at.ctl);
        if at.index >= self.geometry.blocks || marked.state() != State::Evicting {
            return Release::Gone;
        }
        if self.flushed(mem, at.index, marked) {
            return Release::Gone;
        }
        if mutant("release-closes-first") && !self.close(mem, at.index, marked, Deadline(at.w4)) {
            return Release::Changed;
        }
        // First decide against any abort, then against any touch: the other way round, an abort between the
        // two would leave a live record that no touch can reach.
        let Some(leaving) = self.claim(mem, at.index, marked, State::Leaving) else {
            return Release::Gone;
        };
        if !self.close(mem, at.index, leaving, Deadline(at.w4)) {
            let _ = mem.cas_ctl(at.index, leaving, marked);
            return Release::Changed;
        }
        // Older copies that a crash left behind must not surface when this one goes.
        let head = mem.head(at.index, leaving);
        self.kill_older(mem, &head.id, head.version, at.index);
        if self.retire(mem, at.index, leaving) { Release::Freed } else { Release::Gone }
    }

    /// Ends a marked record whose database was flushed since: it is not to be sent, nor listed anywhere.
    fn flushed(&self, mem: Mem<'_>, block: u32, marked: Ctl) -> bool {
        let shape = mem.head(block, marked).shape;
        // The exact CAS in `retire` makes sure that it was this incarnation's epoch.
        let flushed = shape.epoch() != self.min_epoch(shape.db()) && !mutant("flushed-sent");
        flushed && self.retire(mem, block, marked)
    }

    /// Takes a hand-off back: the record is live again. False if it was ended, released, or taken over (or a
    /// release is just deciding: its answer counts).
    pub fn abort(&self, at: &BlockRef) -> bool {
        let mem = self.mem();
        let marked = Ctl(at.ctl);
        if at.index >= self.geometry.blocks
            || marked.state() != State::Evicting
            || mem.load_ctl(at.index) != marked
        {
            return false;
        }
        // Before the control word: this record may be marked again at once, under the very same word, and a
        // release of the hand-off that is being given up here may still be on its way.
        self.next_turn(mem, at.index, marked, false);
        self.claim(mem, at.index, marked, State::Live).is_some()
    }

    /// Collects hand-offs that nobody is at work on: those of processes that are gone, and those that bear
    /// this process's own number (so call it before the first sweep). They are EVICTING(me) afterwards and
    /// are to be sent again. Goes on where the last call stopped and stops at the last block: fewer than `max`
    /// means that this turn is done.
    pub fn adopt_evicting(&self, victims: &mut Vec<Victim>, max: usize) {
        let mem = self.mem();
        let blocks = u64::from(self.geometry.blocks);
        let mut found = 0;
        while found < max {
            let at = self.adopt_cursor.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if at >= blocks {
                self.adopt_cursor.store(0, std::sync::atomic::Ordering::Relaxed);
                return;
            }
            let block = at as u32;
            if let Some(ctl) = self.adopt_one(mem, block) {
                victims.push(Victim { at: self.block_ref(mem, block, ctl) });
                found += 1;
            }
        }
    }

    fn adopt_one(&self, mem: Mem<'_>, block: u32) -> Option<Ctl> {
        let ctl = mem.load_ctl(block);
        match ctl.state() {
            State::Evicting if ctl.owner() == self.me && !mutant("own-not-adopted") => {
                self.next_turn(mem, block, ctl, true);
                Some(ctl)
            }
            // Liveness is asked afresh: abandoned hand-offs are looked for seldom and must not be missed.
            State::Evicting | State::Leaving if !self.presence.alive(ctl.owner(), None) => {
                self.take_over(mem, block, ctl)
            }
            _ => None,
        }
    }

    pub(crate) fn block_ref(&self, mem: Mem<'_>, block: u32, ctl: Ctl) -> BlockRef {
        BlockRef { index: block, ctl: ctl.0, w4: mem.head(block, ctl).deadline.0 }
    }
}
