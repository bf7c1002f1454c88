//! Slots: two keys that want the same one, and fills that meet an observer.

use super::{NOW, explore, id, read, rec, section};
use gs_shm::*;
use loom::sync::Arc;
use loom::thread;

fn store(s: &Section, n: u64) -> bool {
    s.put(&NewRecord { id: id(n), ..rec(s, &[1; 8], 1) }, NOW).is_ok()
}

fn has(s: &Section, n: u64) -> bool {
    s.peek(&id(n), b"", NOW).is_some()
}

// All keys here share two buckets of two slots: an empty slot is preferred, so they are filled first.

// Two keys that choose the same slot at once: whoever is told that it was stored has one of its own.
#[test]
fn put_put() {
    explore(2, || {
        let s = Arc::new(section(Mode::Owner, 6));
        assert!((1..=3).all(|n| store(&s, n)));
        let other = {
            let s = s.clone();
            thread::spawn(move || store(&s, 4))
        };
        let one = store(&s, 5);
        let other = other.join().unwrap();
        assert!(one || other, "there was room for one");
        assert_eq!((has(&s, 5), has(&s, 4)), (one, other), "stored and not linked");
        assert!((1..=3).all(|n| has(&s, n)));
        s.check(NOW).unwrap();
    });
}

// One key goes and another takes its slot: the one that goes clears its own link, nobody else's.
#[test]
fn delete_put() {
    explore(1, || {
        let s = Arc::new(section(Mode::Owner, 6));
        assert!((1..=4).all(|n| store(&s, n)));
        let other = {
            let s = s.clone();
            thread::spawn(move || store(&s, 5))
        };
        s.delete(&id(1), b"");
        let stored = other.join().unwrap();
        assert_eq!((has(&s, 1), has(&s, 5)), (false, stored), "stored and not linked");
        assert!((2..=4).all(|n| has(&s, n)));
        s.check(NOW).unwrap();
    });
}

// Whoever saw a newer version, even one that it cannot keep, stops the older one that is being filled.
#[test]
fn observe_fill() {
    explore(2, || {
        let s = Arc::new(section(Mode::Cache, 2));
        let k = s.key_id(0, b"k");
        let ticket = s.ticket(&k);
        let filler = {
            let s = s.clone();
            thread::spawn(move || {
                let _ = s.fill(&rec(&s, &[1; 8], 1), ticket, NOW);
            })
        };
        s.observe(&k, b"k", 2);
        assert_ne!(read(&s), Some(1), "the host went backwards");
        filler.join().unwrap();
        assert_ne!(read(&s), Some(1));
        s.check(NOW).unwrap();
    });
}

// The hand of a cache takes a record's block while the key is invalidated: it ends once, nothing is left.
#[test]
fn evict_delete() {
    explore(1, || {
        let s = Arc::new(section(Mode::Cache, 2));
        let k = s.key_id(0, b"k");
        let _ = s.fill(&rec(&s, &[1; 8], 1), s.ticket(&k), NOW);
        let filler = {
            let s = s.clone();
            thread::spawn(move || {
                let other = NewRecord { id: id(7), ..rec(&s, &[2; 16], 2) };
                let _ = s.fill(&other, s.ticket(&other.id), NOW);
            })
        };
        s.invalidate(&k, b"k", None);
        assert_eq!(read(&s).unwrap_or(0), 0, "readable after the delete returned");
        filler.join().unwrap();
        assert_eq!(read(&s), Some(0));
        s.check(NOW).unwrap();
    });
}
