//! What the tests of sessions and agent share.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used)]

mod host;
mod relay;

use std::time::Duration;

pub(crate) use host::{Host, config, ready};
pub(crate) use relay::FakeRelay;

/// Waits until `state` holds; says `what` it waited for if that does not happen.
pub(crate) async fn until(what: &str, mut state: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if state() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited in vain until {what}");
}
