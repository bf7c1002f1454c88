//! The options of a node: every one declared once, with its field, type, default, range and doc.

use crate::row::{Form, Kind, alias, alias_as, group, row, row_per};
use crate::words::{
    Accept, Backing, ClientAuth, Destroy, JournalMode, LogFormat, LogLevel, OnFull, Partition, PortChoice,
    Push, Role, Share, SiblingMode,
};
use gs_policies::params;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const KIB: i64 = 1024;
const MIB: i64 = 1024 * KIB;
pub(crate) const TIB: i64 = 1024 * 1024 * MIB;
/// Least capacity of a section; below it fences and touch bytes would outweigh the records.
pub(crate) const CAPACITY_MIN: i64 = MIB;

/// Lines of the table for the parameters that `gs-policies` declares: range and default are the policy's own.
const fn param(i: usize, millis: bool) -> crate::row::Row {
    let p = params::PARAMS[i];
    let (min, max) = (p.min as i64, p.max as i64);
    let kind = if millis { Kind::Millis { min, max } } else { Kind::Integer { min, max } };
    row(kind, PARAM_DEFAULTS[i]).runtime()
}

/// The defaults of [`params::PARAMS`] as text; a test holds them to it.
const PARAM_DEFAULTS: [&str; params::COUNT] = ["3600000", "0", "3", "70", "256", "20"];

group! {
    /// A whole configuration.
    pub struct Config in "" {
        /// What this process is.
        role: Role = row(Kind::Choice(Role::WORDS), "family").flag("--role");
        /// The node's name, unique in its family and the same after a restart. Empty: its role and the address it announces.
        name: String = row(Kind::Text, "");
        /// The address to listen on.
        bind: String = row(Kind::Word, "127.0.0.1").flag("--bind").redis(alias("bind"));
        /// The RESP port of this role (of a family: its relay's). 0 picks a free one.
        port: u16 = row_per(Kind::Port, ["7878", "7878", "7880", "7881", "7882"]).flag("--port").redis(alias("port"));
        /// The port of the sibling that a relay or family starts. 0 picks a free one.
        sibling_port: u16 = row(Kind::Port, "7880").flag("--sibling-port");
        /// The port of the family's expansion relief. 0 picks a free one.
        expansion_port: u16 = row(Kind::Port, "7881").flag("--expansion-port");
        /// The port of the family's aging relief. 0 picks a free one.
        aging_port: u16 = row(Kind::Port, "7882").flag("--aging-port");
        /// The sibling that a relief joins.
        sibling: String = row(Kind::Endpoint, "127.0.0.1:7880").flag("--sibling");
        /// The relay that a sibling reports to when the relay did not start it.
        relay: String = row(Kind::Endpoint, "127.0.0.1:7878").flag("--relay");
        /// How a relay gets its sibling.
        sibling_mode: SiblingMode = row_per(Kind::Choice(SiblingMode::WORDS), ["inside", "child", "child", "child", "child"]);
        /// The port of /metrics, /healthz and /readyz: `auto` is the RESP port + 2000 (a free one where that is 0), `off` or -1 none.
        http_port: PortChoice = row(Kind::PortOr { auto: true }, "auto").flag("--http-port");
        /// Bytes of the section.
        capacity: u64 = row_per(Kind::Bytes { min: CAPACITY_MIN, max: TIB }, ["256mb", "256mb", "256mb", "128mb", "256mb"]).flag("--capacity").redis(alias("maxmemory"));
        /// Bytes of the section of the family's expansion relief.
        expansion_capacity: u64 = row(Kind::Bytes { min: CAPACITY_MIN, max: TIB }, "128mb");
        /// Bytes of the section of the family's aging relief.
        aging_capacity: u64 = row(Kind::Bytes { min: CAPACITY_MIN, max: TIB }, "256mb");
        /// The directory of what a node keeps: section names and keys, journal, members.
        dir: String = row(Kind::Text, "gs-data").flag("--dir").redis(alias("dir"));
        /// Threads that serve clients; 0 is one per core.
        threads: u16 = row(Kind::Integer { min: 0, max: 1024 }, "0");
        /// How connections come to the threads: spread by the kernel, which hashes addresses and not loads (`kernel`), or handed to the thread that has the fewest (`handed`).
        accept: Accept = row(Kind::Choice(Accept::WORDS), "kernel");
        /// The HOST:PORT under which other nodes reach this one. Empty: the address of its links and its port.
        announce: String = row(Kind::Text, "");
        /// How long a front end may answer from its section without hearing from the relay.
        lease_ms: u64 = row(Kind::Millis { min: 50, max: 600_000 }, "1000");
        /// How often peers tell each other that they live.
        heartbeat_ms: u64 = row(Kind::Millis { min: 10, max: 60_000 }, "250");
        /// Logical databases (SELECT 0 ...).
        databases: u8 = row(Kind::Integer { min: 1, max: 16 }, "16").redis(alias("databases"));
        /// Which keyspace events the relay publishes to its own subscribers, in Redis's letters (`Egx`, `KEA`); empty for none.
        notify_keyspace_events: String = row(Kind::Text, "").runtime().redis(alias("notify-keyspace-events"));
        /// The password of this node's clients; empty for none.
        requirepass: String = row(Kind::Text, "").secret().runtime().redis(alias_as("requirepass", Form::Secret));
    }
    with {
        /// The section.
        section: Section,
        /// Aging and pressure.
        aging: Aging,
        /// The journal of deletions.
        journal: Journal,
        /// The stream to front ends.
        stream: Stream,
        /// Bounds on clients.
        limits: Limits,
        /// TLS of the listeners.
        tls: Tls,
        /// Links to other nodes.
        link: Link,
        /// The log.
        log: Log,
        /// What is watched.
        watch: Watch,
        /// The session paths, longest prefix first; the last one has prefix "" and takes every key that no other takes.
        paths: Vec<PathConfig>,
    }
}

