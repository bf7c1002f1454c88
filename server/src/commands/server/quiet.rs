//! Logs that tools ask for and gs does not keep: a slow log would hold what clients sent. The metrics say how
//! long commands take. All of them answer as a Redis in which nothing happened yet.

use crate::commands::introspect::container;
use crate::commands::parse::integer_in;
use crate::commands::{Command, Ctx, Outcome, Reply};
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "latency",
            parent: None,
            since: "2.8.13",
            group: Group::Server,
            arity: Arity(-2),
            flags: Flags::NONE,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "Depends on subcommand.",
            summary: "A container for latency diagnostics commands",
            acl: Acl::SLOW,
            reply_doc: "what the subcommand answers",
        },
        run: container,
    },
    Command {
        spec: Spec {
            name: "latest",
            parent: Some("latency"),
            since: "2.8.13",
            group: Group::Server,
            arity: Arity(2),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Return the latest latency samples for all events.",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "an empty array",
        },
        run: empty,
    },
    Command {
        spec: Spec {
            name: "module",
            parent: None,
            since: "4.0.0",
            group: Group::Server,
            arity: Arity(-2),
            flags: Flags::NONE,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "Depends on subcommand.",
            summary: "A container for module commands",
            acl: Acl::SLOW,
            reply_doc: "what the subcommand answers",
        },
        run: container,
    },
    Command {
        spec: Spec {
            name: "list",
            parent: Some("module"),
            since: "4.0.0",
            group: Group::Server,
            arity: Arity(2),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(N) where N is the number of loaded modules.",
            summary: "List all modules loaded by the server",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "an empty array",
        },
        run: empty,
    },
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
            reply_doc: "an empty array",
        },
        run: slowlog_get,
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
            reply_doc: "0",
        },
        run: slowlog_len,
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
        run: slowlog_reset,
    },
];

fn empty(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.reply().array(0);
    Ok(Reply::Done)
}

fn slowlog_get(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if let Some(word) = args.get(2) {
        integer_in(word, -1..=i64::MAX, "count should be greater than or equal to -1")?;
    }
    empty(ctx, args)
}

fn slowlog_len(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.int(0)
}

fn slowlog_reset(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.ok()
}
