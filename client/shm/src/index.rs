//! The index: two candidate buckets of eight slots per key.

use crate::blocks::{Ctl, Mem, Slot, State};
use crate::layout::BUCKET_SLOTS;
use crate::record::{Head, W_ID_HI, W_ID_LO};
use crate::sync::{Ordering, mutant};
use crate::types::KeyId;

/// Tag of a key: the low bits of `hi`; its bucket comes from the high bits.
#[inline]
pub(crate) fn tag(id: &KeyId) -> u16 {
    id.hi as u16
}

/// A slot word found in one of the key's buckets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) bucket: u64,
    pub(crate) index: usize,
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
    /// copies, which must not come back when a newer one expires).
    #[inline]
    pub(crate) fn each_copy(
        self,
        id: &KeyId,
        min_epoch: impl Fn(usize) -> u16,
        mut f: impl FnMut(Place, Head),
    ) {
        let tag = tag(id);
        for (nth, bucket) in self.buckets_of(id).into_iter().enumerate() {
            if nth == 1 && mutant("read-one-bucket") {
                break;
            }
            for (index, word) in self.bucket(bucket).iter().enumerate() {
                // SYNC POINT: Acquire pairs with the CAS that linked the slot.
                let slot = Slot(word.load(Ordering::Acquire));
                if slot.tag() != tag || slot == Slot::EMPTY {
                    continue;
                }
                let Some(block) = slot.block(self.geometry) else {
                    continue;
                };
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
                f(Place { bucket, index }, head);
            }
        }
    }

    /// The newest readable copy of a key; equal versions: the later incarnation's block.
    #[inline]
    pub(crate) fn newest(self, id: &KeyId, min_epoch: impl Fn(usize) -> u16) -> Option<(Place, Head)> {
        let mut best: Option<(Place, Head)> = None;
        self.each_copy(id, min_epoch, |place, head| {
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
        for place in self.places(id) {
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

    /// The loose slot to link in: the emptier bucket first, which keeps both from filling up.
    pub(crate) fn loose_place(self, id: &KeyId) -> Option<(Place, Slot)> {
        let mut best: Option<(usize, Place, Slot)> = None;
        for bucket in self.buckets_of(id) {
            let mut loose = None;
            let mut count = 0;
            for (index, word) in self.bucket(bucket).iter().enumerate() {
                let slot = Slot(word.load(Ordering::Acquire));
                let own = mutant("put-in-old-slot") && slot != Slot::EMPTY && slot.tag() == tag(id);
                if self.slot_is_loose(slot) || own {
                    count += 1;
                    loose = loose.or(Some((Place { bucket, index }, slot)));
                }
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
