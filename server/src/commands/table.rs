//! Every command there is, in one static table, and the look-up of a row by its name.

use crate::commands::{
    Command, age, connection, expire, hash, introspect, keyspace, peer, pubsub, scan, script, server,
    session, set, shard, sorted, stream, string, tier, transaction,
};
use foldhash::fast::RandomState;
use gs_resp::{Flags, Keys, Spec};
use short::{SHORT_SLOTS, Short};
use std::collections::HashMap;
use std::sync::LazyLock;

mod short;

/// The rows as the files of this directory declare them.
const PARTS: &[&[Command]] = &[
    connection::COMMANDS,
    connection::client::COMMANDS,
    connection::kill::COMMANDS,
    connection::tracking::COMMANDS,
    connection::list::COMMANDS,
    connection::pause::COMMANDS,
    string::COMMANDS,
    string::set::COMMANDS,
    string::count::COMMANDS,
    string::range::COMMANDS,
    string::lcs::COMMANDS,
    hash::COMMANDS,
    hash::write::COMMANDS,
    hash::number::COMMANDS,
    hash::walk::COMMANDS,
    hash::newer::COMMANDS,
    set::COMMANDS,
    set::walk::COMMANDS,
    sorted::COMMANDS,
    sorted::write::COMMANDS,
    sorted::range::COMMANDS,
    keyspace::COMMANDS,
    keyspace::object::COMMANDS,
    keyspace::rename::COMMANDS,
    expire::COMMANDS,
    expire::read::COMMANDS,
    scan::COMMANDS,
    transaction::COMMANDS,
    transaction::watch::COMMANDS,
    pubsub::COMMANDS,
    pubsub::shard::COMMANDS,
    script::COMMANDS,
    script::function::COMMANDS,
    introspect::COMMANDS,
    introspect::HELP,
    server::COMMANDS,
    server::acl::COMMANDS,
    server::config::COMMANDS,
    server::latency::COMMANDS,
    server::memory::COMMANDS,
    server::slowlog::COMMANDS,
    server::tools::COMMANDS,
    session::COMMANDS,
    shard::COMMANDS,
    age::COMMANDS,
    tier::COMMANDS,
    stream::COMMANDS,
    peer::COMMANDS,
];

const fn count() -> usize {
    let (mut n, mut part) = (0, 0);
    while part < PARTS.len() {
        n += PARTS[part].len();
        part += 1;
    }
    n
}

const fn gather() -> [Command; count()] {
    let mut all = [const { Command { spec: PARTS[0][0].spec, run: PARTS[0][0].run } }; count()];
    let (mut n, mut part) = (0, 0);
    while part < PARTS.len() {
        let mut row = 0;
        while row < PARTS[part].len() {
            all[n] = Command { spec: PARTS[part][row].spec, run: PARTS[part][row].run };
            n += 1;
            row += 1;
        }
        part += 1;
    }
    all
}

/// Every command and subcommand. A row has one address in the life of the process.
pub static COMMANDS: [Command; count()] = gather();

/// Longest name that is looked up: the longest full name is far shorter.
const NAME_BYTES_MAX: usize = 64;

struct Index {
    /// Rows by full name: `get`, `client|setname`.
    by_name: HashMap<Vec<u8>, usize, RandomState>,
    /// Rows of short names that are no subcommands: what every request is looked up in.
    short: Box<[Option<Short>; SHORT_SLOTS]>,
    /// By row: true for one that others name as their parent.
    contains: Vec<bool>,
    /// By row: see [`is_quick`].
    quick: Vec<bool>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let by_name: HashMap<_, _, _> =
        COMMANDS.iter().enumerate().map(|(i, row)| (row.spec.full_name().into_bytes(), i)).collect();
    let parents: std::collections::HashSet<_> = COMMANDS.iter().filter_map(|row| row.spec.parent).collect();
    let contains =
        COMMANDS.iter().map(|row| row.spec.parent.is_none() && parents.contains(row.spec.name)).collect();
    let short = short::table(COMMANDS.iter().map(|row| &row.spec).enumerate());
    let quick = COMMANDS.iter().map(|row| takes_no_time(&row.spec)).collect();
    Index { by_name, short, contains, quick }
});

