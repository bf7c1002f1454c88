//! The records of a section, one line each, and their secrets only on demand.

use std::io::Write;

use gs_client::cache::{Observer, RecordState, Seen};

use super::text::span;

pub(super) struct What {
    pub(super) keys: bool,
    pub(super) values: bool,
    pub(super) db: Option<u8>,
    pub(super) limit: u64,
}

pub(super) fn run(
    observer: &Observer,
    what: &What,
    out: &mut dyn Write,
    now_ms: u64,
) -> anyhow::Result<bool> {
    write!(out, "id       db kind key_bytes value_bytes age idle ttl version state")?;
    writeln!(out, "{}{}", if what.keys { " key" } else { "" }, if what.values { " value" } else { "" })?;
    let (mut key, mut value) = (Vec::new(), Vec::new());
    let mut left = what.limit;
    let mut failed = None;
    observer.survey(now_ms, &mut |seen| {
        let wanted = what.db.is_none_or(|db| db == seen.meta.db);
        if !wanted || left == 0 || failed.is_some() {
            return;
        }
        left -= 1;
        let shown = (what.keys || what.values) && observer.bytes(seen, &mut key, &mut value);
        let mut line = line(seen, now_ms);
        for (asked, bytes) in [(what.keys, &key), (what.values, &value)] {
            if asked {
                line.push(' ');
                line.push_str(&if shown { quoted(bytes) } else { "(gone)".to_owned() });
            }
        }
        failed = writeln!(out, "{line}").err();
    });
    failed.map_or(Ok(true), |error| Err(error.into()))
}

/// A record without its secrets. The identity is a keyed hash, which tells nothing of the key without the secret.
fn line(seen: &Seen, now_ms: u64) -> String {
    let meta = &seen.meta;
    let ttl = match meta.deadline_ms {
        0 => "-".to_owned(),
        _ if seen.expired => "0s".to_owned(),
        deadline_ms => span(deadline_ms - now_ms),
    };
    let state = match (seen.flushed, seen.expired, meta.state) {
        (true, ..) => "flushed",
        (_, true, _) => "expired",
        (.., RecordState::Live) => "live",
        (.., RecordState::Evicting) => "evicting",
    };
    format!(
        "{:08x} {:>2} {:>4} {:>9} {:>11} {} {} {ttl} {} {state}",
        seen.id.hi >> 32,
        meta.db,
        meta.kind,
        meta.key_len,
        meta.value_len,
        span(now_ms.saturating_sub(meta.created_ms)),
        span(meta.idle_ms),
        meta.version,
    )
}

/// Bytes as redis-cli shows them.
fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}
