//! A miss in a pipeline rarely comes alone: the keys that the commands behind it will miss, too.

use crate::commands::exec;
use crate::core::node::Node;
use gs_resp::{Args, Limits, Parsed, Parser};

/// Keys that one miss brings up along with its own...
const AHEAD_KEYS: usize = 64;
/// ... from so many commands behind it.
const AHEAD_COMMANDS: usize = 256;

/// Behind these nobody can tell yet in which database, for whom, or whether at all commands will run.
const TURNS: [&[u8]; 6] = [b"select", b"swapdb", b"multi", b"auth", b"hello", b"reset"];

/// The keys of the commands behind one whose key lives downstream that will find theirs there too: they are brought up
/// with one question instead of one each. Only commands of the same name are looked at: that one has just shown
/// that it wants the key here. A key that comes up in vain is where it would be had it been read.
pub(super) fn wanted_next(
    node: &Node,
    db: u8,
    first: Args<'_>,
    mut rest: &[u8],
    limits: &Limits,
) -> Vec<(u8, Box<[u8]>)> {
    let (mut keys, mut parser) = (Vec::new(), Parser::new());
    let (Some(relay), Ok(row)) = (node.relay(), exec::find(first)) else { return keys };
    let section = node.cache.section();
    for _ in 0..AHEAD_COMMANDS {
        let (args, consumed) = match parser.advance(rest, limits) {
            Ok(Parsed::Command { consumed }) => (parser.args(rest), consumed),
            Ok(Parsed::Empty { consumed }) => {
                rest = &rest[consumed..];
                continue;
            }
            Ok(Parsed::Incomplete) | Err(_) => break,
        };
        if TURNS.iter().any(|name| args.name().eq_ignore_ascii_case(name)) {
            break;
        }
        if args.name().eq_ignore_ascii_case(first.name()) {
            for key in row.spec.keys.places(args).filter_map(|place| args.get(place)) {
                if keys.len() >= AHEAD_KEYS {
                    return keys;
                }
                let id = section.key_id(db, key);
                if relay.directory.is_below(&id) && section.peek(&id, key, node.now_ms()).is_none() {
                    keys.push((db, key.into()));
                }
            }
        }
        rest = &rest[consumed..];
    }
    keys
}
