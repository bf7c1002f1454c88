//! What the commands on hashes, sets and sorted sets share: reading the record of a key, writing it back, and
//! choosing from it.

use crate::commands::keyspace::{destroy, write_kind};
use crate::commands::parse::{integer, pattern};
use crate::commands::{Ctx, Outcome, Reply, Stop};
use crate::core::change::KeyEvent;
use crate::core::node::Node;
use foldhash::fast::{FixedState, RandomState};
use gs_client::cache::Meta;
use gs_client::kinds::type_word;
use gs_resp::{Args, Refusal, glob_match};
use std::hash::BuildHasher;

/// A scratch buffer that grew beyond this is not kept.
const SCRATCH_BYTES_MAX: usize = 64 * 1024;

/// Runs `with` on the record of a key, which is empty where there is no key, and on what is known of it.
/// The caller holds the key's stripe if `with` changes it.
pub(super) fn open<T>(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    kind: u8,
    with: impl FnOnce(&mut Ctx<'_>, &[u8], Option<Meta>) -> Result<T, Stop>,
) -> Result<T, Stop> {
    let mut record = std::mem::take(&mut ctx.conn.scratch);
    record.clear();
    let found = ctx.node.read(&ctx.conn.scope, ctx.conn.db, key, true, &mut record, |_, _| ());
    let done = match found {
        Ok(Some(meta)) if meta.kind != kind => Err(Refusal::wrong_type().into()),
        Ok(found) => with(ctx, &record, found),
        Err(stop) => Err(stop),
    };
    if record.capacity() <= SCRATCH_BYTES_MAX {
        ctx.conn.scratch = record;
    }
    done
}

/// [`open`] for a command that only reads, which counts as a hit or a miss.
pub(super) fn look(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    kind: u8,
    with: impl FnOnce(&mut Ctx<'_>, &[u8]) -> Result<(), Stop>,
) -> Outcome {
    let done = open(ctx, key, kind, |ctx, record, found| {
        ctx.node.metrics.sought(found.is_some());
        with(ctx, record)
    });
    if matches!(&done, Err(Stop::Refuse(refusal)) if *refusal == Refusal::wrong_type()) {
        ctx.node.metrics.sought(true);
    }
    done?;
    Ok(Reply::Done)
}

/// Locks a key, then does as [`open`].
pub(super) fn change<T>(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    kind: u8,
    with: impl FnOnce(&mut Ctx<'_>, &[u8], Option<Meta>) -> Result<T, Stop>,
) -> Result<T, Stop> {
    let node = ctx.node;
    let _order = node.lock_key(&ctx.conn.scope, &ctx.id(key));
    open(ctx, key, kind, with)
}

/// Writes a collection back, with the deadline it had. The caller holds the key's stripe.
pub(super) fn save(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    kind: u8,
    record: &[u8],
    found: Option<Meta>,
    event: KeyEvent,
) -> Result<(), Stop> {
    let max = ctx.node.settings.value_bytes_max;
    if record.len() > max {
        let text = format!(
            "the {} would have {} bytes; all of it is kept in one record of at most {max} (section.value_bytes_max)",
            type_word(kind),
            record.len()
        );
        return Err(Refusal::err(text).into());
    }
    write_kind(ctx, key, record, kind, found.map_or(0, |meta| meta.deadline_ms), event)
}

/// Ends a collection that became empty by `event`. The caller holds the key's stripe.
pub(super) fn end(ctx: &mut Ctx<'_>, key: &[u8], event: KeyEvent) -> Result<(), Stop> {
    ctx.node.happened(ctx.conn.db, key, event);
    destroy(ctx, key, "deleted").map(drop)
}

/// Numbers to choose by: hard to foresee, no secret depends on them.
pub(super) struct Random(u64);

impl Random {
    /// A sequence of its own.
    pub(super) fn new(node: &Node) -> Random {
        Random(RandomState::default().hash_one((node.clock.unix_ms(), node.metrics.bytes_in.get())))
    }

    /// A number below `n`, which is above 0.
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(z ^ (z >> 31)) * n as u128) >> 64) as usize
    }

    /// `count` different items of the list, or all.
    pub(super) fn different<T>(&mut self, list: &mut [T], count: usize) -> usize {
        let count = count.min(list.len());
        for i in 0..count {
            let other = i + self.below(list.len() - i);
            list.swap(i, other);
        }
        count
    }
}

/// How many a command shall choose: below zero they may repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// So many different ones.
    Different(usize),
    /// So many, each chosen from all.
    Repeating(usize),
}

impl Choice {
    /// Reads the count of HRANDFIELD and SRANDMEMBER.
    pub(super) fn parse(word: &[u8]) -> Result<Choice, Refusal> {
        let n = integer(word)?;
        if n == i64::MIN {
            let text =
                "value is out of range, value must between -9223372036854775807 and 9223372036854775807";
            return Err(Refusal::err(text));
        }
        let count = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX);
        Ok(if n < 0 { Choice::Repeating(count) } else { Choice::Different(count) })
    }

    /// Chooses from a list that is not empty. What repeats is bounded by what a client may be sent.
    pub(super) fn choose<T: Copy>(
        self,
        node: &Node,
        mut list: Vec<T>,
        bytes: impl Fn(&T) -> usize,
    ) -> Result<Vec<T>, Refusal> {
        let mut random = Random::new(node);
        match self {
            Choice::Different(count) if count >= list.len() => Ok(list),
            Choice::Different(count) => {
                let count = random.different(&mut list, count);
                list.truncate(count);
                Ok(list)
            }
            Choice::Repeating(count) => {
                const HEAD_BYTES: usize = 16;
                let each = HEAD_BYTES + list.iter().map(bytes).max().unwrap_or(0);
                let most = node.settings.output_buffer_bytes / each;
                if count > most {
                    let text = format!(
                        "{count} of these would be more than a client is sent at once: ask for {most}"
                    );
                    return Err(Refusal::err(text));
                }
                Ok((0..count).map(|_| list[random.below(list.len())]).collect())
            }
        }
    }
}

