//! `GS.GET`, `GS.PEEK`, `GS.SET`, `GS.DEL`, `GS.TOUCH`, `GS.HASHSET`, `GS.CHECKHASH`: what Redis lacks for
//! sessions.

mod peek;
mod set;

use crate::commands::{Answer, Command, Ctx, Outcome, Reply, Stop};
use crate::core::change::KeyEvent;
use crate::core::keyspace::{Destroy, Destroyed};
use crate::core::node::{Node, NodeRole};
use crate::roles::wire;
use gs_client::hashed::{KIND_HASHED, verify};
use gs_client::kinds::{is_whole_value, type_word};
use gs_resp::{AclCategories, Arg, Args, Arity, Code, Flags, Group, Keys, Refusal, Roles, Spec, Writer};
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
const WITHVERSION: Arg = Arg::token_only("withversion", "WITHVERSION");
const PX: Arg = Arg::integer("milliseconds").token("PX");
const WRITE: Flags = Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST);
const READ: Flags = Flags::READONLY.or(Flags::FAST);

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: row(
            "gs.get",
            -2,
            READ,
            Keys::ONE,
            &[KEY, WITHVERSION.optional()],
            "Looks for a session through all tiers and brings it up.",
            "A map: value, version, pttl, tier, node, idle, kind, age_ms; nil if no tier has it, or with WITHVERSION the version up to which all that the stream may still bring of it is history, 0 if it brings nothing.",
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
        run: peek::peek,
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
        run: set::set,
    },
    Command {
        spec: row(
            "gs.del",
            -2,
            Flags::WRITE.or(Flags::FAST),
            Keys::ALL,
            &[KEY.multiple(), Arg::token_only("sync", "SYNC").optional(), WITHVERSION.optional()],
            "Destroys sessions everywhere; with SYNC it answers when every front end has dropped them or its lease has lapsed, and is refused inside MULTI.",
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
        run: set::hashset,
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

/// The version up to which an absent key is history for front ends.
fn history(ctx: &Ctx<'_>, key: &[u8]) -> u64 {
    let Some(relay) = ctx.node.relay() else { return 0 };
    // An event that has been on its way for longer than a lease was applied, or the lease has lapsed. Twice, for what
    // clocks and the way to the reader add.
    let on_its_way_ms = 2 * ctx.node.settings.lease.as_millis() as u64;
    let from_ms = ctx.node.now_ms().saturating_sub(on_its_way_ms);
    relay.stream.recent.history(ctx.node.id(ctx.conn.db, key).lo, from_ms)
}

fn get(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let with_version = match args.len() {
        2 => false,
        3 if args.at(2).eq_ignore_ascii_case(b"WITHVERSION") => true,
        _ => return Err(Refusal::syntax().into()),
    };
    let mut value = std::mem::take(&mut ctx.conn.scratch);
    value.clear();
    let found = ctx.node.read(&ctx.conn.scope, ctx.conn.db, args.at(1), true, &mut value, |_, _| ());
    match &found {
        Ok(Some(meta)) if !is_whole_value(meta.kind) => {
            ctx.conn.scratch = value;
            return Err(not_whole(meta.kind).into());
        }
        Ok(Some(meta)) => {
            ctx.node.metrics.sought(true);
            let origin = ctx.conn.scope.take_origin(ctx.conn.db, args.at(1));
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
            ctx.node.metrics.sought(false);
            if with_version {
                let history = history(ctx, args.at(1));
                ctx.reply().uint(history);
            } else {
                ctx.reply().null();
            }
        }
        Err(_) => {}
    }
    ctx.conn.scratch = value;
    found.map(|_| Reply::Done)
}

/// What a session command says of a key that holds a collection.
fn not_whole(kind: u8) -> Refusal {
    let text = format!(
        "the key holds a {}, which is read with the commands of Redis for it; sessions are strings",
        type_word(kind)
    );
    Refusal::new(Code::WrongType, text)
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
    if sync && ctx.conn.scope.held {
        // Refused before anything is destroyed: EXEC waits for nobody.
        let text = "GS.DEL with SYNC waits for front ends and cannot run inside a transaction; send it alone";
        return Err(Refusal::err(text).into());
    }
    let (mut count, mut last): (i64, Option<Destroyed>) = (0, None);
    for key in keys {
        let id = ctx.id(key);
        let _lock = ctx.node.lock_key(&ctx.conn.scope, &id);
        let (db, by) = (ctx.conn.db, ctx.conn.info.id);
        let gone = Destroy { db, key, id, reason: "deleted", sync, event: KeyEvent::DEL, by };
        if let Some(gone) = ctx.node.destroy(&gone)? {
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
    let id = ctx.id(key);
    let lock = ctx.node.lock_key(&ctx.conn.scope, &id);
    let Some(meta) = ctx.node.meta(&ctx.conn.scope, db, key)? else {
        drop(lock);
        return ctx.int(0);
    };
    let deadline_ms = ctx.node.now_ms().saturating_add(ms);
    let there = meta.deadline_ms == 0
        || meta.deadline_ms >= deadline_ms
        || ctx.node.set_deadline(&ctx.conn.scope, (db, key), &meta, deadline_ms)?;
    drop(lock);
    ctx.int(i64::from(there))
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
