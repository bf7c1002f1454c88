//! An expansion node's side of the demoter: what has aged goes on, through the sibling.

use crate::core::node::Node;
use crate::roles::demote::{
    ADOPT_EVERY_MS, Load, PRESSED, PROBES, by_hand::ByHand, judge, unhurried, verdict,
};
use crate::roles::pause;
use crate::roles::relief::{copy_of, parcel};
use crate::roles::wire;
use gs_client::cache::{Release, Verdict, Victim};
use gs_policies::evict::{Cutoff, Evict, Fifo, Swept};
use gs_policies::pressure;
use gs_resp::encode_arg_u64;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// An expansion node's side: pass on what has aged, and under pressure the oldest.
pub async fn pass_on(node: Arc<Node>) {
    let (mut freeing, mut order) = (false, ByHand::default());
    let mut cutoff = Cutoff(1_000);
    let mut adopt_at_ms = 0;
    loop {
        let Some(relief) = node.relief() else { return };
        let params = *relief.params.read();
        let total = node.cache.section().stats().blocks;
        let demand = pressure::demand(node.cache.section().free_blocks(), total, freeing, &params.pressure());
        freeing = demand.freeing;
        let mut victims = Vec::new();
        let now_ms = node.now_ms();
        if now_ms >= adopt_at_ms {
            node.cache.section().adopt_evicting(&mut victims, params.batch() as usize);
            adopt_at_ms = if victims.is_empty() { now_ms + ADOPT_EVERY_MS } else { now_ms };
        }
        order.step(&node, &relief.asked, params.batch() as usize, &mut victims);
        let pressed = demand.blocks > 0;
        // Without pressure only what has aged goes; under pressure the mark falls until enough goes.
        let mark = if pressed { cutoff.0 } else { params.age().aged_after_ms };
        let policy = Fifo { older_than_ms: mark };
        let (mut seen, mut taken) = (0u32, 0u32);
        let max = params.batch();
        node.cache.section().sweep(
            if pressed { PROBES } else { unhurried(&node, &params) },
            node.now_ms(),
            &mut |view| {
                seen += 1;
                let judged = verdict(policy.judge(&judge(view, 0)));
                if taken >= max || judged != Verdict::Take {
                    return Verdict::Keep;
                }
                taken += 1;
                judged
            },
            &mut victims,
        );
        if pressed {
            cutoff = cutoff.older(Swept { seen, taken, wanted: max / 2 });
        }
        if !victims.is_empty()
            && !pass_batch(&node, victims).await
            && !pause(&node, Duration::from_millis(50)).await
        {
            return;
        }
        let hurried = pressed || relief.asked.load(Ordering::Acquire) > 0;
        let wait =
            if hurried { PRESSED } else { Duration::from_millis(params.interval_ms().clamp(1, 1_000)) };
        let mut stop = node.stopping();
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Hands one batch to the sibling; false when nobody took anything.
async fn pass_batch(node: &Node, victims: Vec<Victim>) -> bool {
    let Some(relief) = node.relief() else { return false };
    let (mut key, mut value) = (Vec::new(), Vec::new());
    let mut loads = Vec::new();
    for victim in victims {
        key.clear();
        value.clear();
        if let Some(meta) = node.cache.section().copy_victim(&victim.at, &mut key, &mut value) {
            loads.push(Load { at: meta.at, parcel: parcel(node, &meta, &key, &value) });
        }
    }
    let mut out = wire::batch_head("GS.HANDOFF", &[node.name.as_bytes()], loads.len(), wire::HANDOFF_WORDS);
    for load in &loads {
        load.parcel.encode(&mut out);
        encode_arg_u64(&mut out, copy_of(&load.at));
    }
    let link = relief.handoffs.read().clone();
    let answers = match link {
        Some(link) => match link.call_encoded(out, 1).await.as_deref() {
            Ok([reply]) => wire::integers(reply),
            _ => None,
        },
        None => None,
    };
    let answers = answers.unwrap_or_else(|| vec![-1; loads.len()]);
    let mut moved = 0;
    for (load, answer) in loads.iter().zip(answers) {
        // 1: listed elsewhere; 0: nobody reads this copy any more. Whatever else it is, it stays.
        let done = matches!(answer, 0 | 1) && node.cache.section().release(&load.at) == Release::Freed;
        if done {
            moved += 1;
        } else {
            node.cache.section().abort(&load.at);
        }
    }
    if moved > 0 {
        node.room.notify_waiters();
    }
    moved > 0
}
