//! The connections of a node: what CLIENT LIST and the limits look at.

use crate::core::bus::ClientId;
use dashmap::DashMap;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// What others may see of a connection. Nothing a client sent as data is in it.
#[derive(Debug)]
pub struct ClientInfo {
    /// Unique in the life of the node, growing.
    pub id: ClientId,
    /// Where it comes from.
    pub addr: SocketAddr,
    /// When it connected, boot-time milliseconds.
    pub since_ms: u64,
    /// The name it gave itself.
    pub name: Mutex<String>,
    /// The library it says it uses, name and version.
    pub library: Mutex<(String, String)>,
    /// When it last sent a command, boot-time milliseconds.
    pub active_ms: AtomicU64,
    /// Its current logical database.
    pub db: AtomicUsize,
    /// True for TLS.
    pub tls: bool,
    /// Set to end the connection.
    pub kill: AtomicBool,
}

/// The connections of one node.
#[derive(Debug, Default)]
pub struct Clients {
    list: DashMap<ClientId, Arc<ClientInfo>>,
    next: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    count: AtomicUsize,
}

impl Clients {
    /// A connection begins; none when there are `max` already.
    pub fn enter(&self, addr: SocketAddr, tls: bool, now_ms: u64, max: usize) -> Option<Arc<ClientInfo>> {
        if self.count.fetch_add(1, Ordering::AcqRel) >= max {
            self.count.fetch_sub(1, Ordering::AcqRel);
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let info = Arc::new(ClientInfo {
            id,
            addr,
            since_ms: now_ms,
            name: Mutex::default(),
            library: Mutex::default(),
            active_ms: AtomicU64::new(now_ms),
            db: AtomicUsize::new(0),
            tls,
            kill: AtomicBool::new(false),
        });
        self.list.insert(id, info.clone());
        Some(info)
    }

    /// A connection ended.
    pub fn leave(&self, id: ClientId) {
        if self.list.remove(&id).is_some() {
            self.count.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// All connections, oldest first.
    pub fn list(&self) -> Vec<Arc<ClientInfo>> {
        let mut list: Vec<_> = self.list.iter().map(|entry| entry.value().clone()).collect();
        list.sort_by_key(|info| info.id);
        list
    }

    /// Connections now.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Connections accepted since the start.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections refused since the start because there were too many.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}
