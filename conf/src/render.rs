//! The table as text: CONFIG GET, the options part of `--help`, and `REFERENCE.md`.

use std::fmt::Write as _;

use crate::options::Config;
use crate::redis;
use crate::row::{Form, Row};
use crate::table::{CLIENT_ENV_PREFIX, ENV_PREFIX, client_rows, rows};
use crate::value::Value;
use crate::words::{OnFull, Role};

/// What is shown in the place of a secret.
const HIDDEN: &str = "(hidden)";

/// Every parameter whose name matches the pattern (Redis's glob, any case), under Redis's names and ours, sorted.
///
/// Secrets are never shown: `""` when unset, else `(hidden)`.
#[must_use]
pub fn config_get(config: &Config, pattern: &str) -> Vec<(String, String)> {
    let mut all = config_all(config);
    all.retain(|(name, _)| glob(pattern.as_bytes(), name.as_bytes()));
    all
}

/// Every parameter there is, as [`config_get`] with `*`.
#[must_use]
pub fn config_all(config: &Config) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> =
        redis::CONSTANTS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    all.push(("client-output-buffer-limit".to_owned(), redis::output_limits(config)));
    for (name, row, value) in shown(config) {
        // The same word for both (`port`, `bind`, ...) is listed once, in Redis's form.
        if let Some(alias) = row.redis {
            all.push((alias.name.to_owned(), as_redis(config, row, alias.form, &value)));
        }
        if row.redis.is_none_or(|alias| alias.name != name) {
            all.push((name, if row.secret { hide(&value) } else { value.show() }));
        }
    }
    all.sort();
    all
}

/// Name, row and value of every option of a configuration.
fn shown(config: &Config) -> Vec<(String, &'static Row, Value)> {
    let mut values = Vec::new();
    config.show(&mut values);
    config.section.show(&mut values);
    config.aging.show(&mut values);
    config.journal.show(&mut values);
    config.stream.show(&mut values);
    config.limits.show(&mut values);
    config.tls.show(&mut values);
    config.link.show(&mut values);
    config.log.show(&mut values);
    config.watch.show(&mut values);
    // The same order as the table's (a test compares every value with its default).
    let mut all: Vec<_> = rows().zip(values).map(|(row, value)| (row.name.to_owned(), row, value)).collect();
    for path in &config.paths {
        let mut values = Vec::new();
        path.show(&mut values);
        let path_rows = rows().filter(|row| row.name.starts_with("paths."));
        all.extend(path_rows.zip(values).map(|(row, value)| (row.name.replace('*', &path.name), row, value)));
    }
    all
}

fn as_redis(config: &Config, row: &Row, form: Form, value: &Value) -> String {
    match form {
        Form::Same if row.secret => hide(value),
        Form::Same => value.show(),
        Form::Seconds => (value.int() / 1000).to_string(),
        Form::Secret => hide(value),
        Form::YesNo => if *value == Value::Bool(true) { "yes" } else { "no" }.to_owned(),
        Form::LogLevel => redis::log_level(value.text()).to_owned(),
        Form::Port => value.text().parse::<u16>().unwrap_or(0).to_string(),
        Form::Eviction => match (config.section.on_full, config.role) {
            // A relay without relief evicts; with one, nothing is lost to make room.
            (OnFull::Drop, _) | (OnFull::Auto, Role::Relay) => "allkeys-lru".to_owned(),
            _ => "noeviction".to_owned(),
        },
    }
}

/// A secret, as it may be shown.
pub(crate) fn hide(value: &Value) -> String {
    if value.text().is_empty() { String::new() } else { HIDDEN.to_owned() }
}

/// The options as lines for `--help`: name, what it takes, default, doc.
#[must_use]
pub fn help() -> String {
    let mut out = String::new();
    for row in rows() {
        let name = row.name.replace('*', "<name>");
        let flag = row.flag.map(|flag| format!(" ({flag})")).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "  {name}{flag}\n      {} [{}; {}]",
            row.doc.trim(),
            row.kind.takes(),
            default_of(row)
        );
    }
    out
}

