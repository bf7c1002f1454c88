//! The connections of a node: what CLIENT LIST and the limits look at.

use crate::core::bus::{ClientId, Letterbox};
use crate::core::holdings::whole_steps;
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
    /// The data thread that serves it.
    pub thread: usize,
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
    /// Bytes of its buffers as it last told [`Holdings`](crate::core::holdings::Holdings).
    pub held: AtomicUsize,
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
    /// The data thread that serves it.
    pub thread: usize,
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

    /// Bytes that it makes the node hold, as they count: requests, replies, and messages on their way.
    pub fn holds(&self) -> usize {
        self.held.load(Ordering::Relaxed) + whole_steps(self.letterbox.queued())
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
    /// Connections of each data thread.
    threads: Box<[AtomicUsize]>,
    /// The thread whose turn it is where several have as few connections.
    turn: AtomicUsize,
}

impl Clients {
    /// No connections yet, for this many data threads.
    pub fn of_threads(threads: usize) -> Clients {
        Clients { threads: (0..threads).map(|_| AtomicUsize::new(0)).collect(), ..Clients::default() }
    }

    /// The data thread that has the fewest connections; those that have as few take turns. One caller at a time gets
    /// an even spread, and only if it enters the connection before it asks again.
    pub fn least_busy(&self) -> usize {
        let from = self.turn.load(Ordering::Relaxed);
        let around = (0..self.threads.len()).map(|i| (from + i) % self.threads.len());
        let chosen = around.min_by_key(|thread| self.threads[*thread].load(Ordering::Acquire)).unwrap_or(0);
        self.turn.store(chosen + 1, Ordering::Relaxed);
        chosen
    }

    /// Connections of each data thread.
    pub fn by_thread(&self) -> impl Iterator<Item = usize> {
        self.threads.iter().map(|count| count.load(Ordering::Acquire))
    }

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
            held: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
            monitors: AtomicBool::new(false),
            no_evict: AtomicBool::new(false),
            no_touch: AtomicBool::new(false),
            letterbox: Letterbox::default(),
            tls: ends.tls,
            thread: ends.thread,
            kill: AtomicBool::new(false),
            task: Mutex::default(),
        });
        if let Some(count) = self.threads.get(ends.thread) {
            count.fetch_add(1, Ordering::AcqRel);
        }
        self.list.insert(id, info.clone());
        Some(info)
    }

    /// A connection ended.
    pub fn leave(&self, id: ClientId) {
        if let Some((_, info)) = self.list.remove(&id) {
            if let Some(count) = self.threads.get(info.thread) {
                count.fetch_sub(1, Ordering::AcqRel);
            }
            self.count.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Looks at each connection, in no order.
    pub fn each(&self, mut look: impl FnMut(&Arc<ClientInfo>)) {
        self.list.iter().for_each(|entry| look(entry.value()));
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn enter(clients: &Clients, max: usize) -> Option<Arc<ClientInfo>> {
        let addr = ([127, 0, 0, 1], 1).into();
        let ends = Ends { addr, laddr: addr, fd: -1, tls: false, thread: clients.least_busy() };
        clients.enter(ends, 0, max)
    }

    fn spread(clients: &Clients) -> Vec<usize> {
        clients.by_thread().collect()
    }

    /// Few connections are where an uneven spread hurts: no thread may ever get a second one more than another.
    #[test]
    fn the_thread_with_the_fewest_is_chosen() {
        let clients = Clients::of_threads(3);
        let mut all: Vec<_> = (0..6).map(|_| enter(&clients, 100).unwrap()).collect();
        assert_eq!(spread(&clients), [2, 2, 2]);
        let second = all.iter().position(|info| info.thread == 1).unwrap();
        clients.leave(all.remove(second).id);
        assert_eq!((spread(&clients), enter(&clients, 100).unwrap().thread), (vec![2, 1, 2], 1));
        for _ in 0..50 {
            assert!(enter(&clients, 100).is_some());
            let now = spread(&clients);
            assert!(now.iter().max().unwrap() - now.iter().min().unwrap() <= 1, "{now:?}");
        }
    }

    /// Connections that come one after the other, as without keep-alive, must not all be the first thread's.
    #[test]
    fn threads_with_as_few_take_turns() {
        let clients = Clients::of_threads(2);
        let served = (0..4).map(|_| {
            let info = enter(&clients, 100).unwrap();
            clients.leave(info.id);
            info.thread
        });
        assert_eq!(served.collect::<Vec<_>>(), [0, 1, 0, 1]);
    }

    /// A connection that is refused is nobody's, and one that left twice left once.
    #[test]
    fn refused_and_ended_connections_are_not_counted() {
        let clients = Clients::of_threads(1);
        let info = enter(&clients, 1).unwrap();
        assert!(enter(&clients, 1).is_none());
        clients.leave(info.id);
        clients.leave(info.id);
        assert_eq!((spread(&clients), clients.count()), (vec![0], 0));
    }
}
