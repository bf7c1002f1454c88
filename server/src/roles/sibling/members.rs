//! Reliefs come and go: joining, what they hold reported to the relay, another weight, leaving.

use crate::core::members::Tier;
use crate::core::node::Node;
use crate::roles::pause;
use crate::roles::sibling::{Lane, Peer, Placement, Sibling};
use crate::roles::wire;
use gs_resp::{Code, Refusal, Reply, encode_arg, encode_arg_u64};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A relief asks to join. The relay gives it an index; what it holds is reported to the relay.
pub async fn join(
    node: Arc<Node>,
    name: String,
    tier: Tier,
    addr: String,
    capacity: u64,
    objects: u64,
    incarnation: String,
) -> Result<u16, Refusal> {
    let Some(sibling) = node.sibling() else {
        return Err(Refusal::err("this node takes no members"));
    };
    let held = objects.to_string();
    let joining = sibling.joining.read().await;
    let call = ["GS.MEMBER", "JOIN", &name, tier.word(), &addr, &incarnation, &held];
    let args: Vec<&[u8]> = call.iter().map(|word| word.as_bytes()).collect();
    let reply = sibling.relay.call(&args).await.map_err(|e| {
        Refusal::new(Code::Unavailable, format!("the relay cannot be reached ({e}); join again later"))
    })?;
    if let Some(text) = reply.error() {
        return Err(wire::refusal(text));
    }
    let Some(&[index, weight]) = wire::integers(&reply).as_deref().and_then(<[i64]>::as_array) else {
        return Err(Refusal::err("the relay gave no index"));
    };
    let index = index as u16;
    {
        let mut placement = sibling.placement.write();
        let same = placement.peers.iter().any(|p| p.index == index && p.addr == addr && p.tier == tier);
        if !same {
            placement.peers.retain(|p| p.name != name);
            placement.peers.push(Arc::new(Peer {
                index,
                name,
                tier,
                // A relief that came back empty under the same address must not be asked in the old one's name.
                link: sibling
                    .links
                    .open_with(&addr, vec![vec![b"GS.IAM".to_vec(), incarnation.clone().into_bytes()]]),
                addr,
                incarnation,
                // What an operator said outlives this process.
                weight: AtomicU64::new(u64::try_from(weight).unwrap_or(capacity.max(1))),
                capacity,
                heard_ms: AtomicU64::new(node.now_ms()),
                objects: AtomicU64::new(0),
                used: AtomicU64::new(0),
                total: AtomicU64::new(0),
                told_up: AtomicBool::new(true),
                reports: AtomicU64::new(0),
                lane: Lane::default(),
            }));
            placement.assign(node.clock.unix_ms());
        }
    }
    drop(joining);
    tokio::spawn(report(node.clone(), index));
    Ok(index)
}

/// A relief leaves, or is given up. True if it was there.
pub fn leave(node: &Node, name: &str) -> bool {
    let Some(sibling) = node.sibling() else {
        return false;
    };
    let mut placement = sibling.placement.write();
    let before = placement.peers.len();
    placement.peers.retain(|peer| peer.name != name);
    let left = placement.peers.len() != before;
    if left {
        placement.assign(node.clock.unix_ms());
    }
    left
}

/// Assigns the slots anew. The new epoch.
pub fn assign(node: &Node) -> u64 {
    let Some(sibling) = node.sibling() else { return 0 };
    let mut placement = sibling.placement.write();
    placement.assign(node.clock.unix_ms());
    placement.epoch
}

/// Gives a relief another weight, 0 for no slots; the relay remembers it. The new epoch.
pub async fn weigh(node: &Node, name: &str, weight: u64) -> Result<u64, Refusal> {
    let unknown = || Refusal::err(format!("no relief is named '{name}'; GS.SHARD NODES lists them"));
    let sibling = node.sibling().ok_or_else(unknown)?;
    let find = |placement: &Placement| placement.peers.iter().find(|peer| peer.name == name).cloned();
    let peer = find(&sibling.placement.read()).ok_or_else(unknown)?;
    let words = [peer.index.to_string(), weight.to_string()];
    let call: [&[u8]; 4] = [b"GS.MEMBER", b"WEIGHT", words[0].as_bytes(), words[1].as_bytes()];
    let away = |_| Refusal::new(Code::Unavailable, "the relay does not answer; try again later");
    let reply = sibling.relay.call(&call).await.map_err(away)?;
    if let Some(text) = reply.error() {
        return Err(wire::refusal(text));
    }
    let mut placement = sibling.placement.write();
    // It may have joined under another address meanwhile.
    let peer = find(&placement).ok_or_else(unknown)?;
    peer.weight.store(weight, Ordering::Relaxed);
    placement.assign(node.clock.unix_ms());
    Ok(placement.epoch)
}

