//! The slow log and the latency monitor: what took long, when, and for whom. What was sent is never kept: every
//! argument behind the name is told by its length alone.

use crate::commands::Command;
use crate::core::clients::ClientInfo;
use crate::core::node::Node;
use gs_resp::{Args, Flags};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

/// Words of a command that an entry tells of, as in Redis.
const WORDS_MAX: usize = 32;
/// Samples kept of each event, as in Redis.
const SAMPLES_MAX: usize = 160;

/// One slow command.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its number since the start.
    pub id: u64,
    /// When it ran, seconds since 1970.
    pub unix_s: u64,
    /// How long, in microseconds.
    pub usec: u64,
    /// Its name, and of everything else the length.
    pub words: Vec<String>,
    /// Who sent it.
    pub addr: String,
    /// The name that one gave itself.
    pub name: String,
}

/// One spike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When, seconds since 1970.
    pub unix_s: u64,
    /// How long, in milliseconds.
    pub ms: u64,
}

/// The spikes of one kind.
#[derive(Clone, Debug, Default)]
pub struct Event {
    /// The newest, oldest first.
    pub samples: VecDeque<Sample>,
    /// The longest ever.
    pub max_ms: u64,
}

/// Both logs of a node.
#[derive(Debug, Default)]
pub struct Slow {
    entries: Mutex<VecDeque<Entry>>,
    next: AtomicU64,
    events: Mutex<BTreeMap<&'static str, Event>>,
}

impl Slow {
    /// A command was slow by one measure or the other.
    pub fn note(&self, node: &Node, info: &ClientInfo, row: &'static Command, args: Args<'_>, took_ns: u64) {
        let quick = row.spec.flags.contains(Flags::FAST);
        self.sample(node, if quick { "fast-command" } else { "command" }, took_ns / 1_000_000);
        if node.live.is_slow_command(took_ns) && !row.spec.flags.contains(Flags::SKIP_SLOWLOG) {
            self.push(node, redacted(row, args), took_ns, Some(info));
        }
    }

    /// A run of quick commands took long together, and nobody knows which of them.
    pub fn note_run(&self, node: &Node, last: &'static Command, run: usize, took_ns: u64) {
        self.sample(node, "fast-command", took_ns / 1_000_000);
        if node.live.is_slow_command(took_ns) {
            let words = vec![last.spec.name.to_owned(), format!("(the last of {run} pipelined commands)")];
            self.push(node, words, took_ns, None);
        }
    }

    fn push(&self, node: &Node, words: Vec<String>, took_ns: u64, info: Option<&ClientInfo>) {
        let max = node.live.slow_entries_max();
        if max == 0 {
            return;
        }
        let entry = Entry {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            unix_s: node.clock.unix_ms() / 1000,
            usec: took_ns / 1000,
            words,
            addr: info.map(|info| info.addr.to_string()).unwrap_or_default(),
            name: info.map(|info| info.name.lock().clone()).unwrap_or_default(),
        };
        let mut entries = self.entries.lock();
        entries.push_front(entry);
        entries.truncate(max);
    }

    /// The newest entries, newest first.
    pub fn entries(&self, max: usize) -> Vec<Entry> {
        self.entries.lock().iter().take(max).cloned().collect()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.lock().len()
    }

    /// True for none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all entries.
    pub fn clear(&self) {
        self.entries.lock().clear();
    }

    /// Keeps no more than this many entries.
    pub fn shorten(&self, max: usize) {
        self.entries.lock().truncate(max);
    }

    /// Something took this long: kept where the latency monitor asks for it. Of one second the longest counts.
    pub fn sample(&self, node: &Node, event: &'static str, ms: u64) {
        let threshold = node.live.latency_ms();
        if threshold == 0 || ms < threshold {
            return;
        }
        let now = Sample { unix_s: node.clock.unix_ms() / 1000, ms };
        let mut events = self.events.lock();
        let event = events.entry(event).or_default();
        event.max_ms = event.max_ms.max(ms);
        match event.samples.back_mut() {
            Some(last) if last.unix_s == now.unix_s => last.ms = last.ms.max(ms),
            _ => {
                event.samples.push_back(now);
                if event.samples.len() > SAMPLES_MAX {
                    event.samples.pop_front();
                }
            }
        }
    }

    /// Every event with its samples.
    pub fn events(&self) -> Vec<(&'static str, Event)> {
        self.events.lock().iter().map(|(name, event)| (*name, event.clone())).collect()
    }

    /// One event, by its name in any case.
    pub fn event(&self, name: &[u8]) -> Option<(&'static str, Event)> {
        self.events().into_iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))
    }

    /// Forgets the events that `wanted` names; how many there were.
    pub fn forget(&self, wanted: impl Fn(&str) -> bool) -> usize {
        let mut events = self.events.lock();
        let before = events.len();
        events.retain(|name, _| !wanted(name));
        before - events.len()
    }
}

/// A command as others may see it.
pub fn redacted(row: &Command, args: Args<'_>) -> Vec<String> {
    let names = 1 + usize::from(row.spec.parent.is_some());
    let shown = if args.len() > WORDS_MAX { WORDS_MAX - 1 } else { args.len() };
    let word = |(i, word): (usize, &[u8])| match i < names {
        true => String::from_utf8_lossy(word).into_owned(),
        false => format!("(redacted {} bytes)", word.len()),
    };
    let mut words: Vec<String> = args.take(shown).iter().enumerate().map(word).collect();
    if args.len() > shown {
        words.push(format!("... ({} more arguments)", args.len() - shown));
    }
    words
}
