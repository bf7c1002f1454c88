//! The copies that reliefs hold of a key: asked for, listed, kept here.

use crate::core::directory::Holder;
use crate::core::keyspace::{Fetched, Origin};
use crate::core::members::{State, Tier};
use crate::core::node::{Node, Relay};
use crate::core::outbox::{Mode, Order};
use gs_client::cache::{BlockRef, Meta, NewRecord, PutError, RecordState};
use gs_client::link::Link;
use gs_resp::{Code, Refusal, Reply};
use std::sync::Arc;
use std::sync::atomic::Ordering;

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
    let flushed = relay.flushed[usize::from(db & 15)].load(Ordering::Acquire);
    let resident = node.cache.section().peek(&id, key, node.now_ms());
    if relay.is_condemned(index, copy) || relay.is_lost(index) {
        return false;
    }
    if relay.quarantine || version < flushed || relay.tombs.refuses(&id, version) {
        condemn();
        return false;
    }
    let holders = relay.directory.holders(&id);
    if relay.directory.renumber(&id, db, index, version, copy) {
        return true;
    }
    if holders.iter().any(|h| h.node == index && h.copy == copy) {
        return false;
    }
    if let Some(meta) = resident {
        if meta.version == version && node.paths.of(key).copies > 1 {
            relay.directory.insert_second(&id, db, index, version, copy);
        } else {
            condemn();
        }
        return false;
    }
    let newer = |h: &Holder| !h.shadow && h.node != index && h.version >= version && !relay.is_lost(h.node);
    if holders.iter().any(newer) {
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
pub(super) struct Copy {
    pub(super) meta: Meta,
    pub(super) copy: u64,
    value: Vec<u8>,
}

/// Asks one relief, through the sibling.
pub(super) async fn fetch(
    node: &Arc<Node>,
    relay: &Relay,
    holder: u16,
    db: u8,
    key: &[u8],
) -> Result<Option<Copy>, Refusal> {
    let cut_off = |why: &str| cut_off(relay, holder, why);
    let link = link_to(node, relay, holder)?;
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

fn cut_off(relay: &Relay, holder: u16, why: &str) -> Refusal {
    let member = relay.members.get(holder);
    let name = member.as_ref().map_or("a relief that was given up", |m| m.name.as_str());
    let text = format!("the session may be on relief '{name}', {why}; try again later");
    Refusal::new(Code::Unavailable, text)
}

fn link_to(node: &Node, relay: &Relay, holder: u16) -> Result<Link, Refusal> {
    if relay.members.state(holder).is_none_or(|state| state == State::Lost) {
        let why = "which came back without its sessions (GS.SHARD LEAVE name FORCE gives them up)";
        return Err(cut_off(relay, holder, why));
    }
    node.downstream_to(holder).ok_or_else(|| cut_off(relay, holder, "and the sibling is not there"))
}

/// A copy or none for each key that was asked for; maybe only for the first ones.
pub(super) type Copies = Result<Vec<Option<Copy>>, Refusal>;

/// Asks one relief for copies of several keys at once. The question is on its way when this returns. The answer holds
/// a copy or none for each, in their order; where it ends early, nothing is known of the rest.
pub(super) fn fetch_many(
    node: &Arc<Node>,
    holder: u16,
    db: u8,
    keys: &[&[u8]],
) -> Result<impl Future<Output = Copies> + use<>, Refusal> {
    let relay = node.relay().ok_or_else(|| Refusal::err("only a relay asks for copies"))?;
    let link = link_to(node, relay, holder)?;
    let (index, db_word) = (holder.to_string(), db.to_string());
    let mut call: Vec<&[u8]> = vec![b"GS.FETCH", index.as_bytes(), db_word.as_bytes()];
    call.extend_from_slice(keys);
    let mut bytes = Vec::new();
    gs_resp::encode_command(&mut bytes, &call);
    let limit = link.call_timeout();
    let answer = link.start(bytes, 1, limit).map_err(|_| cut_off(relay, holder, "and it is not asked"))?;
    let (node, alone) = (node.clone(), keys.len() == 1);
    let silent = cut_off(relay, holder, "and the sibling does not answer");
    let away = cut_off(relay, holder, "which cannot be reached");
    Ok(async move {
        let copy = |reply: &Reply| reply.as_array().and_then(|words| parse_copy(&node, db, words));
        match answer.await.map_err(|_| silent)?.pop() {
            None | Some(Reply::Error(_)) => Err(away),
            Some(reply) if alone => Ok(vec![copy(&reply)]),
            Some(Reply::Array(replies)) => Ok(replies.iter().map(copy).collect()),
            Some(_) => Ok(Vec::new()),
        }
    })
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

/// A key that a command wants was found below: counted once, where it is kept, or else where it is answered.
pub(super) fn count_climb(node: &Node, origin: Option<&Origin>) {
    match origin {
        Some((Tier::Expansion, _)) => node.metrics.hits_expansion.add(1),
        _ => node.metrics.hits_aging.add(1),
    }
}

pub(super) enum Kept {
    Here(Option<Origin>),
    NoRoom(Fetched, Option<Origin>),
    Stale,
}

/// Keeps a fetched copy here, if it still is the one to be read.
pub(super) fn keep(node: &Node, relay: &Relay, holder: &Holder, db: u8, key: &[u8], fetched: &Copy) -> Kept {
    let id = node.id(db, key);
    let origin = relay.members.origin(holder.node);
    let _lock = node.stripes.lock(&id);
    // The number may have moved on when the same version was stored there again; the bytes are the same.
    let same = |h: &Holder| h.node == holder.node && h.version == fetched.meta.version && !h.shadow;
    if !relay.directory.holders(&id).iter().any(same) || relay.tombs.refuses(&id, fetched.meta.version) {
        return Kept::Stale;
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
            let record = Fetched { db, key: key.into(), meta, value: fetched.value.clone() };
            return Kept::NoRoom(record, origin);
        }
        Err(_) => return Kept::Stale,
    }
    relay.moves.push(db, key);
    node.metrics.promoted.add(1);
    count_climb(node, origin.as_ref());
    for old in relay.directory.shadow_all(&id, db).0 {
        // By the number that is listed: another one that the holder has by now is still to be reported, and its
        // report finds nothing that it could be listed for.
        let mode = match old.version < meta.version {
            true => Mode::Floor(meta.version),
            false => Mode::Drop(old.copy),
        };
        relay.outbox.push(old.node, Order { mode, db, key: key.into(), id, copy: old.copy });
    }
    Kept::Here(origin)
}
