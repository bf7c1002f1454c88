//! Going through the keys: SCAN and KEYS, on a relay for the whole family.
//!
//! A scan goes through this section by buckets, then through the reliefs one after the other (expansion nodes
//! before aging nodes, because sessions pass in that direction), then over the keys that moved up or changed
//! their bucket since it began. What exists the whole time is so returned at least once; what moves may be
//! returned twice, as in Redis. A copy below is only listed where it is the one to be read.

use crate::core::members::{Member, State, Tier};
use crate::core::node::{Node, Relay};
use crate::roles::sibling::keys_page;
use gs_resp::{Code, Refusal};
use std::collections::HashSet;
use std::sync::Arc;

/// The cursor is stage7 | start of the moves20 | position36: one number without state on the node.
const POSITION_BITS: u32 = 36;
const MOVES_BITS: u32 = 20;
const STAGES: u64 = 1 << 7;
/// The stage that walks the moves; reliefs are the stages from 1 on.
const STAGE_MOVES: u64 = STAGES - 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    stage: u64,
    /// Low bits of the number of the first move that the scan may have missed.
    moves: u64,
    position: u64,
}

impl Cursor {
    fn parse(n: u64) -> Cursor {
        Cursor {
            stage: n >> (POSITION_BITS + MOVES_BITS) & (STAGES - 1),
            moves: n >> POSITION_BITS & ((1 << MOVES_BITS) - 1),
            position: n & ((1 << POSITION_BITS) - 1),
        }
    }

    fn number(self) -> u64 {
        (self.stage << (POSITION_BITS + MOVES_BITS))
            | (self.moves << POSITION_BITS)
            | (self.position & ((1 << POSITION_BITS) - 1))
    }
}

/// A key that an iteration met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The key.
    pub key: Box<[u8]>,
    /// What its record holds; none where the key moved down again behind the iteration.
    pub kind: Option<u8>,
}

/// Keys of one page.
pub type Keys = Vec<Listed>;

/// What one step of a page came to.
enum Step {
    /// Go on there; none at the end.
    On(Option<Cursor>),
    /// A relief has to be asked.
    Below,
}

/// Takes what is known here without asking anybody.
fn step(node: &Node, db: u8, at: Cursor, count: usize, keys: &mut Keys) -> Step {
    match at.stage {
        0 => Step::On(match here(node, db, at.position, count, keys) {
            Some(position) => Some(Cursor { position, ..at }),
            None if node.relay().is_some() => Some(Cursor { stage: 1, position: 0, ..at }),
            None => None,
        }),
        STAGE_MOVES => Step::On(moved(node, db, at, count, keys)),
        _ if node.relay().is_none_or(|relay| relay.directory.is_empty()) => {
            Step::On(Some(Cursor { stage: STAGE_MOVES, position: 0, ..at }))
        }
        _ => Step::Below,
    }
}

fn start(node: &Node, cursor: u64) -> Cursor {
    let mut at = Cursor::parse(cursor);
    if let Some(relay) = node.relay() {
        if cursor == 0 {
            at.moves = relay.moves.begin(node.now_ms()) & ((1 << MOVES_BITS) - 1);
        } else {
            relay.moves.heard(node.now_ms());
        }
    }
    at
}

/// As [`scan_page`], where no relief has to be asked for it; else none.
pub fn page_here(node: &Node, db: u8, cursor: u64, count: usize) -> Option<(u64, Keys)> {
    let (mut at, mut keys) = (start(node, cursor), Keys::new());
    loop {
        match step(node, db, at, count, &mut keys) {
            Step::Below => return None,
            Step::On(None) => return Some((0, keys)),
            Step::On(Some(next)) => at = next,
        }
        if keys.len() >= count {
            return Some((at.number(), keys));
        }
    }
}

/// As [`all_keys`], where no relief has to be asked for it; else none.
pub fn all_here(node: &Node, db: u8) -> Option<Vec<Box<[u8]>>> {
    if node.relay().is_some_and(|relay| !relay.directory.is_empty()) {
        return None;
    }
    let (mut seen, mut cursor) = (HashSet::new(), 0);
    loop {
        let (next, keys) = page_here(node, db, cursor, 512)?;
        seen.extend(keys.into_iter().map(|listed| listed.key));
        if next == 0 {
            return Some(seen.into_iter().collect());
        }
        cursor = next;
    }
}

