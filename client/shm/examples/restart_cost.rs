//! How long a creator takes to make a section, and to adopt one that holds a million sessions.
//!
//! `cargo run --release -p gs-shm --example restart_cost`
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::time::Instant;

use gs_shm::{NewRecord, Section, SectionConfig};

fn main() {
    let dir = std::env::temp_dir().join(format!("gs-restart-cost-{}", std::process::id()));
    let cfg = SectionConfig { capacity_bytes: 700 << 20, ..SectionConfig::default() };
    let start = Instant::now();
    let (section, _) = Section::create_or_adopt(&dir, "cost", &cfg, 0).expect("room in /dev/shm");
    println!("made {} MiB in {:?}", section.geometry().total_len >> 20, start.elapsed());
    let start = Instant::now();
    for n in 0..1_000_000u64 {
        let key = format!("sess:{n:027}");
        let id = section.key_id(0, key.as_bytes());
        let value = [7u8; 384];
        let rec = NewRecord {
            id,
            db: 0,
            key: key.as_bytes(),
            value: &value,
            version: 1,
            deadline_ms: 0,
            kind: 0,
            created_ms: 0,
        };
        section.put(&rec, 1).expect("room");
    }
    println!("stored 1,000,000 in {:?}", start.elapsed());
    drop(section);
    let start = Instant::now();
    let (section, origin) = Section::create_or_adopt(&dir, "cost", &cfg, 0).expect("adopts");
    println!("{origin:?} with {} records in {:?}", section.live_count(0), start.elapsed());
    Section::remove(&dir, "cost").expect("removes");
    let _ = std::fs::remove_dir_all(&dir);
}
