//! The commands that nodes send each other: batches of put-if-newer, orders to drop, what moved, what was lost.
//! All of them are idempotent: a message may arrive twice, or late.

use crate::commands::{Answer, Command, Ctx, Outcome, Reply};
use crate::core::members::{State, Tier};
use crate::core::node::{Node, Relay};
use crate::core::outbox::{Mode, Order};
use crate::core::{resolve, topics};
use crate::roles::wire::{self, Parcel, ParcelRef};
use crate::roles::{relief, sibling};
use gs_client::cache::{BlockRef, Lookup, Release};
use gs_resp::{AclCategories, Arg, Args, Arity, Code, Flags, Group, Keys, Refusal, Roles, Spec, Writer};
use std::sync::Arc;

/// The row of a command between nodes.
const fn row(
    name: &'static str,
    arity: i16,
    roles: Roles,
    args: &'static [Arg],
    summary: &'static str,
) -> Spec {
    Spec {
        name,
        parent: None,
        since: "0.1.0",
        group: Group::Gs,
        arity: Arity(arity),
        flags: Flags::PEER.or(Flags::ADMIN).or(Flags::NO_MULTI).or(Flags::NOSCRIPT),
        roles,
        keys: Keys::None,
        args,
        complexity: "O(N) with N the number of items",
        summary,
        acl: AclCategories::ADMIN.or(AclCategories::DANGEROUS),
        reply_doc: "One integer for each item, or OK.",
    }
}

const COUNT: Arg = Arg::integer("count");
const NODE: Arg = Arg::integer("node");
const DB: Arg = Arg::integer("db");
const WORDS: Arg = Arg::string("item").multiple();

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: row(
            "gs.put",
            -9,
            Roles::RELIEFS,
            &[COUNT, WORDS],
            "Stores copies that are newer than what this relief has.",
        ),
        run: put,
    },
    Command {
        spec: row(
            "gs.fetch",
            -3,
            Roles::RELIEFS.or(Roles::SIBLING),
            &[NODE.optional(), DB, Arg::key("key")],
            "Reads a copy from a relief without counting it as a use.",
        ),
        run: fetch,
    },
    Command {
        spec: row(
            "gs.tomb",
            -6,
            Roles::RELIEFS.or(Roles::SIBLING),
            &[NODE.optional(), COUNT, WORDS],
            "Orders a relief to drop copies and to refuse older versions.",
        ),
        run: tomb,
    },
    Command {
        spec: row(
            "gs.flush",
            -3,
            Roles::RELIEFS.or(Roles::SIBLING),
            &[NODE.optional(), DB, Arg::integer("version")],
            "Forgets everything of a database below a version.",
        ),
        run: flush,
    },
    Command {
        spec: row(
            "gs.keys",
            -4,
            Roles::RELIEFS.or(Roles::SIBLING),
            &[NODE.optional(), Arg::integer("cursor"), COUNT, DB],
            "A page of the copies a relief holds in a database, or * for all: db, key, version, copy, remaining life.",
        ),
        run: keys,
    },
    Command {
        spec: row(
            "gs.handoff",
            -11,
            Roles::SIBLING,
            &[Arg::string("node"), COUNT, WORDS],
            "An expansion node passes sessions on to the aging node of their slot.",
        ),
        run: handoff,
    },
    Command {
        spec: row(
            "gs.dropped",
            -8,
            Roles::SIBLING.or(Roles::RELAY),
            &[Arg::string("node"), COUNT, WORDS],
            "A relief tells which copies expired or were lost.",
        ),
        run: dropped,
    },
    Command {
        spec: row(
            "gs.copy",
            8,
            Roles::SIBLING,
            &[
                DB,
                Arg::key("key"),
                Arg::integer("version"),
                Arg::integer("pttl"),
                Arg::integer("kind"),
                Arg::integer("age"),
                Arg::string("value"),
            ],
            "Puts a second copy of a session on the expansion node of its slot.",
        ),
        run: copy,
    },
    Command {
        spec: row(
            "gs.relieve",
            -1,
            Roles::SIBLING,
            &[DB.optional(), Arg::key("key").optional()],
            "Asks the demoter to make room at once, in a key's buckets if one is named.",
        ),
        run: relieve,
    },
    Command {
        spec: row(
            "gs.moved",
            -10,
            Roles::RELAY,
            &[NODE, COUNT, WORDS],
            "Sessions that a relief has taken: they are listed there and freed here.",
        ),
        run: moved,
    },
    Command {
        spec: row(
            "gs.relocate",
            -9,
            Roles::RELAY,
            &[NODE, Arg::integer("to"), COUNT, WORDS],
            "Sessions that one relief passed on to another.",
        ),
        run: relocate,
    },
    Command {
        spec: row(
            "gs.report",
            -7,
            Roles::RELAY,
            &[NODE, COUNT, WORDS],
            "What a relief holds, page by page after it joined.",
        ),
        run: report,
    },
    Command {
        spec: row(
            "gs.promote",
            -4,
            Roles::RELAY,
            &[DB, COUNT, Arg::key("key").multiple()],
            "Brings sessions back up.",
        ),
        run: promote,
    },
    Command {
        spec: row(
            "gs.member",
            -2,
            Roles::RELAY,
            &[Arg::string("what"), WORDS],
            "The sibling tells of a relief that joined, reported, went silent, is in doubt or left.",
        ),
        run: member,
    },
    Command {
        spec: row(
            "gs.sibling",
            4,
            Roles::RELAY,
            &[Arg::string("hello"), Arg::string("address"), Arg::integer("pid")],
            "A sibling says where it is; the answer is the identity of this life of the relay.",
        ),
        run: hello,
    },
];

