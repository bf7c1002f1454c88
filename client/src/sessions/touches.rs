//! Touches that wait: a session that is read ten times a second is not prolonged at the relay ten times a second.
//!
//! The deadline in the section is the one that the relay knows. A touch that would move it by no more than
//! [`patience_ms`] waits that long at most, and others may join it; then the relay is told the newest deadline, and the
//! section with it. A touch that gains more goes at once. So a session never ends sooner than its last touch asked for,
//! but where a process ended first: then sooner by its patience at most.

use std::collections::HashMap;

use parking_lot::Mutex;

/// Touches that may wait at once; beyond them each goes to the relay.
const TOUCHES_MAX: usize = 100_000;
/// Touches told in one turn.
const BATCH: usize = 512;
/// A touch that could not be told is told again after this long.
const RETRY_MS: u64 = 1_000;

/// How long a touch with this time to live may wait: 30 s or a tenth of it, but no more than a quarter.
pub fn patience_ms(ttl_ms: u64) -> u64 {
    (ttl_ms / 10).max(30_000).min(ttl_ms / 4)
}

struct Waiting {
    /// When the relay shall be told.
    due_ms: u64,
    /// The deadline that it shall be told.
    deadline_ms: u64,
}

/// A touch to be told now.
pub(crate) struct Due {
    pub(crate) key: Vec<u8>,
    pub(crate) deadline_ms: u64,
}

/// The touches that wait, of one process.
#[derive(Default)]
pub(crate) struct Touches(Mutex<HashMap<Vec<u8>, Waiting>>);

impl Touches {
    /// Notes a touch that would make a session live `gain_ms` longer than the relay knows. False if it must not wait.
    pub(crate) fn wait(&self, key: &[u8], ttl_ms: u64, gain_ms: u64, now_ms: u64) -> bool {
        let patience_ms = patience_ms(ttl_ms);
        let deadline_ms = now_ms.saturating_add(ttl_ms);
        let mut waiting = self.0.lock();
        if gain_ms > patience_ms {
            // The relay is about to hear of a later deadline.
            waiting.remove(key);
            return false;
        }
        if let Some(earlier) = waiting.get_mut(key) {
            earlier.deadline_ms = earlier.deadline_ms.max(deadline_ms);
            earlier.due_ms = earlier.due_ms.min(now_ms + patience_ms);
            return true;
        }
        if waiting.len() >= TOUCHES_MAX {
            return false;
        }
        waiting.insert(key.to_vec(), Waiting { due_ms: now_ms + patience_ms, deadline_ms });
        true
    }

    /// Forgets a touch: a write or a delete of the session says more.
    pub(crate) fn forget(&self, key: &[u8]) {
        let mut waiting = self.0.lock();
        if !waiting.is_empty() {
            waiting.remove(key);
        }
    }

    /// Takes some of the touches whose time has come.
    pub(crate) fn due(&self, now_ms: u64) -> Vec<Due> {
        let mut waiting = self.0.lock();
        let keys: Vec<Vec<u8>> = waiting
            .iter()
            .filter(|(_, w)| w.due_ms <= now_ms)
            .take(BATCH)
            .map(|(key, _)| key.clone())
            .collect();
        let take = |key: Vec<u8>| waiting.remove(&key).map(|w| Due { key, deadline_ms: w.deadline_ms });
        keys.into_iter().filter_map(take).collect()
    }

    /// Puts back a touch that could not be told, unless it came too late or another came since.
    pub(crate) fn again(&self, due: Due, now_ms: u64) {
        if due.deadline_ms > now_ms {
            let next = Waiting { due_ms: now_ms + RETRY_MS, deadline_ms: due.deadline_ms };
            self.0.lock().entry(due.key).or_insert(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    /// The promise to operators: at most 30 s or a tenth of the life, and never so long that a short life is at risk.
    #[test]
    fn patience_follows_the_life() {
        for (ttl_ms, patience) in [(1_000, 250), (60_000, 15_000), (120_000, 30_000), (HOUR_MS, 360_000)] {
            assert_eq!(patience_ms(ttl_ms), patience, "{ttl_ms}");
        }
    }

    /// A hundred touches are one word to the relay, with the last of their deadlines, and none is told early or lost.
    #[test]
    fn many_touches_are_told_once() {
        let touches = Touches::default();
        for second in 0..100 {
            assert!(touches.wait(b"k", HOUR_MS, second * 1000, second * 1000));
        }
        assert!(touches.due(359_999).is_empty());
        let due = touches.due(360_000);
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].deadline_ms, 99_000 + HOUR_MS);
        assert!(touches.due(u64::MAX).is_empty());
    }

    /// What a process loses when it ends is bounded: a touch that gains more than the patience never waits.
    #[test]
    fn a_touch_that_gains_much_does_not_wait() {
        let touches = Touches::default();
        assert!(!touches.wait(b"k", HOUR_MS, 360_001, 0));
        assert!(touches.wait(b"k", HOUR_MS, 360_000, 0));
        // A shorter life asks for less patience, also of a touch that waits already.
        assert!(touches.wait(b"k", 60_000, 0, 0));
        assert!(touches.due(14_999).is_empty());
        assert_eq!(touches.due(15_000).len(), 1);
        // And one that goes at once takes with it what waited.
        assert!(touches.wait(b"k", HOUR_MS, 1, 0) && !touches.wait(b"k", HOUR_MS, 360_001, 360_000));
        assert!(touches.due(u64::MAX).is_empty());
    }

    /// A relay that is away for a moment hears it later; one that is away for the whole life need not hear of it.
    #[test]
    fn what_could_not_be_told_is_told_again() {
        let touches = Touches::default();
        touches.wait(b"k", HOUR_MS, 1, 0);
        let mut due = touches.due(360_000);
        touches.again(due.remove(0), 360_000);
        assert!(touches.due(360_999).is_empty());
        let mut due = touches.due(361_000);
        touches.again(due.remove(0), HOUR_MS);
        assert!(touches.due(u64::MAX).is_empty());
        touches.wait(b"k", HOUR_MS, 1, 0);
        touches.forget(b"k");
        assert!(touches.due(u64::MAX).is_empty());
    }

    /// Memory is bounded, whatever is touched.
    #[test]
    fn no_more_wait_than_may() {
        let touches = Touches::default();
        let waits = |n: usize| touches.wait(&n.to_le_bytes(), HOUR_MS, 1, 0);
        assert!((0..TOUCHES_MAX).all(waits));
        assert!(!waits(TOUCHES_MAX) && waits(0));
    }
}
