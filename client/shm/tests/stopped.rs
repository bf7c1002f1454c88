//! A process is stopped at every single shared write of every operation; while it stands there, others hit,
//! set, delete and evict as if it were not there. Let go again, it finishes, and nothing deleted is back.
//!
//! `cargo test -p gs-shm --features crash-points --test stopped`
#![cfg(feature = "crash-points")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/deadline.rs"]
mod deadline;
#[path = "support/fork.rs"]
mod fork;
#[path = "support/scenarios.rs"]
mod scenarios;

use fork::End;
use gs_shm::*;
use scenarios::*;

/// More shared writes than any operation makes.
const WRITES_MAX: u64 = 20_000;
/// Steps that a hit may take beside a stopped process beyond what it takes alone: both buckets once more.
const HIT_EXTRA: u64 = 100;

/// What the others did, in shared accesses of this process.
#[derive(Clone, Copy, Debug, Default)]
struct Steps {
    hit: u64,
    set: u64,
    set_same: u64,
    delete: u64,
    evict: u64,
}

fn counted<T>(steps: &mut u64, f: impl FnOnce() -> T) -> T {
    let before = crash::steps();
    let result = f();
    *steps = crash::steps() - before;
    result
}

/// The section is full and takes something all the same: in cache mode by evicting, else by handing off.
fn evict(s: &Section) -> bool {
    for n in 0..200 {
        let name = format!("pressure{n}");
        if store(s, name.as_bytes(), 4, 0, LATER) {
            if s.config().mode == Mode::Cache && s.stats().evicted > 0 {
                return true;
            }
            continue;
        }
        let mut victims = Vec::new();
        s.sweep(s.geometry().blocks, LATER, &mut |_| Verdict::Take, &mut victims);
        let freed = victims.iter().filter(|v| s.release(&v.at) == Release::Freed).count();
        return freed > 0 && store(s, name.as_bytes(), 4, 0, LATER);
    }
    false
}

/// Hits, sets of other keys and of the same, deletes, and at last evictions: all of them get through.
fn others(s: &Section, scenario: &Scenario, at: &str) -> Steps {
    let mut steps = Steps::default();
    let contended = s.stats().contended;
    // "other" is here unless the operation is one that may take it.
    let here = counted(&mut steps.hit, || read(s, b"other"));
    assert!(here == Some(1) || scenario.loses == Loses::All, "{at}: {here:?}");
    scenario.verify(s, at);
    let room = |key: &[u8], version| {
        let stored = store(s, key, version, 0, LATER);
        // An owner's full section takes nothing: that is an answer, too.
        assert!(stored || scenario.name == "put of a full section", "{at}: {key:?} was not stored");
        stored
    };
    if counted(&mut steps.set, || room(b"another", 3)) {
        assert_eq!(read(s, b"another"), Some(3), "{at}");
    }
    if counted(&mut steps.set_same, || room(b"key", 3)) {
        assert_eq!(read(s, b"key"), Some(3), "{at}");
    }
    for key in [&b"another"[..], b"fresh"] {
        delete(s, key, 3);
    }
    counted(&mut steps.delete, || delete(s, b"key", 3));
    assert_eq!(read(s, b"key"), None, "{at}: deleted and still here");
    assert!(counted(&mut steps.evict, || evict(s)), "{at}: no room can be made");
    assert_eq!(s.stats().contended, contended, "{at}: a read was given up");
    steps
}

/// Stops a child at the n-th write; false if the operation has fewer.
fn beside(scenario: &Scenario, place: &Place, n: u64, alone: &Steps) -> bool {
    let at = format!("{}, write {n}", scenario.name);
    let (s, dir) = (place.prepared(scenario), place.dir());
    let child = fork::spawn(|| {
        let child = Section::attach(dir, NAME, None).expect("attach");
        crash::arm_stop(n);
        (scenario.operation)(&child, dir);
        crash::disarm();
        std::mem::forget(child);
        0
    });
    let stopped = child.stopped();
    if stopped {
        let steps = others(&s, scenario, &at);
        bounded(&steps, alone, &s, &at);
        child.signal(libc::SIGCONT);
    }
    assert_eq!(child.wait(), End::Code(0), "{at}: let go again it must finish");
    // What it was at when it was stopped may have come through; what was deleted meanwhile may not.
    assert_eq!(read(&s, b"gone"), None, "{at}: back from the dead");
    if stopped {
        let back = read(&s, b"key");
        let its_own = scenario.mode == Mode::Owner && back.is_some() && back == scenario.stores;
        assert!(back.is_none() || its_own, "{at}: version {back:?} is back");
    }
    recovered(&s, &at);
    deadline::step_forward();
    stopped
}

fn bounded(steps: &Steps, alone: &Steps, s: &Section, at: &str) {
    assert!(steps.hit <= alone.hit + HIT_EXTRA, "{at}: a hit took {} steps, alone {}", steps.hit, alone.hit);
    // Writers may have to look further for blocks, never more than a few turns of the hand.
    let turn = u64::from(s.geometry().blocks) * 40;
    for (what, took, alone) in [
        ("set", steps.set, alone.set),
        ("set of the same key", steps.set_same, alone.set_same),
        ("delete", steps.delete, alone.delete),
        ("eviction", steps.evict, alone.evict),
    ] {
        assert!(took <= 2 * alone + turn, "{at}: a {what} took {took} steps, alone {alone}");
    }
}

fn each_of(mode: Mode) {
    let place = Place::new();
    for scenario in all().iter().filter(|s| s.mode == mode) {
        // The same with nobody in between: what each costs alone.
        let s = place.prepared(scenario);
        let alone = others(&s, scenario, scenario.name);
        drop(s);
        let stops = (0..WRITES_MAX).find(|n| !beside(scenario, &place, *n, &alone));
        let stops = stops.expect("an operation makes fewer writes");
        assert!(stops > 0, "{}: writes nothing", scenario.name);
        println!("{:?} {}: stopped at each of {stops} writes, {alone:?}", mode, scenario.name);
    }
}

// Front ends of one host: any of them may stand anywhere, the others do not notice.
#[test]
fn nobody_waits_for_a_stopped_cache_process() {
    each_of(Mode::Cache);
}

// Owner, demoter and readers: the same.
#[test]
fn nobody_waits_for_a_stopped_owner_or_demoter() {
    each_of(Mode::Owner);
}
