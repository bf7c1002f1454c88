//! A process ends at every single shared write of every operation; whoever is left finds the acknowledged
//! objects readable, nothing wedged, and after the hand has gone round, nothing leaked.
//!
//! `cargo test -p gs-shm --release --features crash-points --test crash`
#![cfg(feature = "crash-points")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/fork.rs"]
mod fork;
#[path = "support/scenarios.rs"]
mod scenarios;
#[path = "crash/successor.rs"]
mod successor;

use fork::End;
use gs_shm::*;

const NOW: u64 = 1_000_000;
const LATER: u64 = NOW + 1_000;
/// More shared writes than any operation here makes.
const WRITES_MAX: u64 = 5_000;

fn cfg(mode: Mode) -> SectionConfig {
    SectionConfig { capacity_bytes: 128 << 10, value_bytes_max: 2_000, mode, ..SectionConfig::default() }
}

fn rec<'a>(s: &Section, key: &'a [u8], value: &'a [u8], version: u64) -> NewRecord<'a> {
    NewRecord {
        id: s.key_id(0, key),
        db: 0,
        key,
        value,
        version,
        deadline_ms: NOW + 500_000,
        kind: 0,
        created_ms: NOW,
    }
}

fn read(s: &Section, key: &[u8]) -> Option<(u64, Vec<u8>)> {
    let mut out = Vec::new();
    match s.get(&s.key_id(0, key), key, LATER, true, &mut out, |_, _| ()) {
        Lookup::Hit(meta) => Some((meta.version, out)),
        Lookup::Miss { .. } => None,
        Lookup::Contended => panic!("a dead process contends"),
    }
}

/// Runs `operation` in a child that attaches by itself and ends at its n-th shared write, for every n; after
/// each, `verify` looks at the section from the parent (told whether the child got through), and then the
/// section must be clean after recovery.
fn at_every_write(
    mode: Mode,
    prepare: impl Fn(&Section),
    operation: impl Fn(&Section),
    verify: impl Fn(&Section, bool, u64),
) {
    let dir = tempfile::tempdir().unwrap();
    let mut finished = false;
    for n in 0..WRITES_MAX {
        let _ = Section::remove(dir.path(), "c");
        let (parent, origin) = Section::create_or_adopt(dir.path(), "c", &cfg(mode), NOW).unwrap();
        assert_eq!(origin, Origin::Fresh);
        prepare(&parent);
        let end = fork::spawn(|| {
            let child = Section::attach(dir.path(), "c", None).expect("attach");
            crash::arm(n);
            operation(&child);
            crash::disarm();
            // Ends like a killed process all the same: nothing is dropped.
            std::mem::forget(child);
            0
        })
        .wait();
        finished = end == End::Code(0);
        assert!(finished || end == End::Code(77), "write {n}: {end:?}");
        verify(&parent, finished, n);
        recovered(&parent, n);
        if finished {
            println!("{n} shared writes");
            break;
        }
    }
    let _ = Section::remove(dir.path(), "c");
    assert!(finished, "the operation makes more than {WRITES_MAX} writes");
}

/// One turn of the hand and of re-adoption leaves a clean section with every block accounted for.
fn recovered(s: &Section, n: u64) {
    let mut victims = Vec::new();
    s.adopt_evicting(&mut victims, usize::MAX);
    for victim in victims {
        assert!(s.abort(&victim.at), "write {n}: adopted is ours");
    }
    for _ in 0..2 {
        s.sweep(s.geometry().blocks, LATER, &mut |_| Verdict::Keep, &mut Vec::new());
    }
    let report = s.check(LATER).unwrap_or_else(|e| panic!("write {n}: {e:#?}"));
    assert_eq!(report.orphans, 0, "write {n}");
    let all = report.free + report.live + report.evicting + report.continuations;
    assert_eq!(all, u64::from(s.geometry().blocks), "write {n}: blocks leaked");
    // And it works on: the key can be written, read and deleted.
    s.put(&rec(s, b"key", b"after", 1_000), LATER).unwrap();
    assert_eq!(read(s, b"key").unwrap().1, b"after");
    assert!(s.delete(&s.key_id(0, b"key"), b"key").found.is_some());
    assert!(read(s, b"key").is_none(), "write {n}: an older copy came back");
}

