//! Keys that moved into the section or changed their bucket, told to iterations that may have passed their place.
//!
//! Nothing is noted while nobody iterates: an overwrite moves its key to another bucket every other time, and noting
//! that would be a lock and an allocation for nobody. An iteration says so before it reads its first bucket, and a
//! log that nobody has asked for a minute is forgotten; who comes back later finds a gap and begins anew.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

/// One key that moved into the section, told to iterations that may have passed its place.
#[derive(Clone, Debug)]
pub struct Moved {
    /// Logical database.
    pub db: u8,
    /// The key.
    pub key: Box<[u8]>,
}

#[derive(Default)]
struct Ring {
    /// Number of the first move that is remembered.
    first: u64,
    moves: VecDeque<Moved>,
}

impl Ring {
    fn next(&self) -> u64 {
        self.first + self.moves.len() as u64
    }
}

/// The newest moves, bounded: an iteration that finds its start overwritten starts its stage again.
#[derive(Default)]
pub struct MoveLog {
    ring: Mutex<Ring>,
    /// True while somebody may iterate.
    kept: AtomicBool,
    /// When an iteration was last heard of, boot-time milliseconds.
    heard_ms: AtomicU64,
}

/// Moves remembered.
const MOVES_MAX: usize = 65_536;
/// An iteration that was not heard of for this long has ended or has to begin anew.
const KEPT_MS: u64 = 60_000;

impl MoveLog {
    /// Notes a move, after it can be read.
    pub fn push(&self, db: u8, key: &[u8]) {
        // SYNC POINT: the record is linked before this look; an iteration says that it is there before it reads its
        // first bucket. So either it is seen here, or it sees the record.
        fence(Ordering::SeqCst);
        if !self.kept.load(Ordering::Relaxed) {
            return;
        }
        let mut ring = self.ring.lock();
        ring.moves.push_back(Moved { db, key: key.into() });
        if ring.moves.len() > MOVES_MAX {
            ring.moves.pop_front();
            ring.first += 1;
        }
    }

    /// An iteration begins: from here on moves are kept. The number that the next one will have.
    pub fn begin(&self, now_ms: u64) -> u64 {
        let ring = self.ring.lock();
        self.heard_ms.store(now_ms, Ordering::Relaxed);
        self.kept.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        ring.next()
    }

    /// An iteration goes on.
    pub fn heard(&self, now_ms: u64) {
        self.heard_ms.store(now_ms, Ordering::Relaxed);
    }

    /// The number that the next move will have.
    pub fn next(&self) -> u64 {
        self.ring.lock().next()
    }

    /// Up to `max` moves from number `from` on, and the number after them; none when they are forgotten.
    pub fn read(&self, from: u64, max: usize) -> Option<(Vec<Moved>, u64)> {
        let ring = self.ring.lock();
        let skip = usize::try_from(from.checked_sub(ring.first)?).ok()?;
        let list: Vec<Moved> = ring.moves.iter().skip(skip).take(max).cloned().collect();
        let next = from + list.len() as u64;
        Some((list, next))
    }

    /// Forgets everything once nobody has iterated for a while.
    pub fn rest(&self, now_ms: u64) {
        let mut ring = self.ring.lock();
        let idle_ms = now_ms.saturating_sub(self.heard_ms.load(Ordering::Relaxed));
        if !self.kept.load(Ordering::Relaxed) || idle_ms < KEPT_MS {
            return;
        }
        self.kept.store(false, Ordering::Relaxed);
        // One more than there were: whoever comes back with the number of the next one finds a gap.
        ring.first = ring.next() + 1;
        ring.moves = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An iteration that comes back after the log was put away must not believe that nothing has moved.
    #[test]
    fn who_comes_back_too_late_finds_a_gap() {
        let log = MoveLog::default();
        log.push(0, b"before");
        let from = log.begin(1_000);
        log.push(0, b"k");
        assert_eq!(log.read(from, 10).map(|(list, next)| (list.len(), next)), Some((1, from + 1)));
        log.rest(1_000 + KEPT_MS - 1);
        log.heard(2_000);
        log.rest(1_000 + KEPT_MS);
        log.push(0, b"k");
        assert_eq!(log.read(from, 10).map(|(list, _)| list.len()), Some(2));
        let newest = log.next();
        log.rest(2_000 + KEPT_MS);
        log.push(0, b"unseen");
        assert!(log.read(from, 10).is_none() && log.read(newest, 10).is_none());
        let again = log.begin(100_000);
        log.push(0, b"k");
        assert_eq!(log.read(again, 10).map(|(list, _)| list.len()), Some(1));
    }
}
