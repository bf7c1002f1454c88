//! The sibling: attached to the relay's section, it serves the relief side. It knows who owns which slot, hands
//! evicted sessions on, fetches them back, and carries the relay's orders to the reliefs.
//!
//! It links nothing into the section and decides nothing about versions: the relay does. When it dies, what it
//! had marked stays readable, and its successor takes it over.

mod lane;
mod members;
mod placement;

pub use lane::{Lane, Turn};
pub use members::{Held, assign, join, keys_page, leave, weigh};
pub use placement::{Peer, Placement, Share, Tables};

use crate::core::members::Tier;
use crate::core::node::Node;
use crate::roles::wire::{self, Parcel};
use crate::roles::{Links, demote, pause};
use gs_client::link::Link;
use gs_policies::params::Params;
use gs_resp::{Code, Refusal, Reply, encode_arg, encode_arg_u64, slot_of};
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// What a sibling has beside its view of the relay's section.
pub struct Sibling {
    /// The link to the relay.
    pub relay: Link,
    /// A second one for hand-backs, which wait for other nodes: hand-overs must not queue behind them.
    pub promotes: Link,
    /// How it talks to its peers.
    pub links: Links,
    /// Who is there and owns what.
    pub placement: RwLock<Placement>,
    /// The schedule.
    pub params: RwLock<Params>,
    /// Demotions asked for by hand and not yet begun.
    pub asked: AtomicU64,
    /// Keys whose two buckets are full: one record of them has to go.
    pub crowded: Mutex<Vec<(u8, Box<[u8]>)>>,
    /// Reliefs that have to report again.
    pub audits: Mutex<Vec<u16>>,
    /// Signalled when demotion is wanted at once.
    pub wake: Notify,
    /// Read while a relief joins: the relay lists it before it is given slots here.
    pub joining: tokio::sync::RwLock<()>,
    /// The life of the relay that the members joined.
    pub relay_life: Mutex<String>,
    /// Where reliefs and the relay reach this node; set once it is bound.
    pub addr: RwLock<String>,
}

impl Sibling {
    /// A sibling of the relay at `relay`.
    pub fn new(relay: &str, links: Links, params: Params) -> Sibling {
        Sibling {
            relay: links.open(relay),
            promotes: links.open(relay),
            links,
            placement: RwLock::default(),
            params: RwLock::new(params),
            asked: AtomicU64::new(0),
            crowded: Mutex::default(),
            audits: Mutex::default(),
            wake: Notify::new(),
            joining: Default::default(),
            relay_life: Mutex::default(),
            addr: RwLock::default(),
        }
    }

    /// The link to a relief, or why it cannot be asked.
    pub fn link(&self, index: u16) -> Result<Link, Refusal> {
        let placement = self.placement.read();
        let peer = placement.peer(index).ok_or_else(|| {
            Refusal::new(
                Code::Unavailable,
                "the relief that holds the session has not joined; try again later",
            )
        })?;
        // One that has just joined is still being connected to: the question waits for that.
        if !peer.link.is_down() {
            return Ok(peer.link.clone());
        }
        let text = format!("relief '{}' holds the session and cannot be reached; try again later", peer.name);
        Err(Refusal::new(Code::Unavailable, text))
    }

    /// The relief that a session of this slot goes to, if one of its tier or else of the other can be asked.
    pub fn target(&self, tier: Tier, slot: u16) -> Option<Arc<Peer>> {
        self.placement.read().target(tier, slot).cloned()
    }

    /// Which tiers can take a session now.
    pub fn reach(&self) -> gs_policies::age::Reach {
        let placement = self.placement.read();
        let up = |tier| placement.peers.iter().any(|p| p.tier == tier && p.is_up());
        gs_policies::age::Reach { expansion: up(Tier::Expansion), aging: up(Tier::Aging) }
    }
}