/// Copies of a report sent in one message.
const REPORT_PAGE: &str = "512";

/// Tells the relay everything a relief holds, page by page, until it knows all of it.
pub(super) async fn report(node: Arc<Node>, index: u16) {
    let Some(sibling) = node.sibling() else { return };
    let Some(peer) = sibling.placement.read().peer(index).cloned() else { return };
    if peer.reports.fetch_add(1, Ordering::AcqRel) > 0 {
        return;
    }
    loop {
        let asked = peer.reports.load(Ordering::Acquire);
        // A peer that left or joined anew is somebody else's to report on.
        if !sibling.placement.read().peer(index).is_some_and(|now| Arc::ptr_eq(now, &peer)) {
            return;
        }
        if report_once(sibling, &peer).await.is_some() {
            tracing::info!(relief = %peer.name, "all that it holds is known");
            if peer.reports.compare_exchange(asked, 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return;
            }
            continue;
        }
        if !pause(&node, Duration::from_millis(100)).await {
            return;
        }
    }
}

async fn report_once(sibling: &Sibling, peer: &Peer) -> Option<()> {
    let index = peer.index.to_string();
    let doubts =
        sibling.relay.call(&[b"GS.MEMBER", b"DOUBTS", index.as_bytes()]).await.ok()?.as_u64()?.to_string();
    let mut cursor = "0".to_string();
    loop {
        let call: [&[u8]; 4] = [b"GS.KEYS", cursor.as_bytes(), REPORT_PAGE.as_bytes(), b"*"];
        let (next, items) = keys_page(&peer.link.call(&call).await.ok()?)?;
        if !items.is_empty() {
            let mut out = wire::batch_head("GS.REPORT", &[index.as_bytes()], items.len(), wire::REPORT_WORDS);
            for held in &items {
                encode_arg_u64(&mut out, u64::from(held.db));
                encode_arg(&mut out, &held.key);
                encode_arg_u64(&mut out, held.version);
                encode_arg_u64(&mut out, held.copy);
            }
            sibling.relay.call_encoded(out, 1).await.ok()?.first()?.is_ok().then_some(())?;
        }
        if next == "0" {
            break;
        }
        cursor = next;
    }
    let done: [&[u8]; 4] = [b"GS.MEMBER", b"REPORTED", index.as_bytes(), doubts.as_bytes()];
    sibling.relay.call(&done).await.ok()?.is_ok().then_some(())
}

/// One copy that a page of `GS.KEYS` lists.
#[derive(Clone, Debug)]
pub struct Held {
    /// Logical database.
    pub db: u8,
    /// The key.
    pub key: Vec<u8>,
    /// Its version.
    pub version: u64,
    /// The copy's number.
    pub copy: u64,
    /// What its record holds.
    pub kind: u8,
}

/// Reads a page of `GS.KEYS`: the cursor of the next one, and what it lists.
pub fn keys_page(reply: &Reply) -> Option<(String, Vec<Held>)> {
    let Reply::Array(parts) = reply else { return None };
    let cursor = String::from_utf8(parts.first()?.as_bytes()?.to_vec()).ok()?;
    let Reply::Array(flat) = parts.get(1)? else {
        return None;
    };
    let held = |[db, key, version, copy, _pttl, kind]: &[Reply; wire::KEYS_WORDS]| {
        Some(Held {
            db: u8::try_from(db.as_int()?).ok()?,
            key: key.as_bytes()?.to_vec(),
            version: version.as_u64()?,
            copy: copy.as_u64()?,
            kind: u8::try_from(kind.as_int()?).ok()?,
        })
    };
    let items = flat.as_chunks::<{ wire::KEYS_WORDS }>().0.iter().map(held).collect::<Option<Vec<_>>>()?;
    Some((cursor, items))
}
