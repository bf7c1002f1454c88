//! Strings that count: INCR and its family.

use crate::commands::collection::change;
use crate::commands::keyspace::write;
use crate::commands::parse::{float, integer};
use crate::commands::string::scratch_value;
use crate::commands::{Command, Ctx, Outcome, Reply};
use crate::core::change::KeyEvent;
use gs_client::kinds::KIND_STRING;
use gs_resp::num::push_i64;
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Extended, Flags, Group, Keys, Refusal, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "decr",
            parent: None,
            since: "1.0.0",
            group: Group::String,
            arity: Arity(2),
            flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key")],
            complexity: "O(1)",
            summary: "Decrement the integer value of a key by one",
            acl: Acl::WRITE.or(Acl::STRING).or(Acl::FAST),
            reply_doc: "the new number",
        },
        run: decr,
    },
    Command {
        spec: Spec {
            name: "decrby",
            parent: None,
            since: "1.0.0",
            group: Group::String,
            arity: Arity(3),
            flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::integer("decrement")],
            complexity: "O(1)",
            summary: "Decrement the integer value of a key by the given number",
            acl: Acl::WRITE.or(Acl::STRING).or(Acl::FAST),
            reply_doc: "the new number",
        },
        run: decrby,
    },
    Command {
        spec: Spec {
            name: "incr",
            parent: None,
            since: "1.0.0",
            group: Group::String,
            arity: Arity(2),
            flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key")],
            complexity: "O(1)",
            summary: "Increment the integer value of a key by one",
            acl: Acl::WRITE.or(Acl::STRING).or(Acl::FAST),
            reply_doc: "the new number",
        },
        run: incr,
    },
    Command {
        spec: Spec {
            name: "incrby",
            parent: None,
            since: "1.0.0",
            group: Group::String,
            arity: Arity(3),
            flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::integer("increment")],
            complexity: "O(1)",
            summary: "Increment the integer value of a key by the given amount",
            acl: Acl::WRITE.or(Acl::STRING).or(Acl::FAST),
            reply_doc: "the new number",
        },
        run: incrby,
    },
    Command {
        spec: Spec {
            name: "incrbyfloat",
            parent: None,
            since: "2.6.0",
            group: Group::String,
            arity: Arity(3),
            flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::double("increment")],
            complexity: "O(1)",
            summary: "Increment the float value of a key by the given amount",
            acl: Acl::WRITE.or(Acl::STRING).or(Acl::FAST),
            reply_doc: "the new number as a string",
        },
        run: incrbyfloat,
    },
];

fn incr(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    add(ctx, args.at(1), 1)
}

fn decr(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    add(ctx, args.at(1), -1)
}

fn incrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    add(ctx, args.at(1), integer(args.at(2))?)
}

fn decrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let by = integer(args.at(2))?.checked_neg().ok_or_else(|| Refusal::err("decrement would overflow"))?;
    add(ctx, args.at(1), by)
}

/// Adds to the number that a string holds, 0 where there is none; the deadline stays.
fn add(ctx: &mut Ctx<'_>, key: &[u8], by: i64) -> Outcome {
    let node = ctx.node;
    let _order = node.lock_key(&ctx.conn.scope, &ctx.id(key));
    let (mut text, found) = scratch_value(ctx, key)?;
    let sum = match found {
        None => Ok(by),
        Some(_) => integer(&text).and_then(|n| n.checked_add(by).ok_or_else(Refusal::overflow)),
    };
    let done = sum.map_err(Into::into).and_then(|sum| {
        text.clear();
        push_i64(&mut text, sum);
        let deadline_ms = found.map_or(0, |meta| meta.deadline_ms);
        write(ctx, key, &text, deadline_ms, KeyEvent::string("incrby")).map(|()| sum)
    });
    ctx.conn.scratch = text;
    ctx.int(done?)
}

/// Adds to a number that may have a fraction; computed and printed as Redis does (see [`Extended`]).
fn incrbyfloat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = args.at(1);
    let text = change(ctx, key, KIND_STRING, |ctx, text, found| {
        let before = if found.is_some() { float(text)? } else { Extended::ZERO };
        let sum = before.checked_add(float(args.at(2))?).filter(|sum| sum.is_finite());
        let mut text = Vec::new();
        sum.ok_or_else(Refusal::nan_or_infinity)?.push(&mut text);
        let event = KeyEvent::string("incrbyfloat");
        write(ctx, key, &text, found.map_or(0, |meta| meta.deadline_ms), event)?;
        Ok(text)
    })?;
    ctx.reply().bulk(&text);
    Ok(Reply::Done)
}
