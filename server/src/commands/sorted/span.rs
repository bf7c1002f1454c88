//! The bounds of a range of a sorted set: places, scores or bytes.

use crate::commands::parse::integer;
use gs_resp::{Refusal, parse_f64};

/// What the bounds of a range are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// Places, from the end below zero.
    Place,
    /// Scores.
    Score,
    /// The bytes of the members, all of which should have one score.
    Bytes,
}

/// A range.
#[derive(Debug)]
pub(super) enum Span<'a> {
    /// From one place to another.
    Places(i64, i64),
    /// From one score to another.
    Scores(Scores),
    /// From one string of bytes to another.
    Bytes(Edge<'a>, Edge<'a>),
}

impl<'a> Span<'a> {
    pub(super) fn parse(by: By, min: &'a [u8], max: &'a [u8]) -> Result<Span<'a>, Refusal> {
        Ok(match by {
            By::Place => Span::Places(integer(min)?, integer(max)?),
            By::Score => Span::Scores(Scores::parse(min, max)?),
            By::Bytes => Span::Bytes(Edge::parse(min)?, Edge::parse(max)?),
        })
    }

    /// What of a list in its order is in the range.
    pub(super) fn of<'r>(&self, mut list: Vec<(&'r [u8], f64)>) -> Vec<(&'r [u8], f64)> {
        match self {
            Span::Places(start, end) => {
                let (start, end) = places(*start, *end, list.len());
                list.truncate(end);
                list.drain(..start.min(end));
            }
            Span::Scores(scores) => list.retain(|(_, score)| scores.contains(*score)),
            Span::Bytes(min, max) => list.retain(|(member, _)| min.is_below(member) && max.is_above(member)),
        }
        list
    }
}

/// The places of a range in a list of `len`: the first and the one behind the last.
fn places(start: i64, end: i64, len: usize) -> (usize, usize) {
    let from_start = |place: i64| if place < 0 { place.saturating_add(len as i64) } else { place };
    let start = usize::try_from(from_start(start)).unwrap_or(0);
    let end = usize::try_from(from_start(end).saturating_add(1)).unwrap_or(0).min(len);
    if start >= end { (0, 0) } else { (start, end) }
}

/// Scores from one to another, each bound in or out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scores {
    min: (f64, bool),
    max: (f64, bool),
}

impl Scores {
    pub(super) fn parse(min: &[u8], max: &[u8]) -> Result<Scores, Refusal> {
        let bound = |word: &[u8]| {
            let (text, out) = match word {
                [b'(', rest @ ..] => (rest, true),
                rest => (rest, false),
            };
            number(text).map(|n| (n, out)).ok_or_else(|| Refusal::err("min or max is not a float"))
        };
        Ok(Scores { min: bound(min)?, max: bound(max)? })
    }

    pub(super) fn contains(&self, score: f64) -> bool {
        let (min, min_out) = self.min;
        let (max, max_out) = self.max;
        (if min_out { score > min } else { score >= min })
            && (if max_out { score < max } else { score <= max })
    }
}

/// A bound as C's `strtod` reads it: spaces may stand before it, nothing at all is 0, what is too large is infinite
/// and what is too small is 0.
fn number(text: &[u8]) -> Option<f64> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0.0);
    }
    let text = text.trim_ascii_start();
    parse_f64(text).or_else(|| {
        let n: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
        (!n.is_nan()).then_some(n)
    })
}

/// One bound of a range by bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edge<'a> {
    /// Before everything: `-`.
    First,
    /// After everything: `+`.
    Last,
    /// These bytes, themselves in the range: `[`.
    In(&'a [u8]),
    /// These bytes, themselves out of the range: `(`.
    Out(&'a [u8]),
}

impl<'a> Edge<'a> {
    fn parse(word: &'a [u8]) -> Result<Edge<'a>, Refusal> {
        Ok(match word {
            b"-" => Edge::First,
            b"+" => Edge::Last,
            [b'[', rest @ ..] => Edge::In(rest),
            [b'(', rest @ ..] => Edge::Out(rest),
            _ => return Err(Refusal::err("min or max not valid string range item")),
        })
    }

    fn is_below(self, member: &[u8]) -> bool {
        match self {
            Edge::First => true,
            Edge::Last => false,
            Edge::In(bytes) => bytes <= member,
            Edge::Out(bytes) => bytes < member,
        }
    }

    fn is_above(self, member: &[u8]) -> bool {
        match self {
            Edge::First => false,
            Edge::Last => true,
            Edge::In(bytes) => bytes >= member,
            Edge::Out(bytes) => bytes > member,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers at the edges of 64 bits come from clients that page with "all the rest".
    #[test]
    fn places_count_from_both_ends_and_never_overflow() {
        assert_eq!(places(0, -1, 5), (0, 5));
        assert_eq!(places(-2, -1, 5), (3, 5));
        assert_eq!(places(-100, 1, 5), (0, 2));
        assert_eq!(places(i64::MIN, i64::MAX, 5), (0, 5));
        assert_eq!(places(i64::MAX, i64::MAX, 5), (0, 0));
        assert_eq!(places(3, 2, 5), (0, 0));
        assert_eq!(places(0, -6, 5), (0, 0));
        assert_eq!(places(0, -1, 0), (0, 0));
    }
}
