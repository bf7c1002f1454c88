//! Sorted sets: members in the order of their scores, equal scores in the order of the bytes.

use super::items::Items;
use super::{Broken, COMPACT_BYTES_MAX, Reader, push_item, record};
use gs_resp::num::{push_f64, push_i64};
use std::cmp::Ordering;

/// Most members of the compact encoding: `zset-max-listpack-entries`.
const COMPACT_MEMBERS_MAX: usize = 128;

/// A sorted set as it lies in a record, and what a command changes of it.
#[derive(Debug)]
pub struct Sorted<'a> {
    items: Items<'a, f64>,
    big: bool,
}

impl<'a> Sorted<'a> {
    /// Reads a record; no bytes are an empty sorted set.
    pub fn parse(record: &'a [u8]) -> Result<Sorted<'a>, Broken> {
        let (mut reader, big) = Reader::new(record)?;
        let mut list = Vec::new();
        while !reader.is_at_end() {
            let score = reader.score()?;
            list.push((reader.item()?, score));
        }
        Ok(Sorted { items: Items::new(list), big })
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether Redis would keep it as a skip list.
    pub fn is_big(&self) -> bool {
        self.big
    }

    /// Says that so many members will be looked for.
    pub fn expect(&mut self, lookups: usize) {
        self.items.expect(lookups);
    }

    /// The score of a member.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        self.items.get(member).copied()
    }

    /// Gives a member a score; true if it is new.
    pub fn set(&mut self, member: &'a [u8], score: f64) -> bool {
        let is_new = !self.items.contains(member);
        if is_new {
            let len = self.items.len();
            self.big |= member.len() > COMPACT_BYTES_MAX || len + 1 > COMPACT_MEMBERS_MAX;
        }
        // Redis's compact encoding keeps whole scores as integers, which have no negative zero.
        let score = if score == 0.0 && !self.big { 0.0 } else { score };
        self.items.set(member, score);
        is_new
    }

    /// Removes a member; its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        self.items.remove(member)
    }

    /// Members and scores in the order of the record; what a command sets comes last until it is written.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], f64)> {
        self.items.iter().map(|(member, score)| (member, *score))
    }

    /// The record of it.
    pub fn record(&self) -> Vec<u8> {
        let mut members: Vec<_> = self.iter().collect();
        members.sort_by(|a, b| order(*a, *b));
        let mut record = record(self.big, members.iter().map(|(member, _)| member.len() + 12).sum());
        for (member, score) in members {
            record.extend_from_slice(&score.to_le_bytes());
            push_item(&mut record, member);
        }
        record
    }
}

/// Appends a score as ZSCAN lists it: the compact encoding keeps whole numbers as integers, which have no exponent.
pub fn push_score(out: &mut Vec<u8>, score: f64, big: bool) {
    const WHOLE_MAX: f64 = (i64::MAX / 2) as f64;
    if !big && score.abs() <= WHOLE_MAX && score.fract() == 0.0 {
        push_i64(out, score as i64);
    } else {
        push_f64(out, score);
    }
}

fn order(a: (&[u8], f64), b: (&[u8], f64)) -> Ordering {
    // No score is NaN; both zeros are equal.
    a.1.partial_cmp(&b.1).unwrap_or(Ordering::Equal).then_with(|| a.0.cmp(b.0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn members_come_by_score_and_then_by_their_bytes() {
        let mut sorted = Sorted::parse(&[]).unwrap();
        for (member, score) in [(&b"b"[..], 1.0), (b"a", 1.0), (b"c", -0.0), (b"d", f64::NEG_INFINITY)] {
            assert!(sorted.set(member, score));
        }
        let record = sorted.record();
        let mut again = Sorted::parse(&record).unwrap();
        let names = |sorted: &Sorted<'_>| sorted.iter().map(|(m, _)| m[0] as char).collect::<String>();
        assert_eq!(names(&again), "dcab");
        assert!(again.score(b"c").is_some_and(|score| score.is_sign_positive()));
        assert!(!again.set(b"d", 2.0) && again.remove(b"a") == Some(1.0));
        let record = again.record();
        assert_eq!(names(&Sorted::parse(&record).unwrap()), "cbd");
    }
}
