//! A destroyed session never comes back: not out of a lower tier, not after the object that replaced
//! it expired, not by a message that was late.

use gs_tests::cluster::{Cluster, Plan};
use gs_tests::node::{Node, Spec, knows_what_is_absent, port_of};
use gs_tests::proxy::{Faults, Proxy};
use gs_tests::sessions::{Load, key};
use gs_tests::wire::{Value, Wire};
use gs_tests::{peek, ports, wait};
use rustix::process::{Signal, kill_process};

const LOAD: Load = Load { count: 30_000, len: 384, ttl_s: 3_600, edition: 1 };

/// A small relay that had to hand most of its sessions to one aging node.
fn pressed() -> Cluster {
    let cluster = Plan::relay("4mb").aging("64mb").start();
    assert_eq!(LOAD.write(&mut cluster.wire(), 0..LOAD.count), []);
    cluster
}

fn demoted(cluster: &Cluster, wanted: usize) -> Vec<String> {
    peek::only_in(&mut cluster.wire(), "aging", (0..LOAD.count).map(key), wanted)
}

/// No tier holds a copy: not the relay's view, not the relief's own port.
fn gone_everywhere(cluster: &Cluster, key: &str) {
    wait::until(&format!("no tier holds {key}"), || {
        let seen = peek::copies(&mut cluster.wire(), key);
        let own: Vec<Value> =
            cluster.reliefs.iter().map(|n| n.wire().call(&["GS.FETCH", "0", key])).collect();
        let clean = seen.is_empty() && own.iter().all(|v| *v == Value::Null);
        if clean { Ok(()) } else { Err(format!("{seen:?}, on the reliefs {own:?}")) }
    });
}

#[test]
fn a_delete_of_a_session_in_the_aging_tier_leaves_no_copy() {
    let cluster = pressed();
    let mut wire = cluster.wire();
    let before = wire.call(&["DBSIZE"]).int();
    let keys = demoted(&cluster, 4);
    for (key, delete) in keys.iter().zip(["DEL", "UNLINK", "GS.DEL", "EXPIRE"]) {
        let reply = match delete {
            "EXPIRE" => wire.call(&["EXPIRE", key, "-1"]),
            _ => wire.call(&[delete, key]),
        };
        assert_eq!(reply, Value::Int(1), "{delete} of a demoted session counts it");
        assert_eq!(wire.call(&["GET", key]), Value::Null, "after {delete}");
        assert_eq!(wire.call(&["EXISTS", key]), Value::Int(0), "after {delete}");
        gone_everywhere(&cluster, key);
    }
    assert_eq!(wire.call(&["DBSIZE"]).int(), before - 4);
}

#[test]
fn flushall_reaches_every_tier() {
    let cluster = pressed();
    let mut wire = cluster.wire();
    let keys = demoted(&cluster, 3);
    assert_eq!(wire.call(&["FLUSHALL"]), Value::ok());
    assert_eq!(wire.call(&["DBSIZE"]), Value::Int(0));
    for key in &keys {
        assert_eq!(wire.call(&["GET", key]), Value::Null);
        gone_everywhere(&cluster, key);
    }
    assert_eq!(wire.call(&["SET", &keys[0], "new"]), Value::ok());
    assert_eq!(wire.call(&["GET", &keys[0]]), Value::bulk("new"));
}

#[test]
fn the_old_copy_does_not_come_back_when_its_successor_expires() {
    let cluster = pressed();
    let mut wire = cluster.wire();
    for key in demoted(&cluster, 5) {
        assert_eq!(wire.call(&["SET", &key, "short", "PX", "200"]), Value::ok());
        wait::until(&format!("{key} expires"), || match wire.call(&["GET", &key]) {
            Value::Null => Ok(()),
            short if short == Value::bulk("short") => Err("still there".into()),
            old => panic!("{key} answers {old:?}, which is neither its new value nor nothing"),
        });
        gone_everywhere(&cluster, &key);
        assert_eq!(wire.call(&["GET", &key]), Value::Null);
    }
}

