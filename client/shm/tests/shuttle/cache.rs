//! Front ends in one section: fills, invalidations and reads at once, more records than blocks.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::{Arc, Mutex};
use shuttle::thread;

use super::{NOW, explore, id, read, rec, section, value};
use gs_shm::*;

const KEYS: usize = 3;

/// What the relay has, and what this host has been told.
#[derive(Default)]
struct World {
    /// The relay: version of each key and whether it is there.
    relay: [Mutex<(u64, bool)>; KEYS],
    /// Deletes acknowledged on this host: the newest version that each made an end of.
    dead: [AtomicU64; KEYS],
    /// The newest version that a caller on this host was given.
    seen: [AtomicU64; KEYS],
}

impl World {
    /// A lookup that misses and asks the relay.
    fn fetch(&self, s: &Section, key: usize) {
        let ticket = s.ticket(&id(key));
        let (version, there) = *self.relay[key].lock().unwrap();
        if there {
            let _ = s.fill(&rec(key, version, &value(key, version)), ticket, NOW);
            self.seen[key].fetch_max(version, SeqCst);
        }
    }

    fn set(&self, s: &Section, key: usize) {
        s.invalidate(&id(key), b"", None);
        let ticket = s.ticket(&id(key));
        let version = {
            let mut at = self.relay[key].lock().unwrap();
            *at = (at.0 + 1, true);
            at.0
        };
        let _ = s.fill(&rec(key, version, &value(key, version)), ticket, NOW);
        self.seen[key].fetch_max(version, SeqCst);
    }

    fn delete(&self, s: &Section, key: usize) {
        s.invalidate(&id(key), b"", None);
        let version = {
            let mut at = self.relay[key].lock().unwrap();
            at.1 = false;
            at.0
        };
        s.invalidate(&id(key), b"", Some(version + 1));
        self.dead[key].fetch_max(version, SeqCst);
    }

    fn read(&self, s: &Section, key: usize) {
        let (dead, seen) = (self.dead[key].load(SeqCst), self.seen[key].load(SeqCst));
        if let Some(version @ 1..) = read(s, key) {
            assert!(version > dead, "key {key}: version {version} read after {dead} was deleted");
            assert!(version >= seen, "key {key}: version {version} read after {seen}");
        }
    }
}

fn storm(threads: usize, blocks: u64, steps: usize) {
    let s = Arc::new(section(Mode::Cache, blocks));
    let world = Arc::new(World::default());
    let work = |n: usize| {
        // Two processes: their blocks are not each other's.
        let s = if n.is_multiple_of(2) { s.clone() } else { Arc::new(s.attach_heap().unwrap()) };
        let world = world.clone();
        thread::spawn(move || {
            for _ in 0..steps {
                let key = thread_rng().gen_range(0..KEYS);
                match thread_rng().gen_range(0..10) {
                    0..4 => world.read(&s, key),
                    4..7 => world.fetch(&s, key),
                    7 | 8 => world.set(&s, key),
                    _ => world.delete(&s, key),
                }
            }
        })
    };
    let all: Vec<_> = (0..threads).map(work).collect();
    for one in all {
        one.join().unwrap();
    }
    for key in 0..KEYS {
        world.read(&s, key);
    }
    super::quiet(&s);
}

// Four threads of two processes, chains of up to four blocks, seven blocks: every fill evicts somebody.
#[test]
fn fills_deletes_and_evictions() {
    explore("cache, 4 threads, 7 blocks", 15_000, || storm(4, 7, 4));
}

// Room for all: what is lost is lost to races alone.
#[test]
fn fills_and_deletes_without_pressure() {
    explore("cache, 3 threads, 16 blocks", 10_000, || storm(3, 16, 6));
}

// What comes late meets the end of the record that would have stopped it: it finds that, or the note that it was let go.
#[test]
fn late_fill_meets_what_is_let_go() {
    explore("late fill", 2000, || {
        let s = Arc::new(section(Mode::Cache, 7));
        // All of these share two buckets of two slots. The newer record comes into the second, and the late one finds
        // room in the first only, where whoever ends the newer one has looked already.
        let shared = |n: u64| KeyId { hi: n, lo: n };
        let one = |n: u64, version: u64| NewRecord { id: shared(n), ..rec(0, version, &[7; 8]) };
        for n in [1, 2, 3, 4] {
            let version = if n == 4 { 5 } else { 2 };
            assert_eq!(s.fill(&one(n, version), s.ticket(&shared(n)), NOW), Fill::Cached);
        }
        s.invalidate(&shared(1), b"", None);
        let late = {
            let s = s.clone();
            thread::spawn(move || {
                // Between what was let go just now and what is about to be.
                let record = NewRecord { id: shared(4), ..rec(0, 3, &[7; 8]) };
                let _ = s.fill_late(&record, s.ticket(&shared(4)), NOW);
            })
        };
        s.invalidate(&shared(4), b"", None);
        late.join().unwrap();
        assert_eq!(
            s.peek(&shared(4), b"", NOW).map(|meta| meta.version),
            None,
            "what was replaced came back"
        );
        s.check(NOW).unwrap();
    });
}
