//! Waiting for a state, never for an amount of time.

use std::time::{Duration, Instant};

/// How long a state may take to come before the test gives up. Generous on purpose: it bounds a
/// hang, it does not measure speed, and the machines that run this share their cores.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at a state.
const PAUSE: Duration = Duration::from_millis(10);

/// Polls `look` until it gives a value; panics with `what` and the last refusal at the deadline.
///
/// `look` answers `Err(text)` while the state is not there; the text is what the panic shows.
pub fn until<T>(what: &str, look: impl FnMut() -> Result<T, String>) -> T {
    match until_within(PATIENCE, look) {
        Ok(value) => value,
        Err(last) => panic!("gave up after {PATIENCE:?} waiting until {what}; last seen: {last}"),
    }
}

/// As [`until`], with the caller's own deadline, and the last refusal instead of a panic.
pub fn until_within<T>(patience: Duration, mut look: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let deadline = Instant::now() + patience;
    loop {
        match look() {
            Ok(value) => return Ok(value),
            Err(last) if Instant::now() >= deadline => return Err(last),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// Polls until `holds` is true.
pub fn until_true(what: &str, mut holds: impl FnMut() -> bool) {
    until(what, || if holds() { Ok(()) } else { Err("not yet".to_owned()) });
}
