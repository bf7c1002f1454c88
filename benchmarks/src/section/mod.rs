//! Parts of the section's benchmarks.
#![allow(clippy::disallowed_methods, reason = "it measures time")]

pub mod peers;
pub mod stats;
pub mod store;
pub mod timing;
pub mod workers;
