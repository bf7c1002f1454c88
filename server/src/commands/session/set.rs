//! `GS.SET` and `GS.HASHSET`: their options, and the second copy that `COPIES 2` asks for.

use crate::commands::{Answer, Ctx, Outcome, Reply};
use crate::core::change::KeyEvent;
use crate::core::keyspace::Write;
use crate::core::node::Node;
use crate::core::outbox::{Mode, Order};
use crate::roles::wire::{self, Parcel};
use gs_client::hashed::{KIND_HASHED, KIND_STRING, seal};
use gs_resp::{Args, Code, Refusal, Writer};
use std::sync::Arc;

/// The options of `GS.SET` and `GS.HASHSET`.
#[derive(Default)]
struct Options {
    px: Option<u64>,
    ifv: Option<u64>,
    copies: Option<u64>,
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
            options.copies = Some(n()?).filter(|copies| (1..=2).contains(copies));
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
    let copies = options.copies.unwrap_or(u64::from(ctx.node.paths.of(key).copies));
    if copies > 1 && ctx.node.owner()?.members.list().is_empty() {
        let text = "COPIES 2 needs a relief and none has joined: start one (gs-server --role relief-expansion --sibling \
                    HOST:PORT), or write with COPIES 1";
        return Err(Refusal::new(Code::Unavailable, text).into());
    }
    if options.ifv.is_some() {
        ctx.node.meta(&ctx.conn.scope, db, key)?;
    }
    let id = ctx.node.id(db, key);
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
    let write = Write { db, key, value: args.at(2), kind: KIND_STRING, deadline_ms, event, by };
    let version = ctx.node.write(&write)?;
    if deadline_ms != 0 {
        ctx.node.happened(db, key, KeyEvent::EXPIRE);
    }
    if copies > 1
        && let Some(relay) = ctx.node.relay()
    {
        // Before anyone else can change the key: a change from now on follows the copy wherever it arrives.
        relay.copying.begin(id, version, ctx.node.clock.unix_ms() + COPY_ARRIVES_MS);
    }
    drop(lock);
    if copies < 2 {
        return ctx.int(version as i64);
    }
    let parcel = Parcel {
        db,
        key: key.to_vec(),
        version,
        pttl: options.px.map_or(-1, |ms| ms as i64),
        kind: KIND_STRING,
        age_ms: 0,
        value: args.at(2).to_vec(),
    };
    let node = ctx.node.clone();
    ctx.later(async move {
        second_copy(&node, &parcel).await?;
        Ok(Box::new(move |w: &mut Writer<'_>| w.uint(version)) as Answer)
    })
}

/// A second copy whose fate is not known may arrive for this long; links give up far earlier.
const COPY_ARRIVES_MS: u64 = 60_000;

/// Has the second copy put on a relief, and lists it there.
async fn second_copy(node: &Arc<Node>, parcel: &Parcel) -> Result<(), Refusal> {
    let refusal = |why: &str| {
        let text = format!("the session is stored once, but its second copy is not: {why}; write it again");
        Refusal::new(Code::Unavailable, text)
    };
    let relay = node.relay().ok_or_else(|| refusal("this node has no reliefs"))?;
    let link = relay.downstream().ok_or_else(|| refusal("the sibling is not there"))?;
    let mut out = Vec::new();
    gs_resp::encode_command_head(&mut out, 1 + wire::PUT_WORDS);
    gs_resp::encode_arg(&mut out, b"GS.COPY");
    parcel.encode(&mut out);
    let reply = link.call_encoded(out, 1).await.map_err(|_| refusal("the sibling does not answer"))?;
    let list = reply.first().and_then(wire::integers);
    let Some([index, copy]) = list.as_deref() else {
        return Err(refusal("no relief could take it"));
    };
    let id = node.id(parcel.db, &parcel.key);
    let _lock = node.stripes.lock(&id);
    let here = node.cache.section().peek(&id, &parcel.key, node.now_ms());
    let (index, copy) = (*index as u16, *copy as u64);
    if here.is_some_and(|meta| meta.version == parcel.version) && !relay.is_lost(index) {
        relay.directory.insert_second(&id, parcel.db, index, parcel.version, copy);
        relay.copying.arrived(&id, parcel.version);
    } else {
        // The session changed meanwhile: nobody reads this copy.
        relay.condemned.lock().insert((index, copy), node.clock.unix_ms());
        let (mode, db, key) = (Mode::Drop(copy), parcel.db, parcel.key.as_slice().into());
        relay.outbox.push(index, Order { mode, db, key, id, copy });
    }
    Ok(())
}

pub(super) fn hashset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let options = options(args, 3, "gs.hashset")?;
    let (db, key) = (ctx.conn.db, args.at(1));
    let sealed = seal(args.at(2));
    let id = ctx.node.id(db, key);
    let lock = ctx.node.lock_key(&ctx.conn.scope, &id);
    let deadline_ms = options.px.map_or(0, |ms| ctx.node.now_ms().saturating_add(ms));
    let (event, by) = (KeyEvent::SET, ctx.conn.info.id);
    let write = Write { db, key, value: &sealed, kind: KIND_HASHED, deadline_ms, event, by };
    let version = ctx.node.write(&write)?;
    if deadline_ms != 0 {
        ctx.node.happened(db, key, KeyEvent::EXPIRE);
    }
    drop(lock);
    ctx.int(version as i64)
}
