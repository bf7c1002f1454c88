//! Bringing a key up: what a relay does before a command can run on a session that lives downstream.
//!
//! A thousand misses of one key make one question. What is found is kept here with its version and its
//! remaining life, its copy below becomes unreadable, and its holder is told to drop it. `nil` is only said
//! when every possible holder said that it has nothing; otherwise the answer is `-UNAVAILABLE`.

use crate::core::directory::Holder;
use crate::core::keyspace::{Fetched, Scope, Stop};
use crate::core::members::State;
use crate::core::members::Tier;
use crate::core::node::{Node, Relay};
use crate::core::outbox::{Mode, Order};
use crate::core::topics::{self, Notice};
use gs_client::cache::{BlockRef, Meta, NewRecord, PutError, RecordState};
use gs_client::link::Link;
use gs_resp::{Code, Refusal, Reply};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often a key is looked for again when it moved meanwhile.
const ATTEMPTS: usize = 16;

/// How long one command has waited so far.
#[derive(Default)]
pub struct Waited {
    room_until_ms: Option<u64>,
}

/// What a look-up downstream found.
enum Found {
    /// The key is resident now, or may be: run the command again.
    Here(Option<(Tier, String)>),
    /// It was found, but there is no room for it here.
    Fetched(Fetched, Option<(Tier, String)>),
    /// Nobody has it.
    Absent,
    /// Somebody who may have it cannot be asked.
    Unknown(Refusal),
}

/// Clears what stopped a command, or says why it cannot be cleared.
pub async fn clear_the_way(
    node: &Arc<Node>,
    db: u8,
    stop: Stop,
    scope: &mut Scope,
    waited: &mut Waited,
) -> Result<(), Refusal> {
    match stop {
        Stop::Refuse(refusal) => Err(refusal),
        Stop::Full => wait_for_room(node, waited).await,
        Stop::Below(keys) => {
            let tasks: Vec<_> =
                keys.iter().map(|key| tokio::spawn(find(node.clone(), db, key.clone()))).collect();
            for (key, task) in keys.into_iter().zip(tasks) {
                let found = task.await.map_err(|_| Refusal::err("the look-up downstream failed"))?;
                match found {
                    Found::Here(origin) => scope.origin = origin.or(scope.origin.take()),
                    Found::Fetched(record, origin) => {
                        scope.fetched.push(record);
                        scope.origin = origin.or(scope.origin.take());
                    }
                    Found::Absent => scope.absent.push(key),
                    Found::Unknown(refusal) => return Err(refusal),
                }
            }
            Ok(())
        }
    }
}

/// Waits until the demoter made room, at most `full_wait` for one command.
async fn wait_for_room(node: &Arc<Node>, waited: &mut Waited) -> Result<(), Refusal> {
    let now_ms = node.now_ms();
    let until_ms = *waited.room_until_ms.get_or_insert(now_ms + node.settings.full_wait.as_millis() as u64);
    if node.drops_when_full() {
        if crate::roles::relay::drop_some(node) > 0 {
            return Ok(());
        }
    } else if let Some(link) = node.relay().and_then(Relay::downstream) {
        // Not awaited: it only makes the demoter look at once.
        let _sent = link.start(relieve(), 1, Duration::from_secs(1));
    }
    let refusal = || {
        node.metrics.oom.add(1);
        let stats = node.cache.section().stats();
        Refusal::new(
            Code::Oom,
            format!(
                "the section of this node is full ({} of {} blocks) and no relief made room within {} ms; add a relief \
                 node, raise capacity, or set section.on_full = \"drop\"",
                stats.blocks - stats.free_blocks.min(stats.blocks),
                stats.blocks,
                node.settings.full_wait.as_millis()
            ),
        )
    };
    if now_ms >= until_ms {
        return Err(refusal());
    }
    // Room is freed in batches and taken by many: look again soon even if this waiter was not the one woken.
    tokio::select! {
        () = node.room.notified() => {}
        () = tokio::time::sleep(Duration::from_millis(2)) => {}
    }
    Ok(())
}

fn relieve() -> Vec<u8> {
    let mut out = Vec::new();
    gs_resp::encode_command(&mut out, &[b"GS.RELIEVE"]);
    out
}

/// Brings a key up; used by the sibling's hand-back. True when it is resident afterwards.
pub async fn promote(node: Arc<Node>, db: u8, key: Box<[u8]>) -> bool {
    matches!(find(node, db, key).await, Found::Here(_))
}

