//! Measurements of gs beside its peers.

pub mod callgrind;
pub mod compare;
pub mod overhead;
pub mod plot;
pub mod room;
pub mod scale;
pub mod section;
pub mod sim;
