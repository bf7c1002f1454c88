//! Blocks: the control word and its states, and the view of the section that the operations share.
//!
//! ```text
//! head block   w0 ctl [state 4 | owner 12 | generation 48]   w1, w2 key id   w3 version
//!              w4 [deadline ms 41 | gen16 | turn 6 | closed] w5 [epoch 16 | db 4 | kind 4 | key len 16 | value len 24]
//!              w6 checksum                                   w7 [first continuation+1 (32) | made at, s (32)]
//!              payload: key words (where keys are kept), value words
//! continuation w0 ctl, generation of the head                w1 [head (32) | next+1 (32)]   payload
//! ```
//! A block's generation never goes backwards, so an exact control word names one incarnation for ever
//! (48 bits: at a million reuses a second of one block, nine years).

use crate::Geometry;
use crate::layout::{self, BUCKET_SLOTS};
use crate::sync::{AtomicU16, AtomicU64, Ordering, mutant};

const GENERATION_BITS: u32 = 48;
const GENERATION_MASK: u64 = (1 << GENERATION_BITS) - 1;

/// States of a block. Only these are ever written; anything else is garbage and is reclaimed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Takable by anyone.
    Free,
    /// Being filled by its owner.
    Writing,
    /// Complete and linked, not yet readable.
    Pending,
    /// Readable.
    Live,
    /// Being scrubbed by its owner.
    Dead,
    /// Readable; its owner copies it to another node.
    Evicting,
    /// Readable; its owner, the releaser, has decided against any abort and is about to free it.
    Leaving,
    /// Belongs to the head that it names.
    Continuation,
    /// Nothing that we wrote.
    Garbage,
}

impl State {
    fn from_bits(bits: u64) -> State {
        match bits {
            0 => State::Free,
            1 => State::Writing,
            2 => State::Pending,
            3 => State::Live,
            4 => State::Dead,
            5 => State::Evicting,
            6 => State::Leaving,
            7 => State::Continuation,
            _ => State::Garbage,
        }
    }

    /// Whether a reader may answer from it.
    #[inline]
    pub(crate) fn readable(self) -> bool {
        match self {
            State::Live => true,
            State::Evicting => !mutant("evicting-unreadable"),
            State::Leaving => !mutant("leaving-unreadable"),
            _ => false,
        }
    }

    /// Whether a delete must kill it.
    pub(crate) fn killable(self) -> bool {
        self.readable() || self == State::Pending
    }
}

/// A control word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ctl(pub(crate) u64);

impl Ctl {
    pub(crate) fn new(state: State, owner: u16, generation: u64) -> Ctl {
        Ctl((state as u64) << 60 | u64::from(owner & 0xfff) << GENERATION_BITS | generation & GENERATION_MASK)
    }

    #[inline]
    pub(crate) fn state(self) -> State {
        State::from_bits(self.0 >> 60)
    }

    pub(crate) fn owner(self) -> u16 {
        (self.0 >> GENERATION_BITS) as u16 & 0xfff
    }

    #[inline]
    pub(crate) fn generation(self) -> u64 {
        self.0 & GENERATION_MASK
    }

    #[inline]
    pub(crate) fn gen16(self) -> u16 {
        self.0 as u16
    }

    /// The same incarnation in another state.
    pub(crate) fn to(self, state: State, owner: u16) -> Ctl {
        Ctl::new(state, owner, self.generation())
    }

    /// The next incarnation.
    pub(crate) fn next(self, state: State, owner: u16) -> Ctl {
        Ctl::new(state, owner, self.generation().wrapping_add(1))
    }
}

/// An index slot: `[tag 16 | gen16 | block + 1]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slot(pub(crate) u64);

impl Slot {
    pub(crate) const EMPTY: Slot = Slot(0);

    pub(crate) fn new(tag: u16, gen16: u16, block: u32) -> Slot {
        Slot(u64::from(tag) << 48 | u64::from(gen16) << 32 | (u64::from(block) + 1))
    }

    #[inline]
    pub(crate) fn tag(self) -> u16 {
        (self.0 >> 48) as u16
    }

    #[inline]
    pub(crate) fn gen16(self) -> u16 {
        (self.0 >> 32) as u16
    }

    /// The block, if the slot is not empty and the section has such a block.
    #[inline]
    pub(crate) fn block(self, geometry: &Geometry) -> Option<u32> {
        let block = (self.0 as u32).checked_sub(1)?;
        (block < geometry.blocks || mutant("slot-unbounded")).then_some(block)
    }
}

/// The section as the operations see it: two slices and the private geometry that indexes them.
///
/// Block numbers given to its methods must be below `geometry.blocks`: [`Slot::block`] and
/// [`Mem::checked`] are the only doors for numbers that come out of the section.
#[derive(Clone, Copy)]
pub(crate) struct Mem<'a> {
    pub(crate) words: &'a [AtomicU64],
    pub(crate) touch: &'a [AtomicU16],
    pub(crate) geometry: &'a Geometry,
}

