//! Listeners: how connections come in.
//!
//! Either every data thread has a listener of its own on the same port (`SO_REUSEPORT`) and the kernel spreads
//! connections, or the first one accepts for all and hands each connection to the thread that has the fewest. A
//! connection is its thread's own from then on: no other touches its socket, and no command crosses threads. One
//! that cannot be accepted, for instance for want of descriptors, waits in the kernel's queue; those that are
//! served go on.

use crate::core::clients::{ClientInfo, Ends};
use crate::core::node::Node;
use crate::io::conn::{Bounds, Signal, serve};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;

/// Connections that may wait in the kernel to be accepted.
const BACKLOG: i32 = 4096;
/// How long a TLS handshake may take, its turn awaited included.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// TLS handshakes of a node at the same time: they are the most expensive thing a stranger can ask for.
const HANDSHAKES_MAX: usize = 64;
/// Pauses after a failed accept: doubling from the first to the second.
const ACCEPT_PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// How often every connection looks around: idle? buffers to give back?
const ROUND: Duration = Duration::from_secs(5);

/// Binds `host:port` for `threads` threads, one socket each; port 0 picks a free one.
///
/// # Errors
/// The address is not ours, or somebody else listens there.
pub fn bind(host: &str, port: u16, threads: usize) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let addr = (host, port)
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))?;
    let shared = threads > 1;
    if shared && port != 0 {
        // With SO_REUSEPORT a second server on the same port would start and take half of the connections; a
        // socket without it is refused if anybody listens.
        drop(listener(addr, false)?);
    }
    let first = listener(addr, shared)?;
    let addr = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..threads {
        sockets.push(listener(addr, true)?);
    }
    Ok((addr, sockets))
}

/// [`bind`], again and again while the port is taken: a successor waits for its predecessor's end.
pub fn bind_patiently(
    host: &str,
    port: u16,
    threads: usize,
    patience: Duration,
) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    const STEP: Duration = Duration::from_millis(50);
    let mut left = patience;
    loop {
        match bind(host, port, threads) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && !left.is_zero() => {
                std::thread::sleep(STEP);
                left = left.saturating_sub(STEP);
            }
            result => return result,
        }
    }
}