/// Looks a key up downstream; only one look-up of a key runs at a time.
async fn find(node: Arc<Node>, db: u8, key: Box<[u8]>) -> Found {
    let Some(relay) = node.relay() else {
        return Found::Absent;
    };
    let slot = (db, key.clone());
    for _ in 0..ATTEMPTS {
        // The entry's guard must not live across an await.
        let (lead, mut seen) = {
            let (sender, receiver) = watch::channel(false);
            let mut lead = None;
            let seen = relay
                .flights
                .entry(slot.clone())
                .or_insert_with(|| {
                    lead = Some(sender);
                    receiver
                })
                .value()
                .clone();
            (lead, seen)
        };
        if let Some(done) = lead {
            let found = ask(&node, relay, db, &key).await;
            relay.flights.remove(&slot);
            done.send_replace(true);
            return found;
        }
        node.metrics.single_flight_joined.add(1);
        // The leader's task cannot be cancelled; an error would mean that it panicked, and then we lead.
        let _ = seen.wait_for(|done| *done).await;
        let id = node.id(db, &key);
        if node.cache.section().peek(&id, &key, node.now_ms()).is_some() {
            return Found::Here(None);
        }
        if !relay.directory.is_below(&id) && !relay.has_unreported() {
            return Found::Here(None);
        }
    }
    Found::Unknown(Refusal::new(Code::TryAgain, "the key keeps moving between tiers; send it again"))
}

async fn ask(node: &Arc<Node>, relay: &Relay, db: u8, key: &[u8]) -> Found {
    let id = node.id(db, key);
    for _ in 0..ATTEMPTS {
        let fence = node.cache.section().fence(&id);
        if node.cache.section().peek(&id, key, node.now_ms()).is_some() {
            return Found::Here(None);
        }
        let mut holders = relay.directory.holders(&id);
        holders.retain(|holder| !holder.shadow);
        holders.sort_by_key(|holder| std::cmp::Reverse(holder.version));
        let mut unknown = None;
        for holder in &holders {
            match fetch(node, relay, holder.node, db, key).await {
                Ok(Some(fetched)) => match keep(node, relay, holder, db, key, &fetched) {
                    Kept::Here(origin) => return Found::Here(origin),
                    Kept::NoRoom(record, origin) => return Found::Fetched(record, origin),
                    Kept::Stale => {}
                },
                // The holder no longer has it: it expired there, or was lost; forget it unless it moved.
                Ok(None) => {
                    let _lock = node.stripes.lock(&id);
                    if node.cache.section().fence(&id) == fence {
                        relay.directory.remove(&id, db, holder.node, holder.copy);
                    }
                }
                Err(refusal) => unknown = Some(refusal),
            }
        }
        if let Some(refusal) = unknown {
            return Found::Unknown(refusal);
        }
        if holders.is_empty() {
            match ask_unreported(node, relay, db, key).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(refusal) => return Found::Unknown(refusal),
            }
            if node.cache.section().fence(&id) == fence {
                return ask_outside(node, db, key).await;
            }
        }
    }
    Found::Unknown(Refusal::new(Code::TryAgain, "the key keeps moving between tiers; send it again"))
}

/// Asks reliefs whose holdings are not known yet. True when one has it: it is listed now.
async fn ask_unreported(node: &Arc<Node>, relay: &Relay, db: u8, key: &[u8]) -> Result<bool, Refusal> {
    let mut found = false;
    for member in relay.members.unreported() {
        if member.state != State::Up {
            return Err(Refusal::new(
                Code::Unavailable,
                format!(
                    "relief '{}' may hold the session and has not come back yet; try again later, or give it up with \
                     GS.SHARD LEAVE {} FORCE",
                    member.name, member.name
                ),
            ));
        }
        if let Some(fetched) = fetch(node, relay, member.index, db, key).await? {
            found |= list(node, member.index, db, key, fetched.meta.version, fetched.copy);
        }
    }
    Ok(found)
}

