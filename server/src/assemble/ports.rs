//! The listeners of a node: bound before anything else is done, announced line by line.

use crate::core::node::NodeRole;
use crate::io::listen::{bind, bind_patiently};
use gs_conf::{ClientAuth, Config, PortChoice};
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::time::Duration;

/// How long a child waits for its predecessor's port.
const CHILD_PATIENCE: Duration = Duration::from_secs(10);

struct Bound {
    addr: SocketAddr,
    sockets: Vec<TcpListener>,
}

/// The listeners of one node.
pub(super) struct Ports {
    clear: Option<Bound>,
    tls: Option<Bound>,
    http_addr: Option<SocketAddr>,
    /// The HTTP listener, until somebody serves it.
    pub(super) http: Option<TcpListener>,
}

impl Ports {
    /// Binds everything that a node listens on, for as many threads as accept.
    pub(super) fn bind(part: &Config, accepting: usize, http: bool, child: bool) -> anyhow::Result<Ports> {
        let patience = if child { CHILD_PATIENCE } else { Duration::ZERO };
        let open = |key: &str, port: u16| {
            bind_patiently(&part.bind, port, accepting, patience)
                .map(|(addr, sockets)| Bound { addr, sockets })
                .map_err(|error| refused(error, key, &part.bind, port))
        };
        let clear = part.plain_port().map(|port| open("port", port)).transpose()?;
        let tls = part.tls_port().map(|port| open("tls.port", port)).transpose()?;
        let mut ports = Ports { clear, tls, http_addr: None, http: None };
        if let Some(port) = part.http().filter(|_| http) {
            let (addr, mut sockets) = match bind(&part.bind, port, 1) {
                // A port that nobody chose must not keep a sibling from running.
                Err(error) if child && part.http_port == PortChoice::Auto => {
                    tracing::warn!(port, %error, "HTTP takes a free port instead");
                    bind(&part.bind, 0, 1)
                }
                bound => bound,
            }
            .map_err(|error| refused(error, "http_port", &part.bind, port))?;
            (ports.http_addr, ports.http) = (Some(addr), sockets.pop());
        }
        Ok(ports)
    }

    /// One line per listener.
    pub(super) fn announce(&self, role: NodeRole) {
        let resp = [("resp", self.clear.as_ref()), ("resp-tls", self.tls.as_ref())];
        let resp = resp.into_iter().filter_map(|(proto, bound)| Some((proto, bound?.addr)));
        for (proto, addr) in resp.chain(self.http_addr.map(|addr| ("http", addr))) {
            say(&format!("listening {} {proto} {addr}", role.word()));
        }
    }

    /// An address beyond this machine at which anybody is served: no password, and no certificate is asked for.
    pub(super) fn open_to_all(&self, part: &Config) -> Option<SocketAddr> {
        let certified = part.tls.client_auth == ClientAuth::Required;
        let open = [self.clear.as_ref(), self.tls.as_ref().filter(|_| !certified)];
        let beyond = |addr: &SocketAddr| part.requirepass.is_empty() && !addr.ip().is_loopback();
        open.into_iter().flatten().map(|bound| bound.addr).find(beyond)
    }

    /// The port of clear RESP, else of TLS.
    pub(super) fn port(&self) -> u16 {
        self.clear.as_ref().or(self.tls.as_ref()).map_or(0, |bound| bound.addr.port())
    }

    fn link(&self, part: &Config) -> Option<SocketAddr> {
        let (clear, tls) = (self.clear.as_ref(), self.tls.as_ref());
        let chosen = if part.link.tls { tls.or(clear) } else { clear.or(tls) };
        chosen.map(|bound| bound.addr)
    }

    /// Where nodes on this machine reach this one.
    pub(super) fn link_addr(&self, part: &Config) -> String {
        let Some(mut addr) = self.link(part) else {
            return String::new();
        };
        // A certificate is checked for the name that is dialled, so the announced one is the better one.
        if part.link.tls && !part.announce.is_empty() {
            return part.announce.clone();
        }
        if addr.ip().is_unspecified() {
            addr.set_ip(loopback(&addr));
        }
        addr.to_string()
    }

    /// Where nodes elsewhere reach this one: what was configured, or the address it has towards `peer`.
    pub(super) fn announced(&self, part: &Config, peer: &str) -> String {
        if !part.announce.is_empty() {
            return part.announce.clone();
        }
        let Some(mut addr) = self.link(part) else {
            return String::new();
        };
        if addr.ip().is_unspecified() {
            let ip = address_towards(peer, &addr).unwrap_or_else(|| loopback(&addr));
            addr.set_ip(ip);
        }
        addr.to_string()
    }

    /// True if links to this node speak TLS.
    pub(super) fn links_use_tls(&self, part: &Config) -> bool {
        part.link.tls && self.tls.is_some()
    }

    /// The sockets of every thread, none for one that does not accept; true for TLS.
    pub(super) fn into_sockets(self, threads: usize) -> Vec<Vec<(TcpListener, bool)>> {
        let mut threads: Vec<Vec<(TcpListener, bool)>> = (0..threads).map(|_| Vec::new()).collect();
        for (bound, tls) in [(self.clear, false), (self.tls, true)] {
            for (thread, socket) in threads.iter_mut().zip(bound.into_iter().flat_map(|b| b.sockets)) {
                thread.push((socket, tls));
            }
        }
        threads
    }
}

fn refused(error: std::io::Error, key: &str, bind: &str, port: u16) -> anyhow::Error {
    let way_out = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "; if a gs-server runs here already, --port and its like choose others"
        }
        _ => "",
    };
    anyhow::Error::new(error).context(format!("{key}: {bind}:{port} cannot be listened on{way_out}"))
}

fn loopback(like: &SocketAddr) -> std::net::IpAddr {
    if like.is_ipv4() { std::net::Ipv4Addr::LOCALHOST.into() } else { std::net::Ipv6Addr::LOCALHOST.into() }
}

/// The address from which this machine reaches a peer. Nothing is sent: connecting a datagram socket only asks
/// the routing table.
fn address_towards(peer: &str, like: &SocketAddr) -> Option<std::net::IpAddr> {
    let peer = peer.to_socket_addrs().ok()?.find(|addr| addr.is_ipv4() == like.is_ipv4())?;
    let socket = UdpSocket::bind(SocketAddr::new(like.ip(), 0)).ok()?;
    socket.connect(peer).ok()?;
    socket.local_addr().ok().map(|addr| addr.ip()).filter(|ip| !ip.is_unspecified())
}

/// Writes a line to standard output. Whoever reads it may be gone; the node serves on.
pub(super) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
