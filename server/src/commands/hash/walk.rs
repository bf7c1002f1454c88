//! Hashes: fields by chance, and page by page.

use crate::commands::collection::{Choice, Walk, look};
use crate::commands::parse::integer;
use crate::commands::scan::cursor;
use crate::commands::{Command, Ctx, Outcome};
use crate::core::kinds::hash::Hash;
use gs_client::kinds::KIND_HASH;
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Protocol, Refusal, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "hrandfield",
            parent: None,
            since: "6.2.0",
            group: Group::Hash,
            arity: Arity(-2),
            flags: Flags::READONLY,
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[
                Arg::key("key"),
                Arg::block(
                    "options",
                    &[Arg::integer("count"), Arg::token_only("withvalues", "WITHVALUES").optional()],
                )
                .optional(),
            ],
            complexity: "O(N) where N is the number of fields returned",
            summary: "Get one or multiple random fields from a hash",
            acl: Acl::READ.or(Acl::HASH).or(Acl::SLOW),
            reply_doc: "a field or nil; with a count an array of fields, or of fields and values",
        },
        run: hrandfield,
    },
    Command {
        spec: Spec {
            name: "hscan",
            parent: None,
            since: "2.8.0",
            group: Group::Hash,
            arity: Arity(-3),
            flags: Flags::READONLY,
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[
                Arg::key("key"),
                Arg::integer("cursor"),
                Arg::pattern("pattern").token("MATCH").optional(),
                Arg::integer("count").token("COUNT").optional(),
            ],
            complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection..",
            summary: "Incrementally iterate hash fields and associated values",
            acl: Acl::READ.or(Acl::HASH).or(Acl::SLOW),
            reply_doc: "the next cursor and some fields and values",
        },
        run: hscan,
    },
];

fn hrandfield(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let Some(word) = args.get(2) else {
        return look(ctx, args.at(1), KIND_HASH, |ctx, record| {
            let fields: Vec<_> = Hash::parse(record)?.iter().map(|(field, _)| field).collect();
            match fields.is_empty() {
                true => ctx.reply().null(),
                false => {
                    let chosen = Choice::Repeating(1).choose(ctx.node, fields, |field| field.len())?;
                    ctx.reply().bulk(chosen[0]);
                }
            }
            Ok(())
        });
    };
    let choice = Choice::parse(word)?;
    let values = args.len() == 4 && args.is(3, "withvalues");
    if args.len() > 3 && !values {
        return Err(Refusal::syntax().into());
    }
    // Redis counts fields and values then, and its counter must not overflow.
    if values && integer(word)?.unsigned_abs() > i64::MAX.unsigned_abs() / 2 {
        return Err(Refusal::err("value is out of range").into());
    }
    look(ctx, args.at(1), KIND_HASH, |ctx, record| {
        let all: Vec<_> = Hash::parse(record)?.iter().collect();
        let chosen = match all.is_empty() {
            true => all,
            false => choice.choose(ctx.node, all, |(field, value)| field.len() + value.len())?,
        };
        let mut reply = ctx.reply();
        let pairs = values && reply.proto == Protocol::Resp3;
        reply.array(chosen.len() * if values && !pairs { 2 } else { 1 });
        for (field, value) in chosen {
            if pairs {
                reply.array(2);
            }
            reply.bulk(field);
            if values {
                reply.bulk(value);
            }
        }
        Ok(())
    })
}

fn hscan(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let from = cursor(args.at(2))?;
    look(ctx, args.at(1), KIND_HASH, |ctx, record| {
        let hash = Hash::parse(record)?;
        let (next, page, names_only) = if hash.is_empty() {
            (0, Vec::new(), false)
        } else {
            let walk = Walk::parse(from, args, true)?;
            let (next, page) = walk.page(hash.is_big(), hash.iter().collect());
            (next, page, walk.names_only)
        };
        let mut reply = ctx.reply();
        reply.array(2);
        reply.bulk_uint(next);
        reply.array(page.len() * if names_only { 1 } else { 2 });
        for (field, value) in page {
            reply.bulk(field);
            if !names_only {
                reply.bulk(value);
            }
        }
        Ok(())
    })
}