/// The options of HSCAN, SSCAN and ZSCAN.
pub(super) struct Walk<'a> {
    cursor: u64,
    count: usize,
    pattern: Option<&'a [u8]>,
    /// Fields without their values.
    pub(super) names_only: bool,
}

impl<'a> Walk<'a> {
    /// Items that a page has unless told otherwise.
    const COUNT_DEFAULT: usize = 10;

    /// Reads the words behind the cursor. `novalues` says whether that word is one of them.
    pub(super) fn parse(cursor: u64, args: Args<'a>, novalues: bool) -> Result<Walk<'a>, Refusal> {
        let mut walk = Walk { cursor, count: Walk::COUNT_DEFAULT, pattern: None, names_only: false };
        let mut i = 3;
        while i < args.len() {
            if novalues && args.is(i, "novalues") {
                walk.names_only = true;
                i += 1;
                continue;
            }
            let value = args.get(i + 1).ok_or_else(Refusal::syntax)?;
            if args.is(i, "count") {
                let n = integer(value)?;
                if n < 1 {
                    return Err(Refusal::syntax());
                }
                walk.count = usize::try_from(n).unwrap_or(usize::MAX);
            } else if args.is(i, "match") {
                walk.pattern = Some(pattern(value)?);
            } else {
                return Err(Refusal::syntax());
            }
            i += 2;
        }
        Ok(walk)
    }

    /// The page of this cursor and the next cursor, 0 at the end. A small collection is one page, as in Redis; a big
    /// one is walked in the order of its names' hashes, so that what stays is seen whatever comes and goes.
    pub(super) fn page<T>(&self, is_big: bool, items: Vec<(&'a [u8], T)>) -> (u64, Vec<(&'a [u8], T)>) {
        let (next, mut page) = if is_big { self.by_hash(items) } else { (0, items) };
        page.retain(|(name, _)| self.pattern.is_none_or(|p| p == b"*" || glob_match(p, name)));
        (next, page)
    }

    fn by_hash<T>(&self, items: Vec<(&'a [u8], T)>) -> (u64, Vec<(&'a [u8], T)>) {
        // Never 0, which is the cursor of the beginning; and few enough bits for any client's integer.
        let place = |name: &[u8]| (FixedState::default().hash_one(name) >> 16) + 1;
        let mut left: Vec<_> = items
            .into_iter()
            .map(|item| (place(item.0), item))
            .filter(|(place, _)| *place >= self.cursor)
            .collect();
        if left.len() <= self.count {
            return (0, left.into_iter().map(|(_, item)| item).collect());
        }
        let end = left.select_nth_unstable_by_key(self.count, |(place, _)| *place).1.0;
        let first = left.iter().map(|(place, _)| *place).min().unwrap_or(end);
        // Names with one hash are never torn apart: a page of nothing else is longer.
        let end = if first == end { end + 1 } else { end };
        let more = left.iter().any(|(place, _)| *place >= end);
        let page = left.into_iter().filter(|(place, _)| *place < end).map(|(_, item)| item).collect();
        (if more { end } else { 0 }, page)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use gs_resp::OwnedArgs;
    use std::collections::BTreeMap;

    /// A walk through a big hash sees every field once, also when others go meanwhile.
    #[test]
    fn a_walk_sees_what_stays_exactly_once() {
        let names: Vec<Vec<u8>> = (0..1000).map(|n: i32| n.to_string().into_bytes()).collect();
        let (mut seen, mut cursor, mut calls) = (BTreeMap::new(), 0, 0);
        let words = OwnedArgs::from_iter(["HSCAN", "k", "0", "COUNT", "7"]);
        loop {
            let walk = Walk::parse(cursor, words.as_args(), true).unwrap();
            // Every call finds fewer of the names that go.
            let there = |n: &usize| n.is_multiple_of(3) || *n > calls * 10;
            let items = (0..1000).filter(there).map(|n| (names[n].as_slice(), n)).collect();
            let (next, page) = walk.page(true, items);
            page.iter().for_each(|(_, n)| *seen.entry(*n).or_insert(0) += 1);
            (cursor, calls) = (next, calls + 1);
            if next == 0 {
                break;
            }
        }
        assert!((0..1000).step_by(3).all(|n| seen[&n] == 1), "missed or seen twice");
        assert!(seen.values().all(|times| *times == 1) && calls > 50);
    }

    #[test]
    fn what_is_chosen_is_in_the_list_and_different_if_so_wanted() {
        let mut random = Random(1);
        let mut seen = [0; 10];
        for _ in 0..1000 {
            let mut list: Vec<usize> = (0..10).collect();
            assert_eq!(random.different(&mut list, 4), 4);
            list[..4].iter().for_each(|n| seen[*n] += 1);
            list.sort_unstable();
            assert_eq!(list, (0..10).collect::<Vec<_>>());
        }
        // 400 is meant; far outside of this nothing was chosen by chance.
        assert!(seen.iter().all(|n| (300..500).contains(n)), "{seen:?}");
    }
}
