//! End-to-end tests of gs: real processes, sockets, sections, signals and certificates.
//!
//! The stories are in `tests/*.rs`; this library is what they stand on. Nothing here knows the
//! server's insides: it starts the binary, reads what it prints, and talks to it over sockets, as an
//! operator would. Helpers panic with what they saw when an expectation fails, because a test has no
//! better use for an error value; the ones a test may want to judge return a `Result`.

pub mod bins;
pub mod certs;
pub mod cluster;
pub mod front;
pub mod http;
pub mod node;
pub mod oracle;
pub mod peek;
pub mod peers;
pub mod ports;
pub mod proxy;
pub mod sessions;
pub mod wait;
pub mod wire;
