//! Time of one operation: the mean of a run (throughput), and the quantiles of the operations of that run one by
//! one, each between two readings of the monotonic clock whose own cost, measured just before, is taken off.

use std::time::Instant;

use super::stats::quantile;

/// One run.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Timed {
    /// Nanoseconds per operation over the whole run, with no clock in between.
    pub mean: f64,
    /// Median of single operations.
    pub p50: f64,
    /// 99th percentile of single operations.
    pub p99: f64,
}

/// Operations timed one by one.
const SINGLES: usize = 50_000;

/// Runs `op(n)` for `n` in `0..times` without clocks, then for a part of them with. A quarter goes ahead untimed: whoever
/// was measured before has left the processor's caches full of something else.
pub fn timed(times: usize, mut op: impl FnMut(usize)) -> Timed {
    (0..times / 4).for_each(&mut op);
    let mean = mean(times, &mut op);
    let (p50, p99) = singles(times, op);
    Timed { mean, p50, p99 }
}

/// Median and 99th percentile of operations timed one by one.
fn singles(times: usize, mut op: impl FnMut(usize)) -> (f64, f64) {
    let clock = clock_ns();
    let mut singles: Vec<f64> = (0..times.min(SINGLES))
        .map(|n| {
            let start = Instant::now();
            op(n);
            (start.elapsed().as_nanos() as f64 - clock).max(0.0)
        })
        .collect();
    singles.sort_by(f64::total_cmp);
    (quantile(&singles, 0.5), quantile(&singles, 0.99))
}

/// Mean nanoseconds of `op`.
pub fn mean(times: usize, mut op: impl FnMut(usize)) -> f64 {
    let start = Instant::now();
    (0..times).for_each(&mut op);
    start.elapsed().as_nanos() as f64 / times as f64
}

/// What two readings of the clock with nothing in between say.
fn clock_ns() -> f64 {
    let mut pairs: Vec<f64> = (0..2000)
        .map(|_| {
            let start = Instant::now();
            start.elapsed().as_nanos() as f64
        })
        .collect();
    pairs.sort_by(f64::total_cmp);
    quantile(&pairs, 0.5)
}
