//! Who leaves when there is no room: the hand meets records, and somebody chooses among them.
//!
//! One record alone cannot tell whether it is the one to go; a few hundred neighbours can, since a record's place says
//! nothing about its use. So the hand looks at a window of blocks and evicts the most deserving of what it met there.
//! Nothing is remembered from one window to the next, in shared memory or out of it.

use crate::blocks::{Ctl, Mem, State};
use crate::hand::HAND_STEP;
use crate::layout;
use crate::section::{Section, count};
use crate::sync::{Ordering, mutant};
use crate::types::Victim;

/// A live record that the hand met.
#[derive(Clone, Copy, Debug)]
pub struct Met {
    /// Reference count, 0..=3: reads since it came.
    pub refs: u8,
    /// Milliseconds since it was last read or stored, in steps of a second.
    pub idle_ms: u64,
    block: u32,
    ctl: Ctl,
}

/// Moves the records that shall go, `usize` of them at most, to the front, and returns how many they are.
pub type Choose = fn(&mut [Met], usize) -> usize;

/// The choice of a section that was told none: the longest idle.
pub(crate) fn longest_idle(met: &mut [Met], wanted: usize) -> usize {
    met.sort_unstable_by_key(|met| (std::cmp::Reverse(met.idle_ms), met.refs));
    wanted.min(met.len())
}

/// Blocks made free beyond what is asked for, so that one walk serves many writes...
const AHEAD_MAX: usize = 64;
/// ... but no more than one in so many of a small section, whose hit ratio they would cost.
const AHEAD_ONE_IN: usize = 4096;
/// Blocks looked at for each that is wanted.
const WINDOW_PER_BLOCK: usize = 8;
/// Blocks looked at in any case.
const WINDOW_LEAST: usize = 256;

impl Section {
    /// Says who chooses what this process evicts.
    pub fn set_choose(&mut self, choose: Choose) {
        self.choose = choose;
    }

    /// Cache mode: makes room for `needed` blocks and a few more, evicting if none is free. Returns free blocks that
    /// the walk met; those that it freed are hints already.
    pub(crate) fn make_room(&self, mem: Mem<'_>, needed: usize, now_ms: u64) -> Vec<u32> {
        let blocks = self.geometry.blocks as usize;
        let wanted = needed + (blocks / AHEAD_ONE_IN).min(AHEAD_MAX);
        let window = (wanted * WINDOW_PER_BLOCK).max(WINDOW_LEAST).min(blocks);
        let mut free = Vec::new();
        let mut met = Vec::with_capacity(window);
        self.meet(mem, window, now_ms, &mut met, |block| {
            free.extend(block);
            free.len() + self.hints() < wanted
        });
        let short = wanted.saturating_sub(free.len() + self.hints());
        let chosen =
            if mutant("read-evicted") { short.min(met.len()) } else { (self.choose)(&mut met, short) };
        for one in met.iter().take(chosen) {
            // A long record freed several.
            if free.len() + self.hints() >= wanted {
                break;
            }
            if self.retire(mem, one.block, one.ctl) {
                count(&self.counters.evicted);
            }
        }
        free
    }

    /// Owner mode: marks up to `wanted` records EVICTING(me), the most deserving of those in the next `probes` blocks,
    /// for the caller to hand off. What is abandoned is reclaimed on the way; expired records are left to
    /// [`Section::expire_sweep`], which tells each.
    pub fn sweep_coldest(&self, probes: u32, wanted: usize, now_ms: u64, victims: &mut Vec<Victim>) {
        if self.detached() {
            return;
        }
        let mem = self.mem();
        let mut met = Vec::new();
        self.meet(mem, probes.min(self.geometry.blocks) as usize, now_ms, &mut met, |_| true);
        let chosen = (self.choose)(&mut met, wanted);
        for one in met.iter().take(chosen) {
            if let Some(head) = mem.proven_head(one.block, one.ctl)
                && self.plausible(&head)
                && head.shape.epoch() == self.min_epoch(head.shape.db())
                && !head.deadline.expired(now_ms)
            {
                victims.extend(self.mark(mem, &head));
            }
        }
    }

    /// Moves the shared hand over `window` blocks, as long as `go_on` says so; it is told each free block.
    fn meet(
        &self,
        mem: Mem<'_>,
        window: usize,
        now_ms: u64,
        met: &mut Vec<Met>,
        mut go_on: impl FnMut(Option<u32>) -> bool,
    ) {
        let cache = self.cfg.mode == crate::Mode::Cache;
        let blocks = u64::from(self.geometry.blocks);
        let mut left = window as u64;
        while left > 0 && go_on(None) {
            let step = left.min(HAND_STEP);
            left -= step;
            let from = mem.words[layout::HAND].fetch_add(step, Ordering::Relaxed);
            for at in 0..step {
                let block = (from.wrapping_add(at) % blocks) as u32;
                let ctl = mem.load_ctl(block);
                if ctl.state() == State::Free {
                    go_on(Some(block));
                    continue;
                }
                self.reclaim(mem, block, ctl, now_ms, cache);
                let ctl = mem.load_ctl(block);
                if ctl.state() == State::Live {
                    let (refs, idle_ms) = mem.refs_idle(block, now_ms);
                    mem.age(block, now_ms, false);
                    met.push(Met { refs, idle_ms, block, ctl });
                }
            }
        }
    }
}
