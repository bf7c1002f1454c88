//! The ordered stream of changes to the front ends' agents.
//!
//! Each event is encoded once, behind the ones before it; what gathered until somebody reads is one batch of bytes
//! that all agents share. Every agent's connection walks the log with a cursor of its own and gets a batch in one
//! piece, so that an event costs an agent little more than its bytes. The log is bounded in bytes: an agent that
//! falls off its end has a gap, says so to itself and flushes its section. Nothing is appended before the first
//! agent ever connects.
//!
//! Agents are told of new events at most once in a millisecond, the first time at once: a change alone is not held
//! back, and many in a row cost each agent one write for all. A change that somebody waits for is told at once too.

mod recent;

pub use recent::Recent;

use bytes::Bytes;
use gs_resp::{Protocol, ReplyGuard, Writer};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Agents are not woken again sooner than this; the timer's grain makes it up to twice as long.
const GAP: Duration = Duration::from_millis(1);
/// A batch is closed at this size though nobody has read it.
const BATCH_BYTES: usize = 32 * 1024;

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

/// Events in their order, encoded one behind the other.
struct Batch {
    /// Sequence number of the first of them.
    first: u64,
    count: u64,
    bytes: Bytes,
}

#[derive(Default)]
struct Log {
    batches: VecDeque<Batch>,
    /// Events behind the last batch, which nobody has read yet.
    open: Vec<u8>,
    open_count: u64,
    /// The number that the next event gets.
    next: u64,
    /// Bytes of the batches.
    bytes: usize,
}

impl Log {
    /// The number of the oldest event that is kept.
    fn first(&self) -> u64 {
        self.batches.front().map_or(self.next - self.open_count, |batch| batch.first)
    }

    /// Makes a batch of what gathered, and lets the oldest go where there is too much.
    fn close(&mut self, bytes_max: usize) {
        if self.open_count == 0 {
            return;
        }
        let (first, count) = (self.next - self.open_count, std::mem::take(&mut self.open_count));
        self.batches.push_back(Batch { first, count, bytes: Bytes::copy_from_slice(&self.open) });
        self.bytes += self.open.len();
        self.open.clear();
        // One event may be long; the next ones are not.
        self.open.shrink_to(2 * BATCH_BYTES);
        while self.bytes > bytes_max && self.batches.len() > 1 {
            if let Some(old) = self.batches.pop_front() {
                self.bytes -= old.bytes.len();
            }
        }
    }

    /// The batch that an event is in.
    fn batch_of(&self, seq: u64) -> Option<&Batch> {
        // Nearly everybody wants the last one.
        let last = self.batches.back()?;
        if seq >= last.first {
            return Some(last);
        }
        self.batches.get(self.batches.partition_point(|batch| batch.first <= seq).checked_sub(1)?)
    }
}

/// The stream of one relay.
pub struct Stream {
    log: Mutex<Log>,
    /// Wakes the agents' connections.
    wake: Notify,
    /// Wakes who wakes them.
    due: Notify,
    last: AtomicU64,
    enabled: AtomicBool,
    bytes_max: usize,
    /// What changed a moment ago.
    pub recent: Recent,
    /// Identity of this life of the relay: an agent may only continue where it left off in the same one.
    uuid: u64,
}

/// What an agent gets to read next.
#[derive(Debug)]
pub enum Next {
    /// Events from the asked number on, one behind the other, and the number after them.
    Events(Bytes, u64),
    /// The log no longer reaches back that far.
    Gap,
    /// Nothing new.
    Empty,
}

impl Stream {
    /// An empty stream with a bound in bytes.
    pub fn new(uuid: u64, bytes_max: usize) -> Stream {
        Stream {
            log: Mutex::new(Log { next: 1, ..Log::default() }),
            wake: Notify::new(),
            due: Notify::new(),
            last: AtomicU64::new(0),
            enabled: AtomicBool::new(false),
            bytes_max,
            recent: Recent::default(),
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
        let seq = log.next;
        encode(&mut log.open, seq, event);
        log.next += 1;
        log.open_count += 1;
        if log.open.len() >= BATCH_BYTES.min(self.bytes_max) {
            log.close(self.bytes_max);
        }
        self.last.store(seq, Ordering::Release);
        drop(log);
        if matches!(event, Event::Gone { sync: true, .. }) {
            self.wake.notify_waiters();
        } else {
            self.due.notify_one();
        }
        seq
    }

    /// A batch of the events from `seq` on.
    pub fn read(&self, seq: u64) -> Next {
        if seq > self.last() {
            return Next::Empty;
        }
        let mut log = self.log.lock();
        log.close(self.bytes_max);
        if seq < log.first() {
            return Next::Gap;
        }
        let Some(batch) = log.batch_of(seq) else { return Next::Gap };
        let (bytes, skip, next) = (batch.bytes.clone(), seq - batch.first, batch.first + batch.count);
        drop(log);
        // Only whoever comes back may be in the middle of a batch.
        match end_of(&bytes, skip) {
            Some(from) => Next::Events(bytes.slice(from..), next),
            None => Next::Gap,
        }
    }

    /// Wakes the agents when there is something new. Runs as long as the relay does.
    pub async fn pace(&self) {
        loop {
            self.due.notified().await;
            self.wake.notify_waiters();
            tokio::time::sleep(GAP).await;
        }
    }

    /// True if an agent of this same life can continue at `seq` without a gap.
    pub fn reaches_back_to(&self, uuid: u64, seq: u64) -> bool {
        uuid == self.uuid && seq >= self.log.lock().first() && seq <= self.last() + 1
    }

    /// Waits until there is something new. Create the future before reading, so that none is missed.
    pub fn appended(&self) -> tokio::sync::futures::Notified<'_> {
        self.wake.notified()
    }
}

