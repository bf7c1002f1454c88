//! Every operation of a section in private memory, owner mode unless said otherwise; each ends with `check`.
//!
//! `MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-disable-stacked-borrows" cargo +nightly miri test -p gs-shm --test
//! operations --test model_map` does the same in ordinary vectors, where sections and counts are smaller (`sized`).
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "operations/cache.rs"]
mod cache;
#[path = "operations/defences.rs"]
mod defences;
#[path = "operations/handoff.rs"]
mod handoff;

use gs_shm::*;

const NOW: u64 = 1_000_000;
/// Longest value of these sections.
const LONGEST: usize = sized(100_000, 10_000);

/// A size or a count, and what it is where miri follows every step.
const fn sized(real: usize, miri: usize) -> usize {
    if cfg!(miri) { miri } else { real }
}

fn cfg() -> SectionConfig {
    SectionConfig {
        capacity_bytes: sized(1 << 20, 112 << 10) as u64,
        block_bytes: sized(BLOCK_BYTES_DEFAULT as usize, 1024) as u32,
        value_bytes_max: LONGEST as u32,
        ..SectionConfig::default()
    }
}

fn owner() -> Section {
    Section::heap(&cfg(), NOW).unwrap()
}

fn rec<'a>(s: &Section, key: &'a [u8], value: &'a [u8], version: u64) -> NewRecord<'a> {
    NewRecord { id: s.key_id(0, key), db: 0, key, value, version, deadline_ms: 0, kind: 1, created_ms: NOW }
}

fn put(s: &Section, key: &[u8], value: &[u8], version: u64) -> Put {
    s.put(&rec(s, key, value, version), NOW).unwrap()
}

fn get(s: &Section, db: u8, key: &[u8], now: u64) -> Option<(Meta, Vec<u8>)> {
    let mut out = b"<".to_vec();
    match s.get(&s.key_id(db, key), key, now, true, &mut out, |out, meta| {
        out.extend_from_slice(meta.value_len.to_string().as_bytes());
        out.push(b':');
    }) {
        Lookup::Hit(meta) => {
            let prefix = format!("<{}:", meta.value_len);
            assert!(out.starts_with(prefix.as_bytes()));
            Some((meta, out.split_off(prefix.len())))
        }
        Lookup::Miss { ticket } => {
            assert_eq!(out, b"<", "a miss leaves the output as it was");
            assert_eq!(ticket, s.fence(&s.key_id(db, key)));
            None
        }
        Lookup::Contended => panic!("nobody contends"),
    }
}

fn quiet(s: &Section) -> CheckReport {
    let report = s.check(NOW).unwrap();
    assert_eq!(report.free, s.free_blocks(), "the counter of blocks agrees");
    let live: u64 = (0..16).map(|db| s.live_count(db)).sum();
    assert_eq!(report.live + report.evicting, live, "the counter of records agrees");
    assert_eq!(report.orphans, 0);
    report
}

fn take_all(s: &Section) -> Vec<Victim> {
    let mut victims = Vec::new();
    s.sweep(s.geometry().blocks, NOW, &mut |_| Verdict::Take, &mut victims);
    victims
}

// A batch answers exactly what as many single reads do, in order and key by key, more than a window at a time, and
// tells each value's place in the output; what is absent or expired takes no room there.
#[test]
fn many_at_once_read_as_one_by_one() {
    let s = owner();
    let keys: Vec<String> = (0..53).map(|n| format!("key-{n}")).collect();
    for (n, key) in keys.iter().enumerate().filter(|(n, _)| n % 5 != 0) {
        let value: Vec<u8> = (0..n * 37).map(|i| (i + n) as u8).collect();
        put(&s, key.as_bytes(), &value, 1);
        if n % 7 == 0 {
            assert!(s.set_deadline(&s.key_id(0, key.as_bytes()), key.as_bytes(), NOW, NOW - 1).is_some());
        }
    }
    let batch: Vec<(KeyId, &[u8])> = keys.iter().map(|k| (s.key_id(0, k.as_bytes()), k.as_bytes())).collect();
    let mut out = b"before".to_vec();
    let mut answers = Vec::new();
    s.get_many(&batch, NOW, true, &mut out, |n, answer, at| answers.push((n, answer, at)));
    assert_eq!(answers.len(), keys.len());
    let mut end = b"before".len();
    for (n, (at, answer, range)) in answers.into_iter().enumerate() {
        assert_eq!((at, range.start), (n, end), "in order, one after the other");
        end = range.end;
        let alone = get(&s, 0, keys[n].as_bytes(), NOW);
        match answer {
            Lookup::Hit(meta) => {
                let (one, bytes) = alone.unwrap();
                assert_eq!((meta.at, &out[range]), (one.at, &bytes[..]));
            }
            Lookup::Miss { .. } => assert!(alone.is_none() && range.is_empty() && (n % 5 == 0 || n % 7 == 0)),
            Lookup::Contended => panic!("nobody contends"),
        }
    }
    assert_eq!(out.len(), end);
    quiet(&s);
}

