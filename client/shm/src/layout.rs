//! Geometry stub.
use crate::{GeometryError, SectionConfig};

/// Where everything is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Geometry {
    /// Bytes of a block.
    pub block_bytes: u32,
    /// Number of blocks.
    pub blocks: u32,
    /// Number of buckets of 8 slots.
    pub buckets: u64,
    /// Bytes of the section.
    pub total_len: u64,
}

impl Geometry {
    /// The layout that follows from a configuration.
    pub fn of(_cfg: &SectionConfig) -> Result<Geometry, GeometryError> {
        unimplemented!()
    }

    /// Blocks that a record takes.
    pub fn record_blocks(&self, _key_len: usize, _value_len: usize) -> u32 {
        unimplemented!()
    }
}
