//! What COMMANDS.md says of the commands that only gs has, where something else could as well happen in silence.

use gs_tests::cluster::Plan;
use gs_tests::wire::{Value, Wire};

fn all(wire: &mut Wire, calls: &[&str]) -> Value {
    let calls: Vec<Vec<&str>> = calls.iter().map(|call| call.split(' ').collect()).collect();
    wire.pipeline(&calls).pop().expect("something was called")
}

/// A delete that is answered with an error has deleted nothing: whoever reads the error sends it again, or tells the
/// user that they are still logged in.
#[test]
fn a_delete_that_is_refused_deletes_nothing() {
    let relay = Plan::relay("8mb").start();
    let mut wire = relay.wire();
    let done =
        all(&mut wire, &["SET s v", "SET t v", "MULTI", "GS.DEL s SYNC", "GS.DEL t WITHVERSION", "EXEC"]);
    assert!(done.items()[0].is_error("ERR GS.DEL with SYNC"), "{done:?}");
    assert_eq!(done.items()[1].items()[0], Value::Int(1), "{done:?}");
    assert_eq!((wire.call(&["GET", "s"]), wire.call(&["GET", "t"])), (Value::bulk("v"), Value::Null));
    assert_eq!(wire.call(&["GS.DEL", "s", "SYNC"]), Value::Int(1));
    assert_eq!(wire.call(&["GET", "s"]), Value::Null);
}

/// Pressure is told by the room that this node was told to keep free, not by that of another one.
#[test]
fn pressure_is_that_of_the_configured_room() {
    for (pct, expected) in [(3, 0..=0), (50, 1..=99)] {
        let relay = Plan::relay("8mb").set("aging.free_target_pct", pct).start();
        let mut wire = relay.wire();
        for n in 0..2_000 {
            assert_eq!(wire.call(&["SET", &format!("s:{n}"), &"v".repeat(300)]), Value::ok());
        }
        for mut wire in [wire, relay.sibling()] {
            let pressure = wire.call(&["GS.TIER"]).must("pressure").int();
            assert!(expected.contains(&pressure), "pressure {pressure} with {pct} % to be free");
        }
    }
}