/// Lists a copy that a relief reported, or orders it dropped where something newer is known. True if listed.
pub fn list(node: &Node, index: u16, db: u8, key: &[u8], version: u64, copy: u64) -> bool {
    let Some(relay) = node.relay() else { return false };
    let id = node.id(db, key);
    let _lock = node.stripes.lock(&id);
    // The copy may just have been stored, and the message that it was may be on its way: condemned, it is not
    // listed when that arrives, and its sender keeps the original.
    let condemn = || {
        relay.condemned.lock().insert((index, copy), node.clock.unix_ms());
        relay.outbox.push(index, Order { mode: Mode::Drop(copy), db, key: key.into(), id, copy });
    };
    let flushed = relay.flushed[usize::from(db & 15)].load(std::sync::atomic::Ordering::Acquire);
    let resident = node.cache.section().peek(&id, key, node.now_ms());
    if relay.quarantine || version < flushed || relay.tombs.refuses(&id, version) {
        condemn();
        return false;
    }
    let holders = relay.directory.holders(&id);
    if holders.iter().any(|h| h.node == index && (h.copy == copy || (h.version == version && !h.shadow))) {
        return holders.iter().any(|h| h.node == index && !h.shadow);
    }
    if let Some(meta) = resident {
        if meta.version == version && node.paths.of(key).copies > 1 {
            relay.directory.insert_second(&id, db, index, version, copy);
        } else {
            condemn();
        }
        return false;
    }
    if holders.iter().any(|h| !h.shadow && h.node != index && h.version >= version) {
        condemn();
        return true;
    }
    for old in relay.directory.insert(&id, db, index, version, copy) {
        let mode = Mode::Floor(version);
        relay.outbox.push(old.node, Order { mode, db, key: key.into(), id, copy: old.copy });
    }
    true
}

/// A copy as its holder sent it.
struct Copy {
    meta: Meta,
    copy: u64,
    value: Vec<u8>,
}

/// Asks one relief, through the sibling.
async fn fetch(
    node: &Arc<Node>,
    relay: &Relay,
    holder: u16,
    db: u8,
    key: &[u8],
) -> Result<Option<Copy>, Refusal> {
    let member = relay.members.get(holder);
    let name = member.as_ref().map_or("a relief that was given up", |m| m.name.as_str());
    let cut_off = |why: &str| {
        let text = format!("the session may be on relief '{name}', {why}; try again later");
        Refusal::new(Code::Unavailable, text)
    };
    if member.as_ref().is_none_or(|m| m.state == State::Lost) {
        return Err(cut_off(
            "which came back without its sessions (GS.SHARD LEAVE name FORCE gives them up)",
        ));
    }
    let link: Link = relay.downstream().ok_or_else(|| cut_off("and the sibling is not there"))?;
    let (index, db_word) = (holder.to_string(), db.to_string());
    let call: [&[u8]; 4] = [b"GS.FETCH", index.as_bytes(), db_word.as_bytes(), key];
    let reply = link.call(&call).await.map_err(|_| cut_off("and the sibling does not answer"))?;
    match &reply {
        Reply::Null => Ok(None),
        Reply::Array(words) => {
            parse_copy(node, db, words).map(Some).ok_or_else(|| cut_off("whose answer was not understood"))
        }
        _ => Err(cut_off("which cannot be reached")),
    }
}

fn parse_copy(node: &Node, db: u8, words: &[Reply]) -> Option<Copy> {
    let [version, pttl, kind, age_ms, idle_ms, copy, value] = words else {
        return None;
    };
    let now_ms = node.now_ms();
    let value = value.as_bytes()?.to_vec();
    let meta = Meta {
        version: version.as_int()? as u64,
        deadline_ms: node.deadline(pttl.as_int()?),
        kind: kind.as_int()? as u8,
        db,
        value_len: value.len() as u32,
        key_len: 0,
        created_ms: now_ms.saturating_sub(age_ms.as_int()? as u64),
        idle_ms: idle_ms.as_int()? as u64,
        refs: 0,
        state: RecordState::Live,
        at: BlockRef { index: 0, ctl: 0, w4: 0 },
    };
    Some(Copy { meta, copy: copy.as_int()? as u64, value })
}

enum Kept {
    Here(Option<(Tier, String)>),
    NoRoom(Fetched, Option<(Tier, String)>),
    Stale,
}