fn takes_no_time(spec: &Spec) -> bool {
    let one_key = spec.keys == Keys::ONE && spec.complexity.starts_with("O(1)");
    spec.parent.is_none() && (spec.flags.contains(Flags::FAST) || one_key)
}

/// True for a command that takes about as long as a look at the clock: the fast ones, and those that do one thing to
/// one key.
pub fn is_quick(row: &'static Command) -> bool {
    INDEX.quick.get(index(row)).is_some_and(|quick| *quick)
}

/// The row of a command by its name in any case; subcommands are found by [`find_sub`]. Allocates nothing.
pub fn find(name: &[u8]) -> Option<&'static Command> {
    if name.len() <= short::BYTES_MAX {
        return short::find(&INDEX.short, name).map(|i| &COMMANDS[i]);
    }
    lookup(&[name]).filter(|row| row.spec.parent.is_none())
}

/// The row of a subcommand by its own word in any case. Allocates nothing.
pub fn find_sub(row: &'static Command, word: &[u8]) -> Option<&'static Command> {
    lookup(&[row.spec.name.as_bytes(), b"|", word]).filter(|sub| sub.spec.parent == Some(row.spec.name))
}

/// The row of a full name as COMMAND INFO is asked for it: `get`, `client|setname`.
pub fn find_full(name: &[u8]) -> Option<&'static Command> {
    lookup(&[name])
}

fn lookup(parts: &[&[u8]]) -> Option<&'static Command> {
    let mut name = [0; NAME_BYTES_MAX];
    let mut len = 0;
    for part in parts {
        let room = name.get_mut(len..len + part.len())?;
        room.copy_from_slice(part);
        room.make_ascii_lowercase();
        len += part.len();
    }
    INDEX.by_name.get(&name[..len]).map(|i| &COMMANDS[*i])
}

/// True for a command whose second word is a command of its own.
pub fn has_subcommands(row: &'static Command) -> bool {
    INDEX.contains.get(index(row)).is_some_and(|contains| *contains)
}

/// The subcommands of a row, in the table's order.
pub fn subcommands(row: &Command) -> impl Iterator<Item = &'static Command> + use<> {
    let parent = row.spec.parent.is_none().then_some(row.spec.name);
    COMMANDS.iter().filter(move |sub| parent.is_some() && sub.spec.parent == parent)
}

/// Every row in the table's order, subcommands and the commands between nodes included.
pub fn all() -> impl Iterator<Item = &'static Command> {
    COMMANDS.iter()
}

/// The commands that COMMAND shows: no subcommands, nothing that only nodes say to each other.
pub fn shown() -> impl Iterator<Item = &'static Command> {
    all().filter(|row| row.spec.parent.is_none() && !row.spec.flags.contains(Flags::PEER))
}

