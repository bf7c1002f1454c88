//! The gs server: relay, sibling and relief nodes of a family of session caches that speak the Redis
//! protocol.
//!
//! `core` holds what a node knows and decides, `commands` what a client may ask, `roles` what a node does by
//! itself, `io` and `http` the edge to the outside, `section` the operator's look at sections.

pub mod assemble;
pub mod commands;
pub mod core;
pub mod http;
pub mod io;
pub mod logging;
pub mod metrics;
pub mod roles;
pub mod section;
