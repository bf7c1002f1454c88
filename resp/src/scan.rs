//! One step through a reply: a whole scalar or the head of an aggregate, never more. What [`crate::guard`]
//! and [`crate::decode`] share, so that both see the same boundaries.

use crate::guard::{GuardError, GuardLimits};
use crate::num::parse_i64;

/// The longest line of a reply: a status, an error, a number or a head. Redis's inline limit.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// The aggregates of RESP2 and RESP3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aggregate {
    Array,
    Set,
    Push,
    Map,
    Attribute,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A value without children, a null array included; its bytes end at `end`.
    Scalar { end: usize },
    /// The head of `children` values (two for each pair of a map), which start at `end`.
    Aggregate { kind: Aggregate, children: usize, end: usize },
}

/// Reads the item at `at`; none when it is not all there. `scanned` remembers up to where no line end was found.
pub(crate) fn item(
    buf: &[u8],
    at: usize,
    scanned: &mut usize,
    limits: &GuardLimits,
) -> Result<Option<Item>, GuardError> {
    let Some(kind) = buf.get(at) else { return Ok(None) };
    let aggregate = match kind {
        b'+' | b'-' | b':' | b',' | b'#' | b'_' | b'(' => {
            return Ok(line_end(buf, at, scanned)?.map(|cr| Item::Scalar { end: cr + 2 }));
        }
        b'$' | b'!' | b'=' => return bulk(buf, at, *kind, scanned, limits),
        b'*' => Aggregate::Array,
        b'~' => Aggregate::Set,
        b'>' => Aggregate::Push,
        b'%' => Aggregate::Map,
        b'|' => Aggregate::Attribute,
        other => return Err(GuardError::UnknownType(*other)),
    };
    let Some(cr) = line_end(buf, at, scanned)? else {
        return Ok(None);
    };
    let end = cr + 2;
    let declared = parse_i64(&buf[at + 1..cr]).ok_or(GuardError::Length)?;
    if declared == -1 && aggregate == Aggregate::Array {
        return Ok(Some(Item::Scalar { end }));
    }
    let declared = usize::try_from(declared).map_err(|_| GuardError::Length)?;
    let each = if matches!(aggregate, Aggregate::Map | Aggregate::Attribute) { 2 } else { 1 };
    let children = declared.checked_mul(each).filter(|n| *n <= limits.elements_max);
    let children = children.ok_or(GuardError::TooManyElements)?;
    Ok(Some(Item::Aggregate { kind: aggregate, children, end }))
}

fn bulk(
    buf: &[u8],
    at: usize,
    kind: u8,
    scanned: &mut usize,
    limits: &GuardLimits,
) -> Result<Option<Item>, GuardError> {
    let Some(cr) = line_end(buf, at, scanned)? else {
        return Ok(None);
    };
    let start = cr + 2;
    let len = match parse_i64(&buf[at + 1..cr]) {
        Some(-1) if kind == b'$' => return Ok(Some(Item::Scalar { end: start })),
        Some(len) => usize::try_from(len).map_err(|_| GuardError::Length)?,
        None => return Err(GuardError::Length),
    };
    // A verbatim string begins with its format and a colon.
    if kind == b'=' && len < 4 {
        return Err(GuardError::Length);
    }
    if len > limits.bulk_bytes_max {
        return Err(GuardError::BulkTooLong);
    }
    // Checked here, not only when the bytes are there: the caller need not read what will be refused.
    let end = start.checked_add(len).filter(|end| *end <= limits.reply_bytes_max.min(usize::MAX - 2));
    let end = end.ok_or(GuardError::ReplyTooLong)?;
    match buf.get(end..end + 2) {
        None => Ok(None),
        Some(b"\r\n") => Ok(Some(Item::Scalar { end: end + 2 })),
        Some(_) => Err(GuardError::Terminator),
    }
}

/// The place of the CR of the CR LF that ends the line at `at`.
fn line_end(buf: &[u8], at: usize, scanned: &mut usize) -> Result<Option<usize>, GuardError> {
    let from = (*scanned).max(at);
    let Some(found) = buf[from..].iter().position(|byte| *byte == b'\r') else {
        *scanned = buf.len();
        return if buf.len() - at > LINE_BYTES_MAX { Err(GuardError::LineTooLong) } else { Ok(None) };
    };
    let cr = from + found;
    *scanned = cr;
    if cr - at > LINE_BYTES_MAX {
        return Err(GuardError::LineTooLong);
    }
    match buf.get(cr + 1) {
        None => Ok(None),
        Some(b'\n') => Ok(Some(cr)),
        Some(_) => Err(GuardError::Terminator),
    }
}