/// Puts a second copy of a session on the expansion node of its slot. Returns the node and the copy's number.
pub async fn copy(node: Arc<Node>, parcel: Parcel) -> Result<(u16, u64), Refusal> {
    let nobody = || {
        Refusal::new(
            Code::Unavailable,
            "no relief can take the second copy: start one (gs-server --role relief-expansion --sibling ...), or \
             write with COPIES 1",
        )
    };
    let sibling = node.sibling().ok_or_else(nobody)?;
    let slot = slot_of(&parcel.key);
    let soon = || sibling.placement.read().target_soon(Tier::Expansion, slot).cloned();
    let peer = match soon() {
        Some(peer) => peer,
        None => {
            // The relay may list one that is still joining here. That ends: it waits for an answer of the relay only.
            drop(sibling.joining.write().await);
            soon().ok_or_else(nobody)?
        }
    };
    let mut out = wire::batch_head("GS.PUT", &[], 1, wire::PUT_WORDS);
    parcel.encode(&mut out);
    // Its number goes back with the answer, beside the lane: the relay lists it only while the record is here.
    let Some((reply, _turn)) = peer.lane.give(&peer.link, out).await else {
        // It may have arrived: until the node has reported, what is changed is remembered.
        if let Some(sibling) = node.sibling() {
            demote::doubt(&node, sibling, &peer).await;
        }
        return Err(nobody());
    };
    match wire::integers(&reply).as_deref() {
        Some([copy]) if *copy > 0 => Ok((peer.index, *copy as u64)),
        _ => Err(nobody()),
    }
}

/// Hands sessions of an expansion node on to the aging node of their slot. For each: 1 the relay lists it there
/// now, 0 nobody reads this copy any more, 2 both copies stay, -1 it stays where it is.
pub async fn pass_along(node: &Arc<Node>, from: &str, loads: Vec<(Parcel, u64)>) -> Vec<i64> {
    let mut answers = vec![-1; loads.len()];
    let Some(sibling) = node.sibling() else {
        return answers;
    };
    let from = sibling.placement.read().peers.iter().find(|p| p.name == from).map(|p| p.index);
    let Some(from) = from else { return answers };
    let mut groups: std::collections::HashMap<u16, (Arc<Peer>, Vec<usize>)> = Default::default();
    for (i, (parcel, _)) in loads.iter().enumerate() {
        let placement = sibling.placement.read();
        if let Some(peer) = placement.owner(Tier::Aging, slot_of(&parcel.key)).filter(|peer| peer.is_up()) {
            groups.entry(peer.index).or_insert_with(|| (peer.clone(), Vec::new())).1.push(i);
        }
    }
    for (peer, group) in groups.into_values() {
        let mut out = wire::batch_head("GS.PUT", &[], group.len(), wire::PUT_WORDS);
        group.iter().for_each(|i| loads[*i].0.encode(&mut out));
        let answer = peer.lane.give(&peer.link, out).await.and_then(|(reply, turn)| {
            Some((wire::integers(&reply).filter(|copies| copies.len() == group.len())?, turn))
        });
        let Some((copies, turn)) = answer else {
            demote::doubt(node, sibling, &peer).await;
            continue;
        };
        let taken: Vec<(usize, i64)> =
            group.iter().copied().zip(copies).filter(|(_, copy)| *copy > 0).collect();
        let words = [from.to_string(), peer.index.to_string()];
        let before = [words[0].as_bytes(), words[1].as_bytes()];
        let mut out = wire::batch_head("GS.RELOCATE", &before, taken.len(), wire::RELOCATE_WORDS);
        for (i, copy) in &taken {
            let (parcel, old) = &loads[*i];
            encode_arg_u64(&mut out, u64::from(parcel.db));
            encode_arg(&mut out, &parcel.key);
            encode_arg_u64(&mut out, parcel.version);
            encode_arg_u64(&mut out, *old);
            encode_arg_u64(&mut out, *copy as u64);
        }
        if taken.is_empty() {
            continue;
        }
        let told = turn.tell(&sibling.relay, out).await.as_ref().and_then(wire::integers);
        let Some(told) = told.filter(|told| told.len() == taken.len()) else {
            demote::doubt(node, sibling, &peer).await;
            continue;
        };
        let mut orphans = Vec::new();
        for ((i, copy), told) in taken.iter().zip(told) {
            answers[*i] = told;
            // 2: the new copy is listed beside the old one.
            if !matches!(told, 1 | 2) {
                orphans.push((&loads[*i].0, *copy));
            }
        }
        if !demote::withdraw(&peer, &orphans).await {
            demote::doubt(node, sibling, &peer).await;
        }
    }
    answers
}

