//! The real section, in private memory and invented time: not a model of it.

use gs_shm::{Fill, KeyId, Lookup, Mode, NewRecord, Section, SectionConfig};

use super::Model;
use super::trace::Request;

/// Milliseconds of boot time at which a trace begins.
pub const START_MS: u64 = 1_000_000_000;
const BLOCK_BYTES: u32 = 128;

/// A front end's section.
pub struct RealSection {
    section: Section,
    ids: Vec<KeyId>,
    /// Bytes of each key's value.
    value_len: fn(u32) -> usize,
    version: u64,
    value: Vec<u8>,
    out: Vec<u8>,
}

impl RealSection {
    /// A section in cache mode with `blocks` blocks (or the few more that fill its last page).
    pub fn new(keys: u32, blocks: usize, value_len: fn(u32) -> usize) -> RealSection {
        let config = |capacity_bytes| SectionConfig {
            capacity_bytes,
            block_bytes: BLOCK_BYTES,
            value_bytes_max: 1024,
            keep_keys: false,
            mode: Mode::Cache,
            policy_fingerprint: 0,
        };
        let wanted = blocks as u64;
        let (mut low, mut high) = (1u64, (wanted + 64) * 256 + (1 << 20));
        while low < high {
            let middle = (low + high) / 2;
            let enough = gs_shm::Geometry::of(&config(middle)).is_ok_and(|g| u64::from(g.blocks) >= wanted);
            (low, high) = if enough { (low, middle) } else { (middle + 1, high) };
        }
        let mut section = Section::heap(&config(low), START_MS).expect("a section of a sensible size");
        section.set_choose(gs_client::cache::by_recency);
        let ids = (0..keys).map(|key| section.key_id(0, &key.to_le_bytes())).collect();
        RealSection { section, ids, value_len, version: 1, value: vec![7; 1024], out: Vec::new() }
    }

    /// Blocks that it has.
    pub fn blocks(&self) -> usize {
        self.section.geometry().blocks as usize
    }
}

impl Model for RealSection {
    fn request(&mut self, _at: usize, request: &Request) -> bool {
        let now_ms = START_MS + request.at_ms;
        let (id, key) = (self.ids[request.key as usize], request.key.to_le_bytes());
        let deadline_ms = if request.ttl_ms == 0 { 0 } else { now_ms + request.ttl_ms };
        self.out.clear();
        match self.section.get(&id, &key, now_ms, true, &mut self.out, |_, _| {}) {
            Lookup::Hit(_) => {
                if deadline_ms != 0 {
                    self.section.set_deadline(&id, &key, deadline_ms, now_ms);
                }
                true
            }
            Lookup::Contended => false,
            Lookup::Miss { ticket } => {
                self.version += 1;
                let record = NewRecord {
                    id,
                    db: 0,
                    key: &key,
                    value: &self.value[..(self.value_len)(request.key)],
                    version: self.version,
                    deadline_ms,
                    kind: 0,
                    created_ms: now_ms,
                };
                let fill = self.section.fill(&record, ticket, now_ms);
                debug_assert!(matches!(fill, Fill::Cached | Fill::NotCached(_)));
                false
            }
        }
    }

    fn remove(&mut self, request: &Request) {
        let key = request.key.to_le_bytes();
        self.section.invalidate(&self.ids[request.key as usize], &key, None);
    }
}
