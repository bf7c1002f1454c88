//! How much of a section's block area holds live headers and payload when it is full, for mixes of sizes.
//!
//! A record counts with its header of 64 bytes, its key (where keys are kept) and its value. Everything else is
//! loss: headers of further blocks, the unused end of a record's last block, blocks that are free, dead, or of
//! records that are no longer readable.

use gs_shm::{
    Fill, Geometry, Mix, Mode, NewRecord, NotCached, OpenError, PutError, Release, Section, SectionConfig,
    Verdict, Victim,
};

use crate::sim::random::Random;

/// Bytes of a record's header.
const HEADER_BYTES: u64 = 64;
/// Bytes of every key.
pub const KEY_BYTES: usize = 32;
/// Share of the blocks that a demoter keeps free ahead of demand, in per cent, as in the shipped configuration.
const FREE_TARGET_PCT: u64 = 3;
/// Times the block area is written over before a level counts as the level of this mix.
const TURNS: u64 = 3;
/// Tries of one put, with room made in between.
const PUT_TRIES: usize = 8;
/// One record in so many is destroyed by its owner before it grows old.
const DESTROYED_ONE_IN: u64 = 8;
/// Sizes drawn for the advice.
const SAMPLE: usize = 50_000;

/// Sizes of values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sizes {
    /// Every value has so many bytes.
    All(usize),
    /// The logarithm is uniform between the two.
    LogUniform(usize, usize),
}

impl Sizes {
    /// How it is called in a table.
    pub fn name(&self) -> String {
        match self {
            Sizes::All(bytes) => format!("all {bytes} B"),
            Sizes::LogUniform(from, to) => format!("{from} B to {} KiB, log-uniform", to >> 10),
        }
    }

    fn draw(&self, random: &mut Random) -> usize {
        match *self {
            Sizes::All(bytes) => bytes,
            Sizes::LogUniform(from, to) => {
                (from as f64 * (to as f64 / from as f64).powf(random.unit())) as usize
            }
        }
    }

    /// What `gs-server section stat` would advise for a section that holds this mix.
    pub fn advised(&self, mode: Mode) -> u32 {
        let (mut mix, mut random) = (Mix::default(), Random::new(1));
        for _ in 0..SAMPLE {
            mix.add(if keep_keys(mode) { KEY_BYTES } else { 0 }, self.draw(&mut random), 1);
        }
        mix.advise().map_or(gs_shm::BLOCK_BYTES_DEFAULT, |fit| fit.block_bytes)
    }
}

/// Front ends keep identities alone.
fn keep_keys(mode: Mode) -> bool {
    mode == Mode::Owner
}

/// A full section.
#[derive(Clone, Copy, Debug, Default)]
pub struct Level {
    /// Readable records.
    pub records: u64,
    /// Their headers, keys and values, as a share of the block area.
    pub live: f64,
    /// Share of the blocks that is not free.
    pub used: f64,
    /// Writes of the last mix that were refused.
    pub refused: u64,
    /// Writes of the last mix.
    pub writes: u64,
    /// Writes that met two full buckets and made room there.
    pub bucket_full: u64,
    /// Readable records of an earlier mix.
    pub strangers: u64,
}

/// A section that is written to as its tier does: a front end's evicts, an owner's is kept from being full by a
/// demoter, and loses records to deletes as well.
pub struct Room {
    section: Section,
    now_ms: u64,
    next_key: u64,
    random: Random,
    /// First key of the mix that is written now.
    mix_from: u64,
}

impl Room {
    /// An empty one in private memory.
    pub fn new(mode: Mode, block_bytes: u32, capacity_bytes: u64) -> Result<Room, OpenError> {
        let cfg = SectionConfig {
            capacity_bytes,
            block_bytes,
            value_bytes_max: 1 << 16,
            keep_keys: keep_keys(mode),
            mode,
            policy_fingerprint: 0,
        };
        let section = Section::heap(&cfg, 0)?;
        Ok(Room { section, now_ms: 1_000_000, next_key: 0, random: Random::new(7), mix_from: 0 })
    }

