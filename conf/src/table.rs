//! The whole table of options, and its names.

use std::collections::BTreeMap;

use crate::client::{ClientConfig, ClientSection};
use crate::options::{Aging, Config, Journal, Limits, Link, Log, PathConfig, Section, Stream, Tls, Watch};
use crate::row::Row;
use crate::words::Role;

/// What the environment variables of a node begin with (two underscores follow).
pub const ENV_PREFIX: &str = "GSCACHE";
/// What the environment variables of the client library begin with.
pub const CLIENT_ENV_PREFIX: &str = "GSCLIENT";

/// Every option of a node, in the order of the reference.
pub fn rows() -> impl Iterator<Item = &'static Row> + Clone {
    [
        Config::ROWS,
        Section::ROWS,
        Aging::ROWS,
        Journal::ROWS,
        Stream::ROWS,
        Limits::ROWS,
        Tls::ROWS,
        Link::ROWS,
        Log::ROWS,
        Watch::ROWS,
        PathConfig::ROWS,
    ]
    .into_iter()
    .flatten()
}

/// Every option of the client library.
pub fn client_rows() -> impl Iterator<Item = &'static Row> + Clone {
    [ClientConfig::ROWS, ClientSection::ROWS, Link::ROWS].into_iter().flatten()
}

/// One table with its environment prefix: what loading needs to know.
pub(crate) struct Table {
    rows: BTreeMap<&'static str, &'static Row>,
    pub(crate) env_prefix: &'static str,
}

impl Table {
    pub(crate) fn node() -> Table {
        Table { rows: rows().map(|row| (row.name, row)).collect(), env_prefix: ENV_PREFIX }
    }

    pub(crate) fn client() -> Table {
        Table { rows: client_rows().map(|row| (row.name, row)).collect(), env_prefix: CLIENT_ENV_PREFIX }
    }

    /// The row of a key as it was written: `paths.sess.prefix` has the row `paths.*.prefix`.
    pub(crate) fn row(&self, key: &str) -> Option<&'static Row> {
        self.rows.get(key).or_else(|| self.rows.get(wildcard(key)?.as_str())).copied()
    }

    /// True when options lie below this key.
    pub(crate) fn is_group(&self, key: &str) -> bool {
        let mut parts = key.split('.');
        if parts.next() == Some("paths") && self.row("paths.x.prefix").is_some() && parts.clone().count() < 2
        {
            return true;
        }
        let prefix = format!("{key}.");
        self.rows.keys().any(|name| name.starts_with(&prefix))
    }

    /// The names that are allowed beside a key that is not: those of the deepest group on its path that exists.
    pub(crate) fn allowed(&self, key: &str) -> Vec<String> {
        let mut group = key;
        while let Some((parent, _)) = group.rsplit_once('.') {
            if self.is_group(parent) {
                return self.names_in(parent);
            }
            group = parent;
        }
        self.names_in("")
    }

    /// The full names directly in a group; groups below it as `name.*`.
    fn names_in(&self, group: &str) -> Vec<String> {
        if group == "paths" {
            return vec!["paths.<name>.*".to_owned()];
        }
        let prefix = if group.is_empty() { String::new() } else { format!("{group}.") };
        let pattern = if group.starts_with("paths.") { "paths.*.".to_owned() } else { prefix.clone() };
        let mut names: Vec<String> = Vec::new();
        for name in self.rows.keys().filter_map(|name| name.strip_prefix(pattern.as_str())) {
            let shown = match name.split_once('.') {
                Some((below, _)) => format!("{prefix}{below}.*"),
                None => format!("{prefix}{name}"),
            };
            if !names.contains(&shown) {
                names.push(shown);
            }
        }
        names
    }

    /// The option whose name is nearest to a wrong one, if any is near.
    pub(crate) fn nearest(&self, key: &str) -> Option<String> {
        let given = wildcard(key).unwrap_or_else(|| key.to_owned());
        let path_name = key.split('.').nth(1).unwrap_or("*");
        self.rows
            .keys()
            .map(|name| (distance(&given, name), *name))
            .min()
            .filter(|(distance, _)| *distance <= 3)
            .map(|(_, name)| name.replace('*', path_name))
    }

    /// The default of every option that has one name, judged. Those of paths come under `paths.*.KEY`.
    pub(crate) fn defaults(&self, role: Role) -> BTreeMap<&'static str, crate::value::Value> {
        self.rows
            .values()
            .map(|row| {
                let raw = crate::value::Raw::Text(row.default.of(role).to_owned());
                // A test judges every default of every role; none is refused.
                let value = row.kind.judge(&raw).unwrap_or(crate::value::Value::Int(0));
                (row.name, value)
            })
            .collect()
    }
}

/// The name in the table of a key of a path: `paths.sess.prefix` → `paths.*.prefix`.
pub(crate) fn wildcard(key: &str) -> Option<String> {
    let (name, option) = key.strip_prefix("paths.")?.split_once('.')?;
    (!name.is_empty()).then(|| format!("paths.*.{option}"))
}

/// Edits that turn one text into the other (Levenshtein), for suggestions.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut line: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut corner = line[0];
        line[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let next = line[j + 1];
            line[j + 1] = (corner + usize::from(from != *to)).min(line[j] + 1).min(next + 1);
            corner = next;
        }
    }
    line[b.len()]
}
