//! Layout version 3: where every word of the section is, as one pure function of the configuration.
//!
//! ```text
//! word    0  identity: magic, versions, architecture, configuration echo, layout hash, nonce
//!        64  hot line: state, lease, flush counter         (read by every lookup, written hardly ever)
//!        72  min_epoch[16]                                 one per logical database: a flush is O(1)
//!        96  live count[16], used blocks                   advisory counters
//!       120  applied_seq, relay                            the agent's line
//!       128  hand                                          the shared CLOCK hand
//!       136  forgotten                                     newest version that a cache let go
//!       512  process words[1024]                           1 = slot in use or left dirty
//!      1536  fences                                        monotonic, bumped by every delete
//!            buckets, 8 slots each                         [tag16 | gen16 | block+1 (32)], 0 is empty
//!            blocks, block_bytes each                      see `record` and `blocks`
//!            touch, u16 per block                          [refs 2 | second of last read 14]
//! ```
//! Nobody computes an offset from what the section says: an attacher recomputes all of them from the
//! configuration, compares the layout hash, and keeps its own copy.

use crate::{GeometryError, SectionConfig, VALUE_BYTES_LIMIT};

/// "gs-shm01" as a little-endian word.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"gs-shm01");
/// Version of everything in this file.
pub(crate) const LAYOUT_VERSION: u64 = 3;
/// Oldest reader that understands it.
pub(crate) const MIN_READER: u64 = 3;
/// Byte order and word size: a section never crosses machines, but a file name may.
pub(crate) const ARCH: u64 = 0x0102_0304_0506_0708;
/// Optional parts in use: none yet.
pub(crate) const FEATURES: u64 = 0;

/// Loom's atomics are heavy: under it the same fields sit without padding and the arrays are short.
const fn pick(real: usize, dense: usize) -> usize {
    if cfg!(any(loom, shuttle)) { dense } else { real }
}

/// Word offsets of the identity part.
pub(crate) mod ident {
    pub(crate) const MAGIC: usize = 0;
    pub(crate) const LAYOUT_VERSION: usize = 1;
    pub(crate) const MIN_READER: usize = 2;
    pub(crate) const ARCH: usize = 3;
    pub(crate) const FEATURES: usize = 4;
    pub(crate) const TOTAL_LEN: usize = 5;
    pub(crate) const CAPACITY: usize = 6;
    pub(crate) const BLOCK_BYTES: usize = 7;
    pub(crate) const VALUE_BYTES_MAX: usize = 8;
    pub(crate) const KEEP_KEYS: usize = 9;
    pub(crate) const MODE: usize = 10;
    pub(crate) const POLICY: usize = 11;
    pub(crate) const LAYOUT_HASH: usize = 12;
    pub(crate) const NONCE_HI: usize = 13;
    pub(crate) const NONCE_LO: usize = 14;
    pub(crate) const SECRET_CHECK: usize = 15;
    /// Diagnostic only.
    pub(crate) const CREATED_AT: usize = 16;
    /// Diagnostic only: pids repeat and differ between namespaces.
    pub(crate) const CREATOR_PID: usize = 17;
}

pub(crate) const STATE: usize = pick(64, 18);
pub(crate) const LEASE: usize = STATE + 1;
pub(crate) const FLUSHES: usize = STATE + 2;
pub(crate) const MIN_EPOCH: usize = pick(72, 21);
pub(crate) const LIVE: usize = pick(96, 37);
pub(crate) const USED: usize = pick(112, 53);
pub(crate) const APPLIED_SEQ: usize = pick(120, 54);
pub(crate) const AGENT_RELAY: usize = APPLIED_SEQ + 1;
pub(crate) const HAND: usize = pick(128, 56);
pub(crate) const FORGOTTEN: usize = pick(136, 57);
pub(crate) const PROCS: usize = pick(512, 58);
/// Process slots are `1..PROC_SLOTS`; 0 is nobody.
pub(crate) const PROC_SLOTS: usize = pick(1024, 4);
pub(crate) const FENCES: usize = PROCS + PROC_SLOTS;

/// Values of the state word.
pub(crate) const STATE_READY: u64 = 0x0052_4541_4459;
#[cfg(not(any(loom, shuttle)))]
pub(crate) const STATE_RETIRED: u64 = 0x5245_5449_5245;

/// Words of a head block before its payload.
pub(crate) const HEAD_WORDS: usize = 8;
/// Words of a continuation block before its payload.
pub(crate) const CONT_WORDS: usize = 2;
/// Slots of a bucket: one cache line.
pub(crate) const BUCKET_SLOTS: usize = pick(8, 2);

