//! What a hit costs, every check in it: key hash, both buckets, tag, identity, key bytes, flush epoch,
//! deadline, copy, revalidation, checksum, touch. Random keys, one thread, output buffer reused.
//!
//! `cargo run --release -p gs-shm --example hit_cost`
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::hint::black_box;
use std::time::Instant;

use gs_shm::{Lookup, Mode, NewRecord, Section, SectionConfig};

const ROUNDS: usize = 7;
const READS: usize = 400_000;

fn main() {
    println!(
        "{:>9} {:>6} {:>6} {:>9} {:>9} {:>9}",
        "objects", "bytes", "block", "p50 ns", "best ns", "hash ns"
    );
    for objects in [20_000u64, 1_000_000] {
        for value_len in [64usize, 384] {
            for block_bytes in [gs_shm::BLOCK_BYTES_DEFAULT, 480] {
                measure(objects, value_len, block_bytes);
            }
        }
    }
}

fn measure(objects: u64, value_len: usize, block_bytes: u32) {
    let cfg = SectionConfig {
        capacity_bytes: objects * 1100 + (4 << 20),
        block_bytes,
        value_bytes_max: 1 << 16,
        keep_keys: true,
        mode: Mode::Owner,
        policy_fingerprint: 0,
    };
    let section = Section::heap(&cfg, 0).expect("a section");
    let key = |n: u64| format!("sess:{:027}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let value = vec![7u8; value_len];
    for n in 0..objects {
        let key = key(n);
        let id = section.key_id(0, key.as_bytes());
        let rec = NewRecord {
            id,
            db: 0,
            key: key.as_bytes(),
            value: &value,
            version: 1,
            deadline_ms: u64::MAX >> 21,
            kind: 0,
            created_ms: 0,
        };
        section.put(&rec, 1).expect("room");
    }
    let mut random = 1u64;
    let picks: Vec<String> = (0..READS)
        .map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            key((random >> 33) % objects)
        })
        .collect();
    let mut out = Vec::with_capacity(value_len + 64);
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for key in &picks {
                let key = key.as_bytes();
                out.clear();
                let id = section.key_id(0, key);
                let answer = section.get(&id, key, 1, true, &mut out, |_, _| ());
                assert!(matches!(answer, Lookup::Hit(_)));
                black_box(&out);
            }
            start.elapsed().as_nanos() as f64 / READS as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let start = Instant::now();
    for key in &picks {
        black_box(section.key_id(0, key.as_bytes()));
    }
    let hash = start.elapsed().as_nanos() as f64 / READS as f64;
    println!(
        "{objects:>9} {value_len:>6} {block_bytes:>6} {:>9.1} {:>9.1} {hash:>9.1}",
        times[ROUNDS / 2],
        times[0]
    );
}
