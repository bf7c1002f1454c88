//! Garbage and operations of the fuzzer's choice; `fuzz/run` says how.
#![no_main]

#[path = "../../tests/support/garbage.rs"]
mod garbage;
#[path = "../../tests/support/random.rs"]
mod random;

use std::cell::RefCell;

use garbage::Ground;
use gs_shm::Mode;

thread_local! {
    static GROUNDS: RefCell<[Ground; 3]> = RefCell::new([
        Ground::new(Mode::Cache, false),
        Ground::new(Mode::Owner, true),
        Ground::new(Mode::Owner, false),
    ]);
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((which, input)) = input.split_first() else { return };
    GROUNDS.with_borrow_mut(|grounds| grounds[usize::from(*which) % 3].drive(input));
});
