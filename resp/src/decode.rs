//! What a peer's reply says.
//!
//! The aggregates are walked here, one head at a time, and each scalar is decoded by `redis-protocol`. Its own
//! aggregate decoder is not used, for three reasons: it recurses, it drops double and unhashable map keys, and
//! in RESP3 it takes the nulls of RESP2 for streams.

use bytes::Bytes;
use redis_protocol::error::RedisProtocolErrorKind;
use redis_protocol::{resp2, resp3};

use crate::codes::Code;
use crate::guard::{GuardError, GuardLimits};
use crate::scan::{Aggregate, Item, item};

/// Values reserved for at once when an aggregate opens: its head is only a promise.
const RESERVED_MAX: usize = 1024;

/// A reply of RESP2 or RESP3. Strings are copies: a short one does not pin the read buffer.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// A status such as `OK`.
    Simple(String),
    /// An error, its code the first word.
    Error(String),
    /// An integer.
    Int(i64),
    /// A string of bytes; a verbatim string without its format too.
    Bulk(Bytes),
    /// No value or no array.
    Null,
    /// Values in order.
    Array(Vec<Reply>),
    /// Pairs in order, with double keys if there are any.
    Map(Vec<(Reply, Reply)>),
    /// Values in the order they came.
    Set(Vec<Reply>),
    /// A message nobody asked for; the first value is its kind.
    Push(Vec<Reply>),
    /// A double.
    Double(f64),
    /// A truth value.
    Bool(bool),
    /// An integer beyond 64 bits, as its digits.
    Big(String),
}

impl Reply {
    /// Whether it is `+OK`.
    pub fn is_ok(&self) -> bool {
        matches!(self, Reply::Simple(text) if text == "OK")
    }

    /// Whether it is no value.
    pub fn is_null(&self) -> bool {
        matches!(self, Reply::Null)
    }

