//! The protocols under loom: every interleaving (up to a bound of preemptions) and every outcome that the C11
//! memory model allows, on a section of a few blocks.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p gs-shm --release --test loom`
#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "tests")]

use gs_shm::*;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

const NOW: u64 = 1_000_000;

fn explore(preemptions: usize, f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.max_branches = 100_000;
    // Only `chain_read_reuse` comes near: its relaxed loads have too many legal values to try them all.
    model.max_duration = Some(std::time::Duration::from_secs(20));
    model.check(f);
}

/// Blocks of 10 words: a head carries 2 words, a continuation 8.
fn section(mode: Mode, blocks: u64) -> Section {
    let cfg = |capacity_bytes| SectionConfig {
        capacity_bytes,
        block_bytes: 80,
        value_bytes_max: 40,
        keep_keys: false,
        mode,
        policy_fingerprint: 0,
    };
    let fits = |bytes: &u64| Geometry::of(&cfg(*bytes)).is_ok_and(|g| u64::from(g.blocks) == blocks);
    let capacity = (500..5000).step_by(8).find(fits).unwrap();
    Section::heap(&cfg(capacity), NOW).unwrap()
}

fn rec<'a>(s: &Section, value: &'a [u8], version: u64) -> NewRecord<'a> {
    NewRecord {
        id: s.key_id(0, b"k"),
        db: 0,
        key: b"k",
        value,
        version,
        deadline_ms: 0,
        kind: 0,
        created_ms: 0,
    }
}

fn put(s: &Section, value: &[u8], version: u64) {
    s.put(&rec(s, value, version), NOW).unwrap();
}

/// The version read, 0 for a proven miss, `None` if contended; the bytes must be that version's.
fn read(s: &Section) -> Option<u64> {
    let mut out = Vec::new();
    match s.get(&s.key_id(0, b"k"), b"k", NOW, false, &mut out, |_, _| ()) {
        Lookup::Hit(meta) => {
            assert!(
                out.iter().all(|&b| u64::from(b) == meta.version),
                "{out:?} read as version {}",
                meta.version
            );
            Some(meta.version)
        }
        Lookup::Miss { .. } => Some(0),
        Lookup::Contended => None,
    }
}

fn mark(s: &Section) -> BlockRef {
    let mut victims = Vec::new();
    s.sweep(s.geometry().blocks, NOW, &mut |_| Verdict::Take, &mut victims);
    victims[0].at
}

// An overwritten key is never absent, and what is read is whole.
#[test]
fn read_overwrite() {
    explore(2, || {
        let s = Arc::new(section(Mode::Owner, 2));
        put(&s, &[1; 16], 1);
        let writer = {
            let s = s.clone();
            thread::spawn(move || put(&s, &[2; 16], 2))
        };
        assert_ne!(read(&s), Some(0), "an overwritten key was absent");
        writer.join().unwrap();
        assert_eq!(read(&s), Some(2));
    });
}

// A reader whose record is retired and whose blocks, continuation included, are written anew never mixes.
#[test]
fn chain_read_reuse() {
    explore(1, || {
        let s = Arc::new(section(Mode::Owner, 4));
        put(&s, &[1; 24], 1);
        let writer = {
            let s = s.clone();
            thread::spawn(move || {
                s.delete(&s.key_id(0, b"k"), b"k");
                put(&s, &[2; 24], 2);
            })
        };
        let _ = read(&s);
        writer.join().unwrap();
        assert_eq!(read(&s), Some(2));
    });
}

// A fill from before a delete is not readable after it.
#[test]
fn fill_delete() {
    explore(3, || {
        let s = Arc::new(section(Mode::Cache, 2));
        let deleted_at_relay = Arc::new(AtomicBool::new(false));
        let filler = {
            let (s, relay) = (s.clone(), deleted_at_relay.clone());
            thread::spawn(move || {
                let ticket = s.ticket(&s.key_id(0, b"k"));
                if !relay.load(Ordering::Acquire) {
                    let _ = s.fill(&rec(&s, &[1; 8], 1), ticket, NOW);
                }
            })
        };
        deleted_at_relay.store(true, Ordering::Release);
        s.invalidate(&s.key_id(0, b"k"), b"k", None);
        assert_eq!(read(&s).unwrap_or(0), 0, "readable after the delete returned");
        filler.join().unwrap();
        assert_eq!(read(&s), Some(0));
    });
}

