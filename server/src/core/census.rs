//! How many keys have a deadline, for INFO: counted by going through the section. A small one is counted whenever
//! somebody asks; a large one on a thread beside the data threads, and the answer is good for a while.

use crate::core::node::{DATABASES, Node};
use parking_lot::Mutex;
use std::sync::Arc;

/// Slots of the index up to which a count is made on the spot: some milliseconds at most.
const SLOTS_AT_ONCE: u64 = 1 << 16;
/// How long the count of a large section is told again.
const FRESH_MS: u64 = 10_000;
/// Buckets looked at between two looks at whether the node stops.
const BUCKETS_PER_STEP: u32 = 4096;

/// What is known of one database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deadlines {
    /// Keys that have one.
    pub expires: u64,
    /// Milliseconds that they have left, on average.
    pub avg_ttl_ms: u64,
}

/// The deadlines of every database of this node.
pub type Counted = [Deadlines; DATABASES as usize];

/// The last count.
#[derive(Debug, Default)]
pub struct Census(Mutex<Option<(u64, Counted)>>);

impl Census {
    /// The last count, however old.
    pub fn last(&self) -> Counted {
        self.0.lock().map_or(Counted::default(), |(_, counted)| counted)
    }

    fn is_fresh(&self, now_ms: u64) -> bool {
        self.0.lock().is_some_and(|(when_ms, _)| now_ms.saturating_sub(when_ms) < FRESH_MS)
    }
}

/// Counts on the spot where that is quick. False where [`count_beside`] has to.
pub fn count_at_once(node: &Node) -> bool {
    let slots = node.cache.section().stats().slots;
    if slots <= SLOTS_AT_ONCE {
        count(node);
        return true;
    }
    node.census.is_fresh(node.now_ms())
}

/// Counts on a thread of its own.
pub async fn count_beside(node: Arc<Node>) {
    // A count that failed leaves the last one.
    let _ = tokio::task::spawn_blocking(move || {
        if !node.census.is_fresh(node.now_ms()) {
            count(&node);
        }
    })
    .await;
}

fn count(node: &Node) {
    let now_ms = node.now_ms();
    let (mut counted, mut sums) = (Counted::default(), [0u128; DATABASES as usize]);
    let mut next = Some(0);
    while let Some(from) = next.filter(|_| !*node.stop.borrow()) {
        next = node.cache.section().scan_buckets(from, BUCKETS_PER_STEP, now_ms, &mut |meta, _| {
            let db = usize::from(meta.db);
            if meta.deadline_ms > 0
                && let (Some(counted), Some(sum)) = (counted.get_mut(db), sums.get_mut(db))
            {
                counted.expires += 1;
                *sum += u128::from(meta.deadline_ms.saturating_sub(now_ms));
            }
        });
    }
    for (counted, sum) in counted.iter_mut().zip(sums) {
        counted.avg_ttl_ms = (sum / u128::from(counted.expires.max(1))) as u64;
    }
    *node.census.0.lock() = Some((now_ms, counted));
}