// What was put is what is read, for every length around the block boundaries.
#[test]
fn values_of_every_length() {
    let s = owner();
    for len in (0..1200).step_by(sized(1, 61)).chain([5000, LONGEST - 1, LONGEST]) {
        let value: Vec<u8> = (0..len).map(|i| (i * 7 % 251) as u8).collect();
        let key = format!("key-{len}");
        let done = put(&s, key.as_bytes(), &value, 1);
        assert!(done.replaced.is_none() && done.rebucketed);
        let (meta, got) = get(&s, 0, key.as_bytes(), NOW).unwrap();
        assert_eq!(got, value);
        assert_eq!((meta.version, meta.kind, meta.key_len as usize), (1, 1, key.len()));
        assert_eq!((meta.created_ms, meta.deadline_ms), (NOW, 0));
        assert_eq!(meta.at.index, done.at.index);
        assert!(s.delete(&s.key_id(0, key.as_bytes()), key.as_bytes()).found.is_some());
    }
    assert_eq!(quiet(&s).free, u64::from(s.geometry().blocks), "nothing leaks");
}

// Refusals name their limits and leave the old record as it was.
#[test]
fn out_of_range_is_refused() {
    let s = owner();
    put(&s, b"k", b"old", 5);
    let long = vec![1; LONGEST + 1];
    let refused = PutError::TooLarge { len: LONGEST as u64 + 1, max: LONGEST as u64 };
    assert_eq!(s.put(&rec(&s, b"k", &long, 6), NOW), Err(refused));
    let key = vec![1; 65_536];
    assert!(matches!(s.put(&rec(&s, &key, b"", 6), NOW), Err(PutError::KeyTooLarge { .. })));
    assert!(matches!(
        s.put(&NewRecord { db: 16, ..rec(&s, b"k", b"", 6) }, NOW),
        Err(PutError::Range { .. })
    ));
    assert!(matches!(
        s.put(&NewRecord { kind: 16, ..rec(&s, b"k", b"", 6) }, NOW),
        Err(PutError::Range { .. })
    ));
    assert_eq!(get(&s, 0, b"k", NOW).unwrap().1, b"old");
    quiet(&s);
}

// Put-if-newer: an older version is refused, an equal one is stored anew under a new incarnation.
#[test]
fn versions_only_go_up() {
    let s = owner();
    let first = put(&s, b"k", b"five", 5);
    assert_eq!(s.put(&rec(&s, b"k", b"four", 4), NOW), Err(PutError::Newer { have: 5 }));
    let again = put(&s, b"k", b"five!", 5);
    assert_eq!(again.replaced.unwrap().at.index, first.at.index);
    assert_ne!((again.at.index, again.at.generation()), (first.at.index, first.at.generation()));
    let six = put(&s, b"k", &[6; 3000], 6);
    assert_eq!(six.replaced.unwrap().version, 5);
    assert_eq!(get(&s, 0, b"k", NOW).unwrap().1, [6; 3000]);
    assert_eq!((quiet(&s).live, s.live_count(0)), (1, 1));
}

// A deadline hides the record at its millisecond; a newer expired copy never lets an older one back.
#[test]
fn deadlines() {
    let s = owner();
    let id = s.key_id(0, b"k");
    s.put(&NewRecord { deadline_ms: NOW + 10, ..rec(&s, b"k", b"v", 5) }, NOW).unwrap();
    assert!(get(&s, 0, b"k", NOW + 9).is_some());
    assert_eq!(s.set_deadline(&id, b"k", NOW + 20, NOW + 9).unwrap().deadline_ms, NOW + 10);
    assert!(get(&s, 0, b"k", NOW + 19).is_some());
    assert!(s.peek(&id, b"k", NOW + 20).is_none());
    // Someone was told "gone": even a touch whose clock lags must not bring it back.
    assert!(s.set_deadline(&id, b"k", NOW + 100, NOW + 19).is_none());
    assert!(get(&s, 0, b"k", NOW + 20).is_none());
    // An older version may now be stored: the expired newer one is taken out first.
    s.put(&rec(&s, b"k", b"w", 4), NOW + 21).unwrap();
    assert_eq!(get(&s, 0, b"k", NOW + 21).unwrap().1, b"w");
    assert!(s.set_deadline(&id, b"k", NOW + 30, NOW + 21).is_some());
    let meta = s.peek(&id, b"k", NOW + 22).unwrap();
    assert!(!s.close_expired(&meta.at, NOW + 29));
    assert!(s.set_deadline(&id, b"k", NOW + 40, NOW + 23).is_some());
    assert!(!s.close_expired(&meta.at, NOW + 39), "the deadline judged is not the one it has");
    let meta = s.peek(&id, b"k", NOW + 24).unwrap();
    assert!(s.close_expired(&meta.at, NOW + 40));
    assert!(!s.close_expired(&meta.at, NOW + 40));
    assert_eq!(quiet(&s).live, 0);
}

