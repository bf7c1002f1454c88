//! A crash-safe shared-memory LRU: the section that every tier of gs keeps its sessions in.

mod blocks;
mod config;
mod error;
mod layout;
mod section;
mod types;

pub use config::{DATABASES, KEY_BYTES_LIMIT, KIND_MAX, Mode, SectionConfig, VALUE_BYTES_LIMIT};
pub use error::{GeometryError, OpenError, PutError};
pub use layout::Geometry;
pub use section::Section;
pub use types::{
    BlockRef, CheckReport, Deleted, Fill, KeyId, Lease, Leased, Lookup, Meta, NewRecord, NotCached, Origin,
    Put, RecordState, Release, Stats, Verdict, Victim, View,
};