/// Where the first `count` of some encoded events end.
fn end_of(events: &[u8], count: u64) -> Option<usize> {
    let mut at = 0;
    for _ in 0..count {
        at += ReplyGuard::new().advance(events.get(at..)?).ok()??;
    }
    Some(at)
}

fn encode(out: &mut Vec<u8>, seq: u64, event: &Event<'_>) {
    let mut w = Writer { out, proto: Protocol::Resp3 };
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(stream: &Stream, key: &[u8]) -> u64 {
        stream.append(&Event::Gone { db: 0, key, version: 1, sync: false })
    }

    /// All events from a number on, as an agent reads them.
    fn read_all(stream: &Stream, mut seq: u64) -> Option<String> {
        let mut all = Vec::new();
        loop {
            match stream.read(seq) {
                Next::Events(bytes, next) => {
                    assert!(next > seq && !bytes.is_empty());
                    all.extend_from_slice(&bytes);
                    seq = next;
                }
                Next::Empty => return Some(String::from_utf8(all).unwrap()),
                Next::Gap => return None,
            }
        }
    }

    /// The numbers of the events in it.
    fn numbers(text: &str) -> Vec<u64> {
        text.split("gs.gone\r\n:")
            .skip(1)
            .map(|rest| rest.split('\r').next().unwrap().parse().unwrap())
            .collect()
    }

    /// An agent that reads on gets every event once, in order, wherever it stands; one that fell behind is told of
    /// the gap.
    #[test]
    fn the_log_is_ordered_and_a_gap_is_told() {
        let stream = Stream::new(7, 1000);
        assert_eq!(gone(&stream, b"before-any-agent"), 0);
        stream.enable();
        for n in 1..=5 {
            assert_eq!(gone(&stream, b"k"), n);
            if n == 2 {
                // What was read closes a batch.
                assert_eq!(numbers(&read_all(&stream, 1).unwrap()), [1, 2]);
            }
        }
        assert!(stream.reaches_back_to(7, 1) && !stream.reaches_back_to(8, 1));
        for from in 1..=6 {
            assert!(numbers(&read_all(&stream, from).unwrap()).into_iter().eq(from..=5), "from {from}");
        }
        for n in 6..=60 {
            gone(&stream, b"k");
            assert_eq!(numbers(&read_all(&stream, n).unwrap()), [n]);
        }
        assert!(read_all(&stream, 1).is_none());
        assert!(!stream.reaches_back_to(7, 1) && stream.reaches_back_to(7, 61));
        assert!(stream.log.lock().bytes <= 1000);
    }

    /// What nobody reads is bounded, too: also by one event that is longer than all may be.
    #[test]
    fn an_unread_log_is_bounded() {
        let stream = Stream::new(7, 10_000);
        stream.enable();
        for n in 0..1000 {
            gone(&stream, if n == 500 { &[b'k'; 20_000] } else { b"k" });
            let log = stream.log.lock();
            let held = log.bytes + log.open.len();
            assert!(held < 31_000, "{held} bytes after {n}");
        }
        assert!(read_all(&stream, 1).is_none());
    }

    /// Agents are woken once for many changes and miss none; for one that somebody waits for they are woken at once.
    #[tokio::test(start_paused = true)]
    async fn agents_are_woken_once_for_many() {
        use std::sync::Arc;
        let (stream, wakes) = (Arc::new(Stream::new(7, 100_000)), Arc::new(AtomicU64::new(0)));
        stream.enable();
        let pacing = tokio::spawn({
            let stream = stream.clone();
            async move { stream.pace().await }
        });
        let agent = tokio::spawn({
            let (stream, wakes) = (stream.clone(), wakes.clone());
            async move {
                let mut next = 1;
                while next <= 301 {
                    let appended = stream.appended();
                    if let Next::Events(_, after) = stream.read(next) {
                        next = after;
                        continue;
                    }
                    appended.await;
                    wakes.fetch_add(1, Ordering::AcqRel);
                }
            }
        });
        tokio::task::yield_now().await;
        for n in 1..=300 {
            gone(&stream, b"k");
            // Time stands still here, so whoever is to be woken before the pause is over is woken now.
            tokio::task::yield_now().await;
            if n % 100 == 0 {
                tokio::time::sleep(3 * GAP).await;
            }
        }
        // Each hundred: the first of them, and the other ones together.
        assert_eq!(wakes.load(Ordering::Acquire), 6);
        pacing.abort();
        assert!(pacing.await.is_err());
        stream.append(&Event::Gone { db: 0, key: b"k", version: 1, sync: true });
        agent.await.unwrap();
    }
}
