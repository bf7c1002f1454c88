//! The section beside others: rows of repetitions that were interleaved, and the ratios repetition by repetition.

use serde_json::{Value, json};

use super::stats::Spread;
use super::timing::Timed;

/// What was measured of one cache, a value for each repetition.
#[derive(Default)]
pub struct Row {
    what: String,
    timed: Vec<Timed>,
    cpu: Vec<f64>,
}

impl Row {
    /// Nothing yet.
    pub fn new(what: impl Into<String>) -> Row {
        Row { what: what.into(), ..Row::default() }
    }

    /// One repetition; `cpu` if others than the caller worked for it.
    pub fn add(&mut self, timed: Timed, cpu: Option<f64>) {
        self.timed.push(timed);
        self.cpu.extend(cpu);
    }

    fn means(&self) -> impl Iterator<Item = f64> {
        self.timed.iter().map(|timed| timed.mean)
    }

    fn singles(&self) -> impl Iterator<Item = f64> {
        self.timed.iter().map(|timed| timed.p50)
    }

    /// Time of one in a row of many.
    pub fn in_a_row(&self) -> Spread {
        Spread::of(self.means())
    }

    /// Median of single ones.
    pub fn single(&self) -> Spread {
        Spread::of(self.singles())
    }
}

/// Rows beside the first one, which is the section's.
pub struct Table(pub Vec<Row>);

impl Table {
    fn row(&self, what: &str) -> Option<&Row> {
        self.0.iter().find(|row| row.what == what)
    }

    /// The section's time as a multiple of another's: in a row, and of single ones.
    pub fn ratios(&self, what: &str) -> [Spread; 2] {
        let (Some(ours), Some(other)) = (self.0.first(), self.row(what)) else {
            return [Spread::of([]), Spread::of([])];
        };
        let by = |ours: f64, other: f64| ours / other;
        [
            Spread::of(ours.means().zip(other.means()).map(|(a, b)| by(a, b))),
            Spread::of(ours.singles().zip(other.singles()).map(|(a, b)| by(a, b))),
        ]
    }

    /// Prints all rows.
    pub fn print(&self) {
        let [row, single] = ["ns each, in a row", "ns single, p50"];
        println!(
            "{:<22} {row:>20} {:>18} {single:>20} {:>18} {:>18}",
            "what", "section / it", "section / it", "CPU ns"
        );
        for at in &self.0 {
            let [by_row, by_single] = self.ratios(&at.what);
            let cpu = if at.cpu.is_empty() { String::new() } else { Spread::of(at.cpu.clone()).to_string() };
            println!(
                "{:<22} {:>20} {by_row:>18} {:>20} {by_single:>18} {cpu:>18}",
                at.what,
                at.in_a_row(),
                at.single()
            );
        }
    }

    /// All rows.
    pub fn json(&self) -> Value {
        let row = |row: &Row| {
            let [by_row, by_single] = self.ratios(&row.what);
            json!({
                "what": row.what, "ns": row.in_a_row(), "single_p50": row.single(),
                "ratio": by_row, "ratio_single": by_single,
                "cpu_ns": (!row.cpu.is_empty()).then(|| Spread::of(row.cpu.clone())),
            })
        };
        self.0.iter().map(row).collect()
    }
}