#[test]
fn a_shortened_life_is_not_undone_by_the_copy_further_down() {
    let cluster = pressed();
    let mut wire = cluster.wire();
    let key = demoted(&cluster, 1).remove(0);
    assert_eq!(wire.call(&["PEXPIRE", &key, "200"]), Value::Int(1));
    wait::until_true("it expires", || wire.call(&["GET", &key]) == Value::Null);
    gone_everywhere(&cluster, &key);
}

#[test]
fn a_relief_refuses_what_is_older_than_what_it_knows() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    // Nobody answers where it would join; its own commands do not need a sibling.
    let spec = Spec::role("relief-aging", &dir.path().join("aging")).flag("port", 0).flag("capacity", "4mb");
    let relief = Node::start(spec.flag("sibling", format!("127.0.0.1:{}", ports::reserve())));
    let mut wire = relief.wire();
    let put = |wire: &mut Wire, key: &str, version: &str, value: &str| {
        wire.call(&["GS.PUT", "1", "0", key, version, "60000", "0", "5", value]).items()[0].int()
    };
    let tomb = |wire: &mut Wire, mode: &str, key: &str, arg: &str| {
        wire.call(&["GS.TOMB", "1", mode, "0", key, arg]).items()[0].int()
    };

    let first = put(&mut wire, "k", "100", "v100");
    assert!(first > 0, "a new copy is stored and gets a number, not {first}");
    assert_eq!(put(&mut wire, "k", "99", "v99"), 0, "an older version is refused");
    let again = put(&mut wire, "k", "100", "v100");
    assert!(again > 0 && again != first, "an equal version is stored anew, not {again} after {first}");
    assert_eq!(
        tomb(&mut wire, "drop", "k", &first.to_string()),
        0,
        "a late drop does not hit the copy after it"
    );
    assert_eq!(wire.call(&["GET", "k"]), Value::bulk("v100"));

    assert_eq!(tomb(&mut wire, "floor", "k", "100"), 0, "a floor leaves what stands on it");
    assert_eq!(tomb(&mut wire, "tomb", "k", "100"), 1, "a tombstone kills its own version");
    assert_eq!(wire.call(&["GET", "k"]), Value::Null);
    assert_eq!(put(&mut wire, "k", "100", "late"), 0, "a late put of the deleted version is refused");
    assert_eq!(put(&mut wire, "k", "42", "later"), 0, "and of an older one");
    assert_eq!(wire.call(&["GET", "k"]), Value::Null);
    assert!(put(&mut wire, "k", "101", "new") > 0, "a newer object is a new object");

    assert_eq!(tomb(&mut wire, "floor", "f", "200"), 0);
    assert_eq!(put(&mut wire, "f", "199", "late"), 0, "below the floor");
    assert!(put(&mut wire, "f", "200", "exact") > 0, "the floor itself may be put");

    assert_eq!(wire.call(&["GS.FLUSH", "0", "1000"]), Value::ok());
    assert_eq!(wire.call(&["GET", "f"]), Value::Null);
    assert_eq!(put(&mut wire, "g", "999", "late"), 0, "a put from before the flush is refused");
    assert!(put(&mut wire, "g", "1000", "new") > 0);
    assert!(wire.call(&["SET", "x", "y"]).is_error("READONLY"), "applications do not write to a relief");
}

#[test]
fn a_session_destroyed_while_it_was_on_its_way_down_stays_destroyed() {
    let cluster = Plan::relay("4mb").aging("64mb").start();
    let mut wire = cluster.wire();
    for round in 0..5 {
        let load = Load { edition: round, ..LOAD };
        let range = (round as usize * 6_000)..(round as usize + 1) * 6_000;
        assert_eq!(load.write(&mut wire, range.clone()), []);
        // Stopped anywhere between choosing a victim and being acknowledged.
        let sibling = cluster.relay.children().first().copied().expect("the relay has a child");
        kill_process(sibling, Signal::STOP).expect("the sibling can be stopped");
        let doomed: Vec<String> = range.clone().rev().step_by(3).take(500).map(key).collect();
        let (mut deleted, deleter) = (Vec::new(), cluster.wire());
        let mut deleter = deleter;
        // A delete of a demoted session may wait for the sibling, so they are sent and not awaited.
        for key in &doomed {
            let mut out = Vec::new();
            gs_tests::wire::encode(&mut out, &["DEL", key]);
            deleter.send(&out);
        }
        kill_process(sibling, Signal::CONT).expect("the sibling can go on");
        for key in doomed {
            match deleter.must_reply() {
                Value::Int(1) => deleted.push(key),
                other => panic!("DEL {key} answers {other:?}"),
            }
        }
        for key in &deleted {
            assert_eq!(wire.call(&["GET", key]), Value::Null, "{key} came back in round {round}");
        }
        deleted.iter().step_by(50).for_each(|key| gone_everywhere(&cluster, key));
    }
}

