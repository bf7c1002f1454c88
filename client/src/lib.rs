//! The front-end library of gs: sessions out of shared memory, backed by a relay.

pub mod cache;
pub mod clock;
pub mod hashed;
pub mod link;
pub mod tls;