fn ints(ctx: &mut Ctx<'_>, list: &[i64]) -> Outcome {
    let mut w = ctx.reply();
    w.array(list.len());
    list.iter().for_each(|n| w.int(*n));
    Ok(Reply::Done)
}

/// Sends a command on to a relief, without the word that named it, and its reply back.
fn pass(ctx: &mut Ctx<'_>, name: &str, index: u64, words: Args<'_>) -> Outcome {
    let Some(sibling) = ctx.node.sibling() else {
        return Err(Refusal::syntax().into());
    };
    let link = sibling.link(index as u16)?;
    let mut all: Vec<&[u8]> = vec![name.as_bytes()];
    all.extend(words.iter());
    let mut out = Vec::new();
    gs_resp::encode_command(&mut out, &all);
    ctx.later(async move {
        let away = |_| Refusal::new(Code::Unavailable, "the relief does not answer; try again later");
        let reply = link.call_encoded(out, 1).await.map_err(away)?.pop();
        Ok(Box::new(move |w: &mut Writer<'_>| match &reply {
            Some(reply) => wire::forward(w, reply),
            None => w.null(),
        }) as Answer)
    })
}

fn put(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut copies = Vec::new();
    for item in wire::items(args, 1, wire::PUT_WORDS)? {
        copies.push(relief::put(ctx.node, &ParcelRef::parse(item)?)?);
    }
    ints(ctx, &copies)
}

fn fetch(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if ctx.node.sibling().is_some() {
        return pass(ctx, "GS.FETCH", wire::number(args, 1)?, args.skip(2));
    }
    let (db, key) = (wire::database(args, 1)?, wire::word(args, 2)?);
    let id = ctx.node.id(db, key);
    let mut value = Vec::new();
    for _ in 0..64 {
        match ctx.node.cache.section().get(&id, key, ctx.node.now_ms(), false, &mut value, |_, _| ()) {
            Lookup::Hit(meta) => {
                let age_ms = ctx.node.now_ms().saturating_sub(meta.created_ms);
                let pttl = ctx.node.pttl(meta.deadline_ms);
                let mut w = ctx.reply();
                w.array(7);
                w.uint(meta.version);
                w.int(pttl);
                w.uint(u64::from(meta.kind));
                w.uint(age_ms);
                w.uint(meta.idle_ms);
                w.uint(relief::copy_of(&meta.at));
                w.bulk(&value);
                return Ok(Reply::Done);
            }
            Lookup::Miss { .. } => {
                ctx.reply().null();
                return Ok(Reply::Done);
            }
            Lookup::Contended => {}
        }
    }
    // Never nil when nothing is known.
    Err(Refusal::new(Code::TryAgain, "the key is being changed; ask again").into())
}

