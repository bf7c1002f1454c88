//! What is known of each command: calls, failures, refusals, and how long it took.

use super::{LANES, add, lane};
use crate::commands::{Command, table};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Steps of a doubling: a time is known to one sixteenth.
const STEPS: usize = 16;
/// Doublings from 1024 ns (times below share the first) to half a minute.
const DOUBLINGS: usize = 26;
/// Bits of the shortest time that is told apart from shorter ones by a doubling of its own.
const FIRST_BITS: u32 = 10;

/// How often a command took how long.
#[derive(Debug)]
struct Histogram([AtomicU64; STEPS * DOUBLINGS]);

/// The place of a time in a histogram.
fn place(nanos: u64) -> usize {
    let bits = u64::BITS - nanos.leading_zeros();
    let doubling = bits.saturating_sub(FIRST_BITS);
    // In the first, a step is 64 ns; in the others a sixteenth of the time they begin with.
    let shift = if doubling == 0 { FIRST_BITS - 4 } else { FIRST_BITS - 5 + doubling };
    let step = (nanos >> shift) as usize % STEPS;
    (doubling as usize * STEPS + step).min(STEPS * DOUBLINGS - 1)
}

/// The first time that lies beyond a place.
fn end_nanos(place: usize) -> u64 {
    let (doubling, step) = (place / STEPS, (place % STEPS) as u64);
    if doubling == 0 {
        return (step + 1) << (FIRST_BITS - 4);
    }
    let shift = FIRST_BITS - 5 + doubling as u32;
    (STEPS as u64 + step + 1) << shift
}

/// One command, for the threads of one lane.
#[derive(Debug, Default)]
struct Cell {
    calls: AtomicU64,
    failed: AtomicU64,
    rejected: AtomicU64,
    nanos: AtomicU64,
    /// Made when the command first ran: most commands never do.
    times: OnceLock<Box<Histogram>>,
}

/// What is known of one command since a line was drawn under it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Times it ran.
    pub calls: u64,
    /// Times it ran and answered an error.
    pub failed: u64,
    /// Times it was refused before it ran.
    pub rejected: u64,
    /// Nanoseconds it ran in all.
    pub nanos: u64,
}

impl Totals {
    /// What came after `earlier`.
    #[must_use]
    pub fn since(self, earlier: Totals) -> Totals {
        Totals {
            calls: self.calls.saturating_sub(earlier.calls),
            failed: self.failed.saturating_sub(earlier.failed),
            rejected: self.rejected.saturating_sub(earlier.rejected),
            nanos: self.nanos.saturating_sub(earlier.nanos),
        }
    }
}

/// How long a command took, call by call.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<u64>);

impl Times {
    /// Calls whose time is known.
    pub fn calls(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The time that `percent` of the calls did not exceed, in microseconds.
    pub fn percentile_usec(&self, percent: f64) -> f64 {
        let wanted = (self.calls() as f64 * percent / 100.0).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (place, count) in self.0.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return (end_nanos(place) - 1) as f64 / 1000.0;
            }
        }
        0.0
    }

    /// Upper ends in microseconds, doubling, with the calls up to there: what LATENCY HISTOGRAM shows.
    pub fn cumulative(&self) -> Vec<(u64, u64)> {
        let (mut out, mut seen) = (Vec::new(), 0);
        for (doubling, steps) in self.0.chunks(STEPS).enumerate() {
            let here: u64 = steps.iter().sum();
            if here > 0 {
                seen += here;
                out.push((end_nanos(doubling * STEPS + STEPS - 1) / 1000, seen));
            }
        }
        out
    }
}

/// What was known of every command at one moment, in the table's order.
type Line = Box<[(Totals, Times)]>;

/// Every command's [`Cell`], by lane and then in the table's order.
#[derive(Debug)]
pub(super) struct Commands {
    lanes: Box<[Box<[Cell]>]>,
    /// What [`Commands::reset`] drew a line under.
    zero: parking_lot::Mutex<Option<Line>>,
}

