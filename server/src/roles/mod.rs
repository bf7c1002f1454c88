//! What a node does by itself, beside answering: one file for each role.

pub mod demote;
pub mod relay;
pub mod relief;
pub mod sibling;
pub mod wire;

use crate::core::node::{Node, Part};
use gs_client::link::{Link, LinkConfig};
use rustls::ClientConfig;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// How a node talks to its peers.
#[derive(Clone, Default)]
pub struct Links {
    /// TLS for links, where they use it.
    pub tls: Option<Arc<ClientConfig>>,
    /// The password of the peers.
    pub password: Option<String>,
    /// Set when this node stops, and its family with it: broken links are no warning then.
    pub quiet: Arc<AtomicBool>,
}

impl Links {
    /// A link to a peer. It connects by itself, also again after a break.
    pub fn open(&self, addr: &str) -> Link {
        self.open_with(addr, Vec::new())
    }

    /// A link that sends these commands first on every connection; one that is refused ends the connection.
    pub fn open_with(&self, addr: &str, hello: Vec<Vec<Vec<u8>>>) -> Link {
        Link::open(LinkConfig {
            hello,
            tls: self.tls.clone(),
            password: self.password.clone(),
            quiet: self.quiet.clone(),
            call_timeout: Duration::from_secs(5),
            reconnect_max: Duration::from_millis(500),
            ..LinkConfig::new(addr)
        })
    }
}

/// Starts the background work of a node on the current runtime. It ends when the node stops.
pub fn start(node: Arc<Node>) {
    match &node.part {
        Part::Relay(_) => relay::start(node),
        Part::Sibling(_) => sibling::start(node),
        Part::Relief(_) => relief::start(node),
    }
}

/// Sleeps, or returns false at once when the node stops.
pub async fn pause(node: &Node, time: Duration) -> bool {
    let mut stop = node.stopping();
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => false,
        () = tokio::time::sleep(time) => true,
    }
}

/// Steps of the background sweep for expired records: the whole section about once in this time.
const EXPIRE_ROUND: Duration = Duration::from_secs(10);
const EXPIRE_STEP: Duration = Duration::from_millis(100);
/// Blocks of one step at most while somebody listens to changes: a millisecond or two.
const EXPIRE_HURRY: u32 = 65_536;

/// Reclaims expired records little by little and tells each to `note`.
pub async fn expire(node: Arc<Node>, mut note: impl FnMut(&Node, &gs_client::cache::Meta, &[u8])) {
    let blocks = node.cache.section().geometry().blocks;
    let steps = (EXPIRE_ROUND.as_millis() / EXPIRE_STEP.as_millis()) as u32;
    let step = (blocks / steps).max(1_024);
    let mut at = 0;
    while pause(&node, EXPIRE_STEP).await {
        let mut expired = 0;
        // Somebody waits to hear of it: ten times as fast, in bounded steps.
        let hurry = (blocks / 10).clamp(step, step.max(EXPIRE_HURRY));
        let step = if node.changes.armed() { hurry } else { step };
        at = node.cache.section().expire_sweep(at, step, node.now_ms(), &mut |meta, key| {
            expired += 1;
            note(&node, meta, key);
        });
        if expired > 0 {
            node.metrics.expired.add(expired);
            node.room.notify_waiters();
        }
    }
}
