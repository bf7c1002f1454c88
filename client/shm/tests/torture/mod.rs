//! Torture: real processes on one section, killed and stopped at any instruction, while every answer is
//! judged against an oracle that the section does not know.
//!
//! In cache mode all workers fill, invalidate, observe and read; in owner mode one owns, one hands off, the
//! others read. The supervisor kills a random one every few milliseconds (or stops it, and later lets it go
//! on or kills it), starts another in its place, and at the end of each round, with everybody dead, proves
//! that nothing is torn, lost, back from the dead or leaked.

pub(crate) mod args;
mod cache;
mod demoter;
mod oracle;
mod owner;
mod supervisor;
mod values;
mod watch;
mod worker;

pub(crate) use args::Args;
pub(crate) use supervisor::{Table, run};
pub(crate) use worker::run_if_asked;
