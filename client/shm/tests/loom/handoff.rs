//! Hand-offs against everything that may happen to their record meanwhile.

use super::{NOW, explore, mark, put, read, rec, section};
use gs_shm::*;
use loom::sync::Arc;
use loom::thread;

// A release and a delete of the same record: it ends once, and nothing of it is left.
#[test]
fn release_delete() {
    explore(2, || {
        let s = Arc::new(section(Mode::Owner, 2));
        put(&s, &[1; 8], 1);
        let at = mark(&s);
        let releaser = {
            let s = s.clone();
            thread::spawn(move || s.release(&at))
        };
        let deleted = s.delete(&s.key_id(0, b"k"), b"k").found.is_some();
        let released = releaser.join().unwrap() == Release::Freed;
        assert!(deleted != released, "ended {}", if deleted { "twice" } else { "never" });
        assert_eq!(read(&s), Some(0));
    });
}

// A release and an abort: at most one of them has its way, and a reader meanwhile sees the record or, if it
// was released, nothing; never bytes that are not its own.
#[test]
fn release_abort() {
    explore(2, || {
        let s = Arc::new(section(Mode::Owner, 2));
        put(&s, &[1; 8], 1);
        let at = mark(&s);
        let releaser = {
            let s = s.clone();
            thread::spawn(move || s.release(&at))
        };
        let aborted = s.abort(&at);
        let seen = read(&s);
        let released = releaser.join().unwrap();
        if aborted {
            assert_ne!(released, Release::Freed);
            assert_eq!((seen, read(&s)), (Some(1), Some(1)));
            assert!(s.set_deadline(&s.key_id(0, b"k"), b"k", NOW + 9, NOW).is_some(), "cannot be touched");
        } else if released == Release::Freed {
            assert_eq!(read(&s), Some(0));
        } else {
            // Each gave way to the other: it is still marked, and will be sent again.
            assert_eq!((released, read(&s)), (Release::Changed, Some(1)));
        }
    });
}

// A touch and a release: a touch that said yes is never lost with the record.
#[test]
fn release_touch() {
    explore(1, || {
        let s = Arc::new(section(Mode::Owner, 2));
        put(&s, &[1; 8], 1);
        let at = mark(&s);
        let releaser = {
            let s = s.clone();
            thread::spawn(move || s.release(&at))
        };
        let touched = s.set_deadline(&s.key_id(0, b"k"), b"k", NOW + 9, NOW).is_some();
        let released = releaser.join().unwrap();
        assert_eq!(released, if touched { Release::Changed } else { Release::Freed });
    });
}

// A touch and an expiry judged by a clock that is ahead: whoever comes first is final.
#[test]
fn expire_touch() {
    explore(3, || {
        let s = Arc::new(section(Mode::Owner, 2));
        s.put(&NewRecord { deadline_ms: NOW + 5, ..rec(&s, &[1; 8], 1) }, NOW).unwrap();
        let k = s.key_id(0, b"k");
        let reader = {
            let s = s.clone();
            thread::spawn(move || s.peek(&k, b"k", NOW + 5).is_none())
        };
        let touched = s.set_deadline(&k, b"k", NOW + 100, NOW + 4).is_some();
        let told_gone = reader.join().unwrap();
        assert!(!(touched && told_gone), "told gone, and then touched back");
    });
}

// A release that is refused (the record was touched): nobody saw the record gone in between.
#[test]
fn release_refused_read() {
    explore(3, || {
        let s = Arc::new(section(Mode::Owner, 2));
        put(&s, &[1; 8], 1);
        let at = mark(&s);
        assert!(s.set_deadline(&s.key_id(0, b"k"), b"k", NOW + 9, NOW).is_some());
        let releaser = {
            let s = s.clone();
            thread::spawn(move || s.release(&at))
        };
        assert_ne!(read(&s), Some(0), "gone, and then there again");
        assert_eq!(releaser.join().unwrap(), Release::Changed);
    });
}

// A delete while the demoter marks the record and takes that back: each moves the control word once, and the
// delete ends the record all the same.
#[test]
fn mark_delete() {
    explore(2, || {
        let s = Arc::new(section(Mode::Owner, 2));
        put(&s, &[1; 8], 1);
        let demoter = {
            let s = s.attach_heap().unwrap();
            thread::spawn(move || {
                let mut victims = Vec::new();
                s.sweep(2, NOW, &mut |_| Verdict::Take, &mut victims);
                victims.iter().all(|victim| s.abort(&victim.at))
            })
        };
        assert!(s.delete(&s.key_id(0, b"k"), b"k").found.is_some(), "not found");
        assert_eq!(read(&s), Some(0), "readable after the delete returned");
        demoter.join().unwrap();
        // No `check` here: loom orders a store only after what it has seen, so it lets the abort's swap of the
        // deadline, which read what was there before the scrub, come to lie behind the scrub's zero.
        assert_eq!(read(&s), Some(0));
    });
}

// A record comes back from a relief while it is deleted: the tombstone is set first and both hold the key's
// lock while they change the section, so whichever order they take, it is gone afterwards.
#[test]
fn promote_delete() {
    explore(2, || {
        let s = Arc::new(section(Mode::Owner, 2));
        // The key's lock; what it guards is the tombstone.
        let key = Arc::new(loom::sync::Mutex::new(0u64));
        let promoter = {
            let (s, key) = (s.clone(), key.clone());
            thread::spawn(move || {
                let dead_upto = key.lock().unwrap();
                if *dead_upto < 1 {
                    put(&s, &[1; 8], 1);
                }
            })
        };
        let reader = {
            let s = s.clone();
            thread::spawn(move || read(&s))
        };
        {
            let mut dead_upto = key.lock().unwrap();
            *dead_upto = 1;
            s.delete(&s.key_id(0, b"k"), b"k");
        }
        assert_eq!(read(&s).unwrap_or(0), 0, "promoted after the delete returned");
        promoter.join().unwrap();
        let _ = reader.join().unwrap();
        assert_eq!(read(&s), Some(0));
    });
}
