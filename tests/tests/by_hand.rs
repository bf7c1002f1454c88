//! `GS.AGE RUN`: an operator who makes room before the rush says how many sessions go down, and the coldest go.

use gs_tests::cluster::Plan;
use gs_tests::wire::{Value, Wire};
use gs_tests::{peek, wait};

fn count(wire: &mut Wire) -> i64 {
    wire.call(&["DBSIZE"]).int()
}

/// Orders so many and waits until as many more have arrived below.
fn order(of: &mut Wire, wanted: i64, below: &mut Wire) -> i64 {
    let arrived = count(below) + wanted;
    assert_eq!(of.call(&["GS.AGE", "RUN", &wanted.to_string()]), Value::Int(wanted));
    wait::until("what was asked for has gone down", || match count(below) {
        now if now >= arrived => Ok(now),
        now => Err(format!("{now} of {arrived}")),
    })
}

/// Without pressure nobody would go. The order takes those whom nobody has read, wherever they lie, and no more than
/// it names.
#[test]
fn an_order_takes_the_coldest() {
    // More blocks than the hand looks at in one step.
    let cluster = Plan::relay("16mb").aging("16mb").start();
    let (mut wire, mut aging) = (cluster.wire(), cluster.reliefs[0].wire());
    let [cold, warm] = ["cold", "warm"].map(|name| move |n| format!("{name}:{n}"));
    let all = (0..1_500).map(warm).chain((0..20).map(cold)).chain((1_500..3_000).map(warm));
    let set = |key: String| ["SET", &key, "x", "EX", "600"].map(String::from).to_vec();
    assert!(wire.pipeline(&all.map(set).collect::<Vec<_>>()).iter().all(|reply| *reply == Value::ok()));
    let get = |key: String| vec!["GET".to_owned(), key];
    let read = wire.pipeline(&(0..3_000).map(warm).map(get).collect::<Vec<_>>());
    assert!(read.iter().all(|reply| *reply == Value::bulk("x")));
    for wanted in [5, 15] {
        order(&mut wire, wanted, &mut aging);
    }
    assert_eq!(count(&mut aging), 20, "no more than the orders name");
    // A record is on both sides until the relay has listed where it is.
    wait::until("it is the cold ones that went", || {
        let stay: Vec<_> = (0..20).map(cold).filter(|key| peek::tiers(&mut wire, key) != ["aging"]).collect();
        if stay.is_empty() { Ok(()) } else { Err(format!("{stay:?} stay")) }
    });
}

/// An expansion node obeys the same order, and it too moves no more than it names.
#[test]
fn an_expansion_node_obeys_the_count() {
    let cluster = Plan::relay("2mb").expansion("16mb").aging("16mb").start();
    let mut wire = cluster.wire();
    let [mut expansion, mut aging] = [0, 1].map(|n: usize| cluster.reliefs[n].wire());
    for n in 0..100 {
        assert_eq!(wire.call(&["SET", &format!("k{n}"), "x", "EX", "600"]), Value::ok());
    }
    order(&mut wire, 100, &mut expansion);
    for wanted in [30, 10] {
        order(&mut expansion, wanted, &mut aging);
    }
    assert_eq!(count(&mut aging), 40, "no more than the orders name");
    wait::until("what went on is gone here", || match count(&mut expansion) {
        60 => Ok(()),
        other => Err(other.to_string()),
    });
    assert_eq!(count(&mut wire), 100);
}
