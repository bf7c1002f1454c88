//! A session that is prolonged with every request must not be rewritten with every request.

use gs_tests::node::{Node, Spec};
use gs_tests::wire::Wire;

/// What a touch must leave alone, read from the node.
fn fixed(node: &Node, wire: &mut Wire) -> [i64; 5] {
    let info = wire.call(&["INFO", "everything"]).text();
    let field = |name: &str| {
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value
            .and_then(|value| value.trim().parse::<i64>().ok())
            .unwrap_or_else(|| panic!("no {name} in INFO"))
    };
    let (journal, free) = (field("gs_journal_bytes"), field("gs_section_free_blocks"));
    let found = wire.call(&["GS.GET", "s"]);
    // A connection that begins to follow is told the number of the next event.
    let mut follower = node.wire();
    follower.hello3();
    let next_event = follower.call(&["GS.STREAM", "0", "0"]).items()[1].int();
    [journal, free, found.must("version").int(), next_event, found.must("age_ms").int() / 600_000]
}

/// Rolling lives: the deadline moves in place. The version, the block, the journal and the stream to the front ends stay
/// as they are, by whichever command the session is prolonged.
#[test]
fn a_longer_life_costs_no_rewrite() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let spec = Spec::family(&dir.path().join("gs")).flag("port", 0).flag("sibling-port", 0);
    let node = Node::start(spec.flag("expansion-port", 0).flag("aging-port", 0));
    let mut wire = node.wire();
    wire.call(&["GS.SET", "s", "alice", "PX", "100000"]);
    let before = fixed(&node, &mut wire);
    // Always later, and by more than the loop can take.
    let mut life_ms = 200_000;
    let mut longer = || {
        life_ms += 10_000;
        life_ms.to_string()
    };
    for _ in 0..50 {
        wire.call(&["GS.TOUCH", "s", "PX", &longer()]);
        wire.call(&["PEXPIRE", "s", &longer()]);
        wire.call(&["PEXPIRE", "s", &longer(), "GT"]);
        wire.call(&["GETEX", "s", "PX", &longer()]);
    }
    assert!(wire.call(&["PTTL", "s"]).int() > 1_000_000, "the life did grow");
    let after = fixed(&node, &mut wire);
    assert_eq!(after[1..], before[1..], "free blocks, version, next event");
    // The node notes things of its own there, too; but not one for each of 200 touches.
    assert!(after[0] - before[0] < 200, "the journal went from {} to {} bytes", before[0], after[0]);
    // Whereas a shorter life is a change that everybody must hear of.
    wire.call(&["PEXPIRE", "s", "50000"]);
    let after = fixed(&node, &mut wire);
    assert!(after[2] > before[2] && after[3] > before[3], "{before:?} {after:?}");
}
