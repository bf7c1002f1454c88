//! Belady's optimum: it knows the future.

use std::collections::BinaryHeap;

use super::Model;
use super::trace::{Request, Trace};

/// Evicts what is needed the latest (MIN, 1966). A deleted session is needed never.
pub struct Belady {
    next: Vec<u32>,
    /// When each key that is here is needed next.
    due: Vec<Option<u32>>,
    /// The same, the latest on top, with entries that are out of date.
    heap: BinaryHeap<(u32, u32)>,
    held: usize,
    room: usize,
}

impl Belady {
    /// A cache of `room` keys for this trace.
    pub fn new(trace: &Trace, room: usize) -> Belady {
        let due = vec![None; trace.keys as usize];
        Belady { next: trace.next_use(), due, heap: BinaryHeap::new(), held: 0, room }
    }
}

impl Model for Belady {
    fn request(&mut self, at: usize, request: &Request) -> bool {
        let key = request.key as usize;
        let hit = self.due[key].is_some();
        if !hit {
            while self.held >= self.room {
                let Some((due, victim)) = self.heap.pop() else { break };
                if self.due[victim as usize] == Some(due) {
                    self.due[victim as usize] = None;
                    self.held -= 1;
                }
            }
            self.held += 1;
        }
        self.due[key] = Some(self.next[at]);
        self.heap.push((self.next[at], request.key));
        hit
    }

    fn remove(&mut self, request: &Request) {
        if self.due[request.key as usize].take().is_some() {
            self.held -= 1;
        }
    }
}
