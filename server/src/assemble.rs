//! From a configuration to running nodes, and back to nothing.
//!
//! A process runs one node, or the family's four. Nodes of one process talk over loopback exactly as nodes of
//! separate processes do; only the sibling's way to the relay's section is shorter where that is private memory.
//! Each node has data threads, each a runtime and listeners of its own; one more thread, the main one, serves
//! HTTP, publishes the metrics, keeps the child and waits for the end.

mod build;
mod ports;

use crate::core::huge;
use crate::core::node::{Node, NodeRole};
use crate::http::{self, Pages};
use crate::io::listen::{Arrivals, Edge};
use crate::io::{child, drain, tls};
use crate::metrics::Publisher;
use crate::roles;
use anyhow::Context as _;
use gs_conf::{Accept, Config, Role, SiblingMode};
use ports::{Ports, say};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

/// How often the numbers are published.
const PUBLISH: Duration = Duration::from_secs(1);

/// One node on its way into life.
struct Part {
    config: Config,
    role: NodeRole,
    ports: Ports,
    /// One per data thread; the first also runs what the node does by itself.
    runtimes: Vec<Runtime>,
}

/// Runs what the configuration says until the process is told to stop. `child` says that a relay started this
/// process and that standard input ends with it; `file` is where the configuration came from.
///
/// # Errors
/// A port is taken, a section or a file cannot be had; the text says which and what to do.
pub fn run(config: &Config, child: bool, file: Option<&Path>) -> anyhow::Result<()> {
    let mut parts = Vec::new();
    for role in parts_of(config) {
        parts.push(part(config, role, child)?);
    }
    // Once for all nodes of this process, and a child's relay has said it.
    if let Some(addr) = parts.iter().find_map(|part| part.ports.open_to_all(&part.config)).filter(|_| !child)
    {
        tracing::warn!(%addr, "whoever reaches this address is served: set requirepass, or bind 127.0.0.1");
    }
    // The ports are known now, also those that were free to choose.
    let addr_of = |role| parts.iter().find(|p: &&Part| p.role == role).map(|p| p.ports.link_addr(&p.config));
    let (relay_addr, sibling_addr) = (addr_of(NodeRole::Relay), addr_of(NodeRole::Sibling));
    let _locks = build::lock_directory(config, &parts, child)?;
    let mut nodes: Vec<Arc<Node>> = Vec::new();
    for part in &mut parts {
        part.config.relay = relay_addr.clone().unwrap_or_else(|| part.config.relay.clone());
        part.config.sibling = sibling_addr.clone().unwrap_or_else(|| part.config.sibling.clone());
        let relay = nodes.iter().find(|node| node.role == NodeRole::Relay);
        // What a node opens already belongs to the runtime of its first thread.
        let _entered = part.runtimes.first().map(Runtime::enter);
        nodes.push(build::node(part, relay, child, file)?);
    }
    let spec = wants_child(config)
        .then(|| {
            let relay = relay_addr.as_deref().unwrap_or(&config.relay);
            Ok::<_, anyhow::Error>(child::Spec::of(&sibling_config(config)?, relay))
        })
        .transpose()?;
    let http = parts.first_mut().and_then(|part| part.ports.http.take());
    let (done, finished) = mpsc::unbounded_channel();
    let mut threads = Vec::new();
    for (part, node) in parts.into_iter().zip(&nodes) {
        threads.extend(start(part, node, &done)?);
    }
    drop(done);
    let control = runtime().context("the control runtime cannot be started")?;
    let ended = control.block_on(control_loop(config, &nodes, http, spec, child, finished));
    // Tasks of links and children end here, before the threads that they may call into are waited for.
    drop(control);
    for thread in threads {
        if thread.join().is_err() {
            anyhow::bail!("a data thread failed; the log says why");
        }
    }
    ended
}

/// The nodes of this process, the owner of a section before who attaches to it.
fn parts_of(config: &Config) -> Vec<Role> {
    let inside = config.sibling_mode == SiblingMode::Inside;
    match config.role {
        Role::Relay if inside => vec![Role::Relay, Role::Sibling],
        Role::Family if inside => vec![Role::Relay, Role::Sibling, Role::ReliefExpansion, Role::ReliefAging],
        Role::Family => vec![Role::Relay, Role::ReliefExpansion, Role::ReliefAging],
        role => vec![role],
    }
}

fn wants_child(config: &Config) -> bool {
    matches!(config.role, Role::Relay | Role::Family) && config.sibling_mode == SiblingMode::Child
}

