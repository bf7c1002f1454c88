//! Garbage in the section: random words stored anywhere in it while it is used. What is read is right or
//! missing; nothing panics, leaves the section, or fails to return.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use gs_shm::*;

const NOW: u64 = 1_000_000;
const STEPS: usize = 60_000;
/// Word of the header that says READY: without it every answer is "contended".
const STATE_AT: u64 = 64 * 8;

fn value(key: u64, version: u64, len: usize) -> Vec<u8> {
    let mut value = format!("{key}/{version}/").into_bytes();
    value.resize(value.len() + len, key as u8);
    value
}

fn run(mode: Mode, keep_keys: bool, seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let cfg = SectionConfig {
        capacity_bytes: 96 << 10,
        value_bytes_max: 3_000,
        mode,
        keep_keys,
        ..SectionConfig::default()
    };
    let (s, _) = Section::create_or_adopt(dir.path(), "g", &cfg, NOW).unwrap();
    let path = format!("/dev/shm/{}", s.shm_name().unwrap());
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let words = s.geometry().total_len / 8;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut victims = Vec::new();
    let (mut hits, mut out) = (0, Vec::new());
    for step in 0..STEPS {
        let now = NOW + step as u64;
        if random.u64(..3) == 0 {
            let at = 32 + random.u64(..words - 32);
            let word = match random.u64(..5) {
                0 => 0,
                1 => u64::MAX,
                2 => {
                    // A word from elsewhere: the likeliest to look right.
                    let mut bytes = [0; 8];
                    file.read_exact_at(&mut bytes, (64 + random.u64(..words - 64)) * 8).unwrap();
                    u64::from_le_bytes(bytes)
                }
                3 => {
                    let mut bytes = [0; 8];
                    file.read_exact_at(&mut bytes, at * 8).unwrap();
                    u64::from_le_bytes(bytes) ^ 1 << random.u64(..64)
                }
                _ => random.u64(..),
            };
            if at * 8 != STATE_AT {
                file.write_all_at(&word.to_le_bytes(), at * 8).unwrap();
            }
        }
        let n = random.u64(..40);
        let key = format!("key{n}").into_bytes();
        let id = s.key_id(0, &key);
        match random.u64(..16) {
            0..=5 => {
                let value = value(n, step as u64, random.u64(..2_900) as usize);
                let deadline_ms = if random.u64(..2) == 0 { 0 } else { now + random.u64(..500) };
                let version = step as u64;
                let rec = NewRecord {
                    id,
                    db: 0,
                    key: &key,
                    value: &value,
                    version,
                    deadline_ms,
                    kind: 0,
                    created_ms: now,
                };
                if mode == Mode::Owner {
                    let _ = s.put(&rec, now);
                } else {
                    let _ = s.fill(&rec, s.ticket(&id), now);
                }
            }
            6..=11 => {
                out.clear();
                if let Lookup::Hit(meta) = s.get(&id, &key, now, true, &mut out, |_, _| ()) {
                    hits += 1;
                    let wanted = value(n, meta.version, 0);
                    assert!(out.starts_with(&wanted), "seed {seed} step {step}: foreign bytes");
                    assert!(
                        out[wanted.len()..].iter().all(|&b| b == n as u8),
                        "seed {seed} step {step}: torn"
                    );
                }
            }
            12 => {
                let _ = s.delete(&id, &key);
                let _ = s.set_deadline(&id, &key, now + 100, now);
            }
            13 => s.sweep(
                64,
                now,
                &mut |v| {
                    if v.refs == 0 { Verdict::Take } else { Verdict::Demerit }
                },
                &mut victims,
            ),
            14 => {
                for victim in victims.drain(..) {
                    let (mut k, mut v) = (Vec::new(), Vec::new());
                    if let Some(meta) = s.copy_victim(&victim.at, &mut k, &mut v) {
                        if keep_keys {
                            assert!(k.starts_with(b"key"), "seed {seed} step {step}: {k:?}");
                        }
                        let _ = s.release(&meta.at);
                    }
                    let _ = s.abort(&victim.at);
                }
            }
            _ => {
                s.expire_sweep(random.u64(..) as u32, 200, now, &mut |_, _| ());
                let _ = s.scan_buckets(random.u64(..100), 50, now, &mut |_, _| ());
                let _ = (s.random_key(0, random.u64(..), now), s.stats(), s.check(now));
                s.adopt_evicting(&mut victims, 5);
                if random.u64(..20) == 0 {
                    s.flush_db(None, now);
                }
            }
        }
    }
    Section::remove(dir.path(), "g").unwrap();
    assert!(hits > 100, "{hits} hits: too few to show anything");
}

// Both modes, with and without keys.
#[test]
fn garbage_costs_misses_only() {
    for seed in 1..4 {
        run(Mode::Owner, true, seed);
        run(Mode::Cache, false, seed + 100);
        run(Mode::Owner, false, seed + 200);
    }
}
