//! What a section is asked to be.

/// Which promise the section keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Mode {
    /// A front end's cache: anything may be dropped, a drop is a miss, every process may fill it.
    Cache,
    /// An owner's store: an acknowledged object leaves only by hand-off, delete, expiry or flush, and one
    /// process alone links and replaces records.
    Owner,
}

/// The parameters of a section. Two processes that attach to the same section must agree on all of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SectionConfig {
    /// Bytes of shared memory the section may take in all, its index included.
    pub capacity_bytes: u64,
    /// Bytes of one block, a multiple of 8 in `128..=4096`; an object takes as many as it needs.
    pub block_bytes: u32,
    /// The longest value accepted, at most [`VALUE_BYTES_LIMIT`].
    pub value_bytes_max: u32,
    /// Whether the key bytes are kept beside the value (an owner needs them to iterate and to hand off).
    pub keep_keys: bool,
    /// Cache or owner.
    pub mode: Mode,
    /// A hash of the policies that the attaching processes must share; compared, never interpreted.
    pub policy_fingerprint: u64,
}

/// Bytes of a block unless something else is asked for: a session of a 32-byte key and 384 bytes fills two
/// blocks to the last word, one of up to 152 bytes takes one, and mixed sizes waste about as little as at any
/// other size (benchmarks/results/room.md).
pub const BLOCK_BYTES_DEFAULT: u32 = 248;
/// The longest value that the record format can describe, in bytes (16 MiB - 1).
pub const VALUE_BYTES_LIMIT: u32 = (1 << 24) - 1;
/// The longest key that the record format can describe, in bytes.
pub const KEY_BYTES_LIMIT: usize = (1 << 16) - 1;
/// Record kinds are small numbers chosen by the caller: `0..=KIND_MAX`.
pub const KIND_MAX: u8 = 15;
/// Logical databases are `0..DATABASES`.
pub const DATABASES: usize = 16;

impl Default for SectionConfig {
    fn default() -> Self {
        SectionConfig {
            capacity_bytes: 256 << 20,
            block_bytes: BLOCK_BYTES_DEFAULT,
            value_bytes_max: 1 << 20,
            keep_keys: true,
            mode: Mode::Owner,
            policy_fingerprint: 0,
        }
    }
}
