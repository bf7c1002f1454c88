//! One node: everything its connections and its background work share.

use crate::core::bus::{Bus, ClientId};
use crate::core::change::Changes;
use crate::core::copying::Copying;
use crate::core::directory::Directory;
use crate::core::journal::Journal;
use crate::core::members::{Members, State};
use crate::core::moves::MoveLog;
use crate::core::outbox::Outbox;
use crate::core::paths::Paths;
use crate::core::resolve::Outside;
use crate::core::seconds::Seconds;
use crate::core::stream::Stream;
use crate::core::stripes::Stripes;
use crate::core::tombs::Tombs;
use crate::core::version::Versions;
use crate::metrics::Metrics;
use crate::roles::Links;
use crate::roles::relief::Relief;
use crate::roles::sibling::Sibling;
use dashmap::DashMap;
use gs_client::cache::Cache;
use gs_client::clock::Clock;
use gs_client::link::Link;
use gs_resp::Roles;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Logical databases of every node.
pub const DATABASES: u8 = 16;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeRole {
    /// Owns the sessions of its front ends.
    Relay,
    /// Serves the relief side of a relay.
    Sibling,
    /// Takes young overflow.
    Expansion,
    /// Takes what aged out.
    Aging,
}

impl NodeRole {
    /// The word used on the command line, in replies, metrics and start-up lines.
    pub fn word(self) -> &'static str {
        match self {
            NodeRole::Relay => "relay",
            NodeRole::Sibling => "sibling",
            NodeRole::Expansion => "relief-expansion",
            NodeRole::Aging => "relief-aging",
        }
    }

    /// The bit in a command row's roles.
    pub fn bit(self) -> Roles {
        match self {
            NodeRole::Relay => Roles::RELAY,
            NodeRole::Sibling => Roles::SIBLING,
            NodeRole::Expansion => Roles::EXPANSION,
            NodeRole::Aging => Roles::AGING,
        }
    }
}

/// The limits and switches of a node, from its configuration. Units are in the names.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes of one unfinished request, and of its queue in a transaction.
    pub query_buffer_bytes: usize,
    /// Words of one request.
    pub args_max: usize,
    /// Bytes of unread replies of one client.
    pub output_buffer_bytes: usize,
    /// Keys remembered for client-side caches, once for each client that caches one.
    pub tracked_keys_max: usize,
    /// How long a new connection may take to authenticate.
    pub auth_timeout: Duration,
    /// Bytes of one value.
    pub value_bytes_max: usize,
    /// How long a write waits for room.
    pub full_wait: Duration,
    /// What a full section does.
    pub on_full: OnFull,
    /// True where front ends are sent values, false where they only hear that something changed.
    pub push_values: bool,
    /// How long a front end may answer without hearing from the relay.
    pub lease: Duration,
    /// How often peers are heard from.
    pub heartbeat: Duration,
}

/// What a full section does with a write that needs room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    /// Hands over to reliefs, and refuses when none takes anything.
    Relief,
    /// Evicts and counts.
    Drop,
    /// Hands over once any relief has ever joined, evicts before.
    Auto,
}

/// A front end's agent, as the relay sees it.
#[derive(Debug, Default)]
pub struct Agent {
    /// The newest event that it said it has applied.
    pub applied: AtomicU64,
    /// When it was last heard from, boot-time milliseconds.
    pub heard_ms: AtomicU64,
    /// False once its connection ended; its lease may still run.
    pub connected: AtomicBool,
}

