//! Reading deadlines: TTL and its family.

use crate::commands::parse::wall_offset_ms;
use crate::commands::{Command, Ctx, Outcome};
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "expiretime",
            parent: None,
            since: "7.0.0",
            group: Group::Generic,
            arity: Arity(2),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key")],
            complexity: "O(1)",
            summary: "Get the expiration Unix timestamp for a key",
            acl: Acl::KEYSPACE.or(Acl::READ).or(Acl::FAST),
            reply_doc: "seconds since 1970, -1 without a deadline, -2 without the key",
        },
        run: expiretime,
    },
    Command {
        spec: Spec {
            name: "pexpiretime",
            parent: None,
            since: "7.0.0",
            group: Group::Generic,
            arity: Arity(2),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key")],
            complexity: "O(1)",
            summary: "Get the expiration Unix timestamp for a key in milliseconds",
            acl: Acl::KEYSPACE.or(Acl::READ).or(Acl::FAST),
            reply_doc: "milliseconds since 1970, -1 without a deadline, -2 without the key",
        },
        run: pexpiretime,
    },
    Command {
        spec: Spec {
            name: "pttl",
            parent: None,
            since: "2.6.0",
            group: Group::Generic,
            arity: Arity(2),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key")],
            complexity: "O(1)",
            summary: "Get the time to live for a key in milliseconds",
            acl: Acl::KEYSPACE.or(Acl::READ).or(Acl::FAST),
            reply_doc: "milliseconds, -1 without a deadline, -2 without the key",
        },
        run: pttl,
    },
    Command {
        spec: Spec {
            name: "ttl",
            parent: None,
            since: "1.0.0",
            group: Group::Generic,
            arity: Arity(2),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key")],
            complexity: "O(1)",
            summary: "Get the time to live for a key in seconds",
            acl: Acl::KEYSPACE.or(Acl::READ).or(Acl::FAST),
            reply_doc: "seconds, -1 without a deadline, -2 without the key",
        },
        run: ttl,
    },
];

/// Answers -2 for no key, -1 for no deadline, else what `of` makes of the deadline.
fn answer(ctx: &mut Ctx<'_>, key: &[u8], of: impl FnOnce(&Ctx<'_>, u64) -> i64) -> Outcome {
    let n = match ctx.node.sought(&ctx.conn.scope, ctx.conn.db, key)? {
        None => -2,
        Some(meta) if meta.deadline_ms == 0 => -1,
        Some(meta) => of(ctx, meta.deadline_ms),
    };
    ctx.int(n)
}

/// Redis rounds to the nearest second.
fn seconds(ms: i64) -> i64 {
    ms.saturating_add(500) / 1000
}

fn unix_ms(ctx: &Ctx<'_>, deadline_ms: u64) -> i64 {
    wall_offset_ms(ctx.node).saturating_add_unsigned(deadline_ms)
}

fn pttl(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    answer(ctx, args.at(1), |ctx, deadline_ms| ctx.node.pttl(deadline_ms))
}

fn ttl(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    answer(ctx, args.at(1), |ctx, deadline_ms| seconds(ctx.node.pttl(deadline_ms)))
}

fn pexpiretime(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    answer(ctx, args.at(1), unix_ms)
}

fn expiretime(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    answer(ctx, args.at(1), |ctx, deadline_ms| seconds(unix_ms(ctx, deadline_ms)))
}
