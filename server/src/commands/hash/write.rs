//! Hashes: setting and removing fields.

use crate::commands::collection::{change, end, save};
use crate::commands::{Command, Ctx, Outcome, Stop};
use crate::core::change::KeyEvent;
use crate::core::kinds::hash::Hash;
use gs_client::cache::Meta;
use gs_client::kinds::KIND_HASH;
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "hdel",
            parent: None,
            since: "2.0.0",
            group: Group::Hash,
            arity: Arity(-3),
            flags: Flags::WRITE.or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::string("field").multiple()],
            complexity: "O(N) where N is the number of fields to be removed.",
            summary: "Delete one or more hash fields",
            acl: Acl::WRITE.or(Acl::HASH).or(Acl::FAST),
            reply_doc: "how many fields were removed",
        },
        run: hdel,
    },
    Command {
        spec: Spec {
            name: "hmset",
            parent: None,
            since: "2.0.0",
            group: Group::Hash,
            arity: Arity(-4),
            flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[
                Arg::key("key"),
                Arg::block("field_value", &[Arg::string("field"), Arg::string("value")]).multiple(),
            ],
            complexity: "O(N) where N is the number of fields being set.",
            summary: "Set multiple hash fields to multiple values",
            acl: Acl::WRITE.or(Acl::HASH).or(Acl::FAST),
            reply_doc: "`OK`",
        },
        run: hmset,
    },
    Command {
        spec: Spec {
            name: "hset",
            parent: None,
            since: "2.0.0",
            group: Group::Hash,
            arity: Arity(-4),
            flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[
                Arg::key("key"),
                Arg::block("field_value", &[Arg::string("field"), Arg::string("value")]).multiple(),
            ],
            complexity: "O(1) for each field/value pair added, so O(N) to add N field/value pairs when the command is called with multiple field/value pairs.",
            summary: "Set the string value of a hash field",
            acl: Acl::WRITE.or(Acl::HASH).or(Acl::FAST),
            reply_doc: "how many fields are new",
        },
        run: hset,
    },
    Command {
        spec: Spec {
            name: "hsetnx",
            parent: None,
            since: "2.0.0",
            group: Group::Hash,
            arity: Arity(4),
            flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::string("field"), Arg::string("value")],
            complexity: "O(1)",
            summary: "Set the value of a hash field, only if the field does not exist",
            acl: Acl::WRITE.or(Acl::HASH).or(Acl::FAST),
            reply_doc: "1 if it was set, else 0",
        },
        run: hsetnx,
    },
];

/// Writes a hash back, or ends its key where nothing is left of it.
pub(super) fn keep(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    hash: &Hash<'_>,
    found: Option<Meta>,
    event: KeyEvent,
) -> Result<(), Stop> {
    if hash.is_empty() {
        return end(ctx, key, event);
    }
    save(ctx, key, KIND_HASH, &hash.record(), found, event)
}

/// Sets all fields of a command; how many are new.
fn set_all(ctx: &mut Ctx<'_>, args: Args<'_>, name: &str) -> Result<i64, Stop> {
    if !args.len().is_multiple_of(2) {
        return Err(Refusal::wrong_arity(name).into());
    }
    let key = args.at(1);
    change(ctx, key, KIND_HASH, |ctx, record, found| {
        let mut hash = Hash::parse(record)?;
        hash.expect(args.len() / 2 - 1);
        let places = (2..args.len()).step_by(2);
        let new = places.map(|i| i64::from(hash.set(args.at(i), args.at(i + 1)))).sum();
        keep(ctx, key, &hash, found, KeyEvent::hash("hset"))?;
        Ok(new)
    })
}

fn hset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let new = set_all(ctx, args, "hset")?;
    ctx.int(new)
}

fn hmset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set_all(ctx, args, "hmset")?;
    ctx.ok()
}

fn hsetnx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = args.at(1);
    let done = change(ctx, key, KIND_HASH, |ctx, record, found| {
        let mut hash = Hash::parse(record)?;
        if hash.get(args.at(2)).is_some() {
            return Ok(false);
        }
        hash.set(args.at(2), args.at(3));
        keep(ctx, key, &hash, found, KeyEvent::hash("hset"))?;
        Ok(true)
    })?;
    ctx.int(i64::from(done))
}

fn hdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = args.at(1);
    let removed = change(ctx, key, KIND_HASH, |ctx, record, found| {
        let mut hash = Hash::parse(record)?;
        let fields = args.skip(2);
        hash.expect(fields.len());
        let removed = fields.iter().filter(|field| hash.remove(field).is_some()).count();
        if removed > 0 {
            keep(ctx, key, &hash, found, KeyEvent::hash("hdel"))?;
        }
        Ok(removed)
    })?;
    ctx.int(removed as i64)
}
