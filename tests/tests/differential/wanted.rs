//! Where gs is meant to answer otherwise than Redis 7.0, each with its reason.

use super::{Answer, Call};
use gs_tests::wire::Value;

/// One wanted difference.
struct Wanted {
    /// The command (and subcommand), lower case.
    command: &'static str,
    /// Why.
    #[allow(dead_code, reason = "read by people")]
    reason: &'static str,
    /// What must still agree.
    judge: fn(&Answer, &Answer) -> bool,
}

const WANTED: &[Wanted] = &[
    Wanted {
        command: "hello",
        reason: "our own version and connection ids; the fields and their order are Redis's",
        judge: same_fields,
    },
    Wanted { command: "client id", reason: "ids are counted per server", judge: same_shape },
    Wanted {
        command: "client list",
        reason: "our own numbers; every field of Redis 7.0 in its order, behind them those of 7.2 and `tls`",
        judge: same_client_fields,
    },
    Wanted { command: "client info", reason: "as client list", judge: same_client_fields },
    Wanted {
        command: "client help",
        reason: "made from the table: the same form, our own sentences and subcommands",
        judge: same_shape,
    },
    Wanted {
        command: "slowlog get",
        reason: "keys and values are secrets: of each argument the length is told; times differ anyway",
        judge: same_shape,
    },
    Wanted {
        command: "monitor",
        reason: "off unless an operator switches it on, and then without what was sent",
        judge: |_, mine| mine.values.first().is_some_and(|reply| reply.is_error("ERR MONITOR is off")),
    },
    Wanted { command: "config help", reason: "as client help", judge: same_shape },
    Wanted { command: "slowlog help", reason: "as client help", judge: same_shape },
    Wanted { command: "latency help", reason: "as client help", judge: same_shape },
    Wanted { command: "memory help", reason: "as client help", judge: same_shape },
    Wanted { command: "acl help", reason: "as client help", judge: same_shape },
    Wanted { command: "module help", reason: "as client help", judge: same_shape },
    Wanted { command: "object help", reason: "as client help", judge: same_shape },
    Wanted { command: "command help", reason: "as client help", judge: same_shape },
    Wanted { command: "latency histogram", reason: "how long our commands took", judge: same_shape },
    Wanted {
        command: "memory usage",
        reason: "whole blocks of a section, not an allocator's bytes",
        judge: same_shape,
    },
    Wanted { command: "memory stats", reason: "the fields that mean something here", judge: same_shape },
    Wanted {
        command: "memory doctor",
        reason: "what is known of a section, in our words",
        judge: same_shape,
    },
    Wanted { command: "memory malloc-stats", reason: "no allocator holds the sessions", judge: same_shape },
    Wanted { command: "acl cat", reason: "our own commands; the categories are Redis's", judge: same_shape },
    Wanted { command: "time", reason: "two servers, two moments", judge: same_shape },
    Wanted { command: "role", reason: "there is no replication, so no offset grows", judge: same_shape },
    Wanted { command: "lolwut", reason: "our own version", judge: same_shape },
    Wanted { command: "info", reason: "our own figures, in Redis's form", judge: same_shape },
    Wanted { command: "pttl", reason: "the two servers are not asked in the same millisecond", judge: near },
    Wanted { command: "pexpiretime", reason: "as PTTL", judge: near },
    Wanted { command: "expiretime", reason: "as TTL", judge: next_second },
    Wanted {
        command: "object encoding",
        reason: "how a string is kept does not depend on whether APPEND or SETRANGE made it",
        judge: string_encodings,
    },
    Wanted {
        command: "ttl",
        reason: "a deadline at a point in time: a second may end between the two questions",
        judge: next_second,
    },
    Wanted { command: "scan", reason: "an order of our own; the cursor is opaque", judge: same_page },
    Wanted { command: "keys", reason: "an order of our own", judge: same_members },
    Wanted {
        command: "publish",
        reason: "as Redis since 7.2: what one publishes to oneself comes behind the reply, and never inside EXEC's",
        judge: reply_before_pushes,
    },
    Wanted { command: "spublish", reason: "as PUBLISH", judge: reply_before_pushes },
    Wanted { command: "pubsub channels", reason: "an order of our own", judge: same_members },
    Wanted {
        command: "smembers",
        reason: "an order of our own, but for sets of integers",
        judge: unless_by_number,
    },
    Wanted {
        command: "sscan",
        reason: "an order and pages of our own, but for sets of integers",
        judge: same_page_unless_by_number,
    },
    // One long value makes a hash a table for Redis, and it stays one when the value is gone.
    Wanted {
        command: "hgetall",
        reason: "a hash that was ever big has an order of our own",
        judge: same_members,
    },
    Wanted {
        command: "hkeys",
        reason: "a big hash has an order of our own; that long values make it big is not seen in their names",
        judge: same_members,
    },
    Wanted {
        command: "hvals",
        reason: "a hash that was ever big has an order of our own",
        judge: same_members,
    },
    Wanted {
        command: "hscan",
        reason: "a hash that was ever big has an order and pages of our own",
        judge: same_last_page,
    },
    Wanted {
        command: "zscan",
        reason: "a sorted set that was ever big has an order of our own",
        judge: same_members,
    },
    Wanted { command: "hrandfield", reason: "random", judge: same_count },
    Wanted { command: "srandmember", reason: "random", judge: same_count },
    Wanted { command: "spop", reason: "random", judge: same_count },
    Wanted {
        command: "cluster",
        reason: "whatever is asked of a cluster, clients that look for one must read that there is none",
        judge: both_errors,
    },
    Wanted {
        command: "dbsize",
        reason: "Redis counts a key whose time has passed until it meets it",
        judge: fewer,
    },
    Wanted {
        command: "object refcount",
        reason: "Redis shares the small integers among keys; a record here has one key",
        judge: same_shape,
    },
    Wanted { command: "randomkey", reason: "random", judge: same_shape },
    Wanted {
        command: "eval",
        reason: "a known script is a program: an error in it always says line 1",
        judge: but_for_the_line,
    },
    Wanted { command: "config get", reason: "our own values and an order of our own", judge: same_names },
];

