//! Keys that somebody waits for: a callback each, called when the session arrives.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::session::Session;

/// How long a key is waited for.
pub const WANT_MS: u64 = 2 * 60 * 60 * 1000;
/// How many keys may be waited for at once.
pub const WANTS_MAX: usize = 10_000;
/// The relay is asked for a wanted key after this long, then after twice as long, and so on.
const ASK_MS_MIN: u64 = 250;
/// The longest pause between two questions for one key.
const ASK_MS_MAX: u64 = 30_000;

pub(crate) type Callback = Box<dyn FnOnce(Session) + Send>;

struct Want {
    callbacks: Vec<Callback>,
    since_ms: u64,
    ask_at_ms: u64,
    pause_ms: u64,
}

/// What is waited for.
#[derive(Default)]
pub(crate) struct Wants(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    by_key: HashMap<Vec<u8>, Want>,
    /// Callbacks in `by_key`: the bound is on them.
    callbacks: usize,
}

/// A wanted key, and whether it is time to ask the relay.
pub(crate) struct Wanted {
    pub(crate) key: Vec<u8>,
    pub(crate) ask: bool,
}

impl Wants {
    /// Notes a callback; false when the limit is reached.
    pub(crate) fn add(&self, key: &[u8], now_ms: u64, callback: Callback) -> bool {
        let mut waiting = self.0.lock();
        if waiting.callbacks >= WANTS_MAX {
            return false;
        }
        waiting.callbacks += 1;
        let want = waiting.by_key.entry(key.to_vec()).or_insert(Want {
            callbacks: Vec::new(),
            since_ms: now_ms,
            ask_at_ms: now_ms,
            pause_ms: ASK_MS_MIN,
        });
        // Whoever wants it again wants it for the full time.
        want.since_ms = now_ms;
        want.callbacks.push(callback);
        true
    }

    /// All wanted keys; forgets those that were waited for too long. A key whose time to be asked has come is put
    /// off for its next pause.
    pub(crate) fn due(&self, now_ms: u64) -> Vec<Wanted> {
        let mut waiting = self.0.lock();
        let Waiting { by_key, callbacks } = &mut *waiting;
        by_key.retain(|_, want| {
            let keep = now_ms.saturating_sub(want.since_ms) < WANT_MS;
            *callbacks -= if keep { 0 } else { want.callbacks.len() };
            keep
        });
        let look = |(key, want): (&Vec<u8>, &mut Want)| {
            let ask = now_ms >= want.ask_at_ms;
            if ask {
                want.ask_at_ms = now_ms + want.pause_ms;
                want.pause_ms = (want.pause_ms * 2).min(ASK_MS_MAX);
            }
            Wanted { key: key.clone(), ask }
        };
        by_key.iter_mut().map(look).collect()
    }

    /// Takes the callbacks of a key that has arrived.
    pub(crate) fn take(&self, key: &[u8]) -> Vec<Callback> {
        let mut waiting = self.0.lock();
        let taken = waiting.by_key.remove(key).map_or_else(Vec::new, |want| want.callbacks);
        waiting.callbacks -= taken.len();
        taken
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().by_key.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignore() -> Callback {
        Box::new(|_| {})
    }

    /// A login page that is left open must not ask the relay twenty times a second for two hours.
    #[test]
    fn questions_become_rarer_and_end() {
        let wants = Wants::default();
        assert!(wants.add(b"k", 0, ignore()));
        let asked = (0..WANT_MS).step_by(50).filter(|now| wants.due(*now).iter().any(|w| w.ask)).count();
        assert!((200..300).contains(&asked), "asked {asked} times");
        assert!(wants.due(WANT_MS).is_empty() && wants.is_empty());
    }

    /// The list is memory that visitors can make grow: it has to be bounded.
    #[test]
    fn the_list_is_bounded() {
        let wants = Wants::default();
        assert!((0..WANTS_MAX).all(|n| wants.add(n.to_string().as_bytes(), 0, ignore())));
        assert!(!wants.add(b"one more", 0, ignore()));
        assert!(!wants.add(b"0", 0, ignore()));
        assert_eq!(wants.take(b"0").len(), 1);
        assert!(wants.add(b"one more", 0, ignore()));
    }
}