fn tomb(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if ctx.node.sibling().is_some() {
        return pass(ctx, "GS.TOMB", wire::number(args, 1)?, args.skip(2));
    }
    let mut killed = Vec::new();
    for item in wire::items(args, 1, wire::TOMB_WORDS)? {
        let (mode, db, key) = wire::parse_order(item)?;
        killed.push(relief::obey(ctx.node, mode, db, key) as i64);
    }
    ints(ctx, &killed)
}

fn flush(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if ctx.node.sibling().is_some() {
        return pass(ctx, "GS.FLUSH", wire::number(args, 1)?, args.skip(2));
    }
    let db = if args.is(1, "*") { None } else { Some(wire::database(args, 1)?) };
    relief::flush(ctx.node, db, wire::number(args, 2)?);
    ctx.ok()
}

fn keys(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if ctx.node.sibling().is_some() {
        return pass(ctx, "GS.KEYS", wire::number(args, 1)?, args.skip(2));
    }
    let (cursor, count) = (wire::number(args, 1)?, wire::number(args, 2)?.clamp(1, 4_096) as usize);
    let wanted = if args.is(3, "*") { None } else { Some(wire::database(args, 3)?) };
    let mut found: Vec<(u8, Vec<u8>, u64, u64, i64)> = Vec::new();
    let mut next = Some(cursor);
    // Empty stretches are passed here, up to a bound, rather than by a call each.
    for _ in 0..2_048 {
        let Some(from) = next.filter(|_| found.len() < count) else {
            break;
        };
        let buckets = (count / 4 + 1) as u32;
        next = ctx.node.cache.section().scan_buckets(from, buckets, ctx.node.now_ms(), &mut |meta, key| {
            if wanted.is_none_or(|db| db == meta.db) {
                let pttl = ctx.node.pttl(meta.deadline_ms);
                found.push((meta.db, key.to_vec(), meta.version, relief::copy_of(&meta.at), pttl));
            }
        });
    }
    let mut w = ctx.reply();
    w.array(2);
    w.bulk_uint(next.unwrap_or(0));
    w.array(found.len() * 5);
    for (db, key, version, copy, pttl) in &found {
        w.uint(u64::from(*db));
        w.bulk(key);
        w.uint(*version);
        w.uint(*copy);
        w.int(*pttl);
    }
    Ok(Reply::Done)
}

fn handoff(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let name = wire::text(args, 1)?.to_string();
    let mut loads: Vec<(Parcel, u64)> = Vec::new();
    for item in wire::items(args, 2, wire::HANDOFF_WORDS)? {
        let p = ParcelRef::parse(item)?;
        let parcel = Parcel {
            db: p.db,
            key: p.key.to_vec(),
            version: p.version,
            pttl: p.pttl,
            kind: p.kind,
            age_ms: p.age_ms,
            value: p.value.to_vec(),
        };
        loads.push((parcel, wire::number(item, 7)?));
    }
    let node = ctx.node.clone();
    ctx.later(async move {
        let answers = sibling::pass_along(&node, &name, loads).await;
        Ok(Box::new(move |w: &mut Writer<'_>| {
            w.array(answers.len());
            answers.iter().for_each(|n| w.int(*n));
        }) as Answer)
    })
}

