//! The demoter: it keeps room free ahead of demand by handing records over, and never lets one go before the
//! receiver acknowledged it.
//!
//! On the sibling it empties the relay's section towards the reliefs; on an expansion node it passes on what
//! has aged. Both mark a record EVICTING (it stays readable), copy it, send it, and free exactly that
//! incarnation on acknowledgement; whatever else happens, the record becomes LIVE again or was destroyed.

mod back;
mod by_hand;
mod expansion;

pub use back::hand_back;
pub use expansion::pass_on;

use crate::core::members::Tier;
use crate::core::node::Node;
use crate::roles::pause;
use crate::roles::relief::parcel;
use crate::roles::sibling::{Peer, Sibling, Turn};
use crate::roles::wire::{self, Parcel};
use gs_client::cache::{BlockRef, Verdict, Victim, View};
use gs_policies::age::{Reach, Route, route};
use gs_policies::evict::{Verdict as Judged, View as Judge};
use gs_policies::params::Params;
use gs_policies::pressure;
use gs_resp::{encode_arg, encode_arg_i64, encode_arg_u64, slot_of};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Semaphore;

/// The relay's answer for a record that stays while its copy, stored there before, stays too.
const STAYS_LISTED: i64 = 3;
/// Batches on their way at once.
const IN_FLIGHT: usize = 4;
/// Blocks the hand looks at in one step.
const PROBES: u32 = 8_192;
/// How often records marked by a process that died are looked for.
const ADOPT_EVERY_MS: u64 = 1_000;
/// How soon room is looked for again while there is pressure.
const PRESSED: Duration = Duration::from_millis(1);

/// A record on its way: its place here and its parcel.
struct Load {
    at: BlockRef,
    parcel: Parcel,
}

fn judge(view: &View, pressure: u8) -> Judge {
    Judge {
        refs: view.refs,
        age_ms: view.age_ms,
        idle_ms: view.idle_ms,
        remaining_ms: view.remaining_ms,
        bytes: view.bytes as u32,
        pressure,
    }
}

fn verdict(judged: Judged) -> Verdict {
    match judged {
        Judged::Keep => Verdict::Keep,
        Judged::Demerit => Verdict::Demerit,
        Judged::Take => Verdict::Take,
    }
}

/// The sibling's side: keep the relay's section from filling up.
pub async fn hand_over(node: Arc<Node>) {
    let permits = Arc::new(Semaphore::new(IN_FLIGHT));
    let (mut freeing, mut order) = (false, by_hand::ByHand::default());
    let mut aged_at_ms = node.now_ms();
    let mut adopt_at_ms = 0;
    loop {
        let Some(sibling) = node.sibling() else { return };
        let params = *sibling.params.read();
        let stats = node.cache.section().stats();
        let (free, total) = (node.cache.section().free_blocks(), stats.blocks);
        let demand = pressure::demand(free, total, freeing, &params.pressure());
        freeing = demand.freeing;
        let reach = sibling.reach();
        let mut victims = Vec::new();
        if reach.expansion || reach.aging {
            let batch = params.batch() as usize;
            // What a dead predecessor had marked goes first. Only while nothing of our own is on its way: our
            // marks count as left behind too.
            let now_ms = node.now_ms();
            if permits.available_permits() == IN_FLIGHT && now_ms >= adopt_at_ms {
                node.cache.section().adopt_evicting(&mut victims, batch);
                // As long as some are found there may be more.
                adopt_at_ms = if victims.is_empty() { now_ms + ADOPT_EVERY_MS } else { now_ms };
            }
            for (db, key) in std::mem::take(&mut *sibling.crowded.lock()) {
                let id = node.id(db, &key);
                node.cache.section().bucket_victims(&id, node.now_ms(), &mut victims);
            }
            if demand.blocks > 0 {
                let room = batch.saturating_sub(victims.len());
                node.cache.section().sweep_coldest(PROBES, room, node.now_ms(), &mut victims);
            }
            order.step(&node, &sibling.asked, batch, &mut victims);
            let now_ms = node.now_ms();
            if victims.is_empty() && now_ms.saturating_sub(aged_at_ms) >= params.interval_ms() {
                aged_at_ms = now_ms;
                old(&node, &params, &mut victims);
            }
        }
        let idle = victims.is_empty();
        if !idle {
            send(&node, &permits, victims, &params, reach).await;
        }
        let wait = if demand.blocks > 0 && !idle {
            None
        } else {
            let ordered = (reach.expansion || reach.aging) && sibling.asked.load(Ordering::Acquire) > 0;
            Some(if freeing || ordered { PRESSED } else { Duration::from_millis(2) })
        };
        if let Some(wait) = wait {
            let mut stop = node.stopping();
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = sibling.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        } else {
            tokio::task::yield_now().await;
        }
    }
}

