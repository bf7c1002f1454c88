//! Processes that are killed or stopped at any instruction, a short run: what is read stays right, nothing
//! waits, nothing leaks. `torture/mod.rs` says how, `examples/torture.rs` does it for minutes.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/fork.rs"]
mod fork;
#[path = "support/random.rs"]
mod random;
#[path = "torture/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the long run's command line is not used here")]
mod torture;

use torture::args::{Args, Which};

/// Seconds of each run, and those it may take beyond them where a machine does little in a second.
const SECONDS: u64 = 7;
const LONGER: u64 = 300;

fn short(mode: Which, stop: bool, seed: u64) {
    let args = Args { seconds: SECONDS, longer: LONGER, round: 2, mode, stop, seed, ..Args::default() };
    // The same program as a worker: only the test below runs, and it takes its part from the environment.
    for table in torture::run(&args, &["a_worker", "--exact", "--nocapture", "--test-threads=1"]) {
        println!("{table}");
        assert!(table.clean(), "{table}");
        assert!(table.worked(), "too little was done to show anything: {table}");
    }
}

// Not a story of its own: what the others start.
#[test]
fn a_worker() {
    if let Some(code) = torture::run_if_asked() {
        std::process::exit(code);
    }
}

// Front ends of one host die at any instruction.
#[test]
fn cache_workers_are_killed() {
    short(Which::Cache, false, 1);
}

// They hang, too, and come back to a section that went on without them.
#[test]
fn cache_workers_are_stopped() {
    short(Which::Cache, true, 2);
}

// The owner of the records, or the one that hands them off, dies; its successor takes over what is there.
#[test]
fn owner_and_demoter_are_killed() {
    short(Which::Owner, false, 3);
}

// They hang in the middle of a hand-off or a store, and come back late.
#[test]
fn owner_and_demoter_are_stopped() {
    short(Which::Owner, true, 4);
}
