//! Hashes: fields and their values.

use super::items::Items;
use super::{Broken, COMPACT_BYTES_MAX, Reader, push_item, record};

/// Most fields of the compact encoding: `hash-max-listpack-entries`.
const COMPACT_FIELDS_MAX: usize = 512;

/// A hash as it lies in a record, and what a command changes of it.
#[derive(Debug)]
pub struct Hash<'a> {
    items: Items<'a, &'a [u8]>,
    big: bool,
}

impl<'a> Hash<'a> {
    /// Reads a record; no bytes are an empty hash.
    pub fn parse(record: &'a [u8]) -> Result<Hash<'a>, Broken> {
        let (mut reader, big) = Reader::new(record)?;
        let mut list = Vec::new();
        while !reader.is_at_end() {
            list.push((reader.item()?, reader.item()?));
        }
        Ok(Hash { items: Items::new(list), big })
    }

    /// The value of one field, without reading what stands behind it.
    pub fn look_up(record: &'a [u8], field: &[u8]) -> Result<Option<&'a [u8]>, Broken> {
        let (mut reader, _) = Reader::new(record)?;
        while !reader.is_at_end() {
            let (known, value) = (reader.item()?, reader.item()?);
            if known == field {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether Redis would keep it as a hash table.
    pub fn is_big(&self) -> bool {
        self.big
    }

    /// Says that so many fields will be looked for.
    pub fn expect(&mut self, lookups: usize) {
        self.items.expect(lookups);
    }

    /// The value of a field.
    pub fn get(&self, field: &[u8]) -> Option<&'a [u8]> {
        self.items.get(field).copied()
    }

    /// Sets a field; true if it is new.
    pub fn set(&mut self, field: &'a [u8], value: &'a [u8]) -> bool {
        let is_new = self.items.set(field, value).is_none();
        self.big |= field.len() > COMPACT_BYTES_MAX
            || value.len() > COMPACT_BYTES_MAX
            || self.items.len() > COMPACT_FIELDS_MAX;
        is_new
    }

    /// Removes a field; its value.
    pub fn remove(&mut self, field: &[u8]) -> Option<&'a [u8]> {
        self.items.remove(field)
    }

    /// Fields and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.items.iter().map(|(field, value)| (field, *value))
    }

    /// The record of it.
    pub fn record(&self) -> Vec<u8> {
        let bytes = self.iter().map(|(field, value)| field.len() + value.len() + 8).sum();
        let mut record = record(self.big, bytes);
        for (field, value) in self.iter() {
            push_item(&mut record, field);
            push_item(&mut record, value);
        }
        record
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Spring and redis-cli show fields in the order in which they were first set.
    #[test]
    fn fields_keep_their_places_and_a_big_hash_stays_big() {
        let mut hash = Hash::parse(&[]).unwrap();
        assert!(
            hash.set(b"a", b"1") && hash.set(b"b", b"2") && hash.set(b"c", b"3") && !hash.set(b"a", b"4")
        );
        assert_eq!(hash.remove(b"b"), Some(&b"2"[..]));
        let record = hash.record();
        let mut again = Hash::parse(&record).unwrap();
        assert_eq!(again.iter().collect::<Vec<_>>(), [(&b"a"[..], &b"4"[..]), (b"c", b"3")]);
        assert!(!again.is_big());
        let long = [b'x'; COMPACT_BYTES_MAX + 1];
        again.set(b"long", &long);
        again.remove(b"long");
        assert!(Hash::parse(&again.record()).unwrap().is_big());
    }
}
