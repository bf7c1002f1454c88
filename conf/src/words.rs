//! The options that take one of a few words, and ports that may be none.

use crate::row::choice;

choice! {
    /// What a process of gs is.
    pub enum Role {
        /// Relay, sibling, one expansion and one aging relief in one process.
        Family = "family",
        /// Serves front ends and Redis clients; owns its section.
        Relay = "relay",
        /// Attaches to the relay's section and moves objects to and from the reliefs.
        Sibling = "sibling",
        /// Takes young overflow, gives it back.
        ReliefExpansion = "relief-expansion",
        /// Keeps what aged out.
        ReliefAging = "relief-aging",
    }
}

impl Role {
    /// How many roles there are.
    pub const COUNT: usize = 5;

    /// True for the two kinds of relief.
    #[must_use]
    pub fn is_relief(self) -> bool {
        matches!(self, Role::ReliefExpansion | Role::ReliefAging)
    }
}

choice! {
    /// How a relay gets its sibling (`sibling_mode`).
    pub enum SiblingMode {
        /// As a child process that the relay starts and starts again.
        Child = "child",
        /// In the relay's own process.
        Inside = "inside",
        /// Somebody else starts it.
        External = "external",
    }
}

choice! {
    /// How connections come to the threads that serve them (`accept`).
    pub enum Accept {
        /// Every thread listens, and the kernel chooses by a hash of the addresses.
        Kernel = "kernel",
        /// One thread accepts and hands each connection to the thread that has the fewest.
        Handed = "handed",
    }
}

choice! {
    /// Where a section lives (`section.backing`).
    pub enum Backing {
        /// In shared memory: others may attach, and a restart finds it again.
        Shm = "shm",
        /// In private memory: huge pages without ado, no warm restart.
        Memory = "memory",
    }
}

choice! {
    /// What a full owner does (`section.on_full`).
    pub enum OnFull {
        /// `relief` once a relief has joined, `drop` while there is none.
        Auto = "auto",
        /// Records leave by hand-off only; a write without room waits, then is refused.
        Relief = "relief",
        /// Records are dropped to make room, and counted.
        Drop = "drop",
    }
}

impl From<OnFull> for gs_policies::admit::OnFull {
    fn from(mode: OnFull) -> Self {
        match mode {
            OnFull::Auto => gs_policies::admit::OnFull::Auto,
            OnFull::Relief => gs_policies::admit::OnFull::Relief,
            OnFull::Drop => gs_policies::admit::OnFull::Drop,
        }
    }
}

choice! {
    /// When a deletion counts as durable (`journal.mode`).
    pub enum JournalMode {
        /// On disk before the reply.
        Sync = "sync",
        /// On disk shortly after the reply.
        Async = "async",
    }
}

choice! {
    /// What the stream carries to front ends (`stream.push`).
    pub enum Push {
        /// New values and invalidations.
        All = "all",
        /// Invalidations only; front ends fetch.
        Invalidate = "invalidate",
    }
}

choice! {
    /// Whether a TLS listener asks for a client certificate (`tls.client_auth`).
    pub enum ClientAuth {
        /// No.
        No = "no",
        /// Yes, and a bad one is refused; none is fine.
        Optional = "optional",
        /// Yes, and none is refused.
        Required = "required",
    }
}

choice! {
    /// Least severe message that is logged (`log.level`).
    pub enum LogLevel {
        /// Errors only.
        Error = "error",
        /// And warnings.
        Warn = "warn",
        /// And what happens.
        Info = "info",
        /// And how.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

choice! {
    /// How a line of the log is written (`log.format`).
    pub enum LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
    }
}

choice! {
    /// What a save after a deletion does (`paths.*.destroy`).
    pub enum Destroy {
        /// It creates a new object, as in Redis.
        Plain = "plain",
        /// It is refused: the deletion wins, for `gone_for_ms`.
        Wins = "wins",
    }
}

choice! {
    /// What a front end does once cut off (`paths.*.partition`).
    pub enum Partition {
        /// Answers nothing after its lease.
        Closed = "closed",
        /// Answers from its section for `stale_ms` longer.
        Stale = "stale",
    }
}

/// An amount of memory: so many bytes, or so much of a node's capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// So many bytes; 0 means that there is no bound.
    Bytes(u64),
    /// A part of the capacity in percent; 0 means that there is no bound.
    Percent(u8),
}

impl Share {
    /// The bytes that it comes to where the capacity is this; 0 for no bound.
    #[must_use]
    pub fn bytes(self, capacity: u64) -> u64 {
        match self {
            Share::Bytes(bytes) => bytes,
            Share::Percent(percent) => (u128::from(capacity) * u128::from(percent) / 100) as u64,
        }
    }
}

/// A listener's port that may also be none, or follow from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortChoice {
    /// No listener.
    Off,
    /// Follows from another port.
    Auto,
    /// This port; 0 picks a free one.
    At(u16),
}
