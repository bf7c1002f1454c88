//! Measurements of gs beside its peers.

pub mod compare;
pub mod overhead;
pub mod procs;
pub mod room;
pub mod section;
pub mod sim;
