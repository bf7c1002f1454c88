//! What a trace is.

use super::random::{Random, Zipf};

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A read; what is not here is fetched, or, the first time, made.
    Get,
    /// A logout.
    Delete,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// When, in milliseconds since the trace began.
    pub at_ms: u64,
    /// The session, numbered from 0 without gaps.
    pub key: u32,
    /// What it does.
    pub op: Op,
    /// How long the session lives from here on (each request prolongs it); 0 for ever.
    pub ttl_ms: u64,
}

/// A list of requests in the order of time.
pub struct Trace {
    /// What the tables call it.
    pub name: &'static str,
    /// True where the requests are those of sessions, not draws from a distribution.
    pub sessions: bool,
    /// Number of different keys.
    pub keys: u32,
    /// The requests.
    pub requests: Vec<Request>,
}

impl Trace {
    /// A cache of this share of the keys.
    pub fn share(&self, percent: u32) -> usize {
        (self.keys as usize * percent as usize / 100).max(1)
    }

    /// For each request, the place of the next one for the same key before it is deleted; `u32::MAX` for none.
    pub fn next_use(&self) -> Vec<u32> {
        let mut next = vec![u32::MAX; self.requests.len()];
        let mut seen = vec![u32::MAX; self.keys as usize];
        for (at, request) in self.requests.iter().enumerate().rev() {
            next[at] = seen[request.key as usize];
            seen[request.key as usize] = if request.op == Op::Get { at as u32 } else { u32::MAX };
        }
        next
    }
}

/// Independent draws from a Zipf distribution, a hundred a second.
pub fn zipf(name: &'static str, keys: u32, requests: usize, skew: f64, seed: u64) -> Trace {
    let (zipf, mut random) = (Zipf::new(keys as usize, skew), Random::new(seed));
    let requests = (0..requests)
        .map(|n| Request { at_ms: n as u64 * 10, key: zipf.draw(&mut random), op: Op::Get, ttl_ms: 0 })
        .collect();
    Trace { name, sessions: false, keys, requests }
}
