//! The policies that tell newcomers from regulars: ARC and S3-FIFO, from their papers; W-TinyLFU is moka's.

use std::hash::{BuildHasher, Hasher};

use super::Model;
use super::lists::Lists;
use super::trace::Request;

/// ARC (Megiddo, Modha, FAST 2003): two lists and the ghosts of what each lost; a hit on a ghost moves the border.
pub struct Arc {
    lists: Lists<4>,
    /// Room that the list of newcomers should have.
    target: usize,
    room: usize,
}

const T1: usize = 0;
const T2: usize = 1;
const B1: usize = 2;
const B2: usize = 3;

impl Arc {
    /// A cache of `room` of `keys` keys, with as many ghosts.
    pub fn new(keys: u32, room: usize) -> Arc {
        Arc { lists: Lists::new(keys), target: 0, room }
    }

    /// The present border: the room that newcomers should have.
    pub fn target(&self) -> usize {
        self.target
    }

    fn replace(&mut self, from_b2: bool) {
        let t1 = self.lists.len(T1);
        let newcomers = t1 > 0 && (t1 > self.target || (from_b2 && t1 == self.target));
        let (from, to) = if newcomers { (T1, B1) } else { (T2, B2) };
        // Deletes can leave the list that should give empty.
        let (from, to) = if self.lists.is_empty(from) { (T1 + T2 - from, B1 + B2 - to) } else { (from, to) };
        if let Some(victim) = self.lists.pop(from) {
            self.lists.to_front(to, victim);
        }
    }

    fn is_full(&self) -> bool {
        self.lists.len(T1) + self.lists.len(T2) >= self.room
    }

    fn ghost(&mut self, key: u32, from_b2: bool) {
        let (b1, b2) = (self.lists.len(B1), self.lists.len(B2));
        self.target = if from_b2 {
            self.target.saturating_sub((b1 / b2.max(1)).max(1))
        } else {
            (self.target + (b2 / b1.max(1)).max(1)).min(self.room)
        };
        if self.is_full() {
            self.replace(from_b2);
        }
        self.lists.to_front(T2, key);
    }

    fn newcomer(&mut self, key: u32) {
        let (t1, b1) = (self.lists.len(T1), self.lists.len(B1));
        if t1 + b1 >= self.room {
            if t1 < self.room {
                self.lists.pop(B1);
                if self.is_full() {
                    self.replace(false);
                }
            } else {
                self.lists.pop(T1);
            }
        } else {
            let all = t1 + b1 + self.lists.len(T2) + self.lists.len(B2);
            if all >= 2 * self.room {
                self.lists.pop(B2);
            }
            if self.is_full() {
                self.replace(false);
            }
        }
        self.lists.to_front(T1, key);
    }
}

impl Model for Arc {
    fn request(&mut self, _at: usize, request: &Request) -> bool {
        let key = request.key;
        match self.lists.of(key) {
            Some(T1 | T2) => {
                self.lists.to_front(T2, key);
                return true;
            }
            Some(B1) => self.ghost(key, false),
            Some(_) => self.ghost(key, true),
            None => self.newcomer(key),
        }
        false
    }

    fn remove(&mut self, request: &Request) {
        self.lists.take(request.key);
    }
}

/// S3-FIFO (Yang et al., SOSP 2023): a tenth of the room is a trial; who is read there twice moves on.
pub struct S3Fifo {
    lists: Lists<3>,
    reads: Vec<u8>,
    trial: usize,
    room: usize,
}

const SMALL: usize = 0;
const MAIN: usize = 1;
const GHOST: usize = 2;

impl S3Fifo {
    /// A cache of `room` of `keys` keys.
    pub fn new(keys: u32, room: usize) -> S3Fifo {
        S3Fifo { lists: Lists::new(keys), reads: vec![0; keys as usize], trial: (room / 10).max(1), room }
    }

    fn evict(&mut self) {
        while self.lists.len(SMALL) + self.lists.len(MAIN) >= self.room {
            if self.lists.len(SMALL) >= self.trial || self.lists.is_empty(MAIN) {
                self.evict_small();
            } else {
                self.evict_main();
            }
        }
    }

    fn evict_small(&mut self) {
        while let Some(key) = self.lists.pop(SMALL) {
            if self.reads[key as usize] > 1 {
                self.reads[key as usize] = 0;
                self.lists.to_front(MAIN, key);
            } else {
                self.lists.to_front(GHOST, key);
                if self.lists.len(GHOST) > self.room - self.trial.min(self.room - 1) {
                    self.lists.pop(GHOST);
                }
                return;
            }
        }
    }

    fn evict_main(&mut self) {
        while let Some(key) = self.lists.pop(MAIN) {
            let reads = &mut self.reads[key as usize];
            if *reads == 0 {
                return;
            }
            *reads -= 1;
            self.lists.to_front(MAIN, key);
        }
    }
}

impl Model for S3Fifo {
    fn request(&mut self, _at: usize, request: &Request) -> bool {
        let key = request.key;
        let place = self.lists.of(key);
        if matches!(place, Some(SMALL | MAIN)) {
            let reads = &mut self.reads[key as usize];
            *reads = (*reads + 1).min(3);
            return true;
        }
        if place == Some(GHOST) {
            self.lists.take(key);
        }
        self.evict();
        self.reads[key as usize] = 0;
        self.lists.to_front(if place == Some(GHOST) { MAIN } else { SMALL }, key);
        false
    }

    fn remove(&mut self, request: &Request) {
        self.lists.take(request.key);
    }
}

/// W-TinyLFU, as the `moka` crate has it.
pub struct TinyLfu(moka::sync::Cache<u32, (), Fixed>);

impl TinyLfu {
    /// A cache of `room` keys.
    pub fn new(room: usize) -> TinyLfu {
        let builder = moka::sync::Cache::builder().max_capacity(room as u64).initial_capacity(room);
        TinyLfu(builder.build_with_hasher(Fixed(0)))
    }
}

impl Model for TinyLfu {
    fn request(&mut self, _at: usize, request: &Request) -> bool {
        let hit = self.0.get(&request.key).is_some();
        if !hit {
            self.0.insert(request.key, ());
        }
        // Its own maintenance runs now and then, by the clock; here it runs always.
        self.0.run_pending_tasks();
        hit
    }

    fn remove(&mut self, request: &Request) {
        self.0.invalidate(&request.key);
    }
}

/// A hasher without a random seed.
#[derive(Clone, Copy, Default)]
pub struct Fixed(u64);

impl BuildHasher for Fixed {
    type Hasher = Fixed;

    fn build_hasher(&self) -> Fixed {
        Fixed(0)
    }
}

impl Hasher for Fixed {
    fn finish(&self) -> u64 {
        super::random::Random::new(self.0).bits()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |h, b| h.wrapping_mul(0x0000_0100_0000_01b3) ^ u64::from(*b));
    }
}
