//! Asking for memory ahead of its use. A lookup in a large section is a few misses of the caches, each of which
//! waits for the one before: bucket, head, continuation. Asked for together, they cost about one.
//!
//! Nothing here decides anything: a wrong guess costs a line's traffic.

use std::ops::Range;
use std::sync::atomic::Ordering as PrivateOrdering;

use crate::blocks::{Mem, Slot};
use crate::layout::{CONT_WORDS, HEAD_WORDS};
use crate::record::Head;
use crate::section::Section;
use crate::sync::Ordering;
use crate::types::{KeyId, Lookup, Meta};

/// Keys of one window of [`Section::get_many`]: enough to hide a miss behind the others, few enough for all
/// their records to stay in the nearest cache.
const WINDOW: usize = 16;
/// Longest stretch asked for before a record's length is known: the processor's own streams take over there.
const SPAN_WORDS_MAX: usize = 128;
/// One key in so many says how long records are and whether they lie in one piece: all threads read that
/// word, so it must not be written at every hit.
const SAMPLED: u64 = 32;

impl Section {
    /// [`Section::get`] of several keys, which then wait for memory together instead of one after the other.
    /// Each value is appended to `out`; `found` is told which key it is (its index), the answer, and which
    /// part of `out` is the value (empty unless it is a hit).
    pub fn get_many(
        &self,
        keys: &[(KeyId, &[u8])],
        now_ms: u64,
        touch: bool,
        out: &mut Vec<u8>,
        mut found: impl FnMut(usize, Lookup, Range<usize>),
    ) {
        for (nth, window) in keys.chunks(WINDOW).enumerate() {
            for (id, _) in window {
                self.prefetch(id);
            }
            for (id, _) in window {
                self.prefetch_record(id);
            }
            for (at, (id, key)) in window.iter().enumerate() {
                let start = out.len();
                let answer = self.read(id, key, now_ms, touch, out, |_, _| (), |_| ());
                found(nth * WINDOW + at, answer, start..out.len());
            }
        }
    }

    /// [`Section::get`] of a key whose memory was asked for, by [`Section::prefetch`] and [`Section::prefetch_record`]:
    /// it is not asked for again.
    #[inline]
    pub fn get_asked(
        &self,
        id: &KeyId,
        key: &[u8],
        now_ms: u64,
        touch: bool,
        out: &mut Vec<u8>,
        head: impl Fn(&mut Vec<u8>, &Meta),
    ) -> Lookup {
        self.read(id, key, now_ms, touch, out, head, |_| ())
    }

    /// Asks for the cache lines of a key's buckets, ahead of a lookup.
    #[inline]
    pub fn prefetch(&self, id: &KeyId) {
        let mem = self.mem();
        for bucket in mem.buckets_of(id) {
            prefetch(&mem.bucket(bucket)[..1]);
        }
    }

    /// Asks for the buckets of the records that begin in some blocks.
    pub(crate) fn prefetch_buckets_of(&self, mem: Mem<'_>, blocks: Range<u32>) {
        // Looked at in vain there, these words would only make a model's runs longer.
        #[cfg(not(any(loom, shuttle, miri)))]
        for block in blocks {
            if let Some(head) = mem.proven_head(block, mem.load_ctl(block)) {
                self.prefetch(&head.id);
            }
        }
        #[cfg(any(loom, shuttle, miri))]
        let _ = (mem, blocks);
    }

    /// Asks for the records that a key's buckets name: the second step of a batch, once the buckets
    /// themselves have arrived.
    #[inline]
    pub fn prefetch_record(&self, id: &KeyId) {
        let mem = self.mem();
        for bucket in mem.buckets_of(id) {
            for place in mem.tagged(bucket, crate::index::tag(id)) {
                let slot = Slot(mem.slot_word(place).load(Ordering::Relaxed));
                if let Some(block) = slot.block(&self.geometry) {
                    self.prefetch_block(mem, block);
                }
            }
        }
    }

    /// Asks for a record by its head block alone, as long as records have lately been, and for its touch word.
    #[inline]
    pub(crate) fn prefetch_block(&self, mem: Mem<'_>, block: u32) {
        mem.prefetch_words(block, self.span.load(PrivateOrdering::Relaxed) as usize);
        prefetch(&mem.touch[block as usize..][..1]);
    }

    /// Asks for what [`Section::prefetch_block`] did not guess, now that the head is known, and learns.
    #[inline]
    pub(crate) fn prefetch_rest(&self, mem: Mem<'_>, head: &Head) {
        let payload = head.shape.key_len().div_ceil(8) + head.shape.value_len().div_ceil(8);
        let first = self.geometry.block_words - HEAD_WORDS;
        // Stored plus one: the block right behind the head reads as two more.
        let in_one_piece = payload <= first || head.chain.first() == head.block.wrapping_add(2);
        let asked = self.span.load(PrivateOrdering::Relaxed) as usize;
        if in_one_piece {
            let span = (HEAD_WORDS + CONT_WORDS + payload).min(SPAN_WORDS_MAX);
            if span > asked {
                mem.prefetch_words(head.block, span);
            }
            self.learn(head, asked, span);
        } else {
            if let Some(next) = mem.checked(head.chain.first()) {
                mem.prefetch_words(next, (CONT_WORDS + payload - first).min(self.geometry.block_words));
            }
            self.learn(head, asked, self.geometry.block_words);
        }
    }

    #[inline]
    fn learn(&self, head: &Head, asked: usize, span: usize) {
        if head.id.lo.is_multiple_of(SAMPLED) && span != asked {
            self.span.store(span as u64, PrivateOrdering::Relaxed);
        }
    }
}

impl Mem<'_> {
    /// Asks for the lines of the words from the start of a block on.
    #[inline]
    pub(crate) fn prefetch_words(self, block: u32, words: usize) {
        let at = self.geometry.blocks_at + block as usize * self.geometry.block_words;
        let end = (at + words).min(self.words.len());
        let Some(span) = self.words.get(at..end) else { return };
        prefetch(span);
    }
}

#[inline]
fn prefetch<T>(words: &[T]) {
    #[cfg(not(any(loom, shuttle, miri)))]
    crate::map::prefetch(words);
    #[cfg(any(loom, shuttle, miri))]
    let _ = words;
}
