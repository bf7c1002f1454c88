//! Walking the keys: KEYS and SCAN. On a relay both speak for the whole family.

use crate::commands::parse::{integer, pattern};
use crate::commands::{Answer, Command, Ctx, Outcome, Reply};
use crate::core::iterate::{self, Keys, Listed};
use gs_client::kinds::type_word;
use gs_resp::{
    AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys as KeyWords, Refusal, Roles, Spec, Writer,
    glob_match,
};
use std::collections::HashSet;

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
            keys: KeyWords::None,
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
            keys: KeyWords::None,
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
    // At once where nobody has to be asked: then it works in a transaction too.
    if let Some(mut keys) = iterate::all_here(&node, db) {
        keys.retain(|key| matches(&pattern, key));
        list(&mut ctx.reply(), &keys);
        return Ok(Reply::Done);
    }
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
pub(super) fn cursor(word: &[u8]) -> Result<u64, Refusal> {
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

/// Names of keys.
type Names = Vec<Box<[u8]>>;

/// What SCAN keeps of a page.
struct Filter {
    pattern: Option<Vec<u8>>,
    kind: Option<Vec<u8>>,
}

impl Filter {
    /// What of a page is kept, and the keys of which only a relief can say whether they are.
    fn keep(&self, page: Keys) -> (Names, Names) {
        let (mut kept, mut unknown) = (Vec::new(), Vec::new());
        // What moved twice is on a page once.
        let mut seen = HashSet::new();
        for Listed { key, kind } in page {
            if !seen.insert(key.clone())
                || !self.pattern.as_deref().is_none_or(|pattern| matches(pattern, &key))
            {
                continue;
            }
            match kind {
                _ if self.kind.is_none() => kept.push(key),
                Some(kind) if self.is_of_type(kind) => kept.push(key),
                Some(_) => {}
                None => unknown.push(key),
            }
        }
        (kept, unknown)
    }

    fn is_of_type(&self, kind: u8) -> bool {
        self.kind.as_deref().is_none_or(|word| word.eq_ignore_ascii_case(type_word(kind).as_bytes()))
    }
}

fn page(reply: &mut Writer<'_>, next: u64, keys: &[Box<[u8]>]) {
    reply.array(2);
    reply.bulk_uint(next);
    list(reply, keys);
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
    // At once where nobody has to be asked: then it works in a transaction too.
    if let Some((next, found)) = iterate::page_here(&node, db, from, count) {
        let (keys, unknown) = filter.keep(found);
        if unknown.is_empty() {
            page(&mut ctx.reply(), next, &keys);
            return Ok(Reply::Done);
        }
    }
    ctx.later(async move {
        let (next, found) = iterate::scan_page(&node, db, from, count).await?;
        let (mut keys, unknown) = filter.keep(found);
        for key in unknown {
            if iterate::kind_below(&node, db, &key).await?.is_some_and(|kind| filter.is_of_type(kind)) {
                keys.push(key);
            }
        }
        Ok(Box::new(move |reply: &mut Writer<'_>| page(reply, next, &keys)) as Answer)
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