fn dropped(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if let Some(sibling) = ctx.node.sibling() {
        let name = wire::text(args, 1)?;
        let index = sibling.placement.read().peers.iter().find(|p| p.name == name).map(|p| p.index);
        let index = index.ok_or_else(|| Refusal::err("not joined"))?.to_string();
        let mut all: Vec<&[u8]> = vec![b"GS.DROPPED", index.as_bytes()];
        all.extend(args.skip(2).iter());
        let mut out = Vec::new();
        gs_resp::encode_command(&mut out, &all);
        let link = sibling.relay.clone();
        return ctx.later(async move {
            let away = |_| Refusal::new(Code::Unavailable, "the relay does not answer; try again later");
            let reply = link.call_encoded(out, 1).await.map_err(away)?.pop();
            Ok(Box::new(move |w: &mut Writer<'_>| match &reply {
                Some(reply) => wire::forward(w, reply),
                None => w.null(),
            }) as Answer)
        });
    }
    let relay = ctx.node.owner()?;
    let index = wire::number(args, 1)? as u16;
    for item in wire::items(args, 2, wire::DROPPED_WORDS)? {
        let (db, key, copy) = (wire::database(item, 0)?, wire::word(item, 1)?, wire::number(item, 3)?);
        let id = ctx.node.id(db, key);
        let _lock = ctx.node.stripes.lock(&id);
        let was = relay.directory.remove(&id, db, index, copy);
        if was && item.is(4, "evicted") {
            ctx.node.metrics.lost.add(1);
        }
    }
    ctx.ok()
}

fn copy(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let p = ParcelRef::parse(args.skip(1))?;
    let (db, key, value) = (p.db, p.key.to_vec(), p.value.to_vec());
    let parcel = Parcel { db, key, version: p.version, pttl: p.pttl, kind: p.kind, age_ms: p.age_ms, value };
    let node = ctx.node.clone();
    ctx.later(async move {
        let (index, copy) = sibling::copy(node, parcel).await?;
        Ok(Box::new(move |w: &mut Writer<'_>| {
            w.array(2);
            w.uint(u64::from(index));
            w.uint(copy);
        }) as Answer)
    })
}

fn relieve(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if let Some(sibling) = ctx.node.sibling() {
        if args.len() == 3 {
            let crowd = (wire::database(args, 1)?, wire::word(args, 2)?.into());
            let mut crowded = sibling.crowded.lock();
            if crowded.len() < 1_024 {
                crowded.push(crowd);
            }
        }
        sibling.wake.notify_one();
    }
    ctx.ok()
}

fn moved(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let relay = ctx.node.owner()?;
    let index = wire::number(args, 1)? as u16;
    let tier = relay.members.get(index).map_or(Tier::Aging, |member| member.tier);
    let mut answers = Vec::new();
    for item in wire::items(args, 2, wire::MOVED_WORDS)? {
        let at = BlockRef {
            index: wire::number(item, 4)? as u32,
            ctl: wire::number(item, 5)?,
            w4: wire::number(item, 6)?,
        };
        let (db, key) = (wire::database(item, 0)?, wire::word(item, 1)?);
        answers.push(settle(
            ctx.node,
            relay,
            index,
            tier,
            db,
            key,
            (wire::number(item, 2)?, wire::number(item, 3)?),
            &at,
        ));
    }
    ctx.node.room.notify_waiters();
    ints(ctx, &answers)
}

