//! A relief: it joins a sibling, keeps what it is given, and gives it back.
//!
//! An expansion node passes what has aged, and under pressure its oldest, on through the sibling to the aging
//! node of the slot. An aging node is the last stop: under pressure it loses what would soonest have expired,
//! counts it and says so.

use crate::core::directory::COPY_BITS;
use crate::core::members::Tier;
use crate::core::node::{Node, NodeRole};
use crate::core::tombs::{Kind, Tomb, Tombs};
use crate::roles::wire::{self, Parcel, ParcelRef};
use crate::roles::{Links, demote, expire, pause};
use gs_client::cache::{BlockRef, Meta, NewRecord, PutError, Release, Verdict, Victim};
use gs_client::link::Link;
use gs_policies::evict::{Cutoff, Swept};
use gs_policies::params::Params;
use gs_resp::{Refusal, Reply, encode_arg, encode_arg_u64};
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Tombstones that a relief remembers: enough for ten minutes of 100,000 deletes a minute.
const TOMBS_MAX: u64 = 1_000_000;
/// How long a relief refuses copies older than a delete: far longer than any message can be on its way.
const TOMB_KEEP_MS: u64 = 10 * 60 * 1_000;
/// Dropped copies that wait to be told; beyond that a report at the next join tells.
const DROPPED_MAX: usize = 1 << 20;
/// Records looked at in one step for room.
const ROOM_PROBES: u32 = 256;

/// A copy that this node no longer has.
#[derive(Clone, Debug)]
pub struct Dropped {
    /// Logical database.
    pub db: u8,
    /// The key.
    pub key: Box<[u8]>,
    /// Its version.
    pub version: u64,
    /// The copy's number.
    pub copy: u64,
    /// `expired` or `evicted`.
    pub reason: &'static str,
}

/// What a relief has beside its section.
pub struct Relief {
    /// Its tier.
    pub tier: Tier,
    /// The sibling it joins.
    pub sibling: RwLock<Option<Link>>,
    /// A link of its own for what is passed on, so that beats never wait behind it.
    pub handoffs: RwLock<Option<Link>>,
    /// How it talks to it.
    pub links: Links,
    /// Where the sibling is.
    pub sibling_addr: String,
    /// Where it tells others to reach it; empty for the address of its listener.
    pub announce: RwLock<String>,
    /// True if its announced listener speaks TLS.
    pub announce_tls: bool,
    /// What must not be stored again.
    pub tombs: Tombs,
    /// Flushes heard of, per database.
    pub flushed: [AtomicU64; 16],
    /// Copies lost that the relay does not know yet.
    pub dropped: Mutex<Vec<Dropped>>,
    /// Signalled when there is something to tell.
    pub wake: Notify,
    /// The index the relay gave it; 0 before it joined.
    pub index: AtomicU16,
    /// The schedule.
    pub params: RwLock<Params>,
    /// Demotions asked for by hand and not yet begun.
    pub asked: AtomicU64,
    /// Remaining life up to which an aging node takes victims.
    cutoff: Mutex<Cutoff>,
}

impl Relief {
    /// A relief that is not joined yet.
    pub fn new(
        tier: Tier,
        sibling_addr: String,
        announce: String,
        announce_tls: bool,
        links: Links,
        params: Params,
    ) -> Relief {
        Relief {
            tier,
            sibling: RwLock::new(None),
            handoffs: RwLock::new(None),
            links,
            sibling_addr,
            announce: RwLock::new(announce),
            announce_tls,
            tombs: Tombs::new(TOMBS_MAX),
            flushed: Default::default(),
            dropped: Mutex::default(),
            wake: Notify::new(),
            index: AtomicU16::new(0),
            params: RwLock::new(params),
            asked: AtomicU64::new(0),
            cutoff: Mutex::new(Cutoff(1_000)),
        }
    }

