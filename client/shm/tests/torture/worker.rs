//! What every worker process is: attached, counted, and ready to be killed.

use std::path::PathBuf;
use std::sync::atomic::Ordering::SeqCst;

use gs_shm::*;

use super::oracle::{Before, Fault, Figure, Oracle};
use super::{cache, demoter, owner, values};
use crate::random::{one_in, random_of};

/// How a worker is told what it is: the words of this variable.
pub(crate) const ENVIRONMENT: &str = "GS_SHM_TORTURE_WORKER";
/// Name of the section.
pub(crate) const NAME: &str = "torture";

/// Kinds of worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Cache,
    Owner,
    Demoter,
    Reader,
}

impl Role {
    const ALL: [Role; 4] = [Role::Cache, Role::Owner, Role::Demoter, Role::Reader];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::Cache => "cache",
            Role::Owner => "owner",
            Role::Demoter => "demoter",
            Role::Reader => "reader",
        }
    }
}

/// Milliseconds since boot.
pub(crate) fn now_ms() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

/// What operations are called in messages.
pub(crate) const DOINGS: [&str; 14] = [
    "attach", "get", "fill", "set", "delete", "observe", "flush", "sweep", "put", "touch", "release", "copy",
    "abort", "scan",
];

/// The number of an operation in [`DOINGS`].
pub(crate) fn doing(name: &str) -> u64 {
    DOINGS.iter().position(|n| *n == name).unwrap_or(usize::MAX) as u64
}

/// One worker's means.
pub(crate) struct Worker {
    pub(crate) number: usize,
    pub(crate) section: Section,
    pub(crate) oracle: Oracle,
    pub(crate) random: fastrand::Rng,
    pub(crate) keys: u64,
    pub(crate) longest: usize,
    pub(crate) value: Vec<u8>,
    scratch: Vec<u8>,
}

/// Is a worker if the environment says so; the process's exit code then.
pub(crate) fn run_if_asked() -> Option<i32> {
    let words = std::env::var(ENVIRONMENT).ok()?;
    // Orphans of a killed supervisor go on for ever otherwise.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    // The supervisor's blows are to fall in time on a machine with few processors.
    let _ = rustix::process::nice(19);
    let words: Vec<&str> = words.split('\t').collect();
    let [role, number, seed, parent, keys, dir, oracle] = words[..] else {
        return Some(64);
    };
    if std::os::unix::process::parent_id().to_string() != parent {
        return Some(0);
    }
    let role = Role::ALL.into_iter().find(|r| r.name() == role)?;
    let number: usize = number.parse().ok()?;
    let oracle = Oracle::open(&PathBuf::from(oracle));
    let dir = PathBuf::from(dir);
    oracle.enter(number, doing("attach"));
    let attached = match role {
        Role::Owner => owner::adopt(&dir),
        _ => Section::attach(&dir, NAME, None),
    };
    oracle.leave(number);
    let section = match attached {
        Ok(section) => section,
        Err(e) => {
            // Nobody asked for another section, or took this one away.
            oracle.fault(Fault::Wrong, &format!("{} cannot attach: {e}", role.name()));
            return Some(1);
        }
    };
    let worker = Worker {
        number,
        longest: section.config().value_bytes_max as usize,
        section,
        oracle,
        random: random_of(&[seed.parse().ok()?, u64::from(std::process::id())]),
        keys: keys.parse().ok()?,
        value: Vec::new(),
        scratch: Vec::new(),
    };
    worker.count(Figure::Attached);
    match role {
        Role::Cache => cache::work(worker),
        Role::Owner => owner::work(worker),
        Role::Demoter => demoter::work(worker),
        Role::Reader => owner::read(worker),
    }
    Some(0)
}

pub(crate) fn name_of(key: u64) -> [u8; 16] {
    let mut name = *b"torture:00000000";
    for (at, digit) in name[8..].iter_mut().rev().enumerate() {
        *digit = b'0' + (key / 10u64.pow(at as u32) % 10) as u8;
    }
    name
}

impl Worker {
    pub(crate) fn stopping(&self) -> bool {
        self.oracle.stopping()
    }

    pub(crate) fn count(&self, figure: Figure) {
        self.oracle.count(self.number, figure, 1);
    }

    /// Runs one operation under the supervisor's eyes.
    pub(crate) fn watched<T>(&self, name: &str, f: impl FnOnce(&Section) -> T) -> T {
        self.oracle.enter(self.number, doing(name));
        let result = f(&self.section);
        self.oracle.leave(self.number);
        result
    }

    /// Some key, a few of them much more often than the rest.
    pub(crate) fn some_key(&mut self) -> u64 {
        let among = if one_in(&mut self.random, 2) { self.keys.min(16) } else { self.keys };
        self.random.u64(..among)
    }

    /// Reads a key and verifies every byte; the version on a hit. `Err`: the answer, unless it was a hit.
    pub(crate) fn get(&mut self, key: u64) -> (Before, Result<Meta, Lookup>) {
        let before = self.oracle.before(key);
        let now = now_ms();
        let name = name_of(key);
        let id = self.section.key_id(0, &name);
        let mut out = std::mem::take(&mut self.value);
        out.clear();
        let touch = !one_in(&mut self.random, 4);
        let answer = self.watched("get", |s| s.get(&id, &name, now, touch, &mut out, |_, _| ()));
        self.value = out;
        let meta = match answer {
            Lookup::Hit(meta) => meta,
            other => {
                self.count(if other == Lookup::Contended { Figure::Contended } else { Figure::Misses });
                return (before, Err(other));
            }
        };
        self.count(Figure::Hits);
        if meta.deadline_ms != 0 && meta.deadline_ms <= now {
            let text = format!("key {key} version {}: read at {now}, due {}", meta.version, meta.deadline_ms);
            self.oracle.fault(Fault::AfterDelete, &text);
        }
        match values::verify(key, meta.version, self.longest, &self.value, &mut self.scratch) {
            Ok(described) => {
                self.oracle.judge(key, &before, meta.version, described.map(|d| d.since));
            }
            Err(text) => self.oracle.fault(Fault::Torn, &text),
        }
        (before, Ok(meta))
    }

    /// The bytes of a key's version, by this process, with a ticket taken before `since`.
    pub(crate) fn make(&mut self, key: u64, version: u64, since: u64) {
        let described = values::Described { key, version, writer: u64::from(std::process::id()), since };
        values::make(&described, self.longest, &mut self.value);
    }

    /// Verifies bytes that came by another way than a read.
    pub(crate) fn verify(&mut self, key: u64, version: u64, bytes: &[u8]) {
        if let Err(text) = values::verify(key, version, self.longest, bytes, &mut self.scratch) {
            self.oracle.fault(Fault::Torn, &text);
        }
    }

    /// Publishes that all is flushed whose ticket was taken before this count.
    pub(crate) fn flushed(&self, at: u64) {
        self.oracle.flushed().fetch_max(at, SeqCst);
    }
}