/// Marks records that nobody has read for longer than `aged_after`, a few at a time, without pressure.
fn old(node: &Node, params: &Params, victims: &mut Vec<Victim>) {
    let aged_after = params.age().aged_after_ms;
    let max = params.batch() as usize;
    let mut taken = 0;
    node.cache.section().sweep(
        unhurried(node, params),
        node.now_ms(),
        &mut |view| {
            if taken < max && view.idle_ms >= aged_after && view.age_ms >= aged_after {
                taken += 1;
                Verdict::Take
            } else {
                Verdict::Keep
            }
        },
        victims,
    );
}

/// Blocks to look at in one step so that the whole section is seen about once a minute: age does not hurry.
fn unhurried(node: &Node, params: &Params) -> u32 {
    let steps = (60_000 / params.interval_ms().max(1)).max(1);
    (u64::from(node.cache.section().geometry().blocks) / steps).clamp(64, u64::from(PROBES)) as u32
}

/// Groups victims by their next node and sends each group on its way.
async fn send(
    node: &Arc<Node>,
    permits: &Arc<Semaphore>,
    victims: Vec<Victim>,
    params: &Params,
    reach: Reach,
) {
    let Some(sibling) = node.sibling() else { return };
    let mut groups: HashMap<u16, (Arc<Peer>, Vec<Load>)> = HashMap::new();
    let (mut key, mut value) = (Vec::new(), Vec::new());
    for victim in victims {
        key.clear();
        value.clear();
        let Some(meta) = node.cache.section().copy_victim(&victim.at, &mut key, &mut value) else {
            continue;
        };
        let load = Load { at: meta.at, parcel: parcel(node, &meta, &key, &value) };
        let tier = match route(load.parcel.age_ms, &params.age(), reach) {
            Some(Route::Expansion) => Tier::Expansion,
            _ => Tier::Aging,
        };
        match sibling.target(tier, slot_of(&key)) {
            Some(peer) => groups.entry(peer.index).or_insert_with(|| (peer, Vec::new())).1.push(load),
            None => {
                node.cache.section().abort(&load.at);
            }
        }
    }
    for (peer, loads) in groups.into_values() {
        // The semaphore is never closed.
        let Ok(permit) = permits.clone().acquire_owned().await else {
            return;
        };
        let node = node.clone();
        tokio::spawn(async move {
            ship(&node, &peer, loads).await;
            drop(permit);
        });
    }
}

/// Sends a group to its node, and frees what the node took once the relay has listed it.
async fn ship(node: &Arc<Node>, peer: &Arc<Peer>, loads: Vec<Load>) {
    let Some(sibling) = node.sibling() else { return };
    let refused = match put(peer, &loads).await {
        Some((copies, turn)) => settle(node, sibling, peer, &loads, &copies, turn).await,
        None => {
            doubt(node, sibling, peer).await;
            loads.iter().collect()
        }
    };
    // A full expansion node: what it refused goes to aging now, rather than waiting here for its room.
    let mut rest: HashMap<u16, (Arc<Peer>, Vec<&Load>)> = HashMap::new();
    for load in refused {
        let aging = (peer.tier == Tier::Expansion)
            .then(|| sibling.placement.read().owner(Tier::Aging, slot_of(&load.parcel.key)).cloned())
            .flatten()
            .filter(|aging| aging.is_up());
        match aging {
            Some(aging) => rest.entry(aging.index).or_insert_with(|| (aging, Vec::new())).1.push(load),
            None => {
                node.cache.section().abort(&load.at);
            }
        }
    }
    for (aging, loads) in rest.into_values() {
        let loads: Vec<Load> = loads.iter().map(|l| Load { at: l.at, parcel: l.parcel.clone() }).collect();
        let refused = match put(&aging, &loads).await {
            Some((copies, turn)) => settle(node, sibling, &aging, &loads, &copies, turn).await,
            None => {
                doubt(node, sibling, &aging).await;
                loads.iter().collect()
            }
        };
        for load in refused {
            node.cache.section().abort(&load.at);
        }
    }
}

