//! The relay: it owns the sessions of its front ends and decides what is true of them.

use crate::core::journal::{self, Journal, Record};
use crate::core::members::{Members, State};
use crate::core::node::{Node, Relay};
use crate::core::outbox::{Mode, ORDERS, Order};
use crate::core::stream::Stream;
use crate::core::tombs::Tombs;
use crate::core::version::Versions;
use crate::roles::wire;
use crate::roles::{expire, pause};
use gs_client::cache::{Release, Victim};
use gs_client::link::Link;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Tombstones remembered at most: 32-48 bytes each.
const TOMBS_MAX: u64 = 4_000_000;

/// Opens what a relay keeps in its directory and raises its epoch; nothing is served before.
pub fn open(dir: &Path, sync: bool, unix_ms: u64, stream_bytes: usize, life: u64) -> std::io::Result<Relay> {
    let members = Members::open(&dir.join("members.json"))?;
    let path = dir.join("journal");
    let replay = journal::replay(&path)?;
    if replay.damaged {
        tracing::error!(path = %path.display(), "the journal is damaged: what reliefs hold is dropped as they report it, \
            because a destroyed session could be among it");
    }
    let tombs = Tombs::new(TOMBS_MAX);
    let flushed: [AtomicU64; 16] = Default::default();
    let mut flushes = 0;
    let known = members.list().iter().any(|m| m.state != State::Lost);
    for record in &replay.records {
        match record {
            // They are kept until every relief has reported what it holds and nothing is in doubt.
            Record::Key(id, tomb) => {
                if tomb.gone_until > unix_ms || known {
                    tombs.put(id, *tomb);
                }
            }
            Record::Flush { db, version } => {
                flushes += 1;
                for n in 0..16u8 {
                    if *db == 16 || *db == n {
                        flushed[usize::from(n)].fetch_max(*version, Ordering::AcqRel);
                    }
                }
            }
        }
    }
    let journal = Journal::open(&path, &facts(&tombs, &flushed), sync)?;
    let versions = Versions::new(members.epoch(), unix_ms);
    let relay = Relay {
        directory: Default::default(),
        tombs,
        flushed,
        journal,
        stream: Stream::new(life, stream_bytes),
        outbox: Default::default(),
        versions,
        sibling: Default::default(),
        sibling_addr: Default::default(),
        flights: Default::default(),
        moves: Default::default(),
        agents: Default::default(),
        agents_moved: Default::default(),
        quarantine: replay.damaged,
        flushes: AtomicU64::new(flushes),
        flushes_told: Default::default(),
        unreported: Default::default(),
        doubted: Default::default(),
        condemned: Default::default(),
        copying: Default::default(),
        seconds: Default::default(),
        holder_links: Default::default(),
        members,
    };
    relay.members_changed();
    Ok(relay)
}

/// Everything the journal has to hold now.
fn facts(tombs: &Tombs, flushed: &[AtomicU64; 16]) -> Vec<Record> {
    let mut keep = Vec::new();
    tombs.each(|id, tomb| keep.push(Record::Key(*id, *tomb)));
    for (db, version) in (0u8..).zip(flushed) {
        let version = version.load(Ordering::Acquire);
        if version > 0 {
            keep.push(Record::Flush { db, version });
        }
    }
    keep
}

/// Starts a relay's background work.
pub fn start(node: Arc<Node>) {
    tokio::spawn(deliver(node.clone()));
    tokio::spawn(upkeep(node.clone()));
    tokio::spawn(pace(node.clone()));
    tokio::spawn(expire(node, |node, meta, key| {
        if node.changes.armed_after() {
            node.expired(meta.db, key, &node.id(meta.db, key));
        }
    }));
}

/// Wakes the front ends' connections as the stream has something for them.
async fn pace(node: Arc<Node>) {
    let Some(relay) = node.relay() else { return };
    let mut stop = node.stopping();
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => {}
        () = relay.stream.pace() => {}
    }
}

/// Blocks looked at for records to drop...
const DROP_PROBES: u32 = 256;
/// ... and how many of them go.
const DROP_AT_ONCE: usize = 16;

/// Frees some records by the hand, where a full section evicts instead of handing over. Returns how many.
pub fn drop_some(node: &Node) -> usize {
    let mut victims: Vec<Victim> = Vec::new();
    for _ in 0..64 {
        node.cache.section().sweep_coldest(DROP_PROBES, DROP_AT_ONCE, node.now_ms(), &mut victims);
        if !victims.is_empty() {
            break;
        }
    }
    drop_all(node, &victims)
}

/// Frees one record of a key's two buckets, where a full section evicts.
pub fn drop_from_buckets(node: &Node, id: &gs_client::cache::KeyId) {
    let mut victims: Vec<Victim> = Vec::new();
    node.cache.section().bucket_victims(id, node.now_ms(), &mut victims);
    drop_all(node, &victims);
}

fn drop_all(node: &Node, victims: &[Victim]) -> usize {
    let mut freed = 0;
    let (mut key, mut value) = (Vec::new(), Vec::new());
    for victim in victims {
        // Read before it is gone, and only where somebody wants to know.
        let told = node.changes.armed();
        key.clear();
        value.clear();
        let meta = told.then(|| node.cache.section().copy_victim(&victim.at, &mut key, &mut value)).flatten();
        if node.cache.section().release(&victim.at) == Release::Freed {
            freed += 1;
            if let Some(meta) = meta {
                node.evicted(meta.db, &key, &node.id(meta.db, &key));
            }
        } else {
            node.cache.section().abort(&victim.at);
        }
    }
    node.metrics.evicted.add(freed as u64);
    node.room.notify_waiters();
    freed
}