/// Keeps a fetched copy here, if it still is the one to be read.
fn keep(node: &Node, relay: &Relay, holder: &Holder, db: u8, key: &[u8], fetched: &Copy) -> Kept {
    let id = node.id(db, key);
    let member = relay.members.get(holder.node);
    let origin = member.map(|m| (m.tier, m.name));
    let tier = origin.as_ref().map(|(tier, _)| *tier);
    let _lock = node.stripes.lock(&id);
    // The number may have moved on when the same version was stored there again; the bytes are the same.
    let same = |h: &Holder| h.node == holder.node && h.version == fetched.meta.version && !h.shadow;
    if !relay.directory.holders(&id).iter().any(same) || relay.tombs.refuses(&id, fetched.meta.version) {
        return Kept::Stale;
    }
    match tier {
        Some(Tier::Expansion) => node.metrics.hits_expansion.add(1),
        _ => node.metrics.hits_aging.add(1),
    }
    let now_ms = node.now_ms();
    let meta = fetched.meta;
    let record = NewRecord {
        id,
        db,
        key,
        value: &fetched.value,
        version: meta.version,
        deadline_ms: meta.deadline_ms,
        kind: meta.kind,
        created_ms: meta.created_ms,
    };
    let _move = node.stripes.moving();
    match node.cache.section().put(&record, now_ms) {
        Ok(_) => {}
        Err(PutError::Full { .. } | PutError::BucketFull) => {
            let record = Fetched { key: key.into(), meta, value: fetched.value.clone() };
            return Kept::NoRoom(record, origin);
        }
        Err(_) => return Kept::Stale,
    }
    relay.moves.push(db, key);
    node.metrics.promoted.add(1);
    for old in relay.directory.shadow_all(&id, db).0 {
        let mode = match old.node == holder.node {
            true => Mode::Drop(fetched.copy),
            false if old.version < meta.version => Mode::Floor(meta.version),
            false => Mode::Drop(old.copy),
        };
        relay.outbox.push(old.node, Order { mode, db, key: key.into(), id, copy: old.copy });
    }
    Kept::Here(origin)
}

/// Asks external validators for a key that no tier has, where the path allows it and somebody listens.
async fn ask_outside(node: &Arc<Node>, db: u8, key: &[u8]) -> Found {
    let path = node.paths.of(key);
    let (Some(wait), true) = (path.external_wait, node.is_validated_outside(key)) else {
        return Found::Absent;
    };
    let requester = format!("{}-{:x}", node.name, node.metrics.external_asked.get());
    node.metrics.external_asked.add(1);
    let answer = node.outside.expect(&requester);
    let notice = Notice { db, key, requester: Some(&requester), reason: "miss", ..Notice::default() };
    topics::publish(&node.bus, &path.name, "need_session", &notice);
    let answer = tokio::time::timeout(wait, answer).await.ok().and_then(Result::ok);
    node.outside.forget(&requester);
    let Some(answer) = answer.filter(|answer| answer.key == key) else {
        return Found::Absent;
    };
    let Some(value) = answer.value else {
        return Found::Absent;
    };
    let deadline_ms = answer.pttl.map_or(0, |ms| node.now_ms() + ms.max(1));
    let id = node.id(db, key);
    let _lock = node.stripes.lock(&id);
    if node.cache.section().peek(&id, key, node.now_ms()).is_none() {
        let write = crate::core::keyspace::Write { db, key, value: &value, kind: 0, deadline_ms };
        if node.write(&write).is_err() {
            return Found::Absent;
        }
        node.metrics.external_answered.add(1);
    }
    Found::Here(None)
}

/// A message on a `session_known-<requester>` channel: the answer somebody here may wait for.
pub fn external_answer(node: &Node, channel: &[u8], payload: &[u8]) {
    let Some(at) = channel.windows(15).position(|w| w == b"/session_known-") else {
        return;
    };
    let Ok(requester) = std::str::from_utf8(&channel[at + 15..]) else {
        return;
    };
    if let Some(answer) = topics::parse_answer(payload) {
        node.outside.answer(requester, answer);
    }
}

/// Questions to external validators that are under way.
#[derive(Default)]
pub struct Outside {
    waiting: dashmap::DashMap<String, tokio::sync::oneshot::Sender<topics::Answer>>,
}

impl Outside {
    fn expect(&self, requester: &str) -> tokio::sync::oneshot::Receiver<topics::Answer> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.waiting.insert(requester.to_string(), sender);
        receiver
    }

    fn forget(&self, requester: &str) {
        self.waiting.remove(requester);
    }

    fn answer(&self, requester: &str, answer: topics::Answer) {
        if let Some((_, sender)) = self.waiting.remove(requester) {
            // The asker may have given up at this moment.
            let _ = sender.send(answer);
        }
    }
}
