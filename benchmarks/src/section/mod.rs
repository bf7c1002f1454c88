//! Parts of the section's benchmarks.
#![allow(clippy::disallowed_methods, reason = "it measures time")]

pub mod cores;
pub mod peers;
pub mod redis;
pub mod stats;
pub mod store;
pub mod table;
pub mod timing;
pub mod workers;
