//! The journal: tombstones and floors on disk, so that a restart does not forget a logout.
//!
//! Records are 44 bytes, appended by the caller and synced in groups by a thread of its own: the reply to a
//! delete waits for its group (`journal.mode = "sync"`), or not (`"async"`, at most one group is at risk).
//! On start it is replayed and written anew with only what still counts. A torn last record is expected
//! after a crash and dropped; a bad record before the end is damage and is said loudly.

use crate::core::tombs::{Kind, Tomb};
use gs_client::cache::KeyId;
use parking_lot::{Condvar, Mutex};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

const MAGIC: &[u8; 8] = b"gsjrnl01";
const RECORD: usize = 44;
/// The file is written anew when it has grown past this many bytes and mostly holds what no longer counts.
const COMPACT_BYTES: u64 = 64 << 20;

/// One remembered fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// A key's tombstone or floor.
    Key(KeyId, Tomb),
    /// Everything of a database (16 = all) below a version was flushed.
    Flush {
        /// The database, 16 for all.
        db: u8,
        /// Versions below this one are gone.
        version: u64,
    },
}

fn encode(record: &Record, out: &mut Vec<u8>) {
    let start = out.len();
    let (tag, hi, lo, version, until) = match record {
        Record::Key(id, t) => {
            (if t.kind == Kind::Tomb { 1u32 } else { 2 }, id.hi, id.lo, t.version, t.gone_until.max(t.at))
        }
        Record::Flush { db, version } => (3, u64::from(*db), 0, *version, 0),
    };
    // A tombstone that must outlive its acknowledgements says so in the tag's high half.
    let wins = matches!(record, Record::Key(_, t) if t.gone_until > 0);
    out.extend_from_slice(&(tag | if wins { 1 << 16 } else { 0 }).to_le_bytes());
    for word in [hi, lo, version, until] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    // 4 + 32 bytes so far; 4 of padding keep the checksum at a fixed place.
    out.extend_from_slice(&[0; 4]);
    let sum = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&sum.to_le_bytes());
}

fn decode(bytes: &[u8; RECORD]) -> Option<Record> {
    let (body, sum) = bytes.split_at(RECORD - 4);
    if crc32fast::hash(body).to_le_bytes() != sum {
        return None;
    }
    let word = |at: usize| body[at..at + 8].try_into().map(u64::from_le_bytes).ok();
    let tag = u32::from_le_bytes(body[..4].try_into().ok()?);
    let (hi, lo, version, until) = (word(4)?, word(12)?, word(20)?, word(28)?);
    let wins = tag & (1 << 16) != 0;
    let kind = match tag & 0xffff {
        1 => Kind::Tomb,
        2 => Kind::Floor,
        3 => {
            return Some(Record::Flush { db: hi.min(16) as u8, version });
        }
        _ => return None,
    };
    let gone_until = if wins { until } else { 0 };
    Some(Record::Key(KeyId { hi, lo }, Tomb { kind, version, gone_until, at: until, owed: 0 }))
}

/// What a start found in the file.
#[derive(Debug, Default)]
pub struct Replay {
    /// The facts, oldest first.
    pub records: Vec<Record>,
    /// True when the file was damaged before its end: facts may be missing, so what reliefs hold cannot be
    /// trusted.
    pub damaged: bool,
}

/// Reads the file of an earlier life; a missing file is an empty one.
pub fn replay(path: &Path) -> std::io::Result<Replay> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(mut file) => file.read_to_end(&mut bytes)?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Replay::default()),
        Err(e) => return Err(e),
    };
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        // A crash between creating and writing leaves an empty file, which is not damage.
        return Ok(Replay { records: Vec::new(), damaged: !bytes.is_empty() });
    };
    let mut replay = Replay::default();
    let (records, _torn) = rest.as_chunks::<RECORD>();
    let mut bad = false;
    for chunk in records {
        match decode(chunk) {
            // A torn write, of one group of records, can only be the last one: nothing good follows it.
            Some(record) => {
                replay.damaged |= bad;
                replay.records.push(record);
            }
            None => bad = true,
        }
    }
    Ok(replay)
}

