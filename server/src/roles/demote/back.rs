//! The way back: as pressure on the relay falls, the sibling brings sessions up from the expansion nodes.

use crate::core::members::Tier;
use crate::core::node::Node;
use crate::roles::pause;
use crate::roles::sibling::{Peer, Sibling, keys_page};
use crate::roles::wire;
use gs_policies::pressure;
use gs_resp::encode_arg;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// As pressure on the relay falls, young sessions come back up from the expansion nodes.
pub async fn hand_back(node: Arc<Node>) {
    loop {
        if !pause(&node, Duration::from_secs(1)).await {
            return;
        }
        let Some(sibling) = node.sibling() else { return };
        let params = *sibling.params.read();
        let total = node.cache.section().stats().blocks;
        let peers = sibling.placement.read().peers.clone();
        for peer in peers.iter().filter(|peer| peer.tier == Tier::Expansion && peer.is_up()) {
            let held = peer.objects.load(Ordering::Relaxed);
            let free = node.cache.section().free_blocks();
            let n = pressure::hand_back(free, total, held, &params.pressure());
            if n > 0 && climb(sibling, peer, n).await.is_none() {
                tracing::debug!(relief = %peer.name, "nothing could be handed back now");
            }
        }
    }
}

/// Asks the relay to bring up to `n` sessions of a node back.
async fn climb(sibling: &Sibling, peer: &Peer, n: u64) -> Option<()> {
    let count = n.min(512).to_string();
    for db in 0..16u8 {
        let db = db.to_string();
        let call: [&[u8]; 4] = [b"GS.KEYS", b"0", count.as_bytes(), db.as_bytes()];
        let (_, items) = keys_page(&peer.link.call(&call).await.ok()?)?;
        if items.is_empty() {
            continue;
        }
        let mut out = wire::batch_head("GS.PROMOTE", &[db.as_bytes()], items.len(), 1);
        for held in &items {
            encode_arg(&mut out, &held.key);
        }
        sibling.promotes.call_encoded(out, 1).await.ok()?;
    }
    Some(())
}
