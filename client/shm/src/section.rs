//! The section (API stub).
#![allow(unused_variables, missing_docs)]
use std::path::Path;

use crate::*;

/// A section of shared (or private) memory.
pub struct Section {
    cfg: SectionConfig,
    geometry: Geometry,
}

impl Section {
    pub fn heap(cfg: &SectionConfig, now_ms: u64) -> Result<Section, OpenError> {
        unimplemented!()
    }
    pub fn create_or_adopt(
        dir: &Path,
        name: &str,
        cfg: &SectionConfig,
        now_ms: u64,
    ) -> Result<(Section, Origin), OpenError> {
        unimplemented!()
    }
    pub fn attach(dir: &Path, name: &str, cfg: Option<&SectionConfig>) -> Result<Section, OpenError> {
        unimplemented!()
    }
    /// A second attachment to a heap section, with a process slot of its own (tests; a sibling inside).
    pub fn attach_heap(&self) -> Result<Section, OpenError> {
        unimplemented!()
    }
    pub fn remove(dir: &Path, name: &str) -> Result<(), OpenError> {
        unimplemented!()
    }
    pub fn nonce(&self) -> u128 {
        unimplemented!()
    }
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }
    pub fn config(&self) -> &SectionConfig {
        &self.cfg
    }
    pub fn process_slot(&self) -> u16 {
        unimplemented!()
    }
    pub fn retired(&self) -> bool {
        unimplemented!()
    }
    /// Whether this process is a fork of the one that attached; then writes are refused: attach again.
    pub fn forked(&self) -> bool {
        unimplemented!()
    }
    /// Bytes that the kernel backs with huge pages (from /proc/self/smaps; slow).
    pub fn huge_bytes(&self) -> u64 {
        unimplemented!()
    }
    pub fn key_id(&self, db: u8, key: &[u8]) -> KeyId {
        unimplemented!()
    }
    pub fn get(
        &self,
        id: &KeyId,
        key: &[u8],
        now_ms: u64,
        touch: bool,
        out: &mut Vec<u8>,
        head: impl Fn(&mut Vec<u8>, &Meta),
    ) -> Lookup {
        unimplemented!()
    }
    pub fn get_leased(
        &self,
        id: &KeyId,
        key: &[u8],
        now_ms: impl Fn() -> u64,
        touch: bool,
        out: &mut Vec<u8>,
        head: impl Fn(&mut Vec<u8>, &Meta),
    ) -> Leased {
        unimplemented!()
    }
    pub fn peek(&self, id: &KeyId, key: &[u8], now_ms: u64) -> Option<Meta> {
        unimplemented!()
    }
    pub fn prefetch(&self, id: &KeyId) {}
    pub fn fence(&self, id: &KeyId) -> u64 {
        unimplemented!()
    }
    pub fn bump_fence(&self, id: &KeyId) -> u64 {
        unimplemented!()
    }
    pub fn put(&self, rec: &NewRecord<'_>, now_ms: u64) -> Result<Put, PutError> {
        unimplemented!()
    }
    pub fn delete(&self, id: &KeyId, key: &[u8]) -> Deleted {
        unimplemented!()
    }
    pub fn set_deadline(&self, id: &KeyId, key: &[u8], deadline_ms: u64, now_ms: u64) -> Option<Meta> {
        unimplemented!()
    }
    pub fn close_expired(&self, at: &BlockRef, now_ms: u64) -> bool {
        unimplemented!()
    }
    pub fn sweep(
        &self,
        probes: u32,
        now_ms: u64,
        decide: &mut dyn FnMut(&View) -> Verdict,
        victims: &mut Vec<Victim>,
    ) {
        unimplemented!()
    }
    /// Marks one live record of the key's two buckets EVICTING; false when none could be (some are on their way already).
    pub fn bucket_victims(&self, id: &KeyId, now_ms: u64, victims: &mut Vec<Victim>) -> bool {
        unimplemented!()
    }
    pub fn copy_victim(&self, at: &BlockRef, key: &mut Vec<u8>, value: &mut Vec<u8>) -> Option<Meta> {
        unimplemented!()
    }
    pub fn release(&self, at: &BlockRef) -> Release {
        unimplemented!()
    }
    pub fn abort(&self, at: &BlockRef) -> bool {
        unimplemented!()
    }
    pub fn adopt_evicting(&self, victims: &mut Vec<Victim>, max: usize) {
        unimplemented!()
    }
    pub fn scan_buckets(
        &self,
        from: u64,
        buckets: u32,
        now_ms: u64,
        f: &mut dyn FnMut(&Meta, &[u8]),
    ) -> Option<u64> {
        unimplemented!()
    }
    pub fn expire_sweep(
        &self,
        from_block: u32,
        blocks: u32,
        now_ms: u64,
        f: &mut dyn FnMut(&Meta, &[u8]),
    ) -> u32 {
        unimplemented!()
    }
    pub fn random_key(&self, db: u8, random: u64, now_ms: u64) -> Option<Vec<u8>> {
        unimplemented!()
    }
    pub fn flush_db(&self, db: Option<u8>, now_ms: u64) {
        unimplemented!()
    }
    pub fn live_count(&self, db: u8) -> u64 {
        unimplemented!()
    }
    pub fn free_blocks(&self) -> u64 {
        unimplemented!()
    }
    pub fn stats(&self) -> Stats {
        unimplemented!()
    }
    pub fn ticket(&self, id: &KeyId) -> u64 {
        unimplemented!()
    }
    pub fn fill(&self, rec: &NewRecord<'_>, ticket: u64, now_ms: u64) -> Fill {
        unimplemented!()
    }
    pub fn observe(&self, id: &KeyId, key: &[u8], version: u64) {
        unimplemented!()
    }
    pub fn invalidate(&self, id: &KeyId, key: &[u8], below: Option<u64>) -> bool {
        unimplemented!()
    }
    pub fn lease(&self) -> Lease {
        unimplemented!()
    }
    pub fn take_agent(&self, seen: Lease, until_ms: u64) -> Option<u16> {
        unimplemented!()
    }
    pub fn renew(&self, my_epoch: u16, until_ms: u64) -> bool {
        unimplemented!()
    }
    pub fn applied_seq(&self) -> u64 {
        unimplemented!()
    }
    pub fn set_applied_seq(&self, seq: u64) {
        unimplemented!()
    }
    /// Relay's uuid (0 before the first) that the stream in `applied_seq` came from.
    pub fn agent_line(&self) -> u64 {
        unimplemented!()
    }
    pub fn set_agent_line(&self, relay: u64) {
        unimplemented!()
    }
    /// An invariant check of a quiet section.
    pub fn check(&self, now_ms: u64) -> Result<CheckReport, Vec<String>> {
        unimplemented!()
    }
}
