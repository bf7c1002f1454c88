//! The error codes a node can answer: the word after `-`, whose fault it is, and whether to try again.

/// Whose doing an error is; decides who is told (a log line, a metric, or nobody).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The client asked for something it may not or cannot have.
    Client,
    /// This node or its family cannot do it now.
    Node,
    /// Nobody's: a race that was lost, or a state that passes.
    Nobody,
}

/// Whether the same request can succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Not without changing the request.
    Never,
    /// After the client does something first: authenticate, load the script, start the transaction anew.
    AfterRepair,
    /// Later, unchanged.
    Later,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident $prefix:literal $fault:ident $retry:ident;)*) => {
        /// An error code. One table: the variant, its prefix on the wire, whose fault, whether to retry.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the table's order.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The first word on the wire.
            pub const fn prefix(self) -> &'static str {
                match self { $(Code::$name => $prefix,)* }
            }

            /// Whose fault it is.
            pub const fn fault(self) -> Fault {
                match self { $(Code::$name => Fault::$fault,)* }
            }

            /// Whether to try again.
            pub const fn retry(self) -> Retry {
                match self { $(Code::$name => Retry::$retry,)* }
            }
        }
    };
}

codes! {
    /// The general one. Some clients (phpredis) throw on any other, so soft failures use this.
    Err "ERR" Client Never;
    /// The key holds another kind of value.
    WrongType "WRONGTYPE" Client Never;
    /// Not authenticated yet.
    NoAuth "NOAUTH" Client AfterRepair;
    /// Wrong name or password.
    WrongPass "WRONGPASS" Client Never;
    /// HELLO asked for a protocol version that does not exist.
    NoProto "NOPROTO" Client Never;
    /// Authenticated, but not allowed this.
    NoPerm "NOPERM" Client Never;
    /// EXEC of a transaction in which a command was refused when it was queued.
    ExecAbort "EXECABORT" Client AfterRepair;
    /// EVALSHA of an unknown script.
    NoScript "NOSCRIPT" Client AfterRepair;
    /// SCRIPT KILL while no script runs.
    NotBusy "NOTBUSY" Client Never;
    /// No room, and nothing may be evicted for this write.
    Oom "OOM" Node Later;
    /// This node does not take writes.
    ReadOnly "READONLY" Node Never;
    /// A long operation runs.
    Busy "BUSY" Node Later;
    /// Still starting.
    Loading "LOADING" Node Later;
    /// The part of the family that must answer is cut off: the value may exist.
    Unavailable "UNAVAILABLE" Node Later;
    /// The value existed and was lost with the node that held it.
    Gone "GONE" Node Never;
    /// The state moved under the request.
    TryAgain "TRYAGAIN" Nobody Later;
    /// The change cannot be made durable now.
    Misconf "MISCONF" Node Later;
}

impl Code {
    /// The code with this prefix, if it is one of ours: how a link reads a peer's error.
    pub fn from_prefix(prefix: &[u8]) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.prefix().as_bytes() == prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_one_word_in_capitals_and_differ() {
        for (i, code) in Code::ALL.iter().enumerate() {
            assert!(code.prefix().bytes().all(|byte| byte.is_ascii_uppercase()), "{code:?}");
            assert_eq!(Code::from_prefix(code.prefix().as_bytes()), Some(Code::ALL[i]), "{code:?}");
        }
        assert_eq!(Code::from_prefix(b"MOVED"), None);
    }
}
