//! Owner mode as an explicit-state model: every interleaving of a relay (one thread storing, deleting and
//! touching, one releasing), its demoter, a relief and a reader over three blocks and two slots, each process
//! crashing once between any two shared steps. What was acknowledged stays readable, what was deleted stays
//! away, and eleven ways of getting it wrong are each caught.
//!
//! `cargo test -p gs-shm --release --test model_owner -- --nocapture`
//!
//! The steps are those of `put`, `retire`, `handoff`, `hand` and `read`; memory is sequentially consistent
//! here (loom covers the rest). Key 0 is the one that is fought over; key 1 only sits in a slot and wants to
//! stay readable.

#[path = "support/control.rs"]
mod control;
#[path = "support/explore.rs"]
mod explore;
#[path = "model/state.rs"]
mod state;
#[path = "model/steps.rs"]
mod steps;

use state::{Limits, Mutant, State};

fn explore(limits: Limits, mutant: Mutant) -> explore::Explored {
    let steps = |state: &State, next: &mut Vec<State>| {
        state.successors(mutant, next);
        next.iter_mut().for_each(State::observe);
    };
    explore::explore(State::start(limits), steps, State::invariant)
}

const NONE: Limits = Limits {
    versions: 2,
    deletes: 0,
    touches: 0,
    marks: 2,
    reads: 0,
    aborts: 1,
    relay_crashes: 0,
    sibling_crashes: 0,
};

/// Each run has what its name says, at most twice a hand-off, and once an abort.
const RUNS: [(&str, Limits); 6] = [
    ("delete and touch", Limits { deletes: 1, touches: 1, marks: 3, aborts: 2, ..NONE }),
    ("two overwrites and a reader", Limits { versions: 3, reads: 1, ..NONE }),
    ("delete and a reader", Limits { deletes: 1, reads: 1, ..NONE }),
    ("the relay dies", Limits { deletes: 1, touches: 1, relay_crashes: 1, ..NONE }),
    (
        "the relay dies, a reader, two overwrites",
        Limits { versions: 3, reads: 1, relay_crashes: 1, marks: 1, ..NONE },
    ),
    ("the sibling dies", Limits { deletes: 1, touches: 1, sibling_crashes: 1, ..NONE }),
];

// The protocol holds in every state.
#[test]
fn acknowledged_stays_deleted_stays_away() {
    explore::holds(&RUNS, |limits| explore(limits, Mutant::None));
}

// Each rule is there because without it this happens.
#[test]
fn every_mutant_is_caught() {
    explore::all_caught(&RUNS, &Mutant::ALL, explore);
}
