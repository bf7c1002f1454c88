//! The header words of a record, packed and unpacked, and the checksum that ties bytes to their key.

use crate::blocks::{Ctl, Mem, State};
use crate::layout::HEAD_WORDS;
use crate::sync::{Ordering, fence, mutant};
use crate::types::{BlockRef, KeyId, Meta, NewRecord, RecordState};

pub(crate) const W_ID_HI: usize = 1;
pub(crate) const W_ID_LO: usize = 2;
pub(crate) const W_VERSION: usize = 3;
pub(crate) const W_DEADLINE: usize = 4;
pub(crate) const W_SHAPE: usize = 5;
pub(crate) const W_CHECKSUM: usize = 6;
pub(crate) const W_CHAIN: usize = 7;

/// The deadline word: changed only by CAS of its exact value, because a plain store would land on the
/// record that reuses the block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Deadline(pub(crate) u64);

const DEADLINE_MS_MAX: u64 = (1 << 41) - 1;
const MS_SHIFT: u32 = 23;
const GEN_SHIFT: u32 = 7;
const TURN: u64 = 1 << 1;
const TURN_MASK: u64 = 0x3f << 1;
const CLOSED: u64 = 1;

impl Deadline {
    /// Deadlines beyond 69 years after boot are kept at that.
    pub(crate) fn new(deadline_ms: u64, gen16: u16) -> Deadline {
        Deadline(deadline_ms.min(DEADLINE_MS_MAX) << MS_SHIFT | u64::from(gen16) << GEN_SHIFT)
    }

    /// Boot-time milliseconds, 0 for none.
    #[inline]
    pub(crate) fn ms(self) -> u64 {
        self.0 >> MS_SHIFT
    }

    pub(crate) fn gen16(self) -> u16 {
        (self.0 >> GEN_SHIFT) as u16
    }

    /// The same word with another deadline.
    pub(crate) fn with_ms(self, deadline_ms: u64) -> Deadline {
        Deadline(self.0 & ((1 << MS_SHIFT) - 1) | deadline_ms.min(DEADLINE_MS_MAX) << MS_SHIFT)
    }

    /// Closed: whoever acts on this deadline has judged it, and no touch may move it any more.
    pub(crate) fn closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    pub(crate) fn close(self) -> Deadline {
        Deadline(self.0 | CLOSED)
    }

    pub(crate) fn reopen(self) -> Deadline {
        Deadline(self.0 & !CLOSED)
    }

    /// In the next of 64 turns: the word of a hand-off that is given up or taken over never fits a late
    /// release of it, though the control word may come to be the same.
    pub(crate) fn next_turn(self) -> Deadline {
        let turn = (self.0 & TURN_MASK).wrapping_add(TURN) & TURN_MASK;
        Deadline(self.0 & !TURN_MASK | turn)
    }

    #[inline]
    pub(crate) fn expired(self, now_ms: u64) -> bool {
        self.ms() != 0 && self.ms() <= now_ms
    }
}

/// Sizes and kind of a record in one word, so that a reader takes them together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape(pub(crate) u64);

impl Shape {
    pub(crate) fn new(rec: &NewRecord<'_>, key_len: usize, epoch: u16) -> Shape {
        Shape(
            u64::from(epoch) << 48
                | u64::from(rec.db & 0xf) << 44
                | u64::from(rec.kind & 0xf) << 40
                | (key_len as u64 & 0xffff) << 24
                | rec.value.len() as u64 & 0xff_ffff,
        )
    }

    #[inline]
    pub(crate) fn epoch(self) -> u16 {
        (self.0 >> 48) as u16
    }

    #[inline]
    pub(crate) fn db(self) -> usize {
        (self.0 >> 44) as usize & 0xf
    }

    pub(crate) fn kind(self) -> u8 {
        (self.0 >> 40) as u8 & 0xf
    }

    #[inline]
    pub(crate) fn key_len(self) -> usize {
        (self.0 >> 24) as usize & 0xffff
    }

    #[inline]
    pub(crate) fn value_len(self) -> usize {
        self.0 as usize & 0xff_ffff
    }
}

/// The chain word: first continuation and the second of making.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ChainWord(pub(crate) u64);

impl ChainWord {
    pub(crate) fn new(first: Option<u32>, created_ms: u64) -> ChainWord {
        ChainWord(stored(first) << 32 | (created_ms / 1000).min(u64::from(u32::MAX)))
    }

    /// First continuation as stored (plus one).
    #[inline]
    pub(crate) fn first(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(crate) fn created_ms(self) -> u64 {
        (self.0 & 0xffff_ffff) * 1000
    }
}

/// How an optional block number is stored: plus one, 0 for none.
pub(crate) fn stored(block: Option<u32>) -> u64 {
    block.map_or(0, |b| u64::from(b) + 1)
}

/// A head's header as read at one control word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) block: u32,
    pub(crate) ctl: Ctl,
    pub(crate) id: KeyId,
    pub(crate) version: u64,
    pub(crate) deadline: Deadline,
    pub(crate) shape: Shape,
    pub(crate) checksum: u64,
    pub(crate) chain: ChainWord,
}

