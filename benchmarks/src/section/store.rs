//! A section as the benchmarks use it: keys of 32 bytes, values of one length, and each operation as one call
//! with nothing around it.

use std::path::Path;

use anyhow::{Context, bail};
use gs_shm::{KeyId, Lookup, Mode, NewRecord, Section, SectionConfig};

/// Any time will do: nothing expires.
const NOW: u64 = 1_000_000;

/// How much of what.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Objects stored.
    pub objects: usize,
    /// Bytes of each value.
    pub value_len: usize,
}

/// Keys in the order in which they will be asked for.
pub struct Keys {
    keys: Vec<[u8; 32]>,
}

/// The n-th object's key.
pub fn key(n: usize) -> [u8; 32] {
    let mut key = *b"sess:000000000000000000000000000";
    let mut rest = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for digit in key[12..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// A small generator: the same picks in every run.
pub struct Random(u64);

impl Random {
    /// Starts a row of numbers.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 31 ^ self.0 << 20
    }

    /// The next number in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

impl Keys {
    /// `picks` keys, each equally likely.
    pub fn uniform(objects: usize, picks: usize) -> Keys {
        Keys::uniform_from(1, objects, picks)
    }

    /// The same, another row.
    pub fn uniform_from(seed: u64, objects: usize, picks: usize) -> Keys {
        let mut random = Random::new(seed);
        Keys { keys: (0..picks).map(|_| key((random.unit() * objects as f64) as usize)).collect() }
    }

    /// `picks` keys by Zipf's law with exponent 0.99; which objects are hot is spread over all of them.
    pub fn zipf(objects: usize, picks: usize) -> Keys {
        let mut sum = 0.0;
        let upto: Vec<f64> = (1..=objects)
            .map(|rank| {
                sum += (rank as f64).powf(-0.99);
                sum
            })
            .collect();
        let mut random = Random::new(2);
        let mut pick = || {
            let at = random.unit() * sum;
            let rank = upto.partition_point(|&p| p < at);
            // An odd multiplier keeps ranks apart modulo most sizes; collisions only make it a little hotter.
            key(rank.wrapping_mul(2_654_435_761) % objects)
        };
        Keys { keys: (0..picks).map(|_| pick()).collect() }
    }

    /// How many picks there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The n-th pick, over and over.
    #[inline]
    pub fn at(&self, n: usize) -> &[u8; 32] {
        &self.keys[n % self.keys.len()]
    }

    /// All picks.
    pub fn iter(&self) -> std::slice::Iter<'_, [u8; 32]> {
        self.keys.iter()
    }

    /// The picks in groups.
    pub fn batches(&self, of: usize) -> impl Iterator<Item = &[[u8; 32]]> {
        self.keys.chunks_exact(of)
    }
}

/// A section and the value that every object has.
pub struct Store {
    section: Section,
    value: Vec<u8>,
    shape: Shape,
}

impl Store {
    /// What a section for these objects is asked to be: twice the room that they need.
    fn config(shape: Shape) -> SectionConfig {
        let blocks = 1 + (32 + shape.value_len) as u64 / 232;
        SectionConfig {
            capacity_bytes: shape.objects as u64 * blocks * 300 * 3 / 2 + (8 << 20),
            value_bytes_max: 1 << 16,
            mode: Mode::Owner,
            ..SectionConfig::default()
        }
    }

    /// In private memory.
    pub fn private(shape: Shape) -> anyhow::Result<Store> {
        Store::of(Section::heap(&Store::config(shape), NOW)?, shape)
    }

    /// In shared memory: made or adopted by the first, attached to by the others.
    pub fn shared(dir: &Path, name: &str, shape: Shape, first: bool) -> anyhow::Result<Store> {
        let cfg = Store::config(shape);
        let section = if first {
            Section::create_or_adopt(dir, name, &cfg, NOW)?.0
        } else {
            Section::attach(dir, name, Some(&cfg))?
        };
        Store::of(section, shape)
    }

    fn of(section: Section, shape: Shape) -> anyhow::Result<Store> {
        Ok(Store { section, value: (0..shape.value_len).map(|n| n as u8).collect(), shape })
    }

    /// The section itself.
    pub fn section(&self) -> &Section {
        &self.section
    }

    /// Stores every object.
    pub fn fill_up(&self) -> anyhow::Result<()> {
        (0..self.shape.objects).try_for_each(|n| self.set(&key(n)))
    }

    /// A read that must hit; the value is left in `out`.
    #[inline]
    pub fn get(&self, key: &[u8; 32], out: &mut Vec<u8>) {
        out.clear();
        let id = self.section.key_id(0, key);
        let answer = self.section.get(&id, key, NOW, true, out, |_, _| ());
        assert!(matches!(answer, Lookup::Hit(_)), "{answer:?}");
    }

    /// A read that may find a writer at work.
    #[inline]
    pub fn try_get(&self, key: &[u8; 32], out: &mut Vec<u8>) -> Lookup {
        out.clear();
        let id = self.section.key_id(0, key);
        self.section.get(&id, key, NOW, true, out, |_, _| ())
    }

    /// Reads that must hit, together.
    #[inline]
    pub fn get_many(&self, keys: &[[u8; 32]], out: &mut Vec<u8>) {
        out.clear();
        let mut batch = [(KeyId { hi: 0, lo: 0 }, &[][..]); 16];
        for (slot, key) in batch.iter_mut().zip(keys) {
            *slot = (self.section.key_id(0, key), key);
        }
        let mut hits = 0;
        let batch = &batch[..keys.len().min(16)];
        self.section.get_many(batch, NOW, true, out, |_, answer, _| {
            hits += usize::from(matches!(answer, Lookup::Hit(_)));
        });
        assert_eq!(hits, batch.len());
    }

    /// A read that must miss: the key's neighbour that nobody stored.
    #[inline]
    pub fn miss(&self, key: &[u8; 32], out: &mut Vec<u8>) {
        let mut absent = *key;
        absent[0] = b'S';
        let answer = self.try_get(&absent, out);
        assert!(matches!(answer, Lookup::Miss { .. }), "{answer:?}");
    }

    /// Stores an object, over what is there.
    #[inline]
    pub fn set(&self, key: &[u8; 32]) -> anyhow::Result<()> {
        let rec = NewRecord {
            id: self.section.key_id(0, key),
            db: 0,
            key,
            value: &self.value,
            version: 1,
            deadline_ms: NOW << 10,
            kind: 0,
            created_ms: NOW,
        };
        self.section.put(&rec, NOW).map(|_| ()).context("a put")
    }

    /// Deletes an object, which must be there, and stores it again.
    #[inline]
    pub fn delete_and_set(&self, key: &[u8; 32]) -> anyhow::Result<()> {
        if self.section.delete(&self.section.key_id(0, key), key).found.is_none() {
            bail!("nothing to delete");
        }
        self.set(key)
    }
}