/// One page of a scan from `cursor` on: the next cursor, 0 at the end, and about `count` keys.
pub async fn scan_page(node: &Arc<Node>, db: u8, cursor: u64, count: usize) -> Result<(u64, Keys), Refusal> {
    let (mut at, mut keys) = (start(node, cursor), Keys::new());
    // A stage may be empty; a page that is empty though there is more would only cost the client a call.
    loop {
        match step(node, db, at, count, &mut keys) {
            Step::Below => at = below(node, db, at, count, &mut keys).await?,
            Step::On(None) => return Ok((0, keys)),
            Step::On(Some(next)) => at = next,
        }
        if keys.len() >= count {
            return Ok((at.number(), keys));
        }
    }
}

/// Resident keys by bucket.
fn here(node: &Node, db: u8, from: u64, count: usize, keys: &mut Keys) -> Option<u64> {
    // A bucket holds up to eight records; a page is about `count` keys whatever the load.
    let buckets = u32::try_from(count / 4 + 1).unwrap_or(u32::MAX).min(4_096);
    node.cache.section().scan_buckets(from, buckets, node.now_ms(), &mut |meta, key| {
        if meta.db == db {
            keys.push(Listed { key: key.into(), kind: Some(meta.kind) });
        }
    })
}

/// Keys of the relief that the stage stands for: reliefs in the order of their tier and index.
async fn below(
    node: &Arc<Node>,
    db: u8,
    at: Cursor,
    count: usize,
    keys: &mut Keys,
) -> Result<Cursor, Refusal> {
    let end = Cursor { stage: STAGE_MOVES, position: 0, ..at };
    let Some(relay) = node.relay() else { return Ok(end) };
    let mut members = relay.members.list();
    members.retain(|m| m.state != State::Lost);
    members.sort_by_key(|m| (m.tier == Tier::Aging, m.index));
    let Some(member) = members.get(at.stage as usize - 1) else {
        return Ok(end);
    };
    let next_relief = Cursor { stage: (at.stage + 1).min(STAGE_MOVES), position: 0, ..at };
    let next = page_of(node, relay, member, db, &at.position.to_string(), count, keys).await?;
    match next.parse::<u64>() {
        Ok(0) | Err(_) => Ok(next_relief),
        Ok(position) => Ok(Cursor { position, ..at }),
    }
}

/// About `count` keys that a relief is the one to be asked for, from its `position` on: where it goes on.
async fn page_of(
    node: &Node,
    relay: &Relay,
    member: &Member,
    db: u8,
    position: &str,
    count: usize,
    keys: &mut Keys,
) -> Result<String, Refusal> {
    let unavailable = || unreachable(&member.name);
    let link = node.downstream_to(member.index).ok_or_else(unavailable)?;
    let words = [member.index, u16::from(db)].map(|n| n.to_string());
    let page = count.clamp(10, 512).to_string();
    let call: [&[u8]; 5] =
        [b"GS.KEYS", words[0].as_bytes(), position.as_bytes(), page.as_bytes(), words[1].as_bytes()];
    let reply = link.call(&call).await.map_err(|_| unavailable())?;
    let (next, items) = keys_page(&reply).ok_or_else(unavailable)?;
    for held in items {
        let id = node.id(db, &held.key);
        let readable = relay
            .directory
            .holders(&id)
            .iter()
            .any(|h| h.node == member.index && h.copy == held.copy && !h.shadow && !h.second);
        if readable {
            keys.push(Listed { key: held.key.into(), kind: Some(held.kind) });
        }
    }
    Ok(next)
}

/// The word for a position that the relief shall choose.
pub const ANYWHERE: &str = "random";

