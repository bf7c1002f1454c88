//! The topics of a path: what people, gateways and external validators may listen to. They are ordinary
//! channels; a message nobody listens to is not even built.

use crate::core::bus::Bus;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// What a topic says of a session.
#[derive(Clone, Copy, Debug, Default)]
pub struct Notice<'a> {
    /// Logical database; told where it is not 0.
    pub db: u8,
    /// The key.
    pub key: &'a [u8],
    /// The version, where one is known.
    pub version: Option<u64>,
    /// Remaining life in milliseconds; none where the key does not expire or is gone.
    pub pttl: Option<u64>,
    /// Why.
    pub reason: &'a str,
    /// The value, on topics that carry it.
    pub value: Option<&'a [u8]>,
    /// Who wants to know.
    pub requester: Option<&'a str>,
}

/// Publishes a notice on `<path>/<topic>`.
pub fn publish(bus: &Bus, path: &str, topic: &str, notice: &Notice<'_>) {
    if !bus.has_listeners() {
        return;
    }
    let channel = format!("{path}/{topic}");
    if bus.is_heard(channel.as_bytes()) {
        bus.publish(channel.as_bytes(), payload(notice).as_bytes());
    }
}

/// The JSON object of a notice. A key that is not UTF-8 is given as base64 under `key64`.
pub fn payload(notice: &Notice<'_>) -> String {
    let mut object = Map::new();
    match std::str::from_utf8(notice.key) {
        Ok(key) => object.insert("key".into(), json!(key)),
        Err(_) => object.insert("key64".into(), json!(STANDARD.encode(notice.key))),
    };
    if notice.db != 0 {
        object.insert("db".into(), json!(notice.db));
    }
    if let Some(version) = notice.version {
        object.insert("version".into(), json!(version));
    }
    if let Some(pttl) = notice.pttl {
        object.insert("pttl".into(), json!(pttl));
    }
    if !notice.reason.is_empty() {
        object.insert("reason".into(), json!(notice.reason));
    }
    if let Some(requester) = notice.requester {
        object.insert("requester".into(), json!(requester));
    }
    if let Some(value) = notice.value {
        object.insert("value".into(), json!(STANDARD.encode(value)));
    }
    Value::Object(object).to_string()
}

/// Reads a question: the key and who asks; none where it is not one.
pub fn parse_question(payload: &[u8]) -> Option<(Vec<u8>, String)> {
    let object: Map<String, Value> = serde_json::from_slice(payload).ok()?;
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    let key = match text("key") {
        Some(key) => key.as_bytes().to_vec(),
        None => STANDARD.decode(text("key64")?).ok()?,
    };
    Some((key, text("requester").filter(|name| !name.is_empty())?.to_owned()))
}

/// An answer of an external validator on `session_known-<requester>`.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The key it speaks of.
    pub key: Vec<u8>,
    /// The session; none says that the validator does not know it either.
    pub value: Option<Vec<u8>>,
    /// Its life in milliseconds, where it has one.
    pub pttl: Option<u64>,
}

/// Reads an external answer; none where it is not one.
pub fn parse_answer(payload: &[u8]) -> Option<Answer> {
    let object: Map<String, Value> = serde_json::from_slice(payload).ok()?;
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    let key = match text("key") {
        Some(key) => key.as_bytes().to_vec(),
        None => STANDARD.decode(text("key64")?).ok()?,
    };
    let value = match text("value") {
        Some(value) => Some(STANDARD.decode(value).ok()?),
        None => None,
    };
    Some(Answer { key, value, pttl: object.get("pttl").and_then(Value::as_u64) })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// What a validator copies from a notice back into its answer is understood, binary keys included.
    #[test]
    fn a_notice_reads_back_as_an_answer() {
        for key in [b"s:1".as_slice(), b"\xff\x00"] {
            let notice =
                Notice { key, value: Some(b"v\x00"), pttl: Some(5), version: Some(7), ..Notice::default() };
            let answer = parse_answer(payload(&notice).as_bytes()).unwrap();
            assert_eq!(answer, Answer { key: key.to_vec(), value: Some(b"v\x00".to_vec()), pttl: Some(5) });
        }
        assert_eq!(parse_answer(b"[1]"), None);
    }
}
