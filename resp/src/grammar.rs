//! The words of a command: which are keys, and what the others mean. Part of [`crate::spec`].

use crate::args::Args;
use crate::spec::ArgKind;

/// Which words of a command are keys. Places count all words, the name being word 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// None.
    None,
    /// From `first` to `last` by `step`, as COMMAND INFO says it: a negative `last` counts from the end, -1
    /// being the last word.
    Range {
        /// The first key's place.
        first: u16,
        /// The last key's place.
        last: i16,
        /// From one key to the next.
        step: u16,
    },
    /// The word at this place says how many keys follow it, as in EVAL.
    NumKeys(u16),
}

impl Keys {
    /// One key at word 1: most commands.
    pub const ONE: Keys = Keys::Range { first: 1, last: 1, step: 1 };
    /// Every word is a key: DEL, MGET.
    pub const ALL: Keys = Keys::Range { first: 1, last: -1, step: 1 };
    /// Every other word is a key: MSET.
    pub const PAIRS: Keys = Keys::Range { first: 1, last: -1, step: 2 };
    /// Two keys: RENAME.
    pub const TWO: Keys = Keys::Range { first: 1, last: 2, step: 1 };

    /// `first`, `last` and `step` as the fourth to sixth values of a COMMAND INFO entry.
    pub const fn triple(self) -> (i64, i64, i64) {
        match self {
            Keys::None | Keys::NumKeys(_) => (0, 0, 0),
            Keys::Range { first, last, step } => (first as i64, last as i64, step as i64),
        }
    }

    /// The places of the keys in `args`; places past the end are left out, and a count that is no number or
    /// promises more keys than there are words gives none.
    pub fn places(self, args: Args<'_>) -> impl Iterator<Item = usize> + use<> {
        let words = args.len();
        let (range, step) = match self {
            Keys::None => (0..0, 1),
            Keys::Range { first, last, step } => {
                let end = match usize::try_from(last) {
                    Ok(last) => (last + 1).min(words),
                    Err(_) => (words + 1).saturating_sub(usize::from(last.unsigned_abs())),
                };
                (usize::from(first)..end, usize::from(step))
            }
            Keys::NumKeys(place) => {
                let first = usize::from(place) + 1;
                let count = args.get(usize::from(place)).and_then(crate::num::parse_u64);
                let end = count.and_then(|n| usize::try_from(n).ok()).and_then(|n| first.checked_add(n));
                (first..end.filter(|end| *end <= words).unwrap_or(first), 1)
            }
        };
        range.step_by(step.max(1))
    }
}

/// One word, or group of words, that a command takes after its names. Built in constants:
/// `Arg::oneof("expiration", &[Arg::integer("seconds").token("EX"), Arg::token_only("keepttl", "KEEPTTL")]).optional()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arg {
    /// What documents call it.
    pub name: &'static str,
    /// What it is.
    pub kind: ArgKind,
    /// The literal word before it, or which it is.
    pub token: Option<&'static str>,
    /// Whether it may be left out.
    pub is_optional: bool,
    /// Whether it may come more than once.
    pub is_multiple: bool,
    /// Whether the token is repeated with each.
    pub is_multiple_token: bool,
    /// What a [`ArgKind::OneOf`] chooses from or a [`ArgKind::Block`] consists of.
    pub children: &'static [Arg],
    /// The version that first took it, where later than the command.
    pub since: Option<&'static str>,
}

impl Arg {
    /// A word of this kind, once, required.
    pub const fn new(name: &'static str, kind: ArgKind) -> Arg {
        Arg {
            name,
            kind,
            token: None,
            is_optional: false,
            is_multiple: false,
            is_multiple_token: false,
            children: &[],
            since: None,
        }
    }

    /// Any bytes.
    pub const fn string(name: &'static str) -> Arg {
        Arg::new(name, ArgKind::String)
    }

    /// An integer.
    pub const fn integer(name: &'static str) -> Arg {
        Arg::new(name, ArgKind::Integer)
    }

    /// A floating point number.
    pub const fn double(name: &'static str) -> Arg {
        Arg::new(name, ArgKind::Double)
    }

    /// A key.
    pub const fn key(name: &'static str) -> Arg {
        Arg::new(name, ArgKind::Key)
    }

    /// A pattern.
    pub const fn pattern(name: &'static str) -> Arg {
        Arg::new(name, ArgKind::Pattern)
    }

    /// A point in time.
    pub const fn unix_time(name: &'static str) -> Arg {
        Arg::new(name, ArgKind::UnixTime)
    }

    /// A literal word.
    pub const fn token_only(name: &'static str, token: &'static str) -> Arg {
        Arg::new(name, ArgKind::PureToken).token(token)
    }

    /// One of `children`.
    pub const fn oneof(name: &'static str, children: &'static [Arg]) -> Arg {
        Arg { children, ..Arg::new(name, ArgKind::OneOf) }
    }