/// The place of a row in the table.
pub fn index(row: &'static Command) -> usize {
    let from = COMMANDS.as_ptr().addr();
    std::ptr::from_ref(row).addr().wrapping_sub(from) / size_of::<Command>()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use gs_resp::{Arg, ArgKind, OwnedArgs};
    use std::collections::BTreeSet;

    /// A name that is declared twice would leave one of its handlers unreachable.
    #[test]
    fn every_row_is_found_by_its_name_in_any_case_and_once() {
        let mut seen = BTreeSet::new();
        for (i, row) in all().enumerate() {
            let name = row.spec.full_name();
            assert!(seen.insert(name.clone()), "{name} is declared twice");
            assert!(name.len() <= NAME_BYTES_MAX, "{name}");
            assert_eq!(name, name.to_lowercase());
            let found = match row.spec.parent {
                None => find(name.to_uppercase().as_bytes()).unwrap(),
                Some(parent) => {
                    let parent = find(parent.as_bytes()).unwrap();
                    assert!(has_subcommands(parent), "{name}");
                    find_sub(parent, row.spec.name.to_uppercase().as_bytes()).unwrap()
                }
            };
            assert!(std::ptr::eq(found, row), "{name}");
            assert_eq!(index(row), i);
        }
        assert!(find(b"client|setname").is_none() && find(&[b'x'; 100]).is_none() && find(b"").is_none());
    }

    /// COMMANDS.md and the hints of redis-cli show what the rows say: an empty one teaches nobody. A container
    /// answers nothing of its own, and a command between nodes has no client to explain its answer to.
    #[test]
    fn every_row_is_documented() {
        let mut poor = Vec::new();
        for row in all() {
            let spec = &row.spec;
            let mut texts = vec![spec.since, spec.complexity, spec.summary];
            if !has_subcommands(row) && !spec.flags.contains(Flags::PEER) {
                texts.push(spec.reply_doc);
            }
            let bad = |text: &&str| text.trim().is_empty() || text.contains(['\r', '\n']);
            if texts.iter().any(bad) || spec.acl.is_empty() || spec.roles.is_empty() {
                poor.push(spec.full_name());
            }
        }
        assert!(poor.is_empty(), "{poor:?}");
    }

    /// `COMMAND HELP`-style hints are promised by the unknown-subcommand error.
    #[test]
    fn every_container_has_help() {
        for row in all().filter(|row| has_subcommands(row)) {
            assert!(find_sub(row, b"help").is_some(), "{} has no help row", row.spec.name);
        }
    }

    /// The arity refuses before a handler runs, so it must agree with the words that are documented. (What nodes
    /// say to each other is documented in blocks that come many times, and no hint is made from it.)
    #[test]
    fn arity_agrees_with_the_documented_words() {
        let mut wrong = Vec::new();
        for row in all().filter(|row| !has_subcommands(row) && !row.spec.flags.contains(Flags::PEER)) {
            let spec = &row.spec;
            let names = 1 + usize::from(spec.parent.is_some());
            let words = names + spec.args.iter().map(at_least).sum::<usize>();
            let more = spec.args.iter().any(takes_more) || TAKES_ANYTHING.contains(&spec.name);
            if usize::from(spec.arity.0.unsigned_abs()) != words || (spec.arity.0 < 0) != more {
                wrong.push((spec.full_name(), spec.arity.0, words, more));
            }
        }
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    /// Commands that Redis lets have words it then ignores.
    const TAKES_ANYTHING: &[&str] = &["quit"];

    fn takes_more(arg: &Arg) -> bool {
        let differ = |arg: &Arg| {
            let lengths: BTreeSet<_> = arg.children.iter().map(at_least).collect();
            arg.kind == ArgKind::OneOf && lengths.len() > 1
        };
        arg.is_optional || arg.is_multiple || differ(arg) || arg.children.iter().any(takes_more)
    }

    /// Words that an argument takes at least.
    fn at_least(arg: &Arg) -> usize {
        if arg.is_optional {
            return 0;
        }
        let token = usize::from(arg.token.is_some());
        match arg.kind {
            ArgKind::PureToken => 1,
            ArgKind::OneOf => token + arg.children.iter().map(at_least).min().unwrap_or(0).max(1),
            ArgKind::Block => token + arg.children.iter().map(at_least).sum::<usize>(),
            _ => token + 1,
        }
    }

    /// EXEC locks and brings up what the rows call keys: a key that is not declared would be changed unlocked.
    #[test]
    fn declared_keys_are_where_the_words_are_keys() {
        let mut wrong = Vec::new();
        for row in all().filter(|row| !has_subcommands(row) && !row.spec.flags.contains(Flags::PEER)) {
            let spec = &row.spec;
            let declares = spec.args.iter().any(has_key) && !ONLY_NAMES.contains(&spec.full_name().as_str());
            let words: OwnedArgs =
                (0..usize::from(spec.arity.0.unsigned_abs())).map(|n| n.to_string()).collect();
            let places: Vec<_> = spec.keys.places(words.as_args()).collect();
            let found = !places.is_empty() || matches!(spec.keys, Keys::NumKeys(_));
            if declares != (spec.keys != Keys::None) || declares != found {
                wrong.push(spec.full_name());
            }
        }
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    /// Commands that compute with the name of a key and never look at the key.
    const ONLY_NAMES: &[&str] = &["gs.shard|of"];

    fn has_key(arg: &Arg) -> bool {
        arg.kind == ArgKind::Key || arg.children.iter().any(has_key)
    }
}
