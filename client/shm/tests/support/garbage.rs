//! Operations on a section and stores of anything anywhere into it, both read from a string of bytes: what
//! the fuzzer (`fuzz/`) feeds, and what the tests replay from seeds.
//!
//! Whatever the bytes say: what is read was written for that key and version, and every call returns.
#![allow(dead_code, reason = "each user takes its part")]

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

use gs_shm::*;

use crate::random::{one_in, random_of};

pub(crate) const NOW: u64 = 1_000_000;
const NAME: &str = "g";
const LONGEST: u32 = 3_000;
const KEYS: u64 = 40;

/// Words of the section, as `layout.rs` places them.
const STATE: u64 = 64;
const EPOCHS: u64 = 72;
const COUNTS: u64 = 96;
const HAND: u64 = 128;
const PROCESSES: u64 = 512;
const FENCES: u64 = 1536;

/// Parts of a section, each stored into as often as any other.
pub(crate) const REGIONS: [&str; 9] = [
    "identity",
    "hot line",
    "epochs",
    "counts",
    "hand",
    "processes",
    "fences",
    "buckets",
    "blocks and touch",
];

/// A section that is put back to the same image before every input.
pub(crate) struct Ground {
    dir: tempfile::TempDir,
    file: File,
    image: Vec<u8>,
    mode: Mode,
    starts: [u64; REGIONS.len() + 1],
    /// Reads that were hits, and stores into each region.
    pub(crate) hits: u64,
    pub(crate) stored: [u64; REGIONS.len()],
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = Section::remove(self.dir.path(), NAME);
    }
}

/// What an input still has to say.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(u64::from(*first))
    }

    fn word(&mut self, bytes: usize) -> Option<u64> {
        (0..bytes).try_fold(0, |word, _| Some(word << 8 | self.byte()?))
    }
}

fn value(key: u64, version: u64) -> Vec<u8> {
    let mut random = random_of(&[key, version]);
    let below = if one_in(&mut random, 4) { u64::from(LONGEST) } else { 300 };
    let len = random.u64(..below);
    let mut value = Vec::new();
    while value.len() < len as usize {
        value.extend_from_slice(&random.u64(..).to_le_bytes());
    }
    value.truncate(len as usize);
    value
}

fn name(key: u64) -> [u8; 5] {
    [b'k', b'e', b'y', b'0' + (key / 10) as u8, b'0' + (key % 10) as u8]
}

/// One input's way through a section.
struct Run<'a> {
    s: Section,
    now: u64,
    version: u64,
    victims: Vec<Victim>,
    out: Vec<u8>,
    ground: &'a mut Ground,
}

impl Ground {
    pub(crate) fn new(mode: Mode, keep_keys: bool) -> Ground {
        let dir = tempfile::tempdir().expect("a directory");
        let cfg = SectionConfig {
            capacity_bytes: 96 << 10,
            block_bytes: 256,
            value_bytes_max: LONGEST,
            mode,
            keep_keys,
            ..SectionConfig::default()
        };
        let (s, _) = Section::create_or_adopt(dir.path(), NAME, &cfg, NOW).expect("a section");
        let path = format!("/dev/shm/{}", s.shm_name().expect("it is named"));
        let file = OpenOptions::new().read(true).write(true).open(path).expect("it is there");
        let geometry = s.geometry().clone();
        let fences = u64::from(geometry.blocks / 4).next_power_of_two().clamp(64, 65_536);
        let buckets = (FENCES + fences).next_multiple_of(8);
        let blocks = buckets + geometry.slots();
        let starts =
            [0, STATE, EPOCHS, COUNTS, HAND, PROCESSES, FENCES, buckets, blocks, geometry.total_len / 8];
        let mut ground =
            Ground { dir, file, image: Vec::new(), mode, starts, hits: 0, stored: [0; REGIONS.len()] };
        let mut run =
            Run { s, now: NOW, version: 0, victims: Vec::new(), out: Vec::new(), ground: &mut ground };
        for key in 0..KEYS {
            run.store(key, 0);
        }
        drop(run);
        let mut image = vec![0; geometry.total_len as usize];
        ground.file.read_exact_at(&mut image, 0).expect("its length");
        ground.image = image;
        ground
    }

    /// Puts the image back and does what the input says.
    pub(crate) fn drive(&mut self, input: &[u8]) {
        self.file.write_all_at(&self.image, 0).expect("its length");
        let s = Section::attach(self.dir.path(), NAME, None).expect("the image is sound");
        let victims = Vec::new();
        let mut run = Run { s, now: NOW, version: 1_000, victims, out: Vec::new(), ground: self };
        let mut input = Input(input);
        while run.step(&mut input).is_some() {
            run.now += 1;
        }
    }

