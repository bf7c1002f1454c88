//! Bringing a key up: what a relay does before a command can run on a session that lives downstream.
//!
//! A thousand misses of one key make one question. What is found is kept here with its version and its
//! remaining life, its copy below becomes unreadable, and its holder is told to drop it. `nil` is only said
//! when every possible holder said that it has nothing; otherwise the answer is `-UNAVAILABLE`.

mod copies;
mod outside;
mod together;

pub use copies::list;
pub use outside::{Outside, external_answer};

use crate::core::keyspace::{Fetched, Origin, Scope, Stop};
use crate::core::members::State;
use crate::core::node::{Node, Relay};
use crate::core::resolve::copies::{Kept, count_climb, fetch, keep};
use crate::core::resolve::outside::ask_outside;
use gs_resp::{Code, Refusal};
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
    Here(Option<Origin>),
    /// It was found, but there is no room for it here.
    Fetched(Fetched, Option<Origin>),
    /// Nobody has it.
    Absent,
    /// Somebody who may have it cannot be asked.
    Unknown(Refusal),
}

/// Clears what stopped a command, or says why it cannot be cleared. Keys `ahead`, which the next commands will want,
/// are brought up along with those of this one where that is plain.
pub async fn clear_the_way(
    node: &Arc<Node>,
    stop: Stop,
    ahead: Vec<(u8, Box<[u8]>)>,
    scope: &mut Scope,
    waited: &mut Waited,
) -> Result<(), Refusal> {
    match stop {
        Stop::Refuse(refusal) => Err(refusal),
        Stop::Full => wait_for_room(node, waited).await,
        Stop::Below(keys) => {
            let wanted = keys.len();
            let keys: Vec<_> = keys.into_iter().chain(ahead).collect();
            let mut found = match keys.len() {
                1 => vec![None],
                // A task of its own, as each look-up: the connection may end, it must not end half way.
                _ => tokio::spawn(together::bring_up(node.clone(), keys.clone(), wanted))
                    .await
                    .unwrap_or_default(),
            };
            found.resize_with(keys.len(), || None);
            for (key, found) in keys[wanted..].iter().zip(found.split_off(wanted)) {
                match found {
                    Some(Found::Here(Some(origin))) => scope.brought.push((key.clone(), origin)),
                    Some(Found::Fetched(..)) => scope.crowded = true,
                    _ => {}
                }
            }
            let one_by_one = |(found, (db, key)): (Option<Found>, &(u8, Box<[u8]>))| match found {
                Some(found) => Ok(found),
                None => Err(tokio::spawn(find(node.clone(), *db, key.clone()))),
            };
            let found: Vec<_> = found.into_iter().zip(&keys).map(one_by_one).collect();
            for (key, found) in keys.into_iter().zip(found) {
                let found = match found {
                    Ok(found) => found,
                    Err(task) => task.await.map_err(|_| Refusal::err("the look-up downstream failed"))?,
                };
                match found {
                    Found::Here(origin) => scope.origin = origin.or(scope.origin.take()),
                    Found::Fetched(record, origin) => {
                        count_climb(node, origin.as_ref());
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
    let id = node.id(db, &key);
    if !node.relay().is_some_and(|relay| relay.directory.is_below(&id)) {
        return false;
    }
    // A task of its own: the connection that asks may end, the look-up must not end half way.
    matches!(tokio::spawn(find(node, db, key)).await, Ok(Found::Here(_)))
}

/// Ends a look-up however it ends, so that nobody waits for one that is gone.
struct Landing<'a> {
    relay: &'a Relay,
    slot: &'a (u8, Box<[u8]>),
    done: watch::Sender<bool>,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.relay.flights.remove(self.slot);
        self.done.send_replace(true);
    }
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
            let landing = Landing { relay, slot: &slot, done };
            let found = ask(&node, relay, db, &key).await;
            drop(landing);
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
        holders.sort_by_key(|holder| (std::cmp::Reverse(holder.version), holder.second));
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
                    if node.cache.section().fence(&id) == fence
                        && relay.directory.remove(&id, db, holder.node, holder.copy)
                    {
                        if relay.directory.is_below(&id) {
                            relay.directory.count_second(&id, db);
                        } else {
                            // Its holder's own word of it comes later, and finds nothing to be told any more.
                            node.expired(db, key, &id);
                        }
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