fn listener(addr: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    // Accepted sockets inherit it: replies are small and awaited.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(addr))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What the listeners and connections of a node share.
pub struct Edge {
    node: Arc<Node>,
    bounds: Bounds,
    signal: watch::Sender<Signal>,
    acceptor: Option<TlsAcceptor>,
    handshakes: Semaphore,
    /// The way to each thread, where one accepts for all of them; empty where every thread accepts its own.
    ways: Box<[mpsc::UnboundedSender<Arrival>]>,
}

/// A connection that is on the list and not served yet.
struct Guest {
    info: Arc<ClientInfo>,
    tls: bool,
    entered: Entered,
}

/// A connection on its way to the thread that serves it. No runtime watches its socket meanwhile.
pub struct Arrival(std::net::TcpStream, Guest);

/// What one thread receives. It has no bound of its own: what is in it counts as a client, and those have one.
pub type Arrivals = mpsc::UnboundedReceiver<Arrival>;

impl Edge {
    /// The edge of a node, and what each of `handed_to` threads receives from the one that accepts for all; 0 where
    /// every thread accepts its own.
    pub fn new(
        node: Arc<Node>,
        acceptor: Option<TlsAcceptor>,
        handed_to: usize,
    ) -> (Arc<Edge>, Vec<Arrivals>) {
        let bounds = Bounds::of(&node);
        let handshakes = Semaphore::new(HANDSHAKES_MAX);
        let (ways, arrivals): (Vec<_>, Vec<_>) = (0..handed_to).map(|_| mpsc::unbounded_channel()).unzip();
        let ways = ways.into();
        (
            Arc::new(Edge { node, bounds, signal: watch::Sender::default(), acceptor, handshakes, ways }),
            arrivals,
        )
    }

    /// Accepts on this thread until the node stops.
    pub async fn accept(self: Arc<Self>, listener: TcpListener, tls: bool, thread: usize) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let mut stopping = self.node.stopping();
        let mut pause = ACCEPT_PAUSE.0;
        loop {
            let accepted = tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return Ok(()),
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, addr)) => {
                    pause = ACCEPT_PAUSE.0;
                    self.place(stream, addr, tls, thread);
                }
                // The peer gave up while it waited; that is not our trouble.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    self.node.metrics.accept_errors.add(1);
                    if pause == ACCEPT_PAUSE.0 {
                        tracing::warn!(%error, "connections cannot be accepted; trying again");
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(ACCEPT_PAUSE.1);
                }
            }
        }
    }

    /// Serves what another thread accepted for this one, until the node stops.
    pub async fn receive(self: Arc<Self>, mut arrivals: Arrivals) {
        let mut stopping = self.node.stopping();
        loop {
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                arrival = arrivals.recv() => match arrival {
                    Some(Arrival(stream, guest)) => match TcpStream::from_std(stream) {
                        Ok(stream) => self.admit(stream, guest),
                        Err(error) => self.unwatchable(&error),
                    },
                    None => return,
                },
            }
        }
    }

    /// Enters a connection that `here` accepted, and sees to it that its thread serves it.
    fn place(self: &Arc<Self>, stream: TcpStream, addr: SocketAddr, tls: bool, here: usize) {
        let node = &self.node;
        let thread = if self.ways.is_empty() { here } else { node.clients.least_busy() };
        let laddr = stream.local_addr().unwrap_or(addr);
        let ends = Ends { addr, laddr, fd: stream.as_raw_fd(), tls, thread };
        let Some(info) = node.clients.enter(ends, node.clock.now_coarse_ms(), node.live.clients_max()) else {
            if !tls {
                // Best effort: what the client sent is taken first, or closing would discard the words.
                let _ = stream.try_read(&mut [0; 1024]);
                let _ = stream.try_write(b"-ERR max number of clients reached\r\n");
            }
            return;
        };
        // Counts as a client from here on, and is taken off the list however this ends.
        let entered = Entered(node.clone(), info.id);
        // Where the listener's setting was not inherited.
        let _ = stream.set_nodelay(true);
        let keepalive = Duration::from_millis(node.live.keepalive_ms());
        if !keepalive.is_zero() {
            // As Redis: a third of it between the questions, three unanswered ones are the end. A socket that takes
            // no options still serves.
            let asked = TcpKeepalive::new().with_time(keepalive).with_interval(keepalive / 3).with_retries(3);
            let _ = SockRef::from(&stream).set_tcp_keepalive(&asked);
        }
        let guest = Guest { info, tls, entered };
        match self.ways.get(thread).filter(|_| thread != here) {
            None => self.admit(stream, guest),
            // Out of this thread's runtime; from here on the other's alone watches it.
            Some(way) => match stream.into_std() {
                // A thread that takes nothing any more has been told to stop, and this one as well.
                Ok(stream) => drop(way.send(Arrival(stream, guest))),
                Err(error) => self.unwatchable(&error),
            },
        }
    }

    fn unwatchable(&self, error: &io::Error) {
        self.node.metrics.accept_errors.add(1);
        tracing::warn!(%error, "a connection was accepted and cannot be handed over");
    }

    /// Serves a connection on this thread.
    fn admit(self: &Arc<Self>, stream: TcpStream, guest: Guest) {
        let Guest { info, tls, entered } = guest;
        let (node, bounds, signal) = (self.node.clone(), self.bounds, self.signal.subscribe());
        let task = match self.acceptor.clone().filter(|_| tls) {
            // It leaves the list also where the task is ended before it ran.
            None => tokio::spawn(serve(node, info.clone(), stream, bounds, signal, entered)),
            Some(acceptor) => {
                let (edge, info) = (self.clone(), info.clone());
                tokio::spawn(async move {
                    let handshake = async {
                        let _turn = edge.handshakes.acquire().await;
                        acceptor.accept(stream).await
                    };
                    match tokio::time::timeout(HANDSHAKE, handshake).await {
                        Ok(Ok(stream)) => {
                            // Boxed: what TLS needs to know would be moved from one part of the task to another,
                            // and there would be room for it in both.
                            serve(node, info, Box::new(stream), bounds, signal, entered).await;
                        }
                        failed => {
                            edge.node.metrics.tls_failures.add(1);
                            let reason = failed.map(|r| r.err().map(|e| e.to_string()));
                            tracing::debug!(addr = %info.addr, ?reason, "TLS handshake failed");
                        }
                    }
                })
            }
        };
        info.served_by(task.abort_handle());
    }

    /// Tells the connections when the node stops and when to look around. Runs until the node stops.
    pub async fn watch(self: Arc<Self>) {
        let mut stopping = self.node.stopping();
        loop {
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => {
                    self.signal.send_modify(|signal| signal.stopping = true);
                    return;
                }
                () = tokio::time::sleep(ROUND) => self.signal.send_modify(|signal| signal.round += 1),
            }
        }
    }
}

/// A connection on the list; one that is served leaves it by itself, which comes to the same.
struct Entered(Arc<Node>, u64);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.clients.leave(self.1);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A second server on a port that is served must fail loudly, not take half of the connections.
    #[test]
    fn a_port_is_not_shared_with_another_server() {
        let (addr, _sockets) = bind("127.0.0.1", 0, 2).unwrap();
        let again = bind("127.0.0.1", addr.port(), 2);
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    /// A reply that is smaller than a packet must not wait for the acknowledgement of the one before: 40 ms for each
    /// batch of a pipeline, where it does.
    #[test]
    fn accepted_connections_send_at_once() {
        let (addr, sockets) = bind("127.0.0.1", 0, 2).unwrap();
        sockets.iter().for_each(|socket| socket.set_nonblocking(true).unwrap());
        let _client = std::net::TcpStream::connect(addr).unwrap();
        let accepted = std::iter::repeat_with(|| sockets.iter().find_map(|socket| socket.accept().ok()));
        let (stream, _) = accepted.flatten().next().unwrap();
        assert!(stream.nodelay().unwrap());
    }

    /// The threads of one server share its port.
    #[test]
    fn the_threads_of_one_server_share_a_port() {
        let (addr, sockets) = bind("127.0.0.1", 0, 3).unwrap();
        assert!(sockets.iter().all(|socket| socket.local_addr().unwrap() == addr));
        assert_eq!(sockets.len(), 3);
    }

    /// A child that starts again takes over its predecessor's port as soon as that one is gone.
    #[test]
    fn a_successor_waits_for_the_port() {
        let (addr, sockets) = bind("127.0.0.1", 0, 1).unwrap();
        let port = addr.port();
        let waiter =
            std::thread::spawn(move || bind_patiently("127.0.0.1", port, 1, Duration::from_secs(30)));
        std::thread::sleep(Duration::from_millis(120));
        drop(sockets);
        assert_eq!(waiter.join().unwrap().unwrap().0.port(), port);
    }
}
