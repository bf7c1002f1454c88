//! Collections as one record holds them: hashes, sets and sorted sets.
//!
//! A record is a head byte and then one item after the other: a length, as in LEB128, and so many bytes; in a hash
//! a field and its value, in a sorted set eight bytes of score before the member. Items stand in the order in which
//! Redis 7.0 lists them where it has one: fields and members as they came, integers of a small set by number,
//! members of a sorted set by score. The head says the format and whether Redis would have gone over to its larger
//! encoding, from which there is no way back.
//!
//! Records come out of shared memory and from other nodes, so nothing in them is believed: what does not parse is
//! refused as [`Broken`]. A collection is read and written whole; `section.value_bytes_max` bounds it.

pub mod hash;
pub mod items;
pub mod set;
pub mod sorted;

use gs_resp::Refusal;

/// The high four bits of the head: the format.
const FORMAT: u8 = 0x10;
/// The bit of the head for Redis's larger encoding.
const BIG: u8 = 1;

/// Longest item of the compact encodings of hashes and sorted sets: `hash-max-listpack-value` and its like.
const COMPACT_BYTES_MAX: usize = 64;

/// A record that is no collection of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl From<Broken> for crate::core::keyspace::Stop {
    fn from(_: Broken) -> Self {
        Refusal::err("the record of this key does not parse as what it is said to hold; delete the key")
            .into()
    }
}

/// Reads a record from its front.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader behind the head, and whether the head says "big". No bytes at all are an empty collection.
    fn new(record: &'a [u8]) -> Result<(Reader<'a>, bool), Broken> {
        match record {
            [] => Ok((Reader { rest: record }, false)),
            [head, rest @ ..] if head & !BIG == FORMAT => Ok((Reader { rest }, head & BIG != 0)),
            _ => Err(Broken),
        }
    }

    fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next item.
    fn item(&mut self) -> Result<&'a [u8], Broken> {
        let (mut len, mut shift) = (0usize, 0);
        loop {
            let (byte, rest) = self.rest.split_first().ok_or(Broken)?;
            self.rest = rest;
            len |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
            if shift > 28 {
                return Err(Broken);
            }
        }
        let (item, rest) = self.rest.split_at_checked(len).ok_or(Broken)?;
        self.rest = rest;
        Ok(item)
    }

    /// The next score; never NaN.
    fn score(&mut self) -> Result<f64, Broken> {
        let (bytes, rest) = self.rest.split_first_chunk::<8>().ok_or(Broken)?;
        self.rest = rest;
        let score = f64::from_le_bytes(*bytes);
        if score.is_nan() { Err(Broken) } else { Ok(score) }
    }
}

/// A record to be filled, with its head.
fn record(big: bool, bytes: usize) -> Vec<u8> {
    let mut record = Vec::with_capacity(bytes + 1);
    record.push(FORMAT | if big { BIG } else { 0 });
    record
}

fn push_item(record: &mut Vec<u8>, item: &[u8]) {
    let mut len = item.len();
    while len > 0x7f {
        record.push(len as u8 | 0x80);
        len >>= 7;
    }
    record.push(len as u8);
    record.extend_from_slice(item);
}

/// Whether a record says that Redis would keep it in its larger encoding.
pub fn is_big(record: &[u8]) -> bool {
    record.first().is_some_and(|head| head & BIG != 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use hash::Hash;
    use set::Set;
    use sorted::Sorted;

    /// Other nodes and a torn section can hand over anything: whatever it is, it is read within its bounds.
    #[test]
    fn garbage_is_refused_and_never_believed() {
        let mut state = 7u64;
        let mut random = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as u8
        };
        let mut refused = 0;
        for len in 0..300 {
            let mut bytes: Vec<u8> = (0..len).map(|_| random()).collect();
            if let Some(head) = bytes.first_mut() {
                *head = FORMAT | (*head & BIG);
            }
            let all =
                [Hash::parse(&bytes).is_err(), Set::parse(&bytes).is_err(), Sorted::parse(&bytes).is_err()];
            refused += all.iter().filter(|refused| **refused).count();
        }
        assert!(refused > 500, "{refused}");
        for bad in [&[0u8][..], &[0x20], &[0x10, 0xff, 0xff, 0xff, 0xff, 0xff], &[0x10, 5, b'a'], b"session"]
        {
            assert_eq!(Hash::parse(bad).err(), Some(Broken), "{bad:?}");
            assert_eq!(Set::parse(bad).err(), Some(Broken), "{bad:?}");
        }
        // A field without its value, a score without its member, a score that is none.
        assert!(Hash::parse(&[0x10, 1, b'f']).is_err());
        assert!(Sorted::parse(&[0x10, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
        let mut nan = vec![0x10];
        nan.extend(f64::NAN.to_le_bytes());
        nan.extend([1, b'm']);
        assert!(Sorted::parse(&nan).is_err());
    }

    /// An item that comes twice would answer two values for one name.
    #[test]
    fn long_items_and_empty_ones_read_back() {
        let long = vec![b'x'; 70_000];
        let mut hash = Hash::parse(&[]).unwrap();
        hash.set(&long, b"");
        hash.set(b"", &long);
        let record = hash.record();
        let again = Hash::parse(&record).unwrap();
        assert_eq!(again.get(&long), Some(&b""[..]));
        assert_eq!(again.get(b""), Some(long.as_slice()));
        assert_eq!(again.len(), 2);
    }
}
