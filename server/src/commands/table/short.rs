//! The look-up that every request goes through: a name of a few bytes is two machine words, and they are the key.
//!
//! No byte is compared one by one and nothing is copied; a name that fits is found or refused by one or two
//! comparisons of three numbers.

use gs_resp::Spec;

/// Longest name that two words tell apart from every other of its length.
pub(super) const BYTES_MAX: usize = 16;
/// Places of the table: several times the names, so that nearly all stand where they belong.
pub(super) const SHORT_SLOTS: usize = 2048;

/// A name of at most [`BYTES_MAX`] bytes in lower case, and its row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Short {
    name: Folded,
    row: u16,
}

/// Length, first and last bytes of a name; for short names they overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Folded {
    len: usize,
    head: u64,
    tail: u64,
}

impl Folded {
    fn of(name: &[u8]) -> Option<Folded> {
        let len = name.len();
        let (head, tail) = if let (Some(head), Some(tail)) = (name.first_chunk(), name.last_chunk()) {
            (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
        } else if let (Some(head), Some(tail)) = (name.first_chunk(), name.last_chunk()) {
            (u64::from(u32::from_le_bytes(*head)), u64::from(u32::from_le_bytes(*tail)))
        } else {
            // Up to three bytes: the first, the middle one and the last are all there are.
            let (first, last) = (u64::from(*name.first()?), u64::from(*name.last()?));
            (first | last << 8, u64::from(name[len / 2]))
        };
        (len <= BYTES_MAX).then(|| Folded { len, head: lower(head), tail: lower(tail) })
    }

    fn place(self) -> usize {
        let mixed =
            (self.head ^ self.tail.rotate_left(29) ^ self.len as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> (u64::BITS - SHORT_SLOTS.ilog2())) as usize
    }
}

/// Eight bytes in lower case, none looked at by itself.
fn lower(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let low = word & !HIGH;
    // The high bit of a byte of each sum says that it is above 'Z', or 'A' and above.
    let (above_z, from_a) = (low + (0x7f - u64::from(b'Z')) * ONES, low + (0x80 - u64::from(b'A')) * ONES);
    let upper = (from_a ^ above_z) & !word & HIGH;
    word | upper >> 2
}

/// The table of the rows whose names fit, subcommands aside.
pub(super) fn table<'a>(specs: impl Iterator<Item = (usize, &'a Spec)>) -> Box<[Option<Short>; SHORT_SLOTS]> {
    let mut slots = Box::new([None; SHORT_SLOTS]);
    for (row, spec) in specs.filter(|(_, spec)| spec.parent.is_none()) {
        let Some(name) = Folded::of(spec.name.as_bytes()) else { continue };
        let mut at = name.place();
        while slots[at].is_some() {
            at = (at + 1) % SHORT_SLOTS;
        }
        // There are far fewer rows than that.
        slots[at] = Some(Short { name, row: row as u16 });
    }
    slots
}

/// The row of a name in any case.
#[inline]
pub(super) fn find(slots: &[Option<Short>; SHORT_SLOTS], name: &[u8]) -> Option<usize> {
    let name = Folded::of(name)?;
    let mut at = name.place();
    // Ends at the first empty place, of which most are.
    while let Some(short) = &slots[at] {
        if short.name == name {
            return Some(usize::from(short.row));
        }
        at = (at + 1) % SHORT_SLOTS;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte in every place becomes what the language makes of it: '@' and '[' beside the letters, and bytes
    /// beyond ASCII, stay as they are.
    #[test]
    fn lower_case_is_that_of_the_language() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                let mut bytes = *b"aZ@[`{z\xff";
                bytes[at] = byte;
                assert_eq!(
                    lower(u64::from_le_bytes(bytes)).to_le_bytes(),
                    bytes.to_ascii_lowercase()[..],
                    "{byte}"
                );
            }
        }
    }

    /// No two names share a key, whatever their length: names of one to seventeen bytes that differ in one byte.
    #[test]
    fn names_that_differ_have_keys_that_differ() {
        for len in 1..=BYTES_MAX {
            let name = &b"abcdefghijklmnopq"[..len];
            for at in 0..len {
                let mut other = name.to_vec();
                other[at] = b'_';
                assert_ne!(Folded::of(name), Folded::of(&other), "{len} {at}");
                assert_ne!(Folded::of(name), Folded::of(&name[..len - 1]), "{len}");
            }
        }
        assert!(Folded::of(b"").is_none() && Folded::of(b"abcdefghijklmnopq").is_none());
    }
}