impl<'a> Mem<'a> {
    /// All words of a block.
    #[inline]
    pub(crate) fn block(self, block: u32) -> &'a [AtomicU64] {
        let at = self.geometry.blocks_at + block as usize * self.geometry.block_words;
        &self.words[at..at + self.geometry.block_words]
    }

    #[inline]
    pub(crate) fn ctl(self, block: u32) -> &'a AtomicU64 {
        &self.words[self.geometry.blocks_at + block as usize * self.geometry.block_words]
    }

    #[inline]
    pub(crate) fn load_ctl(self, block: u32) -> Ctl {
        Ctl(self.ctl(block).load(Ordering::Acquire))
    }

    /// One CAS of a control word: the only way a block changes state.
    pub(crate) fn cas_ctl(self, block: u32, old: Ctl, new: Ctl) -> bool {
        let old = if mutant("ctl-not-exact") { self.load_ctl(block) } else { old };
        self.ctl(block).compare_exchange(old.0, new.0, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// A block number read from the section, if there is such a block (stored plus one, 0 is none).
    #[inline]
    pub(crate) fn checked(self, stored: u32) -> Option<u32> {
        Slot(u64::from(stored)).block(self.geometry)
    }

    #[inline]
    pub(crate) fn bucket(self, bucket: u64) -> &'a [AtomicU64] {
        let at = self.geometry.buckets_at + bucket as usize * BUCKET_SLOTS;
        &self.words[at..at + BUCKET_SLOTS]
    }

    #[inline]
    pub(crate) fn fence_word(self, lo: u64) -> &'a AtomicU64 {
        &self.words[layout::FENCES + (lo as usize & (self.geometry.fences - 1))]
    }

    /// Counts a read: one reference more, and the second it happened. Stored only when it changes, so a
    /// hot record's line stays shared among the readers for a second.
    #[inline]
    pub(crate) fn count_read(self, block: u32, now_ms: u64) {
        let word = &self.touch[block as usize];
        let old = word.load(Ordering::Relaxed);
        let refs = ((old >> 14) + 1).min(3);
        let new = refs << 14 | tick(now_ms);
        if new != old {
            word.store(new, Ordering::Relaxed);
        }
    }

    /// References and idle milliseconds.
    pub(crate) fn refs_idle(self, block: u32, now_ms: u64) -> (u8, u64) {
        let word = self.touch[block as usize].load(Ordering::Relaxed);
        let idle_s = tick(now_ms).wrapping_sub(word) & TICK_MASK;
        ((word >> 14) as u8, u64::from(idle_s) * 1000)
    }

    /// Takes one reference away, and keeps a long idleness from wrapping to a short one.
    pub(crate) fn age(self, block: u32, now_ms: u64, demerit: bool) {
        let word = &self.touch[block as usize];
        let old = word.load(Ordering::Relaxed);
        let refs = (old >> 14).saturating_sub(u16::from(demerit));
        let idle_s = tick(now_ms).wrapping_sub(old) & TICK_MASK;
        let at = if idle_s > IDLE_S_KEPT {
            tick(now_ms).wrapping_sub(IDLE_S_KEPT) & TICK_MASK
        } else {
            old & TICK_MASK
        };
        let new = refs << 14 | at;
        if new != old {
            word.store(new, Ordering::Relaxed);
        }
    }

    /// A new record: never read, stored now.
    pub(crate) fn start_touch(self, block: u32, now_ms: u64) {
        self.touch[block as usize].store(tick(now_ms), Ordering::Relaxed);
    }
}

const TICK_MASK: u16 = 0x3fff;
/// Idleness beyond this is kept at it (4 h): the 14-bit second counter wraps after 4.5 h.
const IDLE_S_KEPT: u16 = 14_400;

fn tick(now_ms: u64) -> u16 {
    (now_ms / 1000) as u16 & TICK_MASK
}

#[cfg(test)]
mod tests {
    use super::*;

    // A control word gives back what was put in, and the generation wraps inside its field.
    #[test]
    fn ctl_round_trip() {
        for state in [State::Free, State::Writing, State::Leaving, State::Continuation] {
            let ctl = Ctl::new(state, 4095, GENERATION_MASK);
            assert_eq!((ctl.state(), ctl.owner(), ctl.generation()), (state, 4095, GENERATION_MASK));
            assert_eq!(ctl.next(State::Free, 1).generation(), 0);
            assert_eq!(ctl.next(State::Free, 1).owner(), 1);
        }
        assert_eq!(Ctl(0xf << 60).state(), State::Garbage);
    }
}
