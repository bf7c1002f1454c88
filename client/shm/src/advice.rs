//! Which block size suits the records that there are.

use std::collections::BTreeMap;

use crate::layout::{BLOCK_BYTES_MAX, BLOCK_BYTES_MIN, HEAD_WORDS, PER_BLOCK_BYTES, blocks_for_words};

/// Records by their size: what the choice of a block size depends on.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Mix {
    /// How many records have so many payload words.
    words: BTreeMap<u32, u64>,
    records: u64,
    bytes: u64,
}

/// What a mix costs at one block size.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Bytes of a block.
    pub block_bytes: u32,
    /// Records of the mix.
    pub records: u64,
    /// Blocks that they take.
    pub blocks: u64,
    /// Bytes of section: the blocks, their share of the index, their touch words.
    pub section_bytes: u64,
    /// Bytes of keys and values.
    pub data_bytes: u64,
}

impl Fit {
    /// Bytes of section beside a record's own, on average.
    pub fn overhead_per_record(&self) -> f64 {
        self.section_bytes.saturating_sub(self.data_bytes) as f64 / self.records.max(1) as f64
    }

    /// Share of the block area that holds headers (one of 64 bytes for each record) and payload.
    pub fn fill(&self) -> f64 {
        let live = self.data_bytes + self.records * HEAD_WORDS as u64 * 8;
        live as f64 / (self.blocks * u64::from(self.block_bytes)).max(1) as f64
    }
}

impl Mix {
    /// Counts `records` more of this size. Where keys are not kept, a key has no bytes.
    pub fn add(&mut self, key_len: usize, value_len: usize, records: u64) {
        let words = key_len.div_ceil(8) + value_len.div_ceil(8);
        *self.words.entry(words as u32).or_default() += records;
        self.records += records;
        self.bytes += (key_len + value_len) as u64 * records;
    }

    /// How many records it has.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// What it costs at a block size.
    pub fn fit(&self, block_bytes: u32) -> Fit {
        let blocks = |(words, records): (&u32, &u64)| {
            u64::from(blocks_for_words(block_bytes, *words as usize)) * records
        };
        let blocks: u64 = self.words.iter().map(blocks).sum();
        Fit {
            block_bytes,
            records: self.records,
            blocks,
            section_bytes: blocks * (u64::from(block_bytes) + PER_BLOCK_BYTES),
            data_bytes: self.bytes,
        }
    }

    /// The block size at which it takes the fewest bytes; of equals the largest, which has the shortest chains.
    /// `None` for no records.
    pub fn advise(&self) -> Option<Fit> {
        if self.records == 0 {
            return None;
        }
        let sizes = (BLOCK_BYTES_MIN..=BLOCK_BYTES_MAX).step_by(8);
        sizes
            .map(|block_bytes| self.fit(block_bytes))
            .min_by_key(|fit| (fit.section_bytes, u32::MAX - fit.block_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sizes: &[(usize, usize)]) -> Mix {
        let mut mix = Mix::default();
        sizes.iter().for_each(|&(key, value)| mix.add(key, value, 10));
        mix
    }

    // One size: a block that holds exactly one record.
    #[test]
    fn one_size_gets_a_block_of_its_own() {
        for (value, block) in [(64, 160), (384, 480), (385, 488)] {
            let fit = of(&[(32, value)]).advise().expect("there are records");
            assert_eq!((fit.block_bytes, fit.blocks), (block, 10), "{value}");
        }
        assert_eq!(of(&[]).advise(), None);
    }

    // Whatever the mix: never worse than any other size, and what it says is what the section will do.
    #[test]
    fn nothing_fits_better_than_the_advice() {
        for mix in [of(&[(32, 64), (32, 384)]), of(&[(16, 100), (40, 3000), (0, 16_000)]), of(&[(8, 1)])] {
            let advised = mix.advise().expect("there are records");
            for block_bytes in (BLOCK_BYTES_MIN..=BLOCK_BYTES_MAX).step_by(8) {
                assert!(mix.fit(block_bytes).section_bytes >= advised.section_bytes, "{block_bytes}");
            }
            assert!(advised.fill() <= 1.0 && advised.overhead_per_record() > 64.0);
        }
    }
}