/// Deadlines further away than this (60 years) are equal: Redis keeps 63 bits of milliseconds, a record of
/// gs 41, and what lies beyond them is set to the furthest, 69 years.
pub(crate) const DEADLINE_MS_FAR: i64 = 60 * 365 * 86_400_000;

/// True if the difference between the two answers is a wanted one.
pub(crate) fn differs(call: &Call, theirs: &Answer, mine: &Answer) -> bool {
    let Call::Words(words) = call else { return false };
    let lower =
        |n: usize| words.get(n).map(|w| String::from_utf8_lossy(w).to_ascii_lowercase()).unwrap_or_default();
    let (one, two) = (lower(0), format!("{} {}", lower(0), lower(1)));
    if one == "scan" && two != "scan 0" {
        // Where a number that is no cursor of theirs leads to is each one's own affair.
        return theirs.closed == mine.closed && same_shape(theirs, mine);
    }
    let wanted = WANTED.iter().find(|w| w.command == one || w.command == two);
    wanted.is_some_and(|w| theirs.closed == mine.closed && (w.judge)(theirs, mine))
}

fn kind(value: &Value) -> std::mem::Discriminant<Value> {
    std::mem::discriminant(value)
}

fn same_shape(theirs: &Answer, mine: &Answer) -> bool {
    let failed = |a: &Answer| a.values.iter().any(|v| matches!(v, Value::Error(_)));
    let kinds = |a: &Answer| a.values.iter().map(kind).collect::<Vec<_>>();
    // Two errors with different texts are never wanted.
    !failed(theirs) && !failed(mine) && kinds(theirs) == kinds(mine)
}

