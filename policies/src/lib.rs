//! Decisions of gs: what to admit, evict, age and where to place it. Numbers in, decision out.
//!
//! Nothing here reads a clock, touches IO or allocates (the crate is `no_std` without `alloc`, so the compiler
//! holds it to that). Mechanisms elsewhere measure, ask, and act; a decision can be tested as a function.
//!
//! | question | module |
//! |---|---|
//! | may this object come in? what when there is no room? | [`admit`], [`quota`] |
//! | is this record a victim? which of these? | [`evict`], [`recency`] |
//! | where does a victim go? | [`age`] |
//! | how much room must be made, when may a relief hand back? | [`pressure`] |
//! | which node owns a slot? | [`place`] |
//! | what may an operator turn at run time? | [`params`] |
#![no_std]
#![forbid(unsafe_code)]

pub mod admit;
pub mod age;
pub mod evict;
pub mod params;
pub mod place;
pub mod pressure;
pub mod quota;
pub mod recency;

pub use age::{AgeParams, Reach, Route, route};
pub use evict::{Evict, Fifo, LeastLife, Verdict, View};
pub use params::Params;
pub use place::{Node, owner};
pub use recency::Recency;
