//! The commands: one row each in [`table::COMMANDS`], declared beside the function that runs it.
//!
//! From the rows follow look-up, arity errors, the role gate, `COMMAND`, the metrics and COMMANDS.md.
//! A handler is synchronous and runs on what is resident. It answers into the connection's output buffer,
//! or it stops: refused, or for want of a key that lives downstream ([`Stop::Below`]) or of room
//! ([`Stop::Full`]); then nothing was changed, the connection waits for what is missing and runs it again.

pub mod age;
mod collection;
pub mod conn;
pub mod connection;
pub mod exec;
pub mod expire;
pub mod hash;
pub mod introspect;
pub mod keyspace;
pub mod meter;
pub mod parse;
pub mod peer;
pub mod pubsub;
pub mod scan;
pub mod script;
pub mod server;
pub mod session;
pub mod set;
pub mod shard;
pub mod sorted;
pub mod stream;
pub mod string;
pub mod table;
pub mod tier;
pub mod transaction;

pub use crate::core::keyspace::Stop;
pub use conn::Conn;
pub use exec::execute;

use crate::core::node::Node;
use crate::roles::wire;
use gs_client::cache::KeyId;
use gs_client::link::Link;
use gs_resp::{Args, Code, Refusal, Spec, Writer};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// What a client reads when only the sibling could answer and it is not there.
pub const SIBLING_AWAY: &str = "the sibling is not there; try again later";

/// A row of the table: what is said of a command and what runs it.
pub struct Command {
    /// What the command is: everything but the code.
    pub spec: Spec,
    /// The code.
    pub run: Run,
}

/// A handler. The arity has been checked.
pub type Run = for<'a> fn(&mut Ctx<'_>, Args<'a>) -> Outcome;

/// What a handler did.
pub type Outcome = Result<Reply, Stop>;

/// How an answer that had to wait is written.
pub type Answer = Box<dyn FnOnce(&mut Writer<'_>) + Send>;

/// An answer that has to wait for someone else; the connection's later commands wait with it.
pub type Waiting = Pin<Box<dyn Future<Output = Result<Answer, Refusal>> + Send>>;

/// What a handler leaves for the connection to do.
pub enum Reply {
    /// The answer is in the output buffer.
    Done,
    /// The answer is in the output buffer; close after it is written.
    Close,
    /// The answer comes later.
    Wait(Waiting),
}

/// The world of one command.
pub struct Ctx<'a> {
    /// The node.
    pub node: &'a Arc<Node>,
    /// The connection that asked.
    pub conn: &'a mut Conn,
    /// The connection's output buffer.
    pub out: &'a mut Vec<u8>,
}

impl Ctx<'_> {
    /// Writes the answer in the connection's protocol.
    pub fn reply(&mut self) -> Writer<'_> {
        Writer { out: self.out, proto: self.conn.proto }
    }

    /// The identity of a key of the connection's database.
    #[inline]
    pub fn id(&self, key: &[u8]) -> KeyId {
        self.node.id_of(&self.conn.scope, self.conn.db, key)
    }

    /// Remembers that the answer may only leave once the journal's record is on disk.
    pub fn durable_after(&mut self, journaled: u64) {
        if self.node.relay().is_some_and(|relay| relay.journal.is_sync()) {
            self.conn.durable = self.conn.durable.max(journaled);
        }
    }

    /// The id of a command's `+OK`.
    pub fn ok(&mut self) -> Outcome {
        self.reply().simple("OK");
        Ok(Reply::Done)
    }

    /// An integer answer.
    pub fn int(&mut self, n: i64) -> Outcome {
        self.reply().int(n);
        Ok(Reply::Done)
    }

    /// Sends words to a peer and its reply back to the client. `away` is what the client reads when the peer
    /// does not answer: nothing is known then, so it is never nil.
    pub fn pass_on(&mut self, link: Link, words: &[&[u8]], away: &'static str) -> Outcome {
        self.pass_on_as(link, words, away, wire::forward)
    }

    /// As [`Ctx::pass_on`], where the reply's flat pairs are maps.
    pub fn pass_on_map(&mut self, link: Link, words: &[&[u8]], away: &'static str) -> Outcome {
        self.pass_on_as(link, words, away, wire::forward_map)
    }

    fn pass_on_as(
        &mut self,
        link: Link,
        words: &[&[u8]],
        away: &'static str,
        write: fn(&mut Writer<'_>, &gs_resp::Reply),
    ) -> Outcome {
        let mut out = Vec::new();
        gs_resp::encode_command(&mut out, words);
        self.later(async move {
            // As it came, because nodes speak RESP2 to each other and mostly one of them asks.
            let reply = link.call_whole(out).await.map_err(|_| Refusal::new(Code::Unavailable, away))?;
            Ok(Box::new(move |w: &mut Writer<'_>| wire::forward_whole(w, &reply, write)) as Answer)
        })
    }

    /// Tells others what they may see of this connection, the running command included.
    pub fn publish(&self) {
        self.conn.publish((self.out.len(), self.out.capacity()));
    }

    /// An answer that comes later.
    pub fn later<F>(&mut self, future: F) -> Outcome
    where
        F: Future<Output = Result<Answer, Refusal>> + Send + 'static,
    {
        Ok(Reply::Wait(Box::pin(future)))
    }
}
