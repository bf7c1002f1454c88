//! Blocks of the dead, and of the living that only look it.

use super::{NOW, explore, put, read, rec, section};
use gs_shm::*;
use loom::sync::Arc;
use loom::thread;

fn hand(s: &Section) {
    s.sweep(s.geometry().blocks, NOW, &mut |_| Verdict::Keep, &mut Vec::new());
}

/// A section in which a process died with a chain of two blocks PENDING, and two that live.
fn abandoned(linked: bool) -> [Section; 2] {
    let s = section(Mode::Owner, 2);
    let dying = s.attach_heap().unwrap();
    let other = s.attach_heap().unwrap();
    dying.die_storing(&rec(&s, &[1; 16], 1), linked, NOW);
    [s, other]
}

// A hand that comes by while a record is stored leaves its blocks alone: their owner lives.
#[test]
fn sweep_put() {
    explore(2, || {
        let s = Arc::new(section(Mode::Owner, 2));
        let sweeper = {
            let s = s.attach_heap().unwrap();
            thread::spawn(move || hand(&s))
        };
        put(&s, &[1; 8], 1);
        sweeper.join().unwrap();
        assert_eq!(read(&s), Some(1), "acknowledged and reclaimed");
        s.check(NOW).unwrap();
    });
}

// Two hands find what a dead process left, and a delete of its key comes by: every block is freed once.
#[test]
fn reclaim_twice() {
    for linked in [false, true] {
        explore(2, move || {
            let [s, other] = abandoned(linked);
            let other = thread::spawn(move || hand(&other));
            if linked {
                s.delete(&s.key_id(0, b"k"), b"k");
            } else {
                hand(&s);
            }
            other.join().unwrap();
            hand(&s);
            assert_eq!(read(&s), Some(0));
            assert_eq!(s.check(NOW).unwrap().free, 2);
        });
    }
}

// The blocks of a dead process are reclaimed and written anew while another hand still looks at them.
#[test]
fn reclaim_reuse() {
    explore(2, || {
        let [s, other] = abandoned(true);
        let other = thread::spawn(move || hand(&other));
        hand(&s);
        // The other hand may hold a block that it frees just now: then there is no room.
        let stored = s.put(&rec(&s, &[2; 16], 2), NOW).is_ok();
        other.join().unwrap();
        assert_eq!(read(&s), Some(if stored { 2 } else { 0 }));
        s.check(NOW).unwrap();
    });
}
