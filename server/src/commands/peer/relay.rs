//! What a relay answers to its sibling: what moved, what reliefs hold, and who they are.

use crate::commands::peer::ints;
use crate::commands::{Answer, Ctx, Outcome, Reply};
use crate::core::directory::Relocated;
use crate::core::members::{Member, State, Tier};
use crate::core::node::{Node, Relay};
use crate::core::outbox::{Mode, Order};
use crate::core::{resolve, topics};
use crate::roles::wire;
use gs_client::cache::{BlockRef, KeyId, Release};
use gs_resp::{Args, Refusal, Writer};
use std::sync::Arc;

pub(super) fn moved(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
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
/// 2: its deadline changed while it was on its way; 2 also: it went before it was reported, or its node is lost.
/// 3: as 0 or 2, but the relief's copy stays: it is listed.
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
    // A relief that lost its sessions meanwhile lost this copy too: the record stays here.
    if gone_unheard(relay, &id, db, index, version, number) || relay.is_lost(index) {
        return 2;
    }
    // What is freed must be this very record: a peer that names another key's block changes nothing.
    let here = node.cache.section().peek(&id, key, node.now_ms());
    if here.is_none_or(|meta| meta.at.index != at.index || meta.at.ctl != at.ctl || meta.version != version) {
        // Where the relief is listed with this version already, it stored its listed copy again.
        return if relay.directory.renumber(&id, db, index, version, number) { 3 } else { 0 };
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

/// True if a copy went before it was reported. It had taken the place of an earlier one of its node, which is
/// then gone too.
fn gone_unheard(relay: &Relay, id: &KeyId, db: u8, index: u16, version: u64, copy: u64) -> bool {
    let gone = relay.is_condemned(index, copy);
    if gone {
        relay.directory.forget_copy(id, db, index, version);
    }
    gone
}

pub(super) fn relocate(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let relay = ctx.node.owner()?;
    let (from, to) = (wire::number(args, 1)? as u16, wire::number(args, 2)? as u16);
    let mut answers = Vec::new();
    for item in wire::items(args, 3, wire::RELOCATE_WORDS)? {
        let (db, key) = (wire::database(item, 0)?, wire::word(item, 1)?);
        let (version, old, new) = (wire::number(item, 2)?, wire::number(item, 3)?, wire::number(item, 4)?);
        let id = ctx.node.id(db, key);
        let _lock = ctx.node.stripes.lock(&id);
        let _move = ctx.node.stripes.moving();
        // What is gone already, or with its node, is not listed: the old copy stays.
        let gone = gone_unheard(relay, &id, db, to, version, new) || relay.is_lost(to);
        let relocated = match gone {
            true => Relocated::Unheard,
            false => relay.directory.relocate(&id, db, (from, old), (to, version, new)),
        };
        answers.push(relocated.answer());
    }
    ints(ctx, &answers)
}

pub(super) fn report(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let index = wire::number(args, 1)? as u16;
    for item in wire::items(args, 2, wire::REPORT_WORDS)? {
        let (db, key) = (wire::database(item, 0)?, wire::word(item, 1)?);
        resolve::list(ctx.node, index, db, key, wire::number(item, 2)?, wire::number(item, 3)?);
    }
    ctx.ok()
}

pub(super) fn promote(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
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

pub(super) fn member(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let node: Arc<Node> = ctx.node.clone();
    let relay = node.owner()?;
    let index = || wire::number(args, 2).map(|n| n as u16);
    let done = match args.at(1) {
        b"JOIN" => {
            let tier = args.get(3).and_then(Tier::parse).ok_or_else(Refusal::syntax)?;
            let (name, addr, life) = (wire::text(args, 2)?, wire::text(args, 4)?, wire::text(args, 5)?);
            let (index, lost) = relay.members.join(name, tier, addr, life).map_err(Refusal::err)?;
            if let Some(lost) = lost {
                let sessions = relay.directory.only_on(lost);
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
            // One that came empty has no key that others do not list; a miss need not wait for its report.
            let empty = args.is(6, "0");
            relay.members.update(index, |m| {
                (m.reported, m.audited, m.doubts) = (m.reported || empty, false, m.doubts + 1);
            });
            relay.members_changed();
            let weight = relay.members.get(index).and_then(|m| m.weight);
            return ints(ctx, &[i64::from(index), weight.map_or(-1, |weight| weight as i64)]);
        }
        b"DOUBTS" => {
            let doubts = relay.members.get(index()?).map_or(0, |m| m.doubts);
            return ctx.int(doubts as i64);
        }
        b"REPORTED" => {
            // A doubt that came up while it reported is not settled by it.
            let doubts = wire::number(args, 3)?;
            relay.members.update(index()?, |m| (m.reported, m.audited) = (true, m.doubts == doubts))
        }
        b"DOUBT" => relay.members.update(index()?, |m| (m.audited, m.doubts) = (false, m.doubts + 1)),
        b"STATE" => {
            let state = if args.is(3, "up") { State::Up } else { State::Away };
            relay.members.update(index()?, |m| {
                if m.state != State::Lost {
                    m.state = state;
                }
            })
        }
        b"WEIGHT" => {
            let weight = wire::number(args, 3)?.min(i64::MAX as u64);
            relay.members.update(index()?, |m| m.weight = Some(weight))
        }
        b"LEAVE" => return leave(ctx, args),
        b"LIST" => return list(ctx),
        _ => return Err(Refusal::syntax().into()),
    };
    relay.members_changed();
    if done { ctx.ok() } else { Err(Refusal::err("no member has that index").into()) }
}

/// Gives up what a relief held with an earlier life, or where nothing is left of that the relief itself. Answers how many sessions that were
/// and whether the relief left.
///
/// Readers of what is lost are told to give it up. The node that has the name now must not go with it: what it holds
/// is not lost, and nobody said that it shall be.
fn leave(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let relay = ctx.node.owner()?;
    let name = wire::text(args, 2)?;
    let mut members = relay.members.list();
    members.retain(|m| m.name == name);
    if members.is_empty() {
        return Err(Refusal::err(format!("no relief is named '{name}'; GS.SHARD NODES lists them")).into());
    }
    let counts = relay.directory.count_by_node();
    let held_by =
        |indexes: &[u16]| -> u64 { counts.iter().filter(|(n, _)| indexes.contains(n)).map(|(_, n)| n).sum() };
    let (dead, living): (Vec<Member>, Vec<Member>) =
        members.into_iter().partition(|m| m.state == State::Lost);
    let indexes = |members: &[Member]| -> Vec<u16> { members.iter().map(|m| m.index).collect() };
    let leaves = held_by(&indexes(&dead)) == 0;
    // A life that nothing is left of stands in nobody's way, and force that was meant for it is not for the next.
    let force = args.is(3, "FORCE") && (dead.is_empty() || !leaves);
    if leaves && !dead.is_empty() {
        give_up(ctx.node, relay, &indexes(&dead));
    }
    let members = if leaves { living } else { dead };
    let indexes = indexes(&members);
    if !force {
        if leaves && members.iter().any(|m| !m.audited) {
            let text = format!(
                "it is not known what relief '{name}' holds; GS.SHARD LEAVE {name} FORCE gives it up"
            );
            return Err(Refusal::err(text).into());
        }
        let held = held_by(&indexes);
        if held > 0 {
            let has = if leaves { "holds" } else { "came back without" };
            let text =
                format!("relief '{name}' {has} {held} sessions; GS.SHARD LEAVE {name} FORCE gives them up");
            return Err(Refusal::err(text).into());
        }
    }
    let given_up = give_up(ctx.node, relay, &indexes);
    if leaves {
        // Those of an earlier life were counted when it came back without them.
        ctx.node.metrics.lost.add(given_up);
    }
    ints(ctx, &[given_up as i64, i64::from(leaves)])
}

/// Forgets members with all they hold. How many sessions had no other copy.
fn give_up(node: &Node, relay: &Relay, indexes: &[u16]) -> u64 {
    relay.members.remove(indexes);
    let mut given_up = 0;
    for index in indexes {
        given_up += relay.directory.forget_node(*index);
        for order in relay.outbox.forget(*index) {
            relay.tombs.acknowledged(&order.id);
        }
    }
    relay.members_changed();
    if given_up > 0 {
        // Which ones is not known by name.
        node.emptied(None);
    }
    given_up
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

pub(super) fn hello(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let node = ctx.node.clone();
    let relay = node.owner()?;
    let addr = wire::text(args, 2)?;
    relay.members.doubt_all();
    relay.members_changed();
    *relay.sibling_addr.write() = Some(addr.to_string());
    relay.holder_links.clear();
    *relay.sibling.write() = Some(node.links.open(addr));
    relay.outbox.wake();
    tracing::info!(addr, pid = wire::number(args, 3)?, "the sibling is here");
    let life = node.run_id.clone();
    ctx.reply().bulk_str(&life);
    Ok(Reply::Done)
}
