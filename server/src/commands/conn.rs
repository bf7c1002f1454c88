//! What a node remembers of one connection.

use crate::commands::meter::Meter;
use crate::core::bus::{Inbox, Mailbox, Mailroom};
use crate::core::change::tracking::Tracker;
use crate::core::change::watch::Watching;
use crate::core::clients::{ClientInfo, FactsNow};
use crate::core::keyspace::Scope;
use crate::core::node::{Agent, Node};
use gs_resp::{OwnedArgs, Protocol};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The transaction a connection is queueing.
#[derive(Default)]
pub struct Multi {
    /// The commands so far.
    pub queue: Vec<OwnedArgs>,
    /// Bytes they hold on to.
    pub bytes: usize,
    /// True once a command was refused: EXEC will refuse too.
    pub broken: bool,
}

impl Multi {
    /// A command was refused: nothing of it will run, and nothing of it is kept.
    pub fn spoil(&mut self) {
        *self = Multi { broken: true, ..Multi::default() };
    }
}

/// What a connection is subscribed to.
#[derive(Default)]
pub struct Subscriptions {
    /// Channels, in order.
    pub channels: BTreeSet<Vec<u8>>,
    /// Patterns, in order.
    pub patterns: BTreeSet<Vec<u8>>,
    /// Shard channels, in order.
    pub shards: BTreeSet<Vec<u8>>,
}

impl Subscriptions {
    /// How many channels and patterns there are; shard channels are counted apart.
    pub fn count(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    /// True where there is none of any kind.
    pub fn is_empty(&self) -> bool {
        self.count() + self.shards.len() == 0
    }
}

/// Which replies of a connection are held back: CLIENT REPLY.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mute {
    /// None.
    #[default]
    No,
    /// That of the next command.
    Next,
    /// That of the running command.
    This,
    /// All, until CLIENT REPLY ON.
    All,
}

impl Mute {
    /// True while the reply of the running command is not sent.
    pub fn holds_back(self) -> bool {
        matches!(self, Mute::This | Mute::All)
    }

    /// What it is for the command after this one.
    pub fn next(self) -> Mute {
        match self {
            Mute::Next => Mute::This,
            Mute::This => Mute::No,
            other => other,
        }
    }
}

/// A connection that follows the stream of changes.
pub struct Follow {
    /// The next event to send.
    pub next: u64,
    /// The agent as others see it.
    pub agent: Arc<Agent>,
}

/// The state of one connection.
pub struct Conn {
    /// What others may see.
    pub info: Arc<ClientInfo>,
    /// The protocol chosen by HELLO.
    pub proto: Protocol,
    /// The current logical database.
    pub db: u8,
    /// False until the password was given, where one is needed.
    pub authenticated: bool,
    /// True for one that logged in with a password that only nodes still know.
    pub only_peer: bool,
    /// The transaction being queued.
    pub multi: Option<Multi>,
    /// The keys that it must find unchanged.
    pub watching: Watching,
    /// What it listens to.
    pub subs: Subscriptions,
    /// Where messages come in, once it ever subscribed, tracked keys, or somebody sent it something.
    pub inbox: Option<Inbox>,
    /// How it is told of keys that it cached.
    pub tracker: Option<Arc<Tracker>>,
    /// True from CLIENT CACHING to the end of the next command or transaction.
    pub caching: bool,
    /// The stream it follows, for a front end's agent.
    pub follow: Option<Follow>,
    /// Which replies are held back.
    pub mute: Mute,
    /// True once it said what only nodes say to each other.
    pub is_peer: bool,
    /// How long its commands take.
    pub meter: Meter,
    /// 1 more than the place of the last command in the table.
    pub row: usize,
    /// The journal's record that must be on disk before the output may leave; 0 for none.
    pub durable: u64,
    /// What the running command knows beyond the section.
    pub scope: Scope,
    /// Scratch for values that are read to be changed; kept to save allocations.
    pub scratch: Vec<u8>,
}

