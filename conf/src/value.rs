//! Values: from what a layer says to what a field holds. The only place where text becomes a type.

use std::collections::BTreeMap;

use crate::row::Kind;
use crate::size;
use crate::words::{PortChoice, Share};

/// A judged value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text, or a word.
    Text(String),
    /// A number.
    Int(i64),
    /// True or false.
    Bool(bool),
    /// Several texts.
    List(Vec<String>),
}

impl Value {
    /// The text; empty for what has none.
    pub(crate) fn text(&self) -> &str {
        match self {
            Value::Text(text) => text,
            _ => "",
        }
    }

    /// The number; 0 for what has none.
    pub(crate) fn int(&self) -> i64 {
        match self {
            Value::Int(number) => *number,
            _ => 0,
        }
    }

    /// As one writes it in a flag or an environment variable.
    #[must_use]
    pub fn show(&self) -> String {
        match self {
            Value::Text(text) => text.clone(),
            Value::Int(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            Value::List(items) => items.join(","),
        }
    }
}

/// What a layer says, before it is judged.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Raw {
    Text(String),
    Int(i64),
    Bool(bool),
    Float(f64),
    List(Vec<Raw>),
    /// A table where a value was expected.
    Table,
    Null,
}

impl Raw {
    /// For an error message.
    pub(crate) fn show(&self) -> String {
        match self {
            Raw::Text(text) => format!("{text:?}"),
            Raw::Int(number) => number.to_string(),
            Raw::Bool(flag) => flag.to_string(),
            Raw::Float(number) => number.to_string(),
            Raw::List(items) => {
                format!("[{}]", items.iter().map(Raw::show).collect::<Vec<_>>().join(", "))
            }
            Raw::Table => "a table".to_owned(),
            Raw::Null => "nothing".to_owned(),
        }
    }
}

/// Why a value was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not of the kind; the text says what would be.
    Kind(String),
    /// A number out of its range; both ends as people write them.
    Range { min: String, max: String },
}

impl Kind {
    /// Judges a value. Nothing is coerced silently: 1.9 is not 2, "yes" is not true, 7 is not the text "7".
    pub(crate) fn judge(&self, raw: &Raw) -> Result<Value, Fault> {
        match self {
            Kind::Text => text(raw).map(|t| Value::Text(t.to_owned())),
            Kind::Word => {
                let t = text(raw)?;
                let good = !t.is_empty() && !t.chars().any(|c| c.is_whitespace() || c.is_control());
                good.then(|| Value::Text(t.to_owned())).ok_or_else(|| self.wanted())
            }
            Kind::Name => {
                let t = text(raw)?;
                is_name(t).then(|| Value::Text(t.to_owned())).ok_or_else(|| self.wanted())
            }
            Kind::Endpoint => {
                let t = text(raw)?;
                is_endpoint(t).then(|| Value::Text(t.to_owned())).ok_or_else(|| self.wanted())
            }
            Kind::Endpoints => self.judge_endpoints(raw),
            Kind::Bool => match raw {
                Raw::Bool(flag) => Ok(Value::Bool(*flag)),
                Raw::Text(t) if t == "true" => Ok(Value::Bool(true)),
                Raw::Text(t) if t == "false" => Ok(Value::Bool(false)),
                _ => Err(self.wanted()),
            },
            Kind::Integer { min, max } => self.judge_number(raw, |t| t.trim().parse().ok(), *min, *max),
            Kind::Millis { min, max } => self.judge_number(raw, size::parse_millis, *min, *max),
            Kind::Bytes { min, max } => self.judge_number(raw, size::parse_bytes, *min, *max),
            Kind::Share { max } => match raw {
                Raw::Text(t) if t.ends_with('%') => {
                    let percent = size::parse_percent(t).ok_or_else(|| self.wanted())?;
                    Ok(Value::Text(format!("{percent}%")))
                }
                _ => self.judge_number(raw, size::parse_bytes, 0, *max),
            },
            Kind::Port => self.judge_number(raw, |t| t.trim().parse().ok(), 0, 65_535),
            Kind::PortOr { auto } => match raw {
                Raw::Text(t) if t == "off" || t == "-1" => Ok(Value::Text("off".to_owned())),
                Raw::Int(-1) => Ok(Value::Text("off".to_owned())),
                Raw::Text(t) if *auto && t == "auto" => Ok(Value::Text("auto".to_owned())),
                _ => self
                    .judge_number(raw, |t| t.trim().parse().ok(), 0, 65_535)
                    .map(|v| Value::Text(v.show())),
            },
            Kind::Choice(words) => {
                let t = text(raw)?;
                words.contains(&t).then(|| Value::Text(t.to_owned())).ok_or_else(|| self.wanted())
            }
        }
    }

    fn judge_number(
        &self,
        raw: &Raw,
        parse: impl Fn(&str) -> Option<i64>,
        min: i64,
        max: i64,
    ) -> Result<Value, Fault> {
        let number = match raw {
            Raw::Int(number) => *number,
            Raw::Text(t) => parse(t).ok_or_else(|| self.wanted())?,
            _ => return Err(self.wanted()),
        };
        if (min..=max).contains(&number) {
            return Ok(Value::Int(number));
        }
        Err(Fault::Range { min: self.show_number(min), max: self.show_number(max) })
    }

    fn judge_endpoints(&self, raw: &Raw) -> Result<Value, Fault> {
        let items: Vec<String> = match raw {
            Raw::Text(t) => t.split(',').map(|s| s.trim().to_owned()).collect(),
            Raw::List(list) => {
                list.iter().map(|item| text(item).map(str::to_owned)).collect::<Result<_, _>>()?
            }
            _ => return Err(self.wanted()),
        };
        let good = !items.is_empty() && items.iter().all(|item| is_endpoint(item));
        good.then_some(Value::List(items)).ok_or_else(|| self.wanted())
    }

