//! Which of several relays owns a key.

use gs_policies::place::{self, NOBODY, Node, SLOTS, Table};

/// The relay of every slot.
///
/// Each relay draws its lots from its own address ([`gs_policies::place`]): a relay that is added takes its share from
/// all others, one that is taken off the list leaves its share to all others, and no other key changes its owner. Cutting
/// the slots into as many ranges as there are relays, which costs nothing to compute, moves half of all keys with every
/// such change, and no session moves with them: `benchmarks --bin scale` shows both.
#[derive(Clone, Debug)]
pub struct Owners {
    /// None for a single relay, which needs no slots.
    table: Option<Box<Table>>,
}

impl Owners {
    /// The owners when these relays are listed. Their order does not matter.
    pub fn of<S: AsRef<str>>(relays: &[S]) -> Owners {
        if relays.len() < 2 {
            return Owners { table: None };
        }
        let node = |(index, relay): (u16, &S)| Node {
            index,
            weight: 1,
            seed: place::seed_of(relay.as_ref().as_bytes()),
        };
        let nodes: Vec<Node> = (1..).zip(relays).map(node).collect();
        let mut table = Box::new([NOBODY; SLOTS]);
        place::fill(&mut table, &nodes);
        Owners { table: Some(table) }
    }

    /// The relay of a slot, by its place in the list.
    pub fn of_slot(&self, slot: u16) -> usize {
        let owner = |table: &Table| usize::from(table[usize::from(slot) % SLOTS]).saturating_sub(1);
        self.table.as_deref().map_or(0, owner)
    }

    /// The relay of a key, by its place in the list.
    pub fn of_key(&self, key: &[u8]) -> usize {
        // Hashing the key for its slot costs more than the rest of the choice; one relay needs none.
        if self.table.is_none() { 0 } else { self.of_slot(gs_resp::slot_of(key)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(relays: &[&str]) -> Vec<String> {
        let owners = Owners::of(relays);
        (0..SLOTS as u16).map(|slot| relays[owners.of_slot(slot)].to_owned()).collect()
    }

    /// A relay that is added or taken away takes its own keys along and no others: whoever is moved by mistake is
    /// logged out, because no session moves with its slot.
    #[test]
    fn only_the_keys_of_the_relay_that_comes_or_goes_change_their_owner() {
        let before = all(&["a:1", "b:1", "c:1"]);
        let after = all(&["a:1", "b:1", "c:1", "d:1"]);
        assert!(before.iter().zip(&after).all(|(b, a)| a == b || a == "d:1"));
        let without = all(&["a:1", "c:1"]);
        assert!(before.iter().zip(&without).all(|(b, a)| a == b || b == "b:1"));
        for relay in ["a:1", "b:1", "c:1"] {
            let held = before.iter().filter(|owner| *owner == relay).count();
            assert!((5000..5900).contains(&held), "{relay} owns {held} of {SLOTS} slots");
        }
    }

    /// Two processes whose files list the relays in another order must not ask two relays for one session.
    #[test]
    fn the_order_of_the_list_does_not_matter() {
        assert_eq!(all(&["a:1", "b:1", "c:1"]), all(&["c:1", "a:1", "b:1"]));
    }

    /// One relay owns everything, and keys of one user stay together.
    #[test]
    fn a_key_goes_by_its_slot() {
        assert_eq!(Owners::of(&["a:1"]).of_key(b"k"), 0);
        let owners = Owners::of(&["a:1", "b:1"]);
        assert_eq!(owners.of_key(b"{u7}.cart"), owners.of_key(b"{u7}.sess"));
        assert_eq!(owners.of_key(b"k"), owners.of_slot(gs_resp::slot_of(b"k")));
    }
}
