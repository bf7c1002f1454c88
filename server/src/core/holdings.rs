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
use std::sync::atomic::{AtomicIsize, AtomicU8, AtomicUsize, Ordering, fence};

/// Buffers are told of in whole pages of so many bytes; less than one is not counted.
const PAGE_BYTES: usize = 4096;
/// Messages in whole steps of so many bytes: they come and go one by one.
const STEP_BYTES: usize = 16 * 1024;
/// This part of the bound is made free once it is reached, or a flood would look for the largest at every step; and so
/// much has to be added before somebody looks again where there was nobody to close.
const FREED_PART: isize = 64;

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

/// How much of some bytes of messages counts.
pub fn whole_steps(bytes: usize) -> usize {
    bytes / STEP_BYTES * STEP_BYTES
}

/// What the connections of one node hold.
#[derive(Debug)]
pub struct Holdings {
    /// Below zero for a moment where what is taken back is noted before what was added.
    total: AtomicIsize,
    /// Bytes there may be; `isize::MAX` for no bound.
    bytes_max: AtomicIsize,
    /// Somebody has to look past so many: the bound, or more where nobody could be closed.
    look_past: AtomicIsize,
    /// How near the bound is: one of the levels below.
    level: AtomicU8,
    /// Held by whoever closes connections; true once it was said that there is nobody to close.
    relieving: Mutex<bool>,
}

impl Default for Holdings {
    fn default() -> Holdings {
        Holdings {
            total: AtomicIsize::new(0),
            bytes_max: AtomicIsize::new(isize::MAX),
            look_past: AtomicIsize::new(isize::MAX),
            level: AtomicU8::new(CALM),
            relieving: Mutex::new(false),
        }
    }
}

