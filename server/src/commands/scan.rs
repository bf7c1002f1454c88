//! Walking the keys: KEYS and SCAN. On a relay both speak for the whole family.

use crate::commands::keyspace::type_word;
use crate::commands::parse::{integer, pattern};
use crate::commands::{Answer, Command, Ctx, Outcome};
use crate::core::iterate;
use crate::core::node::Node;
use gs_resp::{
    AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec, Writer, glob_match,
};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "keys",
            parent: None,
            since: "1.0.0",
            group: Group::Generic,
            arity: Arity(2),
            flags: Flags::READONLY,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::pattern("pattern")],
            complexity: "O(N) with N being the number of keys in the database, under the assumption that the key names in the database and the given pattern have limited length.",
            summary: "Find all keys matching the given pattern",
            acl: Acl::KEYSPACE.or(Acl::READ).or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "the keys",
        },
        run: keys,
    },
    Command {
        spec: Spec {
            name: "scan",
            parent: None,
            since: "2.8.0",
            group: Group::Generic,
            arity: Arity(-2),
            flags: Flags::READONLY,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[
                Arg::integer("cursor"),
                Arg::pattern("pattern").token("MATCH").optional(),
                Arg::integer("count").token("COUNT").optional(),
                Arg::string("type").token("TYPE").since("6.0.0").optional(),
            ],
            complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
            summary: "Incrementally iterate the keys space",
            acl: Acl::KEYSPACE.or(Acl::READ).or(Acl::SLOW),
            reply_doc: "the next cursor and some keys",
        },
        run: scan,
    },
];

/// Keys that a SCAN looks at unless told otherwise.
const COUNT_DEFAULT: usize = 10;

/// Keys that one SCAN looks at whatever it was told: more come with the next cursor.
const COUNT_MAX: usize = 10_000;

fn keys(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let pattern = pattern(args.at(1))?.to_vec();
    let (node, db) = (ctx.node.clone(), ctx.conn.db);
    ctx.later(async move {
        let mut keys = iterate::all_keys(&node, db).await?;
        keys.retain(|key| matches(&pattern, key));
        Ok(Box::new(move |reply: &mut Writer<'_>| list(reply, &keys)) as Answer)
    })
}

fn list(reply: &mut Writer<'_>, keys: &[Box<[u8]>]) {
    reply.array(keys.len());
    for key in keys {
        reply.bulk(key);
    }
}

/// `*` is every key, the empty one too.
fn matches(pattern: &[u8], key: &[u8]) -> bool {
    pattern == b"*" || glob_match(pattern, key)
}

/// Reads a cursor as C's `strtoul` does: signs and leading zeros pass, nothing at all is 0.
fn cursor(word: &[u8]) -> Result<u64, Refusal> {
    let (negative, digits) = match word {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let signed = digits.len() < word.len();
    if digits.iter().any(|byte| !byte.is_ascii_digit()) || (signed && digits.is_empty()) {
        return Err(Refusal::invalid_cursor());
    }
    let n = digits
        .iter()
        .try_fold(0u64, |n, byte| n.checked_mul(10)?.checked_add(u64::from(byte - b'0')))
        .ok_or_else(Refusal::invalid_cursor)?;
    Ok(if negative { n.wrapping_neg() } else { n })
}

/// What SCAN keeps of a page.
struct Filter {
    pattern: Option<Vec<u8>>,
    kind: Option<Vec<u8>>,
}

impl Filter {
    fn keeps(&self, node: &Node, db: u8, key: &[u8]) -> bool {
        self.pattern.as_deref().is_none_or(|pattern| matches(pattern, key))
            && self.kind.as_deref().is_none_or(|kind| is_of_type(node, db, key, kind))
    }
}

/// Whether a key is of this type. A key that lives downstream is taken for a string without asking: hashed
/// values are few, and asking for each would cost a round trip per key.
fn is_of_type(node: &Node, db: u8, key: &[u8], kind: &[u8]) -> bool {
    let resident = node.cache.section().peek(&node.id(db, key), key, node.now_ms());
    let word = resident.map_or("string", |meta| type_word(meta.kind));
    kind.eq_ignore_ascii_case(word.as_bytes())
}

fn scan(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let from = cursor(args.at(1))?;
    let mut count = COUNT_DEFAULT;
    let mut filter = Filter { pattern: None, kind: None };
    let mut i = 2;
    while i < args.len() {
        let value = args.get(i + 1).ok_or_else(Refusal::syntax)?;
        if args.is(i, "count") {
            let n = integer(value)?;
            if n < 1 {
                return Err(Refusal::syntax().into());
            }
            count = usize::try_from(n).unwrap_or(COUNT_MAX).min(COUNT_MAX);
        } else if args.is(i, "match") {
            filter.pattern = Some(pattern(value)?.to_vec());
        } else if args.is(i, "type") {
            filter.kind = Some(value.to_vec());
        } else {
            return Err(Refusal::syntax().into());
        }
        i += 2;
    }
    let (node, db) = (ctx.node.clone(), ctx.conn.db);
    ctx.later(async move {
        let (next, mut keys) = iterate::scan_page(&node, db, from, count).await?;
        keys.retain(|key| filter.keeps(&node, db, key));
        Ok(Box::new(move |reply: &mut Writer<'_>| {
            reply.array(2);
            reply.bulk_uint(next);
            list(reply, &keys);
        }) as Answer)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Scripts pass cursors back in whatever spelling their language prints.
    #[test]
    fn cursors_read_as_strtoul_reads_them() {
        for (word, n) in
            [("0", 0), ("", 0), ("007", 7), ("+5", 5), ("-1", u64::MAX), ("18446744073709551615", u64::MAX)]
        {
            assert_eq!(cursor(word.as_bytes()).unwrap(), n, "{word:?}");
        }
        for bad in ["x", " 1", "1 ", "1x", "-", "+", "18446744073709551616"] {
            assert!(cursor(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
