//! Processes die in the middle of things. What was acknowledged is there afterwards, what cannot be
//! known is said to be unknown, and nobody else stalls.

use gs_tests::cluster::{Cluster, Plan};
use gs_tests::node::Node;
use gs_tests::sessions::{Load, key};
use gs_tests::wire::{Value, Wire};
use gs_tests::{peek, wait};
use rustix::process::{Signal, kill_process};
use std::collections::BTreeSet;

const LOAD: Load = Load { count: 30_000, len: 384, ttl_s: 3_600, edition: 1 };

fn write(cluster: &Cluster, load: &Load, range: std::ops::Range<usize>) {
    assert_eq!(load.write(&mut cluster.wire(), range), []);
}

fn demoted(cluster: &Cluster) -> f64 {
    let metrics = cluster.all_metrics();
    metrics.sum(|name, _| name.contains("demot"))
}

/// What a relief holds once it has carried out all that was on its way.
fn settled(relief: &Node) -> BTreeSet<String> {
    let mut wire = relief.wire();
    let mut keys = || wire.call(&["KEYS", "*"]).items().iter().map(Value::text).collect::<BTreeSet<String>>();
    let mut last = keys();
    wait::until("nothing arrives any more", || {
        let now = keys();
        let same = now == last;
        last = now;
        if same { Ok(last.clone()) } else { Err(format!("{} keys", last.len())) }
    })
}

#[test]
fn keys_of_a_relief_that_came_back_empty_are_unavailable_and_nothing_else_is() {
    let mut cluster = Plan::relay("4mb").aging("32mb").aging("32mb").start();
    write(&cluster, &LOAD, 0..LOAD.count);
    // Nothing moves any more while the sibling stands still, so what a relief says it holds stays true.
    let sibling = cluster.relay.children().first().copied().expect("the relay has a child");
    kill_process(sibling, Signal::STOP).expect("the sibling can be stopped");
    let held: Vec<BTreeSet<String>> = cluster.reliefs.iter().map(settled).collect();
    assert!(held.iter().all(|keys| keys.len() > 1_000), "both hold a share");

    cluster.reliefs[0].kill();
    kill_process(sibling, Signal::CONT).expect("the sibling can go on");
    cluster.reliefs[0].restart_empty();
    cluster.wait_joined();

    let mut wire = cluster.wire();
    let lost_port = cluster.reliefs[0].port().to_string();
    let (mut lost, mut served) = (0, 0);
    for n in 0..LOAD.count {
        let key = key(n);
        match wire.call(&["GET", &key]) {
            Value::Bulk(bytes) => {
                assert_eq!(bytes, gs_tests::sessions::value(&key, LOAD.edition, LOAD.len));
                served += 1;
            }
            reply if reply.is_error("UNAVAILABLE") => {
                // A hand-over that was on its way when the sibling stopped may have arrived since.
                let owner = || cluster.sibling().call(&["GS.SHARD", "OF", &key]).flat();
                assert!(
                    held[0].contains(&key) || (!held[1].contains(&key) && owner().contains(&lost_port)),
                    "{key} was not on the relief that lost its sessions: {reply:?}"
                );
                lost += 1;
            }
            other => panic!("{key} answers {other:?}: unknown is not absent"),
        }
    }
    assert!(lost > 1_000, "the relief held {} sessions, {lost} are reported", held[0].len());
    assert!(served >= held[1].len(), "{served} served");
    for n in 0..100 {
        assert_eq!(
            wire.call(&["GET", &format!("nobody:{n}")]),
            Value::Null,
            "an unknown token is known to be absent"
        );
    }
    // A new session under a lost key is a new session.
    let key = held[0].iter().next().expect("it held some");
    assert_eq!(wire.call(&["SET", key, "again"]), Value::ok());
    assert_eq!(wire.call(&["GET", key]), Value::bulk("again"));
    wait::until_true("the loss is counted", || cluster.all_metrics().losses() >= f64::from(lost));
}

/// What one connection got through before its relay died.
#[derive(Default)]
struct Progress {
    written: BTreeSet<usize>,
    deleted: BTreeSet<usize>,
    /// The call that got no answer: it may have happened or not.
    in_doubt: Option<usize>,
}

/// Writes new sessions and deletes every tenth old one until the connection breaks.
fn write_and_delete(
    wire: &mut Wire,
    fresh: std::ops::Range<usize>,
    mut old: impl Iterator<Item = usize>,
) -> Progress {
    let mut progress = Progress::default();
    for n in fresh {
        let key = key(n);
        let value = gs_tests::sessions::value(&key, LOAD.edition, LOAD.len);
        match wire.try_call(&[b"SET", key.as_bytes(), &value, b"EX", b"3600"]) {
            Ok(reply) => assert_eq!(reply, Value::ok()),
            Err(_) => return progress,
        }
        progress.written.insert(n);
        let Some(doomed) = old.next().filter(|_| n.is_multiple_of(10)) else {
            continue;
        };
        progress.in_doubt = Some(doomed);
        match wire.try_call(&["DEL".to_owned(), self::key(doomed)]) {
            Ok(reply) => assert_eq!(reply, Value::Int(1), "DEL of an old session"),
            Err(_) => return progress,
        }
        progress.deleted.insert(doomed);
    }
    progress
}