impl Default for Commands {
    fn default() -> Self {
        let lane = || (0..table::COMMANDS.len()).map(|_| Cell::default()).collect();
        Commands { lanes: (0..LANES).map(|_| lane()).collect(), zero: Default::default() }
    }
}

impl Commands {
    /// `calls` of one command took `nanos` together.
    pub(super) fn ran(&self, row: usize, calls: u64, nanos: u64, keep_times: bool) {
        let lane = lane();
        let cell = &self.lanes[lane][row];
        add(&cell.calls, lane, calls);
        add(&cell.nanos, lane, nanos);
        if keep_times {
            let times = cell
                .times
                .get_or_init(|| Box::new(Histogram([const { AtomicU64::new(0) }; STEPS * DOUBLINGS])));
            add(&times.0[place(nanos / calls.max(1))], lane, calls);
        }
    }

    pub(super) fn failed(&self, row: usize) {
        let lane = lane();
        add(&self.lanes[lane][row].failed, lane, 1);
    }

    pub(super) fn rejected(&self, row: usize) {
        let lane = lane();
        add(&self.lanes[lane][row].rejected, lane, 1);
    }

    /// Since the start.
    pub(super) fn totals(&self, row: usize) -> Totals {
        let sum = |of: fn(&Cell) -> &AtomicU64| {
            self.lanes.iter().map(|lane| of(&lane[row]).load(Ordering::Relaxed)).sum()
        };
        Totals {
            calls: sum(|cell| &cell.calls),
            failed: sum(|cell| &cell.failed),
            rejected: sum(|cell| &cell.rejected),
            nanos: sum(|cell| &cell.nanos),
        }
    }

    fn times(&self, row: usize) -> Times {
        let mut all = Times::default();
        for histogram in self.lanes.iter().filter_map(|lane| lane[row].times.get()) {
            all.0.resize(STEPS * DOUBLINGS, 0);
            for (sum, count) in all.0.iter_mut().zip(&histogram.0) {
                *sum += count.load(Ordering::Relaxed);
            }
        }
        all
    }

    /// Draws a line under everything.
    pub(super) fn reset(&self) {
        let rows = 0..table::COMMANDS.len();
        *self.zero.lock() = Some(rows.map(|row| (self.totals(row), self.times(row))).collect());
    }

    /// Since the line.
    pub(super) fn since_reset(&self, row: &'static Command) -> (Totals, Times) {
        let i = table::index(row);
        let (totals, mut times) = (self.totals(i), self.times(i));
        match self.zero.lock().as_ref().and_then(|zero| zero.get(i)) {
            Some((before, earlier)) => {
                for (now, then) in times.0.iter_mut().zip(&earlier.0) {
                    *now = now.saturating_sub(*then);
                }
                (totals.since(*before), times)
            }
            None => (totals, times),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A percentile is read off the place of a time: its end must lie beyond the time, and not far beyond.
    #[test]
    fn every_time_lies_in_its_place() {
        for nanos in (0..3_000).chain((12..34).flat_map(|bits| [(1 << bits) - 1, 1 << bits, (1 << bits) + 7]))
        {
            let place = place(nanos);
            assert!(end_nanos(place) > nanos, "{nanos}");
            assert!(place == 0 || end_nanos(place - 1) <= nanos, "{nanos}");
        }
        assert_eq!(place(u64::MAX), STEPS * DOUBLINGS - 1);
    }

    #[test]
    fn percentiles_are_of_calls_and_ends_add_up() {
        let commands = Commands::default();
        commands.ran(0, 98, 98 * 1_500, true);
        commands.ran(0, 2, 2 * 1_000_000, true);
        let times = commands.times(0);
        assert_eq!(times.calls(), 100);
        assert!((1.5..1.7).contains(&times.percentile_usec(50.0)), "{}", times.percentile_usec(50.0));
        assert!((1_000.0..1_070.0).contains(&times.percentile_usec(99.0)));
        assert_eq!(times.cumulative(), [(2, 98), (1048, 100)]);
        assert_eq!(
            commands.totals(0),
            Totals { calls: 100, nanos: 98 * 1_500 + 2_000_000, ..Totals::default() }
        );
    }
}
