//! `GS.SET` and `GS.HASHSET`, and their options.

use crate::commands::{Ctx, Outcome, Reply};
use crate::core::change::KeyEvent;
use crate::core::keyspace::Write;
use crate::roles::wire;
use gs_client::hashed::{KIND_HASHED, KIND_STRING, seal};
use gs_resp::{Args, Refusal};

/// The options of `GS.SET` and `GS.HASHSET`.
#[derive(Default)]
struct Options {
    px: Option<u64>,
    ifv: Option<u64>,
    copies: Option<u8>,
}

fn options(args: Args<'_>, from: usize, name: &str) -> Result<Options, Refusal> {
    let mut options = Options::default();
    let mut i = from;
    while i < args.len() {
        let n = || wire::number(args, i + 1);
        if args.is(i, "PX") {
            options.px = Some(n()?).filter(|ms| *ms > 0 && *ms <= i64::MAX as u64);
            if options.px.is_none() {
                return Err(Refusal::invalid_expire(name));
            }
        } else if args.is(i, "IFV") && name == "gs.set" {
            options.ifv = Some(n()?);
        } else if args.is(i, "COPIES") && name == "gs.set" {
            options.copies = u8::try_from(n()?).ok().filter(|copies| (1..=2).contains(copies));
            if options.copies.is_none() {
                return Err(Refusal::err("COPIES is 1 or 2"));
            }
        } else {
            return Err(Refusal::syntax());
        }
        i += 2;
    }
    Ok(options)
}

pub(super) fn set(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let options = options(args, 3, "gs.set")?;
    let (db, key) = (ctx.conn.db, args.at(1));
    if options.ifv.is_some() {
        ctx.node.meta(&ctx.conn.scope, db, key)?;
    }
    let id = ctx.id(key);
    let lock = ctx.node.lock_key(&ctx.conn.scope, &id);
    if let Some(wanted) = options.ifv {
        let found = ctx.node.meta(&ctx.conn.scope, db, key)?.map_or(0, |meta| meta.version);
        if found != wanted {
            drop(lock);
            ctx.reply().null();
            return Ok(Reply::Done);
        }
    }
    let deadline_ms = options.px.map_or(0, |ms| ctx.node.now_ms().saturating_add(ms));
    let (event, by) = (KeyEvent::SET, ctx.conn.info.id);
    let write = Write {
        db,
        key,
        id,
        value: args.at(2),
        kind: KIND_STRING,
        deadline_ms,
        event,
        by,
        copies: options.copies,
    };
    let version = ctx.node.write(&write)?;
    if deadline_ms != 0 {
        ctx.node.happened(db, key, KeyEvent::EXPIRE);
    }
    drop(lock);
    ctx.int(version as i64)
}

pub(super) fn hashset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let options = options(args, 3, "gs.hashset")?;
    let (db, key) = (ctx.conn.db, args.at(1));
    let sealed = seal(args.at(2));
    let id = ctx.id(key);
    let lock = ctx.node.lock_key(&ctx.conn.scope, &id);
    let deadline_ms = options.px.map_or(0, |ms| ctx.node.now_ms().saturating_add(ms));
    let (event, by) = (KeyEvent::SET, ctx.conn.info.id);
    let write =
        Write { db, key, id, value: &sealed, kind: KIND_HASHED, deadline_ms, event, by, copies: None };
    let version = ctx.node.write(&write)?;
    if deadline_ms != 0 {
        ctx.node.happened(db, key, KeyEvent::EXPIRE);
    }
    drop(lock);
    ctx.int(version as i64)
}