#[test]
fn a_relay_killed_comes_back_with_every_session_it_acknowledged() {
    const OLD: usize = 10_000;
    let mut cluster = Plan::relay("4mb").expansion("8mb").aging("64mb").start();
    write(&cluster, &LOAD, 0..OLD);
    let mut all = Progress { written: (0..OLD).collect(), ..Progress::default() };
    let mut doubtful = BTreeSet::new();
    for round in 0..3 {
        let from = OLD + round * 20_000;
        let old = (round * 3_000)..(round + 1) * 3_000;
        let progress = std::thread::scope(|scope| {
            let mut wire = cluster.wire();
            let writer = scope.spawn(move || write_and_delete(&mut wire, from..from + 20_000, old));
            // Not before some of it is through, and long before all of it is.
            let mut probe = cluster.wire();
            let mark = key(from + 2_000);
            wait::until_true("some writes are through", || probe.call(&["EXISTS", &mark]) == Value::Int(1));
            kill_process(cluster.relay.pid(), Signal::KILL).expect("the relay can be killed");
            writer.join().expect("every reply was right")
        });
        cluster.relay.kill();
        cluster.relay.restart();
        cluster.wait_joined();
        all.written.extend(progress.written);
        all.deleted.extend(progress.deleted);
        doubtful.extend(progress.in_doubt);

        let mut wire = cluster.wire();
        for n in &all.written {
            if all.deleted.contains(n) {
                assert_eq!(
                    wire.call(&["GET", &key(*n)]),
                    Value::Null,
                    "{} came back after the crash",
                    key(*n)
                );
            } else if !doubtful.contains(n) {
                LOAD.check(&mut wire, *n..*n + 1, 600);
            }
        }
    }
    assert!(all.deleted.len() > 100 && all.written.len() > OLD + 6_000);
    assert_eq!(cluster.all_metrics().losses(), 0.0);
}

#[test]
fn a_sibling_killed_is_replaced_and_demotions_resume() {
    let cluster = Plan::relay("4mb").aging("64mb").start();
    write(&cluster, &LOAD, 0..5_000);
    for round in 1..=3 {
        let first = cluster.relay.children().first().copied().expect("the relay has a child");
        let range = round * 5_000..(round + 1) * 5_000;
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                // Without its demoter a full relay may refuse, and then the writer tries again, as it is told.
                for n in range.clone() {
                    wait::until(&format!("{} is accepted", key(n)), || {
                        match LOAD.write(&mut cluster.wire(), n..n + 1).pop() {
                            None => Ok(()),
                            Some((_, reply)) if reply.is_error("OOM") || reply.is_error("TRYAGAIN") => {
                                Err(format!("{reply:?}"))
                            }
                            Some((_, reply)) => panic!("{} answers {reply:?}", key(n)),
                        }
                    });
                }
            });
            kill_process(first, Signal::KILL).expect("the sibling can be killed");
            writer.join().expect("every write was accepted in the end");
        });
        wait::until_true("a new sibling runs", || {
            cluster.relay.children().first().is_some_and(|p| *p != first)
        });
        cluster.wait_joined();
    }
    let before = demoted(&cluster);
    write(&cluster, &LOAD, 20_000..LOAD.count);
    wait::until_true("demotions resume", || demoted(&cluster) > before);
    LOAD.check(&mut cluster.wire(), 0..LOAD.count, 600);
    assert_eq!(cluster.wire().call(&["DBSIZE"]), Value::Int(LOAD.count as i64));
    assert_eq!(cluster.all_metrics().losses(), 0.0);
}

#[test]
fn a_relief_that_returns_with_its_section_goes_on() {
    let mut cluster = Plan::relay("4mb").aging("64mb").start();
    write(&cluster, &LOAD, 0..LOAD.count);
    let key = peek::only_in(&mut cluster.wire(), "aging", (0..LOAD.count).map(key), 1).remove(0);
    cluster.reliefs[0].kill();
    let away = cluster.wire().call(&["GET", &key]);
    assert!(away.is_error("UNAVAILABLE"), "while its node is away, {key} answers {away:?}");
    assert_eq!(cluster.wire().call(&["GET", "nobody"]), Value::Null);
    cluster.reliefs[0].restart();
    cluster.wait_joined();
    wait::until("its keys are served again", || match cluster.wire().call(&["GET", &key]) {
        Value::Bulk(_) => Ok(()),
        reply if reply.is_error("UNAVAILABLE") => Err(format!("{reply:?}")),
        other => panic!("{key} answers {other:?}"),
    });
    LOAD.check(&mut cluster.wire(), 0..LOAD.count, 600);
    assert_eq!(cluster.all_metrics().losses(), 0.0);
}

#[test]
fn a_relay_told_to_stop_ends_with_its_child_and_keeps_its_sessions() {
    let mut cluster = Plan::relay("4mb").aging("64mb").start();
    write(&cluster, &LOAD, 0..LOAD.count);
    let child = cluster.relay.children().first().copied().expect("the relay has a child");
    assert_eq!(cluster.relay.terminate().code(), Some(0), "SIGTERM drains and exits 0");
    wait::until_true("the sibling ends with its relay", || kill_process(child, Signal::CONT).is_err());
    cluster.relay.restart();
    cluster.wait_joined();
    LOAD.check(&mut cluster.wire(), 0..LOAD.count, 600);
}

#[test]
fn the_peer_of_a_killed_relay_is_told_by_the_closed_connection() {
    let mut cluster = Plan::relay("4mb").start();
    let mut wire: Wire = cluster.wire();
    assert_eq!(wire.call(&["PING"]), Value::Simple("PONG".into()));
    cluster.relay.kill();
    assert!(wire.try_call(&["PING"]).is_err());
}
