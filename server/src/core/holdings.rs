//! The memory of all connections together: requests that were read and not run, replies and messages that were not
//! taken. Each connection has bounds of its own; ten thousand at theirs would still be more than a machine has.
//!
//! A connection tells how many whole pages it holds when that changed since it last told, so one that is served at
//! once is never in the books. Past the bound the connections that hold most are closed, as with Redis's
//! `maxmemory-clients`; past half of it connections give empty buffers back at once instead of when they idle.

use crate::core::clients::ClientInfo;
use crate::core::node::Node;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering, fence};

/// Buffers are told of in whole pages of so many bytes; less than one is not counted.
const PAGE_BYTES: usize = 4096;
/// Messages in whole steps of so many bytes: they come and go one by one.
const STEP_BYTES: usize = 16 * 1024;
/// This part of the bound is made free once it is reached, or a flood would look for the largest at every step.
const FREED_PART: usize = 64;

/// Less than half of the bound is held.
const CALM: u8 = 0;
/// More than half: empty buffers are not kept.
const TIGHT: u8 = 1;
/// Somebody grew past the bound, and nobody has looked yet.
const OVER: u8 = 2;

/// How much of some bytes counts.
pub fn whole_pages(bytes: usize) -> usize {
    bytes & !(PAGE_BYTES - 1)
}

/// What the connections of one node hold.
#[derive(Debug)]
pub struct Holdings {
    total: AtomicUsize,
    /// Bytes there may be; `usize::MAX` for no bound.
    bytes_max: AtomicUsize,
    /// How near the bound is: one of the levels below.
    level: AtomicU8,
    /// Held by whoever closes connections.
    relieving: Mutex<()>,
}

impl Default for Holdings {
    fn default() -> Holdings {
        Holdings {
            total: AtomicUsize::new(0),
            bytes_max: AtomicUsize::new(usize::MAX),
            level: AtomicU8::new(CALM),
            relieving: Mutex::new(()),
        }
    }
}

impl Holdings {
    /// Bytes that count now.
    pub fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// Bytes there may be; 0 where there is no bound.
    pub fn bytes_max(&self) -> usize {
        Some(self.bytes_max.load(Ordering::Relaxed)).filter(|max| *max < usize::MAX).unwrap_or(0)
    }

    /// Sets the bound, 0 for none.
    pub fn set_bytes_max(&self, bytes: u64) {
        let max = usize::try_from(bytes).ok().filter(|max| *max > 0).unwrap_or(usize::MAX);
        self.bytes_max.store(max, Ordering::Relaxed);
        self.level.store(self.level_of(self.total()), Ordering::Relaxed);
    }

    /// True while so little is held that nobody has to do anything about it: one load.
    #[inline]
    pub fn is_calm(&self) -> bool {
        self.level.load(Ordering::Relaxed) == CALM
    }

    /// True when connections have to be closed.
    pub fn is_over(&self) -> bool {
        self.level.load(Ordering::Relaxed) == OVER
    }

    /// Notes what a connection holds now instead of what it said before.
    pub fn tell(&self, held: &AtomicUsize, now: usize) {
        self.change(held.swap(now, Ordering::Relaxed), now);
    }

    /// Notes that the messages of a connection were so many bytes and are so many.
    pub fn mail(&self, before: usize, now: usize) {
        let (before, now) = (before / STEP_BYTES, now / STEP_BYTES);
        if before != now {
            self.change(before * STEP_BYTES, now * STEP_BYTES);
        }
    }

