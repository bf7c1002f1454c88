//! A crash-safe shared-memory LRU: the section that every tier of gs keeps its sessions in.
//!
//! There is no lock in the section. Every shared change is one compare-and-swap or store of one word, so a
//! process that dies at any instruction can at worst leave blocks behind, which others reclaim; a process
//! that is stopped holds nobody up. Objects live in chains of uniform blocks, so no size class can starve
//! and nothing fragments. A read takes no lock, allocates nothing and is verified against torn and foreign
//! bytes before it is returned.
//!
//! What is not here: policies (what to evict and when is the caller's answer to a [`View`], and its [`Choose`] among
//! records that the hand met), clocks (`now_ms`
//! is boot-time milliseconds, given by the caller), threads, sockets.
//!
//! How it is shown to hold: `tests/crash.rs` and `tests/stopped.rs` (a process dies, or stands still, at every
//! shared write), `tests/torture.rs` (real processes, any instruction), `tests/garbage.rs` and `fuzz/` (anything
//! stored anywhere), `tests/attach.rs` and `tests/small_tmpfs.rs` (wrong files, no room), the models (`mutants`).
//!
//! Start reading at `layout` (the memory), then `blocks` (states), `read`, `put`, `retire`, `handoff`.

mod advice;
mod agent;
mod ahead;
mod alloc;
mod blocks;
mod check;
mod config;
#[cfg(all(test, not(any(loom, shuttle))))]
mod defences;
#[cfg(any(loom, shuttle))]
mod dying;
mod error;
mod evict;
#[cfg(not(any(loom, shuttle)))]
mod files;
mod fill;
mod hand;
mod handoff;
#[cfg(not(any(loom, shuttle)))]
mod header;
mod index;
mod iterate;
mod layout;
#[cfg(not(any(loom, shuttle)))]
mod map;
#[cfg(not(any(loom, shuttle)))]
mod observe;
#[cfg(not(any(loom, shuttle)))]
mod open;
mod process;
mod put;
mod read;
mod record;
mod region;
mod retire;
mod section;
#[cfg(not(any(loom, shuttle)))]
mod settle;
mod sync;
mod types;
mod words;

pub use advice::{Fit, Mix};
pub use config::{
    BLOCK_BYTES_DEFAULT, DATABASES, KEY_BYTES_LIMIT, KIND_MAX, Mode, SectionConfig, VALUE_BYTES_LIMIT,
};
pub use error::{GeometryError, OpenError, PutError};
pub use evict::{Choose, Met};
pub use layout::Geometry;
#[cfg(not(any(loom, shuttle)))]
pub use observe::{Observer, Occupancy, Removed, Seen};
pub use section::Section;
#[cfg(all(not(any(loom, shuttle)), feature = "crash-points"))]
pub use sync::crash;
pub use types::{
    BlockRef, CheckReport, Deleted, Fill, KeyId, Lease, Leased, Lookup, Meta, NewRecord, NotCached, Origin,
    Put, RecordState, Release, Stats, Verdict, Victim, View,
};
