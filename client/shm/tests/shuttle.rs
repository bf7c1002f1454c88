//! The protocols under shuttle, at sizes that loom cannot reach: more threads, keys and longer chains under a
//! random scheduler and one that preempts at a few chosen depths (PCT). Memory is sequentially consistent
//! here; weak orderings are loom's.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test -p gs-shm --release --test shuttle -- --nocapture`
//!
//! Each run prints its seed; `GS_SHUTTLE_SEED=n` repeats it, `GS_SHUTTLE_RUNS=n` multiplies the schedules (100
//! takes half an hour). A failure prints its schedule, which `shuttle::replay` takes.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "shuttle/cache.rs"]
mod cache;
#[path = "shuttle/owner.rs"]
mod owner;

use gs_shm::*;
use shuttle::Runner;
use shuttle::scheduler::{PctScheduler, RandomScheduler};

const NOW: u64 = 1_000_000;

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs a scenario under both schedulers, so many times each.
fn explore(name: &str, runs: usize, f: impl Fn() + Sync + Send + Copy + 'static) {
    let runs = runs * from_env("GS_SHUTTLE_RUNS").unwrap_or(1) as usize;
    let seed = from_env("GS_SHUTTLE_SEED").unwrap_or(0x5e55_1075);
    println!("{name}: {runs} random schedules and {runs} of PCT, GS_SHUTTLE_SEED={seed}");
    let mut config = shuttle::Config::new();
    config.stack_size = 1 << 18;
    Runner::new(RandomScheduler::new_from_seed(seed, runs), config.clone()).run(f);
    for depth in [3, 5] {
        Runner::new(PctScheduler::new_from_seed(seed, depth, runs / 2), config.clone()).run(f);
    }
}

/// Blocks of 9 words: a head carries 1 word, a continuation 7.
fn section(mode: Mode, blocks: u64) -> Section {
    let cfg = |capacity_bytes| SectionConfig {
        capacity_bytes,
        block_bytes: 72,
        value_bytes_max: 200,
        keep_keys: false,
        mode,
        policy_fingerprint: 0,
    };
    let fits = |bytes: &u64| Geometry::of(&cfg(*bytes)).is_ok_and(|g| u64::from(g.blocks) == blocks);
    let capacity = (500..9000).step_by(8).find(fits).unwrap();
    Section::heap(&cfg(capacity), NOW).unwrap()
}

/// Keys spread over the buckets as they come.
fn id(key: usize) -> KeyId {
    let spread = (key as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    KeyId { hi: spread, lo: spread.rotate_left(17) }
}

/// One to four blocks, every byte telling key and version.
fn value(key: usize, version: u64) -> Vec<u8> {
    let len = [8, 64, 120, 176][((version + key as u64) % 4) as usize];
    vec![(key as u64 * 64 + version) as u8; len]
}

fn rec(key: usize, version: u64, value: &[u8]) -> NewRecord<'_> {
    NewRecord { id: id(key), db: 0, key: b"", value, version, deadline_ms: 0, kind: 0, created_ms: 0 }
}

/// The version read, 0 for a proven miss, `None` if contended; the bytes must be that version's.
fn read(s: &Section, key: usize) -> Option<u64> {
    let mut out = Vec::new();
    match s.get(&id(key), b"", NOW, true, &mut out, |_, _| ()) {
        Lookup::Hit(meta) => {
            assert_eq!(out, value(key, meta.version), "read as key {key} version {}", meta.version);
            Some(meta.version)
        }
        Lookup::Miss { .. } => Some(0),
        Lookup::Contended => None,
    }
}

/// One turn of the hand (two that meet leave each other continuations) leaves every block accounted for.
fn quiet(s: &Section) {
    s.sweep(s.geometry().blocks, NOW, &mut |_| Verdict::Keep, &mut Vec::new());
    let report = s.check(NOW).unwrap();
    assert_eq!(report.orphans, 0, "{report:?}");
    let all = report.free + report.live + report.evicting + report.continuations;
    assert_eq!(all, u64::from(s.geometry().blocks), "blocks leaked");
}
