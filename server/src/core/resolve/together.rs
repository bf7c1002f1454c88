//! Many keys brought up with one question to each relief that holds some of them: a pipeline of misses, or a command
//! with many keys, costs one message on each link instead of one for each key.
//!
//! Only the plain case is dealt with here: a key with a readable copy, whose holder has it and that can be kept.
//! Whatever else turns out leaves the key to [`super::find`], which judges it alone.

use super::copies::{Copy, Kept, fetch_many, keep};
use super::{Found, Landing};
use crate::core::directory::Holder;
use crate::core::node::{Node, Relay};
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::watch;

/// Brings keys up that are readable at a relief, each of them once. For every key what came of it, or none where it has
/// to be looked for alone. Those behind the first `wanted` come along only from reliefs that are asked anyway: nobody
/// waits for another one on their account.
pub(super) async fn bring_up(
    node: Arc<Node>,
    keys: Vec<(u8, Box<[u8]>)>,
    wanted: usize,
) -> Vec<Option<Found>> {
    let mut found: Vec<Option<Found>> = keys.iter().map(|_| None).collect();
    let Some(relay) = node.relay() else { return found };
    let mut sought: Vec<Sought<'_>> = Vec::new();
    for (at, slot) in keys.iter().enumerate() {
        // Somebody who looks for it already is waited for elsewhere.
        let Some(landing) = lead(relay, slot) else { continue };
        let id = node.id(slot.0, &slot.1);
        if node.cache.section().peek(&id, &slot.1, node.now_ms()).is_some() {
            found[at] = Some(Found::Here(None));
            continue;
        }
        let mut holders = relay.directory.holders(&id);
        holders.retain(|holder| !holder.shadow);
        let only = holders.len() == 1;
        let best =
            holders.into_iter().min_by_key(|holder| (std::cmp::Reverse(holder.version), holder.second));
        if let Some(holder) = best {
            sought.push(Sought { at, holder, only, slot, landing });
        }
    }
    let asked: HashSet<u16> =
        sought.iter().filter(|one| one.at < wanted).map(|one| one.holder.node).collect();
    sought.retain(|one| asked.contains(&one.holder.node));
    // Stable: keys of one holder stay in the order of the pipeline.
    sought.sort_by_key(|one| (one.holder.node, one.slot.0));
    let questions: Vec<_> = sought
        .chunk_by(|a, b| (a.holder.node, a.slot.0) == (b.holder.node, b.slot.0))
        .map(|group| {
            let keys: Vec<&[u8]> = group.iter().map(|one| &*one.slot.1).collect();
            (keys.len(), fetch_many(&node, group[0].holder.node, group[0].slot.0, &keys))
        })
        .collect();
    let mut sought = sought.into_iter();
    for (asked, answer) in questions {
        let answer = match answer {
            Ok(answer) => answer.await,
            Err(refusal) => Err(refusal),
        };
        let (mut copies, silent) = match answer {
            Ok(copies) => (copies.into_iter(), None),
            Err(refusal) => (Vec::new().into_iter(), Some(refusal)),
        };
        for one in sought.by_ref().take(asked) {
            let at = one.at;
            found[at] = match (copies.next().flatten(), &silent) {
                (Some(copy), _) => one.kept(&node, relay, copy),
                // Asked again it would be as silent, and for as long.
                (None, Some(refusal)) if one.only => Some(Found::Unknown(refusal.clone())),
                (None, _) => None,
            };
        }
    }
    found
}

/// A key whose copy is asked for; others who want it wait for the landing.
struct Sought<'a> {
    at: usize,
    holder: Holder,
    /// True if nobody else has a readable copy.
    only: bool,
    slot: &'a (u8, Box<[u8]>),
    landing: Landing<'a>,
}

impl Sought<'_> {
    fn kept(self, node: &Node, relay: &Relay, copy: Copy) -> Option<Found> {
        let kept = keep(node, relay, &self.holder, self.slot.0, &self.slot.1, &copy);
        drop(self.landing);
        match kept {
            Kept::Here(origin) => Some(Found::Here(origin)),
            Kept::NoRoom(record, origin) => Some(Found::Fetched(record, origin)),
            Kept::Stale => None,
        }
    }
}

/// Becomes who looks for a key, unless somebody does already.
fn lead<'a>(relay: &'a Relay, slot: &'a (u8, Box<[u8]>)) -> Option<Landing<'a>> {
    match relay.flights.entry(slot.clone()) {
        dashmap::Entry::Occupied(_) => None,
        dashmap::Entry::Vacant(vacant) => {
            let (done, seen) = watch::channel(false);
            vacant.insert(seen);
            Some(Landing { relay, slot, done })
        }
    }
}