impl<'a> Mem<'a> {
    /// Reads the header under `ctl`. The words belong to that incarnation only if the control word is seen
    /// unchanged afterwards ([`Mem::still`]) or is then moved by an exact CAS.
    #[inline]
    pub(crate) fn head(self, block: u32, ctl: Ctl) -> Head {
        let w = &self.block(block)[..HEAD_WORDS];
        let read = |i: usize| w[i].load(Ordering::Relaxed);
        Head {
            block,
            ctl,
            id: KeyId { hi: read(W_ID_HI), lo: read(W_ID_LO) },
            version: read(W_VERSION),
            deadline: Deadline(read(W_DEADLINE)),
            shape: Shape(read(W_SHAPE)),
            checksum: read(W_CHECKSUM),
            chain: ChainWord(read(W_CHAIN)),
        }
    }

    /// Whether the block is still the same readable incarnation after its words were read.
    ///
    /// SYNC POINT: pairs with the release fence that every writer passes between changing the control word
    /// and changing any other word: a reader that saw one of the new words sees the new control word here.
    #[inline]
    pub(crate) fn still(self, block: u32, ctl: Ctl) -> bool {
        if !mutant("read-no-acquire") {
            fence(Ordering::Acquire);
        }
        let now = Ctl(self.ctl(block).load(Ordering::Relaxed));
        let same = now.generation() == ctl.generation() || mutant("read-any-incarnation");
        same && now.state().readable()
    }

    /// [`Mem::head`] of a block that is readable now, proven.
    pub(crate) fn proven_head(self, block: u32, ctl: Ctl) -> Option<Head> {
        let head = self.head(block, ctl);
        (ctl.state().readable() && self.still(block, ctl)).then_some(head)
    }

    pub(crate) fn meta(self, head: &Head, now_ms: u64) -> Meta {
        let (refs, idle_ms) = self.refs_idle(head.block, now_ms);
        Meta {
            version: head.version,
            deadline_ms: head.deadline.ms(),
            kind: head.shape.kind(),
            db: head.shape.db() as u8,
            value_len: head.shape.value_len() as u32,
            key_len: head.shape.key_len() as u32,
            created_ms: head.chain.created_ms(),
            idle_ms,
            refs,
            state: if head.ctl.state() == State::Live { RecordState::Live } else { RecordState::Evicting },
            at: BlockRef { index: head.block, ctl: head.ctl.0, w4: head.deadline.0 },
        }
    }
}

/// Checksum of a value, mixed with everything that makes it this key's: identity, version, sizes, kind,
/// database and epoch. The deadline stays outside (a touch changes it in place).
///
/// Mixed in afterwards: a seed of its own makes xxh3 derive a secret of 192 bytes from it for each value, which
/// is half the price of 384 bytes.
#[inline]
pub(crate) fn checksum(id: &KeyId, version: u64, shape: Shape, value: &[u8]) -> u64 {
    let whose = id.hi ^ id.lo.rotate_left(21) ^ version.rotate_left(42) ^ shape.0.wrapping_mul(ODD_A);
    let mixed = (xxhash_rust::xxh3::xxh3_64(value) ^ whose).wrapping_mul(ODD_B);
    mixed ^ mixed >> 32
}

/// Odd multipliers with their bits well spread: 2^64 by the golden ratio, and xxh3's own.
const ODD_A: u64 = 0x9e37_79b9_7f4a_7c15;
const ODD_B: u64 = 0x1656_6791_9e37_79f9;

#[cfg(test)]
mod tests {
    use super::*;

    // Every field comes back at its extremes and leaves its neighbours alone.
    #[test]
    fn words_round_trip() {
        let value = vec![0; 70_000];
        let rec = NewRecord {
            id: KeyId { hi: 1, lo: 2 },
            db: 15,
            key: b"",
            value: &value,
            version: 7,
            deadline_ms: 0,
            kind: 15,
            created_ms: 0,
        };
        let shape = Shape::new(&rec, 65_535, 0xfffe);
        assert_eq!((shape.epoch(), shape.db(), shape.kind()), (0xfffe, 15, 15));
        assert_eq!((shape.key_len(), shape.value_len()), (65_535, 70_000));
        let deadline = Deadline::new(u64::MAX, 0xabcd);
        assert_eq!((deadline.ms(), deadline.gen16(), deadline.closed()), (DEADLINE_MS_MAX, 0xabcd, false));
        assert_eq!(deadline.close().next_turn().reopen(), deadline.next_turn());
        assert_ne!(deadline.next_turn(), deadline);
        assert_eq!((0..64).fold(deadline, |d, _| d.next_turn()), deadline);
        assert_eq!((deadline.next_turn().ms(), deadline.next_turn().gen16()), (DEADLINE_MS_MAX, 0xabcd));
        assert_eq!(deadline.next_turn().with_ms(7).with_ms(u64::MAX), deadline.next_turn());
        assert!(!Deadline::new(0, 1).expired(u64::MAX));
        assert!(Deadline::new(5, 1).expired(5) && !Deadline::new(5, 1).expired(4));
        let chain = ChainWord::new(Some(u32::MAX - 1), 12_345_678);
        assert_eq!((chain.first(), chain.created_ms()), (u32::MAX, 12_345_000));
    }
}
