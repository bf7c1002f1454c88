//! What was measured: one sample for each server, case and repetition; groups are measured apart and joined.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::section::stats::Spread;

/// Figures of one run, by name: `ops_s`, `cpu_us` (per operation), `p50_us` and so on.
pub type Figures = BTreeMap<String, f64>;

/// One run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// What was done, for instance `GET`.
    pub case: String,
    /// Requests under way on each connection.
    pub pipeline: usize,
    /// Bytes of a value.
    pub bytes: usize,
    /// Which server.
    pub server: String,
    /// Which repetition.
    pub rep: usize,
    /// What came out.
    pub figures: Figures,
}

/// A group of cases that are measured together.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Group {
    /// Versions of the servers, by name.
    pub servers: BTreeMap<String, String>,
    /// The commit that was measured.
    #[serde(default)]
    pub revision: String,
    /// Sessions that were preloaded.
    pub keys: u64,
    /// How long it took, in seconds.
    pub took_s: f64,
    /// What must be known to read it.
    pub notes: Vec<String>,
    /// The runs.
    pub samples: Vec<Sample>,
}

/// Everything.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Results {
    /// The machine.
    pub machine: Value,
    /// Groups by name.
    pub groups: BTreeMap<String, Group>,
}

/// What identifies a row of a table: case, bytes, pipeline, server.
pub type Row = (String, usize, usize, String);

impl Results {
    /// Reads what an earlier run left; nothing if there is none.
    pub fn read(path: &Path) -> anyhow::Result<Results> {
        match std::fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).with_context(|| format!("reading {}", path.display())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Results::default()),
            Err(e) => Err(e).with_context(|| format!("reading {}", path.display())),
        }
    }

    /// Writes all of it.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        std::fs::write(path, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| format!("writing {}", path.display()))
    }

    /// The group of this name, empty if it was not measured.
    pub fn group(&self, name: &str) -> Group {
        self.groups.get(name).cloned().unwrap_or_default()
    }
}

impl Group {
    /// Rows in the order in which they were measured.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for Sample { case, bytes, pipeline, server, .. } in &self.samples {
            let row = (case.clone(), *bytes, *pipeline, server.clone());
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
        rows
    }

    fn of<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| {
            sample.case == row.0
                && sample.bytes == row.1
                && sample.pipeline == row.2
                && sample.server == row.3
        })
    }

    /// Median and spread of a figure over the repetitions.
    pub fn spread(&self, row: &Row, figure: &str) -> Option<Spread> {
        let values: Vec<f64> =
            self.of(row).filter_map(|sample| sample.figures.get(figure).copied()).collect();
        (!values.is_empty()).then(|| Spread::of(values))
    }

    /// Median and spread of `row / other` of a figure, repetition by repetition.
    pub fn ratio(&self, row: &Row, other: &Row, figure: &str) -> Option<Spread> {
        let theirs: BTreeMap<usize, f64> =
            self.of(other).filter_map(|sample| Some((sample.rep, *sample.figures.get(figure)?))).collect();
        let ratios: Vec<f64> = self
            .of(row)
            .filter_map(|sample| Some(sample.figures.get(figure)? / theirs.get(&sample.rep)?))
            .collect();
        (!ratios.is_empty()).then(|| Spread::of(ratios))
    }

    /// What others used of the cores, in per cent, while these rows were measured: the most of each repetition, and of
    /// those the median, as of the figures themselves. `None` where nobody asked.
    pub fn others_pct(&self, rows: &[&Row]) -> Option<f64> {
        let mut most: BTreeMap<usize, f64> = BTreeMap::new();
        for sample in rows.iter().flat_map(|row| self.of(row)) {
            if let Some(others) = sample.figures.get("others_pct") {
                let known = most.entry(sample.rep).or_insert(*others);
                *known = known.max(*others);
            }
        }
        (!most.is_empty()).then(|| Spread::of(most.into_values()).median)
    }

    /// Servers in the order in which they were measured.
    pub fn server_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for sample in &self.samples {
            if !names.contains(&sample.server) {
                names.push(sample.server.clone());
            }
        }
        names
    }

    /// The server whose version begins like this.
    pub fn server_of_version(&self, begins: &str) -> Option<String> {
        self.servers.iter().find(|(_, version)| version.starts_with(begins)).map(|(name, _)| name.clone())
    }
}
