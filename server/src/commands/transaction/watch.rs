//! WATCH and UNWATCH: EXEC runs only if what was seen before it is still so.
//!
//! A watched key that lives downstream is brought up, as for a read: what is watched is read next. That it
//! moves between tiers later is no change of it.

use crate::commands::{Command, Ctx, Outcome};
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "unwatch",
            parent: None,
            since: "2.2.0",
            group: Group::Transactions,
            arity: Arity(1),
            flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST).or(Flags::ALLOW_BUSY),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Forget about all watched keys",
            acl: Acl::FAST.or(Acl::TRANSACTION),
            reply_doc: "`OK`",
        },
        run: unwatch,
    },
    Command {
        spec: Spec {
            name: "watch",
            parent: None,
            since: "2.2.0",
            group: Group::Transactions,
            arity: Arity(-2),
            flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST).or(Flags::ALLOW_BUSY),
            roles: Roles::RELAY,
            keys: Keys::ALL,
            args: &[Arg::key("key").multiple()],
            complexity: "O(1) for every key.",
            summary: "Watch the given keys to determine execution of the MULTI/EXEC block",
            acl: Acl::FAST.or(Acl::TRANSACTION),
            reply_doc: "`OK`",
        },
        run: watch,
    },
];

/// Keys that one connection may watch: each one is memory of the node until EXEC, and work for its writers.
const WATCHED_MAX: usize = 1024;

fn watch(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if ctx.conn.multi.is_some() {
        return Err(Refusal::err("WATCH inside MULTI is not allowed").into());
    }
    let (node, db, keys) = (ctx.node, ctx.conn.db, args.skip(1));
    if ctx.conn.watching.is_dirty(node.now_ms()) {
        return ctx.ok();
    }
    if ctx.conn.watching.len() + keys.len() > WATCHED_MAX {
        let text = format!("a connection may watch {WATCHED_MAX} keys; watch fewer, or send UNWATCH first");
        return Err(Refusal::err(text).into());
    }
    node.require(&ctx.conn.scope, db, keys.iter())?;
    for key in keys {
        let id = node.id(db, key);
        let (scope, client) = (&ctx.conn.scope, ctx.conn.info.id);
        let _order = node.lock_key(scope, &id);
        if !ctx.conn.watching.has(&id) {
            let found = || node.meta(scope, db, key).map(|found| found.map(|meta| meta.deadline_ms));
            ctx.conn.watching.add(node, client, db, id, found)?;
        }
    }
    ctx.ok()
}

fn unwatch(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.conn.watching.clear(ctx.node, ctx.conn.info.id);
    ctx.ok()
}
