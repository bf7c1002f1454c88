//! Reading strings: GET and its family.

pub mod count;
pub mod lcs;
pub mod range;
pub mod set;

use crate::commands::keyspace::destroy;
use crate::commands::parse::{Options, OptionsOf, When};
use crate::commands::{Command, Ctx, Outcome, Reply, Stop};
use crate::core::change::KeyEvent;
use gs_client::cache::Meta;
use gs_client::hashed::KIND_STRING;
use gs_resp::{
    AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Protocol, Refusal, Roles, Spec, Writer,
};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "get",
            parent: None,
            since: "1.0.0",
            group: Group::String,
            arity: Arity(2),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key")],
            complexity: "O(1)",
            summary: "Get the value of a key",
            acl: Acl::READ.or(Acl::STRING).or(Acl::FAST),
            reply_doc: "the value, or nil",
        },
        run: get,
    },
    Command {
        spec: Spec {
            name: "getdel",
            parent: None,
            since: "6.2.0",
            group: Group::String,
            arity: Arity(2),
            flags: Flags::WRITE.or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key")],
            complexity: "O(1)",
            summary: "Get the value of a key and delete the key",
            acl: Acl::WRITE.or(Acl::STRING).or(Acl::FAST),
            reply_doc: "the value, or nil",
        },
        run: getdel,
    },
    Command {
        spec: Spec {
            name: "getex",
            parent: None,
            since: "6.2.0",
            group: Group::String,
            arity: Arity(-2),
            flags: Flags::WRITE.or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[
                Arg::key("key"),
                Arg::oneof(
                    "expiration",
                    &[
                        Arg::integer("seconds").token("EX"),
                        Arg::integer("milliseconds").token("PX"),
                        Arg::unix_time("unix-time-seconds").token("EXAT"),
                        Arg::unix_time("unix-time-milliseconds").token("PXAT"),
                        Arg::token_only("persist", "PERSIST"),
                    ],
                )
                .optional(),
            ],
            complexity: "O(1)",
            summary: "Get the value of a key and optionally set its expiration",
            acl: Acl::WRITE.or(Acl::STRING).or(Acl::FAST),
            reply_doc: "the value, or nil",
        },
        run: getex,
    },
    Command {
        spec: Spec {
            name: "mget",
            parent: None,
            since: "1.0.0",
            group: Group::String,
            arity: Arity(-2),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::ALL,
            args: &[Arg::key("key").multiple()],
            complexity: "O(N) where N is the number of keys to retrieve.",
            summary: "Get the values of all the given keys",
            acl: Acl::READ.or(Acl::STRING).or(Acl::FAST),
            reply_doc: "the values in order, nil where there is none",
        },
        run: mget,
    },
    Command {
        spec: Spec {
            name: "strlen",
            parent: None,
            since: "2.2.0",
            group: Group::String,
            arity: Arity(2),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key")],
            complexity: "O(1)",
            summary: "Get the length of the value stored in a key",
            acl: Acl::READ.or(Acl::STRING).or(Acl::FAST),
            reply_doc: "the length in bytes, 0 without a value",
        },
        run: strlen,
    },
];

/// Writes the value of a key or null, straight from the section into the connection's output buffer.
/// A value of which only a hash is kept is no string.
pub(super) fn value(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<Option<Meta>, Stop> {
    let mark = ctx.out.len();
    let head = |out: &mut Vec<u8>, meta: &Meta| {
        Writer::new(out, Protocol::Resp2).bulk_head(meta.value_len as usize);
    };
    let found = ctx.node.read(&ctx.conn.scope, ctx.conn.db, key, true, ctx.out, head)?;
    ctx.node.metrics.sought(found.is_some());
    match &found {
        Some(meta) if meta.kind != KIND_STRING => {
            ctx.out.truncate(mark);
            return Err(Refusal::wrong_type().into());
        }
        Some(_) => ctx.out.extend_from_slice(b"\r\n"),
        None => ctx.reply().null(),
    }
    Ok(found)
}

/// What is known of a key that must hold a string where it exists.
pub(super) fn string_meta(ctx: &Ctx<'_>, key: &[u8]) -> Result<Option<Meta>, Stop> {
    let found = ctx.node.meta(&ctx.conn.scope, ctx.conn.db, key)?;
    match found {
        Some(meta) if meta.kind != KIND_STRING => Err(Refusal::wrong_type().into()),
        found => Ok(found),
    }
}

/// Reads a string into the connection's scratch buffer, which the caller gives back.
pub(super) fn scratch_value(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<(Vec<u8>, Option<Meta>), Stop> {
    let mut scratch = std::mem::take(&mut ctx.conn.scratch);
    scratch.clear();
    let found = ctx.node.read(&ctx.conn.scope, ctx.conn.db, key, true, &mut scratch, |_, _| ());
    match found {
        Ok(Some(meta)) if meta.kind != KIND_STRING => {
            ctx.conn.scratch = scratch;
            Err(Refusal::wrong_type().into())
        }
        Ok(found) => Ok((scratch, found)),
        Err(stop) => {
            ctx.conn.scratch = scratch;
            Err(stop)
        }
    }
}

fn get(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    value(ctx, args.at(1))?;
    Ok(Reply::Done)
}

fn mget(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let keys = args.skip(1);
    ctx.node.require(&ctx.conn.scope, ctx.conn.db, keys.iter())?;
    ctx.reply().array(keys.len());
    for key in keys {
        match value(ctx, key) {
            Err(Stop::Refuse(refusal)) if refusal == Refusal::wrong_type() => ctx.reply().null(),
            other => drop(other?),
        }
    }
    Ok(Reply::Done)
}

fn strlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let found = ctx.node.sought(&ctx.conn.scope, ctx.conn.db, args.at(1))?;
    if found.is_some_and(|meta| meta.kind != KIND_STRING) {
        return Err(Refusal::wrong_type().into());
    }
    ctx.int(found.map_or(0, |meta| i64::from(meta.value_len)))
}

fn getdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = args.at(1);
    let node = ctx.node;
    let _order = node.lock_key(&ctx.conn.scope, &ctx.id(key));
    if value(ctx, key)?.is_some() {
        destroy(ctx, key, "deleted")?;
    } else {
        node.happened(ctx.conn.db, key, KeyEvent::KEY_MISS);
    }
    Ok(Reply::Done)
}

fn getex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let options = Options::parse(args, 2, OptionsOf::GetEx)?;
    let key = args.at(1);
    let node = ctx.node;
    if options.expire.is_none() && !options.persist {
        if value(ctx, key)?.is_none() {
            node.happened(ctx.conn.db, key, KeyEvent::KEY_MISS);
        }
        return Ok(Reply::Done);
    }
    let _order = node.lock_key(&ctx.conn.scope, &ctx.id(key));
    let Some(meta) = value(ctx, key)? else {
        node.happened(ctx.conn.db, key, KeyEvent::KEY_MISS);
        return Ok(Reply::Done);
    };
    if let Some((form, word)) = options.expire {
        match When::strict(node, word, form, "getex")?.deadline(node) {
            Some(deadline_ms) => {
                node.set_deadline(&ctx.conn.scope, (ctx.conn.db, key), &meta, deadline_ms)?;
            }
            None => drop(destroy(ctx, key, "expired")?),
        }
    } else if meta.deadline_ms != 0 {
        node.set_deadline(&ctx.conn.scope, (ctx.conn.db, key), &meta, 0)?;
    }
    Ok(Reply::Done)
}