impl Holdings {
    /// Bytes that count now.
    pub fn total(&self) -> usize {
        usize::try_from(self.total.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Bytes there may be; 0 where there is no bound.
    pub fn bytes_max(&self) -> usize {
        let max = Some(self.bytes_max.load(Ordering::Relaxed)).filter(|max| *max < isize::MAX);
        max.and_then(|max| usize::try_from(max).ok()).unwrap_or(0)
    }

    /// Sets the bound, 0 for none.
    pub fn set_bytes_max(&self, bytes: u64) {
        let max = isize::try_from(bytes).ok().filter(|max| *max > 0).unwrap_or(isize::MAX);
        self.bytes_max.store(max, Ordering::Relaxed);
        self.look_past.store(max, Ordering::Relaxed);
        self.level.store(self.level_of(self.total.load(Ordering::Relaxed)), Ordering::Relaxed);
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
        let (before, now) = (whole_steps(before), whole_steps(now));
        if before != now {
            self.change(before, now);
        }
    }

    fn change(&self, before: usize, now: usize) {
        let more = now.wrapping_sub(before).cast_signed();
        let total = self.total.fetch_add(more, Ordering::Relaxed).wrapping_add(more);
        if more > 0 {
            // Either the level is seen that whoever closes connections has set, or what was added is seen there.
            fence(Ordering::SeqCst);
        } else {
            self.look_sooner(total);
        }
        let (was, is) = (self.level.load(Ordering::Relaxed), self.level_of(total));
        if more > 0 && is > was {
            self.level.fetch_max(is, Ordering::Relaxed);
        } else if is == CALM && was == TIGHT {
            // Not where somebody found it to be too much meanwhile.
            let _ = self.level.compare_exchange(TIGHT, CALM, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Where nobody could be closed, no more may be added to what is left of it than could be to all of it.
    fn look_sooner(&self, total: isize) {
        let max = self.bytes_max.load(Ordering::Relaxed);
        let past = max.max(total.saturating_add(max / FREED_PART));
        if past < self.look_past.load(Ordering::Relaxed) {
            self.look_past.fetch_min(past, Ordering::Relaxed);
        }
    }

    /// There is nobody to close: somebody has to look again when clearly more is held.
    fn look_later(&self) {
        self.look_past.store(isize::MAX, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        // Behind the store, so that nothing that is given back meanwhile is forgotten.
        self.look_sooner(self.total.load(Ordering::Relaxed));
    }

    fn level_of(&self, total: isize) -> u8 {
        let max = self.bytes_max.load(Ordering::Relaxed);
        if total > self.look_past.load(Ordering::Relaxed) { OVER } else { u8::from(total > max / 2) * TIGHT }
    }
}

/// Closes the connections that hold most until the bound is kept. Those that CLIENT NO-EVICT protects stay, and so do
/// the links of the family, which are not counted.
#[cold]
pub fn relieve(node: &Node) {
    while node.holdings.is_over() {
        // Whoever is at it already looks again when it is done.
        let Some(mut said) = node.holdings.relieving.try_lock() else { return };
        close_the_largest(node, &mut said);
        drop(said);
        fence(Ordering::SeqCst);
    }
}

fn close_the_largest(node: &Node, said: &mut bool) {
    let holdings = &node.holdings;
    let max = holdings.bytes_max.load(Ordering::Relaxed);
    // The bound was kept since.
    *said &= holdings.look_past.load(Ordering::Relaxed) > max;
    // Before anything is read, so that whoever grows from here on is seen.
    holdings.level.store(TIGHT, Ordering::SeqCst);
    fence(Ordering::SeqCst);
    // What stays is the sum of what each says: if the books were wrong, nobody may have to pay for it.
    let (mut staying, mut going, mut list) = (0, false, Vec::new());
    node.clients.each(|info| {
        let bytes = info.holds().cast_signed();
        if info.kill.load(Ordering::Acquire) {
            // Its end is on the way.
            going = true;
            return;
        }
        staying += bytes;
        if bytes > 0 && !info.no_evict.load(Ordering::Relaxed) {
            list.push((bytes, info.clone()));
        }
    });
    if staying <= max {
        if !going {
            holdings.look_later();
        }
        return;
    }
    list.sort_unstable_by_key(|(bytes, info): &(isize, Arc<ClientInfo>)| {
        (std::cmp::Reverse(*bytes), info.id)
    });
    for (bytes, info) in list {
        if staying <= max - max / FREED_PART {
            return;
        }
        staying -= bytes;
        info.end();
        node.metrics.evicted_clients.add(1);
        tracing::warn!(
            client = info.id,
            addr = %info.addr,
            bytes,
            "closed: all connections together hold more than limits.clients_buffer_bytes, and it holds most"
        );
    }
    if staying > max {
        holdings.look_later();
        if !std::mem::replace(said, true) {
            tracing::warn!(
                bytes = staying,
                "what is left of limits.clients_buffer_bytes's excess is protected"
            );
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::bus::Message;
    use crate::core::clients::Ends;

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

    /// What is taken back may be noted before what was added: that is little for a moment, not nearly everything.
    #[test]
    fn less_than_nothing_is_not_too_much() {
        let (holdings, held) = (Holdings::default(), AtomicUsize::new(0));
        holdings.set_bytes_max(1 << 20);
        holdings.mail(98_304, 0);
        holdings.tell(&held, 8192);
        assert!(holdings.is_calm() && holdings.total() == 0, "{holdings:?}");
        holdings.mail(0, 98_304);
        assert_eq!(holdings.total(), 8192);
    }

    /// A node with a bound of 1 MiB.
    fn node() -> (tempfile::TempDir, Arc<Node>) {
        crate::assemble::test_relay(&[("limits.clients_buffer_bytes", "1mb")])
    }

    fn client(node: &Node) -> Arc<ClientInfo> {
        let addr = ([127, 0, 0, 1], 1).into();
        node.clients.enter(Ends { addr, laddr: addr, fd: -1, tls: false, thread: 0 }, 0, 100).unwrap()
    }

    fn closed(info: &ClientInfo) -> bool {
        info.kill.load(Ordering::Relaxed)
    }

    /// The largest go, and no more of them than it takes; messages count in the same steps for each as for all.
    #[test]
    fn the_largest_are_closed_down_to_the_bound() {
        let (_dir, node) = node();
        let (small, deaf) = (client(&node), client(&node));
        node.holdings.tell(&small.held, 1 << 19);
        let mailbox = deaf.letterbox.mailbox(&node.mailroom);
        for _ in 0..80 {
            assert!(mailbox.post(Message::Ran(bytes::Bytes::from_static(&[b'm'; 7999]))));
        }
        assert_eq!(node.holdings.total(), small.holds() + deaf.holds());
        relieve(&node);
        assert_eq!((closed(&small), closed(&deaf)), (false, true));
        // It is on its way, and nobody else has to pay for it.
        node.holdings.tell(&small.held, (1 << 19) + 4096);
        relieve(&node);
        assert!(!closed(&small));
        // Of one that has more than all may have, nothing is left.
        node.holdings.tell(&small.held, 2 << 20);
        relieve(&node);
        assert_eq!((closed(&small), node.metrics.evicted_clients.get()), (true, 2));
    }

    /// Whatever the books say, nobody is closed while all that there are hold less than they may.
    #[test]
    fn nobody_is_closed_for_what_nobody_holds() {
        let (_dir, node) = node();
        let innocent = client(&node);
        node.holdings.mail(0, 4 << 20);
        for kib in 1..100 {
            node.holdings.tell(&innocent.held, kib << 12);
            relieve(&node);
            assert!(!closed(&innocent) && !node.holdings.is_over());
        }
    }

    /// While all of the excess is protected, nobody looks for the largest at every step, nor says so again; and who
    /// is not protected has no more room for it, also when less is protected later.
    #[test]
    fn nobody_looks_again_at_once_for_what_is_protected() {
        let (_dir, node) = node();
        let (protected, other) = (client(&node), client(&node));
        let (holdings, said) = (&node.holdings, || *node.holdings.relieving.lock());
        protected.no_evict.store(true, Ordering::Relaxed);
        holdings.tell(&protected.held, 4 << 20);
        assert!(holdings.is_over() && !said());
        relieve(&node);
        assert!(said());
        // A 64th is 16 KiB.
        holdings.tell(&other.held, 16 << 10);
        assert!(!holdings.is_over());
        holdings.tell(&other.held, 20 << 10);
        assert!(holdings.is_over());
        relieve(&node);
        assert!(closed(&other) && said());
        let another = client(&node);
        holdings.tell(&other.held, 0);
        holdings.tell(&protected.held, (1 << 20) + 4096);
        holdings.tell(&another.held, 20 << 10);
        assert!(holdings.is_over());
        holdings.tell(&another.held, 0);
        holdings.tell(&protected.held, 0);
        holdings.tell(&another.held, (1 << 20) + 4096);
        relieve(&node);
        assert!(closed(&another) && !said());
    }
}
