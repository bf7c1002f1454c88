//! The fuzzer's way through the section (`support/garbage.rs`), replayed from seeds: anything stored into any
//! region while it is used costs misses and nothing else.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/deadline.rs"]
mod deadline;
#[path = "support/garbage.rs"]
mod garbage;
#[path = "support/random.rs"]
mod random;

use garbage::{Ground, REGIONS};
use gs_shm::Mode;
use random::random_of;

/// Inputs for each kind of section, and the longest of them.
const INPUTS: u64 = 2_000;
const LONGEST: u64 = 3_000;

fn replay(mode: Mode, keep_keys: bool) {
    let mut ground = Ground::new(mode, keep_keys);
    for input in 0..INPUTS {
        let mut random = random_of(&[input, mode as u64, u64::from(keep_keys)]);
        let len = random.u64(..LONGEST);
        let bytes: Vec<u8> = (0..len).map(|_| random.u64(..) as u8).collect();
        let driven = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ground.drive(&bytes)));
        assert!(driven.is_ok(), "input {input} of {mode:?}, keys kept: {keep_keys}");
        deadline::step_forward();
    }
    for (region, stored) in REGIONS.iter().zip(ground.stored) {
        assert!(stored > 500, "{stored} stores into {region}: too few to show anything");
    }
    assert!(ground.hits > 1_000, "{} hits: too few to show anything", ground.hits);
}

// A cache, whose readers have no key bytes to compare.
#[test]
fn garbage_in_a_cache() {
    replay(Mode::Cache, false);
}

// An owner's section with its keys.
#[test]
fn garbage_in_an_owners_section() {
    replay(Mode::Owner, true);
}

// And without.
#[test]
fn garbage_without_keys() {
    replay(Mode::Owner, false);
}