async fn put<'p>(peer: &'p Peer, loads: &[Load]) -> Option<(Vec<i64>, Turn<'p>)> {
    let mut out = wire::batch_head("GS.PUT", &[], loads.len(), wire::PUT_WORDS);
    for load in loads {
        load.parcel.encode(&mut out);
    }
    let (reply, turn) = peer.lane.give(&peer.link, out).await?;
    let copies = wire::integers(&reply).filter(|copies| copies.len() == loads.len())?;
    Some((copies, turn))
}

/// Tells the relay what a node took; the relay lists and frees it. Returns what the node did not take.
async fn settle<'l>(
    node: &Node,
    sibling: &Sibling,
    peer: &Peer,
    loads: &'l [Load],
    copies: &[i64],
    turn: Turn<'_>,
) -> Vec<&'l Load> {
    let (taken, refused): (Vec<_>, Vec<_>) = loads.iter().zip(copies).partition(|(_, copy)| **copy > 0);
    let index = peer.index.to_string();
    let mut out = wire::batch_head("GS.MOVED", &[index.as_bytes()], taken.len(), wire::MOVED_WORDS);
    for (load, copy) in &taken {
        encode_arg_u64(&mut out, u64::from(load.parcel.db));
        encode_arg(&mut out, &load.parcel.key);
        encode_arg_u64(&mut out, load.parcel.version);
        encode_arg_i64(&mut out, **copy);
        encode_arg_u64(&mut out, u64::from(load.at.index));
        encode_arg_u64(&mut out, load.at.ctl);
        encode_arg_u64(&mut out, load.at.w4);
    }
    if !taken.is_empty() {
        let answers = turn.tell(&sibling.relay, out).await.as_ref().and_then(wire::integers);
        // Without an answer nothing is known: the relay may have freed them, and then `abort` finds another
        // incarnation and does nothing; or it has not, and they are live again and will be sent again.
        let unheard = answers.is_none();
        let answers = answers.unwrap_or_else(|| vec![2; taken.len()]);
        let counter = match peer.tier {
            Tier::Expansion => &node.metrics.demoted_expansion,
            Tier::Aging => &node.metrics.demoted_aging,
        };
        let (moved, stays): (Vec<_>, Vec<_>) =
            taken.iter().zip(answers).partition(|(_, answer)| *answer == 1);
        counter.add(moved.len() as u64);
        let orphans: Vec<(&Parcel, i64)> = stays
            .iter()
            .filter(|(_, answer)| *answer != STAYS_LISTED)
            .map(|((load, copy), _)| (&load.parcel, **copy))
            .collect();
        // The node holds copies that nobody lists: they go, or are in doubt, before the record is live again.
        if unheard || !withdraw(peer, &orphans).await {
            doubt(node, sibling, peer).await;
        }
        for ((load, _), _) in stays {
            node.cache.section().abort(&load.at);
        }
    }
    refused.into_iter().map(|(load, _)| load).collect()
}

/// Has a node drop copies that nobody lists. True once it did.
pub async fn withdraw(peer: &Peer, orphans: &[(&Parcel, i64)]) -> bool {
    if orphans.is_empty() {
        return true;
    }
    let mut out = wire::batch_head("GS.TOMB", &[], orphans.len(), wire::TOMB_WORDS);
    for (parcel, copy) in orphans {
        encode_arg(&mut out, b"drop");
        encode_arg_u64(&mut out, u64::from(parcel.db));
        encode_arg(&mut out, &parcel.key);
        encode_arg_i64(&mut out, *copy);
    }
    matches!(peer.link.call_encoded(out, 1).await.as_deref(), Ok([reply]) if wire::integers(reply).is_some())
}

/// Tells the relay that a node may hold copies that nobody listed, and has the node report. While the relay
/// cannot be told, the records stay as they are, EVICTING and readable; a relay that is gone takes this
/// process with it, and its next life doubts everyone.
pub async fn doubt(node: &Node, sibling: &Sibling, peer: &Peer) {
    let index = peer.index.to_string();
    let call: [&[u8]; 3] = [b"GS.MEMBER", b"DOUBT", index.as_bytes()];
    while !matches!(sibling.relay.call(&call).await, Ok(reply) if reply.is_ok()) {
        if !pause(node, Duration::from_millis(50)).await {
            return;
        }
    }
    sibling.audits.lock().push(peer.index);
}
