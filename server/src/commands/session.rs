//! `GS.GET`, `GS.PEEK`, `GS.SET`, `GS.DEL`, `GS.TOUCH`, `GS.HASHSET`, `GS.CHECKHASH`: what Redis lacks for
//! sessions.

use crate::commands::{Answer, Command, Ctx, Outcome, Reply, Stop};
use crate::core::keyspace::{Destroyed, Write};
use crate::core::node::{Node, NodeRole};
use crate::roles::wire::{self, Parcel};
use gs_client::cache::Meta;
use gs_client::hashed::{KIND_HASHED, KIND_STRING, seal, verify};
use gs_resp::{
    AclCategories, Arg, ArgKind, Args, Arity, Code, Flags, Group, Keys, Refusal, Reply as Peer, Roles, Spec,
    Writer,
};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const fn row(
    name: &'static str,
    arity: i16,
    flags: Flags,
    keys: Keys,
    args: &'static [Arg],
    summary: &'static str,
    reply_doc: &'static str,
) -> Spec {
    let write = flags.contains(Flags::WRITE);
    Spec {
        name,
        parent: None,
        since: "0.1.0",
        group: Group::Gs,
        arity: Arity(arity),
        flags,
        roles: if write { Roles::RELAY } else { Roles::RELAY.or(Roles::RELIEFS) },
        keys,
        args,
        complexity: "O(1) for each key; a key that lives downstream costs a round trip",
        summary,
        acl: if write {
            AclCategories::WRITE.or(AclCategories::FAST)
        } else {
            AclCategories::READ.or(AclCategories::FAST)
        },
        reply_doc,
    }
}

const KEY: Arg = Arg::key("key");
const VALUE: Arg = Arg::string("value");
const PX: Arg = Arg::integer("milliseconds").token("PX");
const WRITE: Flags = Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST);
const READ: Flags = Flags::READONLY.or(Flags::FAST);

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: row(
            "gs.get",
            2,
            READ,
            Keys::ONE,
            &[KEY],
            "Looks for a session through all tiers and brings it up.",
            "A map: value, version, pttl, tier, node, idle, kind, age_ms; nil if no tier has it.",
        ),
        run: get,
    },
    Command {
        spec: row(
            "gs.peek",
            2,
            READ,
            Keys::ONE,
            &[KEY],
            "Says which tiers hold a session, without touching or moving it.",
            "One map for each copy: tier, node, version, pttl, idle, value.",
        ),
        run: peek,
    },
    Command {
        spec: row(
            "gs.set",
            -3,
            WRITE,
            Keys::ONE,
            &[
                KEY,
                VALUE,
                PX.optional(),
                Arg::integer("version").token("IFV").optional(),
                Arg::integer("copies").token("COPIES").optional(),
            ],
            "Stores a session; with IFV only over the version that was read.",
            "The new version; nil if IFV names another version.",
        ),
        run: set,
    },
    Command {
        spec: row(
            "gs.del",
            -2,
            Flags::WRITE.or(Flags::FAST),
            Keys::ONE,
            &[KEY.multiple(), Arg::new("mode", ArgKind::OneOf).optional()],
            "Destroys sessions everywhere; with SYNC it answers when every front end has dropped them or its lease has lapsed.",
            "How many existed; with WITHVERSION an array of that and the version of the delete.",
        ),
        run: del,
    },
    Command {
        spec: row(
            "gs.touch",
            4,
            Flags::WRITE.or(Flags::FAST),
            Keys::ONE,
            &[KEY, PX],
            "Extends a session's life; it never creates one and never shortens it.",
            "1 if the session was there, 0 if not.",
        ),
        run: touch,
    },
    Command {
        spec: row(
            "gs.hashset",
            -3,
            WRITE,
            Keys::ONE,
            &[KEY, VALUE, PX.optional()],
            "Keeps only a salted hash of a value.",
            "The new version.",
        ),
        run: hashset,
    },
    Command {
        spec: row(
            "gs.checkhash",
            3,
            READ,
            Keys::ONE,
            &[KEY, VALUE],
            "Verifies a value against the hash kept, without revealing it.",
            "1 if it is the value, 0 if not, nil if there is no such key.",
        ),
        run: checkhash,
    },
];

fn tier_word(node: &Node) -> &'static str {
    match node.role {
        NodeRole::Expansion => "expansion",
        NodeRole::Aging => "aging",
        NodeRole::Relay | NodeRole::Sibling => "relay",
    }
}

