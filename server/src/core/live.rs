//! Options that act while the node runs: what CONFIG SET changes and handlers read.

use gs_conf::Config;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

/// The options of one node that may change.
#[derive(Debug)]
pub struct Live {
    slower_than_us: AtomicI64,
    slow_entries_max: AtomicUsize,
    latency_ms: AtomicU64,
    tracks_latency: AtomicBool,
    /// Nanoseconds from which on either log wants to know of a command.
    slow_ns: AtomicU64,
    clients_max: AtomicUsize,
    idle_ms: AtomicU64,
    keepalive_ms: AtomicU64,
    monitor: AtomicBool,
    requirepass: RwLock<Option<String>>,
    /// Options that CONFIG SET changed since the start.
    pub changed: Mutex<BTreeSet<&'static str>>,
    /// The whole configuration as it is now.
    pub config: RwLock<Config>,
}

impl Live {
    /// What a configuration says.
    pub fn new(config: &Config) -> Live {
        let live = Live {
            slower_than_us: AtomicI64::new(0),
            slow_entries_max: AtomicUsize::new(0),
            latency_ms: AtomicU64::new(0),
            tracks_latency: AtomicBool::new(true),
            slow_ns: AtomicU64::new(u64::MAX),
            clients_max: AtomicUsize::new(0),
            idle_ms: AtomicU64::new(0),
            keepalive_ms: AtomicU64::new(0),
            monitor: AtomicBool::new(false),
            requirepass: RwLock::new(None),
            changed: Mutex::default(),
            config: RwLock::new(config.clone()),
        };
        live.act(config);
        live
    }

    /// Lets a configuration be in force.
    pub fn act(&self, config: &Config) {
        let watch = &config.watch;
        self.slower_than_us.store(watch.slower_than_us, Ordering::Relaxed);
        self.slow_entries_max.store(watch.slow_entries_max as usize, Ordering::Relaxed);
        self.latency_ms.store(watch.latency_ms, Ordering::Relaxed);
        self.tracks_latency.store(watch.latency_tracking, Ordering::Relaxed);
        self.monitor.store(watch.monitor, Ordering::Relaxed);
        let slow = u64::try_from(watch.slower_than_us).map_or(u64::MAX, |us| us.saturating_mul(1000));
        let spike = if watch.latency_ms == 0 { u64::MAX } else { watch.latency_ms.saturating_mul(1_000_000) };
        self.slow_ns.store(slow.min(spike), Ordering::Relaxed);
        self.clients_max.store(config.limits.maxclients as usize, Ordering::Relaxed);
        self.idle_ms.store(config.limits.idle_timeout_ms, Ordering::Relaxed);
        self.keepalive_ms.store(config.limits.tcp_keepalive_ms, Ordering::Relaxed);
        *self.requirepass.write() = Some(config.requirepass.clone()).filter(|password| !password.is_empty());
    }

    /// Microseconds from which on a command is slow; negative for never.
    pub fn slower_than_us(&self) -> i64 {
        self.slower_than_us.load(Ordering::Relaxed)
    }

    /// Entries of the slow log.
    pub fn slow_entries_max(&self) -> usize {
        self.slow_entries_max.load(Ordering::Relaxed)
    }

    /// Milliseconds from which on the latency monitor keeps what happened; 0 for never.
    pub fn latency_ms(&self) -> u64 {
        self.latency_ms.load(Ordering::Relaxed)
    }

    /// True while the times of commands are kept one by one.
    pub fn tracks_latency(&self) -> bool {
        self.tracks_latency.load(Ordering::Relaxed)
    }

    /// True if one of the logs wants to know of a command that took this long.
    pub fn is_slow(&self, nanos: u64) -> bool {
        nanos >= self.slow_ns.load(Ordering::Relaxed)
    }

    /// True if the slow log does.
    pub fn is_slow_command(&self, nanos: u64) -> bool {
        u64::try_from(self.slower_than_us()).is_ok_and(|us| nanos / 1000 >= us)
    }

    /// Connections at most.
    pub fn clients_max(&self) -> usize {
        self.clients_max.load(Ordering::Relaxed)
    }

    /// A silent connection is closed after this; 0 for never.
    pub fn idle_ms(&self) -> u64 {
        self.idle_ms.load(Ordering::Relaxed)
    }

    /// How long a connection may be silent before the kernel asks whether the peer lives; 0 for never.
    pub fn keepalive_ms(&self) -> u64 {
        self.keepalive_ms.load(Ordering::Relaxed)
    }

    /// True where MONITOR is allowed.
    pub fn monitor(&self) -> bool {
        self.monitor.load(Ordering::Relaxed)
    }

    /// True if clients have to say a password.
    pub fn asks_password(&self) -> bool {
        self.requirepass.read().is_some()
    }

    /// Whether `judge` accepts the password that is asked for; true where none is.
    pub fn is_password(&self, judge: impl FnOnce(&[u8]) -> bool) -> bool {
        self.requirepass.read().as_ref().is_none_or(|wanted| judge(wanted.as_bytes()))
    }
}