#[test]
fn a_delete_that_cannot_reach_the_relief_yet_still_holds() {
    // The sibling reaches the relief only through the proxy, which can stop passing anything on.
    let root = tempfile::tempdir().expect("a directory can be made");
    let base = ports::reserve();
    let relay = Node::start(
        Spec::role("relay", &root.path().join("relay"))
            .flag("port", base)
            .flag("sibling-port", base + 1)
            .flag("http-port", base + 2)
            .flag("capacity", "4mb"),
    );
    let proxy = Proxy::start(&format!("127.0.0.1:{}", base + 4), 11, Faults::default());
    let aging = Node::start(
        Spec::role("relief-aging", &root.path().join("aging"))
            .flag("port", base + 4)
            .flag("http-port", base + 5)
            .flag("sibling", format!("127.0.0.1:{}", base + 1))
            .flag("capacity", "64mb")
            .set("announce", proxy.addr()),
    );
    let cluster = Cluster { relay, reliefs: vec![aging], root };
    wait::until("the relief has joined", || {
        let nodes = cluster.sibling().call(&["GS.SHARD", "NODES"]).flat();
        if nodes.contains(&port_of(proxy.addr()).to_string()) { Ok(()) } else { Err(nodes) }
    });
    knows_what_is_absent(&cluster.relay.addr());
    let mut wire = cluster.wire();
    assert_eq!(LOAD.write(&mut wire, 0..LOAD.count), []);
    assert!(proxy.passed() > 1_000_000, "the sessions did not pass the proxy");
    let keys = demoted(&cluster, 20);

    proxy.faults(Faults { blackhole: true, ..Faults::default() });
    for key in &keys {
        let reply = wire.call(&["DEL", key]);
        assert_eq!(reply, Value::Int(1), "the tombstone is the relay's, and it stands");
        let got = wire.call(&["GET", key]);
        assert_eq!(got, Value::Null, "{key} is dead and known to be");
    }
    proxy.faults(Faults::default());
    keys.iter().for_each(|key| gone_everywhere(&cluster, key));
    keys.iter().for_each(|key| assert_eq!(wire.call(&["GET", key]), Value::Null));
}

/// A second copy that was on its way to a relief that hung arrives after the delete: the session stays dead.
#[test]
fn a_second_copy_that_arrives_after_the_delete_stays_dead() {
    let cluster = Plan::relay("4mb").expansion("16mb").start();
    let mut wire = cluster.wire();
    let relief = cluster.of_role("relief-expansion")[0].pid();
    kill_process(relief, Signal::STOP).expect("the relief runs");
    wait::until_true("the relief has stopped", || {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", relief.as_raw_nonzero())).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    });
    let stored = wire.call(&["GS.SET", "late", "v", "COPIES", "2"]);
    assert!(stored.is_error("UNAVAILABLE"), "a second copy was promised and is not there: {stored:?}");
    assert_eq!(wire.call(&["DEL", "late"]), Value::Int(1));
    kill_process(relief, Signal::CONT).expect("the relief is stopped");
    // Every word that was waiting for the relief is read once it has carried out a later order.
    wait::until("the relief takes second copies again", || {
        match cluster.wire().call(&["GS.SET", "after", "v", "COPIES", "2"]) {
            Value::Int(_) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    gone_everywhere(&cluster, "late");
    assert_eq!(wire.call(&["GET", "late"]), Value::Null);
}