// Two fills of different versions: whoever returns from the newer never reads the older again.
#[test]
fn fill_fill() {
    explore(1, || {
        let s = Arc::new(section(Mode::Cache, 3));
        let ticket = s.ticket(&s.key_id(0, b"k"));
        let older = {
            let s = s.clone();
            thread::spawn(move || {
                let _ = s.fill(&rec(&s, &[1; 8], 1), ticket, NOW);
            })
        };
        let _ = s.fill(&rec(&s, &[2; 8], 2), ticket, NOW);
        assert_ne!(read(&s), Some(1), "the host went backwards");
        older.join().unwrap();
        assert_ne!(read(&s), Some(1));
    });
}

// A release and a delete of the same record: it ends once, and nothing of it is left.
#[test]
fn release_delete() {
    explore(3, || {
        let s = Arc::new(section(Mode::Owner, 2));
        put(&s, &[1; 8], 1);
        let at = mark(&s);
        let releaser = {
            let s = s.clone();
            thread::spawn(move || s.release(&at))
        };
        let deleted = s.delete(&s.key_id(0, b"k"), b"k").found.is_some();
        let released = releaser.join().unwrap() == Release::Freed;
        assert!(deleted != released, "ended {}", if deleted { "twice" } else { "never" });
        assert_eq!(read(&s), Some(0));
    });
}

// A release and an abort: at most one of them has its way, and a reader meanwhile sees the record or, if it
// was released, nothing; never bytes that are not its own.
#[test]
fn release_abort() {
    explore(3, || {
        let s = Arc::new(section(Mode::Owner, 2));
        put(&s, &[1; 8], 1);
        let at = mark(&s);
        let releaser = {
            let s = s.clone();
            thread::spawn(move || s.release(&at))
        };
        let aborted = s.abort(&at);
        let seen = read(&s);
        let released = releaser.join().unwrap();
        if aborted {
            assert_ne!(released, Release::Freed);
            assert_eq!((seen, read(&s)), (Some(1), Some(1)));
            assert!(s.set_deadline(&s.key_id(0, b"k"), b"k", NOW + 9, NOW).is_some(), "cannot be touched");
        } else if released == Release::Freed {
            assert_eq!(read(&s), Some(0));
        } else {
            // Each gave way to the other: it is still marked, and will be sent again.
            assert_eq!((released, read(&s)), (Release::Changed, Some(1)));
        }
    });
}

// A touch and a release: a touch that said yes is never lost with the record.
#[test]
fn release_touch() {
    explore(3, || {
        let s = Arc::new(section(Mode::Owner, 2));
        put(&s, &[1; 8], 1);
        let at = mark(&s);
        let releaser = {
            let s = s.clone();
            thread::spawn(move || s.release(&at))
        };
        let touched = s.set_deadline(&s.key_id(0, b"k"), b"k", NOW + 9, NOW).is_some();
        let released = releaser.join().unwrap();
        assert_eq!(released, if touched { Release::Changed } else { Release::Freed });
    });
}

// A touch and an expiry judged by a clock that is ahead: whoever comes first is final.
#[test]
fn expire_touch() {
    explore(3, || {
        let s = Arc::new(section(Mode::Owner, 2));
        s.put(&NewRecord { deadline_ms: NOW + 5, ..rec(&s, &[1; 8], 1) }, NOW).unwrap();
        let id = s.key_id(0, b"k");
        let reader = {
            let s = s.clone();
            thread::spawn(move || s.peek(&id, b"k", NOW + 5).is_none())
        };
        let touched = s.set_deadline(&id, b"k", NOW + 100, NOW + 4).is_some();
        let told_gone = reader.join().unwrap();
        assert!(!(touched && told_gone), "told gone, and then touched back");
    });
}
