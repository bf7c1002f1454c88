//! A model of the section's hand: the real policy, without the memory around it.
//!
//! Blocks, hints of free blocks, a window of neighbours, and `gs_policies` choosing among them, step for step as
//! `gs-shm` does it. It exists to ask "what if" (another policy, another window) faster than the real section can,
//! and a test holds the two together.

use gs_policies::Recency;

use super::Model;
use super::trace::Request;

const FREE: u32 = u32::MAX;
/// A block that continues another.
const MORE: u32 = u32::MAX - 1;

#[derive(Clone, Copy)]
struct Block {
    key: u32,
    refs: u8,
    second: u64,
    deadline_ms: u64,
}

/// How the hand goes about it; the default is what the section does.
#[derive(Clone, Copy, Debug)]
pub struct Gait {
    /// Blocks made free at once: one in so many of all.
    pub ahead_one_in: usize,
    /// Blocks looked at for each that is wanted.
    pub window_per_block: usize,
    /// Blocks looked at in any case.
    pub window_least: usize,
    /// CLOCK instead of a choice: each reference is worth a pass of the hand.
    pub clock: bool,
}

impl Default for Gait {
    fn default() -> Self {
        Gait { ahead_one_in: 4096, window_per_block: 8, window_least: 256, clock: false }
    }
}

/// The hand as it was before it chose: CLOCK with three references, 64 blocks ahead.
pub const CLOCK: Gait = Gait { ahead_one_in: 0, window_per_block: 0, window_least: 0, clock: true };

/// A section's blocks.
pub struct Hand {
    blocks: Vec<Block>,
    /// The blocks of each key.
    places: Vec<Vec<u32>>,
    hints: Vec<u32>,
    hand: usize,
    policy: Recency,
    gait: Gait,
    size: fn(u32) -> usize,
    /// Blocks that the hand passed.
    pub passed: u64,
    /// Records evicted.
    pub evicted: u64,
}

impl Hand {
    /// A section of `room` blocks; `size` says how many a key's record takes.
    pub fn new(keys: u32, room: usize, policy: Recency, gait: Gait, size: fn(u32) -> usize) -> Hand {
        let free = Block { key: FREE, refs: 0, second: 0, deadline_ms: 0 };
        Hand {
            blocks: vec![free; room],
            places: vec![Vec::new(); keys as usize],
            hints: (0..room as u32).rev().collect(),
            hand: 0,
            policy,
            gait,
            size,
            passed: 0,
            evicted: 0,
        }
    }

    fn release(&mut self, key: u32) {
        for block in std::mem::take(&mut self.places[key as usize]).into_iter().rev() {
            self.blocks[block as usize].key = FREE;
            self.hints.push(block);
        }
    }

    fn step(&mut self) -> usize {
        let at = self.hand;
        self.hand = (at + 1) % self.blocks.len();
        self.passed += 1;
        at
    }

    fn make_room(&mut self, needed: usize, now_ms: u64) {
        if self.gait.clock {
            return self.clock(needed + 64, now_ms);
        }
        let total = self.blocks.len();
        let wanted = needed + (total / self.gait.ahead_one_in).min(64);
        let window = (wanted * self.gait.window_per_block).max(self.gait.window_least).min(total);
        let mut met: Vec<(u8, u64, u32)> = Vec::with_capacity(window);
        for _ in 0..window {
            let at = self.step();
            let block = self.blocks[at];
            if block.key == FREE || block.key == MORE {
                continue;
            }
            if block.deadline_ms != 0 && block.deadline_ms <= now_ms {
                self.release(block.key);
                continue;
            }
            let idle_ms = (now_ms / 1000 - block.second) * 1000;
            met.push((block.refs, idle_ms, block.key));
        }
        let short = wanted.saturating_sub(self.hints.len());
        let chosen = self.policy.choose(&mut met, short, |(refs, idle_ms, _)| (*refs, *idle_ms));
        for (_, _, key) in met.into_iter().take(chosen) {
            if self.hints.len() >= wanted {
                break;
            }
            self.evicted += 1;
            self.release(key);
        }
    }

    fn clock(&mut self, wanted: usize, now_ms: u64) {
        for _ in 0..2048 {
            if self.hints.len() >= wanted {
                break;
            }
            let at = self.step();
            let block = &mut self.blocks[at];
            if block.key == FREE || block.key == MORE {
                continue;
            }
            let expired = block.deadline_ms != 0 && block.deadline_ms <= now_ms;
            if block.refs > 0 && !expired {
                block.refs -= 1;
                continue;
            }
            let key = block.key;
            self.evicted += u64::from(!expired);
            self.release(key);
        }
    }

    fn hit(&mut self, request: &Request, now_ms: u64, deadline_ms: u64) -> bool {
        let Some(head) = self.places[request.key as usize].first() else { return false };
        let block = &mut self.blocks[*head as usize];
        if block.deadline_ms != 0 && block.deadline_ms <= now_ms {
            self.release(request.key);
            return false;
        }
        block.refs = (block.refs + 1).min(3);
        block.second = now_ms / 1000;
        block.deadline_ms = deadline_ms;
        true
    }
}

impl Model for Hand {
    fn request(&mut self, _at: usize, request: &Request) -> bool {
        let now_ms = super::section::START_MS + request.at_ms;
        let deadline_ms = if request.ttl_ms == 0 { 0 } else { now_ms + request.ttl_ms };
        if self.hit(request, now_ms, deadline_ms) {
            return true;
        }
        let needed = (self.size)(request.key);
        for _ in 0..3 {
            if self.hints.len() < needed {
                self.make_room(needed, now_ms);
            }
        }
        if self.hints.len() >= needed {
            let blocks = self.hints.split_off(self.hints.len() - needed);
            for (at, block) in blocks.iter().rev().enumerate() {
                let key = if at == 0 { request.key } else { MORE };
                self.blocks[*block as usize] = Block { key, refs: 0, second: now_ms / 1000, deadline_ms };
            }
            self.places[request.key as usize] = blocks.into_iter().rev().collect();
        }
        false
    }

    fn remove(&mut self, request: &Request) {
        self.release(request.key);
    }
}
