//! Words moved and compared in bulk: by the machine's own means where it has them, else one by one.
//!
//! One by one go whoever follows or orders each access (miri, the model checkers), and stores and zeroes where the crash
//! tests count them.

#[cfg(all(target_arch = "x86_64", not(any(loom, shuttle, miri))))]
mod ways {
    pub(crate) use crate::map::bulk::{append_words, tag_bits};
    #[cfg(not(feature = "crash-points"))]
    pub(crate) use crate::map::bulk::{store_words, zero_words};
    #[cfg(feature = "crash-points")]
    pub(crate) use crate::words::each::{store_words, zero_words};
}

#[cfg(not(all(target_arch = "x86_64", not(any(loom, shuttle, miri)))))]
use each as ways;

pub(crate) use ways::{append_words, store_words, tag_bits, zero_words};

#[allow(dead_code, reason = "each build takes its part")]
mod each {
    use crate::blocks::Slot;
    use crate::sync::{AtomicU64, Ordering};

    /// Appends words as bytes.
    pub(crate) fn append_words(words: &[AtomicU64], out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + words.len() * 8, 0);
        for (to, from) in out[start..].as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *to = from.load(Ordering::Relaxed).to_le_bytes();
        }
    }

    /// Stores little-endian bytes into as many words as both have.
    pub(crate) fn store_words(words: &[AtomicU64], from: &[[u8; 8]]) {
        for (word, bytes) in words.iter().zip(from) {
            word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
        }
    }

    /// Zeroes words.
    pub(crate) fn zero_words(words: &[AtomicU64]) {
        for word in words {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// One bit for each slot that bears a tag.
    pub(crate) fn tag_bits(bucket: &[AtomicU64], tag: u16) -> u32 {
        // Acquire: a slot passed over here was not linked yet, or was emptied after the fence moved, and whoever
        // proves absence from that must see the move.
        let bears = |word: &AtomicU64| u32::from(Slot(word.load(Ordering::Acquire)).tag() == tag);
        bucket.iter().enumerate().fold(0, |bits, (at, word)| bits | bears(word) << at)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::sync::{AtomicU64, Ordering};

    // Words are stored and zeroed exactly as many as there are, whatever way the machine has for it: not one beside them.
    #[test]
    fn as_many_words_as_asked_for() {
        for count in 0..40 {
            let words: Vec<AtomicU64> = (0..44).map(|_| AtomicU64::new(u64::MAX)).collect();
            let from: Vec<[u8; 8]> = (1..=count).map(u64::to_le_bytes).collect();
            let seen = || words.iter().map(|word| word.load(Ordering::Relaxed)).collect::<Vec<_>>();
            let wanted = |at: u64| if (2..2 + count).contains(&at) { at - 1 } else { u64::MAX };
            store_words(&words[2..], &from);
            assert_eq!(seen(), (0..44).map(wanted).collect::<Vec<_>>(), "{count}");
            zero_words(&words[2..2 + count as usize]);
            let zeroed = |at: u64| if (2..2 + count).contains(&at) { 0 } else { u64::MAX };
            assert_eq!(seen(), (0..44).map(zeroed).collect::<Vec<_>>(), "{count}");
        }
    }

    // The machine's own way of finding tags sees exactly the slots that bear one, at their places: neighbours in
    // value, tags with the sign bit, and tags in the other parts of a word are not taken for it.
    #[test]
    fn tags_are_found_where_they_are() {
        for tag in [0u16, 1, 0x7fff, 0x8000, 0xffff, 0xabcd] {
            for at in 0..8 {
                for near in [0, 8] {
                    let words: Vec<AtomicU64> = (0..8u64)
                        .map(|n| {
                            let top = if n == at { tag } else { tag.wrapping_add(1 << (n + near)) };
                            AtomicU64::new(u64::from(top) << 48 | u64::from(tag) << (16 * (n % 3)))
                        })
                        .collect();
                    assert_eq!(tag_bits(&words, tag), 1 << at, "tag {tag:x} at {at}");
                }
            }
        }
        let all: Vec<AtomicU64> = (0..8).map(|_| AtomicU64::new(5 << 48)).collect();
        assert_eq!(tag_bits(&all, 5), 0xff);
    }
}
