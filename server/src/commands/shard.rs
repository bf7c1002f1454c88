//! `GS.SHARD`: who owns which slot, and how reliefs come and go.

mod change;

use crate::commands::{Answer, Command, Ctx, Outcome, Reply, SIBLING_AWAY, Stop};
use crate::core::members::Tier;
use crate::core::node::Node;
use gs_client::link::Link;
use gs_resp::{
    AclCategories, Arg, Args, Arity, Code, Flags, Group, Keys, Refusal, Reply as Peer, Roles, Spec, Writer,
    slot_of,
};
use std::sync::Arc;
use std::sync::atomic::Ordering;

const fn row(
    name: &'static str,
    arity: i16,
    roles: Roles,
    args: &'static [Arg],
    summary: &'static str,
    reply_doc: &'static str,
) -> Spec {
    Spec {
        name,
        parent: Some("gs.shard"),
        since: "0.1.0",
        group: Group::Gs,
        arity: Arity(arity),
        flags: Flags::ADMIN.or(Flags::NO_MULTI),
        roles,
        keys: Keys::None,
        args,
        complexity: "O(N) with N the number of relief nodes",
        summary,
        acl: AclCategories::ADMIN.or(AclCategories::DANGEROUS),
        reply_doc,
    }
}

const NAME: Arg = Arg::string("node");

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            parent: None,
            ..row(
                "gs.shard",
                -2,
                Roles::RELAY.or(Roles::SIBLING),
                &[],
                "Slots and the relief nodes that own them.",
                "",
            )
        },
        run: container,
    },
    Command {
        spec: row(
            "slots",
            2,
            Roles::RELAY.or(Roles::SIBLING),
            &[],
            "Ranges of slots and their owners, for each tier.",
            "An array of: tier, first slot, last slot, node.",
        ),
        run: slots,
    },
    Command {
        spec: row(
            "nodes",
            2,
            Roles::RELAY.or(Roles::SIBLING),
            &[],
            "The relief nodes, what they hold and own.",
            "A map for each node.",
        ),
        run: nodes,
    },
    Command {
        spec: row(
            "of",
            3,
            Roles::RELAY.or(Roles::SIBLING),
            &[Arg::key("key")],
            "The slot of a key and the nodes that own it.",
            "A map: slot, expansion, aging.",
        ),
        run: of,
    },
    Command {
        spec: row(
            "epoch",
            2,
            Roles::RELAY.or(Roles::SIBLING),
            &[],
            "The number of the current assignment; it grows with each change of an owner.",
            "An integer.",
        ),
        run: epoch,
    },
    Command {
        spec: row(
            "assign",
            -2,
            Roles::RELAY.or(Roles::SIBLING),
            &[Arg::block("share", &[NAME, Arg::integer("weight")]).optional()],
            "Assigns the slots anew; a node's weight may be given, 0 takes all slots from it.",
            "The new epoch.",
        ),
        run: change::assign,
    },
    Command {
        spec: row(
            "drain",
            3,
            Roles::RELAY.or(Roles::SIBLING),
            &[NAME],
            "A node keeps what it holds and gets nothing new, until ASSIGN gives it a weight.",
            "OK.",
        ),
        run: change::drain,
    },
    Command {
        spec: row(
            "leave",
            -3,
            Roles::RELAY.or(Roles::SIBLING),
            &[NAME, Arg::token_only("force", "FORCE").optional()],
            "A node leaves; with FORCE what it still holds is given up and counted as lost. Of a node that came back \
             without its sessions, those are given up first, and it stays if there are any.",
            "How many sessions were given up: those with no other copy.",
        ),
        run: change::leave,
    },
    Command {
        spec: row(
            "join",
            9,
            Roles::SIBLING,
            &[
                NAME,
                Arg::string("role"),
                Arg::string("address"),
                Arg::integer("capacity"),
                Arg::string("incarnation"),
                Arg::integer("tls"),
                Arg::integer("objects"),
            ],
            "A relief joins.",
            "Its index.",
        ),
        run: change::join,
    },
    Command {
        spec: row(
            "beat",
            7,
            Roles::SIBLING,
            &[
                NAME,
                Arg::string("incarnation"),
                Arg::integer("objects"),
                Arg::integer("used"),
                Arg::integer("total"),
            ],
            "A relief is alive.",
            "OK.",
        ),
        run: change::beat,
    },
];

fn container(_: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    Err(Refusal::wrong_arity("gs.shard").into())
}

/// Passes the whole command on to the sibling; none when this is the sibling.
fn passed(ctx: &mut Ctx<'_>, args: Args<'_>) -> Option<Outcome> {
    let link = link_for(ctx.node)?;
    Some(link.and_then(|link| ctx.pass_on(link, &args.iter().collect::<Vec<_>>(), SIBLING_AWAY)))
}