group! {
    /// The section: how records lie, and what happens when it is full.
    pub struct Section in "section." {
        /// The section's name in `dir`. Empty: the role's name (a family has one per role; a sibling attaches to `relay`).
        name: String = row(Kind::Text, "");
        /// Bytes of a block; a record takes one or more. A multiple of 8.
        block_bytes: u32 = row(Kind::Integer { min: 128, max: 4096 }, "248");
        /// Largest value, in bytes; a larger one is refused, never cut. Unless set, at most a quarter of the section.
        value_bytes_max: u32 = row(Kind::Bytes { min: 1024, max: gs_shm::VALUE_BYTES_LIMIT as i64 }, "1mb").redis(alias("proto-max-bulk-len"));
        /// Where the section lives.
        backing: Backing = row(Kind::Choice(Backing::WORDS), "shm");
        /// How long a write waits for room before it is refused.
        full_wait_ms: u64 = row(Kind::Millis { min: 0, max: 60_000 }, "1000");
        /// What happens when the section is full.
        on_full: OnFull = row(Kind::Choice(OnFull::WORDS), "auto").redis(alias_as("maxmemory-policy", Form::Eviction));
    }
}

group! {
    /// Aging and pressure: the parameters of `GS.AGE POLICY`.
    pub struct Aging in "aging." {
        /// A victim at least this old goes to an aging node, a younger one to an expansion node.
        aged_after_ms: u64 = param(0, true);
        /// A victim with less life left than this is let go instead of moved; 0 moves every one.
        worth_moving_ms: u64 = param(1, true);
        /// Room kept free ahead of demand, in percent of the section.
        free_target_pct: u8 = param(2, false);
        /// An expansion node hands back while the relay's section is filled less than this percentage; 0 never.
        hand_back_below_pct: u8 = param(3, false);
        /// Records moved in one step at most.
        batch: u32 = param(4, false);
        /// Pause between two steps of moving records while there is nothing urgent.
        interval_ms: u64 = param(5, true);
    }
}

