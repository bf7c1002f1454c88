//! Slots fall to nodes by weight, and only where they must do they move.

use gs_policies::place::{NOBODY, SLOTS, Table, fill, held, moved, seed_of};
use gs_policies::{Node, owner};
use proptest::prelude::*;

fn node(index: u16, weight: u64) -> Node {
    Node { index, weight, seed: seed_of(format!("node-{index}").as_bytes()) }
}

fn table(nodes: &[Node]) -> Box<Table> {
    let mut table = Box::new([NOBODY; SLOTS]);
    fill(&mut table, nodes);
    table
}

#[test]
fn nobody_owns_anything_without_weight() {
    assert_eq!(owner(0, &[]), None);
    assert_eq!(owner(0, &[node(1, 0)]), None);
    assert_eq!(held(&table(&[node(1, 0)]), NOBODY), SLOTS);
    assert_eq!(held(&table(&[node(1, 0), node(2, 1)]), 2), SLOTS);
}

#[test]
fn shares_follow_weights() {
    let nodes: Vec<Node> = (1..=8).map(|i| node(i, u64::from(i) << 30)).collect();
    let table = table(&nodes);
    let sum: u64 = nodes.iter().map(|n| n.weight >> 30).sum();
    for n in &nodes {
        let expected = SLOTS as f64 * (n.weight >> 30) as f64 / sum as f64;
        let share = held(&table, n.index) as f64;
        // Six standard deviations of a binomial: chance alone never fails this, a bias of a few percent does.
        let bound = 6.0 * expected.sqrt();
        assert!((share - expected).abs() < bound, "node {}: {share} of {expected} +- {bound}", n.index);
    }
}

#[test]
fn twenty_equal_nodes_are_balanced() {
    let nodes: Vec<Node> = (1..=20).map(|i| node(i, 7)).collect();
    let table = table(&nodes);
    let (least, most) = nodes.iter().fold((SLOTS, 0), |(least, most), n| {
        let share = held(&table, n.index);
        (least.min(share), most.max(share))
    });
    assert!(most < least * 5 / 4, "{least} .. {most} around {}", SLOTS / 20);
}

#[test]
fn a_node_that_joins_takes_its_share_and_moves_nothing_else() {
    let mut nodes: Vec<Node> = (1..=9).map(|i| node(i, 1 << 30)).collect();
    let before = table(&nodes);
    nodes.push(node(10, 1 << 30));
    let after = table(&nodes);
    assert!(before.iter().zip(after.iter()).all(|(b, a)| a == b || *a == 10), "a slot moved between others");
    assert_eq!(moved(&before, &after), held(&after, 10));
    assert!(moved(&before, &after) < SLOTS / 10 + 300);
}

#[test]
fn a_node_that_leaves_gives_up_its_slots_and_moves_nothing_else() {
    let nodes: Vec<Node> = (1..=9).map(|i| node(i, u64::from(i))).collect();
    let before = table(&nodes);
    let after = table(&nodes[1..]);
    assert!(before.iter().zip(after.iter()).all(|(b, a)| a == b || *b == 1));
    assert_eq!(moved(&before, &after), held(&before, 1));
}

#[test]
fn a_node_that_grows_only_wins_slots() {
    let small: Vec<Node> = (1..=4).map(|i| node(i, 100)).collect();
    let mut grown = small.clone();
    grown[0].weight = 250;
    let (before, after) = (table(&small), table(&grown));
    assert!(before.iter().zip(after.iter()).all(|(b, a)| a == b || *a == 1));
    assert!(held(&after, 1) > held(&before, 1));
}

#[test]
fn a_node_that_returns_under_another_index_gets_its_old_slots() {
    let mut nodes: Vec<Node> = (1..=5).map(|i| node(i, 3)).collect();
    let before = table(&nodes);
    nodes[2].index = 77;
    let after = table(&nodes);
    for (b, a) in before.iter().zip(after.iter()) {
        assert_eq!(if *b == 3 { 77 } else { *b }, *a);
    }
}

#[test]
fn the_table_is_the_same_on_every_machine() {
    // Two nodes that disagree about a slot lose objects between them: these values must never change.
    let nodes = [node(1, 128 << 20), node(2, 256 << 20), node(3, 1 << 30)];
    let table = table(&nodes);
    let sum = table.iter().fold(0u64, |h, i| h.wrapping_mul(31).wrapping_add(u64::from(*i)));
    assert_eq!((table[0], table[1], table[8191], table[16383], sum), GOLDEN);
}

/// Computed once more from the description, with floating-point logarithms.
const GOLDEN: (u16, u16, u16, u16, u64) = (2, 3, 2, 3, 14_633_597_501_542_813_944);

proptest! {
    #[test]
    fn the_order_of_nodes_does_not_matter(
        slot in 0u16..16384,
        weights in proptest::collection::vec(0u64..=u64::MAX, 1..12),
        rotate in 0usize..12,
    ) {
        let nodes: Vec<Node> = (1u16..).zip(&weights).map(|(i, w)| node(i, *w)).collect();
        let mut other = nodes.clone();
        other.rotate_left(rotate % nodes.len());
        other.reverse();
        prop_assert_eq!(owner(slot, &nodes), owner(slot, &other));
    }

    #[test]
    fn equal_seeds_do_not_tie_for_ever(slot in 0u16..16384, seed in any::<u64>(), weight in 1u64..) {
        let twins = [Node { index: 9, weight, seed }, Node { index: 4, weight, seed }];
        prop_assert_eq!(owner(slot, &twins), Some(4));
    }
}
