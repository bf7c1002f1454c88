//! What a row of the command table says about a command. The rows stand beside their functions in the server;
//! from these types follow lookup, arity, gates, COMMAND's replies, documents and generated test calls.

/// One command, or one subcommand of a container.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Its own name in lower case: `get`, or `setname` for CLIENT SETNAME.
    pub name: &'static str,
    /// The container, `client` for CLIENT SETNAME.
    pub parent: Option<&'static str>,
    /// The version of Redis that first had it, or of gs for its own.
    pub since: &'static str,
    /// Where documents list it.
    pub group: Group,
    /// How many words it takes, all names included.
    pub arity: Arity,
    /// What it does and when it may run.
    pub flags: Flags,
    /// Which nodes serve it.
    pub roles: Roles,
    /// Which words are keys.
    pub keys: Keys,
    /// Its words after the names.
    pub args: &'static [Arg],
    /// What it costs: `O(1)`.
    pub complexity: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// The categories access control knows it by.
    pub acl: AclCategories,
    /// What it answers, for documents.
    pub reply_doc: &'static str,
}

impl Spec {
    /// The name errors and COMMAND use: `get`, `client|setname`.
    pub fn full_name(&self) -> String {
        match self.parent {
            Some(parent) => format!("{parent}|{}", self.name),
            None => self.name.to_owned(),
        }
    }
}

/// How many words a command takes, its names included: positive exactly, negative at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arity(pub i16);

impl Arity {
    /// Whether a command of `words` words fits.
    pub const fn accepts(self, words: usize) -> bool {
        let n = self.0.unsigned_abs() as usize;
        if self.0 < 0 { words >= n } else { words == n }
    }
}