const PAGE: u64 = 4096;
pub(crate) const BLOCK_BYTES_MIN: u32 = if cfg!(any(loom, shuttle)) { 72 } else { 128 };
pub(crate) const BLOCK_BYTES_MAX: u32 = 4096;
/// Key bytes that the smallest permitted section leaves room for beside the longest value.
const KEY_ALLOWANCE_BYTES: usize = pick(1024, 8);
const BLOCKS_MIN: u64 = pick(16, 2) as u64;
/// What a block costs beside itself: 3/2 slots of 8 bytes, 2 touch bytes.
pub(crate) const PER_BLOCK_BYTES: u64 = 14;

/// Where everything is: private to the process, never read back from the section.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Geometry {
    /// Bytes of a block.
    pub block_bytes: u32,
    /// Number of blocks.
    pub blocks: u32,
    /// Number of buckets of 8 slots.
    pub buckets: u64,
    /// Bytes of the whole section, at most the capacity asked for.
    pub total_len: u64,
    /// Longest value.
    pub value_bytes_max: u32,
    /// Whether keys are kept.
    pub keep_keys: bool,
    /// Number of fence words, a power of two.
    pub(crate) fences: usize,
    pub(crate) block_words: usize,
    pub(crate) buckets_at: usize,
    pub(crate) blocks_at: usize,
    /// Length of the part made of u64 words; the touch bytes follow.
    pub(crate) words: usize,
}

impl Geometry {
    /// The layout that follows from a configuration: as many blocks as fit, with 3 slots for 2 blocks. If every
    /// object fits into one block, a full section loads the index to two thirds; of the records stored into a
    /// full section with that load, one in three thousand meets two full buckets (at 5 slots for 3 blocks one in
    /// 200,000, at 4 for 3 one in a hundred).
    pub fn of(cfg: &SectionConfig) -> Result<Geometry, GeometryError> {
        let block = cfg.block_bytes;
        if !(BLOCK_BYTES_MIN..=BLOCK_BYTES_MAX).contains(&block) || !block.is_multiple_of(8) {
            return Err(GeometryError::BlockBytes(block));
        }
        if cfg.value_bytes_max == 0 || cfg.value_bytes_max > VALUE_BYTES_LIMIT {
            return Err(GeometryError::ValueBytes(cfg.value_bytes_max));
        }
        let key_allowance = if cfg.keep_keys { KEY_ALLOWANCE_BYTES } else { 0 };
        let needed = record_blocks(block, key_allowance, cfg.value_bytes_max as usize) as u64;
        let blocks_least = needed.max(BLOCKS_MIN);
        // Fences are added by `place`.
        let mut blocks = cfg.capacity_bytes / (u64::from(block) + PER_BLOCK_BYTES);
        if blocks >= u64::from(u32::MAX) {
            let most = place(cfg, u64::from(u32::MAX) - 1).total_len;
            return Err(GeometryError::TooLarge { capacity: cfg.capacity_bytes, most });
        }
        // `place` is monotonic in the number of blocks: shrink by the overshoot until it fits.
        while blocks >= blocks_least {
            let geometry = place(cfg, blocks);
            match geometry.total_len.checked_sub(cfg.capacity_bytes) {
                None | Some(0) => return Ok(geometry),
                Some(over) => blocks -= (over / (u64::from(block) + 64)).max(1).min(blocks),
            }
        }
        let least = place(cfg, blocks_least).total_len;
        Err(GeometryError::TooSmall { capacity: cfg.capacity_bytes, least })
    }

    /// Blocks that a record takes. Key and value each start on a word.
    pub fn record_blocks(&self, key_len: usize, value_len: usize) -> u32 {
        record_blocks(self.block_bytes, if self.keep_keys { key_len } else { 0 }, value_len)
    }

    /// Number of slots of the index.
    pub fn slots(&self) -> u64 {
        self.buckets * BUCKET_SLOTS as u64
    }

    /// One word that differs wherever two processes would look for something in different places, or treat
    /// what they find there differently.
    pub(crate) fn layout_hash(&self, cfg: &SectionConfig) -> u64 {
        let parts = [
            LAYOUT_VERSION,
            cfg.capacity_bytes,
            cfg.mode as u64,
            cfg.policy_fingerprint,
            u64::from(self.block_bytes),
            u64::from(self.blocks),
            self.buckets,
            self.total_len,
            u64::from(self.value_bytes_max),
            u64::from(self.keep_keys),
            self.fences as u64,
            self.buckets_at as u64,
            self.blocks_at as u64,
            self.words as u64,
        ];
        let mut bytes = Vec::with_capacity(parts.len() * 8);
        for part in parts {
            bytes.extend_from_slice(&part.to_le_bytes());
        }
        xxhash_rust::xxh3::xxh3_64(&bytes)
    }
}

fn record_blocks(block_bytes: u32, key_len: usize, value_len: usize) -> u32 {
    blocks_for_words(block_bytes, key_len.div_ceil(8) + value_len.div_ceil(8))
}

