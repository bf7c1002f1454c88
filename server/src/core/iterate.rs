//! Going through the keys: SCAN and KEYS, on a relay for the whole family.
//!
//! A scan goes through this section by buckets, then through the reliefs one after the other (expansion nodes
//! before aging nodes, because sessions pass in that direction), then over the keys that moved up or changed
//! their bucket since it began. What exists the whole time is so returned at least once; what moves may be
//! returned twice, as in Redis. A copy below is only listed where it is the one to be read.

use crate::core::members::{State, Tier};
use crate::core::node::Node;
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

/// Keys of one page.
pub type Keys = Vec<Box<[u8]>>;

/// One page of a scan from `cursor` on: the next cursor, 0 at the end, and about `count` keys.
pub async fn scan_page(node: &Arc<Node>, db: u8, cursor: u64, count: usize) -> Result<(u64, Keys), Refusal> {
    let mut at = Cursor::parse(cursor);
    if cursor == 0 {
        at.moves = node.relay().map_or(0, |relay| relay.moves.next()) & ((1 << MOVES_BITS) - 1);
    }
    let mut keys = Keys::new();
    // A stage may be empty; a page that is empty though there is more would only cost the client a call.
    loop {
        let next = match at.stage {
            0 => {
                let next = here(node, db, at.position, count, &mut keys);
                match next {
                    Some(position) => Some(Cursor { position, ..at }),
                    None if node.relay().is_some() => Some(Cursor { stage: 1, position: 0, ..at }),
                    None => None,
                }
            }
            STAGE_MOVES => moved(node, db, at, count, &mut keys),
            _ => Some(below(node, db, at, count, &mut keys).await?),
        };
        match next {
            None => return Ok((0, keys)),
            Some(next) => at = next,
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
            keys.push(key.into());
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
    if relay.directory.is_empty() {
        return Ok(end);
    }
    let unavailable = || {
        let text = format!(
            "relief '{}' cannot be reached: the keys it holds are not known now; try again later",
            member.name
        );
        Refusal::new(Code::Unavailable, text)
    };
    let link = node.downstream_to(member.index).ok_or_else(unavailable)?;
    let words = [member.index, u16::from(db)].map(|n| n.to_string());
    let (position, page) = (at.position.to_string(), count.clamp(10, 512).to_string());
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
            keys.push(held.key.into());
        }
    }
    match next.parse::<u64>() {
        Ok(0) | Err(_) => Ok(next_relief),
        Ok(position) => Ok(Cursor { position, ..at }),
    }
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
                if node.cache.section().peek(&id, &moved.key, node.now_ms()).is_some()
                    || relay.directory.is_below(&id)
                {
                    keys.push(moved.key);
                }
            }
            (next < newest).then_some(Cursor { moves: next & ((1 << MOVES_BITS) - 1), ..at })
        }
        // More moved than is remembered: what was passed is not known, so the scan of this section begins again.
        None => Some(Cursor { stage: 0, moves: newest & ((1 << MOVES_BITS) - 1), position: 0 }),
    }
}

/// All keys of a database, each once.
pub async fn all_keys(node: &Arc<Node>, db: u8) -> Result<Keys, Refusal> {
    let (mut seen, mut cursor) = (HashSet::new(), 0);
    loop {
        let (next, keys) = scan_page(node, db, cursor, 512).await?;
        seen.extend(keys);
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
