//! An operator decides which relief nodes take sessions and which are given up. What was said of a node holds until
//! something else is said, whatever process is replaced meanwhile; and only what is lost is given up.

use gs_tests::cluster::{Cluster, Plan};
use gs_tests::sessions::{Load, key};
use gs_tests::wire::{Value, Wire};
use gs_tests::{peek, wait};
use rustix::process::{Signal, kill_process};

const LOAD: Load = Load { count: 24_000, len: 384, ttl_s: 3_600, edition: 1 };

/// The row of `GS.SHARD NODES` for the relief that lives at an address.
fn row(wire: &mut Wire, addr: &str, state: &str) -> Option<Value> {
    let nodes = wire.call(&["GS.SHARD", "NODES"]);
    let is_it = |n: &&Value| n.must("address").text() == addr && n.must("state").text() == state;
    nodes.items().iter().find(is_it).cloned()
}

fn up(cluster: &Cluster, nth: usize) -> Value {
    let addr = cluster.reliefs[nth].addr();
    wait::until("the relief is up", || row(&mut cluster.sibling(), &addr, "up").ok_or("not yet".to_owned()))
}

fn lost(wire: &mut Wire) -> i64 {
    let info = wire.call(&["INFO", "everything"]).text();
    let figure = info.lines().find_map(|line| line.strip_prefix("gs_lost:"));
    figure.and_then(|n| n.trim().parse().ok()).expect("INFO has gs_lost")
}

/// Waits for the refusal to let a relief go without force: until it has reported, what it holds is not known.
fn refuses_to_leave(wire: &mut Wire, name: &str, why: &str) {
    wait::until("the refusal says why", || {
        let refused = wire.call(&["GS.SHARD", "LEAVE", name]);
        let wanted = refused.is_error(&format!("ERR relief '{name}' {why}"));
        if wanted { Ok(()) } else { Err(refused.flat()) }
    });
}

/// The error of a session whose relief came back empty tells the operator to give it up; the relief that has come
/// back holds others by then, and they are not lost.
#[test]
fn what_a_node_came_back_without_is_given_up_and_not_the_node() {
    let mut cluster = Plan::relay("4mb").expansion("32mb").start();
    let mut wire = cluster.wire();
    assert_eq!(LOAD.write(&mut wire, 0..LOAD.count / 2), []);
    let name = up(&cluster, 0).must("name").text();
    wait::until_true("some went down", || up(&cluster, 0).must("sessions").int() > 1_000);
    cluster.reliefs[0].kill();
    cluster.reliefs[0].restart_empty();
    let mut sibling = cluster.sibling();
    let addr = cluster.reliefs[0].addr();
    let without = wait::until("it came back without them", || {
        row(&mut sibling, &addr, "lost").map(|row| row.must("sessions").int()).ok_or("not yet".to_owned())
    });
    assert!(without > 0);
    assert_eq!(lost(&mut wire), without, "counted when it came back");
    assert_eq!(LOAD.write(&mut wire, LOAD.count / 2..LOAD.count), []);
    let held = up(&cluster, 0).must("sessions").int();
    assert!(held > 1_000, "the node holds new ones: {held}");

    refuses_to_leave(&mut wire, &name, "came back without ");
    let unknown = |wire: &mut Wire| {
        let keys: Vec<Vec<String>> = (0..LOAD.count).map(|n| vec!["GS.PEEK".into(), key(n)]).collect();
        wire.pipeline(&keys).iter().filter(|reply| reply.is_error("UNAVAILABLE")).count() as i64
    };
    assert_eq!(unknown(&mut wire), without);
    assert_eq!(wire.call(&["GS.SHARD", "LEAVE", &name, "FORCE"]), Value::Int(without));
    assert_eq!(unknown(&mut wire), 0, "they are known to be gone");
    assert_eq!(lost(&mut wire), without, "none is lost twice");
    assert!(up(&cluster, 0).must("sessions").int() >= held, "what the node holds now was given up, too");
    assert_eq!(wire.call(&["DBSIZE"]).int(), LOAD.count as i64 - without);
    LOAD.check(&mut wire, LOAD.count / 2..LOAD.count, 600);

    // Said again, it is the node that leaves, with what it holds, and it stays away.
    refuses_to_leave(&mut wire, &name, "holds ");
    let given_up = wire.call(&["GS.SHARD", "LEAVE", &name, "FORCE"]).int();
    assert!(given_up > 1_000);
    assert_eq!(lost(&mut wire), without + given_up);
    assert_eq!(wire.call(&["DBSIZE"]).int(), LOAD.count as i64 - without - given_up);
    assert_eq!(wire.call(&["GS.SHARD", "NODES"]), Value::Array(vec![]));
    assert_eq!(wire.call(&["GS.SHARD", "SLOTS"]), Value::Array(vec![]));
    assert!(wire.call(&["GS.SHARD", "LEAVE", &name]).is_error("ERR no relief is named"));
}