// Expired records are told once each, with their keys, and their blocks come back.
#[test]
fn expire_sweep_tells_and_frees() {
    let s = owner();
    for i in 0..50u64 {
        let key = format!("k{i}");
        let deadline_ms = if i % 2 == 0 { NOW + i } else { 0 };
        s.put(&NewRecord { deadline_ms, ..rec(&s, key.as_bytes(), &[0; 900], 1) }, NOW).unwrap();
    }
    let mut told = Vec::new();
    let mut at = 7;
    for _ in 0..(s.geometry().blocks / 100 + 1) {
        at = s.expire_sweep(at, 100, NOW + 1000, &mut |meta, key| {
            assert_eq!(meta.version, 1);
            told.push(String::from_utf8(key.to_vec()).unwrap());
        });
    }
    told.sort();
    let mut expected: Vec<String> = (0..50).step_by(2).map(|i| format!("k{i}")).collect();
    expected.sort();
    assert_eq!(told, expected);
    assert_eq!(quiet(&s).live, 25);
}

// A write that needs room ends expired records itself; whoever listens for expiry hears of those as well, once.
#[test]
fn what_expires_in_the_way_of_a_write_is_told() {
    let s = owner();
    let key = |n: usize| format!("old{n}").into_bytes();
    let mut stored = 0;
    while s.put(&NewRecord { deadline_ms: NOW + 10, ..rec(&s, &key(stored), &[0; 900], 1) }, NOW).is_ok() {
        stored += 1;
    }
    let later = NOW + 20;
    for n in 0..stored / 2 {
        s.put(&rec(&s, format!("new{n}").as_bytes(), &[1; 900], 2), later).unwrap();
    }
    let mut told: Vec<Vec<u8>> = Vec::new();
    s.expire_sweep(0, s.geometry().blocks, later, &mut |_, key| told.push(key.to_vec()));
    told.sort();
    let mut expected: Vec<_> = (0..stored).map(key).collect();
    expected.sort();
    assert_eq!(told, expected);
}

// Delete kills whatever state the record is in, moves the fence, and says what it found.
#[test]
fn delete_finds_every_state() {
    let s = owner();
    let id = s.key_id(0, b"k");
    let before = s.fence(&id);
    assert!(s.delete(&id, b"k").found.is_none());
    assert!(s.fence(&id) > before, "a delete that finds nothing still stops fills");
    put(&s, b"k", &[1; 2000], 3);
    assert_eq!(s.delete(&id, b"k").found.unwrap().version, 3);
    put(&s, b"k", &[1; 2000], 4);
    let victims = take_all(&s);
    assert_eq!(victims.len(), 1);
    let found = s.delete(&id, b"k").found.unwrap();
    assert_eq!((found.version, found.state), (4, RecordState::Evicting));
    assert_eq!(s.release(&victims[0].at), Release::Gone);
    assert!(!s.abort(&victims[0].at));
    assert_eq!(quiet(&s).free, u64::from(s.geometry().blocks));
}

// Databases are apart; a flush empties one at once, counts start anew, and its blocks are reused.
#[test]
fn flush_is_per_database() {
    let s = owner();
    for db in 0..3u8 {
        let id = s.key_id(db, b"k");
        s.put(&NewRecord { id, db, ..rec(&s, b"k", &[db; 700], 1) }, NOW).unwrap();
    }
    let id = s.key_id(1, b"k");
    let before = s.fence(&id);
    s.flush_db(Some(1), NOW);
    assert_ne!(s.fence(&id), before);
    assert!(get(&s, 1, b"k", NOW).is_none());
    assert!(s.delete(&id, b"k").found.is_none());
    assert_eq!(get(&s, 2, b"k", NOW).unwrap().1, [2; 700]);
    assert_eq!((s.live_count(0), s.live_count(1), s.live_count(2)), (1, 0, 1));
    s.put(&NewRecord { id, db: 1, ..rec(&s, b"k", b"again", 1) }, NOW).unwrap();
    assert_eq!(s.live_count(1), 1);
    s.flush_db(None, NOW);
    assert_eq!(s.stats().live, 0);
    s.expire_sweep(0, s.geometry().blocks, NOW, &mut |_, _| panic!("flushed, not expired"));
    assert_eq!(quiet(&s).free, u64::from(s.geometry().blocks));
}