/// Some key that lives downstream, each relief in its turn; none where no relief has one to offer.
pub async fn random_below(node: &Arc<Node>, db: u8, random: u64) -> Option<Box<[u8]>> {
    let relay = node.relay()?;
    let mut members = relay.members.list();
    members.retain(|m| m.state != State::Lost);
    let mut keys = Keys::new();
    for turn in 0..members.len() {
        let member = &members[(random as usize).wrapping_add(turn) % members.len()];
        // One that is away has nothing to offer, and another may have.
        let _ = page_of(node, relay, member, db, ANYWHERE, 10, &mut keys).await;
        if !keys.is_empty() {
            return Some(keys.swap_remove((random >> 32) as usize % keys.len()).key);
        }
    }
    None
}

fn unreachable(relief: &str) -> Refusal {
    let text =
        format!("relief '{relief}' cannot be reached: the keys it holds are not known now; try again later");
    Refusal::new(Code::Unavailable, text)
}

/// What the record of a key holds that lives downstream; none where it is gone.
pub async fn kind_below(node: &Arc<Node>, db: u8, key: &[u8]) -> Result<Option<u8>, Refusal> {
    let id = node.id(db, key);
    let Some(relay) = node.relay() else { return Ok(None) };
    for holder in relay.directory.holders(&id).iter().filter(|holder| !holder.shadow) {
        let name = relay.members.get(holder.node).map_or_else(|| "?".to_owned(), |member| member.name);
        let unavailable = || unreachable(&name);
        let link = node.downstream_to(holder.node).ok_or_else(unavailable)?;
        let words = [holder.node.to_string(), db.to_string()];
        let call: [&[u8]; 4] = [b"GS.FETCH", words[0].as_bytes(), words[1].as_bytes(), key];
        let reply = link.call(&call).await.map_err(|_| unavailable())?;
        match reply.as_array() {
            Some([_version, _pttl, kind, ..]) => {
                return Ok(kind.as_int().and_then(|kind| u8::try_from(kind).ok()));
            }
            _ if reply.is_null() => {}
            _ => return Err(unavailable()),
        }
    }
    // It came up again meanwhile, or it is gone.
    Ok(node.cache.section().peek(&id, key, node.now_ms()).map(|meta| meta.kind))
}

/// Keys that moved since the scan began.
fn moved(node: &Node, db: u8, at: Cursor, count: usize, keys: &mut Keys) -> Option<Cursor> {
    let relay = node.relay()?;
    // The full number of the first move from its low bits: the newest that has them.
    let newest = relay.moves.next();
    let behind = newest.wrapping_sub(at.moves) & ((1 << MOVES_BITS) - 1);
    let from = newest - behind.min(newest);
    match relay.moves.read(from, count.max(10)) {
        Some((list, next)) => {
            for moved in list.into_iter().filter(|moved| moved.db == db) {
                let id = node.id(db, &moved.key);
                // Up and down again behind the scan is there too.
                let resident = node.cache.section().peek(&id, &moved.key, node.now_ms());
                if resident.is_some() || relay.directory.is_below(&id) {
                    keys.push(Listed { key: moved.key, kind: resident.map(|meta| meta.kind) });
                }
            }
            (next < newest).then_some(Cursor { moves: next & ((1 << MOVES_BITS) - 1), ..at })
        }
        // More moved than is remembered: what was passed is not known, so the scan of this section begins again.
        None => {
            let moves = relay.moves.begin(node.now_ms()) & ((1 << MOVES_BITS) - 1);
            Some(Cursor { stage: 0, moves, position: 0 })
        }
    }
}

/// All keys of a database, each once.
pub async fn all_keys(node: &Arc<Node>, db: u8) -> Result<Vec<Box<[u8]>>, Refusal> {
    let (mut seen, mut cursor) = (HashSet::new(), 0);
    loop {
        let (next, keys) = scan_page(node, db, cursor, 512).await?;
        seen.extend(keys.into_iter().map(|listed| listed.key));
        if next == 0 {
            return Ok(seen.into_iter().collect());
        }
        cursor = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cursor survives the client: it is only a number.
    #[test]
    fn a_cursor_is_its_number() {
        let cursor = Cursor { stage: 5, moves: 77, position: 123_456_789 };
        assert_eq!(Cursor::parse(cursor.number()), cursor);
        assert_eq!(Cursor::parse(0), Cursor { stage: 0, moves: 0, position: 0 });
    }
}