/// One session that a relief has taken. 1: listed there, freed here. 0: this record is no longer the truth.
/// 2: its deadline changed while it was on its way. 3: as 0 or 2, but the relief's copy stays: it is listed.
#[allow(clippy::too_many_arguments)]
fn settle(
    node: &Node,
    relay: &Relay,
    index: u16,
    tier: Tier,
    db: u8,
    key: &[u8],
    copy: (u64, u64),
    at: &BlockRef,
) -> i64 {
    let (version, number) = copy;
    let id = node.id(db, key);
    let _lock = node.stripes.lock(&id);
    let _move = node.stripes.moving();
    // What is freed must be this very record: a peer that names another key's block changes nothing.
    let here = node.cache.section().peek(&id, key, node.now_ms());
    if here.is_none_or(|meta| meta.at.index != at.index || meta.at.ctl != at.ctl || meta.version != version) {
        // Where the relief is listed with this version already, it stored its listed copy again.
        return if relay.directory.renumber(&id, db, index, version, number) { 3 } else { 0 };
    }
    if relay.is_condemned(index, number) {
        return 2;
    }
    let was_second =
        relay.directory.holders(&id).iter().any(|h| h.node == index && h.version == version && h.second);
    // Listed before it is freed: a reader that misses it here finds it there.
    let superseded = relay.directory.insert(&id, db, index, version, number);
    match node.cache.section().release(at) {
        Release::Freed => {
            for old in superseded {
                let mode = Mode::Floor(version);
                relay.outbox.push(old.node, Order { mode, db, key: key.into(), id, copy: old.copy });
            }
            let path = node.paths.of(key);
            let reason = if tier == Tier::Aging { "aged" } else { "pressure" };
            let notice = topics::Notice { db, key, version: Some(version), reason, ..Default::default() };
            topics::publish(&node.bus, &path.name, "session_backup", &notice);
            topics::publish(&node.bus, &path.name, "session_received", &notice);
            match tier {
                Tier::Expansion => node.metrics.demoted_expansion.add(1),
                Tier::Aging => node.metrics.demoted_aging.add(1),
            }
            1
        }
        _ if was_second => {
            relay.directory.insert_second(&id, db, index, version, number);
            3
        }
        gone => {
            relay.directory.remove(&id, db, index, number);
            if matches!(gone, Release::Changed) { 2 } else { 0 }
        }
    }
}

fn relocate(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let relay = ctx.node.owner()?;
    let (from, to) = (wire::number(args, 1)? as u16, wire::number(args, 2)? as u16);
    let mut answers = Vec::new();
    for item in wire::items(args, 3, wire::RELOCATE_WORDS)? {
        let (db, key) = (wire::database(item, 0)?, wire::word(item, 1)?);
        let (version, old, new) = (wire::number(item, 2)?, wire::number(item, 3)?, wire::number(item, 4)?);
        let id = ctx.node.id(db, key);
        let _lock = ctx.node.stripes.lock(&id);
        let _move = ctx.node.stripes.moving();
        // 1: listed there now. 0: nobody reads either copy. -1: the new copy is being dropped; the old one stays.
        answers.push(match relay.is_condemned(to, new) {
            true => -1,
            false => i64::from(relay.directory.relocate(&id, db, (from, old), (to, version, new))),
        });
    }
    ints(ctx, &answers)
}

fn report(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let index = wire::number(args, 1)? as u16;
    for item in wire::items(args, 2, wire::REPORT_WORDS)? {
        let (db, key) = (wire::database(item, 0)?, wire::word(item, 1)?);
        resolve::list(ctx.node, index, db, key, wire::number(item, 2)?, wire::number(item, 3)?);
    }
    ctx.ok()
}