fn get(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut value = std::mem::take(&mut ctx.conn.scratch);
    value.clear();
    let found = ctx.node.read(&ctx.conn.scope, ctx.conn.db, args.at(1), true, &mut value, |_, _| ());
    match &found {
        Ok(Some(meta)) => {
            ctx.node.metrics.hits.add(1);
            let origin = ctx.conn.scope.origin.take();
            let (tier, name) = match &origin {
                Some((tier, name)) => (tier.word(), name.clone()),
                None => (tier_word(ctx.node), ctx.node.name.clone()),
            };
            let (pttl, now_ms) = (ctx.node.pttl(meta.deadline_ms), ctx.node.now_ms());
            let mut w = ctx.reply();
            w.map(8);
            w.bulk_str("value");
            // What is kept as a hash is verified, never shown.
            if meta.kind == KIND_HASHED {
                w.null()
            } else {
                w.bulk(&value)
            }
            w.bulk_str("version");
            w.uint(meta.version);
            w.bulk_str("pttl");
            w.int(pttl);
            w.bulk_str("tier");
            w.bulk_str(tier);
            w.bulk_str("node");
            w.bulk_str(&name);
            w.bulk_str("idle");
            w.uint(meta.idle_ms);
            w.bulk_str("kind");
            w.uint(u64::from(meta.kind));
            w.bulk_str("age_ms");
            w.uint(now_ms.saturating_sub(meta.created_ms));
        }
        Ok(None) => {
            ctx.node.metrics.misses.add(1);
            ctx.reply().null();
        }
        Err(_) => {}
    }
    ctx.conn.scratch = value;
    found.map(|_| Reply::Done)
}

/// One copy as `GS.PEEK` shows it.
struct Seen {
    tier: String,
    node: String,
    version: u64,
    pttl: i64,
    idle_ms: u64,
    value: Option<Vec<u8>>,
}

fn write_seen(w: &mut Writer<'_>, list: &[Seen]) {
    w.array(list.len());
    for seen in list {
        w.map(6);
        w.bulk_str("tier");
        w.bulk_str(&seen.tier);
        w.bulk_str("node");
        w.bulk_str(&seen.node);
        w.bulk_str("version");
        w.uint(seen.version);
        w.bulk_str("pttl");
        w.int(seen.pttl);
        w.bulk_str("idle");
        w.uint(seen.idle_ms);
        w.bulk_str("value");
        match &seen.value {
            Some(value) => w.bulk(value),
            None => w.null(),
        }
    }
}