struct Pending {
    bytes: Vec<u8>,
    /// Number of the last record in `bytes`.
    last: u64,
    compacted: Option<Vec<Record>>,
    stop: bool,
}

/// Up to which number records are on disk, and up to which the disk refused them for now.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    durable: u64,
    refused: u64,
}

struct Shared {
    pending: Mutex<Pending>,
    wake: Condvar,
    synced: watch::Sender<Outcome>,
    size: AtomicU64,
    failed: AtomicBool,
}

/// The journal of one relay: append from any thread, wait for the group.
pub struct Journal {
    shared: Arc<Shared>,
    synced: watch::Receiver<Outcome>,
    sync: bool,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Journal {
    /// Opens the journal anew at `path` with the facts that still count, durable before this returns.
    pub fn open(path: &Path, keep: &[Record], sync: bool) -> std::io::Result<Journal> {
        let file = write_new(path, keep)?;
        let (sender, synced) = watch::channel(Outcome::default());
        let shared = Arc::new(Shared {
            pending: Mutex::new(Pending { bytes: Vec::new(), last: 0, compacted: None, stop: false }),
            wake: Condvar::new(),
            synced: sender,
            size: AtomicU64::new((keep.len() * RECORD) as u64),
            failed: AtomicBool::new(false),
        });
        let thread = std::thread::Builder::new().name("gs-journal".into()).spawn({
            let (shared, path) = (shared.clone(), path.to_path_buf());
            move || write_loop(&shared, file, &path)
        })?;
        Ok(Journal { shared, synced, sync, thread: Mutex::new(Some(thread)) })
    }

    /// Appends a fact and returns its number, to be waited for.
    pub fn append(&self, record: &Record) -> u64 {
        let mut pending = self.shared.pending.lock();
        encode(record, &mut pending.bytes);
        pending.last += 1;
        let number = pending.last;
        drop(pending);
        self.shared.wake.notify_one();
        number
    }

    /// True when replies must wait for `synced`.
    pub fn is_sync(&self) -> bool {
        self.sync
    }

    /// Waits until everything up to this number is on disk. An error says that the disk refused; the fact
    /// holds in memory and in every tier, but not across a crash of this node.
    pub async fn synced(&self, number: u64) -> Result<(), String> {
        let mut seen = self.synced.clone();
        let waited = seen.wait_for(|outcome| outcome.durable >= number || outcome.refused >= number).await;
        if waited.is_ok_and(|outcome| outcome.durable >= number) {
            return Ok(());
        }
        Err("the journal cannot be written: the delete holds now, but a crash of this node may forget it; free disk \
             space in its directory"
            .into())
    }

    /// True when the file is worth writing anew.
    pub fn wants_compaction(&self, live: u64) -> bool {
        let size = self.shared.size.load(Ordering::Relaxed);
        size > COMPACT_BYTES && size > 4 * live * RECORD as u64
    }

    /// Replaces the file by one with only the facts that `keep` gives. Nothing is appended while it looks, so
    /// a fact that is noted before it is appended is either among them or written behind them.
    pub fn compact(&self, keep: impl FnOnce() -> Vec<Record>) {
        let mut pending = self.shared.pending.lock();
        pending.compacted = Some(keep());
        drop(pending);
        self.shared.wake.notify_one();
    }

    /// True after the disk refused a write, until one succeeds.
    pub fn is_failing(&self) -> bool {
        self.shared.failed.load(Ordering::Acquire)
    }

    /// Bytes in the file.
    pub fn size(&self) -> u64 {
        self.shared.size.load(Ordering::Relaxed)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.pending.lock().stop = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            // A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

fn write_new(path: &Path, keep: &[Record]) -> std::io::Result<File> {
    let fresh: PathBuf = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&fresh)?;
    let mut bytes = MAGIC.to_vec();
    for record in keep {
        encode(record, &mut bytes);
    }
    file.write_all(&bytes)?;
    file.sync_data()?;
    std::fs::rename(&fresh, path)?;
    if let Some(dir) = path.parent() {
        File::open(dir)?.sync_all()?;
    }
    Ok(file)
}

/// How soon a write that the disk refused is tried again.
const RETRY: Duration = Duration::from_millis(200);

fn write_loop(shared: &Shared, mut file: File, path: &Path) {
    // The file is whole up to here; what a failed write left behind it is cut off.
    let mut good = MAGIC.len() as u64 + shared.size.load(Ordering::Relaxed);
    loop {
        let mut pending = shared.pending.lock();
        if shared.failed.load(Ordering::Acquire) && !pending.stop {
            shared.wake.wait_for(&mut pending, RETRY);
        }
        while pending.bytes.is_empty() && pending.compacted.is_none() && !pending.stop {
            shared.wake.wait(&mut pending);
        }
        let (bytes, last) = (std::mem::take(&mut pending.bytes), pending.last);
        let (compacted, stop) = (pending.compacted.take(), pending.stop);
        drop(pending);
        if let Some(keep) = compacted {
            match write_new(path, &keep) {
                Ok(fresh) => {
                    file = fresh;
                    good = (MAGIC.len() + keep.len() * RECORD) as u64;
                }
                Err(e) => tracing::error!(error = %e, "the journal could not be compacted"),
            }
        }
        let written = file.write_all(&bytes).and_then(|()| file.sync_data());
        shared.failed.store(written.is_err(), Ordering::Release);
        match written {
            Ok(()) => {
                good += bytes.len() as u64;
                shared.synced.send_modify(|outcome| outcome.durable = last);
            }
            Err(e) => {
                tracing::error!(error = %e, "the journal could not be written");
                // Half a record would put every later one out of step.
                if let Err(e) = file.set_len(good).and_then(|()| file.seek(SeekFrom::Start(good)).map(|_| ()))
                {
                    tracing::error!(error = %e, "the journal could not be cut back to its last whole record");
                }
                let mut pending = shared.pending.lock();
                let later = std::mem::replace(&mut pending.bytes, bytes);
                pending.bytes.extend_from_slice(&later);
                // Waiters answer an error now instead of hanging; the records are tried again.
                shared.synced.send_modify(|outcome| outcome.refused = last);
            }
        }
        shared.size.store(good - MAGIC.len() as u64, Ordering::Relaxed);
        if stop {
            return;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn fact(n: u64, wins: bool) -> Record {
        let gone_until = if wins { 1_000 + n } else { 0 };
        let at = if wins { 1_000 + n } else { n };
        Record::Key(KeyId { hi: n, lo: !n }, Tomb { kind: Kind::Tomb, version: n, gone_until, at, owed: 0 })
    }

    /// What was acknowledged as durable is there after a restart, in order.
    #[tokio::test]
    async fn facts_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let journal = Journal::open(&path, &[fact(1, true)], true).unwrap();
        let flush = Record::Flush { db: 16, version: 9 };
        journal.append(&fact(2, false));
        let number = journal.append(&flush);
        journal.synced(number).await.unwrap();
        let replay = replay(&path).unwrap();
        assert_eq!(replay.records, [fact(1, true), fact(2, false), flush]);
        assert!(!replay.damaged);
    }

    /// A crash in the middle of a write leaves a torn tail; a flipped bit in the middle is damage.
    #[test]
    fn a_torn_tail_is_dropped_and_damage_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        drop(Journal::open(&path, &[fact(1, false), fact(2, false), fact(3, false)], true).unwrap());
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        let torn = replay(&path).unwrap();
        assert_eq!((torn.records.len(), torn.damaged), (2, false));
        let mut bad = whole.clone();
        bad[20] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        let damaged = replay(&path).unwrap();
        assert_eq!((damaged.records.len(), damaged.damaged), (2, true));
    }
}