fn promote(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let db = wire::database(args, 1)?;
    let keys: Vec<Box<[u8]>> = wire::items(args, 2, 1)?.map(|item| item.at(0).into()).collect();
    let node = ctx.node.clone();
    ctx.later(async move {
        let mut up = 0;
        for key in keys {
            up += i64::from(resolve::promote(node.clone(), db, key).await);
        }
        Ok(Box::new(move |w: &mut Writer<'_>| w.int(up)) as Answer)
    })
}

fn member(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let node: Arc<Node> = ctx.node.clone();
    let relay = node.owner()?;
    let index = || wire::number(args, 2).map(|n| n as u16);
    let done = match args.at(1) {
        b"JOIN" => {
            let tier = args.get(3).and_then(Tier::parse).ok_or_else(Refusal::syntax)?;
            let (name, addr, life) = (wire::text(args, 2)?, wire::text(args, 4)?, wire::text(args, 5)?);
            let (index, lost) = relay.members.join(name, tier, addr, life).map_err(Refusal::err)?;
            if let Some(lost) = lost {
                let sessions =
                    relay.directory.count_by_node().iter().find(|(n, _)| *n == lost).map_or(0, |(_, n)| *n);
                node.metrics.lost.add(sessions);
                for order in relay.outbox.forget(lost) {
                    relay.tombs.acknowledged(&order.id);
                }
                tracing::error!(
                    relief = name,
                    sessions,
                    "a relief came back without its sessions: they answer -UNAVAILABLE"
                );
            }
            // An answer may have been lost with the connection: what it holds is looked at after every join.
            relay.members.update(index, |m| m.audited = false);
            relay.members_changed();
            return ints(ctx, &[i64::from(index)]);
        }
        b"REPORTED" => relay.members.update(index()?, |m| (m.reported, m.audited) = (true, true)),
        b"DOUBT" => relay.members.update(index()?, |m| m.audited = false),
        b"STATE" => {
            let state = if args.is(3, "up") { State::Up } else { State::Away };
            relay.members.update(index()?, |m| {
                if m.state != State::Lost {
                    m.state = state;
                }
            })
        }
        b"LEAVE" => return leave(ctx, args),
        b"LIST" => return list(ctx),
        _ => return Err(Refusal::syntax().into()),
    };
    relay.members_changed();
    if done { ctx.ok() } else { Err(Refusal::err("no member has that index").into()) }
}

fn leave(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let relay = ctx.node.owner()?;
    let name = wire::text(args, 2)?;
    let indexes: Vec<u16> = relay.members.list().iter().filter(|m| m.name == name).map(|m| m.index).collect();
    if indexes.is_empty() {
        return Err(Refusal::err(format!("no relief is named '{name}'; GS.SHARD NODES lists them")).into());
    }
    let held: u64 =
        relay.directory.count_by_node().iter().filter(|(n, _)| indexes.contains(n)).map(|(_, n)| n).sum();
    if held > 0 && !args.is(3, "FORCE") {
        let text =
            format!("relief '{name}' holds {held} sessions; GS.SHARD LEAVE {name} FORCE gives them up");
        return Err(Refusal::err(text).into());
    }
    for index in relay.members.remove(name) {
        let lost = relay.directory.forget_node(index);
        ctx.node.metrics.lost.add(lost);
        for order in relay.outbox.forget(index) {
            relay.tombs.acknowledged(&order.id);
        }
    }
    relay.members_changed();
    ctx.int(held as i64)
}

fn list(ctx: &mut Ctx<'_>) -> Outcome {
    let node = ctx.node.clone();
    let relay = node.owner()?;
    let counts = relay.directory.count_by_node();
    let members = relay.members.list();
    let mut w = ctx.reply();
    w.array(members.len());
    for m in members {
        let sessions = counts.iter().find(|(n, _)| *n == m.index).map_or(0, |(_, n)| *n);
        w.array(6);
        w.uint(u64::from(m.index));
        w.bulk_str(&m.name);
        w.bulk_str(m.tier.word());
        w.bulk_str(&m.addr);
        w.bulk_str(m.state.word());
        w.uint(sessions);
    }
    Ok(Reply::Done)
}

fn hello(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let node = ctx.node.clone();
    let relay = node.owner()?;
    let addr = wire::text(args, 2)?;
    relay.members.doubt_all();
    relay.members_changed();
    *relay.sibling_addr.write() = Some(addr.to_string());
    *relay.sibling.write() = Some(node.links.open(addr));
    relay.outbox.wake();
    tracing::info!(addr, pid = wire::number(args, 3)?, "the sibling is here");
    let life = node.run_id.clone();
    ctx.reply().bulk_str(&life);
    Ok(Reply::Done)
}