group! {
    /// The journal of deletions.
    pub struct Journal in "journal." {
        /// Whether a deletion is on disk before (`sync`) or shortly after (`async`) its reply.
        mode: JournalMode = row(Kind::Choice(JournalMode::WORDS), "sync");
    }
}

group! {
    /// The stream to front ends.
    pub struct Stream in "stream." {
        /// What it carries: new values and invalidations, or invalidations alone.
        push: Push = row(Kind::Choice(Push::WORDS), "all");
        /// Bytes kept for one front end that falls behind; past it, it starts anew.
        buffer_bytes: u64 = row(Kind::Bytes { min: 64 * KIB, max: 1024 * MIB }, "4mb");
    }
}

group! {
    /// Bounds on clients.
    pub struct Limits in "limits." {
        /// Connections at the same time.
        maxclients: u32 = row(Kind::Integer { min: 1, max: 1_000_000 }, "10000").runtime().redis(alias("maxclients"));
        /// Bytes of requests a connection may have waiting.
        query_buffer_bytes: u64 = row(Kind::Bytes { min: 64 * KIB, max: 1024 * MIB }, "4mb").redis(alias("client-query-buffer-limit"));
        /// Bytes of replies a connection may have waiting.
        output_buffer_bytes: u64 = row(Kind::Bytes { min: 64 * KIB, max: 1024 * MIB }, "16mb");
        /// Bytes of messages a subscriber may have waiting.
        pubsub_buffer_bytes: u64 = row(Kind::Bytes { min: 64 * KIB, max: 1024 * MIB }, "8mb").runtime();
        /// Bytes of messages a subscriber may have waiting for longer than `pubsub_soft_ms`; 0 for as many as `pubsub_buffer_bytes`.
        pubsub_soft_bytes: u64 = row(Kind::Bytes { min: 0, max: 1024 * MIB }, "2mb").runtime();
        /// How long a subscriber may have more than `pubsub_soft_bytes` waiting.
        pubsub_soft_ms: u64 = row(Kind::Millis { min: 0, max: DAY_MS }, "10000").runtime();
        /// Bytes of requests, replies and messages that all connections together may have waiting, or their share of the capacity; past it those that hold most are closed; 0 for no such bound.
        clients_buffer_bytes: Share = row(Kind::Share { max: TIB }, "256mb").runtime().redis(alias("maxmemory-clients"));
        /// Keys remembered for client-side caches, each as often as clients cache it; past it some are invalidated early.
        tracking_table_max_keys: u32 = row(Kind::Integer { min: 1, max: 100_000_000 }, "1000000").redis(alias("tracking-table-max-keys"));
        /// Arguments of one command.
        args_max: u32 = row(Kind::Integer { min: 16, max: 1_048_576 }, "65536");
        /// How long a connection may take to authenticate where a password is asked.
        auth_timeout_ms: u64 = row(Kind::Millis { min: 100, max: 600_000 }, "5000");
        /// How long a connection may be idle; 0 for ever.
        idle_timeout_ms: u64 = row(Kind::Millis { min: 0, max: 30 * DAY_MS }, "0").runtime().redis(alias_as("timeout", Form::Seconds));
        /// How long a new connection may be silent before the kernel asks whether its peer still lives; 0 for never.
        tcp_keepalive_ms: u64 = row(Kind::Millis { min: 0, max: DAY_MS }, "300000").runtime().redis(alias_as("tcp-keepalive", Form::Seconds));
    }
}

group! {
    /// TLS of the listeners.
    pub struct Tls in "tls." {
        /// The TLS port: `off`, or a port (0 a free one). The same number as `port` makes that port speak TLS only.
        port: PortChoice = row(Kind::PortOr { auto: false }, "off").redis(alias_as("tls-port", Form::Port));
        /// PEM file of the server's certificate chain.
        cert: String = row(Kind::Text, "").redis(alias("tls-cert-file"));
        /// PEM file of its private key.
        key: String = row(Kind::Text, "").redis(alias("tls-key-file"));
        /// PEM file of the authorities that sign client certificates.
        ca: String = row(Kind::Text, "").redis(alias("tls-ca-cert-file"));
        /// Whether clients are asked for a certificate.
        client_auth: ClientAuth = row(Kind::Choice(ClientAuth::WORDS), "no").redis(alias("tls-auth-clients"));
    }
}

