//! Cache mode as an explicit-state model: front-end processes in one section that is full, fetching, storing and
//! deleting, and what the stream brings unasked; every fill takes the room of some record that is there. Every
//! interleaving of theirs and a reader's, each process crashing between any two shared steps, with records of one block
//! and of two. What was deleted or overwritten is never read again, a reader is never given torn bytes, no block is
//! written by two, none is left over, and no record that can be read loses a part; twenty-five ways of getting it wrong
//! are each caught.
//!
//! `cargo test -p gs-shm --release --test model_cache -- --nocapture`
//!
//! The steps are those of `fill`, `evict`, `alloc`, `retire` and `read`, and of a front end that marks what it could not
//! keep; memory is sequentially consistent here (loom covers the rest). Pressure in cache mode makes a record DEAD
//! without asking anybody, so there is no hand-off and no second thought: the policy's choice (who was read lately gets
//! another chance) is here every choice. A mark finds no room here and goes into the word of what was let go: where it
//! finds some it is a record like any other. Key 0 is the one that is fought over; the others want its room.

#[path = "support/control.rs"]
mod control;
#[path = "support/explore.rs"]
mod explore;
#[path = "model_cache/mutant.rs"]
mod mutant;
#[path = "model_cache/state.rs"]
mod state;
#[path = "model_cache/steps.rs"]
mod steps;

use mutant::Mutant;
use state::Op::{Delete, Fetch, Late, Set};
use state::{Run, State};

fn explore(run: Run, mutant: Mutant) -> explore::Explored {
    let steps = |state: &State, next: &mut Vec<State>| state.successors(mutant, next);
    explore::explore(State::start(run), steps, |state| state.invariant(mutant))
}

const FULL: Run =
    Run { blocks: 2, slots: 2, plans: [&[], &[], &[]], reads: 1, crashes: 0, ahead: 0, long: false };

const RUNS: [(&str, Run); 6] = [
    ("a fetch beside a delete", Run { plans: [&[Fetch(0)], &[Delete(0)], &[]], ..FULL }),
    (
        "a fetch beside a delete, one dies",
        Run { plans: [&[Fetch(0)], &[Delete(0)], &[]], reads: 0, crashes: 1, ..FULL },
    ),
    ("a fetch beside an overwrite", Run { plans: [&[Fetch(0)], &[Set(0)], &[]], ..FULL }),
    ("two overwrites", Run { plans: [&[Set(0)], &[Set(0)], &[]], ..FULL }),
    ("full buckets", Run { plans: [&[Set(0)], &[Fetch(2)], &[]], blocks: 3, ..FULL }),
    ("one dies", Run { plans: [&[Set(0)], &[Fetch(2)], &[]], crashes: 1, ..FULL }),
];

/// The stream brings version 2 of a key of which the relay has version 3 and this machine version 1.
const BEHIND: Run = Run { ahead: 2, reads: 0, ..FULL };

const LATE_RUNS: [(&str, Run); 6] = [
    ("late beside a delete", Run { plans: [&[Late(0, 2)], &[Delete(0)], &[]], ..BEHIND }),
    ("late beside a fetch", Run { plans: [&[Late(0, 2)], &[Fetch(0)], &[]], ..BEHIND }),
    ("late beside an overwrite", Run { plans: [&[Late(0, 2)], &[Set(0)], &[]], ..BEHIND }),
    (
        "late beside a fetch and pressure",
        Run { plans: [&[Late(0, 2)], &[Fetch(0), Fetch(2)], &[]], ..BEHIND },
    ),
    (
        "late in the second slot",
        Run { plans: [&[Late(0, 2)], &[Fetch(0), Delete(0)], &[]], slots: 3, blocks: 3, ..BEHIND },
    ),
    (
        "late beside a delete, one dies",
        Run { plans: [&[Late(0, 2)], &[Delete(0)], &[]], crashes: 1, ..BEHIND },
    ),
];

/// Records of key 0 take two of three blocks.
const LONG: Run = Run { blocks: 3, long: true, ..FULL };

const CHAIN_RUNS: [(&str, Run); 5] = [
    ("a long fetch beside a delete", Run { plans: [&[Fetch(0)], &[Delete(0)], &[]], ..LONG }),
    ("two long overwrites", Run { plans: [&[Set(0)], &[Set(0)], &[]], reads: 0, ..LONG }),
    ("long and short", Run { plans: [&[Set(0)], &[Fetch(2)], &[]], ..LONG }),
    ("long and short, one dies", Run { plans: [&[Set(0)], &[Fetch(2)], &[]], reads: 0, crashes: 1, ..LONG }),
    ("three at once", Run { plans: [&[Set(0)], &[Fetch(2)], &[Delete(1)]], reads: 0, ..LONG }),
];

/// More at once.
const DEEP_RUNS: [(&str, Run); 11] = [
    ("three at once", Run { plans: [&[Fetch(0)], &[Delete(0)], &[Fetch(2)]], ..FULL }),
    ("two fetches beside an overwrite", Run { plans: [&[Fetch(0), Fetch(2)], &[Set(0)], &[]], ..FULL }),
    ("delete and store again", Run { plans: [&[Delete(0), Set(0)], &[Fetch(0)], &[]], ..FULL }),
    ("one of two dies", Run { plans: [&[Set(0)], &[Fetch(2), Fetch(0)], &[]], crashes: 1, ..FULL }),
    ("late, a fetch, a delete", Run { plans: [&[Late(0, 2)], &[Fetch(0)], &[Delete(0)]], ..BEHIND }),
    ("late, a fetch, others", Run { plans: [&[Late(0, 2)], &[Fetch(0)], &[Fetch(2)]], ..BEHIND }),
    ("two come late", Run { plans: [&[Late(0, 3)], &[Late(0, 2), Fetch(2)], &[]], ..BEHIND }),
    (
        "late beside pressure, a reader, one dies",
        Run { plans: [&[Late(0, 2)], &[Fetch(0), Fetch(2)], &[]], reads: 1, crashes: 1, ..BEHIND },
    ),
    ("long ones come late", Run { plans: [&[Late(0, 2)], &[Set(0)], &[]], blocks: 3, long: true, ..BEHIND }),
    ("three long ones", Run { plans: [&[Set(0)], &[Fetch(2)], &[Delete(0)]], reads: 0, ..LONG }),
    ("long and short, two die", Run { plans: [&[Set(0)], &[Fetch(2), Fetch(0)], &[]], crashes: 2, ..LONG }),
];

// The protocol holds in every state.
#[test]
fn what_is_gone_is_not_read_again() {
    holds(&RUNS);
}

// So does it where the stream brings what was history before it came.
#[test]
fn what_comes_late_brings_nothing_back() {
    holds(&LATE_RUNS);
}

// And where records have more than one block.
#[test]
fn long_records_stay_whole() {
    holds(&CHAIN_RUNS);
}

#[test]
#[ignore = "three minutes and 4 GB of memory: cargo test -p gs-shm --release --test model_cache -- --ignored --nocapture"]
fn what_is_gone_is_not_read_again_by_more() {
    holds(&DEEP_RUNS);
}

fn holds(runs: &[(&str, Run)]) {
    explore::holds(runs, |run| explore(run, Mutant::None));
}

// Each rule is there because without it this happens.
#[test]
fn every_mutant_is_caught() {
    explore::all_caught(&RUNS, &Mutant::ALL, explore);
    explore::all_caught(&LATE_RUNS, &Mutant::LATE, explore);
    explore::all_caught(&CHAIN_RUNS, &Mutant::LONG, explore);
}
