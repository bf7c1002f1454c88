//! The sibling: attached to the relay's section, it serves the relief side. It knows who owns which slot, hands
//! evicted sessions on, fetches them back, and carries the relay's orders to the reliefs.
//!
//! It links nothing into the section and decides nothing about versions: the relay does. When it dies, what it
//! had marked stays readable, and its successor takes it over.

use crate::core::members::Tier;
use crate::core::node::Node;
use crate::roles::wire::{self, Parcel};
use crate::roles::{Links, demote, pause};
use gs_client::link::Link;
use gs_policies::params::Params;
use gs_policies::place::{self, NOBODY, SLOTS};
use gs_resp::{Code, Refusal, Reply, encode_arg, encode_arg_u64, slot_of};
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// A relief that has joined.
pub struct Peer {
    /// The index the relay gave it.
    pub index: u16,
    /// Its name.
    pub name: String,
    /// Its tier.
    pub tier: Tier,
    /// Where it is.
    pub addr: String,
    /// Identity of its contents.
    pub incarnation: String,
    /// Bytes it can hold.
    pub capacity: u64,
    /// Its share of the slots.
    pub weight: AtomicU64,
    /// The link to it.
    pub link: Link,
    /// When it was last heard from, boot-time milliseconds.
    pub heard_ms: AtomicU64,
    /// Sessions it said it holds.
    pub objects: AtomicU64,
    /// Blocks in use, as it said.
    pub used: AtomicU64,
    /// Blocks it has, as it said.
    pub total: AtomicU64,
    /// True if the relay was last told that it is up.
    pub told_up: AtomicBool,
    /// True while it takes no new sessions, on an operator's word.
    pub draining: AtomicBool,
}

impl Peer {
    /// True if it can be asked now.
    pub fn is_up(&self) -> bool {
        self.link.is_up()
    }
}

/// Who owns which slot, for each tier.
pub struct Placement {
    /// The reliefs by index.
    pub peers: Vec<Arc<Peer>>,
    expansion: Box<place::Table>,
    aging: Box<place::Table>,
    /// Grows with each change of an owner.
    pub epoch: u64,
}

impl Default for Placement {
    fn default() -> Self {
        let nobody = || Box::new([NOBODY; SLOTS]);
        Placement { peers: Vec::new(), expansion: nobody(), aging: nobody(), epoch: 0 }
    }
}

impl Placement {
    fn table(&self, tier: Tier) -> &place::Table {
        match tier {
            Tier::Expansion => &self.expansion,
            Tier::Aging => &self.aging,
        }
    }

    /// The owner of a slot.
    pub fn owner(&self, tier: Tier, slot: u16) -> Option<&Arc<Peer>> {
        let index = self.table(tier)[usize::from(slot) % SLOTS];
        self.peers.iter().find(|peer| peer.index == index)
    }

    /// A relief by its index.
    pub fn peer(&self, index: u16) -> Option<&Arc<Peer>> {
        self.peers.iter().find(|peer| peer.index == index)
    }

    /// Owners anew, after a relief joined or left.
    fn assign(&mut self) {
        for tier in [Tier::Expansion, Tier::Aging] {
            let nodes: Vec<place::Node> = self
                .peers
                .iter()
                .filter(|peer| peer.tier == tier && !peer.draining.load(Ordering::Relaxed))
                .map(|peer| place::Node {
                    index: peer.index,
                    weight: peer.weight.load(Ordering::Relaxed).max(1),
                    seed: place::seed_of(peer.name.as_bytes()),
                })
                .collect();
            match tier {
                Tier::Expansion => place::fill(&mut self.expansion, &nodes),
                Tier::Aging => place::fill(&mut self.aging, &nodes),
            }
        }
        self.epoch += 1;
    }

