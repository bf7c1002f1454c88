//! CLIENT PAUSE: commands of clients are held until a time is over. What nodes say to each other goes on, or the
//! family would fall apart while its operator only wanted a quiet moment.

use crate::core::node::Node;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// What is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    /// Nothing.
    #[default]
    Nothing,
    /// What may change something.
    Writes,
    /// Everything.
    All,
}

/// The pause of one node.
#[derive(Debug, Default)]
pub struct Pause {
    /// The current [`Held`], so that the way of every command passes one relaxed load.
    mode: AtomicU8,
    until: Mutex<(Held, u64)>,
    over: Notify,
}

impl Pause {
    /// Holds commands until `until_ms`, boot time. A second pause can make the first longer and stricter, not
    /// shorter or milder, as in Redis.
    pub fn begin(&self, held: Held, until_ms: u64) {
        let mut until = self.until.lock();
        *until = (until.0.max(held), until.1.max(until_ms));
        self.mode.store(until.0 as u8, Ordering::Release);
    }

    /// Lets everything go on.
    pub fn end(&self) {
        let mut until = self.until.lock();
        *until = (Held::Nothing, 0);
        self.mode.store(0, Ordering::Release);
        drop(until);
        self.over.notify_waiters();
    }

    /// True while something is held, or was until a moment ago.
    pub fn is_on(&self) -> bool {
        self.mode.load(Ordering::Relaxed) != 0
    }

    /// What is held at this moment; ends a pause whose time is over.
    fn held(&self, now_ms: u64) -> (Held, u64) {
        let (held, until_ms) = *self.until.lock();
        if held != Held::Nothing && now_ms >= until_ms {
            self.end();
            return (Held::Nothing, 0);
        }
        (held, until_ms)
    }
}

/// Waits while commands of this kind are held.
pub async fn wait(node: &Node, writes: bool) {
    loop {
        let over = node.pause.over.notified();
        let (held, until_ms) = node.pause.held(node.now_ms());
        let applies = held == Held::All || (held == Held::Writes && writes);
        if !applies {
            return;
        }
        let left = Duration::from_millis(until_ms.saturating_sub(node.now_ms()).max(1));
        // Either way it is looked at again.
        let _ = tokio::time::timeout(left, over).await;
    }
}