/// `REFERENCE.md`.
#[must_use]
pub fn reference() -> String {
    let mut out = String::from(
        "# Configuration reference\n\n\
         Generated from the table of options; do not edit (`UPDATE=1 cargo test -p gs-conf` writes it anew).\n\n\
         Layers, each over the one before: the role's defaults, the file (`.toml`; `.yaml` and `.json5` by \
         extension; `.conf` is the JSON with comments of `global_session`), the environment, the command line \
         (`--set key=value`, or the flag named here). An array in a higher layer replaces the lower one. Numbers of \
         bytes may be written `64kb`, `256mb`, `1gb` (powers of 1024; `k`, `m`, `g` are powers of 1000), times in \
         ms or as `5s`, `10m`, `1h`, `1d`.\n\n## A node (`gs-server`)\n",
    );
    section(&mut out, rows(), ENV_PREFIX);
    out.push_str("\n## The client library (`client.toml`)\n");
    section(&mut out, client_rows(), CLIENT_ENV_PREFIX);
    out.push_str("\n## Answered by CONFIG GET as constants\n\n");
    for (name, value) in redis::CONSTANTS {
        let _ = writeln!(out, "- `{name}`: `{value:?}`");
    }
    out
}

fn section(out: &mut String, rows: impl Iterator<Item = &'static Row>, env_prefix: &str) {
    let mut group = None;
    for row in rows {
        let this = row.name.rsplit_once('.').map_or("", |(group, _)| group);
        if group != Some(this) {
            group = Some(this);
            let title = if this.is_empty() { "General".to_owned() } else { this.replace('*', "<name>") };
            let _ = writeln!(out, "\n### {title}\n");
        }
        let _ = writeln!(out, "- **`{}`**: {}", row.name.replace('*', "<name>"), row.doc.trim());
        let _ = write!(
            out,
            "  Takes {}. Default: {}. Environment: `{}`.",
            row.kind.takes(),
            default_of(row),
            row.env(env_prefix)
        );
        if let Some(flag) = row.flag {
            let _ = write!(out, " Flag: `{flag}`.");
        }
        if let Some(alias) = row.redis {
            let _ = write!(out, " CONFIG GET: `{}`.", alias.name);
        }
        if row.runtime {
            let with = if row.name.starts_with("aging.") { "GS.AGE POLICY" } else { "CONFIG SET" };
            let _ = write!(out, " Changes at run time with {with}.");
        }
        if row.secret {
            out.push_str(" Never shown.");
        }
        out.push('\n');
    }
}

fn default_of(row: &Row) -> String {
    let show = |text: &str| {
        if text.is_empty() { "empty".to_owned() } else { format!("`{text}`") }
    };
    match row.default.common() {
        Some(text) => show(text),
        None => Role::ALL
            .iter()
            .map(|role| format!("{role} {}", show(row.default.of(*role))))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// Redis's glob without character case, for parameter names: `*`, `?`, `[a-z]`, `\x`. Iterative: one place to go
/// back to is enough, so it takes at most pattern x text steps.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        match one(&pattern[p..], text[t]) {
            Step::Star => {
                p += 1;
                back = Some((p, t));
            }
            Step::Match(used) => {
                p += used;
                t += 1;
            }
            Step::No => {
                let Some((after_star, from)) = back else {
                    return false;
                };
                back = Some((after_star, from + 1));
                (p, t) = (after_star, from + 1);
            }
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

enum Step {
    Star,
    /// Matches one character with this much of the pattern.
    Match(usize),
    No,
}

fn one(pattern: &[u8], c: u8) -> Step {
    let same = |x: u8| x.eq_ignore_ascii_case(&c);
    match pattern {
        [] => Step::No,
        [b'*', ..] => Step::Star,
        [b'?', ..] => Step::Match(1),
        [b'\\', x, ..] => {
            if same(*x) {
                Step::Match(2)
            } else {
                Step::No
            }
        }
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|b| *b == b']') else {
                return Step::No;
            };
            let (not, set) = match &rest[..end] {
                [b'^', set @ ..] => (true, set),
                set => (false, set),
            };
            let c = c.to_ascii_lowercase();
            let mut within = false;
            let mut i = 0;
            while i < set.len() {
                if i + 2 < set.len() && set[i + 1] == b'-' {
                    let (a, b) = (set[i].to_ascii_lowercase(), set[i + 2].to_ascii_lowercase());
                    within |= (a.min(b)..=a.max(b)).contains(&c);
                    i += 3;
                } else {
                    within |= set[i].eq_ignore_ascii_case(&c);
                    i += 1;
                }
            }
            if within != not { Step::Match(end + 2) } else { Step::No }
        }
        [x, ..] => {
            if same(*x) {
                Step::Match(1)
            } else {
                Step::No
            }
        }
    }
}
