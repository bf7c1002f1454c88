//! `GS.AGE`: what is old here, demote now, the schedule.

use crate::commands::{Command, Ctx, Outcome, Reply, SIBLING_AWAY};
use crate::core::node::{Node, NodeRole};
use crate::roles::wire;
use gs_client::cache::Meta;
use gs_policies::params::Params;
use gs_resp::{AclCategories, Arg, Args, Arity, Code, Flags, Group, Keys, Refusal, Roles, Spec};
use parking_lot::RwLock;
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
        parent: Some("gs.age"),
        since: "0.1.0",
        group: Group::Gs,
        arity: Arity(arity),
        flags: Flags::ADMIN.or(Flags::NO_MULTI),
        roles: Roles::EVERY,
        keys: Keys::None,
        args,
        complexity: "O(N) with N the number of sessions on this node",
        summary,
        acl: AclCategories::ADMIN.or(AclCategories::DANGEROUS),
        reply_doc,
    }
}

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec { parent: None, ..row("gs.age", -2, &[], "Aging of the sessions on this node.", "") },
        run: container,
    },
    Command {
        spec: row("info", 2, &[], "How old the sessions on this node are, and how many aged out.", "A map."),
        run: info,
    },
    Command {
        spec: row(
            "histogram",
            2,
            &[],
            "Sessions by age: how many are younger than each bound.",
            "A map of bound and count.",
        ),
        run: histogram,
    },
    Command {
        spec: row(
            "run",
            -2,
            &[Arg::integer("count").optional()],
            "Demotes sessions now, the coldest first.",
            "How many were asked for.",
        ),
        run,
    },
    Command {
        spec: row(
            "policy",
            -2,
            &[Arg::string("name").optional(), Arg::integer("value").optional()],
            "Shows or changes the schedule of this node.",
            "A map of names and values, or OK.",
        ),
        run: policy,
    },
];

fn container(_: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    Err(Refusal::wrong_arity("gs.age").into())
}

/// The schedule of this node; a relay's is its sibling's.
fn params(node: &Node) -> Option<&RwLock<Params>> {
    node.sibling().map(|s| &s.params).or_else(|| node.relief().map(|r| &r.params))
}

fn each(node: &Node, f: &mut dyn FnMut(&Meta)) {
    let (mut at, now_ms) = (Some(0), node.now_ms());
    while let Some(from) = at {
        at = node.cache.section().scan_buckets(from, 4_096, now_ms, &mut |meta, _| f(meta));
    }
}

fn info(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let node = ctx.node.clone();
    let now_ms = node.now_ms();
    let aged_after = params(&node).map_or(0, |params| params.read().age().aged_after_ms);
    let (mut objects, mut aged, mut oldest, mut sum, mut dying) = (0u64, 0u64, 0u64, 0u64, u64::MAX);
    each(&node, &mut |meta| {
        let age = now_ms.saturating_sub(meta.created_ms);
        objects += 1;
        aged += u64::from(aged_after > 0 && age >= aged_after);
        oldest = oldest.max(age);
        sum += age / 1_000;
        if meta.deadline_ms != 0 {
            dying = dying.min(meta.deadline_ms.saturating_sub(now_ms));
        }
    });
    let stats = node.cache.section().stats();
    let mut w = ctx.reply();
    w.map(9);
    w.bulk_str("node");
    w.bulk_str(&node.name);
    w.bulk_str("role");
    w.bulk_str(node.role.word());
    let figures = [
        ("sessions", objects),
        ("aged", aged),
        ("aged_after_ms", aged_after),
        ("oldest_ms", oldest),
        ("mean_ms", (sum * 1_000).checked_div(objects).unwrap_or(0)),
        ("least_remaining_ms", if dying == u64::MAX { 0 } else { dying }),
        ("occupancy_pct", (stats.blocks - stats.free_blocks.min(stats.blocks)) * 100 / stats.blocks.max(1)),
    ];
    for (label, value) in figures {
        w.bulk_str(label);
        w.uint(value);
    }
    Ok(Reply::Done)
}

/// Bounds of the histogram: label and milliseconds.
const BOUNDS: [(&str, u64); 8] = [
    ("1s", 1_000),
    ("10s", 10_000),
    ("1m", 60_000),
    ("10m", 600_000),
    ("1h", 3_600_000),
    ("6h", 21_600_000),
    ("1d", 86_400_000),
    ("older", u64::MAX),
];

fn histogram(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let node = ctx.node.clone();
    let (now_ms, mut counts) = (node.now_ms(), [0u64; BOUNDS.len()]);
    each(&node, &mut |meta| {
        let age = now_ms.saturating_sub(meta.created_ms);
        let at = BOUNDS.iter().position(|(_, bound)| age < *bound).unwrap_or(BOUNDS.len() - 1);
        counts[at] += 1;
    });
    let mut w = ctx.reply();
    w.map(BOUNDS.len());
    for ((label, _), count) in BOUNDS.iter().zip(counts) {
        w.bulk_str(label);
        w.uint(count);
    }
    Ok(Reply::Done)
}

fn run(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let count = if args.len() > 2 { wire::number(args, 2)? } else { 1_000 };
    let node = ctx.node.clone();
    if let Some(relay) = node.relay() {
        let link = relay.downstream().ok_or_else(|| Refusal::new(Code::Unavailable, SIBLING_AWAY))?;
        return ctx.pass_on(link, &[b"GS.AGE", b"RUN", count.to_string().as_bytes()], SIBLING_AWAY);
    }
    if let Some(sibling) = node.sibling() {
        sibling.asked.fetch_add(count, Ordering::AcqRel);
        sibling.wake.notify_one();
    } else if let Some(relief) = node.relief().filter(|_| node.role == NodeRole::Expansion) {
        relief.asked.fetch_add(count, Ordering::AcqRel);
    } else {
        return Err(
            Refusal::err("an aging node is the last stop: there is nothing below to demote to").into()
        );
    }
    ctx.int(count as i64)
}

fn policy(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let node = ctx.node.clone();
    if let Some(relay) = node.relay() {
        let link = relay.downstream().ok_or_else(|| Refusal::new(Code::Unavailable, SIBLING_AWAY))?;
        return ctx.pass_on_map(link, &args.iter().collect::<Vec<_>>(), SIBLING_AWAY);
    }
    let Some(params) = params(&node) else {
        return Err(Refusal::syntax().into());
    };
    match args.len() {
        2 | 3 => {
            let wanted = if args.len() == 3 { Some(wire::text(args, 2)?) } else { None };
            let params = params.read();
            let list: Vec<_> = params
                .iter()
                .filter(|(name, _)| wanted.is_none_or(|w| w.eq_ignore_ascii_case(name)))
                .collect();
            if list.is_empty() {
                let names: Vec<_> = params.iter().map(|(name, _)| name).collect();
                return Err(
                    Refusal::err(format!("no such parameter; there are: {}", names.join(", "))).into()
                );
            }
            let mut w = ctx.reply();
            w.map(list.len());
            for (name, value) in list {
                w.bulk_str(name);
                w.uint(value);
            }
            Ok(Reply::Done)
        }
        4 => {
            let (name, value) = (wire::text(args, 2)?, wire::number(args, 3)?);
            params.write().set(name, value).map_err(|e| Refusal::err(e.to_string()))?;
            ctx.ok()
        }
        _ => Err(Refusal::wrong_arity("gs.age|policy").into()),
    }
}