/// The configuration of one part. Where links speak TLS, a part without a TLS port of its own speaks TLS on its
/// port, or its peers could not reach it.
fn part_config(config: &Config, role: Role) -> Config {
    let mut part = config.part(role);
    let follows = role != config.role && role != Role::Relay;
    if follows && (config.link.tls || config.plain_port().is_none()) {
        part.tls.port = gs_conf::PortChoice::At(part.port);
    }
    part
}

/// The configuration of the sibling that is started as a child.
fn sibling_config(config: &Config) -> anyhow::Result<Config> {
    let mut part = part_config(config, Role::Sibling);
    part.dir = std::path::absolute(&config.dir).context("dir")?.display().to_string();
    for file in [&mut part.tls.cert, &mut part.tls.key, &mut part.tls.ca].into_iter().chain([
        &mut part.link.cert,
        &mut part.link.key,
        &mut part.link.ca,
    ]) {
        if !file.is_empty() {
            *file = std::path::absolute(&*file).context("a PEM file")?.display().to_string();
        }
    }
    if let Some((host, _)) = config.announce.rsplit_once(':').filter(|_| part.port != 0) {
        part.announce = format!("{host}:{}", part.port);
    }
    Ok(part)
}

fn part(config: &Config, role: Role, child: bool) -> anyhow::Result<Part> {
    let part = part_config(config, role);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = match (part.threads, config.role) {
        // Beside its relay, a family on one machine has little to do.
        (_, Role::Family) if role != Role::Relay => 1,
        (0, _) => cores,
        (n, _) => usize::from(n),
    };
    let serves_http = role == config.role || role == Role::Relay;
    let accepting = if part.accept == Accept::Handed { 1 } else { threads };
    let ports = Ports::bind(&part, accepting, serves_http, child)?;
    let runtimes = (0..threads).map(|_| runtime()).collect::<Result<_, _>>();
    let runtimes = runtimes.context("a data thread's runtime cannot be started")?;
    let role = match role {
        Role::Family | Role::Relay => NodeRole::Relay,
        Role::Sibling => NodeRole::Sibling,
        Role::ReliefExpansion => NodeRole::Expansion,
        Role::ReliefAging => NodeRole::Aging,
    };
    ports.announce(role);
    Ok(Part { config: part, role, ports, runtimes })
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Starts the data threads of a node.
fn start(
    part: Part,
    node: &Arc<Node>,
    done: &mpsc::UnboundedSender<()>,
) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let handed = part.config.accept == Accept::Handed;
    let count = part.runtimes.len();
    let (edge, arrivals) =
        Edge::new(node.clone(), tls::acceptor(&part.config)?, if handed { count } else { 0 });
    let mut arrivals = arrivals.into_iter();
    let mut threads = Vec::new();
    for (i, (runtime, sockets)) in part.runtimes.into_iter().zip(part.ports.into_sockets(count)).enumerate() {
        let (node, edge, done, arrivals) = (node.clone(), edge.clone(), done.clone(), arrivals.next());
        let name = format!("gs-{}-{i}", part.role.word());
        let body = move || {
            runtime.block_on(serve(node, edge, i, sockets, arrivals));
            // Nobody listens any more when the process ends for another reason.
            let _ = done.send(());
        };
        let thread =
            std::thread::Builder::new().name(name).spawn(body).context("a data thread cannot be started")?;
        threads.push(thread);
    }
    Ok(threads)
}

/// What one data thread does.
async fn serve(
    node: Arc<Node>,
    edge: Arc<Edge>,
    thread: usize,
    sockets: Vec<(TcpListener, bool)>,
    arrivals: Option<Arrivals>,
) {
    if thread == 0 {
        roles::start(node.clone());
        tokio::spawn(edge.clone().watch());
    }
    if let Some(arrivals) = arrivals {
        tokio::spawn(edge.clone().receive(arrivals));
    }
    for (socket, tls) in sockets {
        let (node, edge) = (node.clone(), edge.clone());
        tokio::spawn(async move {
            if let Err(error) = edge.accept(socket, tls, thread).await {
                tracing::error!(%error, "a listener failed");
                node.stop.send_replace(true);
            }
        });
    }
    let mut stopping = node.stopping();
    // The sender lives in the node, so this ends only when it stops.
    let _ = stopping.wait_for(|stop| *stop).await;
    drain::connections(&node).await;
}

