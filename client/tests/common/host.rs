//! A machine with a section of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gs_client::sessions::{LruConfig, RelayConfig, SessionCacheManager};

use super::FakeRelay;

/// A machine: a directory for its section, which goes with it.
pub(crate) struct Host {
    dir: tempfile::TempDir,
    name: String,
}

impl Host {
    pub(crate) fn new() -> Host {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::SeqCst);
        let dir = tempfile::tempdir().unwrap();
        Host { dir, name: format!("t{}-{n}", std::process::id()) }
    }

    pub(crate) fn lru(&self, manage_section: bool) -> LruConfig {
        LruConfig {
            dir: self.dir.path().join("gs"),
            name: self.name.clone(),
            manage_section,
            capacity_bytes: 4 << 20,
            value_bytes_max: 64 << 10,
            ..LruConfig::default()
        }
    }

    pub(crate) async fn open(&self, relay: &FakeRelay) -> SessionCacheManager {
        let sessions = SessionCacheManager::open(self.lru(true), config(relay)).await.unwrap();
        ready(&sessions).await;
        sessions
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Sections outlive their processes on purpose; a test has to take its own away.
        for entry in std::fs::read_dir(self.dir.path().join("gs")).into_iter().flatten().flatten() {
            if let Some(name) = entry.file_name().to_str().and_then(|n| n.strip_suffix(".cur")) {
                let _ = gs_client::cache::Section::remove(&self.dir.path().join("gs"), name);
            }
        }
    }
}

pub(crate) fn config(relay: &FakeRelay) -> RelayConfig {
    RelayConfig {
        relays: vec![relay.addr.to_string()],
        timeout: Duration::from_millis(600),
        lease: Duration::from_millis(400),
        heartbeat: Duration::from_millis(40),
        ..RelayConfig::default()
    }
}

pub(crate) async fn ready(sessions: &SessionCacheManager) {
    tokio::time::timeout(Duration::from_secs(10), sessions.ready()).await.expect("a lease in time").unwrap();
}