const OLD: &[u8] = &[1; 700];
const NEW: &[u8] = &[2; 900];

// A new object is there or not, whole or not at all.
#[test]
fn put_of_a_new_key() {
    at_every_write(
        Mode::Owner,
        |_| (),
        |s| {
            let _ = s.put(&rec(s, b"key", NEW, 2), NOW).unwrap();
        },
        |s, done, n| match read(s, b"key") {
            Some(found) => assert_eq!(found, (2, NEW.to_vec())),
            None => assert!(!done, "acknowledged and gone, write {n}"),
        },
    );
}

// An acknowledged object stays readable until its successor is: never neither.
#[test]
fn overwrite() {
    at_every_write(
        Mode::Owner,
        |s| {
            let _ = s.put(&rec(s, b"key", OLD, 1), NOW).unwrap();
        },
        |s| {
            let _ = s.put(&rec(s, b"key", NEW, 2), NOW).unwrap();
        },
        |s, done, n| match read(s, b"key").unwrap_or_else(|| panic!("lost at write {n}")) {
            (1, value) => {
                assert!(!done && value == OLD);
                let both = s.check(LATER).is_ok_and(|report| report.duplicates > 0);
                assert!(!both, "write {n}: the newer copy is there and the older one was read");
            }
            (2, value) => assert_eq!(value, NEW),
            other => panic!("{other:?}"),
        },
    );
}

// A restamp of the same version leaves the object readable throughout.
#[test]
fn restamp() {
    at_every_write(
        Mode::Owner,
        |s| {
            let _ = s.put(&rec(s, b"key", OLD, 1), NOW).unwrap();
        },
        |s| {
            let _ = s.put(&rec(s, b"key", OLD, 1), NOW).unwrap();
        },
        |s, _, n| {
            assert_eq!(read(s, b"key").unwrap_or_else(|| panic!("lost at write {n}")), (1, OLD.to_vec()))
        },
    );
}

// A delete that was acknowledged stays done; one that was not leaves all or nothing.
#[test]
fn delete() {
    at_every_write(
        Mode::Owner,
        |s| {
            let _ = s.put(&rec(s, b"key", OLD, 1), NOW).unwrap();
        },
        |s| assert!(s.delete(&s.key_id(0, b"key"), b"key").found.is_some()),
        |s, done, _| {
            if let Some(found) = read(s, b"key") {
                assert!(!done && found == (1, OLD.to_vec()));
            }
        },
    );
}

// The demoter dies anywhere between marking and acknowledgement: the object is still here.
#[test]
fn demoter_dies() {
    at_every_write(
        Mode::Owner,
        |s| {
            let _ = s.put(&rec(s, b"key", OLD, 1), NOW).unwrap();
        },
        |s| {
            let mut victims = Vec::new();
            s.sweep(s.geometry().blocks, NOW, &mut |_| Verdict::Take, &mut victims);
            let (mut key, mut value) = (Vec::new(), Vec::new());
            assert!(s.copy_victim(&victims[0].at, &mut key, &mut value).is_some());
            assert!(s.abort(&victims[0].at));
            s.sweep(s.geometry().blocks, NOW, &mut |_| Verdict::Take, &mut victims);
        },
        |s, _, n| {
            assert_eq!(read(s, b"key").unwrap_or_else(|| panic!("lost at write {n}")), (1, OLD.to_vec()));
            let touched = s.set_deadline(&s.key_id(0, b"key"), b"key", NOW + 600_000, LATER);
            assert!(touched.is_some(), "write {n}: cannot be touched");
        },
    );
}

