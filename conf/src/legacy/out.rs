//! What a translation says, and how the ancestors' values are read.

use serde_json::Value;

/// Our keys with their texts, and the notes for whoever wrote the file.
pub(super) struct Out {
    pub(super) pairs: Vec<(String, String)>,
    pub(super) notes: Vec<String>,
}

impl Out {
    pub(super) fn set(&mut self, key: &str, value: impl ToString) {
        self.pairs.push((key.to_owned(), value.to_string()));
    }

    pub(super) fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    /// A number within what the option takes; one beyond is brought to the end of the range, and that is noted.
    pub(super) fn set_within(&mut self, field: &str, key: &str, value: u64, min: u64, max: u64) {
        let within = value.clamp(min, max);
        if within != value {
            self.note(format!("{field}: {value} is beyond what {key} takes: {within} it is"));
        }
        self.set(key, within);
    }
}

pub(super) fn text<'a>(part: &'a Value, field: &str) -> Option<&'a str> {
    part.get(field)?.as_str()
}

/// A whole number, also where it is written as text.
pub(super) fn number(part: &Value, field: &str) -> Option<u64> {
    match part.get(field)? {
        Value::String(text) => text.trim().parse().ok(),
        // The parser may hold a whole number as a float.
        other => other
            .as_u64()
            .or_else(|| other.as_f64().filter(|f| *f >= 0.0 && f.fract() == 0.0).map(|f| f as u64)),
    }
}

pub(super) fn truth(value: Option<&Value>) -> Option<bool> {
    match value? {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => match text.as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number
            .as_f64()
            .filter(|f| f.fract() == 0.0 && *f >= 0.0)
            .map_or_else(|| number.to_string(), |f| format!("{f:.0}")),
        other => other.to_string(),
    }
}
