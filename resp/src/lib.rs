//! The Redis protocol of gs, sans-IO: request parser, reply encoder, reply guard, the types of a command row.
//!
//! Bytes in, values out: nothing here knows a socket, a runtime or a clock. What faces the network is written
//! by hand and bounded before it allocates ([`Parser`], [`ReplyGuard`]); what has passed a guard is given to
//! the `redis-protocol` crate ([`decode_reply`]), which is also the oracle of the property tests.
//!
//! | module | answers |
//! |---|---|
//! | [`request`], [`inline`] | which command do these bytes hold, and how many of them |
//! | [`args`] | the words of a command, borrowed or owned |
//! | [`reply`] | how does a value look in RESP2 and in RESP3 |
//! | [`codes`], [`refusal`] | every error a node can answer, with Redis's words |
//! | [`spec`] | what a row of the command table says |
//! | [`guard`], [`decode`] | where does a peer's reply end, and what does it say |
//! | [`encode`] | how a request to a peer looks |
//! | [`glob`], [`num`], [`extended`], [`slot`] | Redis's patterns, numbers and key slots |
#![forbid(unsafe_code)]

pub mod args;
pub mod codes;
pub mod decode;
pub mod encode;
pub mod extended;
pub mod glob;
mod grammar;
pub mod guard;
pub mod inline;
pub mod limits;
pub mod num;
pub mod refusal;
pub mod reply;
pub mod request;
mod scan;
pub mod slot;
pub mod spec;

pub use args::{Args, ArgsIter, OwnedArgs};
pub use codes::{Code, Fault, Retry};
pub use decode::{DecodeError, Reply, decode_reply};
pub use encode::{encode_arg, encode_arg_i64, encode_arg_u64, encode_command, encode_command_head};
pub use extended::Extended;
pub use glob::{glob_match, glob_match_nocase};
pub use guard::{GuardError, GuardLimits, ReplyGuard};
pub use limits::Limits;
pub use num::{parse_f64, parse_i64, parse_u64};
pub use refusal::Refusal;
pub use reply::{Protocol, Writer};
pub use request::{Parsed, Parser, ProtocolError, is_cross_protocol};
pub use slot::slot_of;
pub use spec::{AclCategories, Arg, ArgKind, Arity, Flags, Group, Keys, Roles, Spec};