// The releaser dies after the acknowledgement: the object is whole here, or gone for good (it is elsewhere).
#[test]
fn releaser_dies() {
    at_every_write(
        Mode::Owner,
        |s| {
            let _ = s.put(&rec(s, b"key", OLD, 1), NOW).unwrap();
        },
        |s| {
            let mut victims = Vec::new();
            s.sweep(s.geometry().blocks, NOW, &mut |_| Verdict::Take, &mut victims);
            assert_eq!(s.release(&victims[0].at), Release::Freed);
        },
        |s, done, _| {
            if let Some(found) = read(s, b"key") {
                assert!(!done && found == (1, OLD.to_vec()));
                // Taken over, it must be as good as before: sent again or kept, touched and released.
                let mut victims = Vec::new();
                s.adopt_evicting(&mut victims, 10);
                for victim in &victims {
                    let (mut key, mut value) = (Vec::new(), Vec::new());
                    let meta = s.copy_victim(&victim.at, &mut key, &mut value).unwrap();
                    assert_eq!((&key[..], &value[..]), (&b"key"[..], OLD));
                    assert!(s.set_deadline(&s.key_id(0, b"key"), b"key", NOW + 600_000, LATER).is_some());
                    assert_eq!(s.release(&meta.at), Release::Changed);
                }
            }
        },
    );
}

// Between a newer copy's commit and the old one's end there are two: when the newer goes, by whatever way,
// the older must not surface.
#[test]
fn no_older_copy_surfaces() {
    for way in 0..4 {
        at_every_write(
            Mode::Owner,
            |s| {
                let _ = s.put(&rec(s, b"key", OLD, 1), NOW).unwrap();
            },
            |s| {
                let _ =
                    s.put(&NewRecord { deadline_ms: NOW + 10_000, ..rec(s, b"key", NEW, 2) }, NOW).unwrap();
            },
            |s, _, n| {
                let (version, _) = read(s, b"key").unwrap_or_else(|| panic!("lost at write {n}"));
                if version == 1 {
                    return;
                }
                let id = s.key_id(0, b"key");
                match way {
                    0 => {
                        let _ = s.delete(&id, b"key");
                    }
                    1 => {
                        let end = s.expire_sweep(0, s.geometry().blocks, NOW + 10_000, &mut |_, _| ());
                        assert_eq!(end, 0);
                    }
                    _ => {
                        let mut victims = Vec::new();
                        // Way 2 offers both copies to the hand, way 3 the newer alone.
                        let shortest = if way == 2 { u64::MAX } else { 20_000 };
                        let mut decide = |view: &View| match view.remaining_ms {
                            Some(left) if left < shortest => Verdict::Take,
                            _ => Verdict::Keep,
                        };
                        s.sweep(s.geometry().blocks, LATER, &mut decide, &mut victims);
                        assert_eq!(victims.len(), 1, "write {n}: the older copy is not worth sending");
                        assert_eq!(s.release(&victims[0].at), Release::Freed);
                    }
                }
                assert!(read(s, b"key").is_none(), "write {n}: version 1 came back by way {way}");
            },
        );
    }
}

// A copy that a newer one hides expires without a word: its key has not.
#[test]
fn a_hidden_copy_expires_silently() {
    at_every_write(
        Mode::Owner,
        |s| {
            let _ = s.put(&NewRecord { deadline_ms: NOW + 10, ..rec(s, b"key", OLD, 1) }, NOW).unwrap();
        },
        |s| {
            let _ = s.put(&rec(s, b"key", NEW, 2), NOW).unwrap();
        },
        |s, _, n| {
            let newer = s.peek(&s.key_id(0, b"key"), b"key", NOW).is_some_and(|meta| meta.version == 2);
            s.expire_sweep(0, s.geometry().blocks, LATER, &mut |meta, _| {
                assert!(!newer, "write {n}: version {} told as expired", meta.version);
            });
            assert_eq!(read(s, b"key").is_some(), newer, "write {n}");
        },
    );
}

// A reclaimer dies at it: the next one goes on.
#[test]
fn expiry_dies() {
    at_every_write(
        Mode::Owner,
        |s| {
            let _ = s.put(&NewRecord { deadline_ms: NOW + 10, ..rec(s, b"key", OLD, 1) }, NOW).unwrap();
        },
        |s| {
            s.expire_sweep(0, s.geometry().blocks, NOW + 10, &mut |_, _| ());
        },
        |s, _, _| assert!(read(s, b"key").is_none()),
    );
}

