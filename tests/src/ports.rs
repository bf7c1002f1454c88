//! Ports that stay ours across a restart.
//!
//! A port handed out by the kernel may become the local end of anybody's outgoing connection while
//! its node is down, and then the restart fails for a reason that is not the product's. So nodes that
//! tests restart get ports below the ephemeral range, reserved among all test processes of this
//! machine by a lock on a file (the kernel drops the lock with the process, however it dies).

use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::net::TcpListener;
use std::sync::Mutex;

/// Ports in one block: one family needs four RESP ports, one HTTP port and a few TLS ones.
pub const BLOCK: u16 = 20;

/// A node without an explicit HTTP port listens on its RESP port + 2000, so blocks begin only in the
/// first 2000 of every 4000 ports: the second 2000 belong to those listeners.
const REGIONS: [u16; 4] = [12_000, 16_000, 20_000, 24_000];
const REGION: u16 = 2_000;

static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// Reserves [`BLOCK`] consecutive free ports for the life of this process and returns the first.
pub fn reserve() -> u16 {
    let dir = std::env::temp_dir().join("gs-tests-ports");
    std::fs::create_dir_all(&dir).expect("the directory of port locks can be made");
    let per_region = REGION / BLOCK;
    let total = per_region * REGIONS.len() as u16;
    // Test processes start at different places, so that they rarely ask for the same block.
    let start = (std::process::id() as u16).wrapping_mul(7) % total;
    for step in 0..total {
        let nth = (start + step) % total;
        let base = REGIONS[usize::from(nth / per_region)] + nth % per_region * BLOCK;
        let lock = File::create(dir.join(base.to_string())).expect("a port lock file can be made");
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (base..base + BLOCK).all(free) && (base + 2_000..base + 2_000 + BLOCK).all(free) {
            HELD.lock().expect("no test panics while it holds this").push(lock);
            return base;
        }
    }
    panic!("no block of {BLOCK} free ports between {} and {}", REGIONS[0], REGIONS[3] + REGION);
}
