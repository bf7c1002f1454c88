//! Hashes: fields that count.

use crate::commands::collection::{change, save};
use crate::commands::parse::{float, integer};
use crate::commands::{Command, Ctx, Outcome, Reply};
use crate::core::change::KeyEvent;
use crate::core::kinds::hash::Hash;
use gs_client::kinds::KIND_HASH;
use gs_resp::num::push_i64;
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Extended, Flags, Group, Keys, Refusal, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "hincrby",
            parent: None,
            since: "2.0.0",
            group: Group::Hash,
            arity: Arity(4),
            flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::string("field"), Arg::integer("increment")],
            complexity: "O(1)",
            summary: "Increment the integer value of a hash field by the given number",
            acl: Acl::WRITE.or(Acl::HASH).or(Acl::FAST),
            reply_doc: "the new number",
        },
        run: hincrby,
    },
    Command {
        spec: Spec {
            name: "hincrbyfloat",
            parent: None,
            since: "2.6.0",
            group: Group::Hash,
            arity: Arity(4),
            flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::string("field"), Arg::double("increment")],
            complexity: "O(1)",
            summary: "Increment the float value of a hash field by the given amount",
            acl: Acl::WRITE.or(Acl::HASH).or(Acl::FAST),
            reply_doc: "the new number as a string",
        },
        run: hincrbyfloat,
    },
];

fn hincrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (key, field, by) = (args.at(1), args.at(2), integer(args.at(3))?);
    let sum = change(ctx, key, KIND_HASH, |ctx, record, found| {
        let mut hash = Hash::parse(record)?;
        let before =
            hash.get(field).map_or(Ok(0), |text| integer(text).map_err(|_| Refusal::hash_not_integer()))?;
        let sum = before.checked_add(by).ok_or_else(Refusal::overflow)?;
        let mut text = Vec::new();
        push_i64(&mut text, sum);
        hash.set(field, &text);
        save(ctx, key, KIND_HASH, &hash.record(), found, KeyEvent::hash("hincrby"))?;
        Ok(sum)
    })?;
    ctx.int(sum)
}

fn hincrbyfloat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (key, field, by) = (args.at(1), args.at(2), float(args.at(3))?);
    if !by.is_finite() {
        return Err(Refusal::err("value is NaN or Infinity").into());
    }
    let text = change(ctx, key, KIND_HASH, |ctx, record, found| {
        let mut hash = Hash::parse(record)?;
        let before = hash.get(field).map_or(Some(Extended::ZERO), Extended::parse);
        let before = before.ok_or_else(Refusal::hash_not_float)?;
        let sum =
            before.checked_add(by).filter(|sum| sum.is_finite()).ok_or_else(Refusal::nan_or_infinity)?;
        let mut text = Vec::new();
        sum.push(&mut text);
        hash.set(field, &text);
        save(ctx, key, KIND_HASH, &hash.record(), found, KeyEvent::hash("hincrbyfloat"))?;
        Ok(text)
    })?;
    ctx.reply().bulk(&text);
    Ok(Reply::Done)
}
