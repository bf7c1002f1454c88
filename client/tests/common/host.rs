//! A machine with a section of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gs_client::sessions::{LruConfig, RelayConfig, SessionCacheManager};

use super::{FakeRelay, PATIENCE};

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
        self.open_with(config(relay)).await
    }

    pub(crate) async fn open_with(&self, config: RelayConfig) -> SessionCacheManager {
        let sessions = SessionCacheManager::open(self.lru(true), config).await.unwrap();
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

/// A lease that no pause of the machine ends, and calls that no pause makes late: what a story tells of is all that
/// happens in it.
pub(crate) fn config(relay: &FakeRelay) -> RelayConfig {
    RelayConfig {
        relays: vec![relay.addr.to_string()],
        timeout: PATIENCE,
        lease: PATIENCE,
        heartbeat: Duration::from_millis(40),
        ..RelayConfig::default()
    }
}

/// For stories in which the lease lapses: soon enough to be waited for.
pub(crate) fn forgetful(relay: &FakeRelay) -> RelayConfig {
    RelayConfig { lease: Duration::from_secs(2), ..config(relay) }
}

pub(crate) async fn ready(sessions: &SessionCacheManager) {
    tokio::time::timeout(PATIENCE, sessions.ready()).await.expect("a lease in time").unwrap();
}