/// What the main thread does while the nodes run.
async fn control_loop(
    config: &Config,
    nodes: &[Arc<Node>],
    http: Option<TcpListener>,
    spec: Option<child::Spec>,
    is_child: bool,
    mut finished: mpsc::UnboundedReceiver<()>,
) -> anyhow::Result<()> {
    let mut publisher = Publisher::new(nodes.to_vec());
    if let Some(listener) = http {
        let awaits_sibling = config.sibling_mode != SiblingMode::External;
        let pages = Pages { nodes: nodes.into(), metrics: publisher.handle(), awaits_sibling };
        tokio::spawn(async move {
            if let Err(error) = http::serve(listener, pages).await {
                tracing::error!(%error, "HTTP failed");
            }
        });
    }
    let sampled = nodes.to_vec();
    tokio::spawn(async move {
        loop {
            // Beside, because a look may take longer than the time between two publications.
            for node in &sampled {
                tokio::spawn(huge::look_beside(node.clone(), huge::UNASKED_MS));
            }
            publisher.publish();
            sampled.iter().for_each(|node| node.figures.sample(node));
            tokio::time::sleep(PUBLISH).await;
        }
    });
    let sibling =
        spec.zip(nodes.first()).map(|(spec, relay)| tokio::spawn(child::supervise(relay.clone(), spec)));
    for node in nodes {
        node.ready.store(true, Ordering::Release);
        say(&format!("ready {}", node.role.word()));
    }
    nodes.iter().for_each(|node| hint(config, node));
    let orphaned = async { if is_child { child::orphaned().await } else { std::future::pending().await } };
    let reason = drain::wait(nodes, orphaned).await.context("signals cannot be received")?;
    tracing::info!(reason, "stopping");
    drain::begin(nodes);
    if let Some(sibling) = sibling
        && sibling.await.is_err()
    {
        tracing::error!("the sibling's keeper failed");
    }
    // Every data thread says when its connections are done; all are bounded.
    while finished.recv().await.is_some() {}
    Ok(())
}

/// What to type next.
fn hint(config: &Config, node: &Node) {
    let Some(port) = Some(node.port.load(Ordering::Relaxed)).filter(|port| *port != 0) else {
        return;
    };
    let host = match config.bind.as_str() {
        "127.0.0.1" | "0.0.0.0" | "localhost" | "::" => String::new(),
        other => format!(" -h {other}"),
    };
    // A port that speaks TLS only is tried with TLS.
    let only_tls = part_config(config, role_of(node.role)).plain_port().is_none();
    let tls = if only_tls { format!(" --tls --cacert {}", ca(config)) } else { String::new() };
    let commands: &[&str] = match node.role {
        NodeRole::Relay => &["SET s:1 hello EX 60", "GS.GET s:1"],
        NodeRole::Sibling => &["GS.SHARD NODES"],
        NodeRole::Expansion => &["DBSIZE"],
        NodeRole::Aging => &["GS.AGE INFO"],
    };
    for command in commands {
        say(&format!("try: redis-cli{host} -p {port}{tls} {command}"));
    }
}

/// Who signed the listener's certificate, as far as is known here.
fn ca(config: &Config) -> &str {
    [&config.link.ca, &config.tls.ca]
        .into_iter()
        .find(|file| !file.is_empty())
        .map_or("CA.pem", String::as_str)
}

fn role_of(role: NodeRole) -> Role {
    match role {
        NodeRole::Relay => Role::Relay,
        NodeRole::Sibling => Role::Sibling,
        NodeRole::Expansion => Role::ReliefExpansion,
        NodeRole::Aging => Role::ReliefAging,
    }
}

/// A relay in private memory for unit tests, with these settings over the defaults.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) fn test_relay(said: &[(&str, &str)]) -> (tempfile::TempDir, Arc<Node>) {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().display().to_string();
    let base = [
        ("role", "relay"),
        ("port", "0"),
        ("http_port", "off"),
        ("capacity", "4mb"),
        ("section.backing", "memory"),
        ("sibling_mode", "external"),
        ("threads", "1"),
        ("dir", place.as_str()),
    ];
    let flags =
        base.iter().chain(said).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let config = gs_conf::load(&gs_conf::Inputs { flags, ..Default::default() }).unwrap().config;
    let role = NodeRole::Relay;
    let ports = Ports::bind(&config, 1, false, false).unwrap();
    let node = build::node(&Part { config, role, ports, runtimes: Vec::new() }, None, false, None).unwrap();
    (dir, node)
}