group! {
    /// Links to other nodes.
    pub struct Link in "link." {
        /// Whether links use TLS.
        tls: bool = row(Kind::Bool, "false");
        /// PEM file of the authorities that sign the other nodes' certificates.
        ca: String = row(Kind::Text, "");
        /// PEM file of the certificate that links present.
        cert: String = row(Kind::Text, "");
        /// PEM file of its private key.
        key: String = row(Kind::Text, "");
        /// The password that the other nodes ask for; empty for this node's own `requirepass`.
        password: String = row(Kind::Text, "").secret();
    }
}

group! {
    /// The log (on stderr).
    pub struct Log in "log." {
        /// Least severe message that is written.
        level: LogLevel = row(Kind::Choice(LogLevel::WORDS), "info").runtime().redis(alias_as("loglevel", Form::LogLevel));
        /// How a line is written.
        format: LogFormat = row(Kind::Choice(LogFormat::WORDS), "text");
    }
}

group! {
    /// What is watched: slow commands, spikes, and what clients send.
    pub struct Watch in "watch." {
        /// Microseconds from which on a command is kept in SLOWLOG, its arguments by their lengths alone; -1 for never.
        slower_than_us: i64 = row(Kind::Integer { min: -1, max: HOUR_MS * 1000 }, "10000").runtime().redis(alias("slowlog-log-slower-than"));
        /// Entries that SLOWLOG keeps.
        slow_entries_max: u32 = row(Kind::Integer { min: 0, max: 100_000 }, "128").runtime().redis(alias("slowlog-max-len"));
        /// Milliseconds from which on LATENCY keeps what happened; 0 for never.
        latency_ms: u64 = row(Kind::Millis { min: 0, max: HOUR_MS }, "0").runtime().redis(alias("latency-monitor-threshold"));
        /// Whether the time of each command is kept for INFO latencystats and LATENCY HISTOGRAM.
        latency_tracking: bool = row(Kind::Bool, "true").runtime().redis(alias_as("latency-tracking", Form::YesNo));
        /// Whether MONITOR is served; it shows who runs which commands, their arguments by their lengths alone.
        monitor: bool = row(Kind::Bool, "false").runtime();
    }
}

group! {
    /// A session path: a set of keys, by prefix, with policies of its own.
    pub struct PathConfig in "paths.*." {
        /// Keys that begin with this belong to the path; the longest prefix wins. One path has "".
        prefix: String = row(Kind::Text, "");
        /// What a save after a deletion does: creates anew (`plain`), or is refused (`wins`).
        destroy: Destroy = row(Kind::Choice(Destroy::WORDS), "plain");
        /// How long a deletion wins, where it does.
        gone_for_ms: u64 = row(Kind::Millis { min: 1000, max: 365 * DAY_MS }, "86400000");
        /// What a front end that is cut off does after its lease: fail (`closed`), or answer a while longer (`stale`).
        partition: Partition = row(Kind::Choice(Partition::WORDS), "closed");
        /// How much longer, where it does.
        stale_ms: u64 = row(Kind::Millis { min: 0, max: DAY_MS }, "30000");
        /// Whether an external validator is asked (topic `need_session`) for a key that no tier knows.
        external: bool = row(Kind::Bool, "false");
        /// How long its answer is awaited.
        external_wait_ms: u64 = row(Kind::Millis { min: 1, max: 60_000 }, "200");
        /// Copies of each session of this path, on different nodes, before its write is answered; GS.SET may ask otherwise. Once it moves to another tier there is one.
        copies: u8 = row(Kind::Integer { min: 1, max: 2 }, "1");
    }
    with {
        /// The path's name.
        name: String,
    }
}
