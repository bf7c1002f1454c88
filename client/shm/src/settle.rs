//! What a new owner settles before anybody is answered: its predecessor may have died between two steps that
//! only an owner takes, and nobody else may judge them.

use crate::Mode;
use crate::blocks::{Mem, State};
use crate::section::Section;
use crate::sync::mutant;

/// Blocks whose buckets are asked for together. A million records judged one by one wait a million times for memory,
/// and nobody is answered meanwhile.
const WINDOW: u32 = 32;

impl Section {
    /// At adoption, when the predecessor is gone: of a key's copies the one that readers are shown stays, and
    /// a release that was not finished is taken back.
    pub(crate) fn settle(&self) {
        if self.cfg.mode != Mode::Owner {
            return;
        }
        let mem = self.mem();
        let blocks = self.geometry.blocks;
        for from in (0..blocks).step_by(WINDOW as usize) {
            let window = from..blocks.min(from.saturating_add(WINDOW));
            self.prefetch_buckets_of(mem, window.clone());
            for block in window {
                self.take_back(mem, block);
                self.end_if_hidden(mem, block);
            }
        }
    }

    /// LEAVING of a dead releaser: its deadline is closed, so a touch would answer "absent" of a record that
    /// can be read.
    fn take_back(&self, mem: Mem<'_>, block: u32) {
        let ctl = mem.load_ctl(block);
        if ctl.state() == State::Leaving
            && !self.presence.alive(ctl.owner(), None)
            && !mutant("release-not-taken-back")
        {
            // The deadline first: a live record must never be one that no touch can reach.
            self.next_turn(mem, block, ctl, true);
            let _ = self.claim(mem, block, ctl, State::Live);
        }
    }

    /// A copy beside the one that readers are shown: older, or (a store of the same version that was not
    /// acknowledged) its twin. Left alone, it would surface when the other is released or expires.
    fn end_if_hidden(&self, mem: Mem<'_>, block: u32) {
        let ctl = mem.load_ctl(block);
        let Some(head) = mem.proven_head(block, ctl) else {
            return;
        };
        let current = head.shape.epoch() == self.min_epoch(head.shape.db());
        let shown = mem.newest(&head.id, |db| self.min_epoch(db));
        if current && shown.is_some_and(|(_, shown)| shown.block != block) && !mutant("twins-left") {
            // The fence first, as wherever a hidden copy goes.
            self.bump(&head.id);
            self.retire(mem, block, ctl);
        }
    }
}