    /// Writes records of these sizes until the section has been written over several times, and looks.
    pub fn fill(&mut self, sizes: Sizes) -> Level {
        self.mix_from = self.next_key;
        let (mut written, mut level) = (0, Level::default());
        let enough = u64::from(self.section.geometry().blocks) * TURNS;
        let before = self.section.stats().bucket_full;
        let mut value = Vec::new();
        while written < enough {
            value.resize(sizes.draw(&mut self.random), 7u8);
            let key = key(self.next_key);
            self.next_key += 1;
            self.now_ms += 1;
            level.writes += 1;
            let key_len = if keep_keys(self.section.config().mode) { key.len() } else { 0 };
            written += u64::from(self.section.geometry().record_blocks(key_len, value.len()));
            level.refused += u64::from(!self.write(&key, &value));
        }
        level.bucket_full = self.section.stats().bucket_full - before;
        self.look(level)
    }

    fn write(&mut self, key: &[u8], value: &[u8]) -> bool {
        let id = self.section.key_id(0, key);
        let rec = NewRecord {
            id,
            db: 0,
            key,
            value,
            version: self.next_key,
            deadline_ms: 0,
            kind: 0,
            created_ms: self.now_ms,
        };
        match self.section.config().mode {
            Mode::Cache => {
                let filled = self.section.fill(&rec, self.section.ticket(&id), self.now_ms);
                !matches!(
                    filled,
                    Fill::NotCached(NotCached::NoRoom | NotCached::NoSlot | NotCached::TooLarge)
                )
            }
            Mode::Owner => self.put(&rec),
        }
    }

    fn put(&mut self, rec: &NewRecord<'_>) -> bool {
        self.destroy_some();
        self.demote();
        for _ in 0..PUT_TRIES {
            match self.section.put(rec, self.now_ms) {
                Ok(_) => return true,
                Err(PutError::BucketFull) => {
                    let mut victims = Vec::new();
                    self.section.bucket_victims(&rec.id, self.now_ms, &mut victims);
                    self.hand_off(&victims);
                }
                Err(PutError::Full { .. }) => self.demote(),
                Err(_) => return false,
            }
        }
        false
    }

    fn destroy_some(&mut self) {
        if self.random.bits().is_multiple_of(DESTROYED_ONE_IN) && self.next_key > 0 {
            let key = key(self.random.bits() % self.next_key);
            self.section.delete(&self.section.key_id(0, &key), &key);
        }
    }

    /// The demoter's turn: what the hand meets goes, until enough is free.
    fn demote(&mut self) {
        let target = u64::from(self.section.geometry().blocks) * FREE_TARGET_PCT / 100;
        let mut victims = Vec::new();
        while self.section.free_blocks() < target {
            self.section.sweep(32, self.now_ms, &mut |_| Verdict::Take, &mut victims);
            self.hand_off(&victims);
            victims.clear();
        }
    }

    fn hand_off(&self, victims: &[Victim]) {
        for victim in victims {
            let released = self.section.release(&victim.at);
            debug_assert_eq!(released, Release::Freed);
        }
    }

    fn look(&self, mut level: Level) -> Level {
        let Geometry { blocks, block_bytes, .. } = *self.section.geometry();
        let area = u64::from(blocks) * u64::from(block_bytes);
        let mut live = 0;
        let strangers_below = self.mix_from;
        self.section.scan_buckets(0, u32::MAX, self.now_ms, &mut |meta, _| {
            level.records += 1;
            level.strangers += u64::from(meta.version <= strangers_below);
            live += HEADER_BYTES + u64::from(meta.key_len) + u64::from(meta.value_len);
        });
        level.live = live as f64 / area as f64;
        level.used = 1.0 - self.section.free_blocks() as f64 / f64::from(blocks);
        level
    }

    /// Proves the section's invariants.
    pub fn check(&self) -> Result<(), Vec<String>> {
        self.section.check(self.now_ms).map(|_| ())
    }
}

fn key(n: u64) -> Vec<u8> {
    format!("sess:{:027}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_bytes()
}

/// The three mixes of the promise.
pub const MIXES: [Sizes; 3] = [Sizes::All(64), Sizes::All(384), Sizes::LogUniform(64, 16 << 10)];
