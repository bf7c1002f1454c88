//! What is true, kept apart from the section: a page of words that all processes of a run map.
//!
//! The words of a key stand for its authority (the relay, or the owner's acknowledgements); the rest are
//! each worker's figures and where it is. Everything is `SeqCst`: a read that begins after something was
//! published here began after it happened.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::fork::SharedWords;

/// Workers that there is room for.
pub(crate) const WORKERS_MAX: usize = 64;
/// Messages from the demoter to the owner that there is room for.
pub(crate) const MAILS: usize = 64;

const STOP: usize = 0;
const CLOCK: usize = 1;
const FLUSHED: usize = 2;
const FAULTS: usize = 8;
const WORKERS: usize = 64;
const WORKER_WORDS: usize = 64;
const MAIL: usize = WORKERS + WORKERS_MAX * WORKER_WORDS;
const MAIL_WORDS: usize = 8;
const KEYS: usize = MAIL + MAILS * MAIL_WORDS;
const KEY_WORDS: usize = 4;

/// What must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Bytes that were not written for that key and version.
    Torn,
    /// A version that a finished delete or flush covered.
    AfterDelete,
    /// A version older than one that had been seen.
    Backwards,
    /// An acknowledged record that is neither there nor accounted for.
    Lost,
    /// Any other answer that must not be.
    Wrong,
}

pub(crate) const FAULTS_ALL: [Fault; 5] =
    [Fault::Torn, Fault::AfterDelete, Fault::Backwards, Fault::Lost, Fault::Wrong];

/// What workers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    Attached,
    Hits,
    Misses,
    Contended,
    Stored,
    NotStored,
    Deleted,
    Touched,
    Flushed,
    Marked,
    Released,
    Aborted,
    Adopted,
    Checked,
}

pub(crate) const FIGURES_ALL: [Figure; 14] = [
    Figure::Attached,
    Figure::Hits,
    Figure::Misses,
    Figure::Contended,
    Figure::Stored,
    Figure::NotStored,
    Figure::Deleted,
    Figure::Touched,
    Figure::Flushed,
    Figure::Marked,
    Figure::Released,
    Figure::Aborted,
    Figure::Adopted,
    Figure::Checked,
];

/// Words of a worker: where it is (odd: inside an operation), which operation, its thread, its figures.
const AT: usize = 0;
const DOING: usize = 1;
const FIRST_FIGURE: usize = 2;

/// The page.
pub(crate) struct Oracle {
    words: SharedWords,
}

