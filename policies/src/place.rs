//! Which node owns a slot: weighted rendezvous hashing over 16384 slots.
//!
//! Every node draws a lot for every slot, from its own seed alone; the best lot owns the slot. So the table depends
//! on the set of nodes only, not on the order in which they came, and a node that joins or leaves moves no slot but
//! those it wins or held. A lot is `-log2(u) / weight` with `u` uniform in (0, 1]: the least lot falls to a node with
//! a chance of its weight over the sum of weights (D. Thaler, C. Ravishankar, 1998; the weighted form is
//! J. Efraimidis and P. Spirakis's). The logarithm is computed in integers, because a table that two machines
//! compute must not depend on their floating-point libraries.

use core::cmp::Ordering;

/// Slots of the key space (Redis Cluster's rule: CRC16 of the key or its hash tag).
pub const SLOTS: usize = 16384;

/// The owner of every slot by node index; [`NOBODY`] where there is none.
pub type Table = [u16; SLOTS];

/// The index that no node has.
pub const NOBODY: u16 = 0;

/// A node that may own slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// The index that the relay gave it, 1..=4095.
    pub index: u16,
    /// Its share; the capacity in bytes serves well. 0 owns nothing.
    pub weight: u64,
    /// Where its lots come from: a stable hash of the node's *name* ([`seed_of`]), so that a node that returns
    /// under a new index gets its old slots.
    pub seed: u64,
}

/// A seed from a node's name (FNV-1a, then mixed).
#[must_use]
pub fn seed_of(name: &[u8]) -> u64 {
    let hash = name
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3));
    mix(hash)
}

/// The node that owns `slot`; `None` when no node has any weight.
#[must_use]
pub fn owner(slot: u16, nodes: &[Node]) -> Option<u16> {
    nodes
        .iter()
        .filter(|node| node.weight > 0)
        .map(|node| Lot::draw(slot, node))
        .min_by(Lot::order)
        .map(|lot| lot.index)
}

/// Fills the whole table.
pub fn fill(table: &mut Table, nodes: &[Node]) {
    for (slot, entry) in (0u16..).zip(table.iter_mut()) {
        *entry = owner(slot, nodes).unwrap_or(NOBODY);
    }
}

/// How many slots have another owner in `after` than in `before`.
#[must_use]
pub fn moved(before: &Table, after: &Table) -> usize {
    before.iter().zip(after).filter(|(a, b)| a != b).count()
}

/// How many slots `index` owns.
#[must_use]
pub fn held(table: &Table, index: u16) -> usize {
    table.iter().filter(|owner| **owner == index).count()
}

/// One node's lot for one slot.
struct Lot {
    /// `-log2(u)` in fixed point, 32 fraction bits.
    cost: u64,
    weight: u64,
    seed: u64,
    index: u16,
}

impl Lot {
    fn draw(slot: u16, node: &Node) -> Lot {
        let hash = mix(node.seed ^ mix(u64::from(slot).wrapping_add(0x9e37_79b9_7f4a_7c15)));
        Lot { cost: minus_log2(hash), weight: node.weight, seed: node.seed, index: node.index }
    }

    /// Compares `cost / weight` without dividing. Equal lots (about one in 2^20) go by seed, then index, so the
    /// winner is the same in every order of nodes.
    fn order(a: &Lot, b: &Lot) -> Ordering {
        let left = u128::from(a.cost) * u128::from(b.weight);
        let right = u128::from(b.cost) * u128::from(a.weight);
        left.cmp(&right).then(a.seed.cmp(&b.seed)).then(a.index.cmp(&b.index))
    }
}

/// `-log2((hash + 1) / 2^64)` with 32 fraction bits, by repeated squaring. 0 ..= 64 << 32.
fn minus_log2(hash: u64) -> u64 {
    let Some(x) = hash.checked_add(1) else { return 0 };
    let whole = u64::from(x.leading_zeros());
    // m in [1, 2) as 1.63 fixed point
    let mut m = x << whole;
    let mut fraction = 0u64;
    for _ in 0..32 {
        let square = (u128::from(m) * u128::from(m)) >> 63;
        let carry = square >> 64 != 0;
        fraction = (fraction << 1) | u64::from(carry);
        // A square in [2, 4) is halved back into [1, 2); the cast keeps the low 64 bits, which hold it whole.
        m = if carry { (square >> 1) as u64 } else { square as u64 };
    }
    // log2(x) = 63 - whole + fraction; minus that from 64
    ((whole + 1) << 32) - fraction
}

/// The finaliser of splitmix64: every input bit reaches every output bit.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