    /// Stores a word, or a likely one, into a region.
    fn garbage(&mut self, input: &mut Input<'_>) -> Option<()> {
        let region = input.byte()? as usize % REGIONS.len();
        let within = self.starts[region + 1] - self.starts[region];
        let at = self.starts[region] + input.word(3)? % within;
        let read = |at: u64| {
            let mut word = [0; 8];
            let _ = self.file.read_exact_at(&mut word, at * 8);
            u64::from_le_bytes(word)
        };
        let word = match input.byte()? % 6 {
            0 => 0,
            1 => u64::MAX,
            // A word from elsewhere: the likeliest to look right.
            2 => read(input.word(3)? % self.starts[REGIONS.len()]),
            3 => read(at) ^ 1 << (input.byte()? % 64),
            4 => read(at).wrapping_add(input.byte()?),
            _ => input.word(8)?,
        };
        self.stored[region] += 1;
        self.file.write_all_at(&word.to_le_bytes(), at * 8).expect("inside the file");
        Some(())
    }
}

impl Run<'_> {
    fn store(&mut self, key: u64, deadline_ms: u64) {
        self.version += 1;
        let (name, value) = (name(key), value(key, self.version));
        let rec = NewRecord {
            id: self.s.key_id(0, &name),
            db: 0,
            key: &name,
            value: &value,
            version: self.version,
            deadline_ms,
            kind: 0,
            created_ms: self.now,
        };
        match self.ground.mode {
            Mode::Owner => {
                let _ = self.s.put(&rec, self.now);
            }
            Mode::Cache => {
                let ticket = self.s.ticket(&rec.id);
                let _ = self.s.fill(&rec, ticket, self.now);
            }
        }
    }

    fn get(&mut self, key: u64) {
        self.out.clear();
        let name = name(key);
        let id = self.s.key_id(0, &name);
        match self.s.get(&id, &name, self.now, true, &mut self.out, |_, _| ()) {
            Lookup::Hit(meta) => {
                self.ground.hits += 1;
                assert!(
                    self.out == value(key, meta.version),
                    "key {key} version {}: foreign bytes",
                    meta.version
                );
            }
            _ => assert!(self.out.is_empty(), "no hit, and something was appended"),
        }
    }

    /// One operation; `None` at the end of the input.
    fn step(&mut self, input: &mut Input<'_>) -> Option<()> {
        let what = input.byte()?;
        if what % 3 == 0 {
            return self.ground.garbage(input);
        }
        let key = input.byte()? % KEYS;
        let name = name(key);
        let (id, now) = (self.s.key_id(0, &name), self.now);
        let blocks = self.s.geometry().blocks;
        match what / 3 % 20 {
            0..=2 => {
                let life = input.byte()?;
                self.store(key, if life < 128 { 0 } else { now + life - 127 });
            }
            3..=7 => self.get(key),
            8 => drop(self.s.delete(&id, &name)),
            9 => drop(self.s.set_deadline(&id, &name, now + input.byte()?, now)),
            10 => {
                let mut decide = |v: &View| if v.refs == 0 { Verdict::Take } else { Verdict::Demerit };
                self.s.sweep(blocks / 4, now, &mut decide, &mut self.victims);
            }
            11 => self.end_victims(input.byte()?),
            12 => drop(self.s.expire_sweep(input.word(4)? as u32, blocks, now, &mut |_, _| ())),
            13 => {
                self.s.scan_buckets(input.word(2)?, 50, now, &mut |_, _| ());
                let _ = (self.s.random_key(0, input.word(2)?, now), self.s.peek(&id, &name, now));
            }
            14 => self.s.adopt_evicting(&mut self.victims, 5),
            15 => self.s.observe(&id, &name, self.version),
            16 => drop(self.s.invalidate(&id, &name, Some(self.version))),
            17 => {
                if self.s.bucket_victims(&id, now, &mut self.victims) {
                    self.end_victims(input.byte()?);
                }
                if let Some(meta) = self.s.peek(&id, &name, now) {
                    let _ = self.s.close_expired(&meta.at, now + 200);
                }
            }
            18 => drop((
                self.s.stats(),
                self.s.check(now),
                self.s.lease(),
                self.s.get(&id, &name, now, false, &mut Vec::new(), |_, _| ()),
            )),
            _ if input.byte()? == 0 => self.s.flush_db(None, now),
            _ => {
                let seen = self.s.lease();
                let _ = self.s.take_agent(seen, now + 5);
                self.s.set_applied_seq(now);
            }
        }
        Some(())
    }

    fn end_victims(&mut self, how: u64) {
        for victim in self.victims.drain(..) {
            let (mut key, mut bytes) = (Vec::new(), Vec::new());
            if let Some(meta) = self.s.copy_victim(&victim.at, &mut key, &mut bytes) {
                if !key.is_empty() {
                    let number = (0..KEYS).find(|n| name(*n)[..] == key[..]).expect("a key of ours");
                    assert!(bytes == value(number, meta.version), "{key:?}: a victim with foreign bytes");
                }
                if how.is_multiple_of(2) {
                    let _ = self.s.release(&meta.at);
                }
            }
            let _ = self.s.abort(&victim.at);
        }
    }
}