/// A session that is here, too, is not lost with its second copy.
#[test]
fn a_second_copy_that_is_given_up_is_no_loss() {
    let cluster = Plan::relay("16mb").expansion("16mb").start();
    let mut wire = cluster.wire();
    let name = up(&cluster, 0).must("name").text();
    let stored = wire.call(&["GS.SET", "two", "v", "COPIES", "2"]);
    assert!(matches!(stored, Value::Int(_)), "{stored:?}");
    refuses_to_leave(&mut wire, &name, "holds 1 ");
    assert_eq!(wire.call(&["GS.SHARD", "LEAVE", &name, "FORCE"]), Value::Int(0));
    assert_eq!((lost(&mut wire), wire.call(&["GET", "two"])), (0, Value::bulk("v")));
    assert_eq!(peek::tiers(&mut wire, "two"), ["relay"]);
}

/// A relief that was restarted empty once, and lost nothing by that, leaves when it is told to: an operator who reads
/// that nothing was given up stops the machine. And force said of what is lost does not fall on what is not.
#[test]
fn a_node_whose_earlier_life_held_nothing_leaves() {
    let mut cluster = Plan::relay("16mb").expansion("16mb").start();
    let mut wire = cluster.wire();
    let name = up(&cluster, 0).must("name").text();
    let restart = |cluster: &mut Cluster| {
        cluster.reliefs[0].kill();
        cluster.reliefs[0].restart_empty();
        let addr = cluster.reliefs[0].addr();
        wait::until("its earlier life is listed", || {
            row(&mut cluster.sibling(), &addr, "lost").ok_or("not yet".to_owned())
        });
        up(cluster, 0);
    };
    restart(&mut cluster);
    let stored = wire.call(&["GS.SET", "two", "v", "COPIES", "2"]);
    assert!(matches!(stored, Value::Int(_)), "{stored:?}");
    let refused = wire.call(&["GS.SHARD", "LEAVE", &name, "FORCE"]);
    assert!(refused.is_error("ERR "), "what it holds was given up unseen: {refused:?}");
    assert_eq!(peek::tiers(&mut wire, "two"), ["relay", "expansion"]);

    assert_eq!(wire.call(&["DEL", "two"]), Value::Int(1));
    restart(&mut cluster);
    wait::until("it may leave", || match wire.call(&["GS.SHARD", "LEAVE", &name]) {
        Value::Int(0) => Ok(()),
        refused => Err(refused.flat()),
    });
    assert_eq!(wire.call(&["GS.SHARD", "NODES"]), Value::Array(vec![]), "it left");
}

fn slots(cluster: &Cluster, nth: usize) -> i64 {
    up(cluster, nth).must("slots").int()
}

/// Waits until this life of the sibling knows both reliefs: only then it knows their capacity.
fn both_joined(cluster: &Cluster) {
    wait::until_true("the sibling knows both", || {
        let nodes = Wire::try_connect(cluster.relay.addr_of("sibling", "resp"))
            .and_then(|mut sibling| sibling.try_call(&["GS.SHARD", "NODES"]));
        nodes.is_ok_and(|nodes| {
            matches!(nodes, Value::Array(_))
                && nodes.items().iter().filter(|n| n.must("capacity").int() > 0).count() == 2
        })
    });
}

fn epoch(cluster: &Cluster) -> i64 {
    cluster.wire().call(&["GS.SHARD", "EPOCH"]).int()
}