/// What a relay owns beside its section.
pub struct Relay {
    /// What lives downstream.
    pub directory: Directory,
    /// What must not return.
    pub tombs: Tombs,
    /// Flushes: everything of a database below this version is gone.
    pub flushed: [AtomicU64; DATABASES as usize],
    /// Tombstones on disk.
    pub journal: Journal,
    /// Changes for front ends.
    pub stream: Stream,
    /// Orders for reliefs.
    pub outbox: Outbox,
    /// The reliefs known.
    pub members: Members,
    /// The source of versions.
    pub versions: Versions,
    /// The link to the sibling, once it said where it is.
    pub sibling: RwLock<Option<Link>>,
    /// Where the sibling is.
    pub sibling_addr: RwLock<Option<String>>,
    /// Look-ups downstream that are under way, one per key.
    pub flights: DashMap<(u8, Box<[u8]>), watch::Receiver<bool>>,
    /// Keys that moved up.
    pub moves: MoveLog,
    /// The agents of front ends by connection.
    pub agents: DashMap<ClientId, Arc<Agent>>,
    /// Signalled when an agent applied something or went away.
    pub agents_moved: Notify,
    /// True when the journal was damaged: what reliefs report is not believed.
    pub quarantine: bool,
    /// Flushes so far; a relief that has not heard of all of them is told before it is asked.
    pub flushes: AtomicU64,
    /// Flushes that each relief acknowledged.
    pub flushes_told: DashMap<u16, u64>,
    /// Reliefs whose holdings this life of the relay does not know yet.
    pub unreported: AtomicUsize,
    /// Reliefs that may hold a copy that nobody listed.
    pub doubted: AtomicUsize,
    /// Copies that were ordered dropped because a report named them, or whose holder said that they went: node and
    /// number, and when.
    pub condemned: Mutex<HashMap<(u16, u64), u64>>,
    /// Second copies on their way.
    pub copying: Copying,
    /// Second copies that are still to be sent.
    pub seconds: Seconds,
    /// Links to the sibling, one for each relief: a relief that hangs holds up only what is meant for it.
    pub holder_links: DashMap<u16, Link>,
}

impl Relay {
    /// The link to the sibling, if it is there.
    pub fn downstream(&self) -> Option<Link> {
        self.sibling.read().clone()
    }

    /// True while some relief may hold keys that the directory does not list.
    pub fn has_unreported(&self) -> bool {
        self.unreported.load(Ordering::Acquire) > 0
    }

    /// True if the node of this index lost its sessions, or was given up.
    pub fn is_lost(&self, node: u16) -> bool {
        self.members.state(node).is_none_or(|state| state == State::Lost)
    }

    /// True if this copy is gone or about to be, before it was listed: a report had it dropped, or its holder
    /// said that it went. Whoever stored it must not have it listed any more.
    pub fn is_condemned(&self, node: u16, copy: u64) -> bool {
        self.condemned.lock().contains_key(&(node, copy))
    }

    /// True while some relief may hold a copy that nobody listed.
    pub fn has_doubts(&self) -> bool {
        self.doubted.load(Ordering::Acquire) > 0
    }

    /// Counts anew after a change of the members.
    pub fn members_changed(&self) {
        self.unreported.store(self.members.unreported().len(), Ordering::Release);
        self.doubted.store(self.members.doubted(), Ordering::Release);
        self.outbox.wake();
    }
}

/// What a node is beside its section.
pub enum Part {
    /// A relay.
    Relay(Box<Relay>),
    /// A sibling.
    Sibling(Box<Sibling>),
    /// A relief of either tier.
    Relief(Box<Relief>),
}

