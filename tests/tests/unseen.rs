//! A client cannot see that its data lives in shared memory and on several nodes: lives end to the millisecond,
//! iterations are complete, and the shipped rules hold on the paths they are for.

use gs_tests::cluster::Plan;
use gs_tests::node::{Node, Spec};
use gs_tests::sessions::{key, value};
use gs_tests::wire::Value;
use gs_tests::{bins, wait};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

// A session must not outlive its time, and must not be gone before it: not by the few milliseconds of a coarse
// clock either.
#[test]
fn a_life_ends_to_the_millisecond() {
    let cluster = Plan::relay("4mb").start();
    let mut wire = cluster.wire();
    for life_ms in [20_u64, 33, 47, 51, 68, 74, 89, 95] {
        let life = Duration::from_millis(life_ms);
        for command in ["SET", "PEXPIRE", "PSETEX"] {
            wire.call(&["SET", "k", "v"]);
            let before = Instant::now();
            let px = life_ms.to_string();
            match command {
                "SET" => wire.call(&["SET", "k", "v", "PX", &px]),
                "PSETEX" => wire.call(&["PSETEX", "k", &px, "v"]),
                _ => wire.call(&["PEXPIRE", "k", &px]),
            };
            let after = Instant::now();
            loop {
                let asked = Instant::now();
                let there = wire.call(&["GET", "k"]) == Value::bulk("v");
                let answered = Instant::now();
                // A millisecond is counted as begun or as over, on both sides.
                if there {
                    let late = asked.saturating_duration_since(after + life);
                    assert!(
                        late <= Duration::from_millis(1),
                        "{command} {life_ms}: readable {late:?} too long"
                    );
                } else {
                    let early = (before + life).saturating_duration_since(answered);
                    assert!(
                        early <= Duration::from_millis(1),
                        "{command} {life_ms}: gone {early:?} too early"
                    );
                    break;
                }
            }
        }
    }
}

// What is there the whole time is returned at least once by each full iteration, whatever comes, goes and moves
// between the tiers meanwhile.
#[test]
fn a_scan_misses_nothing_that_stays_while_sessions_move() {
    const STAY: usize = 6_000;
    let cluster = Plan::relay("2mb").expansion("16mb").aging("64mb").start();
    let mut wire = cluster.wire();
    for n in 0..STAY {
        let key = format!("stays:{n}");
        assert_eq!(wire.call(&[b"SET", key.as_bytes(), &value(&key, 1, 300)[..]]), Value::ok());
    }
    let done = AtomicBool::new(false);
    let found = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut wire = cluster.wire();
            let mut n = 0;
            while !done.load(Ordering::Relaxed) {
                let (new, old) = (key(n), key(n.saturating_sub(2_000)));
                wire.call(&[b"SET", new.as_bytes(), &value(&new, 1, 300)[..]]);
                wire.call(&["DEL", &old]);
                // Reading brings some of the others up again.
                wire.call(&["GET", &format!("stays:{}", n * 7 % STAY)]);
                n += 1;
            }
        });
        // Checked behind the scope: a thread that nobody ends would be waited for.
        let mut rounds = Vec::new();
        for _ in 0..3 {
            let (mut found, mut cursor) = (BTreeSet::new(), "0".to_owned());
            loop {
                let page = wire.call(&["SCAN", &cursor, "MATCH", "stays:*", "COUNT", "200"]);
                found.extend(page.items()[1].items().iter().map(Value::text));
                cursor = page.items()[0].text();
                if cursor == "0" {
                    break;
                }
            }
            rounds.push(found.len());
        }
        done.store(true, Ordering::Relaxed);
        rounds
    });
    assert_eq!(found, [STAY; 3], "a key that stayed was not returned");
    assert!(cluster.reliefs.iter().any(|node| node.wire().call(&["DBSIZE"]).int() > 0), "nothing ever moved");
}

// RANDOMKEY is how people look into a cache: every key has its turn, also one that was handed down.
#[test]
fn randomkey_covers_every_tier() {
    const KEYS: usize = 60;
    let cluster = Plan::relay("1mb").aging("16mb").set("aging.aged_after_ms", "0s").start();
    let mut wire = cluster.wire();
    let big = "v".repeat(40_000);
    for n in 0..KEYS {
        assert_eq!(wire.call(&["SET", &key(n), &big]), Value::ok());
    }
    let below = cluster.reliefs[0].wire().call(&["DBSIZE"]).int();
    assert!(below > 0, "nothing was handed down");
    let mut seen = BTreeSet::new();
    // Every one has a chance, and not all the same: what lies behind a wide gap of the table comes more often.
    wait::until("every key has had its turn", || {
        seen.extend(wire.pipeline(&vec![vec!["RANDOMKEY"]; 500]).iter().map(Value::text));
        if seen.len() == KEYS { Ok(()) } else { Err(format!("{} of {KEYS}, {below} below", seen.len())) }
    });
}

#[test]
fn idle_time_moves_and_a_read_ends_it() {
    let cluster = Plan::relay("4mb").start();
    let mut wire = cluster.wire();
    wire.call(&["SET", "k", "v"]);
    wait::until_true("a second has been idle", || wire.call(&["OBJECT", "IDLETIME", "k"]).int() >= 1);
    wait::until("a read ends idleness", || {
        wire.call(&["GET", "k"]);
        match wire.call(&["OBJECT", "IDLETIME", "k"]).int() {
            0 => Ok(()),
            idle => Err(format!("idle for {idle} s after a read")),
        }
    });
}

// The shipped file as it is: plain Redis by default, and a logout that is final on `sess:`.
#[test]
fn the_shipped_paths_side_by_side() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let spec = Spec::role("relay", &dir.path().join("relay"))
        .flag("config", bins::repository().join("conf/relay.toml").display())
        .flag("port", 0)
        .flag("sibling-port", 0)
        .flag("http-port", 0)
        .flag("capacity", "8mb");
    let node = Node::start(spec);
    let mut wire = node.wire();
    for (key, again) in [("PHPREDIS_SESSION:1", true), ("sess:1", false)] {
        assert_eq!(wire.call(&["SET", key, "x", "EX", "60"]), Value::ok());
        assert_eq!(wire.call(&["DEL", key]), Value::Int(1));
        let late = wire.call(&["SET", key, "again", "EX", "60"]);
        if again {
            assert_eq!(late, Value::ok());
            assert_eq!(wire.call(&["GET", key]), Value::bulk("again"));
        } else {
            assert!(late.is_error("GONE"), "{late:?}");
            assert_eq!(wire.call(&["GET", key]), Value::Null);
        }
    }
}
