//! One error enum per family of operations; each text says what, whose limit, and the way out.

use std::io;
use std::path::PathBuf;

/// Why a geometry cannot be made from a configuration: always the configuration's fault.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum GeometryError {
    /// Block size out of range.
    #[error("block_bytes is {0}; it must be a multiple of 8 between 128 and 4096 (248 fits most sessions)")]
    BlockBytes(u32),
    /// Value limit out of range.
    #[error("value_bytes_max is {0}; it must be between 1 and {max} bytes", max = crate::VALUE_BYTES_LIMIT)]
    ValueBytes(u32),
    /// Too small to hold one value of the greatest size.
    #[error(
        "capacity of {capacity} bytes is too small: this block size and value_bytes_max need at least \
         {least} bytes; raise capacity or lower value_bytes_max"
    )]
    TooSmall {
        /// What was asked.
        capacity: u64,
        /// The least that works.
        least: u64,
    },
    /// More blocks than a block index can name.
    #[error(
        "capacity of {capacity} bytes is too large: at this block size the limit is {most} bytes; raise block_bytes"
    )]
    TooLarge {
        /// What was asked.
        capacity: u64,
        /// The most that works.
        most: u64,
    },
}

/// Why a section could not be made or attached.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration is unusable.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// The directory or one of its files cannot be used.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else could write our files.
    #[error("{path} is not safe to use: {why}; it must belong to this user and be writable by nobody else")]
    Unsafe {
        /// Which file or directory.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The name has characters that a file name of ours may not have.
    #[error("section name {0:?} must be 1-64 letters, digits, '-' or '_'")]
    Name(String),
    /// The shared memory file system is too small.
    #[error(
        "{path} has {free_mib} MiB free and the section needs {needed_mib} MiB: {missing_mib} MiB are missing; \
         mount it larger (docker: shm_size) or lower capacity"
    )]
    NoSpace {
        /// Where.
        path: PathBuf,
        /// Free there.
        free_mib: u64,
        /// Needed.
        needed_mib: u64,
        /// The difference.
        missing_mib: u64,
    },
    /// No section of that name has been made.
    #[error(
        "no section {name} in {dir}: the process that creates it (a relay, or the managing client) has not started yet"
    )]
    Absent {
        /// Directory.
        dir: PathBuf,
        /// Name.
        name: String,
    },
    /// The section is there but is not what was expected.
    #[error(
        "section {name}: {field} is {found} there and {expected} here; start all its processes with the same version \
         and configuration, or restart the one that creates it"
    )]
    Mismatch {
        /// Shared-memory name.
        name: String,
        /// What differs.
        field: &'static str,
        /// In the section.
        found: String,
        /// In this process.
        expected: String,
    },
    /// Replaced by a newer one while attaching, again and again.
    #[error("section {0} was retired while attaching; try again")]
    Retired(String),
    /// Someone holds the create lock.
    #[error("{path}: another process has been creating the section for {waited_ms} ms; is it stopped?")]
    Busy {
        /// The lock file.
        path: PathBuf,
        /// How long we waited.
        waited_ms: u64,
    },
    /// It is in use, so it is not removed.
    #[error("section {name} is in use by {attached} processes; end them first, or force it")]
    InUse {
        /// Its name.
        name: String,
        /// How many are attached.
        attached: usize,
    },
    /// Every process slot is taken.
    #[error("{path}: all {max} process slots of the section are taken; end some of its processes")]
    NoSlot {
        /// The lock file.
        path: PathBuf,
        /// How many there are.
        max: u16,
    },
}

/// Why a put was refused. The old record, if any, is untouched.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub enum PutError {
    /// The value is longer than the section accepts: the caller's fault, retrying will not help.
    #[error("value of {len} bytes is over the limit of {max} bytes (section.value_bytes_max)")]
    TooLarge {
        /// Its length.
        len: u64,
        /// The limit.
        max: u64,
    },
    /// The key is longer than the section accepts.
    #[error("key of {len} bytes is over the limit of {max} bytes")]
    KeyTooLarge {
        /// Its length.
        len: u64,
        /// The limit.
        max: u64,
    },
    /// Database or kind out of range: a caller's bug.
    #[error("database {db} or record kind {kind} is out of range")]
    Range {
        /// Database asked for.
        db: u8,
        /// Kind asked for.
        kind: u8,
    },
    /// No blocks: hand records off, then retry.
    #[error("the section is full: {needed} blocks are needed")]
    Full {
        /// Blocks that the record takes.
        needed: u32,
    },
    /// Both buckets of the key are full of live records: see [`crate::Section::bucket_victims`].
    #[error("both index buckets of the key are full of live records")]
    BucketFull,
    /// A newer version is here: put-if-newer refuses.
    #[error("version {have} is newer and already here")]
    Newer {
        /// The version that is here.
        have: u64,
    },
    /// The new record was killed before it was committed: retry with a new version.
    #[error("the record was deleted while it was being stored; retry")]
    Lost,
    /// The section was retired, or this process is a fork of the one that attached: attach again.
    #[error("the section was retired or this process is a fork; attach again")]
    Detached,
}
