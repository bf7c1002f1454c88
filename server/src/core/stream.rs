//! The ordered stream of changes to the front ends' agents.
//!
//! Each event is encoded once and shared by all agents; every agent's connection walks the log with a cursor
//! of its own. The log is bounded in bytes: an agent that falls off its end has a gap, says so to itself and
//! flushes its section. Nothing is appended before the first agent ever connects.

use bytes::Bytes;
use gs_resp::{Protocol, Writer};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

/// A change that front ends must hear of.
#[derive(Debug)]
pub enum Event<'a> {
    /// A new or changed session.
    Put {
        /// Logical database.
        db: u8,
        /// The key.
        key: &'a [u8],
        /// Its new version.
        version: u64,
        /// Remaining life in milliseconds, -1 for none.
        pttl: i64,
        /// The record's kind.
        kind: u8,
        /// The value.
        value: &'a [u8],
    },
    /// A session changed; fetch it if wanted.
    Inval {
        /// Logical database.
        db: u8,
        /// The key.
        key: &'a [u8],
        /// Its new version.
        version: u64,
    },
    /// A session was destroyed.
    Gone {
        /// Logical database.
        db: u8,
        /// The key.
        key: &'a [u8],
        /// The version of the delete.
        version: u64,
        /// True when somebody waits until every front end has applied it.
        sync: bool,
    },
    /// A database, or all, was flushed.
    Flush {
        /// Logical database; none for all.
        db: Option<u8>,
        /// Everything below this version is gone.
        version: u64,
    },
}

struct Log {
    events: VecDeque<Bytes>,
    /// Sequence number of the first event in the log.
    first: u64,
    bytes: usize,
}

/// The stream of one relay.
pub struct Stream {
    log: Mutex<Log>,
    wake: Notify,
    last: AtomicU64,
    enabled: AtomicBool,
    bytes_max: usize,
    /// Identity of this life of the relay: an agent may only continue where it left off in the same one.
    uuid: u64,
}

/// What an agent gets to read next.
#[derive(Debug)]
pub enum Next {
    /// Events from the asked number on, and the number after them.
    Events(Vec<Bytes>, u64),
    /// The log no longer reaches back that far.
    Gap,
    /// Nothing new.
    Empty,
}

impl Stream {
    /// An empty stream with a bound in bytes.
    pub fn new(uuid: u64, bytes_max: usize) -> Stream {
        Stream {
            log: Mutex::new(Log { events: VecDeque::new(), first: 1, bytes: 0 }),
            wake: Notify::new(),
            last: AtomicU64::new(0),
            enabled: AtomicBool::new(false),
            bytes_max,
            uuid,
        }
    }

    /// The identity of this life of the stream.
    pub fn uuid(&self) -> u64 {
        self.uuid
    }

    /// True once an agent has ever connected; before that, events need not be encoded.
    pub fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Acquire)
    }

    /// An agent connects: from now on events are kept.
    pub fn enable(&self) {
        self.enabled.store(true, Ordering::Release);
    }

    /// The number of the newest event.
    pub fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    /// Appends an event. Called under the key's stripe, so events of one key are in version order.
    pub fn append(&self, event: &Event<'_>) -> u64 {
        if !self.is_enabled() {
            return self.last();
        }
        let mut log = self.log.lock();
        let seq = log.first + log.events.len() as u64;
        let encoded = encode(seq, event);
        log.bytes += encoded.len();
        log.events.push_back(encoded);
        while log.bytes > self.bytes_max && log.events.len() > 1 {
            if let Some(old) = log.events.pop_front() {
                log.bytes -= old.len();
                log.first += 1;
            }
        }
        self.last.store(seq, Ordering::Release);
        drop(log);
        self.wake.notify_waiters();
        seq
    }

    /// Events from `seq` on, at most about `bytes` of them.
    pub fn read(&self, seq: u64, bytes: usize) -> Next {
        if seq > self.last() {
            return Next::Empty;
        }
        let log = self.log.lock();
        if seq < log.first {
            return Next::Gap;
        }
        let mut taken = 0;
        let mut events = Vec::new();
        for event in log.events.iter().skip((seq - log.first) as usize) {
            if taken > bytes {
                break;
            }
            taken += event.len();
            events.push(event.clone());
        }
        let next = seq + events.len() as u64;
        Next::Events(events, next)
    }

    /// True if an agent of this same life can continue at `seq` without a gap.
    pub fn reaches_back_to(&self, uuid: u64, seq: u64) -> bool {
        uuid == self.uuid && seq >= self.log.lock().first && seq <= self.last() + 1
    }

    /// Waits for the next event. Create the future before reading, so that none is missed.
    pub fn appended(&self) -> tokio::sync::futures::Notified<'_> {
        self.wake.notified()
    }
}

fn encode(seq: u64, event: &Event<'_>) -> Bytes {
    let mut out = Vec::new();
    let mut w = Writer { out: &mut out, proto: Protocol::Resp3 };
    match event {
        Event::Put { db, key, version, pttl, kind, value } => {
            w.push(9);
            w.bulk(b"gs.put");
            w.int(seq as i64);
            w.int(i64::from(*db));
            w.bulk(key);
            w.int(*version as i64);
            w.int(*pttl);
            w.int(i64::from(*kind));
            w.int(0);
            w.bulk(value);
        }
        Event::Inval { db, key, version } => {
            w.push(5);
            w.bulk(b"gs.inval");
            w.int(seq as i64);
            w.int(i64::from(*db));
            w.bulk(key);
            w.int(*version as i64);
        }
        Event::Gone { db, key, version, sync } => {
            w.push(6);
            w.bulk(b"gs.gone");
            w.int(seq as i64);
            w.int(i64::from(*db));
            w.bulk(key);
            w.int(*version as i64);
            w.int(i64::from(*sync));
        }
        Event::Flush { db, version } => {
            w.push(4);
            w.bulk(b"gs.flush");
            w.int(seq as i64);
            w.int(db.map_or(-1, i64::from));
            w.int(*version as i64);
        }
    }
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(stream: &Stream, key: &[u8]) -> u64 {
        stream.append(&Event::Gone { db: 0, key, version: 1, sync: false })
    }

    /// An agent that reads on gets every event once, in order; one that fell behind is told of the gap.
    #[test]
    fn the_log_is_ordered_and_a_gap_is_told() {
        let stream = Stream::new(7, 200);
        assert_eq!(gone(&stream, b"before-any-agent"), 0);
        stream.enable();
        for n in 1..=3 {
            assert_eq!(gone(&stream, b"k"), n);
        }
        assert!(stream.reaches_back_to(7, 1) && !stream.reaches_back_to(8, 1));
        assert!(matches!(stream.read(1, 10_000), Next::Events(e, 4) if e.len() == 3));
        assert!(matches!(stream.read(4, 10_000), Next::Empty));
        for _ in 0..20 {
            gone(&stream, b"k");
        }
        assert!(matches!(stream.read(1, 10_000), Next::Gap));
        assert!(!stream.reaches_back_to(7, 1));
    }
}
