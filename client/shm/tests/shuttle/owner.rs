//! An owner with two writing threads, its demoter in another process, and readers.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::{Arc, Mutex};
use shuttle::thread;

use super::{NOW, explore, id, read, rec, section, value};
use gs_shm::*;

const KEYS: usize = 2;

/// What was acknowledged: moved only under the key's lock.
#[derive(Default)]
struct Key {
    /// The lock that serialises the key's writes; the last version given out.
    lock: Mutex<u64>,
    /// Counts changes that take the record away: before and after each.
    moved: AtomicU64,
    /// The version that a reader must find at least, 0 while there need be none.
    here: AtomicU64,
    dead: AtomicU64,
}

impl Key {
    fn take_away(&self, doing: impl FnOnce()) {
        self.moved.fetch_add(1, SeqCst);
        self.here.store(0, SeqCst);
        doing();
        self.moved.fetch_add(1, SeqCst);
    }

    fn put(&self, s: &Section, key: usize) {
        let mut last = self.lock.lock().unwrap();
        let version = *last + 1;
        if s.put(&rec(key, version, &value(key, version)), NOW).is_ok() {
            *last = version;
            self.here.store(version, SeqCst);
        }
    }

    fn delete(&self, s: &Section, key: usize) {
        let last = self.lock.lock().unwrap();
        self.take_away(|| {
            s.delete(&id(key), b"");
        });
        self.dead.store(*last, SeqCst);
    }

    fn release(&self, s: &Section, meta: &Meta) {
        let _last = self.lock.lock().unwrap();
        let here = self.here.load(SeqCst);
        let mut answer = Release::Gone;
        self.take_away(|| answer = s.release(&meta.at));
        if answer != Release::Freed {
            self.here.store(here, SeqCst);
        } else {
            assert_eq!(here, meta.version, "released what was not the record");
        }
    }

    fn read(&self, s: &Section, key: usize) {
        let (moved, here, dead) = (self.moved.load(SeqCst), self.here.load(SeqCst), self.dead.load(SeqCst));
        let Some(version) = read(s, key) else {
            return;
        };
        assert!(version == 0 || version > dead, "key {key}: {version} read after {dead} was deleted");
        if here > 0 && self.moved.load(SeqCst) == moved {
            assert!(version >= here, "key {key}: {version} read where {here} was acknowledged");
        }
    }
}

fn demote(s: &Section, owner: &Section, keys: &[Key; KEYS]) {
    let mut victims = Vec::new();
    s.sweep(
        4,
        NOW,
        &mut |_| if thread_rng().gen_bool(0.7) { Verdict::Take } else { Verdict::Keep },
        &mut victims,
    );
    for victim in victims {
        let mut bytes = Vec::new();
        let Some(meta) = s.copy_victim(&victim.at, &mut Vec::new(), &mut bytes) else {
            continue;
        };
        let key = (bytes[0] / 64) as usize;
        assert_eq!(bytes, value(key, meta.version), "copied as version {}", meta.version);
        if thread_rng().gen_bool(0.5) {
            keys[key].release(owner, &meta);
        } else {
            s.abort(&victim.at);
        }
    }
}

fn storm() {
    let s = Arc::new(section(Mode::Owner, 12));
    let keys = Arc::new(<[Key; KEYS]>::default());
    let mut all = Vec::new();
    for part in 0..2 {
        let (s, keys) = (s.clone(), keys.clone());
        all.push(thread::spawn(move || {
            for _ in 0..5 {
                let key = thread_rng().gen_range(0..KEYS);
                match thread_rng().gen_range(0..6 + part) {
                    0..3 => keys[key].put(&s, key),
                    3 => keys[key].delete(&s, key),
                    _ => keys[key].read(&s, key),
                }
            }
        }));
    }
    {
        let (owner, keys, s) = (s.clone(), keys.clone(), s.attach_heap().unwrap());
        all.push(thread::spawn(move || (0..3).for_each(|_| demote(&s, &owner, &keys))));
    }
    {
        let (s, keys) = (s.clone(), keys.clone());
        all.push(thread::spawn(move || (0..5).for_each(|n| keys[n % KEYS].read(&s, n % KEYS))));
    }
    for one in all {
        one.join().unwrap();
    }
    for key in 0..KEYS {
        keys[key].read(&s, key);
    }
    let mut left = Vec::new();
    s.adopt_evicting(&mut left, usize::MAX);
    super::quiet(&s);
}

// What is acknowledged is read until it is taken away, what is deleted never again, whatever the demoter does.
#[test]
fn writers_demoter_and_readers() {
    explore("owner, 4 threads, 12 blocks", 15_000, storm);
}

// A newer record is being stored while the hand finds the older one beside it and takes it out: a reader who
// passed the new slot too early must see the fence move.
#[test]
fn older_copies_go_with_the_fence() {
    // As few steps as can be, since it takes two preemptions at the right ones: records of one block, and one
    // or two puts before, so that the new record is linked before the old one in the order of the scan.
    explore("two copies and the hand", 20_000, || {
        let s = Arc::new(section(Mode::Owner, 5));
        let before = if thread_rng().gen_bool(0.5) { 4 } else { 8 };
        for version in (4..=before).step_by(4) {
            s.put(&rec(0, version, &value(0, version)), NOW).unwrap();
        }
        let hand = s.attach_heap().unwrap();
        let putter = {
            let s = s.clone();
            thread::spawn(move || {
                s.put(&rec(0, 12, &value(0, 12)), NOW).unwrap();
            })
        };
        let hand = thread::spawn(move || hand.sweep(5, NOW, &mut |_| Verdict::Take, &mut Vec::new()));
        assert_ne!(read(&s, 0), Some(0), "an overwritten key was absent");
        putter.join().unwrap();
        hand.join().unwrap();
        assert_eq!(read(&s, 0), Some(12));
    });
}