/// A node that is to be taken out of service gets nothing new, and another sibling or relay does not forget that.
#[test]
fn a_drained_node_gets_nothing_whatever_is_replaced() {
    let mut cluster = Plan::relay("4mb").expansion("32mb").expansion("32mb").start();
    let mut wire = cluster.wire();
    assert_eq!(LOAD.write(&mut wire, 0..LOAD.count / 2), []);
    wait::until_true("some went down", || up(&cluster, 0).must("sessions").int() > 500);
    let name = up(&cluster, 0).must("name").text();
    let mut last = epoch(&cluster);
    let mut grown = |cluster: &Cluster| {
        let now = epoch(cluster);
        assert!(now > last, "the assignment's number went from {last} to {now}");
        last = now;
    };
    assert!(wire.call(&["GS.SHARD", "DRAIN", "nobody"]).is_error("ERR no relief is named 'nobody'"));
    assert_eq!(wire.call(&["GS.SHARD", "DRAIN", &name]), Value::ok());
    grown(&cluster);
    assert_eq!((slots(&cluster, 0), slots(&cluster, 1)), (0, 16_384));
    let holds = |cluster: &Cluster| up(cluster, 0).must("sessions").int();

    let sibling = cluster.relay.children()[0];
    kill_process(sibling, Signal::KILL).expect("the sibling is there");
    wait::until_true("another sibling", || cluster.relay.children().iter().any(|child| *child != sibling));
    both_joined(&cluster);
    grown(&cluster);
    assert_eq!((slots(&cluster, 0), slots(&cluster, 1)), (0, 16_384), "after another sibling");
    let held = holds(&cluster);
    assert_eq!(LOAD.write(&mut wire, LOAD.count / 2..LOAD.count), []);
    assert!(up(&cluster, 1).must("sessions").int() > held, "the other one took them");
    assert!(holds(&cluster) <= held, "the drained node took some");

    cluster.relay.kill();
    cluster.relay.restart();
    both_joined(&cluster);
    grown(&cluster);
    assert_eq!((slots(&cluster, 0), slots(&cluster, 1)), (0, 16_384), "after another relay");

    // A weight ends it; a weight, too, outlives its sibling.
    let mut wire = cluster.wire();
    for words in [vec!["ASSIGN", &name], vec!["ASSIGN", &name, "x"], vec!["ASSIGN", &name, "1", "1"]] {
        assert!(wire.call(&[vec!["GS.SHARD"], words.clone()].concat()).is_error("ERR"), "{words:?}");
    }
    let whole = up(&cluster, 1).must("capacity").int().to_string();
    let assigned = wire.call(&["GS.SHARD", "ASSIGN", &name, &whole]).int();
    assert_eq!(assigned, epoch(&cluster));
    assert!((6_000..10_400).contains(&slots(&cluster, 0)), "half of them: {}", slots(&cluster, 0));
    assert!(wire.call(&["GS.SHARD", "ASSIGN"]).int() > assigned);
    let before = slots(&cluster, 0);
    let sibling = cluster.relay.children()[0];
    kill_process(sibling, Signal::KILL).expect("the sibling is there");
    wait::until_true("another sibling", || cluster.relay.children().iter().any(|child| *child != sibling));
    both_joined(&cluster);
    assert_eq!(slots(&cluster, 0), before);
}

/// What is documented as a map is one for a client that knows maps, whichever node passes it on.
#[test]
fn maps_stay_maps_on_their_way() {
    let cluster = Plan::relay("16mb").expansion("16mb").start();
    for mut wire in [cluster.wire(), cluster.sibling()] {
        let flat = wire.call(&["GS.SHARD", "OF", "k"]);
        assert_eq!(flat.items().len(), 6, "RESP2 has no maps: {flat:?}");
        wire.hello3();
        let of = wire.call(&["GS.SHARD", "OF", "k"]);
        assert!(matches!(&of, Value::Map(pairs) if pairs.len() == 3), "{of:?}");
        let nodes = wire.call(&["GS.SHARD", "NODES"]);
        assert!(matches!(&nodes.items()[0], Value::Map(pairs) if pairs.len() == 11), "{nodes:?}");
        let policy = wire.call(&["GS.AGE", "POLICY"]);
        assert!(matches!(policy, Value::Map(_)), "{policy:?}");
        let slots = wire.call(&["GS.SHARD", "SLOTS"]);
        assert_eq!((slots.items().len(), slots.items()[0].items().len()), (1, 4), "{slots:?}");
        let refused = wire.call(&["GS.AGE", "POLICY", "nonsense"]);
        assert!(refused.is_error("ERR no such parameter"), "{refused:?}");
    }
}