    fn change(&self, before: usize, now: usize) {
        // Wraps where less is held than before, and so does the sum.
        let more = now.wrapping_sub(before);
        let total = self.total.fetch_add(more, Ordering::Relaxed).wrapping_add(more);
        let (was, is) = (self.level.load(Ordering::Relaxed), self.level_of(total));
        if now > before && is > was {
            self.level.fetch_max(is, Ordering::Relaxed);
        } else if is == CALM && was == TIGHT {
            // Not where somebody found it to be too much meanwhile.
            let _ = self.level.compare_exchange(TIGHT, CALM, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn level_of(&self, total: usize) -> u8 {
        let max = self.bytes_max.load(Ordering::Relaxed);
        if total > max { OVER } else { u8::from(total > max / 2) * TIGHT }
    }
}

/// Closes the connections that hold most until the bound is kept. Those that CLIENT NO-EVICT protects stay, and so do
/// the links of the family, which are not counted.
#[cold]
pub fn relieve(node: &Node) {
    while node.holdings.is_over() {
        // Whoever is at it already looks again when it is done.
        let Some(turn) = node.holdings.relieving.try_lock() else { return };
        close_the_largest(node);
        drop(turn);
        fence(Ordering::SeqCst);
    }
}

fn close_the_largest(node: &Node) {
    let holdings = &node.holdings;
    // Before anything is read, so that whoever grows from here on is seen.
    holdings.level.store(TIGHT, Ordering::SeqCst);
    let (total, max) = (holdings.total(), holdings.bytes_max.load(Ordering::Relaxed));
    let (mut going, mut list) = (0, Vec::new());
    node.clients.each(|info| {
        let bytes = info.holds();
        if info.kill.load(Ordering::Acquire) {
            // Its end is on the way.
            going += bytes;
        } else if bytes > 0 && !info.no_evict.load(Ordering::Relaxed) {
            list.push((bytes, info.clone()));
        }
    });
    let staying = total.saturating_sub(going);
    if staying <= max {
        return;
    }
    list.sort_unstable_by_key(|(bytes, info): &(usize, Arc<ClientInfo>)| {
        (std::cmp::Reverse(*bytes), info.id)
    });
    let excess = staying - (max - max / FREED_PART);
    let mut freed = 0;
    for (bytes, info) in list {
        if freed >= excess {
            return;
        }
        freed += bytes;
        info.end();
        node.metrics.evicted_clients.add(1);
        tracing::warn!(
            client = info.id,
            addr = %info.addr,
            bytes,
            "closed: all connections together hold more than limits.clients_buffer_bytes, and it holds most"
        );
    }
    if staying - freed > max {
        tracing::warn!(
            bytes = staying - freed,
            "what is left of limits.clients_buffer_bytes's excess is protected"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told again and again and then taken back leaves nothing behind, in whatever order it is told.
    #[test]
    fn the_sum_is_that_of_what_was_told_last() {
        let (holdings, a, b) = (Holdings::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        for bytes in [0, 4095, 4096, 100_000, 8192, 1 << 30, 0] {
            holdings.tell(&a, whole_pages(bytes));
            holdings.tell(&b, whole_pages(bytes / 2));
            assert_eq!(holdings.total(), bytes / 4096 * 4096 + bytes / 2 / 4096 * 4096);
        }
        let mut queued = 0;
        for now in [100, 16_383, 16_384, 50_000, 49_000, 0] {
            holdings.mail(queued, now);
            queued = now;
            assert_eq!(holdings.total(), now / 16_384 * 16_384);
        }
    }

    /// Only growth past the bound asks for somebody to look, and no bound never does.
    #[test]
    fn growth_past_the_bound_is_noted() {
        let (holdings, held) = (Holdings::default(), AtomicUsize::new(0));
        let level = || holdings.level.load(Ordering::Relaxed);
        holdings.tell(&held, 1 << 40);
        assert_eq!((level(), holdings.bytes_max()), (CALM, 0));
        holdings.set_bytes_max(1 << 20);
        assert_eq!((level(), holdings.bytes_max()), (OVER, 1 << 20));
        // Less is held, and still somebody has to look.
        holdings.tell(&held, 0);
        assert_eq!(level(), OVER);
        holdings.set_bytes_max(1 << 20);
        assert!(holdings.is_calm());
        holdings.tell(&held, (1 << 19) + 4096);
        assert_eq!(level(), TIGHT);
        holdings.tell(&held, 1 << 19);
        assert_eq!(level(), CALM);
        holdings.mail(0, 2 << 20);
        assert!(holdings.is_over());
    }
}
