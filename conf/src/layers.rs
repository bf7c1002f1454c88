//! Reads one layer into flat `key = raw value` pairs. The `config` crate knows the formats; nothing is coerced here.

use config::{Environment, File, FileFormat, Map, Source, Value as Parsed, ValueKind};

use crate::error::{ConfError, Origin, without_source};
use crate::value::Raw;

/// One key as a layer says it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Said {
    pub(crate) key: String,
    pub(crate) raw: Raw,
    pub(crate) origin: Origin,
}

/// The format that a file's name asks for; TOML unless it says otherwise.
pub(crate) fn format_of(extension: &str) -> (FileFormat, &'static str) {
    match extension.to_ascii_lowercase().as_str() {
        "yaml" | "yml" => (FileFormat::Yaml, "YAML"),
        "json" | "json5" => (FileFormat::Json5, "JSON"),
        _ => (FileFormat::Toml, "TOML"),
    }
}

/// A file's text.
pub(crate) fn file(text: &str, extension: &str, origin: &Origin) -> Result<Vec<Said>, ConfError> {
    let (format, name) = format_of(extension);
    let parsed = File::from_str(text, format).collect().map_err(|error| ConfError::Syntax {
        origin: origin.clone(),
        format: name,
        reason: without_source(&error.to_string()),
    })?;
    Ok(flatten(parsed, origin))
}

/// The environment: every variable `PREFIX__A__B` says the key `a.b`. Values stay text (`try_parsing` would turn the
/// password "007" into 7).
pub(crate) fn environment(variables: &[(String, String)], prefix: &str) -> Vec<Said> {
    let source: Map<String, String> = variables.iter().cloned().collect();
    let environment = Environment::with_prefix(prefix)
        .prefix_separator("__")
        .separator("__")
        .try_parsing(false)
        .source(Some(source));
    // Collecting from given text cannot fail: only non-Unicode values can, and these are `String`s.
    flatten(environment.collect().unwrap_or_default(), &Origin::Environment)
}

/// The command line, or a file of the ancestors translated: pairs of key and text.
pub(crate) fn pairs(pairs: &[(String, String)], origin: &Origin) -> Vec<Said> {
    pairs
        .iter()
        .map(|(key, text)| Said { key: key.clone(), raw: Raw::Text(text.clone()), origin: origin.clone() })
        .collect()
}

fn flatten(parsed: Map<String, Parsed>, origin: &Origin) -> Vec<Said> {
    let mut said = Vec::new();
    for (key, value) in parsed {
        flatten_value(key, value, origin, &mut said);
    }
    // The maps have no order of their own; errors should have one.
    said.sort_by(|a, b| a.key.cmp(&b.key));
    said
}

fn flatten_value(key: String, value: Parsed, origin: &Origin, said: &mut Vec<Said>) {
    match value.kind {
        ValueKind::Table(table) if !table.is_empty() => {
            for (name, below) in table {
                flatten_value(format!("{key}.{name}"), below, origin, said);
            }
        }
        kind => said.push(Said { key, raw: raw(kind), origin: origin.clone() }),
    }
}

fn raw(kind: ValueKind) -> Raw {
    match kind {
        ValueKind::Nil => Raw::Null,
        ValueKind::Boolean(flag) => Raw::Bool(flag),
        ValueKind::I64(number) => Raw::Int(number),
        ValueKind::I128(number) => whole(i64::try_from(number).ok(), &number),
        ValueKind::U64(number) => whole(i64::try_from(number).ok(), &number),
        ValueKind::U128(number) => whole(i64::try_from(number).ok(), &number),
        ValueKind::Float(number) => Raw::Float(number),
        ValueKind::String(text) => Raw::Text(text),
        ValueKind::Table(_) => Raw::Table,
        ValueKind::Array(items) => Raw::List(items.into_iter().map(|item| raw(item.kind)).collect()),
    }
}

/// A number beyond 64 bits stays text: it is out of every range, and the error can show it.
fn whole(number: Option<i64>, shown: &dyn std::fmt::Display) -> Raw {
    number.map_or_else(|| Raw::Text(shown.to_string()), Raw::Int)
}
