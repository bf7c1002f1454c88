//! The index: two candidate buckets of eight slots per key.

use crate::blocks::{Ctl, Mem, Slot, State};
use crate::layout::BUCKET_SLOTS;
use crate::record::{Head, W_ID_HI, W_ID_LO};
use crate::sync::{Ordering, mutant};
use crate::types::KeyId;
use crate::words::tag_bits;

/// Tag of a key: the low bits of `hi`; its bucket comes from the high bits.
#[inline]
pub(crate) fn tag(id: &KeyId) -> u16 {
    id.hi as u16
}

/// Loose slots with which a bucket takes a record whatever the other one has. At two thirds load this loses nothing:
/// a record meets two full buckets as rarely as if the emptier were always taken (one slot less makes it a third
/// likelier). At one third 90 % of all records are in their first bucket, not 63 %.
const LOOSE_ENOUGH: usize = if cfg!(any(loom, shuttle)) { BUCKET_SLOTS } else { BUCKET_SLOTS / 2 };

/// A slot word found in one of the key's buckets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) bucket: u64,
    pub(crate) index: usize,
}

/// The places of one bucket that bear a tag, in slot order. Found without a branch for each slot: which of eight it
/// is cannot be predicted.
pub(crate) struct Tagged {
    bucket: u64,
    bits: u32,
}

impl Iterator for Tagged {
    type Item = Place;

    #[inline]
    fn next(&mut self) -> Option<Place> {
        if self.bits == 0 {
            return None;
        }
        let index = self.bits.trailing_zeros() as usize;
        self.bits &= self.bits - 1;
        Some(Place { bucket: self.bucket, index })
    }
}

impl<'a> Mem<'a> {
    /// The two buckets of a key, always different. Multiply-shift instead of a mask: any number of buckets.
    #[inline]
    pub(crate) fn buckets_of(self, id: &KeyId) -> [u64; 2] {
        let n = self.geometry.buckets;
        let first = (u128::from(id.lo) * u128::from(n)) >> 64;
        let second = (u128::from(id.hi) * u128::from(n - 1)) >> 64;
        let (first, second) = (first as u64, second as u64);
        [first, second + u64::from(second >= first)]
    }