fn peek(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (db, key) = (ctx.conn.db, args.at(1).to_vec());
    let node = ctx.node.clone();
    let id = node.id(db, &key);
    let mut seen = Vec::new();
    let mut value = Vec::new();
    if let gs_client::cache::Lookup::Hit(meta) =
        node.cache.section().get(&id, &key, node.now_ms(), false, &mut value, |_, _| ())
    {
        seen.push(shown(&node, tier_word(&node), &node.name, &meta, value));
    }
    let Some(relay) = node.relay() else {
        write_seen(&mut ctx.reply(), &seen);
        return Ok(Reply::Done);
    };
    let mut holders = relay.directory.holders(&id);
    holders.retain(|holder| !holder.shadow);
    if holders.is_empty() {
        write_seen(&mut ctx.reply(), &seen);
        return Ok(Reply::Done);
    }
    let link = relay.downstream();
    let task = node.clone();
    ctx.later(async move {
        let Some(relay) = task.relay() else {
            return Err(Refusal::syntax());
        };
        for holder in holders {
            let member = relay.members.get(holder.node);
            let (tier, name) =
                member.map_or(("lost".into(), "?".into()), |m| (m.tier.word().to_string(), m.name));
            let words = [holder.node.to_string(), db.to_string()];
            let call: [&[u8]; 4] = [b"GS.FETCH", words[0].as_bytes(), words[1].as_bytes(), &key];
            let reply = match &link {
                Some(link) => link.call(&call).await.ok(),
                None => None,
            };
            match reply.as_ref().map(Peer::as_array) {
                Some(Some([version, pttl, kind, _age, idle, _copy, value])) => seen.push(Seen {
                    tier,
                    node: name,
                    version: version.as_u64().unwrap_or(0),
                    pttl: pttl.as_int().unwrap_or(-1),
                    idle_ms: idle.as_u64().unwrap_or(0),
                    value: value
                        .as_bytes()
                        .filter(|_| kind.as_int() != Some(i64::from(KIND_HASHED)))
                        .map(<[u8]>::to_vec),
                }),
                _ if reply.as_ref().is_some_and(Peer::is_null) => {}
                _ => {
                    let text = format!(
                        "the session may be on relief '{name}', which cannot be reached; try again later"
                    );
                    return Err(Refusal::new(Code::Unavailable, text));
                }
            }
        }
        Ok(Box::new(move |w: &mut Writer<'_>| write_seen(w, &seen)) as Answer)
    })
}

fn shown(node: &Node, tier: &str, name: &str, meta: &Meta, value: Vec<u8>) -> Seen {
    Seen {
        tier: tier.into(),
        node: name.into(),
        version: meta.version,
        pttl: node.pttl(meta.deadline_ms),
        idle_ms: meta.idle_ms,
        value: (meta.kind != KIND_HASHED).then_some(value),
    }
}

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

fn set(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
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
    let version = ctx.node.write(&Write { db, key, value: args.at(2), kind: KIND_STRING, deadline_ms })?;
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
    if here.is_some_and(|meta| meta.version == parcel.version) {
        relay.directory.insert_second(&id, parcel.db, *index as u16, parcel.version, *copy as u64);
    }
    Ok(())
}

fn del(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (mut keys, mut sync, mut with_version): (Vec<&[u8]>, _, _) =
        (args.skip(1).iter().collect(), false, false);
    // The words at the end are options; a key of that name is deleted by DEL.
    while keys.len() > 1 {
        match keys.last() {
            Some(word) if word.eq_ignore_ascii_case(b"SYNC") => sync = true,
            Some(word) if word.eq_ignore_ascii_case(b"WITHVERSION") => with_version = true,
            _ => break,
        }
        keys.pop();
    }
    let (mut count, mut last): (i64, Option<Destroyed>) = (0, None);
    for key in keys {
        let id = ctx.node.id(ctx.conn.db, key);
        let _lock = ctx.node.lock_key(&ctx.conn.scope, &id);
        if let Some(gone) = ctx.node.destroy(ctx.conn.db, key, "deleted", sync)? {
            count += 1;
            ctx.durable_after(gone.journaled);
            last = Some(gone);
        }
    }
    // Also where nothing was there: a front end marks its own section with it against older puts on their way.
    let version = match (&last, ctx.node.relay()) {
        (Some(gone), _) => gone.version,
        (None, Some(relay)) if with_version => relay.versions.next(ctx.node.clock.unix_ms()),
        _ => 0,
    };
    let answer = move |w: &mut Writer<'_>| {
        if with_version {
            w.array(2);
            w.int(count);
            w.uint(version);
        } else {
            w.int(count);
        }
    };
    let Some(gone) = last.filter(|_| sync) else {
        answer(&mut ctx.reply());
        return Ok(Reply::Done);
    };
    let node = ctx.node.clone();
    ctx.later(async move {
        applied_everywhere(&node, gone.seq).await;
        Ok(Box::new(answer) as Answer)
    })
}

/// Waits until every front end has applied the event, or its lease has lapsed.
async fn applied_everywhere(node: &Node, seq: u64) {
    let Some(relay) = node.relay() else { return };
    let lease_ms = node.settings.lease.as_millis() as u64;
    loop {
        let moved = relay.agents_moved.notified();
        let now_ms = node.now_ms();
        let waits = relay.agents.iter().any(|agent| {
            agent.applied.load(Ordering::Acquire) < seq
                && now_ms.saturating_sub(agent.heard_ms.load(Ordering::Acquire)) <= lease_ms
        });
        if !waits {
            return;
        }
        // A lease lapses without a signal.
        let _ = tokio::time::timeout(Duration::from_millis(20), moved).await;
    }
}

fn touch(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if !args.is(2, "PX") {
        return Err(Refusal::syntax().into());
    }
    let ms = wire::number(args, 3)?;
    if ms == 0 || ms > i64::MAX as u64 {
        return Err(Refusal::invalid_expire("gs.touch").into());
    }
    let (db, key) = (ctx.conn.db, args.at(1));
    ctx.node.meta(&ctx.conn.scope, db, key)?;
    let id = ctx.node.id(db, key);
    let lock = ctx.node.lock_key(&ctx.conn.scope, &id);
    let Some(meta) = ctx.node.meta(&ctx.conn.scope, db, key)? else {
        drop(lock);
        return ctx.int(0);
    };
    let deadline_ms = ctx.node.now_ms().saturating_add(ms);
    let there = meta.deadline_ms == 0
        || meta.deadline_ms >= deadline_ms
        || ctx.node.set_deadline(&ctx.conn.scope, db, key, deadline_ms)?;
    drop(lock);
    ctx.int(i64::from(there))
}

fn hashset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let options = options(args, 3, "gs.hashset")?;
    let (db, key) = (ctx.conn.db, args.at(1));
    let sealed = seal(args.at(2));
    let id = ctx.node.id(db, key);
    let lock = ctx.node.lock_key(&ctx.conn.scope, &id);
    let deadline_ms = options.px.map_or(0, |ms| ctx.node.now_ms().saturating_add(ms));
    let version = ctx.node.write(&Write { db, key, value: &sealed, kind: KIND_HASHED, deadline_ms })?;
    drop(lock);
    ctx.int(version as i64)
}

fn checkhash(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut sealed = Vec::new();
    match ctx.node.read(&ctx.conn.scope, ctx.conn.db, args.at(1), true, &mut sealed, |_, _| ())? {
        None => ctx.reply().null(),
        Some(meta) if meta.kind == KIND_HASHED => {
            let same = verify(&sealed, args.at(2));
            ctx.reply().int(i64::from(same));
        }
        Some(_) => return Err(Stop::Refuse(Refusal::wrong_type())),
    }
    Ok(Reply::Done)
}