    /// All of `children`.
    pub const fn block(name: &'static str, children: &'static [Arg]) -> Arg {
        Arg { children, ..Arg::new(name, ArgKind::Block) }
    }

    /// With this literal word before it.
    pub const fn token(self, token: &'static str) -> Arg {
        Arg { token: Some(token), ..self }
    }

    /// May be left out.
    pub const fn optional(self) -> Arg {
        Arg { is_optional: true, ..self }
    }

    /// May come more than once; a token comes once before all.
    pub const fn multiple(self) -> Arg {
        Arg { is_multiple: true, ..self }
    }

    /// May come more than once, each with its token.
    pub const fn multiple_token(self) -> Arg {
        Arg { is_multiple: true, is_multiple_token: true, ..self }
    }

    /// Taken since this version.
    pub const fn since(self, version: &'static str) -> Arg {
        Arg { since: Some(version), ..self }
    }

    /// Appends the argument as manuals write it: `[EX seconds | KEEPTTL]`, `key [key ...]`.
    pub fn describe(&self, out: &mut String) {
        if self.is_optional {
            out.push('[');
        }
        self.describe_once(out);
        if self.is_multiple {
            out.push_str(" [");
            let again = if self.is_multiple_token { *self } else { Arg { token: None, ..*self } };
            again.describe_once(out);
            out.push_str(" ...]");
        }
        if self.is_optional {
            out.push(']');
        }
    }

    fn describe_once(&self, out: &mut String) {
        if let Some(token) = self.token {
            out.push_str(if token.is_empty() { "\"\"" } else { token });
            if self.kind != ArgKind::PureToken {
                out.push(' ');
            }
        }
        let separator = match self.kind {
            ArgKind::PureToken => return,
            ArgKind::OneOf => " | ",
            ArgKind::Block => " ",
            _ => return out.push_str(self.name),
        };
        // A required choice needs its own brackets; an optional one has them already.
        let bracketed = self.kind == ArgKind::OneOf && (!self.is_optional || self.token.is_some());
        if bracketed {
            out.push('<');
        }
        for (i, child) in self.children.iter().enumerate() {
            if i > 0 {
                out.push_str(separator);
            }
            child.describe(out);
        }
        if bracketed {
            out.push('>');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::OwnedArgs;

    fn places(keys: Keys, line: &str) -> Vec<usize> {
        keys.places(OwnedArgs::from_iter(line.split(' ')).as_args()).collect()
    }

    #[test]
    fn keys_are_found_where_redis_finds_them() {
        assert_eq!(places(Keys::None, "PING"), [0; 0]);
        assert_eq!(places(Keys::ONE, "SET k v"), [1]);
        assert_eq!(places(Keys::ALL, "DEL a b c"), [1, 2, 3]);
        assert_eq!(places(Keys::PAIRS, "MSET a 1 b 2"), [1, 3]);
        assert_eq!(places(Keys::TWO, "RENAME a b"), [1, 2]);
        assert_eq!(places(Keys::Range { first: 1, last: -2, step: 1 }, "BLPOP a b 0"), [1, 2]);
        assert_eq!(places(Keys::NumKeys(2), "EVAL s 2 a b c"), [3, 4]);
        assert_eq!(Keys::PAIRS.triple(), (1, -1, 2));
    }

    #[test]
    fn key_counts_from_outside_are_not_believed() {
        assert_eq!(places(Keys::NumKeys(2), "EVAL s 3 a b"), [0; 0]);
        assert_eq!(places(Keys::NumKeys(2), "EVAL s 18446744073709551615 a b"), [0; 0]);
        assert_eq!(places(Keys::NumKeys(2), "EVAL s x a"), [0; 0]);
        assert_eq!(places(Keys::NumKeys(2), "EVAL"), [0; 0]);
        assert_eq!(places(Keys::ALL, "DEL"), [0; 0]);
        assert_eq!(places(Keys::Range { first: 1, last: -9, step: 0 }, "A b"), [0; 0]);
    }

    #[test]
    fn grammar_reads_as_in_a_manual() {
        const ARGS: &[Arg] = &[
            Arg::key("key").multiple(),
            Arg::oneof("condition", &[Arg::token_only("nx", "NX"), Arg::token_only("xx", "XX")]).optional(),
            Arg::oneof(
                "expiration",
                &[Arg::integer("seconds").token("EX"), Arg::token_only("keepttl", "KEEPTTL").since("6.0.0")],
            ),
            Arg::block("pair", &[Arg::string("field"), Arg::string("value")]).multiple(),
            Arg::string("prefix").token("PREFIX").optional().multiple_token(),
        ];
        let mut text = String::new();
        for arg in ARGS {
            arg.describe(&mut text);
            text.push(' ');
        }
        assert_eq!(
            text,
            "key [key ...] [NX | XX] <EX seconds | KEEPTTL> field value [field value ...] [PREFIX prefix [PREFIX prefix ...]] "
        );
    }
}