impl Conn {
    /// A new connection.
    pub fn new(node: &Node, info: Arc<ClientInfo>) -> Conn {
        let scope = Scope { client: info.id, ..Scope::default() };
        Conn {
            info,
            proto: Protocol::Resp2,
            db: 0,
            authenticated: !node.live.asks_password(),
            only_peer: false,
            multi: None,
            watching: Watching::default(),
            subs: Subscriptions::default(),
            inbox: None,
            tracker: None,
            caching: false,
            follow: None,
            mute: Mute::No,
            is_peer: false,
            meter: Meter::default(),
            row: 0,
            durable: 0,
            scope,
            scratch: Vec::new(),
        }
    }

    /// The mailbox of this connection, made when it is first needed.
    pub fn mailbox(&mut self, room: &Arc<Mailroom>) -> Mailbox {
        let mailbox = self.info.letterbox.mailbox(room);
        self.open_mail();
        mailbox
    }

    /// Takes the inbox that somebody else had made.
    pub fn open_mail(&mut self) {
        if self.inbox.is_none() {
            self.inbox = self.info.letterbox.take();
        }
    }

    /// True where a message belongs right behind the reply of the command that caused it: only RESP3 can tell one
    /// from the other, and what is broadcast is gathered first.
    pub fn hears_at_once(&self) -> bool {
        let gathers = self.tracker.as_ref().is_some_and(|tracker| tracker.broadcasts());
        self.inbox.is_some() && self.proto == Protocol::Resp3 && !gathers
    }

    /// Watches no commands any more.
    pub fn end_monitoring(&mut self, node: &Node) {
        if self.info.monitors.load(Ordering::Relaxed) {
            node.monitors.end(self.info.id);
        }
    }

    /// Caches nothing any more.
    pub fn end_tracking(&mut self, node: &Node) {
        self.caching = false;
        if let Some(tracker) = self.tracker.take() {
            node.end_tracking(&tracker);
        }
    }

    /// Tells others what they may see of the connection as it is now; `out` are the bytes of replies that wait and
    /// the room there is for them.
    pub fn publish(&self, out: (usize, usize)) {
        let multi = self.multi.as_ref();
        self.info.facts.store(FactsNow {
            db: usize::from(self.db),
            resp: self.proto.number() as usize,
            sub: self.subs.channels.len(),
            psub: self.subs.patterns.len(),
            ssub: self.subs.shards.len(),
            multi: multi.map_or(0, |multi| 1 + multi.queue.len()),
            multi_mem: multi.map_or(0, |multi| multi.bytes),
            row: self.row,
            out: out.0,
            out_room: out.1,
        });
    }

    /// True while only subscription commands are allowed: RESP2 cannot tell a message from an answer.
    pub fn only_listens(&self) -> bool {
        self.proto == Protocol::Resp2 && !self.subs.is_empty()
    }

    /// Forgets the transaction and what it watches: run, discarded or refused.
    pub fn end_transaction(&mut self, node: &Node) {
        self.multi = None;
        self.watching.clear(node, self.info.id);
    }

    /// Ends all that others hold of this connection.
    pub fn end(&mut self, node: &Node) {
        // Also one that others had made and it never opened: what waits in there would count for as long as they live.
        self.open_mail();
        self.inbox = None;
        self.watching.clear(node, self.info.id);
        self.end_tracking(node);
        self.end_monitoring(node);
        self.unsubscribe_all(node);
        if let (Some(follow), Some(relay)) = (self.follow.take(), node.relay()) {
            follow.agent.connected.store(false, Ordering::Release);
            relay.agents_moved.notify_waiters();
        }
        node.holdings.tell(&self.info.held, 0);
        node.clients.leave(self.info.id);
    }

    /// Ends all subscriptions without a word, for RESET and at the end.
    pub fn unsubscribe_all(&mut self, node: &Node) {
        for channel in std::mem::take(&mut self.subs.channels) {
            node.bus.unsubscribe(false, &channel, self.info.id);
        }
        for channel in std::mem::take(&mut self.subs.shards) {
            node.bus.unsubscribe(true, &channel, self.info.id);
        }
        for pattern in std::mem::take(&mut self.subs.patterns) {
            node.bus.punsubscribe(&pattern, self.info.id);
        }
    }
}
