//! `GS.TIER`: what this node is and how it is doing.

use crate::commands::{Command, Ctx, Outcome, Reply};
use crate::core::node::{DATABASES, Node, Part};
use gs_resp::{AclCategories, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[Command {
    spec: Spec {
        name: "gs.tier",
        parent: None,
        since: "0.1.0",
        group: Group::Gs,
        arity: Arity(-1),
        flags: Flags::ADMIN.or(Flags::NO_MULTI),
        roles: Roles::EVERY,
        keys: Keys::None,
        args: &[Arg::string("node").optional()],
        complexity: "O(N) with N the number of peers",
        summary: "Role, paths, occupancy, hits, pressure and peers of this node.",
        acl: AclCategories::ADMIN.or(AclCategories::DANGEROUS),
        reply_doc: "A map.",
    },
    run: tier,
}];

/// A peer as this node sees it: name, what it is, where, how it is.
fn peers(node: &Node) -> Vec<[String; 4]> {
    let state = |up: bool| if up { "up" } else { "away" }.to_string();
    match &node.part {
        Part::Relay(relay) => {
            let mut list: Vec<_> = relay
                .members
                .list()
                .into_iter()
                .map(|m| [m.name, m.tier.word().to_string(), m.addr, m.state.word().to_string()])
                .collect();
            if let Some(link) = relay.downstream() {
                list.push(["sibling".into(), "sibling".into(), link.addr().into(), state(link.is_up())]);
            }
            list
        }
        Part::Sibling(sibling) => {
            let relay =
                ["relay".into(), "relay".into(), sibling.relay.addr().into(), state(sibling.relay.is_up())];
            let placement = sibling.placement.read();
            let reliefs = placement
                .peers
                .iter()
                .map(|p| [p.name.clone(), p.tier.word().to_string(), p.addr.clone(), state(p.is_up())]);
            std::iter::once(relay).chain(reliefs).collect()
        }
        Part::Relief(relief) => {
            let up = relief.sibling.read().as_ref().is_some_and(|link| link.is_up());
            vec![["sibling".into(), "sibling".into(), relief.sibling_addr.clone(), state(up)]]
        }
    }
}

fn tier(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let node = ctx.node.clone();
    if args.len() > 2 {
        return Err(Refusal::wrong_arity("gs.tier").into());
    }
    if let Some(name) = args.get(1).filter(|name| *name != node.name.as_bytes()) {
        let name = String::from_utf8_lossy(name).into_owned();
        let found = peers(&node).into_iter().find(|peer| peer[0] == name);
        let text = match found {
            Some(peer) => format!("this is node '{}'; ask '{name}' itself at {}", node.name, peer[2]),
            None => format!("this is node '{}' and it knows no '{name}'", node.name),
        };
        return Err(Refusal::err(text).into());
    }
    let stats = node.cache.section().stats();
    let here: u64 = (0..DATABASES).map(|db| node.cache.section().live_count(db)).sum();
    let below = node.relay().map_or(0, |relay| (0..DATABASES).map(|db| relay.directory.live(db)).sum());
    let (used, total) = ((stats.blocks - stats.free_blocks.min(stats.blocks)), stats.blocks.max(1));
    let (hits, misses) = (node.metrics.hits.get(), node.metrics.misses.get());
    let paths: Vec<String> = node.paths.iter().map(|path| path.name.clone()).collect();
    let peers = peers(&node);
    let pressure = node.cache.pressure();
    let mut w = ctx.reply();
    w.map(15);
    for (label, text) in
        [("node", node.name.as_str()), ("role", node.role.word()), ("run_id", node.run_id.as_str())]
    {
        w.bulk_str(label);
        w.bulk_str(text);
    }
    w.bulk_str("paths");
    w.array(paths.len());
    paths.iter().for_each(|path| w.bulk_str(path));
    let figures = [
        ("sessions", here),
        ("sessions_below", below),
        ("blocks_used", used),
        ("blocks_total", total),
        ("occupancy_pct", used * 100 / total),
        ("pressure", u64::from(pressure)),
        ("hits", hits),
        ("misses", misses),
        ("hits_expansion", node.metrics.hits_expansion.get()),
        ("hits_aging", node.metrics.hits_aging.get()),
    ];
    for (label, value) in figures {
        w.bulk_str(label);
        w.uint(value);
    }
    w.bulk_str("peers");
    w.array(peers.len());
    for [name, tier, addr, state] in peers {
        w.map(4);
        for (label, text) in [("name", name), ("tier", tier), ("address", addr), ("state", state)] {
            w.bulk_str(label);
            w.bulk_str(&text);
        }
    }
    Ok(Reply::Done)
}
