//! Records of more than one block while their blocks are reused and the hand goes round.

use super::{explore, explore_some, put, read, rec, section};
use gs_shm::*;
use loom::sync::Arc;
use loom::thread;

// A reader whose record is retired and whose blocks, continuation included, are written anew never mixes.
// The reader goes last and writes nothing, so no preemption is needed: loom gives each of its loads every value
// that it could have had earlier.
#[test]
fn chain_read_reuse() {
    explore(0, || {
        let s = Arc::new(section(Mode::Owner, 2));
        put(&s, &[1; 16], 1);
        let reader = {
            let s = s.clone();
            thread::spawn(move || read(&s))
        };
        s.delete(&s.key_id(0, b"k"), b"k");
        put(&s, &[2; 16], 2);
        let _ = reader.join().unwrap();
        assert_eq!(read(&s), Some(2));
    });
}

// A record that ends under its reader: what is scrubbed is not read as its bytes.
#[test]
fn chain_read_delete() {
    explore(0, || {
        let s = Arc::new(section(Mode::Owner, 2));
        put(&s, &[1; 16], 1);
        let reader = {
            let s = s.clone();
            thread::spawn(move || read(&s))
        };
        s.delete(&s.key_id(0, b"k"), b"k");
        let _ = reader.join().unwrap();
        assert_eq!(read(&s), Some(0));
    });
}

// A record is ended by one thread and its block written by another, which has passed no fence of its own since: its
// reader sees the bytes of one of them. The reader is interrupted after it has passed the block's door: later its way
// through the door would be an order that it does not have. With two preemptions, which it takes, the end is
// hours away; without the writer's fence one of the first hundred executions reads what it must not.
#[test]
fn read_reuse_by_another() {
    explore_some(2, 20_000, || {
        let s = Arc::new(section(Mode::Owner, 2));
        put(&s, &[1; 8], 1);
        let ender = {
            let s = s.clone();
            thread::spawn(move || {
                s.delete(&s.key_id(0, b"k"), b"k");
                thread::spawn(move || {
                    s.put(&NewRecord { id: super::id(3), ..rec(&s, &[2; 8], 2) }, super::NOW).unwrap();
                })
            })
        };
        let _ = read(&s);
        ender.join().unwrap().join().unwrap();
    });
}

// The hand judges a continuation of a record that ends and whose blocks bear the next one at once: it never
// takes a block of the living chain.
#[test]
fn chain_sweep_reuse() {
    explore(1, || {
        let s = Arc::new(section(Mode::Owner, 2));
        put(&s, &[1; 16], 1);
        let hand = {
            let s = s.attach_heap().unwrap();
            thread::spawn(move || s.sweep(2, super::NOW, &mut |_| Verdict::Keep, &mut Vec::new()))
        };
        s.delete(&s.key_id(0, b"k"), b"k");
        let stored = s.put(&rec(&s, &[2; 16], 2), super::NOW);
        hand.join().unwrap();
        // The hand may hold a block that it frees just now: then there was no room.
        assert_eq!(read(&s), Some(if stored.is_ok() { 2 } else { 0 }));
        s.check(super::NOW).unwrap();
    });
}

// A chain that is being written, swept by another process: it is nobody's but the writer's.
#[test]
fn chain_sweep_write() {
    explore(2, || {
        let s = Arc::new(section(Mode::Owner, 2));
        let hand = {
            let s = s.attach_heap().unwrap();
            thread::spawn(move || s.sweep(2, super::NOW, &mut |_| Verdict::Keep, &mut Vec::new()))
        };
        put(&s, &[1; 16], 1);
        hand.join().unwrap();
        assert_eq!(read(&s), Some(1));
        s.check(super::NOW).unwrap();
    });
}
