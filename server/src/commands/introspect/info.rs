//! One entry of COMMAND and COMMAND INFO.

use super::facts;
use crate::commands::{Command, table};
use gs_resp::{Keys, Writer};

/// Writes the ten values of an entry, subcommands nested in the last.
pub(super) fn write(reply: &mut Writer<'_>, row: &'static Command) {
    let spec = &row.spec;
    let (first, last, step) = spec.keys.triple();
    reply.array(10);
    reply.bulk_str(&spec.full_name());
    reply.int(i64::from(spec.arity.0));
    words(reply, spec.flags.words(), "");
    reply.int(first);
    reply.int(last);
    reply.int(step);
    words(reply, spec.acl.words(), "@");
    let tips = facts::tips(row);
    reply.set(tips.len());
    tips.iter().for_each(|tip| reply.bulk_str(tip));
    key_specs(reply, row);
    let subs: Vec<_> = table::subcommands(row).collect();
    // Redis has an array of the subcommands and an empty set of none.
    if subs.is_empty() {
        reply.set(0)
    } else {
        reply.array(subs.len())
    }
    for sub in subs {
        write(reply, sub);
    }
}

fn words(reply: &mut Writer<'_>, words: impl Iterator<Item = &'static str>, before: &str) {
    let words: Vec<_> = words.collect();
    reply.set(words.len());
    for word in words {
        reply.simple(&format!("{before}{word}"));
    }
}

/// Where the keys are, as Redis 7 says it: begin at an index, take a range or a counted list.
fn key_specs(reply: &mut Writer<'_>, row: &Command) {
    let spec = &row.spec;
    if spec.keys == Keys::None {
        return reply.set(0);
    }
    let groups = facts::access(row);
    reply.set(groups.len());
    for (n, (notes, access)) in groups.iter().enumerate() {
        reply.map(3 + usize::from(!notes.is_empty()));
        if !notes.is_empty() {
            reply.bulk_str("notes");
            reply.bulk_str(notes);
        }
        reply.bulk_str("flags");
        words(reply, access.iter().copied(), "");
        // Keys that are treated differently stand one behind the other.
        let keys = match spec.keys {
            Keys::Range { first, .. } if groups.len() > 1 => {
                let first = first + n as u16;
                Keys::Range { first, last: first as i16, step: 1 }
            }
            keys => keys,
        };
        place(reply, keys);
    }
}

fn place(reply: &mut Writer<'_>, keys: Keys) {
    reply.bulk_str("begin_search");
    let index = match keys {
        Keys::Range { first, .. } => i64::from(first),
        Keys::NumKeys(place) => i64::from(place),
        Keys::None => 0,
    };
    part(reply, "index", &[("index", index)]);
    reply.bulk_str("find_keys");
    match keys {
        // Redis counts a last key from the first one, unless it counts from the end.
        Keys::Range { first, last, step } => {
            let last = if last < 0 { i64::from(last) } else { i64::from(last) - i64::from(first) };
            part(reply, "range", &[("lastkey", last), ("keystep", i64::from(step)), ("limit", 0)]);
        }
        _ => part(reply, "keynum", &[("keynumidx", 0), ("firstkey", 1), ("keystep", 1)]),
    }
}

fn part(reply: &mut Writer<'_>, kind: &str, values: &[(&str, i64)]) {
    reply.map(2);
    reply.bulk_str("type");
    reply.bulk_str(kind);
    reply.bulk_str("spec");
    reply.map(values.len());
    for (name, n) in values {
        reply.bulk_str(name);
        reply.int(*n);
    }
}
