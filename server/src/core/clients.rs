//! The connections of a node: what CLIENT LIST and the limits look at.

use crate::core::bus::{ClientId, Letterbox};
use dashmap::DashMap;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use tokio::task::AbortHandle;

/// Where a connection comes from and where it came in.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// The client's address.
    pub addr: SocketAddr,
    /// The listener's.
    pub laddr: SocketAddr,
    /// The number of its descriptor; -1 where there is none.
    pub fd: i32,
    /// True for TLS.
    pub tls: bool,
}

macro_rules! facts {
    ($($(#[$doc:meta])* $name:ident)*) => {
        /// What a connection last said of itself, for CLIENT LIST. Written once per batch of commands, read by
        /// whoever lists; numbers of one moment may stand beside those of the next.
        #[derive(Debug, Default)]
        pub struct Facts { $($(#[$doc])* pub $name: AtomicUsize,)* }

        /// [`Facts`] at one moment.
        #[derive(Clone, Copy, Debug, Default)]
        pub struct FactsNow { $($(#[$doc])* pub $name: usize,)* }

        impl Facts {
            /// Says everything anew.
            pub fn store(&self, now: FactsNow) {
                $(self.$name.store(now.$name, Ordering::Relaxed);)*
            }

            /// What was said last.
            pub fn load(&self) -> FactsNow {
                FactsNow { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

facts! {
    /// Its logical database.
    db
    /// 2 or 3; 0 before it said anything.
    resp
    /// Channels it listens to.
    sub
    /// Patterns it listens to.
    psub
    /// Shard channels it listens to.
    ssub
    /// 1 more than the commands it has queued; 0 outside of MULTI.
    multi
    /// Bytes that those hold.
    multi_mem
    /// 1 more than the place of its last command in the table; 0 before the first.
    row
    /// Bytes of replies that wait.
    out
    /// Bytes that the buffer of its replies may hold.
    out_room
}

/// What others may see of a connection. Nothing a client sent as data is in it.
#[derive(Debug)]
pub struct ClientInfo {
    /// Unique in the life of the node, growing.
    pub id: ClientId,
    /// Where it comes from.
    pub addr: SocketAddr,
    /// Where it came in.
    pub laddr: SocketAddr,
    /// The number of its descriptor; -1 where there is none.
    pub fd: i32,
    /// When it connected, boot-time milliseconds.
    pub since_ms: u64,
    /// The name it gave itself.
    pub name: Mutex<String>,
    /// The library it says it uses, name and version.
    pub library: Mutex<(String, String)>,
    /// When it last sent a command, boot-time milliseconds.
    pub active_ms: AtomicU64,
    /// The rest of what is known.
    pub facts: Facts,
    /// Bytes of requests it has waiting, the running one included.
    pub input: AtomicUsize,
    /// Bytes that its input buffer could still take.
    pub input_room: AtomicUsize,
    /// True while CLIENT PAUSE holds it.
    pub paused: AtomicBool,
    /// True for one that follows MONITOR.
    pub monitors: AtomicBool,
    /// True for one that CLIENT NO-EVICT protects.
    pub no_evict: AtomicBool,
    /// True for one whose reads are no uses.
    pub no_touch: AtomicBool,
    /// The way to its messages.
    pub letterbox: Letterbox,
    /// True for TLS.
    pub tls: bool,
    /// Set to end the connection; see [`ClientInfo::end`].
    pub kill: AtomicBool,
    task: Mutex<Option<AbortHandle>>,
}

impl ClientInfo {
    /// Says which task serves the connection, so that it can be ended from outside.
    pub fn served_by(&self, task: AbortHandle) {
        *self.task.lock() = Some(task);
        // Whoever killed it before this was known has set the flag first.
        if self.kill.load(Ordering::Acquire) {
            self.end();
        }
    }

    /// Ends the connection at once, whatever it waits for. Its task is dropped where it waits, as at the end of the
    /// process; commands run between two waits and are never cut in half.
    pub fn end(&self) {
        self.kill.store(true, Ordering::Release);
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }
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
    pub fn enter(&self, ends: Ends, now_ms: u64, max: usize) -> Option<Arc<ClientInfo>> {
        if self.count.fetch_add(1, Ordering::AcqRel) >= max {
            self.count.fetch_sub(1, Ordering::AcqRel);
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let info = Arc::new(ClientInfo {
            id,
            addr: ends.addr,
            laddr: ends.laddr,
            fd: ends.fd,
            since_ms: now_ms,
            name: Mutex::default(),
            library: Mutex::default(),
            active_ms: AtomicU64::new(now_ms),
            facts: Facts::default(),
            input: AtomicUsize::new(0),
            input_room: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
            monitors: AtomicBool::new(false),
            no_evict: AtomicBool::new(false),
            no_touch: AtomicBool::new(false),
            letterbox: Letterbox::default(),
            tls: ends.tls,
            kill: AtomicBool::new(false),
            task: Mutex::default(),
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

    /// One connection.
    pub fn get(&self, id: ClientId) -> Option<Arc<ClientInfo>> {
        self.list.get(&id).map(|entry| entry.value().clone())
    }

    /// Connections now.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Connections that CLIENT PAUSE holds.
    pub fn paused(&self) -> usize {
        self.list.iter().filter(|info| info.paused.load(Ordering::Relaxed)).count()
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