/// Starts a sibling's background work.
pub fn start(node: Arc<Node>) {
    tokio::spawn(greet(node.clone()));
    tokio::spawn(demote::hand_over(node.clone()));
    tokio::spawn(demote::hand_back(node));
}

/// Says hello to each life of the relay. A new life does not know the members: they have to join again.
async fn greet(node: Arc<Node>) {
    let Some(sibling) = node.sibling() else { return };
    let pid = std::process::id().to_string();
    let mut greeted = 0;
    loop {
        for index in std::mem::take(&mut *sibling.audits.lock()) {
            tokio::spawn(members::report(node.clone(), index));
        }
        watch(&node, sibling).await;
        let connection = sibling.relay.connections();
        let addr = sibling.addr.read().clone();
        if connection != greeted && !addr.is_empty() || greeted == 0 {
            let call: [&[u8]; 4] = [b"GS.SIBLING", b"HELLO", addr.as_bytes(), pid.as_bytes()];
            match sibling.relay.call(&call).await {
                Ok(Reply::Bulk(life)) => {
                    let life = String::from_utf8_lossy(&life).into_owned();
                    let mut known = sibling.relay_life.lock();
                    if *known != life {
                        *known = life;
                        let mut placement = sibling.placement.write();
                        placement.peers.clear();
                        placement.assign(node.clock.unix_ms());
                    }
                    greeted = sibling.relay.connections();
                    // The relay doubts everyone after a hello: what is joined already reports again.
                    let joined: Vec<u16> = sibling.placement.read().peers.iter().map(|p| p.index).collect();
                    sibling.audits.lock().extend(joined);
                    if node.cache.section().retired() {
                        tracing::error!(
                            "the relay has a new section; this sibling stops so that its successor attaches to it"
                        );
                        // A closed channel means that the node is stopping already.
                        let _ = node.stop.send(true);
                        return;
                    }
                }
                Ok(reply) => tracing::warn!(?reply, "the relay does not accept this sibling"),
                Err(error) => tracing::debug!(%error, "the relay cannot be reached"),
            }
        }
        if !pause(&node, Duration::from_millis(100)).await {
            return;
        }
    }
}

/// Tells the relay which reliefs went silent, and which are heard again.
async fn watch(node: &Node, sibling: &Sibling) {
    let silent_ms = 5 * node.settings.heartbeat.as_millis() as u64;
    let peers = sibling.placement.read().peers.clone();
    for peer in peers {
        let heard = node.now_ms().saturating_sub(peer.heard_ms.load(Ordering::Acquire)) < silent_ms;
        if peer.told_up.swap(heard, Ordering::AcqRel) == heard {
            continue;
        }
        let (index, state) = (peer.index.to_string(), if heard { "up" } else { "away" });
        tracing::warn!(relief = %peer.name, state, "a relief changed its state");
        let call: [&[u8]; 4] = [b"GS.MEMBER", b"STATE", index.as_bytes(), state.as_bytes()];
        if sibling.relay.call(&call).await.is_err() {
            // Not told: try again at the next round.
            peer.told_up.store(!heard, Ordering::Release);
        }
    }
}
