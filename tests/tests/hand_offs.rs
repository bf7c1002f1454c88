//! Nothing is lost between two tiers, whichever of their messages comes first: a relief may pass on, or lose,
//! what it was given before the relay hears that it was given.

use gs_tests::cluster::{Cluster, Plan};
use gs_tests::wait;
use gs_tests::wire::{Value, Wire};

const EXPANSION: usize = 0;
const AGING: usize = 1;

fn family() -> Cluster {
    Plan::relay("4mb").expansion("4mb").aging("4mb").start()
}

/// The index that the relay gave to a relief.
fn index(cluster: &Cluster, relief: usize) -> String {
    let name = ["expansion", "aging"][relief];
    let list = cluster.wire().call(&["GS.MEMBER", "LIST"]);
    let member = list.items().iter().find(|m| m.items()[2].text() == name);
    member.expect("every relief is a member").items()[0].int().to_string()
}

fn version(wire: &mut Wire, key: &str) -> String {
    match wire.call(&["GS.SET", key, "value", "PX", "60000"]) {
        Value::Int(version) => version.to_string(),
        other => panic!("GS.SET answers its version, not {other:?}"),
    }
}

/// Puts a copy on a relief as the sibling does, behind the relay's back; its number there.
fn put(cluster: &Cluster, relief: usize, key: &str, version: &str) -> String {
    let put = ["GS.PUT", "1", "0", key, version, "60000", "0", "5", "value"];
    let copy = cluster.reliefs[relief].wire().call(&put).items()[0].int();
    assert!(copy > 0, "a copy was stored and has a number, not {copy}");
    copy.to_string()
}

#[test]
fn a_copy_that_the_relay_has_not_heard_of_yet_is_not_passed_on() {
    let cluster = family();
    let (expansion, aging) = (index(&cluster, EXPANSION), index(&cluster, AGING));
    let mut wire = cluster.wire();
    let version = version(&mut wire, "k");
    let relocate = |wire: &mut Wire, from: &str, old: &str, to: &str, new: &str| {
        wire.call(&["GS.RELOCATE", from, to, "1", "0", "k", &version, old, new]).items()[0].int()
    };
    // The hand-off that stored copy 77 on the expansion node is still to be reported.
    assert_eq!(relocate(&mut wire, &expansion, "77", &aging, "88"), -1, "the expansion node keeps its copy");
    assert_eq!(wire.call(&["GET", "k"]), Value::bulk("value"));

    // One that is listed moves on.
    let copy = put(&cluster, EXPANSION, "low", "9");
    assert_eq!(wire.call(&["GS.REPORT", &expansion, "1", "0", "low", "9", &copy]), Value::ok());
    assert_eq!(wire.call(&["DBSIZE"]), Value::Int(2), "the reported copy is a session");
    let moved = put(&cluster, AGING, "low", "9");
    let call = ["GS.RELOCATE", &expansion, &aging, "1", "0", "low", "9", &copy, &moved];
    assert_eq!(wire.call(&call).items()[0].int(), 1, "a listed copy is moved");
    assert_eq!(wire.call(&["GET", "low"]), Value::bulk("value"));
}

#[test]
fn a_copy_that_went_before_it_was_reported_is_not_listed() {
    let cluster = family();
    let aging = index(&cluster, AGING);
    let mut wire = cluster.wire();
    let dropped = ["GS.DROPPED", &aging, "1", "0", "k", "9", "77", "evicted"];
    assert_eq!(wire.call(&dropped), Value::ok());
    assert_eq!(wire.call(&["GS.REPORT", &aging, "1", "0", "k", "9", "77"]), Value::ok());
    assert_eq!(wire.call(&["DBSIZE"]), Value::Int(0), "a copy that is gone is no session");
    wait::until_true("nobody is asked for it", || wire.call(&["GET", "k"]) == Value::Null);
    // Another copy of the same session is another matter.
    let copy = put(&cluster, AGING, "k", "9");
    assert_eq!(wire.call(&["GS.REPORT", &aging, "1", "0", "k", "9", &copy]), Value::ok());
    assert_eq!(wire.call(&["GET", "k"]), Value::bulk("value"));
}
