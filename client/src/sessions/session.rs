//! What a lookup answers, and how it is read out of the relay's reply.

use gs_resp::Reply;

use crate::cache::Meta;
use crate::error::SessionError;
use crate::hashed::KIND_HASHED;

/// Who answered a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// This machine's section, under a valid lease.
    Local,
    /// The relay.
    Relay,
    /// This machine's section after its lease, under [`crate::sessions::PartitionPolicy::Stale`].
    Stale,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Session {
    /// Its value.
    pub value: Vec<u8>,
    /// Its version: give it to `set_if_version`, so that a save does not undo what others did meanwhile.
    pub version: u64,
    /// Milliseconds left to live; `None` without a deadline.
    pub remaining_ms: Option<u64>,
    /// Who answered.
    pub source: Source,
}

impl Session {
    pub(super) fn of_record(meta: &Meta, value: Vec<u8>, now_ms: u64, source: Source) -> Session {
        let remaining_ms = (meta.deadline_ms != 0).then(|| meta.deadline_ms.saturating_sub(now_ms));
        Session { value, version: meta.version, remaining_ms, source }
    }
}

/// What `GS.GET` answered.
pub(super) struct Fetched {
    /// Empty for a hashed value, which no relay gives away.
    pub(super) value: Vec<u8>,
    pub(super) version: u64,
    /// Remaining milliseconds, -1 for none.
    pub(super) pttl: i64,
    pub(super) kind: u8,
    pub(super) age_ms: u64,
}

/// What the owner of a key says of it.
pub(super) enum Sought {
    /// The session.
    There(Fetched),
    /// There is none. All that is on its way here of this key, up to this version, is history; 0 if nothing is.
    Absent(u64),
}

/// Reads what `GS.GET ... WITHVERSION` answers: a map (a flat array in RESP2) or a version.
pub(super) fn read_sought(reply: Reply) -> Result<Sought, SessionError> {
    const BAD: SessionError = SessionError::Protocol { command: "GS.GET" };
    let pairs: Vec<(Reply, Reply)> = match reply {
        Reply::Int(_) => return as_version(&reply).map(Sought::Absent).ok_or(BAD),
        Reply::Map(pairs) => pairs,
        Reply::Array(flat) => {
            let mut flat = flat.into_iter();
            std::iter::from_fn(|| Some((flat.next()?, flat.next()?))).collect()
        }
        _ => return Err(BAD),
    };
    let (mut value, mut version, mut pttl, mut kind, mut age_ms) = (None, None, None, 0, 0);
    for (name, field) in pairs {
        match name.as_bytes().ok_or(BAD)? {
            b"value" => value = field.into_bulk(),
            b"version" => version = as_version(&field),
            b"pttl" => pttl = field.as_int(),
            b"kind" => kind = field.as_u64().and_then(|k| u8::try_from(k).ok()).ok_or(BAD)?,
            b"age_ms" => age_ms = field.as_u64().ok_or(BAD)?,
            // Fields that a newer relay may add.
            _ => {}
        }
    }
    let value = match value {
        Some(value) => value.to_vec(),
        None if kind == KIND_HASHED => Vec::new(),
        None => return Err(BAD),
    };
    let (version, pttl) = (version.ok_or(BAD)?, pttl.ok_or(BAD)?);
    Ok(Sought::There(Fetched { value, version, pttl, kind, age_ms }))
}

/// A version off the wire. It uses all 64 bits; as a RESP integer its upper half is negative.
pub(crate) fn as_version(reply: &Reply) -> Option<u64> {
    match reply {
        Reply::Int(n) => Some(*n as u64),
        other => other.as_u64(),
    }
}

/// The deadline of something that had `pttl` milliseconds left at `then_ms`; 0 for none.
///
/// `then_ms` is a moment before the relay counted, so a copy never outlives its original.
pub(crate) fn deadline(pttl: i64, then_ms: u64) -> u64 {
    match u64::try_from(pttl) {
        Ok(left_ms) => then_ms.saturating_add(left_ms).max(1),
        Err(_) => 0,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(text.as_bytes().to_vec().into())
    }

    /// RESP2 has no maps: the same answer comes flat there, and must read the same.
    #[test]
    fn a_map_and_its_flat_form_read_the_same() {
        let pairs = vec![
            (bulk("value"), bulk("v")),
            (bulk("version"), Reply::Int(-1)),
            (bulk("pttl"), Reply::Int(5)),
            (bulk("tier"), bulk("relay")),
            (bulk("kind"), Reply::Int(1)),
            (bulk("age_ms"), Reply::Int(9)),
        ];
        let flat = pairs.iter().flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
        for reply in [Reply::Map(pairs), Reply::Array(flat)] {
            let Sought::There(got) = read_sought(reply).unwrap() else { panic!("it is there") };
            assert_eq!(
                (&got.value[..], got.version, got.pttl, got.kind, got.age_ms),
                (&b"v"[..], u64::MAX, 5, 1, 9)
            );
        }
    }

    /// An answer that is not understood must never be taken for "no such session".
    #[test]
    fn nonsense_is_an_error_and_not_nil() {
        let half = Reply::Array(vec![bulk("value"), Reply::Null]);
        for reply in [Reply::Null, bulk("x"), Reply::Array(vec![]), half] {
            assert!(read_sought(reply).is_err());
        }
        assert!(matches!(read_sought(Reply::Int(-1)), Ok(Sought::Absent(u64::MAX))));
    }

    /// 0 means "no deadline" in a record; a session with no life left must not become immortal.
    #[test]
    fn an_expired_ttl_is_not_no_ttl() {
        assert_eq!(deadline(-1, 100), 0);
        assert_eq!(deadline(0, 0), 1);
        assert_eq!(deadline(5, 100), 105);
    }
}
