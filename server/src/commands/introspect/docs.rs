//! One entry of COMMAND DOCS, which redis-cli makes its hints and `help` from.

use crate::commands::{Command, table};
use gs_resp::{Arg, ArgKind, Writer};

/// Writes the name and the map behind it, subcommands nested.
pub(super) fn write(reply: &mut Writer<'_>, row: &'static Command) {
    let spec = &row.spec;
    let subs: Vec<_> = table::subcommands(row).collect();
    reply.bulk_str(&spec.full_name());
    reply.map(4 + usize::from(!spec.args.is_empty()) + usize::from(!subs.is_empty()));
    pair(reply, "summary", spec.summary);
    pair(reply, "since", spec.since);
    pair(reply, "group", spec.group.word());
    pair(reply, "complexity", spec.complexity);
    if !spec.args.is_empty() {
        arguments(reply, spec.args);
    }
    if !subs.is_empty() {
        reply.bulk_str("subcommands");
        reply.map(subs.len());
        for sub in subs {
            write(reply, sub);
        }
    }
}

fn pair(reply: &mut Writer<'_>, name: &str, value: &str) {
    reply.bulk_str(name);
    reply.bulk_str(value);
}

fn arguments(reply: &mut Writer<'_>, args: &[Arg]) {
    reply.bulk_str("arguments");
    reply.array(args.len());
    for arg in args {
        argument(reply, arg);
    }
}

fn argument(reply: &mut Writer<'_>, arg: &Arg) {
    let flags: Vec<&str> = [
        (arg.is_optional, "optional"),
        (arg.is_multiple, "multiple"),
        (arg.is_multiple_token, "multiple_token"),
    ]
    .into_iter()
    .filter_map(|(set, word)| set.then_some(word))
    .collect();
    let is_key = arg.kind == ArgKind::Key;
    // redis-cli follows the children of these two without looking whether there are any.
    let nests = matches!(arg.kind, ArgKind::OneOf | ArgKind::Block);
    let more = [is_key, arg.token.is_some(), arg.since.is_some(), !flags.is_empty(), nests];
    reply.map(2 + more.iter().filter(|there| **there).count());
    pair(reply, "name", arg.name);
    pair(reply, "type", arg.kind.word());
    if is_key {
        reply.bulk_str("key_spec_index");
        reply.int(0);
    }
    if let Some(token) = arg.token {
        pair(reply, "token", token);
    }
    if let Some(since) = arg.since {
        pair(reply, "since", since);
    }
    if !flags.is_empty() {
        reply.bulk_str("flags");
        reply.set(flags.len());
        for flag in flags {
            reply.simple(flag);
        }
    }
    if nests {
        arguments(reply, arg.children);
    }
}
