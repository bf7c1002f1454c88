//! One node out of its configuration.

use super::Part;
use crate::core::bus::Mailroom;
use crate::core::change::Classes;
use crate::core::clients::Clients;
use crate::core::holdings::Holdings;
use crate::core::live::Live;
use crate::core::members::Tier;
use crate::core::node::{Node, NodeRole, OnFull, Part as RolePart, Settings};
use crate::core::paths::{Paths, SessionPath};
use crate::io::tls;
use crate::metrics::Metrics;
use crate::roles::relief::Relief;
use crate::roles::sibling::Sibling;
use crate::roles::{Links, relay};
use anyhow::Context as _;
use gs_client::cache::{
    Backing, Cache, Fifo, LeastLife, Mode, OpenError, Origin, Policy, Recency, SectionConfig,
};
use gs_client::clock::Clock;
use gs_conf::{Config, Destroy, JournalMode, Push};
use rustix::fs::{FlockOperation, flock};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;
use tokio::sync::watch;

/// How long a sibling waits for its relay's section, and a starting node for its predecessor's end.
const PATIENCE: Duration = Duration::from_secs(30);
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(50);
/// Room for the words and lengths around a value of the largest size.
const REQUEST_SLACK: usize = 128 * 1024;

/// Makes the directory and takes it for these roles, so that two nodes never write one journal.
pub(super) fn lock_directory(config: &Config, parts: &[Part], child: bool) -> anyhow::Result<Vec<File>> {
    let dir = Path::new(&config.dir);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("dir: {} cannot be made", dir.display()))?;
    let patience = if child { PATIENCE } else { LOCK_PATIENCE };
    parts.iter().map(|part| lock(&dir.join(format!("{}.lock", part.role.word())), patience)).collect()
}

fn lock(path: &Path, patience: Duration) -> anyhow::Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    let file = file.with_context(|| format!("{} cannot be opened", path.display()))?;
    let mut left = patience;
    // The kernel lets go of it however the holder ended.
    while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        if left.is_zero() {
            let path = path.display();
            anyhow::bail!(
                "{path} is held: another gs-server uses this directory; stop it, or give this one its own --dir"
            );
        }
        std::thread::sleep(STEP);
        left = left.saturating_sub(STEP);
    }
    Ok(file)
}

/// Builds a node. `relay` is the relay of this process, if it has one.
pub(super) fn node(
    part: &Part,
    relay: Option<&Arc<Node>>,
    child: bool,
    file: Option<&Path>,
) -> anyhow::Result<Arc<Node>> {
    let Part { config, role, ports, runtimes } = part;
    let clock = Clock::real();
    let links = tls::links(config)?;
    let cache = cache(config, *role, relay, &clock)
        .with_context(|| format!("the section of the {} cannot be had", role.word()))?;
    cache.set_pressure(config.params().pressure());
    let peer = if *role == NodeRole::Sibling { &config.relay } else { &config.sibling };
    let announced = ports.announced(config, peer);
    let name = match config.name.as_str() {
        "" => format!("{}@{announced}", role.word()),
        name => name.to_owned(),
    };
    let random = random().context("/dev/urandom")?;
    let part =
        role_part(config, *role, links.clone(), &clock, &announced, ports.links_use_tls(config), &random)?;
    if child {
        tracing::debug!(relay = %config.relay, "this sibling was started by its relay");
    }
    let mut shown = config.clone();
    shown.port = ports.port();
    let holdings = Arc::new(Holdings::default());
    holdings.set_bytes_max(config.limits.clients_buffer_bytes.bytes(config.capacity));
    let mailroom = Mailroom::new(&config.limits, clock.clone(), holdings.clone());
    let events = Classes::parse(&config.notify_keyspace_events).unwrap_or_default();
    let node = Arc::new(Node {
        name,
        role: *role,
        settings: settings(config),
        live: Live::new(&shown),
        config_file: file.map(Path::to_owned),
        monitors: Default::default(),
        slow: Default::default(),
        census: Default::default(),
        huge: Default::default(),
        figures: Default::default(),
        cache,
        paths: paths(config),
        stripes: Default::default(),
        bus: Default::default(),
        changes: Default::default(),
        metrics: Metrics::new(),
        clients: Clients::of_threads(runtimes.len().max(1)),
        mailroom,
        holdings,
        pause: Default::default(),
        room: Default::default(),
        links,
        scripts: Default::default(),
        outside: Default::default(),
        part,
        ready: AtomicBool::new(false),
        stop: watch::Sender::new(false),
        started_unix_ms: clock.unix_ms(),
        run_id: random.iter().map(|byte| format!("{byte:02x}")).collect(),
        port: AtomicU64::new(u64::from(ports.port())),
        clock,
    });
    if node.relay().is_some() {
        node.set_event_classes(events);
    }
    Ok(node)
}

