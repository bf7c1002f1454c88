//! Cache mode as an explicit-state model: front-end processes in one section that is full, fetching, storing and
//! deleting; every fill takes the room of some record that is there. Every interleaving of theirs and a reader's,
//! each process crashing between any two shared steps. What was deleted or overwritten is never read again, a
//! reader is never given torn bytes, no block is written by two, and none is left over; twelve ways of getting it
//! wrong are each caught.
//!
//! `cargo test -p gs-shm --release --test model_cache -- --nocapture`
//!
//! The steps are those of `fill`, `evict`, `alloc`, `retire` and `read`; memory is sequentially consistent here (loom
//! covers the rest). Pressure in cache mode makes a record DEAD without asking anybody, so there is no hand-off and
//! no second thought: the policy's choice (who was read lately gets another chance) is here every choice. Key 0 is
//! the one that is fought over; the others want its room.

#[path = "support/explore.rs"]
mod explore;
#[path = "model_cache/state.rs"]
mod state;
#[path = "model_cache/steps.rs"]
mod steps;

use state::Op::{Delete, Fetch, Set};
use state::{Mutant, Run, State};

fn explore(run: Run, mutant: Mutant) -> Result<usize, (String, usize)> {
    let steps = |state: &State, next: &mut Vec<State>| state.successors(mutant, next);
    explore::explore(State::start(run), steps, |state| state.invariant(mutant))
}

const FULL: Run = Run { blocks: 2, slots: 2, plans: [&[], &[], &[]], reads: 1, crashes: 0 };

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

/// More at once.
const LONG_RUNS: [(&str, Run); 4] = [
    ("three at once", Run { plans: [&[Fetch(0)], &[Delete(0)], &[Fetch(2)]], ..FULL }),
    ("two fetches beside an overwrite", Run { plans: [&[Fetch(0), Fetch(2)], &[Set(0)], &[]], ..FULL }),
    ("delete and store again", Run { plans: [&[Delete(0), Set(0)], &[Fetch(0)], &[]], ..FULL }),
    ("one of two dies", Run { plans: [&[Set(0)], &[Fetch(2), Fetch(0)], &[]], crashes: 1, ..FULL }),
];

// The protocol holds in every state.
#[test]
fn what_is_gone_is_not_read_again() {
    holds(&RUNS);
}

#[test]
#[ignore = "half a minute: cargo test -p gs-shm --release --test model_cache -- --ignored --nocapture"]
fn what_is_gone_is_not_read_again_by_more() {
    holds(&LONG_RUNS);
}

fn holds(runs: &[(&str, Run)]) {
    for &(name, run) in runs {
        match explore(run, Mutant::None) {
            Ok(states) => println!("{name}: {states} states, no violation"),
            Err((what, states)) => panic!("{name}: after {states} states: {what}"),
        }
    }
}

// Each rule is there because without it this happens.
#[test]
fn every_mutant_is_caught() {
    for mutant in Mutant::ALL {
        let caught = RUNS.into_iter().find_map(|(_, run)| explore(run, mutant).err());
        let (what, states) = caught.unwrap_or_else(|| panic!("{mutant:?} goes unnoticed"));
        println!("{mutant:?}: caught after {states} states: {}", what.lines().next().unwrap_or(""));
    }
}