impl Oracle {
    /// A new page in a file without a name; `file` must live as long as processes may open it.
    pub(crate) fn new(keys: u64) -> (Oracle, File, PathBuf) {
        let fd = rustix::fs::memfd_create("gs-torture", rustix::fs::MemfdFlags::CLOEXEC).expect("memfd");
        let file = File::from(fd);
        let words = KEYS + keys as usize * KEY_WORDS;
        file.set_len(words as u64 * 8).expect("memory for the oracle");
        let path = PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()));
        (Oracle::open(&path), file, path)
    }

    pub(crate) fn open(path: &Path) -> Oracle {
        Oracle { words: SharedWords::open(path).expect("the supervisor lives") }
    }

    pub(crate) fn stop(&self, stop: bool) {
        self.words[STOP].store(u64::from(stop), SeqCst);
    }

    pub(crate) fn stopping(&self) -> bool {
        self.words[STOP].load(SeqCst) != 0
    }

    /// A new count; later ones are greater.
    pub(crate) fn tick(&self) -> u64 {
        self.words[CLOCK].fetch_add(1, SeqCst)
    }

    /// Everything whose ticket was taken before this count was reached is flushed away.
    pub(crate) fn flushed(&self) -> &AtomicU64 {
        &self.words[FLUSHED]
    }

    /// Notes a fault, and says it.
    pub(crate) fn fault(&self, fault: Fault, text: &str) {
        let before = self.words[FAULTS + fault as usize].fetch_add(1, SeqCst);
        if before < 20 {
            eprintln!("FAULT {fault:?}: {text}");
        }
    }

    pub(crate) fn faults(&self, fault: Fault) -> u64 {
        self.words[FAULTS + fault as usize].load(SeqCst)
    }

    // --- workers

    fn worker(&self, number: usize, word: usize) -> &AtomicU64 {
        &self.words[WORKERS + number * WORKER_WORDS + word]
    }

    /// Begins an operation; `what` is only for messages.
    pub(crate) fn enter(&self, number: usize, what: u64) {
        self.worker(number, DOING).store(what, SeqCst);
        let at = self.worker(number, AT);
        // The one before may have been killed inside an operation.
        at.store((at.load(SeqCst) + 1) | 1, SeqCst);
    }

    pub(crate) fn leave(&self, number: usize) {
        self.worker(number, AT).fetch_add(1, SeqCst);
    }

    /// Where a worker is (odd: inside an operation), and in which operation.
    pub(crate) fn place(&self, number: usize) -> (u64, u64) {
        (self.worker(number, AT).load(SeqCst), self.worker(number, DOING).load(SeqCst))
    }

    pub(crate) fn count(&self, number: usize, figure: Figure, n: u64) {
        self.worker(number, FIRST_FIGURE + figure as usize).fetch_add(n, SeqCst);
    }

    /// All workers' figures together.
    pub(crate) fn figure(&self, figure: Figure) -> u64 {
        (0..WORKERS_MAX).map(|n| self.worker(n, FIRST_FIGURE + figure as usize).load(SeqCst)).sum()
    }

    /// Operations of all workers.
    pub(crate) fn operations(&self) -> u64 {
        (0..WORKERS_MAX).map(|n| self.worker(n, AT).load(SeqCst) / 2).sum()
    }

    // --- keys

    fn key(&self, key: u64, word: usize) -> &AtomicU64 {
        &self.words[KEYS + key as usize * KEY_WORDS + word]
    }

    /// The authority's word for a key; what is in it is each mode's own.
    pub(crate) fn truth(&self, key: u64) -> &AtomicU64 {
        self.key(key, 0)
    }

    /// Versions up to this one are gone for good.
    pub(crate) fn deleted(&self, key: u64) -> &AtomicU64 {
        self.key(key, 1)
    }

    /// Versions below this one must not be read any more.
    pub(crate) fn least(&self, key: u64) -> &AtomicU64 {
        self.key(key, 2)
    }

    /// The owner's note of what it is at.
    pub(crate) fn intent(&self, key: u64) -> &AtomicU64 {
        self.key(key, 3)
    }

    /// The words of a message: state, then content.
    pub(crate) fn mail(&self, number: usize) -> &[AtomicU64] {
        &self.words[MAIL + number * MAIL_WORDS..][..MAIL_WORDS]
    }
}

/// What held before a read began; every answer is judged by it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    deleted: u64,
    least: u64,
    flushed: u64,
}

impl Oracle {
    pub(crate) fn before(&self, key: u64) -> Before {
        Before {
            deleted: self.deleted(key).load(SeqCst),
            least: self.least(key).load(SeqCst),
            flushed: self.flushed().load(SeqCst),
        }
    }

    /// Judges a version that a read which began after `before` returned, and remembers that it was seen.
    pub(crate) fn judge(&self, key: u64, before: &Before, version: u64, since: Option<u64>) {
        if version <= before.deleted {
            self.fault(Fault::AfterDelete, &format!("key {key}: version {version}, {before:?}"));
        } else if since.is_some_and(|since| since < before.flushed) {
            let text = format!("key {key} version {version}: ticket before {since:?}, {before:?}");
            self.fault(Fault::AfterDelete, &text);
        } else if version < before.least {
            self.fault(Fault::Backwards, &format!("key {key}: version {version}, {before:?}"));
        }
        self.saw(key, version);
    }

    pub(crate) fn saw(&self, key: u64, version: u64) {
        self.least(key).fetch_max(version, SeqCst);
    }
}