// Cache mode: a fill that dies caches the whole value or nothing, and kills or keeps the older one whole.
#[test]
fn fill_dies() {
    at_every_write(
        Mode::Cache,
        |s| {
            let r = rec(s, b"key", OLD, 1);
            assert_eq!(s.fill(&r, s.ticket(&r.id), NOW), Fill::Cached);
        },
        |s| {
            let r = rec(s, b"key", NEW, 2);
            assert_eq!(s.fill(&r, s.ticket(&r.id), NOW), Fill::Cached);
        },
        |s, done, _| match read(s, b"key") {
            Some((1, value)) => assert!(!done && value == OLD),
            Some((2, value)) => assert_eq!(value, NEW),
            Some(other) => panic!("{other:?}"),
            None => assert!(!done),
        },
    );
}

// Every operation there is, in both modes, of chains and of full sections: whoever is left reads what may be
// read, and one turn of the hand later everything is accounted for and works on.
#[test]
fn every_operation_dies_everywhere() {
    let place = scenarios::Place::new();
    let dir = place.dir();
    for scenario in scenarios::all() {
        let died = (0..WRITES_MAX).find(|n| {
            let at = format!("{}, write {n}", scenario.name);
            let s = place.prepared(&scenario);
            let end = fork::spawn(|| {
                let child = Section::attach(dir, scenarios::NAME, None).expect("attach");
                crash::arm(*n);
                (scenario.operation)(&child, dir);
                crash::disarm();
                std::mem::forget(child);
                0
            })
            .wait();
            assert!(end == End::Code(0) || end == End::Code(77), "{at}: {end:?}");
            scenario.verify(&s, &at);
            scenarios::recovered(&s, &at);
            scenario.verify(&s, &at);
            scenarios::delete(&s, b"key", 9);
            assert_eq!(scenarios::read(&s, b"key"), None, "{at}: an older copy came back");
            end == End::Code(0)
        });
        let died = died.expect("an operation makes fewer writes");
        assert!(died > 0, "{}: writes nothing", scenario.name);
        println!("{:?} {}: died at each of {died} writes", scenario.mode, scenario.name);
    }
}

// The section's making dies at every shared write: the next creator makes a good one, and no shared memory
// is left behind.
#[test]
fn create_dies() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..200 {
        let _ = Section::remove(dir.path(), "c");
        let end = fork::spawn(|| {
            crash::arm(n);
            let made = Section::create_or_adopt(dir.path(), "c", &cfg(Mode::Owner), NOW);
            crash::disarm();
            std::mem::forget(made);
            0
        })
        .wait();
        let half_made = std::fs::read_to_string(dir.path().join("c.new")).ok();
        match Section::attach(dir.path(), "c", None) {
            Ok(_) => assert!(half_made.is_none()),
            Err(e) => assert!(matches!(e, OpenError::Absent { .. }), "{e}"),
        }
        let (s, origin) = Section::create_or_adopt(dir.path(), "c", &cfg(Mode::Owner), NOW).unwrap();
        assert_eq!(origin == Origin::Adopted, half_made.is_none());
        if let Some(name) = half_made {
            assert!(!std::path::Path::new("/dev/shm").join(name.trim()).exists());
        }
        {
            let _ = s.put(&rec(&s, b"key", NEW, 1), NOW).unwrap();
        };
        assert_eq!(s.check(NOW).unwrap().live, 1);
        if end == End::Code(0) {
            let _ = Section::remove(dir.path(), "c");
            return;
        }
        assert_eq!(end, End::Code(77));
    }
    panic!("creation makes more than 200 writes");
}

// A fork is noticed: it reads, it does not write, and attaching again makes it whole.
#[test]
fn fork_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (s, _) = Section::create_or_adopt(dir.path(), "c", &cfg(Mode::Owner), NOW).unwrap();
    s.put(&rec(&s, b"key", OLD, 1), NOW).unwrap();
    assert!(!s.forked());
    let end = fork::spawn(|| {
        assert!(s.forked());
        assert_eq!(s.put(&rec(&s, b"key", NEW, 2), NOW), Err(PutError::Detached));
        assert_eq!(read(&s, b"key").unwrap().0, 1);
        let again = Section::attach(dir.path(), "c", None).unwrap();
        assert_ne!(again.process_slot(), s.process_slot());
        again.put(&rec(&again, b"key", NEW, 2), NOW).unwrap();
        0
    })
    .wait();
    assert_eq!(end, End::Code(0));
    assert_eq!(read(&s, b"key").unwrap(), (2, NEW.to_vec()));
    let _ = Section::remove(dir.path(), "c");
}