    /// Slots of a tier as ranges of equal owner.
    pub fn ranges(&self, tier: Tier) -> Vec<(u16, u16, u16)> {
        let mut ranges: Vec<(u16, u16, u16)> = Vec::new();
        for (slot, owner) in (0u16..).zip(self.table(tier)) {
            match ranges.last_mut() {
                Some(last) if last.2 == *owner => last.1 = slot,
                _ => ranges.push((slot, slot, *owner)),
            }
        }
        ranges.retain(|range| range.2 != NOBODY);
        ranges
    }
}

/// What a sibling has beside its view of the relay's section.
pub struct Sibling {
    /// The link to the relay.
    pub relay: Link,
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
            links,
            placement: RwLock::default(),
            params: RwLock::new(params),
            asked: AtomicU64::new(0),
            crowded: Mutex::default(),
            audits: Mutex::default(),
            wake: Notify::new(),
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
        if peer.is_up() {
            return Ok(peer.link.clone());
        }
        let text = format!("relief '{}' holds the session and cannot be reached; try again later", peer.name);
        Err(Refusal::new(Code::Unavailable, text))
    }

    /// The relief that a session of this slot goes to, if one of its tier or else of the other can be asked.
    pub fn target(&self, tier: Tier, slot: u16) -> Option<Arc<Peer>> {
        let placement = self.placement.read();
        let other = if tier == Tier::Aging { Tier::Expansion } else { Tier::Aging };
        [tier, other].iter().find_map(|tier| placement.owner(*tier, slot).filter(|p| p.is_up()).cloned())
    }

    /// Which tiers can take a session now.
    pub fn reach(&self) -> gs_policies::age::Reach {
        let placement = self.placement.read();
        let up = |tier| placement.peers.iter().any(|p| p.tier == tier && p.is_up());
        gs_policies::age::Reach { expansion: up(Tier::Expansion), aging: up(Tier::Aging) }
    }
}

/// A relief asks to join. The relay gives it an index; what it holds is reported to the relay.
pub async fn join(
    node: Arc<Node>,
    name: String,
    tier: Tier,
    addr: String,
    capacity: u64,
    incarnation: String,
) -> Result<u16, Refusal> {
    let Some(sibling) = node.sibling() else {
        return Err(Refusal::err("this node takes no members"));
    };
    let call = ["GS.MEMBER", "JOIN", &name, tier.word(), &addr, &incarnation];
    let args: Vec<&[u8]> = call.iter().map(|word| word.as_bytes()).collect();
    let reply = sibling.relay.call(&args).await.map_err(|e| {
        Refusal::new(Code::Unavailable, format!("the relay cannot be reached ({e}); join again later"))
    })?;
    let index = match &reply {
        Reply::Array(words) => words.first().and_then(Reply::as_u64),
        Reply::Error(text) => return Err(Refusal::err(text.clone())),
        _ => None,
    };
    let index = index.ok_or_else(|| Refusal::err("the relay gave no index"))? as u16;
    {
        let mut placement = sibling.placement.write();
        let same = placement.peers.iter().any(|p| p.index == index && p.addr == addr && p.tier == tier);
        if !same {
            placement.peers.retain(|p| p.name != name);
            placement.peers.push(Arc::new(Peer {
                index,
                name,
                tier,
                link: sibling.links.open(&addr),
                addr,
                incarnation,
                weight: AtomicU64::new(capacity),
                capacity,
                heard_ms: AtomicU64::new(node.now_ms()),
                objects: AtomicU64::new(0),
                used: AtomicU64::new(0),
                total: AtomicU64::new(0),
                told_up: AtomicBool::new(true),
                draining: AtomicBool::new(false),
            }));
            placement.assign();
        }
    }
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
        placement.assign();
    }
    left
}

/// Assigns the slots anew, with another weight for one relief if one is given. The new epoch; none where no
/// relief has that name.
pub fn assign(node: &Node, weight: Option<(&str, u64)>) -> Option<u64> {
    let mut placement = node.sibling()?.placement.write();
    if let Some((name, weight)) = weight {
        let peer = placement.peers.iter().find(|peer| peer.name == name)?;
        peer.weight.store(weight, Ordering::Relaxed);
        peer.draining.store(weight == 0, Ordering::Relaxed);
    }
    placement.assign();
    Some(placement.epoch)
}