macro_rules! bits {
    ($(#[$doc:meta])* $Name:ident: $Int:ident { $($(#[$bit_doc:meta])* $BIT:ident $word:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $Name($Int);

        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        const _: () = {
            enum Place { $($BIT,)* }
            impl $Name { $($(#[$bit_doc])* pub const $BIT: $Name = $Name(1 << Place::$BIT as u32);)* }
        };

        impl $Name {
            /// Nothing set.
            pub const NONE: $Name = $Name(0);
            /// Everything with the word it is known by, in the table's order.
            pub const ALL: &'static [($Name, &'static str)] = &[$(($Name::$BIT, $word),)*];

            /// Either, usable in constants where `|` is not.
            pub const fn or(self, other: $Name) -> $Name {
                $Name(self.0 | other.0)
            }

            /// This without the other.
            pub const fn without(self, other: $Name) -> $Name {
                $Name(self.0 & !other.0)
            }

            /// Whether all of the other is in this.
            pub const fn contains(self, other: $Name) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether any of the other is in this.
            pub const fn intersects(self, other: $Name) -> bool {
                self.0 & other.0 != 0
            }

            /// Whether nothing is set.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// The words of what is set, in the table's order.
            pub fn words(self) -> impl Iterator<Item = &'static str> {
                $Name::ALL.iter().filter(move |(bit, _)| self.contains(*bit)).map(|(_, word)| *word)
            }

            /// The one bit this word names, ASCII case aside.
            pub fn named(word: &[u8]) -> Option<$Name> {
                let found = $Name::ALL.iter().find(|(_, known)| word.eq_ignore_ascii_case(known.as_bytes()));
                found.map(|(bit, _)| *bit)
            }
        }

        impl std::ops::BitOr for $Name {
            type Output = $Name;

            fn bitor(self, other: $Name) -> $Name {
                self.or(other)
            }
        }
    };
}

bits! {
    /// What a command does and when it may run; the words and their order are those of COMMAND INFO.
    Flags: u32 {
        /// May change a value.
        WRITE "write";
        /// Only reads.
        READONLY "readonly";
        /// Refused when there is no room.
        DENYOOM "denyoom";
        /// For operators.
        ADMIN "admin";
        /// Publishes or subscribes.
        PUBSUB "pubsub";
        /// Not from scripts.
        NOSCRIPT "noscript";
        /// May wait.
        BLOCKING "blocking";
        /// Allowed while starting.
        LOADING "loading";
        /// Allowed while cut off from the owner of the data.
        STALE "stale";
        /// Not shown to MONITOR.
        SKIP_MONITOR "skip_monitor";
        /// Not kept in the slow log.
        SKIP_SLOWLOG "skip_slowlog";
        /// Constant time.
        FAST "fast";
        /// Allowed before authentication.
        NO_AUTH "no_auth";
        /// Keys may be absent.
        NO_MANDATORY_KEYS "no_mandatory_keys";
        /// May not be queued in a transaction.
        NO_MULTI "no_multi";
        /// Key places depend on the words.
        MOVABLEKEYS "movablekeys";
        /// Allowed while a script runs.
        ALLOW_BUSY "allow_busy";
        /// Spoken between nodes only; hidden from COMMAND.
        PEER "peer";
    }
}

bits! {
    /// Which nodes serve a command.
    Roles: u8 {
        /// The owner of a shard, which clients talk to.
        RELAY "relay";
        /// The relay's sibling, which its reliefs talk to.
        SIBLING "sibling";
        /// The relief for bursts.
        EXPANSION "relief-expansion";
        /// The relief for old sessions.
        AGING "relief-aging";
    }
}

impl Roles {
    /// Both reliefs.
    pub const RELIEFS: Roles = Roles::EXPANSION.or(Roles::AGING);
    /// Every node.
    pub const EVERY: Roles = Roles::RELAY.or(Roles::SIBLING).or(Roles::RELIEFS);
}

bits! {
    /// Categories of access control; the words are those of ACL CAT.
    AclCategories: u32 {
        /// Keys whatever they hold.
        KEYSPACE "keyspace";
        /// Reads.
        READ "read";
        /// Writes.
        WRITE "write";
        /// Sets.
        SET "set";
        /// Sorted sets.
        SORTEDSET "sortedset";
        /// Lists.
        LIST "list";
        /// Hashes.
        HASH "hash";
        /// Strings.
        STRING "string";
        /// Bitmaps.
        BITMAP "bitmap";
        /// Hyperloglogs.
        HYPERLOGLOG "hyperloglog";
        /// Geography.
        GEO "geo";
        /// Streams.
        STREAM "stream";
        /// Publish and subscribe.
        PUBSUB "pubsub";
        /// For operators.
        ADMIN "admin";
        /// Constant time.
        FAST "fast";
        /// Not constant time.
        SLOW "slow";
        /// May wait.
        BLOCKING "blocking";
        /// Should not be given to applications.
        DANGEROUS "dangerous";
        /// The connection itself.
        CONNECTION "connection";
        /// Transactions.
        TRANSACTION "transaction";
        /// Scripts.
        SCRIPTING "scripting";
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $Name:ident { $($(#[$item_doc:meta])* $ITEM:ident $word:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $Name { $($(#[$item_doc])* $ITEM,)* }

        impl $Name {
            /// The word COMMAND DOCS uses.
            pub const fn word(self) -> &'static str {
                match self { $($Name::$ITEM => $word,)* }
            }
        }
    };
}

words! {
    /// Where documents list a command.
    Group {
        /// Keys whatever they hold.
        Generic "generic";
        /// Strings.
        String "string";
        /// Hashes.
        Hash "hash";
        /// Sets.
        Set "set";
        /// Sorted sets.
        SortedSet "sorted-set";
        /// Publish and subscribe.
        PubSub "pubsub";
        /// Transactions.
        Transactions "transactions";
        /// Scripts.
        Scripting "scripting";
        /// The connection itself.
        Connection "connection";
        /// The node.
        Server "server";
        /// Redis Cluster.
        Cluster "cluster";
        /// What only gs has.
        Gs "gs";
    }
}

words! {
    /// What a word of a command is; the words are those of COMMAND DOCS.
    ArgKind {
        /// Any bytes.
        String "string";
        /// An integer of 64 bits.
        Integer "integer";
        /// A floating point number.
        Double "double";
        /// A key.
        Key "key";
        /// A pattern.
        Pattern "pattern";
        /// A point in time, in seconds or milliseconds since 1970.
        UnixTime "unix-time";
        /// The token itself and nothing behind it.
        PureToken "pure-token";
        /// One of the children.
        OneOf "oneof";
        /// All of the children in order.
        Block "block";
    }
}

pub use crate::grammar::{Arg, Keys};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arity_counts_names_and_minus_means_at_least() {
        assert!(Arity(2).accepts(2) && !Arity(2).accepts(3) && !Arity(2).accepts(1));
        assert!(Arity(-2).accepts(2) && Arity(-2).accepts(9) && !Arity(-2).accepts(1));
    }

    #[test]
    fn bits_are_distinct_and_known_by_their_words() {
        for (i, (bit, word)) in Flags::ALL.iter().enumerate() {
            assert_eq!(Flags::named(word.as_bytes()), Some(*bit));
            assert!(Flags::ALL[..i].iter().all(|(other, _)| !other.intersects(*bit)));
        }
        let flags = Flags::FAST | Flags::WRITE;
        assert_eq!(flags.words().collect::<Vec<_>>(), ["write", "fast"]);
        assert!(flags.contains(Flags::FAST) && !flags.contains(Flags::READONLY) && Flags::NONE.is_empty());
        assert_eq!(flags.without(Flags::FAST), Flags::WRITE);
        assert_eq!(Roles::EVERY.words().count(), Roles::ALL.len());
    }
}
