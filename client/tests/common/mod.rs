//! What the tests of sessions and agent share.

#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used)]

mod host;
mod relay;

use std::time::Duration;

pub(crate) use host::{Host, config, forgetful};
pub(crate) use relay::FakeRelay;

/// How long a state may take to come, on however slow a machine. It bounds a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `state` holds; says `what` it waited for if that does not happen.
pub(crate) async fn until(what: &str, mut state: impl FnMut() -> bool) {
    let waiting = async {
        while !state() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let came = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(came.is_ok(), "waited in vain until {what}");
}
