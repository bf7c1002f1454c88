//! What should remember which sessions live downstream? A counting filter costs two bytes a key, the exact
//! directory of the server several times that. This program measures both at the same number of keys: memory,
//! the share of unknown keys that cost a question, and the keys that are *forgotten* when hand-offs and drops
//! are heard more than once, as happens after every broken link.
//!
//! `cargo run --release -p benchmarks --bin directory -- 10000000`

// A benchmark measures time.
#![allow(clippy::disallowed_methods)]

use gs_client::cache::KeyId;
use gs_server::core::directory::Directory;
use std::time::Instant;

/// A cuckoo filter (Fan et al. 2014): 16-bit fingerprints, four to a bucket.
struct Cuckoo {
    buckets: Vec<[u16; 4]>,
    mask: u64,
    random: u64,
}

impl Cuckoo {
    fn new(keys: usize) -> Cuckoo {
        let buckets = (keys as f64 / 4.0 / 0.90).ceil() as usize;
        let buckets = buckets.next_power_of_two();
        Cuckoo { buckets: vec![[0; 4]; buckets], mask: buckets as u64 - 1, random: 88172645463325252 }
    }

    fn places(&self, id: &KeyId) -> (u16, u64, u64) {
        let print = ((id.hi >> 48) as u16).max(1);
        let first = id.lo & self.mask;
        (print, first, self.other(first, print))
    }

    fn other(&self, place: u64, print: u16) -> u64 {
        (place ^ u64::from(print).wrapping_mul(0x5bd1_e995_9d1b_58d3)) & self.mask
    }

    fn insert(&mut self, id: &KeyId) -> bool {
        let (mut print, first, second) = self.places(id);
        for place in [first, second] {
            if let Some(slot) = self.buckets[place as usize].iter_mut().find(|slot| **slot == 0) {
                *slot = print;
                return true;
            }
        }
        let mut place = second;
        for _ in 0..500 {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            std::mem::swap(&mut self.buckets[place as usize][(self.random & 3) as usize], &mut print);
            place = self.other(place, print);
            if let Some(slot) = self.buckets[place as usize].iter_mut().find(|slot| **slot == 0) {
                *slot = print;
                return true;
            }
        }
        false
    }

    fn contains(&self, id: &KeyId) -> bool {
        let (print, first, second) = self.places(id);
        [first, second].iter().any(|place| self.buckets[*place as usize].contains(&print))
    }

    fn remove(&mut self, id: &KeyId) {
        let (print, first, second) = self.places(id);
        for place in [first, second] {
            if let Some(slot) = self.buckets[place as usize].iter_mut().find(|slot| **slot == print) {
                *slot = 0;
                return;
            }
        }
    }
}

fn id(n: u64, salt: u64) -> KeyId {
    let mix = |mut x: u64| {
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    let n = n | salt << 40;
    KeyId { hi: mix(n), lo: mix(n.wrapping_add(0x9e37_79b9_7f4a_7c15)) }
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// Runs one contender through the same history and prints a row.
fn row(name: &str, keys: u64, bytes: f64, mut contains: impl FnMut(&KeyId) -> bool, built: f64) {
    let started = Instant::now();
    let asked = (0..keys).filter(|n| contains(&id(*n, 1))).count();
    let unknown_ns = started.elapsed().as_nanos() as f64 / keys as f64;
    // Every second key was dropped; the others still live downstream.
    let forgotten = (0..keys).filter(|n| n % 2 == 0 && !contains(&id(*n, 0))).count();
    println!(
        "{name:<18} {:>9.1} {:>12.2e} {:>12} {:>12.0} {built:>12.0}",
        bytes / keys as f64,
        asked as f64 / keys as f64,
        forgotten,
        unknown_ns
    );
}

fn main() {
    let keys: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    println!(
        "{keys} keys handed off, 1 in 100 heard twice; then every second one dropped, 1 in 100 heard twice"
    );
    println!(
        "{:<18} {:>9} {:>12} {:>12} {:>12} {:>12}",
        "", "bytes/key", "false asks", "forgotten", "ns/unknown", "ns/hand-off"
    );
    let mut cuckoo = Cuckoo::new(keys as usize);
    let started = Instant::now();
    let mut refused = 0;
    for n in 0..keys {
        for _ in 0..if n % 100 == 0 { 2 } else { 1 } {
            refused += u64::from(!cuckoo.insert(&id(n, 0)));
        }
    }
    let built = started.elapsed().as_nanos() as f64 / keys as f64;
    for n in (0..keys).filter(|n| n % 2 == 1) {
        for _ in 0..if n % 101 == 1 { 2 } else { 1 } {
            cuckoo.remove(&id(n, 0));
        }
    }
    let bytes = (cuckoo.buckets.len() * 8) as f64;
    row("cuckoo, 16 bits", keys, bytes, |id| cuckoo.contains(id), built);
    println!("{:<18} {refused} hand-offs found no place", "");
    drop(cuckoo);

    let before = resident_bytes();
    let directory = Directory::default();
    let started = Instant::now();
    for n in 0..keys {
        for _ in 0..if n % 100 == 0 { 2 } else { 1 } {
            directory.insert(&id(n, 0), 0, 1 + (n % 7) as u16, n, n);
        }
    }
    let built = started.elapsed().as_nanos() as f64 / keys as f64;
    let bytes = resident_bytes().saturating_sub(before) as f64;
    for n in (0..keys).filter(|n| n % 2 == 1) {
        for _ in 0..if n % 101 == 1 { 2 } else { 1 } {
            directory.remove(&id(n, 0), 0, 1 + (n % 7) as u16, n);
        }
    }
    row("exact directory", keys, bytes, |id| directory.is_below(id), built);
}
