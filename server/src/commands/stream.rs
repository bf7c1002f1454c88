//! `GS.STREAM` and `GS.RENEW`: how a front end's agent follows the relay and keeps its lease.

use crate::commands::conn::Follow;
use crate::commands::{Command, Ctx, Outcome, Reply};
use crate::core::node::Agent;
use crate::roles::wire;
use gs_resp::{AclCategories, Arg, Args, Arity, Flags, Group, Keys, Protocol, Refusal, Roles, Spec};
use std::sync::Arc;
use std::sync::atomic::Ordering;

const fn row(
    name: &'static str,
    arity: i16,
    args: &'static [Arg],
    summary: &'static str,
    reply_doc: &'static str,
) -> Spec {
    Spec {
        name,
        parent: None,
        since: "0.1.0",
        group: Group::Gs,
        arity: Arity(arity),
        flags: Flags::PEER.or(Flags::NO_MULTI).or(Flags::NOSCRIPT).or(Flags::FAST),
        roles: Roles::RELAY,
        keys: Keys::None,
        args,
        complexity: "O(1)",
        summary,
        acl: AclCategories::PUBSUB.or(AclCategories::DANGEROUS),
        reply_doc,
    }
}

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: row(
            "gs.stream",
            3,
            &[Arg::integer("from-seq"), Arg::integer("relay-uuid")],
            "Follows the ordered stream of changes; needs RESP3.",
            "The relay's identity, the next event's number, 1 if nothing is missing before it, the lease in ms.",
        ),
        run: stream,
    },
    Command {
        spec: row(
            "gs.renew",
            2,
            &[Arg::integer("applied-seq")],
            "An agent says what it has applied and renews its lease.",
            "The number of the newest event; it comes behind all events before it.",
        ),
        run: renew,
    },
];

fn stream(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if ctx.conn.proto != Protocol::Resp3 {
        return Err(Refusal::err("GS.STREAM needs RESP3: send HELLO 3 first").into());
    }
    if ctx.conn.follow.is_some() {
        return Err(Refusal::err("this connection follows the stream already").into());
    }
    let node = ctx.node.clone();
    let relay = node.owner()?;
    let (from, uuid) = (wire::number(args, 1)?, wire::number(args, 2)?);
    relay.stream.enable();
    let continues = relay.stream.reaches_back_to(uuid, from);
    let next = if continues { from } else { relay.stream.last() + 1 };
    let agent = Arc::new(Agent::default());
    agent.heard_ms.store(node.now_ms(), Ordering::Release);
    agent.connected.store(true, Ordering::Release);
    agent.applied.store(next.saturating_sub(1), Ordering::Release);
    relay.agents.insert(ctx.conn.info.id, agent.clone());
    ctx.conn.follow = Some(Follow { next, agent });
    let (uuid, lease_ms) = (relay.stream.uuid(), node.settings.lease.as_millis() as u64);
    let mut w = ctx.reply();
    w.array(4);
    w.uint(uuid);
    w.uint(next);
    w.int(i64::from(continues));
    w.uint(lease_ms);
    Ok(Reply::Done)
}

fn renew(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let node = ctx.node.clone();
    let relay = node.owner()?;
    let applied = wire::number(args, 1)?;
    let Some(follow) = &ctx.conn.follow else {
        return Err(Refusal::err("this connection does not follow the stream: send GS.STREAM first").into());
    };
    follow.agent.heard_ms.store(node.now_ms(), Ordering::Release);
    // Nobody can have applied what was not sent.
    follow.agent.applied.fetch_max(applied.min(follow.next.saturating_sub(1)), Ordering::AcqRel);
    let seq = follow.next.saturating_sub(1);
    relay.agents_moved.notify_waiters();
    ctx.int(seq as i64)
}
