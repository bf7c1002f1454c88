//! Demotion that an operator asked for: so many sessions, the coldest of all that are here.
//!
//! Where there is no pressure nobody is in a hurry, so the coldest are looked for in the whole section: one round of the
//! hand counts how cold the records are, the next takes those beyond the mark that follows. Each round goes in steps, so
//! that pressure and other work have their turns in between, and remembers counts only, however large the section is.

use crate::core::node::Node;
use crate::roles::demote::PROBES;
use gs_client::cache::{Verdict, Victim, View};
use gs_policies::recency::Recency;
use std::cmp::Reverse;
use std::sync::atomic::{AtomicU64, Ordering};

/// Classes of coldness for each number of references: an octave of seconds in eight parts, for seconds of up to 32 bits.
const CLASSES: usize = 32 * 8;

/// How cold a record is: by its rank, then by how little it was read. Greater goes first.
type Coldness = (usize, Reverse<u8>);

/// Every record is as cold as this.
const LEAST: Coldness = (0, Reverse(3));

fn coldness(view: &View) -> Coldness {
    let refs = view.refs.min(3);
    let rank_s = (Recency::DEFAULT.rank(refs, view.idle_ms) / 1_000).min(u64::from(u32::MAX));
    // Below eight each second is a class of its own; above, the three bits behind the first one tell.
    let octave = (rank_s.checked_ilog2().unwrap_or(0) as usize).saturating_sub(2);
    (octave * 8 + (rank_s >> octave) as usize, Reverse(refs))
}

/// An order that is being carried out.
#[derive(Default)]
pub(super) struct ByHand {
    /// How many records there are of each coldness, while they are counted.
    counts: Vec<[u64; 4]>,
    /// From this coldness on records go.
    mark: Option<Coldness>,
    /// Blocks of this round that the hand has not seen yet.
    left: u32,
    /// Records marked in this round.
    found: u64,
    /// The round before found nothing.
    failed: bool,
}

impl ByHand {
    /// Goes one step further with what was asked for, and marks at most `batch` records. An order for which a whole round
    /// finds nothing is done.
    pub(super) fn step(&mut self, node: &Node, asked: &AtomicU64, batch: usize, victims: &mut Vec<Victim>) {
        let open = asked.load(Ordering::Acquire);
        if open == 0 {
            *self = ByHand::default();
            return;
        }
        let section = node.cache.section();
        if self.left == 0 {
            // What was counted may have been read or have gone meanwhile, and others move the hand, too: then it is counted
            // again, until even the least mark finds nothing, or nothing was found twice.
            let (nothing, least) = (self.mark.is_some() && self.found == 0, self.mark == Some(LEAST));
            if nothing && (least || self.failed) {
                // Only what was seen is taken off: another order may have come meanwhile.
                asked.fetch_sub(open, Ordering::AcqRel);
                *self = ByHand::default();
                return;
            }
            // The last class is that of 2^32 seconds.
            let counts = vec![[0; 4]; CLASSES];
            *self = ByHand { counts, left: section.geometry().blocks, failed: nothing, ..ByHand::default() };
        }
        let probes = self.left.min(PROBES);
        self.left -= probes;
        match self.mark {
            None => {
                let counts = &mut self.counts;
                let count = &mut |view: &View| {
                    let (class, Reverse(refs)) = coldness(view);
                    counts[class][usize::from(refs)] += 1;
                    Verdict::Keep
                };
                section.sweep(probes, node.now_ms(), count, victims);
                if self.left == 0 {
                    self.mark = Some(mark(&self.counts, open));
                    self.counts = Vec::new();
                    self.left = section.geometry().blocks;
                }
            }
            Some(mark) => {
                let (wanted, mut found) = (open.min(batch as u64), 0);
                let take = &mut |view: &View| {
                    if found < wanted && coldness(view) >= mark {
                        found += 1;
                        Verdict::Take
                    } else {
                        Verdict::Keep
                    }
                };
                let before = victims.len();
                section.sweep(probes, node.now_ms(), take, victims);
                // Not each that is to be taken can be marked.
                let marked = (victims.len() - before) as u64;
                self.found += marked;
                asked.fetch_sub(marked, Ordering::AcqRel);
            }
        }
    }
}

/// The coldness from which on there are `wanted` records or more; the least if there are not so many.
fn mark(counts: &[[u64; 4]], wanted: u64) -> Coldness {
    let mut sum = 0;
    for (class, by_refs) in counts.iter().enumerate().rev() {
        for (refs, count) in (0u8..).zip(by_refs) {
            sum += count;
            if sum >= wanted {
                return (class, Reverse(refs));
            }
        }
    }
    LEAST
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(refs: u8, idle_s: u64) -> View {
        View { refs, age_ms: 0, idle_ms: idle_s * 1_000, remaining_ms: None, bytes: 0, kind: 0, db: 0 }
    }

    /// Colder is never less cold, and every record has a class.
    #[test]
    fn coldness_follows_the_rank() {
        let all: Vec<u64> = (0..5_000).chain((5_000..).step_by(977).take(4_000)).collect();
        for refs in 0..4 {
            assert!(all.windows(2).all(|two| coldness(&view(refs, two[0])) <= coldness(&view(refs, two[1]))));
        }
        assert!(coldness(&view(0, 0)) > coldness(&view(1, 0)), "of equals the one that nobody read");
        assert!(coldness(&view(0, u64::MAX / 1_000)).0 < CLASSES);
    }

    /// The mark lets at least so many go, and would not if it were any higher.
    #[test]
    fn the_mark_is_as_high_as_it_can_be() {
        let mut counts = vec![[0; 4]; CLASSES];
        (counts[9], counts[4]) = ([5, 0, 0, 7], [0, 20, 0, 0]);
        for (wanted, expected) in
            [(1, (9, 0)), (5, (9, 0)), (6, (9, 3)), (12, (9, 3)), (13, (4, 1)), (33, (0, 3))]
        {
            assert_eq!(mark(&counts, wanted), (expected.0, Reverse(expected.1)), "{wanted}");
        }
    }
}
