//! The policies under traces: what a cache of a given size keeps, and what that does to its hit ratio.
//!
//! Every figure here follows from a seed and a list of requests with invented times: no clock is read, so the
//! same command gives the same table on every machine.

pub mod adaptive;
pub mod family;
pub mod hand;
pub mod lists;
pub mod oracle;
pub mod queues;
pub mod random;
pub mod report;
pub mod section;
pub mod sessions;
pub mod trace;

/// A cache as the simulator drives it: it remembers keys, not values.
pub trait Model {
    /// A request for a key: true if it was here. On a miss the key comes in.
    fn request(&mut self, at: usize, request: &trace::Request) -> bool;

    /// The session was destroyed.
    fn remove(&mut self, request: &trace::Request);
}

/// Replays a trace; returns hits and requests.
pub fn replay(model: &mut dyn Model, trace: &trace::Trace) -> Score {
    let mut score = Score::default();
    for (at, request) in trace.requests.iter().enumerate() {
        match request.op {
            trace::Op::Delete => model.remove(request),
            trace::Op::Get => {
                score.requests += 1;
                score.hits += u64::from(model.request(at, request));
            }
        }
    }
    score
}

/// What came of a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Requests that found their key.
    pub hits: u64,
    /// All requests.
    pub requests: u64,
}

impl Score {
    /// Hits in percent.
    pub fn percent(self) -> f64 {
        100.0 * self.hits as f64 / (self.requests.max(1)) as f64
    }
}
