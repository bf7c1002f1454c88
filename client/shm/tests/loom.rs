//! The protocols under loom: every interleaving (up to a bound of preemptions) and every outcome that the C11
//! memory model allows, on a section of a few blocks.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p gs-shm --release --test loom`
#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "loom/chains.rs"]
mod chains;
#[path = "loom/forgotten.rs"]
mod forgotten;
#[path = "loom/handoff.rs"]
mod handoff;
#[path = "loom/index.rs"]
mod index;
#[path = "loom/reclaim.rs"]
mod reclaim;

use gs_shm::*;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

const NOW: u64 = 1_000_000;

/// Explores to the end: a model that does not finish fails (its test never returns), none stops at a time.
fn explore(preemptions: usize, f: impl Fn() + Sync + Send + 'static) {
    let runs = explored(preemptions, None, f);
    println!("{runs} executions, {preemptions} preemptions: all of them");
}

/// Explores the first executions only.
fn explore_some(preemptions: usize, most: usize, f: impl Fn() + Sync + Send + 'static) {
    let runs = explored(preemptions, Some(most), f);
    println!("{runs} executions, {preemptions} preemptions: not all of them");
}

fn explored(preemptions: usize, most: Option<usize>, f: impl Fn() + Sync + Send + 'static) -> u64 {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.max_branches = 100_000;
    model.max_permutations = most;
    let runs = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = runs.clone();
    model.check(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        f();
    });
    runs.load(std::sync::atomic::Ordering::Relaxed)
}

/// Blocks of 9 words: a head carries 1 word, a continuation 7.
fn section(mode: Mode, blocks: u64) -> Section {
    let cfg = |capacity_bytes| SectionConfig {
        capacity_bytes,
        block_bytes: 72,
        value_bytes_max: 40,
        keep_keys: false,
        mode,
        policy_fingerprint: 0,
    };
    let fits = |bytes: &u64| Geometry::of(&cfg(*bytes)).is_ok_and(|g| u64::from(g.blocks) == blocks);
    let capacity = (500..5000).step_by(8).find(fits).unwrap();
    Section::heap(&cfg(capacity), NOW).unwrap()
}

/// Key `n` of those that share their buckets.
fn id(n: u64) -> KeyId {
    KeyId { hi: n, lo: n }
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
    explore(1, || {
        let s = Arc::new(section(Mode::Owner, 2));
        put(&s, &[1; 8], 1);
        let writer = {
            let s = s.clone();
            thread::spawn(move || put(&s, &[2; 8], 2))
        };
        assert_ne!(read(&s), Some(0), "an overwritten key was absent");
        writer.join().unwrap();
        assert_eq!(read(&s), Some(2));
    });
}

// A fill from before a delete is not readable after it.
#[test]
fn fill_delete() {
    explore(2, || {
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