    /// A number of this kind as people write it.
    pub(crate) fn show_number(&self, number: i64) -> String {
        match self {
            Kind::Bytes { .. } | Kind::Share { .. } => size::show_bytes(number),
            Kind::Millis { .. } => size::show_millis(number),
            _ => number.to_string(),
        }
    }

    /// What it takes, in words.
    #[must_use]
    pub fn takes(&self) -> String {
        match self {
            Kind::Text => "text".to_owned(),
            Kind::Word => "text without blanks".to_owned(),
            Kind::Name => "a name of 1 to 48 letters, digits, - and _".to_owned(),
            Kind::Endpoint => "HOST:PORT".to_owned(),
            Kind::Endpoints => "HOST:PORT, or several".to_owned(),
            Kind::Bool => "true or false".to_owned(),
            Kind::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Millis { min, max } => format!(
                "milliseconds (or 5s, 10m, 1h, 1d) from {} to {}",
                self.show_number(*min),
                self.show_number(*max)
            ),
            Kind::Bytes { min, max } => {
                format!(
                    "bytes (or 64kb, 256mb, 1gb) from {} to {}",
                    self.show_number(*min),
                    self.show_number(*max)
                )
            }
            Kind::Share { max } => {
                format!("bytes (or 64kb, 256mb, 1gb) from 0 to {}, or 0% to 100%", self.show_number(*max))
            }
            Kind::Port => "a port from 0 to 65535".to_owned(),
            Kind::PortOr { auto: true } => "a port from 0 to 65535, auto or off".to_owned(),
            Kind::PortOr { auto: false } => "a port from 0 to 65535, or off".to_owned(),
            Kind::Choice(words) => format!("one of {}", words.join(", ")),
        }
    }

    fn wanted(&self) -> Fault {
        Fault::Kind(self.takes())
    }
}

fn text(raw: &Raw) -> Result<&str, Fault> {
    match raw {
        Raw::Text(text) => Ok(text),
        _ => Err(Fault::Kind("text (in quotes)".to_owned())),
    }
}

/// A name that may become part of a file name.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=48).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// `HOST:PORT`, an IPv6 host in brackets.
pub(crate) fn is_endpoint(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
    let plain = !host.is_empty() && !host.contains([':', '[', ']']) && !host.contains(char::is_whitespace);
    (bracketed || plain) && !port.starts_with('+') && port.parse::<u16>().is_ok_and(|p| p > 0)
}

/// Judged values by option name, for building a group.
pub(crate) struct Values<'a>(pub(crate) &'a BTreeMap<&'static str, Value>);

impl Values<'_> {
    /// Decodes one value; the table guarantees that it is there and in range.
    pub(crate) fn decode<T: Decode>(&self, name: &str) -> T {
        T::decode(self.0.get(name).unwrap_or(&Value::Int(0)))
    }
}

/// What a field makes of a judged value. The range in the table fits the type (a test holds every row to it), so
/// there is nothing to refuse here.
pub(crate) trait Decode {
    fn decode(value: &Value) -> Self;
}

/// What the table shows of a field.
pub(crate) trait Encode {
    fn encode(&self) -> Value;
}

macro_rules! numbers {
    ($($type:ty),+) => { $(
        impl Decode for $type {
            fn decode(value: &Value) -> $type {
                <$type>::try_from(value.int()).unwrap_or_default()
            }
        }
        impl Encode for $type {
            fn encode(&self) -> Value {
                Value::Int(i64::try_from(*self).unwrap_or(i64::MAX))
            }
        }
    )+ };
}
numbers!(u8, u16, u32, u64, i64);

impl Decode for bool {
    fn decode(value: &Value) -> bool {
        matches!(value, Value::Bool(true))
    }
}

impl Encode for bool {
    fn encode(&self) -> Value {
        Value::Bool(*self)
    }
}

impl Decode for String {
    fn decode(value: &Value) -> String {
        value.text().to_owned()
    }
}

impl Encode for String {
    fn encode(&self) -> Value {
        Value::Text(self.clone())
    }
}

impl Decode for Vec<String> {
    fn decode(value: &Value) -> Vec<String> {
        match value {
            Value::List(items) => items.clone(),
            _ => Vec::new(),
        }
    }
}

impl Encode for Vec<String> {
    fn encode(&self) -> Value {
        Value::List(self.clone())
    }
}

impl Decode for PortChoice {
    fn decode(value: &Value) -> PortChoice {
        match value.text() {
            "off" => PortChoice::Off,
            "auto" => PortChoice::Auto,
            port => port.parse().map_or(PortChoice::Off, PortChoice::At),
        }
    }
}

impl Encode for PortChoice {
    fn encode(&self) -> Value {
        Value::Text(match self {
            PortChoice::Off => "off".to_owned(),
            PortChoice::Auto => "auto".to_owned(),
            PortChoice::At(port) => port.to_string(),
        })
    }
}

impl Decode for Share {
    fn decode(value: &Value) -> Share {
        match size::parse_percent(value.text()) {
            Some(percent) => Share::Percent(percent),
            None => Share::Bytes(u64::decode(value)),
        }
    }
}

impl Encode for Share {
    fn encode(&self) -> Value {
        match self {
            Share::Bytes(bytes) => bytes.encode(),
            Share::Percent(percent) => Value::Text(format!("{percent}%")),
        }
    }
}
