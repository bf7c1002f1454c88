//! The front-end library of gs: sessions out of shared memory, backed by a relay.
//!
//! A program opens a [`sessions::SessionCacheManager`] (or, without tokio, a [`blocking::Sessions`]) and gets, sets
//! and deletes sessions. Reads come out of a section of shared memory that all programs of the machine share; one of
//! them, the *agent*, keeps it true by following the relay. The server's nodes are built on the same parts.
//!
//! | module | is |
//! |---|---|
//! | [`sessions`] | the user's face |
//! | [`blocking`] | the same for programs without tokio |
//! | [`cache`] | the one cache engine of every tier: section, clock, policy |
//! | [`link`] | one peer over one pipelined connection that comes back by itself |
//! | [`clock`] | time as an argument |
//! | [`tls`] | configurations for links and listeners |
//! | [`hashed`] | values of which only a hash is kept |
//! | [`kinds`] | what a record can hold |
//! | [`error`] | what can go wrong for a caller |
#![forbid(unsafe_code)]

mod agent;
pub mod blocking;
pub mod cache;
pub mod clock;
pub mod error;
pub mod hashed;
pub mod kinds;
pub mod link;
pub mod sessions;
pub mod tls;
