//! CONFIG SET: options under Redis's names, judged with Redis's words.

use crate::error::ConfError;
use crate::options::Config;
use crate::row::{Form, Kind, Row};
use crate::rules;
use crate::runtime::find;

/// What Redis has and gs answers with a constant, because clients and tools ask for it at their start.
pub(crate) const CONSTANTS: &[(&str, &str)] = &[
    ("aclfile", ""),
    ("activedefrag", "no"),
    ("appendfsync", "everysec"),
    ("appendonly", "no"),
    ("cluster-enabled", "no"),
    ("daemonize", "no"),
    ("enable-debug-command", "no"),
    ("enable-module-command", "no"),
    ("hz", "10"),
    ("latency-tracking-info-percentiles", "50 99 99.9"),
    ("lfu-decay-time", "1"),
    ("lfu-log-factor", "10"),
    ("logfile", ""),
    ("protected-mode", "no"),
    ("replica-read-only", "yes"),
    ("replicaof", ""),
    ("save", ""),
    ("slave-read-only", "yes"),
    ("slaveof", ""),
    ("unixsocket", ""),
];

/// Parameters that follow from several options.
const COMPUTED: &[&str] = &["client-output-buffer-limit"];

/// Redis's words for how much is logged, each with ours.
const LOG_LEVELS: &[(&str, &str)] = &[
    ("debug", "trace"),
    ("verbose", "debug"),
    ("notice", "info"),
    ("warning", "warn"),
    ("nothing", "error"),
];

/// Redis's word for one of our levels.
pub(crate) fn log_level(own: &str) -> &'static str {
    LOG_LEVELS.iter().find(|(_, level)| *level == own).map_or("notice", |(word, _)| word)
}

/// Our word for one of Redis's levels; what is none is refused later.
pub(crate) fn own_log_level(word: &str) -> &str {
    let known = LOG_LEVELS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word));
    known.map_or(word, |(_, level)| level)
}

/// The bounds of replies and messages as Redis writes them: hard, soft and seconds of each class.
pub(crate) fn output_limits(config: &Config) -> String {
    let limits = &config.limits;
    let (hard, soft) = (limits.pubsub_buffer_bytes, limits.pubsub_soft_bytes);
    // A part of a second is one: 0 would be read as no soft bound at all.
    let seconds = limits.pubsub_soft_ms.div_ceil(1000);
    format!("normal {} 0 0 slave 0 0 0 pubsub {hard} {soft} {seconds}", limits.output_buffer_bytes)
}

/// Why CONFIG SET changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// There is no such parameter.
    #[error("Unknown option or number of arguments for CONFIG SET - '{0}'")]
    Unknown(String),
    /// One of them was refused; none was changed.
    #[error("CONFIG SET failed (possibly related to argument '{name}') - {reason}")]
    Refused {
        /// The parameter as it was written.
        name: String,
        /// Why.
        reason: String,
    },
}

/// The configuration with all of these parameters changed, and the options that were: all or nothing.
///
/// # Errors
/// One of them is unknown, cannot change while the node runs, or has no such value.
pub fn set_all(config: &Config, pairs: &[(String, String)]) -> Result<(Config, Vec<&'static Row>), SetError> {
    let mut changed = config.clone();
    let mut rows: Vec<&'static Row> = Vec::new();
    for (name, _) in pairs {
        let constant = CONSTANTS.iter().map(|(known, _)| known).chain(COMPUTED);
        if find(name).is_err() && !constant.into_iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Err(SetError::Unknown(name.clone()));
        }
    }
    for (i, (name, text)) in pairs.iter().enumerate() {
        let refused = |reason: String| SetError::Refused { name: name.clone(), reason };
        if pairs[..i].iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            return Err(refused("duplicate parameter".to_owned()));
        }
        let Ok((row, form)) = find(name) else {
            constant(name, text).map_err(refused)?;
            continue;
        };
        if !row.runtime {
            return Err(refused("can't set immutable config".to_owned()));
        }
        if row.name.starts_with("aging.") {
            return Err(refused("GS.AGE POLICY changes it, on the node that it is about".to_owned()));
        }
        judge(row, form, text).map_err(refused)?;
        changed.set(name, text).map_err(|error| refused(in_words(&error)))?;
        rows.push(row);
    }
    // What the options must be together.
    if let Some(error) = rules::node(&changed, &|_| false).first() {
        let name = pairs.first().map(|(name, _)| name.clone()).unwrap_or_default();
        return Err(SetError::Refused { name, reason: in_words(error) });
    }
    Ok((changed, rows))
}

/// A constant may be set to what it is: tools that switch persistence off are right already.
fn constant(name: &str, text: &str) -> Result<(), String> {
    let same = |(known, value): &&(&str, &str)| {
        known.eq_ignore_ascii_case(name) && value.eq_ignore_ascii_case(text.trim())
    };
    CONSTANTS.iter().find(same).map(|_| ()).ok_or_else(|| "can't set immutable config".to_owned())
}

fn in_words(error: &ConfError) -> String {
    error.to_string().replace(['\r', '\n'], " ")
}

/// Judges a value as Redis does, in its words.
fn judge(row: &Row, form: Form, text: &str) -> Result<(), String> {
    if row.name == "notify_keyspace_events" {
        let known = text.chars().all(|c| rules::EVENT_LETTERS.contains(c));
        let words = format!("Invalid event class character. Use '{}'.", rules::EVENT_LETTERS);
        return if known { Ok(()) } else { Err(words) };
    }
    match (form, row.kind) {
        (Form::YesNo, _) if text.eq_ignore_ascii_case("yes") || text.eq_ignore_ascii_case("no") => Ok(()),
        (Form::YesNo, _) => Err("argument must be 'yes' or 'no'".to_owned()),
        (Form::LogLevel, _) => one_of(text, LOG_LEVELS.iter().map(|(word, _)| *word)),
        (_, Kind::Choice(words)) => one_of(text, words.iter().copied()),
        (Form::Seconds, Kind::Millis { min, max }) => whole(text, min / 1000, max / 1000),
        (Form::Same, Kind::Bytes { .. }) if crate::parse_bytes(text).is_none() => {
            Err("argument must be a memory value".to_owned())
        }
        (_, Kind::Share { .. }) if text.ends_with('%') => match crate::size::parse_percent(text) {
            Some(_) => Ok(()),
            None => Err("percentage argument must be less or equal to 100".to_owned()),
        },
        (_, Kind::Share { .. }) if crate::parse_bytes(text).is_none_or(|bytes| bytes < 0) => {
            Err("argument must be a memory or percent value".to_owned())
        }
        // By our own names times and bytes may have units, which Redis's words know nothing of.
        (Form::Same, Kind::Millis { min, max }) if text.parse::<i64>().is_ok() => whole(text, min, max),
        (Form::Same, Kind::Millis { .. }) if crate::parse_millis(text).is_some() => Ok(()),
        (Form::Same, Kind::Integer { min, max } | Kind::Millis { min, max }) => whole(text, min, max),
        _ => Ok(()),
    }
}

fn one_of<'a>(text: &str, words: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let words: Vec<&str> = words.collect();
    match words.iter().any(|word| word.eq_ignore_ascii_case(text)) {
        true => Ok(()),
        false => Err(format!("argument(s) must be one of the following: {}", words.join(", "))),
    }
}

fn whole(text: &str, min: i64, max: i64) -> Result<(), String> {
    let number: i64 = text.parse().map_err(|_| "argument couldn't be parsed into an integer".to_owned())?;
    match (min..=max).contains(&number) {
        true => Ok(()),
        false => Err(format!("argument must be between {min} and {max} inclusive")),
    }
}
