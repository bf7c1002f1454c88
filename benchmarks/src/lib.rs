//! Measurements of gs beside its peers.

pub mod room;
