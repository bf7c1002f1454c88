//! WATCH under load: a counter that many connections raise by read, compute, write. One lost update is one login
//! that another one overwrote.

use gs_tests::cluster::{Cluster, Plan};
use gs_tests::sessions::Load;
use gs_tests::wait;
use gs_tests::wire::{Value, Wire};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const ROUNDS: usize = 30;

/// Raises a counter once, as a client library does: again whenever somebody else was faster. How often it lost.
fn raise(wire: &mut Wire, key: &str) -> u64 {
    for lost in 0.. {
        assert_eq!(wire.call(&["WATCH", key]), Value::ok());
        let seen: i64 = match wire.call(&["GET", key]) {
            Value::Null => 0,
            found => found.text().parse().expect("a counter"),
        };
        assert_eq!(wire.call(&["MULTI"]), Value::ok());
        wire.call(&["SET", key, &(seen + 1).to_string(), "EX", "3600"]);
        match wire.call(&["EXEC"]) {
            Value::Null => {}
            Value::Array(items) if items == [Value::ok()] => return lost,
            other => panic!("EXEC answered {other:?}"),
        }
    }
    unreachable!("it goes on until it wins")
}

/// `clients` connections raise two counters `times` times each; how often they lost in all.
fn race(cluster: &Cluster, clients: usize, times: usize) -> u64 {
    let lost = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for client in 0..clients {
            let (mut wire, lost) = (cluster.wire(), &lost);
            scope.spawn(move || {
                for n in 0..times {
                    let key = if (client + n) % 2 == 0 { "count:a" } else { "count:b" };
                    lost.fetch_add(raise(&mut wire, key), Ordering::Relaxed);
                }
            });
        }
    });
    lost.into_inner()
}

fn sum(cluster: &Cluster) -> i64 {
    let mut wire = cluster.wire();
    ["count:a", "count:b"].iter().map(|key| wire.call(&["GET", key]).int()).sum()
}

#[test]
fn fifty_connections_lose_no_update() {
    let cluster = Plan::relay("4mb").set("threads", 4).start();
    let lost = race(&cluster, 50, 20);
    assert_eq!(sum(&cluster), 50 * 20);
    assert!(lost > 0, "they got in each other's way, or the test shows nothing");
}

/// Two doctors on call, one may leave: each looks at both keys and writes only one. EXEC must hold what it watches
/// still, also where it does not write it, or both leave.
#[test]
fn what_is_only_watched_is_held_still_too() {
    let cluster = Plan::relay("4mb").set("threads", 4).start();
    let (mut wire, barrier, mut left) = (cluster.wire(), Barrier::new(3), Vec::new());
    std::thread::scope(|scope| {
        for own in ["left:a", "left:b"] {
            let (mut wire, barrier) = (cluster.wire(), &barrier);
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    wire.call(&["WATCH", "left:a", "left:b"]);
                    let nobody = wire.call(&["EXISTS", "left:a", "left:b"]) == Value::Int(0);
                    wire.call(&["MULTI"]);
                    for _ in 0..200 {
                        wire.call(&["SET", own, "1"]);
                    }
                    barrier.wait();
                    wire.call(&[if nobody { "EXEC" } else { "DISCARD" }]);
                    barrier.wait();
                    // The third looks and clears.
                    barrier.wait();
                }
            });
        }
        for _ in 0..ROUNDS {
            barrier.wait();
            barrier.wait();
            left.push(wire.call(&["DEL", "left:a", "left:b"]).int());
            barrier.wait();
        }
    });
    assert_eq!(left, vec![1; ROUNDS], "in each round one leaves");
}

/// The counters are pushed down again and again while they are raised: moves are no changes, and hide none.
#[test]
fn demoted_counters_lose_no_update() {
    let cluster = Plan::relay("2mb").set("threads", 4).aging("32mb").start();
    let done = AtomicBool::new(false);
    let mut rounds = 0;
    let demoted = || cluster.metrics().sum(|name, _| name == "gs_demoted_total");
    std::thread::scope(|scope| {
        let (cluster, done) = (&cluster, &done);
        scope.spawn(move || {
            let mut wire = cluster.wire();
            for edition in 1.. {
                if done.load(Ordering::Acquire) {
                    return;
                }
                Load { count: 2_000, len: 384, ttl_s: 600, edition }.write(&mut wire, 0..2_000);
                // As many of the coldest as there is: the counters are among them.
                wire.call(&["GS.AGE", "RUN", "4000"]);
            }
        });
        wait::until("sessions were pushed down while the counters rose", || {
            race(cluster, 20, 10);
            rounds += 1;
            if demoted() > 2_000.0 { Ok(()) } else { Err(demoted().to_string()) }
        });
        done.store(true, Ordering::Release);
    });
    assert_eq!(sum(&cluster), rounds * 20 * 10);
}

/// A session that was only read and pushed down meanwhile is the same session: EXEC runs. One that was changed
/// after it had gone down is not.
#[test]
fn a_move_between_tiers_is_no_change() {
    let cluster = Plan::relay("2mb").aging("32mb").start();
    let (mut wire, mut other) = (cluster.wire(), cluster.wire());
    for key in ["same", "other"] {
        assert_eq!(wire.call(&["SET", key, "1", "EX", "3600"]), Value::ok());
    }
    let mut second = cluster.wire();
    assert_eq!(wire.call(&["WATCH", "same"]), Value::ok());
    assert_eq!(second.call(&["WATCH", "other"]), Value::ok());
    let tier = |wire: &mut Wire, key: &str| wire.call(&["GS.PEEK", key]).flat();
    wait::until("both keys live below", || {
        Load { count: 2_000, len: 384, ttl_s: 600, edition: 1 }.write(&mut other, 0..2_000);
        other.call(&["GS.AGE", "RUN", "4000"]);
        let seen = [tier(&mut other, "same"), tier(&mut other, "other")];
        if seen.iter().all(|flat| flat.contains("aging") && !flat.contains("relay")) {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    });
    assert_eq!(other.call(&["SET", "other", "2"]), Value::ok());
    for (wire, wanted) in [(&mut wire, Value::Array(vec![Value::bulk("1")])), (&mut second, Value::Null)] {
        assert_eq!(wire.call(&["MULTI"]), Value::ok());
        wire.call(&["GET", "same"]);
        assert_eq!(wire.call(&["EXEC"]), wanted);
    }
}

/// What a connection watches is memory of the node: it ends, and says so.
#[test]
fn watched_keys_are_bounded() {
    let cluster = Plan::relay("4mb").start();
    let mut wire = cluster.wire();
    let keys: Vec<String> = (0..1_025).map(|n| format!("k{n}")).collect();
    let watch = |keys: &[String]| ["WATCH".to_owned()].iter().chain(keys).cloned().collect::<Vec<_>>();
    assert_eq!(wire.call(&watch(&keys[..1_024])), Value::ok());
    assert!(wire.call(&watch(&keys[1_024..])).is_error("ERR a connection may watch 1024 keys"));
    assert_eq!(wire.call(&["UNWATCH"]), Value::ok());
    assert_eq!(wire.call(&watch(&keys[1_024..])), Value::ok());
}