    /// True while it has its place in the family and the sibling can be reached.
    pub fn is_joined(&self) -> bool {
        let up = self.sibling.read().as_ref().is_some_and(Link::is_up);
        up && self.index.load(Ordering::Acquire) > 0
    }

    fn note(&self, dropped: Dropped) {
        let mut list = self.dropped.lock();
        if list.len() < DROPPED_MAX {
            list.push(dropped);
        }
        drop(list);
        self.wake.notify_one();
    }
}

/// The number of a copy: its block and the low bits of the block's generation. A number comes again only when
/// the same block was reused 262,144 times, far longer than any message is on its way.
pub fn copy_of(at: &BlockRef) -> u64 {
    ((at.generation() << 28) | (u64::from(at.index) & 0x0fff_ffff)) & ((1 << COPY_BITS) - 1)
}

/// The identity of a relief's contents: another section is another relief.
pub fn incarnation(node: &Node) -> String {
    format!("{:032x}", node.cache.section().nonce())
}

/// Stores a parcel. The copy's number, 0 when something newer is known, -1 when there is no room.
pub fn put(node: &Node, parcel: &ParcelRef<'_>) -> Result<i64, Refusal> {
    let Some(relief) = node.relief() else {
        return Err(Refusal::err("this node keeps no copies"));
    };
    let id = node.id(parcel.db, parcel.key);
    let _lock = node.stripes.lock(&id);
    let flushed = relief.flushed[usize::from(parcel.db & 15)].load(Ordering::Acquire);
    let now_ms = node.now_ms();
    let held = node.cache.section().peek(&id, parcel.key, now_ms);
    if parcel.version < flushed
        || relief.tombs.refuses(&id, parcel.version)
        || held.is_some_and(|meta| meta.version > parcel.version)
    {
        node.metrics.stale_refused.add(1);
        return Ok(0);
    }
    let record = NewRecord {
        id,
        db: parcel.db,
        key: parcel.key,
        value: parcel.value,
        version: parcel.version,
        deadline_ms: node.deadline(parcel.pttl),
        kind: parcel.kind,
        created_ms: now_ms.saturating_sub(parcel.age_ms),
    };
    // An equal version is stored anew on purpose: the copy gets a new number, so that an order to drop the
    // earlier one, still on its way, does not hit this one.
    for _ in 0..64 {
        match node.cache.section().put(&record, now_ms) {
            Ok(put) => return Ok(copy_of(&put.at) as i64),
            Err(PutError::Newer { .. }) => return Ok(0),
            Err(
                error @ (PutError::TooLarge { .. } | PutError::KeyTooLarge { .. } | PutError::Range { .. }),
            ) => {
                return Err(Refusal::err(error.to_string()));
            }
            Err(error) if relief.tier == Tier::Aging => {
                let bucket = matches!(error, PutError::BucketFull);
                if make_room(node, relief, bucket.then_some(&id)) == 0 {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    relief.wake.notify_one();
    Ok(-1)
}

/// Frees some records of an aging node, least remaining life first. Returns how many.
fn make_room(node: &Node, relief: &Relief, bucket: Option<&gs_client::cache::KeyId>) -> usize {
    let now_ms = node.now_ms();
    let mut victims: Vec<Victim> = Vec::new();
    if let Some(id) = bucket {
        node.cache.section().bucket_victims(id, now_ms, &mut victims);
    }
    for _ in 0..80 {
        if !victims.is_empty() {
            break;
        }
        let mut cutoff = relief.cutoff.lock();
        let mut seen = 0;
        node.cache.section().sweep(
            ROOM_PROBES,
            now_ms,
            &mut |view| {
                seen += 1;
                if view.remaining_ms.unwrap_or(u64::MAX) <= cutoff.0 { Verdict::Take } else { Verdict::Keep }
            },
            &mut victims,
        );
        *cutoff = cutoff.sooner(Swept { seen, taken: victims.len() as u32, wanted: 4 });
    }
    let (mut key, mut value) = (Vec::new(), Vec::new());
    let mut freed = 0;
    for victim in &victims {
        key.clear();
        value.clear();
        let meta = node.cache.section().copy_victim(&victim.at, &mut key, &mut value);
        match (node.cache.section().release(&victim.at), meta) {
            (Release::Freed, Some(meta)) => {
                freed += 1;
                node.metrics.evicted.add(1);
                node.metrics.lost.add(1);
                let copy = copy_of(&victim.at);
                let (db, version) = (meta.db, meta.version);
                relief.note(Dropped { db, key: key.as_slice().into(), version, copy, reason: "evicted" });
            }
            (Release::Changed, _) => {
                node.cache.section().abort(&victim.at);
            }
            _ => {}
        }
    }
    freed
}

/// Obeys an order about a key; how many copies it dropped.
pub fn obey(node: &Node, mode: crate::core::outbox::Mode, db: u8, key: &[u8]) -> u64 {
    use crate::core::outbox::Mode;
    let Some(relief) = node.relief() else { return 0 };
    let id = node.id(db, key);
    let _lock = node.stripes.lock(&id);
    let note = |kind, version| {
        let at = node.clock.unix_ms();
        relief.tombs.put(&id, Tomb { kind, version, gone_until: 0, at, owed: 0 });
    };
    match mode {
        Mode::Tomb(version) => note(Kind::Tomb, version),
        Mode::Floor(version) => note(Kind::Floor, version),
        Mode::Drop(_) => {}
    }
    let Some(meta) = node.cache.section().peek(&id, key, node.now_ms()) else {
        return 0;
    };
    let dies = match mode {
        Mode::Tomb(version) => meta.version <= version,
        Mode::Floor(version) => meta.version < version,
        Mode::Drop(copy) => copy_of(&meta.at) == copy,
    };
    u64::from(dies && node.cache.section().delete(&id, key).found.is_some())
}

/// Forgets everything of a database below a version.
pub fn flush(node: &Node, db: Option<u8>, version: u64) {
    let Some(relief) = node.relief() else { return };
    let _all = node.stripes.lock_all();
    for n in (0..16u8).filter(|n| db.is_none_or(|db| db == *n)) {
        let before = relief.flushed[usize::from(n)].fetch_max(version, Ordering::AcqRel);
        if before < version {
            node.cache.section().flush_db(Some(n), node.now_ms());
        }
    }
}

/// Starts a relief's background work.
pub fn start(node: Arc<Node>) {
    tokio::spawn(join(node.clone()));
    tokio::spawn(tell(node.clone()));
    tokio::spawn(expire(node.clone(), |node, meta: &Meta, key| {
        if let Some(relief) = node.relief() {
            let copy = copy_of(&meta.at);
            let (db, version) = (meta.db, meta.version);
            relief.note(Dropped { db, key: key.into(), version, copy, reason: "expired" });
        }
    }));
    tokio::spawn(forget(node.clone()));
    if node.role == NodeRole::Expansion {
        tokio::spawn(demote::pass_on(node));
    }
}

/// Forgets tombstones that no message on its way can be older than.
async fn forget(node: Arc<Node>) {
    while pause(&node, Duration::from_secs(10)).await {
        if let Some(relief) = node.relief() {
            let now = node.clock.unix_ms();
            relief.tombs.sweep(now, now.saturating_sub(TOMB_KEEP_MS));
        }
    }
}

/// Joins the sibling and beats; joins again whenever the sibling does not know it.
async fn join(node: Arc<Node>) {
    let Some(relief) = node.relief() else { return };
    let link = relief.links.open(&relief.sibling_addr);
    *relief.sibling.write() = Some(link.clone());
    *relief.handoffs.write() = Some(relief.links.open(&relief.sibling_addr));
    let incarnation = incarnation(&node);
    let mut joined_over = 0;
    loop {
        let connection = link.connections();
        if connection != joined_over || relief.index.load(Ordering::Acquire) == 0 {
            let geometry = node.cache.section().geometry();
            let capacity = (u64::from(geometry.blocks) * u64::from(geometry.block_bytes)).to_string();
            let tls = if relief.announce_tls { "1" } else { "0" };
            let addr = relief.announce.read().clone();
            let objects: u64 = (0..16).map(|db| node.cache.section().live_count(db)).sum();
            let held = objects.to_string();
            let role = node.role.word();
            let call = ["GS.SHARD", "JOIN", &node.name, role, &addr, &capacity, &incarnation, tls, &held];
            let args: Vec<&[u8]> = call.iter().map(|word| word.as_bytes()).collect();
            match link.call(&args).await {
                Ok(reply) => match reply.as_int() {
                    Some(index) => {
                        tracing::info!(index, sibling = link.addr(), "joined");
                        relief.index.store(index as u16, Ordering::Release);
                        joined_over = connection.max(1);
                        relief.wake.notify_one();
                    }
                    None => {
                        tracing::warn!(reply = ?error_text(&reply), "the sibling does not let this node join")
                    }
                },
                Err(error) => tracing::debug!(%error, "the sibling cannot be reached"),
            }
        } else {
            let stats = node.cache.section().stats();
            let objects: u64 = (0..16).map(|db| node.cache.section().live_count(db)).sum();
            let words = [objects, (stats.blocks - stats.free_blocks.min(stats.blocks)), stats.blocks]
                .map(|n| n.to_string());
            let call = ["GS.SHARD", "BEAT", &node.name, &incarnation, &words[0], &words[1], &words[2]];
            let args: Vec<&[u8]> = call.iter().map(|word| word.as_bytes()).collect();
            if let Ok(Reply::Error(_)) = link.call(&args).await {
                relief.index.store(0, Ordering::Release);
                continue;
            }
        }
        if !pause(&node, node.settings.heartbeat).await {
            return;
        }
    }
}

fn error_text(reply: &Reply) -> String {
    match reply {
        Reply::Error(text) => text.clone(),
        _ => "an unexpected reply".into(),
    }
}

/// Tells the sibling which copies are gone, in batches, until it heard.
async fn tell(node: Arc<Node>) {
    let Some(relief) = node.relief() else { return };
    loop {
        let batch: Vec<Dropped> = {
            let mut list = relief.dropped.lock();
            let n = list.len().min(512);
            list.drain(..n).collect()
        };
        let link = relief.sibling.read().clone();
        let joined = relief.index.load(Ordering::Acquire) != 0;
        if let (false, Some(link), true) = (batch.is_empty(), link, joined) {
            let mut out =
                wire::batch_head("GS.DROPPED", &[node.name.as_bytes()], batch.len(), wire::DROPPED_WORDS);
            for item in &batch {
                encode_arg_u64(&mut out, u64::from(item.db));
                encode_arg(&mut out, &item.key);
                encode_arg_u64(&mut out, item.version);
                encode_arg_u64(&mut out, item.copy);
                encode_arg(&mut out, item.reason.as_bytes());
            }
            let told = matches!(link.call_encoded(out, 1).await.as_deref(), Ok([reply]) if reply.is_ok());
            if told {
                continue;
            }
        }
        if !batch.is_empty() {
            let mut list = relief.dropped.lock();
            let mut rest = std::mem::replace(&mut *list, batch);
            list.append(&mut rest);
        }
        let mut stop = node.stopping();
        let retry = Duration::from_millis(200);
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = relief.wake.notified() => {}
            () = tokio::time::sleep(retry) => {}
        }
    }
}

/// The parcel of a victim.
pub fn parcel(node: &Node, meta: &Meta, key: &[u8], value: &[u8]) -> Parcel {
    Parcel {
        db: meta.db,
        key: key.to_vec(),
        version: meta.version,
        pttl: node.pttl(meta.deadline_ms),
        kind: meta.kind,
        age_ms: node.now_ms().saturating_sub(meta.created_ms),
        value: value.to_vec(),
    }
}