/// Blocks that a payload of so many words takes.
pub(crate) fn blocks_for_words(block_bytes: u32, words: usize) -> u32 {
    let head = block_bytes as usize / 8 - HEAD_WORDS;
    let cont = block_bytes as usize / 8 - CONT_WORDS;
    1 + words.saturating_sub(head).div_ceil(cont) as u32
}

fn place(cfg: &SectionConfig, blocks: u64) -> Geometry {
    let block_words = cfg.block_bytes as usize / 8;
    let fences = if cfg!(any(loom, shuttle)) {
        2
    } else {
        (blocks as usize / 4).next_power_of_two().clamp(64, 65_536)
    };
    let buckets = (blocks * 3).div_ceil(2 * BUCKET_SLOTS as u64).max(2);
    let buckets_at = (FENCES + fences).next_multiple_of(8);
    let blocks_at = buckets_at + buckets as usize * BUCKET_SLOTS;
    let words = blocks_at + blocks as usize * block_words;
    let bytes = words as u64 * 8 + blocks * 2;
    Geometry {
        block_bytes: cfg.block_bytes,
        blocks: blocks as u32,
        buckets,
        total_len: if cfg!(any(loom, shuttle)) { bytes } else { bytes.next_multiple_of(PAGE) },
        value_bytes_max: cfg.value_bytes_max,
        keep_keys: cfg.keep_keys,
        fences,
        block_words,
        buckets_at,
        blocks_at,
        words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BLOCK_BYTES_DEFAULT, Mode};

    fn cfg(capacity: u64) -> SectionConfig {
        SectionConfig { capacity_bytes: capacity, value_bytes_max: 4096, ..SectionConfig::default() }
    }

    // A section never takes more than was asked, and wastes little of it.
    #[test]
    fn fits_the_capacity_and_uses_it() {
        for capacity in [256 << 10, 1 << 20, (1 << 20) + 4097, 64 << 20, 256 << 20, 10 << 30] {
            let geometry = Geometry::of(&cfg(capacity)).expect("large enough");
            assert!(geometry.total_len <= capacity, "{capacity}: {geometry:?}");
            assert!(geometry.total_len + 8192 + capacity / 1000 > capacity, "{capacity}: {geometry:?}");
            assert!(geometry.slots() * 2 >= u64::from(geometry.blocks) * 3);
        }
    }

    // Bad sizes are the configuration's fault and are said with the number that would do.
    #[test]
    fn refuses_with_the_limit() {
        let small = Geometry::of(&cfg(10_000)).expect_err("too small");
        let GeometryError::TooSmall { least, .. } = small else { panic!("{small:?}") };
        assert!(Geometry::of(&cfg(least)).is_ok());
        assert!(Geometry::of(&cfg(least - 4096)).is_err());
        for block_bytes in [0, 8, 127, 129, 100_000] {
            let bad = SectionConfig { block_bytes, ..cfg(1 << 20) };
            assert_eq!(Geometry::of(&bad), Err(GeometryError::BlockBytes(block_bytes)));
        }
        let bad = SectionConfig { value_bytes_max: 1 << 24, ..cfg(1 << 30) };
        assert!(matches!(Geometry::of(&bad), Err(GeometryError::ValueBytes(_))));
        assert!(matches!(Geometry::of(&cfg(u64::MAX)), Err(GeometryError::TooLarge { .. })));
    }

    // A session of 32 + 384 bytes fills two default blocks to the last word, and one of 480. In all it costs no
    // more than 110 bytes beside its own at the default, and no more than 80 where it has a block to itself.
    #[test]
    fn counts_blocks() {
        let geometry = Geometry::of(&cfg(1 << 20)).expect("fits");
        assert_eq!(geometry.record_blocks(32, 384), 2);
        assert_eq!(geometry.record_blocks(33, 384), 3);
        assert_eq!(geometry.record_blocks(32, 152), 1);
        assert_eq!(geometry.record_blocks(32, 153), 2);
        for (block_bytes, most) in [(BLOCK_BYTES_DEFAULT, 110.0), (480, 80.0)] {
            let capacity_bytes = 512 << 20;
            let geometry = Geometry::of(&SectionConfig { block_bytes, ..cfg(capacity_bytes) }).expect("fits");
            let sessions = geometry.blocks / geometry.record_blocks(32, 384);
            let each = geometry.total_len as f64 / f64::from(sessions) - 416.0;
            assert!(each <= most, "{block_bytes}: {each}");
        }
        assert_eq!(geometry.record_blocks(0, 0), 1);
        let wide = Geometry::of(&SectionConfig { block_bytes: 480, ..cfg(1 << 20) }).expect("fits");
        assert_eq!(wide.record_blocks(32, 384), 1);
        let cache = SectionConfig { keep_keys: false, mode: Mode::Cache, ..cfg(1 << 20) };
        assert_eq!(Geometry::of(&cache).expect("fits").record_blocks(1000, 184), 1);
    }
}
