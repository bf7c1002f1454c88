//! DBSIZE, SCAN and KEYS at the relay speak for the family and count each session once, also while
//! sessions climb and sink between the tiers.

use gs_tests::cluster::{Cluster, Plan};
use gs_tests::sessions::{Load, key, next};
use gs_tests::wait;
use gs_tests::wire::{Value, Wire};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const LOAD: Load = Load { count: 20_000, len: 384, ttl_s: 3_600, edition: 1 };

fn scan(wire: &mut Wire, count: &str) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    let mut cursor = "0".to_owned();
    loop {
        let page = wire.call(&["SCAN", &cursor, "COUNT", count]);
        for key in page.items()[1].items() {
            *seen.entry(key.text()).or_insert(0) += 1;
        }
        cursor = page.items()[0].text();
        if cursor == "0" {
            return seen;
        }
    }
}

/// Every session is there, and nothing that nobody wrote.
fn all_there(what: &str, seen: &BTreeMap<String, usize>) {
    let missing: Vec<String> = (0..LOAD.count).map(key).filter(|k| !seen.contains_key(k)).collect();
    assert!(
        missing.is_empty(),
        "{what} missed {} sessions, first {:?}",
        missing.len(),
        &missing[..missing.len().min(5)]
    );
    assert_eq!(seen.len(), LOAD.count, "{what} gave sessions that nobody wrote");
}

fn exactly_once(what: &str, seen: &BTreeMap<String, usize>) {
    all_there(what, seen);
    let twice: Vec<_> = seen.iter().filter(|(_, n)| **n != 1).collect();
    assert!(
        twice.is_empty(),
        "{what} gave {} sessions more than once, first {:?}",
        twice.len(),
        twice.first()
    );
}

/// Runs `look` while readers keep promoting, and with that demoting, random sessions.
fn while_they_move(cluster: &Cluster, mut look: impl FnMut(&mut Wire)) {
    let (done, begun) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let movers: Vec<_> = (0..2_u64)
            .map(|seed| {
                let (done, begun) = (&done, &begun);
                scope.spawn(move || {
                    let (mut wire, mut seed) = (cluster.wire(), seed);
                    while !done.load(Ordering::Relaxed) {
                        let n = (next(&mut seed) % LOAD.count as u64) as usize;
                        LOAD.check(&mut wire, n..n + 1, 600);
                        begun.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait::until_true("sessions move", || begun.load(Ordering::Relaxed) > 100);
            look(&mut cluster.wire());
        }));
        done.store(true, Ordering::Relaxed);
        movers.into_iter().for_each(|mover| mover.join().expect("every read was right"));
        if let Err(panic) = looked {
            std::panic::resume_unwind(panic);
        }
    });
}

fn pressed() -> Cluster {
    let cluster = Plan::relay("4mb").expansion("8mb").aging("64mb").start();
    assert_eq!(LOAD.write(&mut cluster.wire(), 0..LOAD.count), []);
    cluster
}

#[test]
fn dbsize_never_wavers_while_sessions_move() {
    let cluster = pressed();
    while_they_move(&cluster, |wire| {
        for _ in 0..500 {
            assert_eq!(wire.call(&["DBSIZE"]), Value::Int(LOAD.count as i64));
        }
    });
}

#[test]
fn keys_and_scan_give_each_session_once_while_sessions_move() {
    let cluster = pressed();
    while_they_move(&cluster, |wire| {
        for _ in 0..3 {
            let keys = wire.call(&["KEYS", "*"]);
            let mut seen = BTreeMap::new();
            keys.items().iter().for_each(|k| *seen.entry(k.text()).or_insert(0) += 1);
            exactly_once("KEYS", &seen);
        }
        // What moves against the cursor's direction may be given twice, as Redis says of its own SCAN; a
        // set of the keys counts each session once.
        for count in ["10", "100", "5000"] {
            all_there(&format!("SCAN COUNT {count}"), &scan(wire, count));
        }
    });
}

/// What every move changes: what the reliefs hold, and the relay's counts of what went down and came up.
fn moves(cluster: &Cluster) -> Vec<String> {
    let held = cluster.reliefs.iter().map(|n| n.wire().call(&["DBSIZE"]).int().to_string());
    let info = cluster.wire().call(&["INFO", "everything"]).text();
    let counts =
        info.lines().filter(|l| ["gs_demoted_", "gs_promoted:"].iter().any(|name| l.starts_with(name)));
    let all: Vec<String> = held.chain(counts.map(str::to_owned)).collect();
    assert_eq!(all.len(), cluster.reliefs.len() + 3, "INFO counts moves: {info}");
    all
}

#[test]
fn a_scan_gives_each_session_exactly_once_when_none_moves() {
    let cluster = pressed();
    let mut wire = cluster.wire();
    for count in ["10", "1000"] {
        // The demoter goes on after the last write, until there is room enough.
        let seen = wait::until("nothing moves during a scan", || {
            let (before, seen) = (moves(&cluster), scan(&mut wire, count));
            let after = moves(&cluster);
            if before == after { Ok(seen) } else { Err(format!("{before:?} became {after:?}")) }
        });
        exactly_once(&format!("SCAN COUNT {count}"), &seen);
    }
}

#[test]
fn a_pattern_and_a_type_pick_across_the_tiers() {
    let cluster = pressed();
    let mut wire = cluster.wire();
    let pick = wire.call(&["KEYS", "s:0000123?"]);
    assert_eq!(pick.items().len(), 10);
    let page = wire.call(&["SCAN", "0", "TYPE", "hash", "COUNT", "1000"]);
    assert!(page.items()[1].items().is_empty(), "there are only strings");
    // Each database counts its own.
    assert_eq!(wire.call(&["SELECT", "1"]), Value::ok());
    assert_eq!(wire.call(&["DBSIZE"]), Value::Int(0));
    assert_eq!(wire.call(&["SET", "one", "x"]), Value::ok());
    assert_eq!(wire.call(&["KEYS", "*"]).items(), [Value::bulk("one")]);
}