    #[inline]
    pub(crate) fn slot_word(self, place: Place) -> &'a crate::sync::AtomicU64 {
        &self.bucket(place.bucket)[place.index]
    }

    /// The sixteen places of a key.
    pub(crate) fn places(self, id: &KeyId) -> impl Iterator<Item = Place> + use<> {
        self.buckets_of(id)
            .into_iter()
            .flat_map(|bucket| (0..BUCKET_SLOTS).map(move |index| Place { bucket, index }))
    }

    /// Calls `f` with each readable record of the key, in slot order: proven readable when its control word
    /// was loaded, not proven since. Flushed ones are passed over, expired ones are not (they outrank older
    /// copies, which must not come back when a newer one expires). `ahead` is told of each block before its
    /// memory is waited for.
    #[inline]
    pub(crate) fn each_copy(
        self,
        id: &KeyId,
        min_epoch: impl Fn(usize) -> u16,
        ahead: impl Fn(u32),
        mut f: impl FnMut(Place, Head),
    ) {
        let tag = tag(id);
        // A bucket at a time: most keys are in their first, and their record is asked for before the second comes.
        for bucket in self.searched(id) {
            for place in self.tagged(bucket, tag) {
                // SYNC POINT: Acquire pairs with the CAS that linked the slot.
                let slot = Slot(self.slot_word(place).load(Ordering::Acquire));
                if slot.tag() != tag || slot == Slot::EMPTY {
                    continue;
                }
                let Some(block) = slot.block(self.geometry) else {
                    continue;
                };
                ahead(block);
                let ctl = self.load_ctl(block);
                if !ctl.state().readable() || ctl.gen16() != slot.gen16() {
                    continue;
                }
                // All 128 bits without early exit: the time must not tell how much of a guess was right.
                let found = self.id_words(block);
                if (found.hi ^ id.hi) | (found.lo ^ id.lo) != 0 && !mutant("read-any-id") {
                    continue;
                }
                let head = Head { id: *id, ..self.head(block, ctl) };
                if head.shape.epoch() != min_epoch(head.shape.db()) && !mutant("read-flushed") {
                    continue;
                }
                f(place, head);
            }
        }
    }

    /// The buckets that a search goes through: both.
    #[inline]
    fn searched(self, id: &KeyId) -> impl Iterator<Item = u64> + use<> {
        self.buckets_of(id).into_iter().take(if mutant("read-one-bucket") { 1 } else { 2 })
    }

    /// The places of a bucket that bear a tag.
    #[inline]
    pub(crate) fn tagged(self, bucket: u64, tag: u16) -> Tagged {
        Tagged { bucket, bits: tag_bits(self.bucket(bucket), tag) }
    }

    /// The newest readable copy of a key; equal versions: the later incarnation's block.
    #[inline]
    pub(crate) fn newest(self, id: &KeyId, min_epoch: impl Fn(usize) -> u16) -> Option<(Place, Head)> {
        self.newest_ahead(id, min_epoch, |_| ())
    }

    /// [`Mem::newest`], with a word to `ahead` about each block before its memory is waited for.
    #[inline]
    pub(crate) fn newest_ahead(
        self,
        id: &KeyId,
        min_epoch: impl Fn(usize) -> u16,
        ahead: impl Fn(u32),
    ) -> Option<(Place, Head)> {
        let mut best: Option<(Place, Head)> = None;
        self.each_copy(id, min_epoch, ahead, |place, head| {
            if best.as_ref().is_none_or(|(_, b)| head.version >= b.version && !mutant("read-first-copy")) {
                best = Some((place, head));
            }
        });
        best
    }

    /// Whether nothing that matters hangs on this slot: empty, out of range, or naming a block that is no
    /// longer (linked means PENDING or readable) that incarnation.
    pub(crate) fn slot_is_loose(self, slot: Slot) -> bool {
        let Some(block) = slot.block(self.geometry) else {
            return true;
        };
        let ctl = self.load_ctl(block);
        let passing = ctl.state() == State::Pending && mutant("pending-loses-slot");
        (ctl.gen16() != slot.gen16() && !mutant("dangling-keeps-slot")) || !ctl.state().killable() || passing
    }

    /// Empties the slot of one incarnation; no harm if another hand did so before.
    pub(crate) fn unlink(self, id: &KeyId, block: u32, ctl: Ctl) {
        let wanted = Slot::new(tag(id), ctl.gen16(), block);
        for place in self.buckets_of(id).into_iter().flat_map(|bucket| self.tagged(bucket, tag(id))) {
            let word = self.slot_word(place);
            if word.load(Ordering::Acquire) == wanted.0 {
                if mutant("unlink-by-store") {
                    word.store(Slot::EMPTY.0, Ordering::Release);
                }
                let _ = word.compare_exchange(wanted.0, Slot::EMPTY.0, Ordering::AcqRel, Ordering::Relaxed);
                return;
            }
        }
    }

    /// The identity words of a block, whatever they are.
    pub(crate) fn id_words(self, block: u32) -> KeyId {
        let w = self.block(block);
        KeyId { hi: w[W_ID_HI].load(Ordering::Relaxed), lo: w[W_ID_LO].load(Ordering::Relaxed) }
    }

    /// The loose slot to link in: in the first bucket while that is half empty, so that readers find most records
    /// there; else in the emptier one, which keeps both from filling up. Slots that name a block are looked into
    /// only if none is empty: each costs a miss of the caches.
    pub(crate) fn loose_place(self, id: &KeyId) -> Option<(Place, Slot)> {
        let own = |slot: Slot| mutant("put-in-old-slot") && slot != Slot::EMPTY && slot.tag() == tag(id);
        self.loosest(id, |slot| slot == Slot::EMPTY || own(slot))
            .or_else(|| self.loosest(id, |slot| self.slot_is_loose(slot)))
    }

    fn loosest(self, id: &KeyId, is_loose: impl Fn(Slot) -> bool) -> Option<(Place, Slot)> {
        let mut best: Option<(usize, Place, Slot)> = None;
        for bucket in self.buckets_of(id) {
            let mut loose = None;
            let mut count = 0;
            for (index, word) in self.bucket(bucket).iter().enumerate() {
                let slot = Slot(word.load(Ordering::Acquire));
                if is_loose(slot) {
                    count += 1;
                    loose = loose.or(Some((Place { bucket, index }, slot)));
                }
            }
            if count >= LOOSE_ENOUGH {
                return loose;
            }
            if let Some((place, slot)) = loose
                && best.as_ref().is_none_or(|(most, ..)| count > *most)
            {
                best = Some((count, place, slot));
            }
        }
        best.map(|(_, place, slot)| (place, slot))
    }
}
