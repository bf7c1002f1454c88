//! Which tier holds a session, as `GS.PEEK` tells it without moving anything.

use crate::wire::{Value, Wire};

/// One copy that `GS.PEEK` shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Copy {
    /// `relay`, `expansion` or `aging`
    pub tier: String,
    /// The copy's version.
    pub version: i64,
}

/// Every copy of a key; none for a key that nobody holds.
pub fn copies(wire: &mut Wire, key: &str) -> Vec<Copy> {
    let reply = wire.call(&["GS.PEEK", key]);
    match &reply {
        Value::Null => Vec::new(),
        Value::Array(entries) => entries.iter().map(copy).collect(),
        other => panic!("GS.PEEK {key} must answer one entry per tier, got {other:?}"),
    }
}

fn copy(entry: &Value) -> Copy {
    Copy { tier: entry.must("tier").text(), version: entry.must("version").int() }
}

/// The tiers that hold a copy of a key.
pub fn tiers(wire: &mut Wire, key: &str) -> Vec<String> {
    copies(wire, key).into_iter().map(|c| c.tier).collect()
}

/// The first `wanted` keys out of `keys` that live in `tier` and nowhere else; panics if there are fewer.
pub fn only_in(
    wire: &mut Wire,
    tier: &str,
    keys: impl IntoIterator<Item = String>,
    wanted: usize,
) -> Vec<String> {
    let mut found = Vec::new();
    for key in keys {
        if tiers(wire, &key) == [tier] {
            found.push(key);
            if found.len() == wanted {
                return found;
            }
        }
    }
    panic!("only {} sessions live in the {tier} tier alone, {wanted} were needed", found.len());
}