/// Carries orders to reliefs, through the sibling, until they are acknowledged; each relief by a task of its
/// own, so that one that hangs keeps only its own orders waiting.
async fn deliver(node: Arc<Node>) {
    let Some(relay) = node.relay() else { return };
    let busy: Arc<Mutex<HashSet<u16>>> = Arc::default();
    loop {
        for member in relay.members.list().iter().filter(|m| m.state == State::Up) {
            let index = member.index;
            if (relay.outbox.has(index) || lacks_flush(relay, index)) && busy.lock().insert(index) {
                tokio::spawn(deliver_to(node.clone(), index, busy.clone()));
            }
        }
        let mut stop = node.stopping();
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = relay.outbox.woken() => {}
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

async fn deliver_to(node: Arc<Node>, index: u16, busy: Arc<Mutex<HashSet<u16>>>) {
    let Some(relay) = node.relay() else { return };
    let done = carry(&node, relay, index).await;
    if !done {
        // After a failure only time helps.
        pause(&node, Duration::from_millis(100)).await;
    }
    busy.lock().remove(&index);
    // What came in after the last look is seen by the next round. A flush may have, too: it is no order.
    if !done || lacks_flush(relay, index) {
        relay.outbox.wake();
    } else {
        relay.outbox.wake_for(index);
    }
}

/// Carries what one relief is owed, until what is left may wait; false when it or the sibling did not take it.
async fn carry(node: &Node, relay: &Relay, index: u16) -> bool {
    let Some(link) = node.downstream_to(index) else { return false };
    if lacks_flush(relay, index) && !tell_flush(relay, &link, index).await {
        return false;
    }
    let word = index.to_string();
    loop {
        let batch = relay.outbox.take(index, ORDERS);
        if batch.is_empty() {
            return true;
        }
        let mut out = wire::batch_head("GS.TOMB", &[word.as_bytes()], batch.len(), wire::TOMB_WORDS);
        batch.iter().for_each(|order| wire::encode_order(&mut out, order));
        let done = match link.call_encoded(out, 1).await.as_deref() {
            Ok([reply]) => wire::integers(reply).is_some_and(|list| list.len() == batch.len()),
            _ => false,
        };
        if !done {
            relay.outbox.put_back(index, batch);
            return false;
        }
        acknowledged(node, relay, index, &batch);
        if !relay.outbox.is_due(index) {
            return true;
        }
    }
}

/// A relief carried out a batch of orders.
fn acknowledged(node: &Node, relay: &Relay, index: u16, batch: &[Order]) {
    relay.outbox.done(batch.len());
    for order in batch {
        let _lock = node.stripes.lock(&order.id);
        relay.directory.remove_shadow(&order.id, order.db, index, order.copy);
        if !matches!(order.mode, Mode::Drop(_)) {
            relay.tombs.acknowledged(&order.id);
        }
    }
}

/// True while a relief has not heard of every flush.
fn lacks_flush(relay: &Relay, index: u16) -> bool {
    let flushes = relay.flushes.load(Ordering::Acquire);
    flushes > 0 && relay.flushes_told.get(&index).is_none_or(|told| *told < flushes)
}

/// Tells a relief of all flushes; false when it did not take one.
async fn tell_flush(relay: &Relay, link: &Link, index: u16) -> bool {
    let flushes = relay.flushes.load(Ordering::Acquire);
    let word = index.to_string();
    for (db, version) in (0u8..).zip(&relay.flushed) {
        let version = version.load(Ordering::Acquire);
        if version == 0 {
            continue;
        }
        let words = [db.to_string(), version.to_string()];
        let call: [&[u8]; 4] = [b"GS.FLUSH", word.as_bytes(), words[0].as_bytes(), words[1].as_bytes()];
        if !matches!(link.call(&call).await, Ok(reply) if reply.is_ok()) {
            return false;
        }
    }
    relay.flushes_told.insert(index, flushes);
    true
}

/// Drops what need not be remembered and keeps the journal small.
async fn upkeep(node: Arc<Node>) {
    let Some(relay) = node.relay() else { return };
    while pause(&node, Duration::from_secs(5)).await {
        let unix_ms = node.clock.unix_ms();
        // While nobody holds a copy that is not listed, and no message can still be on its way, a plain
        // tombstone that nobody owes an answer to has nothing left to refuse.
        let settled = !relay.has_unreported() && !relay.has_doubts();
        let noted_before = if settled { unix_ms.saturating_sub(60_000) } else { 0 };
        relay.tombs.sweep(unix_ms, noted_before);
        // No message is on its way for longer than this.
        relay.condemned.lock().retain(|_, at| *at + 60_000 > unix_ms);
        relay.copying.sweep(unix_ms);
        relay.moves.rest(node.now_ms());
        if relay.journal.wants_compaction(relay.tombs.len()) {
            relay.journal.compact(|| facts(&relay.tombs, &relay.flushed));
        }
        relay.agents.retain(|_, agent| {
            let lapsed = node.now_ms().saturating_sub(agent.heard_ms.load(Ordering::Acquire));
            agent.connected.load(Ordering::Acquire) || lapsed < 2 * node.settings.lease.as_millis() as u64
        });
    }
}
