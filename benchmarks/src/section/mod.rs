//! Parts of the section's benchmarks.

pub mod store;
