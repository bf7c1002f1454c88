//! SLOWLOG: commands that took long. What they were sent is told by its length alone.

use crate::commands::introspect::container;
use crate::commands::parse::integer_in;
use crate::commands::{Command, Ctx, Outcome, Reply};
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "slowlog",
            parent: None,
            since: "2.2.12",
            group: Group::Server,
            arity: Arity(-2),
            flags: Flags::NONE,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "Depends on subcommand.",
            summary: "A container for slow log commands",
            acl: Acl::SLOW,
            reply_doc: "what the subcommand answers",
        },
        run: container,
    },
    Command {
        spec: Spec {
            name: "get",
            parent: Some("slowlog"),
            since: "2.2.12",
            group: Group::Server,
            arity: Arity(-2),
            flags: Flags::ADMIN.or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::integer("count").optional()],
            complexity: "O(N) where N is the number of entries returned",
            summary: "Get the slow log's entries",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "entries, newest first: id, time, microseconds, the command (of its arguments the lengths), address, name",
        },
        run: get,
    },
    Command {
        spec: Spec {
            name: "len",
            parent: Some("slowlog"),
            since: "2.2.12",
            group: Group::Server,
            arity: Arity(2),
            flags: Flags::ADMIN.or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Get the slow log's length",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "the number of entries",
        },
        run: len,
    },
    Command {
        spec: Spec {
            name: "reset",
            parent: Some("slowlog"),
            since: "2.2.12",
            group: Group::Server,
            arity: Arity(2),
            flags: Flags::ADMIN.or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(N) where N is the number of entries in the slowlog",
            summary: "Clear all entries from the slow log",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "`OK`",
        },
        run: reset,
    },
];

/// Entries shown unless the caller says otherwise, as in Redis.
const SHOWN: i64 = 10;

fn get(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.len() > 3 {
        return Err(Refusal::subcommand_syntax(b"slowlog", args.at(1)).into());
    }
    let text = "count should be greater than or equal to -1";
    let count = args.get(2).map_or(Ok(SHOWN), |word| integer_in(word, -1..=i64::MAX, text))?;
    let entries = ctx.node.slow.entries(usize::try_from(count).unwrap_or(usize::MAX));
    let mut reply = ctx.reply();
    reply.array(entries.len());
    for entry in entries {
        reply.array(6);
        reply.uint(entry.id);
        reply.uint(entry.unix_s);
        reply.uint(entry.usec);
        reply.array(entry.words.len());
        entry.words.iter().for_each(|word| reply.bulk_str(word));
        reply.bulk_str(&entry.addr);
        reply.bulk_str(&entry.name);
    }
    Ok(Reply::Done)
}

fn len(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.int(ctx.node.slow.len() as i64)
}

fn reset(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.node.slow.clear();
    ctx.ok()
}