    /// The integer it is, or that its text spells.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Reply::Int(n) => Some(*n),
            Reply::Bool(truth) => Some(i64::from(*truth)),
            _ => crate::num::parse_i64(self.as_bytes()?),
        }
    }

    /// The unsigned integer it is, or that its text spells.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Reply::Int(n) => u64::try_from(*n).ok(),
            _ => crate::num::parse_u64(self.as_bytes()?),
        }
    }

    /// The bytes of a string or a status.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Reply::Bulk(bytes) => Some(bytes),
            Reply::Simple(text) | Reply::Big(text) => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// The bytes of a string.
    pub fn into_bulk(self) -> Option<Bytes> {
        match self {
            Reply::Bulk(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The values of an array, set or push.
    pub fn as_array(&self) -> Option<&[Reply]> {
        match self {
            Reply::Array(values) | Reply::Set(values) | Reply::Push(values) => Some(values),
            _ => None,
        }
    }

    /// The values of an array, set or push.
    pub fn into_array(self) -> Option<Vec<Reply>> {
        match self {
            Reply::Array(values) | Reply::Set(values) | Reply::Push(values) => Some(values),
            _ => None,
        }
    }

    /// The text of an error.
    pub fn error(&self) -> Option<&str> {
        match self {
            Reply::Error(text) => Some(text),
            _ => None,
        }
    }

    /// The code of an error, where it is one of ours.
    pub fn error_code(&self) -> Option<Code> {
        Code::from_prefix(self.error()?.split(' ').next()?.as_bytes())
    }
}

/// Why bytes could not be decoded. Says nothing of the bytes themselves, which may be session data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The guard would not have let it through.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The reply does not end in these bytes.
    #[error("the reply is cut short")]
    Incomplete,
    /// Bytes are left behind the reply.
    #[error("{0} bytes are left behind the reply")]
    Trailing(usize),
    /// A scalar whose text is not of its type.
    #[error("the peer sent a malformed value: {0}")]
    Malformed(&'static str),
}

/// Decodes the one reply that `buf` holds: exactly the bytes a [`crate::ReplyGuard`] measured. Safe on bytes it has
/// not seen too, within [`GuardLimits::DEFAULT`].
///
/// Attributes are read and dropped.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode_reply(buf: &[u8]) -> Result<Reply, DecodeError> {
    let limits = GuardLimits::DEFAULT;
    let mut open: Vec<Open> = Vec::new();
    let (mut at, mut scanned, mut elements) = (0, 0, 0usize);
    loop {
        let mut value = match item(buf, at, &mut scanned, &limits)?.ok_or(DecodeError::Incomplete)? {
            Item::Scalar { end } => {
                let value = scalar(&buf[at..end])?;
                at = end;
                value
            }
            Item::Aggregate { kind, children, end } => {
                at = end;
                elements += children;
                if elements > limits.elements_max {
                    return Err(GuardError::TooManyElements.into());
                }
                if children > 0 {
                    if open.len() == limits.depth_max {
                        return Err(GuardError::TooDeep.into());
                    }
                    open.push(Open::new(kind, children));
                    continue;
                }
                match kind {
                    Aggregate::Attribute => continue,
                    _ => build(kind, Vec::new()),
                }
            }
        };
        loop {
            let Some(parent) = open.last_mut() else {
                let left = buf.len() - at;
                return if left == 0 { Ok(value) } else { Err(DecodeError::Trailing(left)) };
            };
            parent.values.push(value);
            if parent.values.len() < parent.children {
                break;
            }
            let Some(Open { kind, values, .. }) = open.pop() else {
                break;
            };
            if kind == Aggregate::Attribute {
                break;
            }
            value = build(kind, values);
        }
    }
}

struct Open {
    kind: Aggregate,
    children: usize,
    values: Vec<Reply>,
}

impl Open {
    fn new(kind: Aggregate, children: usize) -> Open {
        Open { kind, children, values: Vec::with_capacity(children.min(RESERVED_MAX)) }
    }
}

fn build(kind: Aggregate, values: Vec<Reply>) -> Reply {
    match kind {
        Aggregate::Array | Aggregate::Attribute => Reply::Array(values),
        Aggregate::Set => Reply::Set(values),
        Aggregate::Push => Reply::Push(values),
        Aggregate::Map => {
            let mut pairs = Vec::with_capacity(values.len() / 2);
            let mut values = values.into_iter();
            while let (Some(key), Some(value)) = (values.next(), values.next()) {
                pairs.push((key, value));
            }
            Reply::Map(pairs)
        }
    }
}

/// Decodes one scalar, whose bounds are known to be right. What RESP2 has goes to its decoder, so that `$-1`
/// and `*-1` are nulls and a status that starts with `H` is no HELLO.
fn scalar(bytes: &[u8]) -> Result<Reply, DecodeError> {
    match bytes.first() {
        Some(b'+' | b'-' | b':' | b'$' | b'*') => scalar2(bytes),
        _ => scalar3(bytes),
    }
}

fn scalar2(bytes: &[u8]) -> Result<Reply, DecodeError> {
    use resp2::types::RangeFrame as Frame;
    let decoded = resp2::decode::decode_range(bytes).map_err(|error| malformed(error.kind()))?;
    let (frame, _) = decoded.ok_or(DecodeError::Incomplete)?;
    Ok(match frame {
        Frame::SimpleString(range) => Reply::Simple(text(bytes, range)?),
        Frame::Error(range) => Reply::Error(text(bytes, range)?),
        Frame::Integer(n) => Reply::Int(n),
        Frame::BulkString(range) => Reply::Bulk(Bytes::copy_from_slice(part(bytes, range)?)),
        Frame::Null => Reply::Null,
        Frame::Array(_) => return Err(DecodeError::Malformed("an array where a scalar was measured")),
    })
}

fn scalar3(bytes: &[u8]) -> Result<Reply, DecodeError> {
    use resp3::types::RangeFrame as Frame;
    let decoded = resp3::decode::complete::decode_range(bytes).map_err(|error| malformed(error.kind()))?;
    let (frame, _) = decoded.ok_or(DecodeError::Incomplete)?;
    Ok(match frame {
        Frame::Null => Reply::Null,
        Frame::Boolean { data, .. } => Reply::Bool(data),
        Frame::Double { data, .. } => Reply::Double(data),
        Frame::BigNumber { data, .. } => Reply::Big(text(bytes, data)?),
        Frame::BlobError { data, .. } => Reply::Error(text(bytes, data)?),
        Frame::VerbatimString { data, .. } => Reply::Bulk(Bytes::copy_from_slice(part(bytes, data)?)),
        _ => return Err(DecodeError::Malformed("not a scalar of RESP3")),
    })
}

fn part(bytes: &[u8], (start, end): (usize, usize)) -> Result<&[u8], DecodeError> {
    bytes.get(start..end).ok_or(DecodeError::Malformed("a range outside its value"))
}

/// Statuses and errors are for people and logs: what is no UTF-8 in them is replaced.
fn text(bytes: &[u8], range: (usize, usize)) -> Result<String, DecodeError> {
    Ok(String::from_utf8_lossy(part(bytes, range)?).into_owned())
}

/// The kind of a decoder's error, never its text: that prints the input.
fn malformed(kind: &RedisProtocolErrorKind) -> DecodeError {
    DecodeError::Malformed(kind.to_str())
}
