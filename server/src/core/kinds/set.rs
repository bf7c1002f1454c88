//! Sets: members, each once. A small one of integers only is listed by number, as Redis's intset is.

use super::items::Items;
use super::{Broken, Reader, push_item, record};
use gs_resp::parse_i64;

/// Most members of the encoding for integers: `set-max-intset-entries`.
const INTEGERS_MAX: usize = 512;

/// A set as it lies in a record, and what a command changes of it.
#[derive(Debug)]
pub struct Set<'a> {
    items: Items<'a, ()>,
    big: bool,
}

impl<'a> Set<'a> {
    /// Reads a record; no bytes are an empty set.
    pub fn parse(record: &'a [u8]) -> Result<Set<'a>, Broken> {
        let (mut reader, big) = Reader::new(record)?;
        let mut list = Vec::new();
        while !reader.is_at_end() {
            list.push((reader.item()?, ()));
        }
        Ok(Set { items: Items::new(list), big })
    }

    /// Whether this is a member, without reading what stands behind it.
    pub fn look_up(record: &[u8], member: &[u8]) -> Result<bool, Broken> {
        let (mut reader, _) = Reader::new(record)?;
        while !reader.is_at_end() {
            if reader.item()? == member {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether Redis would keep it as a hash table, not as integers.
    pub fn is_big(&self) -> bool {
        self.big
    }

    /// Says that so many members will be looked for.
    pub fn expect(&mut self, lookups: usize) {
        self.items.expect(lookups);
    }

    /// Whether this is a member.
    pub fn contains(&self, member: &[u8]) -> bool {
        self.items.contains(member)
    }

    /// Adds a member; true if it is new.
    pub fn add(&mut self, member: &'a [u8]) -> bool {
        if self.items.contains(member) {
            return false;
        }
        self.items.set(member, ());
        self.big |= parse_i64(member).is_none() || self.items.len() > INTEGERS_MAX;
        true
    }

    /// Removes a member; true if it was one.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        self.items.remove(member).is_some()
    }

    /// Members in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> {
        self.items.iter().map(|(member, ())| member)
    }

    /// The record of it.
    pub fn record(&self) -> Vec<u8> {
        let mut members: Vec<_> = self.iter().collect();
        if !self.big {
            members.sort_by_key(|member| parse_i64(member));
        }
        let mut record = record(self.big, members.iter().map(|member| member.len() + 4).sum());
        for member in members {
            push_item(&mut record, member);
        }
        record
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Redis lists a small set of integers by number, and one that ever held a word as it comes.
    #[test]
    fn integers_are_listed_by_number_until_a_word_comes() {
        let mut set = Set::parse(&[]).unwrap();
        for member in [&b"10"[..], b"9", b"-3", b"9"] {
            set.add(member);
        }
        let record = set.record();
        let mut again = Set::parse(&record).unwrap();
        assert_eq!(again.iter().collect::<Vec<_>>(), [&b"-3"[..], b"9", b"10"]);
        assert!(again.add(b"word") && again.add(b"1") && again.remove(b"word") && !again.remove(b"word"));
        let record = again.record();
        let again = Set::parse(&record).unwrap();
        assert_eq!(again.iter().collect::<Vec<_>>(), [&b"-3"[..], b"9", b"10", b"1"]);
        assert!(again.is_big());
    }
}