/// As [`passed`], where maps come back.
fn passed_map(ctx: &mut Ctx<'_>, args: Args<'_>) -> Option<Outcome> {
    let link = link_for(ctx.node)?;
    Some(link.and_then(|link| ctx.pass_on_map(link, &args.iter().collect::<Vec<_>>(), SIBLING_AWAY)))
}

/// The link of a relay to its sibling, if it is there.
fn link_for(node: &Node) -> Option<Result<Link, Stop>> {
    let relay = node.relay()?;
    Some(relay.downstream().ok_or_else(|| Refusal::new(Code::Unavailable, SIBLING_AWAY).into()))
}

fn slots(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if let Some(outcome) = passed(ctx, args) {
        return outcome;
    }
    let node = ctx.node.clone();
    let Some(sibling) = node.sibling() else {
        return Err(Refusal::syntax().into());
    };
    let placement = sibling.placement.read();
    let tiers = [Tier::Expansion, Tier::Aging].map(|tier| (tier, placement.ranges(tier)));
    let mut w = ctx.reply();
    w.array(tiers.iter().map(|(_, ranges)| ranges.len()).sum());
    for (tier, ranges) in tiers {
        for (first, last, owner) in ranges {
            w.array(4);
            w.bulk_str(tier.word());
            w.uint(u64::from(first));
            w.uint(u64::from(last));
            w.bulk_str(placement.peer(owner).map_or("?", |peer| peer.name.as_str()));
        }
    }
    Ok(Reply::Done)
}

fn nodes(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if let Some(outcome) = passed_map(ctx, args) {
        return outcome;
    }
    let node: Arc<Node> = ctx.node.clone();
    ctx.later(async move {
        let Some(sibling) = node.sibling() else {
            return Err(Refusal::syntax());
        };
        let away = || Refusal::new(Code::Unavailable, "the relay does not answer; try again later");
        let known = sibling.relay.call(&[b"GS.MEMBER", b"LIST"]).await.map_err(|_| away())?;
        let known = known.as_array().ok_or_else(away)?.to_vec();
        Ok(Box::new(move |w: &mut Writer<'_>| write_nodes(w, &node, &known)) as Answer)
    })
}

fn write_nodes(w: &mut Writer<'_>, node: &Node, known: &[Peer]) {
    let Some(sibling) = node.sibling() else { return };
    let placement = sibling.placement.read();
    let rows: Vec<&[Peer]> = known.iter().filter_map(Peer::as_array).collect();
    w.array(rows.len());
    for row in rows {
        let [index, name, tier, addr, state, sessions] = row else {
            w.null();
            continue;
        };
        let peer = index.as_int().and_then(|index| placement.peer(index as u16));
        w.map(11);
        for (label, value) in [("name", name), ("tier", tier), ("address", addr), ("state", state)] {
            w.bulk_str(label);
            w.bulk(value.as_bytes().unwrap_or_default());
        }
        let slots = peer.map_or(0, |peer| {
            let ranges = placement.ranges(peer.tier);
            ranges.iter().filter(|r| r.2 == peer.index).map(|r| u64::from(r.1 - r.0) + 1).sum()
        });
        let figures = [
            ("index", index.as_u64().unwrap_or(0)),
            ("sessions", sessions.as_u64().unwrap_or(0)),
            ("slots", slots),
            ("capacity", peer.map_or(0, |p| p.capacity)),
            ("objects", peer.map_or(0, |p| p.objects.load(Ordering::Relaxed))),
            ("blocks_used", peer.map_or(0, |p| p.used.load(Ordering::Relaxed))),
            ("blocks_total", peer.map_or(0, |p| p.total.load(Ordering::Relaxed))),
        ];
        for (label, value) in figures {
            w.bulk_str(label);
            w.uint(value);
        }
    }
}

fn of(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if let Some(outcome) = passed_map(ctx, args) {
        return outcome;
    }
    let node = ctx.node.clone();
    let Some(sibling) = node.sibling() else {
        return Err(Refusal::syntax().into());
    };
    let slot = slot_of(args.at(2));
    let placement = sibling.placement.read();
    let mut w = ctx.reply();
    w.map(3);
    w.bulk_str("slot");
    w.uint(u64::from(slot));
    for tier in [Tier::Expansion, Tier::Aging] {
        w.bulk_str(tier.word());
        match placement.owner(tier, slot) {
            Some(peer) => w.bulk_str(&peer.name),
            None => w.null(),
        }
    }
    Ok(Reply::Done)
}

fn epoch(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if let Some(outcome) = passed(ctx, args) {
        return outcome;
    }
    let epoch = ctx.node.sibling().map_or(0, |sibling| sibling.placement.read().epoch);
    ctx.int(epoch as i64)
}