/// A relief takes no new sessions, or does again.
pub fn drain(node: &Node, name: &str, draining: bool) -> bool {
    let Some(sibling) = node.sibling() else {
        return false;
    };
    let mut placement = sibling.placement.write();
    let Some(peer) = placement.peers.iter().find(|peer| peer.name == name) else {
        return false;
    };
    peer.draining.store(draining, Ordering::Relaxed);
    placement.assign();
    true
}

/// Copies of a report sent in one message.
const REPORT_PAGE: &str = "512";

/// Tells the relay everything a relief holds, page by page, until it knows all of it.
async fn report(node: Arc<Node>, index: u16) {
    let Some(sibling) = node.sibling() else { return };
    loop {
        let Some(peer) = sibling.placement.read().peer(index).cloned() else {
            return;
        };
        if report_once(sibling, &peer).await.is_some() {
            tracing::info!(relief = %peer.name, "all that it holds is known");
            return;
        }
        if !pause(&node, Duration::from_millis(100)).await {
            return;
        }
    }
}

async fn report_once(sibling: &Sibling, peer: &Peer) -> Option<()> {
    let index = peer.index.to_string();
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
    let done: [&[u8]; 3] = [b"GS.MEMBER", b"REPORTED", index.as_bytes()];
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
}

/// Reads a page of `GS.KEYS`: the cursor of the next one, and what it lists.
pub fn keys_page(reply: &Reply) -> Option<(String, Vec<Held>)> {
    let Reply::Array(parts) = reply else { return None };
    let cursor = String::from_utf8(parts.first()?.as_bytes()?.to_vec()).ok()?;
    let Reply::Array(flat) = parts.get(1)? else {
        return None;
    };
    let held = |[db, key, version, copy, _pttl]: &[Reply; 5]| {
        Some(Held {
            db: u8::try_from(db.as_int()?).ok()?,
            key: key.as_bytes()?.to_vec(),
            version: version.as_u64()?,
            copy: copy.as_u64()?,
        })
    };
    let items = flat.as_chunks::<5>().0.iter().map(held).collect::<Option<Vec<_>>>()?;
    Some((cursor, items))
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
    let peer = sibling.target(Tier::Expansion, slot_of(&parcel.key)).ok_or_else(nobody)?;
    let mut out = wire::batch_head("GS.PUT", &[], 1, wire::PUT_WORDS);
    parcel.encode(&mut out);
    let replies = peer.link.call_encoded(out, 1).await.map_err(|_| nobody())?;
    match replies.first().and_then(wire::integers).as_deref() {
        Some([copy]) if *copy > 0 => Ok((peer.index, *copy as u64)),
        _ => Err(nobody()),
    }
}

/// Hands sessions of an expansion node on to the aging node of their slot. For each: 1 the relay lists it there
/// now, 0 nobody reads this copy any more, -1 it stays where it is.
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
        let copies = match peer.link.call_encoded(out, 1).await.as_deref() {
            Ok([reply]) => wire::integers(reply).filter(|copies| copies.len() == group.len()),
            _ => None,
        };
        let Some(copies) = copies else {
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
        let told = match sibling.relay.call_encoded(out, 1).await.as_deref() {
            Ok([reply]) => wire::integers(reply).filter(|told| told.len() == taken.len()),
            _ => None,
        };
        let Some(told) = told else {
            demote::doubt(node, sibling, &peer).await;
            continue;
        };
        let mut orphans = Vec::new();
        for ((i, copy), told) in taken.iter().zip(told) {
            answers[*i] = told;
            if told != 1 {
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
            tokio::spawn(report(node.clone(), index));
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
                        placement.assign();
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
