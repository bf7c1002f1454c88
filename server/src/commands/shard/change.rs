//! What changes who owns the slots: another weight, a relief that drains, leaves, joins or is alive.

use crate::commands::shard::passed;
use crate::commands::{Answer, Ctx, Outcome};
use crate::core::members::Tier;
use crate::roles::{sibling, wire};
use gs_resp::{Args, Code, Refusal, Writer};
use std::sync::atomic::Ordering;

pub(super) fn assign(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if let Some(outcome) = passed(ctx, args) {
        return outcome;
    }
    let (name, weight) = match args.len() {
        2 => {
            let epoch = sibling::assign(ctx.node);
            return ctx.int(epoch as i64);
        }
        4 => (wire::text(args, 2)?.to_owned(), wire::number(args, 3)?),
        _ => return Err(Refusal::wrong_arity("gs.shard|assign").into()),
    };
    if i64::try_from(weight).is_err() {
        return Err(Refusal::not_integer().into());
    }
    let node = ctx.node.clone();
    ctx.later(async move {
        let epoch = sibling::weigh(&node, &name, weight).await?;
        Ok(Box::new(move |w: &mut Writer<'_>| w.uint(epoch)) as Answer)
    })
}

pub(super) fn drain(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if let Some(outcome) = passed(ctx, args) {
        return outcome;
    }
    let (node, name) = (ctx.node.clone(), wire::text(args, 2)?.to_owned());
    ctx.later(async move {
        sibling::weigh(&node, &name, 0).await?;
        Ok(Box::new(|w: &mut Writer<'_>| w.simple("OK")) as Answer)
    })
}

pub(super) fn leave(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if let Some(outcome) = passed(ctx, args) {
        return outcome;
    }
    let name = wire::text(args, 2)?.to_string();
    let force = match args.get(3) {
        None => false,
        Some(word) if word.eq_ignore_ascii_case(b"FORCE") && args.len() == 4 => true,
        Some(_) => return Err(Refusal::syntax().into()),
    };
    let node = ctx.node.clone();
    ctx.later(async move {
        let Some(sibling) = node.sibling() else {
            return Err(Refusal::syntax());
        };
        let mut call: Vec<&[u8]> = vec![b"GS.MEMBER", b"LEAVE", name.as_bytes()];
        if force {
            call.push(b"FORCE");
        }
        let away = |_| Refusal::new(Code::Unavailable, "the relay does not answer; try again later");
        let reply = sibling.relay.call(&call).await.map_err(away)?;
        if let Some(text) = reply.error() {
            return Err(wire::refusal(text));
        }
        let Some(&[given_up, left]) = wire::integers(&reply).as_deref().and_then(<[i64]>::as_array) else {
            return Err(Refusal::err("the relay's answer was not understood"));
        };
        if left == 1 {
            sibling::leave(&node, &name);
        }
        Ok(Box::new(move |w: &mut Writer<'_>| w.int(given_up)) as Answer)
    })
}

pub(super) fn join(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let name = wire::text(args, 2)?.to_string();
    let tier = args
        .get(3)
        .and_then(Tier::parse)
        .ok_or_else(|| Refusal::err("a relief's role is relief-expansion or relief-aging"))?;
    let (addr, incarnation) = (wire::text(args, 4)?.to_string(), wire::text(args, 6)?.to_string());
    let (capacity, objects) = (wire::number(args, 5)?, wire::number(args, 8)?);
    // A relief that listens on all addresses is reached where it comes from.
    let addr = match addr.rsplit_once(':') {
        Some(("0.0.0.0" | "[::]" | "", port)) => {
            std::net::SocketAddr::new(ctx.conn.info.addr.ip(), port.parse().unwrap_or(0)).to_string()
        }
        _ => addr,
    };
    let node = ctx.node.clone();
    ctx.later(async move {
        let index = sibling::join(node, name, tier, addr, capacity, objects, incarnation).await?;
        Ok(Box::new(move |w: &mut Writer<'_>| w.uint(u64::from(index))) as Answer)
    })
}

pub(super) fn beat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let node = ctx.node.clone();
    let (name, incarnation) = (wire::text(args, 2)?, wire::text(args, 3)?);
    let figures = [wire::number(args, 4)?, wire::number(args, 5)?, wire::number(args, 6)?];
    let Some(sibling) = node.sibling() else {
        return Err(Refusal::syntax().into());
    };
    let placement = sibling.placement.read();
    let Some(peer) = placement.peers.iter().find(|p| p.name == name && p.incarnation == incarnation) else {
        return Err(Refusal::err("not joined: send GS.SHARD JOIN first").into());
    };
    peer.heard_ms.store(node.now_ms(), Ordering::Release);
    for (slot, figure) in [&peer.objects, &peer.used, &peer.total].into_iter().zip(figures) {
        slot.store(figure, Ordering::Relaxed);
    }
    drop(placement);
    ctx.ok()
}