// Epochs have 16 bits: a record flushed once must not come back when they have gone round.
#[test]
#[cfg_attr(miri, ignore = "65,536 flushes of what one flush shows; `cargo test` does them")]
fn epochs_go_round_without_resurrection() {
    let s = owner();
    put(&s, b"k", b"old", 1);
    for _ in 0..65_536 {
        s.flush_db(Some(0), NOW);
    }
    assert!(get(&s, 0, b"k", NOW).is_none());
}

// SCAN's promise: each record once over a whole turn, expired and flushed ones not at all.
#[test]
fn scan_shows_each_once() {
    let s = owner();
    let mut expected = Vec::new();
    for i in 0..sized(500, 60) {
        let key = format!("key:{i}");
        let deadline_ms = if i % 5 == 0 { NOW + 1 } else { 0 };
        s.put(&NewRecord { deadline_ms, ..rec(&s, key.as_bytes(), b"v", 1) }, NOW).unwrap();
        if i % 5 != 0 {
            expected.push(key);
        }
    }
    let mut seen = Vec::new();
    let mut at = Some(0);
    while let Some(from) = at {
        at = s.scan_buckets(from, 7, NOW + 1, &mut |meta, key| {
            assert_eq!(meta.key_len as usize, key.len());
            seen.push(String::from_utf8(key.to_vec()).unwrap());
        });
    }
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
    let any = s.random_key(0, 123_456_789, NOW + 1).unwrap();
    assert!(expected.contains(&String::from_utf8(any).unwrap()));
    assert!(s.random_key(3, 1, NOW).is_none());
}

// The hand sees references come and go, and idleness.
#[test]
fn touches_are_counted_for_the_hand() {
    let s = owner();
    put(&s, b"k", b"v", 1);
    for _ in 0..5 {
        get(&s, 0, b"k", NOW + 60_000);
    }
    let mut seen = Vec::new();
    for _ in 0..5 {
        s.sweep(
            s.geometry().blocks,
            NOW + 90_000,
            &mut |view| {
                seen.push((view.refs, view.idle_ms, view.age_ms));
                Verdict::Demerit
            },
            &mut Vec::new(),
        );
    }
    let refs: Vec<u8> = seen.iter().map(|v| v.0).collect();
    assert_eq!(refs, [3, 2, 1, 0, 0]);
    assert!(seen.iter().all(|v| v.1 == 30_000 && v.2 == 90_000));
    // Idle beyond the counter's range stays idle as long as the hand comes by now and then.
    for hours in 1..30 {
        s.sweep(s.geometry().blocks, NOW + hours * 3_600_000, &mut |_| Verdict::Keep, &mut Vec::new());
    }
    assert!(s.peek(&s.key_id(0, b"k"), b"k", NOW + 29 * 3_600_000).unwrap().idle_ms >= 14_000_000);
    let before = s.peek(&s.key_id(0, b"k"), b"k", NOW).unwrap().refs;
    let mut out = Vec::new();
    s.get(&s.key_id(0, b"k"), b"k", NOW, false, &mut out, |_, _| ());
    assert_eq!(s.peek(&s.key_id(0, b"k"), b"k", NOW).unwrap().refs, before);
}

// Readers and writers at once: what is read was written for that key, and is never older than what the
// same reader saw before.
#[test]
fn threads_read_only_whole_values() {
    let s = owner();
    let keys: Vec<Vec<u8>> = (0..8).map(|i| format!("key{i}").into_bytes()).collect();
    let versions = sized(2000, 12) as u64;
    std::thread::scope(|scope| {
        for part in 0..2 {
            let (s, keys) = (&s, &keys);
            scope.spawn(move || {
                for version in 1..versions {
                    for (i, key) in keys.iter().enumerate().skip(part).step_by(2) {
                        let len = (version as usize * 131 + i) % 1500;
                        let mut value = format!("{i}:{version}:").into_bytes();
                        value.resize(value.len() + len, b'x');
                        s.put(&rec(s, key, &value, version), NOW).unwrap();
                    }
                }
            });
        }
        let (s, keys) = (&s, &keys);
        scope.spawn(move || {
            let mut last = [0u64; 8];
            let mut out = Vec::new();
            while last.iter().any(|&v| v < versions - 1) {
                for (i, key) in keys.iter().enumerate() {
                    out.clear();
                    match s.get(&s.key_id(0, key), key, NOW, true, &mut out, |_, _| ()) {
                        Lookup::Hit(meta) => {
                            assert!(out.starts_with(format!("{i}:{}:", meta.version).as_bytes()));
                            assert!(meta.version >= last[i], "went back");
                            last[i] = meta.version;
                        }
                        Lookup::Miss { .. } => assert_eq!(last[i], 0, "an overwritten key is never absent"),
                        Lookup::Contended => {}
                    }
                }
            }
        });
    });
    assert_eq!(quiet(&s).live, 8);
}