/// Every line has Redis's fields first, in Redis's order.
fn same_client_fields(theirs: &Answer, mine: &Answer) -> bool {
    let fields = |a: &Answer| {
        let text = a.values.first().map(Value::flat).unwrap_or_default();
        let line = text.lines().next().unwrap_or_default().to_owned();
        line.split(' ').map(|word| word.split('=').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let (theirs_first, mine_all) = (fields(theirs), fields(mine));
    same_shape(theirs, mine) && mine_all.starts_with(&theirs_first)
}

fn names(answer: &Answer) -> Option<Vec<String>> {
    match answer.values.first()? {
        Value::Map(pairs) => Some(pairs.iter().map(|(key, _)| key.text()).collect()),
        Value::Array(items) => Some(items.chunks(2).map(|pair| pair[0].text()).collect()),
        _ => None,
    }
}

fn same_fields(theirs: &Answer, mine: &Answer) -> bool {
    same_shape(theirs, mine) && names(theirs) == names(mine)
}

fn same_names(theirs: &Answer, mine: &Answer) -> bool {
    let sorted = |a: &Answer| {
        let mut names = names(a)?;
        names.sort();
        Some(names)
    };
    same_shape(theirs, mine) && sorted(theirs) == sorted(mine)
}

fn but_for_the_line(theirs: &Answer, mine: &Answer) -> bool {
    let text = |a: &Answer| match a.values.as_slice() {
        [Value::Error(text)] => text.rsplit_once("@user_script:").map(|(before, _)| before.to_owned()),
        _ => None,
    };
    text(theirs).is_some() && text(theirs) == text(mine)
}

/// The same replies and pushes, here the replies first.
fn reply_before_pushes(theirs: &Answer, mine: &Answer) -> bool {
    let is_push = |value: &Value| matches!(value, Value::Push(_));
    let mut moved = theirs.values.clone();
    // A stable sort: neither the pushes nor the replies change places among themselves.
    moved.sort_by_key(is_push);
    moved == mine.values
}

/// The same number of things, whatever they are.
fn same_count(theirs: &Answer, mine: &Answer) -> bool {
    fn count(value: &Value) -> Option<usize> {
        match value {
            Value::Array(items) | Value::Set(items) => {
                Some(items.len() + items.iter().filter_map(count).sum::<usize>())
            }
            _ => None,
        }
    }
    let counts = |a: &Answer| a.values.iter().map(count).collect::<Vec<_>>();
    same_shape(theirs, mine) && counts(theirs) == counts(mine)
}

/// Lists of a reply at any depth, the longest of them.
fn longest(answer: &Answer) -> Vec<Value> {
    fn walk(value: &Value, best: &mut Vec<Value>) {
        if let Value::Array(items) | Value::Set(items) = value {
            if items.len() > best.len() {
                *best = items.clone();
            }
            items.iter().for_each(|item| walk(item, best));
        }
    }
    let mut best = Vec::new();
    answer.values.iter().for_each(|value| walk(value, &mut best));
    best
}

/// The same members; where Redis lists integers by number, in the same order.
fn unless_by_number(theirs: &Answer, mine: &Answer) -> bool {
    let numbers: Option<Vec<i64>> = longest(theirs).iter().map(|v| v.flat().parse().ok()).collect();
    same_members(theirs, mine) && numbers.is_none_or(|numbers| !numbers.is_sorted())
}

fn fewer(theirs: &Answer, mine: &Answer) -> bool {
    matches!((&theirs.values[0], &mine.values[0]), (Value::Int(a), Value::Int(b)) if b <= a)
}

fn both_errors(theirs: &Answer, mine: &Answer) -> bool {
    let failed = |a: &Answer| matches!(a.values.as_slice(), [Value::Error(_)]);
    failed(theirs) && failed(mine)
}

fn string_encodings(theirs: &Answer, mine: &Answer) -> bool {
    let known = |a: &Answer| ["int", "embstr", "raw"].contains(&a.values[0].flat().as_str());
    known(theirs) && known(mine)
}

fn near(theirs: &Answer, mine: &Answer) -> bool {
    match (theirs.values.as_slice(), mine.values.as_slice()) {
        ([Value::Int(a)], [Value::Int(b)]) => {
            (*a > 0 && *b > 0 && a.abs_diff(*b) < 5_000) || (*a > DEADLINE_MS_FAR && *b > DEADLINE_MS_FAR)
        }
        _ => false,
    }
}

fn next_second(theirs: &Answer, mine: &Answer) -> bool {
    match (theirs.values.as_slice(), mine.values.as_slice()) {
        ([Value::Int(a)], [Value::Int(b)]) => {
            let far = DEADLINE_MS_FAR / 1000;
            (*a > 0 && *b > 0 && a.abs_diff(*b) <= 1) || (*a > far && *b > far)
        }
        _ => false,
    }
}

/// Whether Redis gives out a page that is not the last: it does so of its larger encodings only.
fn has_pages(theirs: &Answer) -> bool {
    let pages = |v: &Value| matches!(v, Value::Array(page) if page.first().is_some_and(|c| c.flat() != "0"));
    theirs.values.iter().any(pages)
}

fn same_last_page(theirs: &Answer, mine: &Answer) -> bool {
    if has_pages(theirs) { same_shape(theirs, mine) } else { same_members(theirs, mine) }
}

fn same_page_unless_by_number(theirs: &Answer, mine: &Answer) -> bool {
    if has_pages(theirs) { same_shape(theirs, mine) } else { unless_by_number(theirs, mine) }
}

/// The same members where a page is the last one; pages before it are cut elsewhere.
fn same_page(theirs: &Answer, mine: &Answer) -> bool {
    let last = |a: &Answer| a.values.iter().all(|v| matches!(v, Value::Array(page) if page[0].text() == "0"));
    let failed = |a: &Answer| a.values.iter().any(|v| matches!(v, Value::Error(_)));
    if failed(theirs) || failed(mine) || (last(theirs) && last(mine)) {
        return same_members(theirs, mine);
    }
    same_shape(theirs, mine)
}

/// The same strings at any depth, in any order, cursors apart.
fn same_members(theirs: &Answer, mine: &Answer) -> bool {
    fn members(value: &Value) -> Vec<String> {
        match value {
            // SCAN: cursor and page
            Value::Array(items) if items.len() == 2 && matches!(items[1], Value::Array(_)) => {
                members(&items[1])
            }
            Value::Array(items) | Value::Set(items) => items.iter().map(Value::flat).collect(),
            Value::Map(pairs) => pairs.iter().map(|(a, b)| format!("{} {}", a.flat(), b.flat())).collect(),
            other => vec![other.flat()],
        }
    }
    let sorted = |a: &Answer| {
        let mut all: Vec<_> = a.values.iter().flat_map(members).collect();
        all.sort();
        all
    };
    same_shape(theirs, mine) && sorted(theirs) == sorted(mine)
}
