//! What a sibling answers: reliefs tell it what they hand over and what they lost, its relay asks for second
//! copies and for room. `GS.DROPPED` it passes on; what the relay does with it is here too.

use crate::commands::{Answer, Ctx, Outcome};
use crate::roles::sibling;
use crate::roles::wire::{self, Parcel, ParcelRef};
use gs_resp::{Args, Refusal, Writer};

pub(super) fn handoff(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
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

pub(super) fn dropped(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if let Some(sibling) = ctx.node.sibling() {
        let name = wire::text(args, 1)?;
        let index = sibling.placement.read().peers.iter().find(|p| p.name == name).map(|p| p.index);
        let index = index.ok_or_else(|| Refusal::err("not joined"))?.to_string();
        let mut all: Vec<&[u8]> = vec![b"GS.DROPPED", index.as_bytes()];
        all.extend(args.skip(2).iter());
        let link = sibling.relay.clone();
        return ctx.pass_on(link, &all, "the relay does not answer; try again later");
    }
    let relay = ctx.node.owner()?;
    let index = wire::number(args, 1)? as u16;
    for item in wire::items(args, 2, wire::DROPPED_WORDS)? {
        let (db, key, copy) = (wire::database(item, 0)?, wire::word(item, 1)?, wire::number(item, 3)?);
        let id = ctx.node.id(db, key);
        let _lock = ctx.node.stripes.lock(&id);
        let readable = relay.directory.is_below(&id);
        let was = relay.directory.remove(&id, db, index, copy);
        if !was {
            // Word that it was stored may still be on its way, and must not list what is gone.
            relay.condemned.lock().insert((index, copy), ctx.node.clock.unix_ms());
        }
        // Where it was the one to be read, and no other copy is, the key itself is gone.
        let here = || ctx.node.cache.section().peek(&id, key, ctx.node.now_ms()).is_some();
        let below = relay.directory.is_below(&id);
        if was && below && !here() {
            relay.directory.count_second(&id, db);
        }
        if was && readable && !below && !here() {
            if item.is(4, "evicted") {
                ctx.node.metrics.lost.add(1);
                ctx.node.evicted(db, key, &id);
            } else {
                ctx.node.expired(db, key, &id);
            }
        }
    }
    ctx.ok()
}

pub(super) fn copy(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
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

pub(super) fn relieve(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
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