/// One node; shared by its threads.
pub struct Node {
    /// The node's name in its family.
    pub name: String,
    /// What it is.
    pub role: NodeRole,
    /// Limits and switches.
    pub settings: Settings,
    /// Options that may change while it runs.
    pub live: crate::core::live::Live,
    /// The file that its configuration came from.
    pub config_file: Option<std::path::PathBuf>,
    /// Who watches which commands run.
    pub monitors: crate::core::monitor::Monitors,
    /// What took long.
    pub slow: crate::core::slow::Slow,
    /// How many keys have deadlines.
    pub census: crate::core::census::Census,
    /// How much of the section is in huge pages.
    pub huge: crate::core::huge::Huge,
    /// What INFO remembers between two questions.
    pub figures: crate::commands::server::figures::Memory,
    /// The sessions.
    pub cache: Cache,
    /// The clock of this node.
    pub clock: Clock,
    /// The policies by key prefix.
    pub paths: Paths,
    /// Order among this process's threads.
    pub stripes: Stripes,
    /// Channels.
    pub bus: Bus,
    /// Who listens to changes of keys.
    pub changes: Changes,
    /// Counters.
    pub metrics: Metrics,
    /// The connections.
    pub clients: crate::core::clients::Clients,
    /// How much memory they hold together.
    pub holdings: Arc<crate::core::holdings::Holdings>,
    /// Where their messages wait.
    pub mailroom: Arc<crate::core::bus::Mailroom>,
    /// What CLIENT PAUSE holds.
    pub pause: crate::core::pause::Pause,
    /// Signalled when room was made in the section.
    pub room: Notify,
    /// How it talks to its peers.
    pub links: Links,
    /// Scripts that were sent.
    pub scripts: crate::commands::script::known::Scripts,
    /// Questions to external validators.
    pub outside: Outside,
    /// The role's own state.
    pub part: Part,
    /// True once the node serves; false again while it drains.
    pub ready: AtomicBool,
    /// Becomes true when the node shall stop.
    pub stop: watch::Sender<bool>,
    /// When the node started, wall-clock milliseconds.
    pub started_unix_ms: u64,
    /// Random identity of this life of the node, 40 hexadecimal digits.
    pub run_id: String,
    /// The port of the RESP listener, once bound.
    pub port: AtomicU64,
}

impl Node {
    /// The relay's state; none on another node.
    pub fn relay(&self) -> Option<&Relay> {
        match &self.part {
            Part::Relay(relay) => Some(relay),
            _ => None,
        }
    }

    /// The sibling's state; none on another node.
    pub fn sibling(&self) -> Option<&Sibling> {
        match &self.part {
            Part::Sibling(sibling) => Some(sibling),
            _ => None,
        }
    }

    /// The relief's state; none on another node.
    pub fn relief(&self) -> Option<&Relief> {
        match &self.part {
            Part::Relief(relief) => Some(relief),
            _ => None,
        }
    }

    /// Milliseconds of boot time.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Remaining life of a deadline for the wire: -1 for none, never negative otherwise.
    pub fn pttl(&self, deadline_ms: u64) -> i64 {
        if deadline_ms == 0 { -1 } else { deadline_ms.saturating_sub(self.now_ms()) as i64 }
    }

    /// The deadline of a remaining life from the wire; 0 for none.
    pub fn deadline(&self, pttl: i64) -> u64 {
        u64::try_from(pttl).map_or(0, |ms| self.now_ms().saturating_add(ms).max(1))
    }

    /// A receiver that becomes true when the node shall stop.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// True while the node serves.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// The link that carries what is meant for one relief, if the sibling is there.
    pub fn downstream_to(&self, index: u16) -> Option<Link> {
        let relay = self.relay()?;
        let addr = relay.sibling_addr.read().clone()?;
        Some(relay.holder_links.entry(index).or_insert_with(|| self.links.open(&addr)).clone())
    }

    /// True where a full section evicts records instead of handing them over.
    pub fn drops_when_full(&self) -> bool {
        match self.settings.on_full {
            OnFull::Relief => false,
            OnFull::Drop => true,
            OnFull::Auto => self.relay().is_some_and(|relay| relay.members.list().is_empty()),
        }
    }

    /// What of a relay's family cannot be asked for, in words; none when all is well.
    pub fn trouble(&self) -> Option<String> {
        let relay = self.relay()?;
        if relay.journal.is_failing() {
            return Some("the journal cannot be written".into());
        }
        relay.quarantine.then(|| "the journal was damaged: what reliefs hold is not trusted".to_string())
    }
}
