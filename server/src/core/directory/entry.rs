//! One copy in the directory, packed; and what can be said of it.

use gs_client::cache::KeyId;

/// Bits of a copy's number; what is left of its word holds flags, database and node.
pub const COPY_BITS: u32 = 46;
const COPY_SHIFT: u32 = 18;
pub(super) const SHADOW: u64 = 1 << 17;
pub(super) const SECOND: u64 = 1 << 16;
const DB_SHIFT: u32 = 12;
const NODE_MASK: u64 = (1 << 12) - 1;

/// The highest node index an entry can name.
pub const NODE_MAX: u16 = NODE_MASK as u16;

/// 24 bytes. Half of the key id and the six bits that choose the shard decide, so that two keys in ten million
/// are mistaken for each other with p < 1e-7.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// The low half of the key id; also the hash.
    pub(super) tag: u64,
    pub(super) version: u64,
    /// copy46 | shadow1 | second1 | db4 | node12
    pub(super) word: u64,
}

/// A copy of a session on a relief node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The node's index, as the relay gave it.
    pub node: u16,
    /// The version of the copy.
    pub version: u64,
    /// The holder's own number of the copy.
    pub copy: u64,
    /// True for a copy that must not be read any more.
    pub shadow: bool,
    /// True for a second copy: readable, but the session is counted where its first copy is.
    pub second: bool,
}

/// What became of a copy that one relief passed on to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relocated {
    /// It is listed where it went; where it came from it may go.
    Listed,
    /// Where it came from it is listed as unreadable: nobody reads either copy.
    Unreadable,
    /// Where it came from it is not listed, or not yet: that copy stays and the new one goes.
    Unheard,
    /// The new one is a listed second copy, and the word of the old one may be on its way: both stay.
    Both,
}

impl Relocated {
    /// The answer to `GS.RELOCATE`.
    pub fn answer(self) -> i64 {
        match self {
            Relocated::Listed => 1,
            Relocated::Unreadable => 0,
            Relocated::Unheard => -1,
            Relocated::Both => 2,
        }
    }
}

impl Entry {
    pub(super) fn new(id: &KeyId, db: u8, holder: &Holder) -> Entry {
        let word = (holder.copy << COPY_SHIFT)
            | if holder.shadow { SHADOW } else { 0 }
            | if holder.second { SECOND } else { 0 }
            | (u64::from(db & 15) << DB_SHIFT)
            | u64::from(holder.node);
        Entry { tag: id.lo, version: holder.version, word }
    }

    pub(super) fn is(&self, id: &KeyId) -> bool {
        self.tag == id.lo
    }

    pub(super) fn copy(&self) -> u64 {
        self.word >> COPY_SHIFT
    }

    pub(super) fn node(&self) -> u16 {
        (self.word & NODE_MASK) as u16
    }

    pub(super) fn db(&self) -> usize {
        ((self.word >> DB_SHIFT) & 15) as usize
    }

    pub(super) fn shadow(&self) -> bool {
        self.word & SHADOW != 0
    }

    /// True if this entry stands for a session that lives downstream.
    pub(super) fn counts(&self) -> bool {
        self.word & (SHADOW | SECOND) == 0
    }

    pub(super) fn holder(&self) -> Holder {
        Holder {
            node: self.node(),
            version: self.version,
            copy: self.copy(),
            shadow: self.shadow(),
            second: self.word & SECOND != 0,
        }
    }
}