fn random() -> std::io::Result<[u8; 20]> {
    let mut bytes = [0; 20];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn role_part(
    config: &Config,
    role: NodeRole,
    links: Links,
    clock: &Clock,
    announced: &str,
    tls: bool,
    random: &[u8; 20],
) -> anyhow::Result<RolePart> {
    let params = config.params();
    Ok(match role {
        NodeRole::Relay => {
            let sync = config.journal.mode == JournalMode::Sync;
            let life = u64::from_le_bytes(random[..8].try_into().unwrap_or_default());
            // Positive on the wire, and never the 0 that stands for an unknown life.
            let life = (life & i64::MAX as u64).max(1);
            let dir = Path::new(&config.dir);
            let bytes = usize::try_from(config.stream.buffer_bytes).unwrap_or(usize::MAX);
            let opened = relay::open(dir, sync, clock.unix_ms(), bytes, life);
            RolePart::Relay(Box::new(
                opened.with_context(|| format!("what the relay keeps in {}", dir.display()))?,
            ))
        }
        NodeRole::Sibling => {
            let sibling = Sibling::new(&config.relay, links, params);
            *sibling.addr.write() = announced.to_owned();
            RolePart::Sibling(Box::new(sibling))
        }
        NodeRole::Expansion | NodeRole::Aging => {
            let tier = if role == NodeRole::Aging { Tier::Aging } else { Tier::Expansion };
            let relief = Relief::new(tier, config.sibling.clone(), announced.to_owned(), tls, links, params);
            RolePart::Relief(Box::new(relief))
        }
    })
}

fn cache(config: &Config, role: NodeRole, relay: Option<&Arc<Node>>, clock: &Clock) -> anyhow::Result<Cache> {
    let policy: Policy = match role {
        NodeRole::Relay | NodeRole::Sibling => Arc::new(Recency::default()),
        NodeRole::Expansion => Arc::new(Fifo { older_than_ms: config.aging.aged_after_ms }),
        NodeRole::Aging => Arc::new(LeastLife { remaining_up_to_ms: 0 }),
    };
    let (dir, name) = (Path::new(&config.dir), config.section_name());
    if role == NodeRole::Sibling {
        return match relay.filter(|_| config.section.backing == Backing::Memory) {
            Some(relay) => Ok(relay.cache.attach_inside()?),
            None => attach(dir, name, &config.relay, clock, &policy),
        };
    }
    let asked = SectionConfig {
        capacity_bytes: config.capacity,
        block_bytes: config.section.block_bytes,
        value_bytes_max: config.section.value_bytes_max,
        keep_keys: true,
        mode: Mode::Owner,
        policy_fingerprint: 0,
    };
    let (cache, origin) = Cache::open(dir, name, &asked, config.section.backing, clock.clone(), policy)?;
    let stats = cache.section().stats();
    let how = if origin == Origin::Adopted { "adopted" } else { "made" };
    tracing::info!(
        role = role.word(),
        section = name,
        how,
        sessions = stats.live,
        bytes = stats.total_bytes,
        "section"
    );
    Ok(cache)
}

/// Attaches to the relay's section, which may be made only now.
fn attach(dir: &Path, name: &str, relay: &str, clock: &Clock, policy: &Policy) -> anyhow::Result<Cache> {
    let mut left = PATIENCE;
    loop {
        match Cache::attach(dir, name, None, clock.clone(), policy.clone()) {
            Err(OpenError::Absent { .. }) if !left.is_zero() => {
                if left == PATIENCE {
                    let (dir, seconds) = (dir.display(), PATIENCE.as_secs());
                    tracing::info!(%dir, section = name, relay, seconds, "waiting for the relay's section");
                }
                std::thread::sleep(STEP);
                left = left.saturating_sub(STEP);
            }
            result => return Ok(result?),
        }
    }
}

fn settings(config: &Config) -> Settings {
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let value_bytes_max = config.section.value_bytes_max as usize;
    Settings {
        // A value that may be stored must also fit into a request.
        query_buffer_bytes: size(config.limits.query_buffer_bytes).max(value_bytes_max + REQUEST_SLACK),
        args_max: config.limits.args_max as usize,
        output_buffer_bytes: size(config.limits.output_buffer_bytes),
        tracked_keys_max: config.limits.tracking_table_max_keys as usize,
        auth_timeout: Duration::from_millis(config.limits.auth_timeout_ms),
        value_bytes_max,
        full_wait: Duration::from_millis(config.section.full_wait_ms),
        on_full: match config.section.on_full {
            gs_conf::OnFull::Auto => OnFull::Auto,
            gs_conf::OnFull::Relief => OnFull::Relief,
            gs_conf::OnFull::Drop => OnFull::Drop,
        },
        push_values: config.stream.push == Push::All,
        lease: Duration::from_millis(config.lease_ms),
        heartbeat: Duration::from_millis(config.heartbeat_ms),
    }
}

fn paths(config: &Config) -> Paths {
    let path = |path: &gs_conf::PathConfig| SessionPath {
        name: path.name.clone(),
        prefix: path.prefix.clone().into_bytes(),
        gone_for: (path.destroy == Destroy::Wins).then(|| Duration::from_millis(path.gone_for_ms)),
        copies: path.copies,
        external_wait: path.external.then(|| Duration::from_millis(path.external_wait_ms)),
    };
    Paths::new(config.paths.iter().map(path).collect())
}
