//! The values that go in and out of a section.

/// Keyed 128-bit hash of (database, key): the index and the identity of a record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct KeyId {
    /// High half: second bucket and tag.
    pub hi: u64,
    /// Low half: first bucket and fence stripe.
    pub lo: u64,
}

/// One exact incarnation of a record: a block, the control word and the deadline word it was seen with.
///
/// It may travel to another process and come back late: every operation that takes one compares the words
/// exactly and answers "gone" when they moved.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BlockRef {
    /// Index of the head block.
    pub index: u32,
    /// Control word: state, owner and generation.
    pub ctl: u64,
    /// Deadline word as judged.
    pub w4: u64,
}

impl BlockRef {
    /// The generation of the block in this incarnation: with the index, unique in the section's life.
    pub fn generation(&self) -> u64 {
        crate::blocks::Ctl(self.ctl).generation()
    }
}

/// Whether a readable record is on its way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordState {
    /// Here to stay.
    Live,
    /// Being handed to another node; still the truth until the hand-off is acknowledged.
    Evicting,
}

/// All that is known of a record but its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meta {
    /// Version assigned by the key's owner.
    pub version: u64,
    /// Deadline in boot-time milliseconds, 0 for none.
    pub deadline_ms: u64,
    /// The caller's type tag, at most [`crate::KIND_MAX`].
    pub kind: u8,
    /// Logical database.
    pub db: u8,
    /// Bytes of the value.
    pub value_len: u32,
    /// Bytes of the key (0 where keys are not kept).
    pub key_len: u32,
    /// When the record was made, boot-time milliseconds rounded down to a second.
    pub created_ms: u64,
    /// Time since the last counted read or since it was stored, in steps of a second; at most about 4.5 h.
    pub idle_ms: u64,
    /// Reference count of the CLOCK hand, 0..=3.
    pub refs: u8,
    /// Live or on its way out.
    pub state: RecordState,
    /// The exact incarnation.
    pub at: BlockRef,
}

/// Answer of a read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// Found; the value was appended to the output.
    Hit(Meta),
    /// Proven absent (or expired) at one instant; `ticket` is the fence that was stable across the scan.
    Miss {
        /// Give it to [`crate::Section::fill`], or compare it with [`crate::Section::fence`] later.
        ticket: u64,
    },
    /// Writers were in the way four times, or the section is retired: nothing is known. Never take it for nil.
    Contended,
}

/// Answer of a read under a lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leased {
    /// Found, and the lease held after the copy.
    Hit(Meta),
    /// Absent; see [`Lookup::Miss`].
    Miss {
        /// See [`Lookup::Miss`].
        ticket: u64,
    },
    /// See [`Lookup::Contended`].
    Contended,
    /// The lease has lapsed: nothing may be said from this section.
    NoLease,
}

/// A record to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// Identity, from [`crate::Section::key_id`].
    pub id: KeyId,
    /// Logical database, below [`crate::DATABASES`].
    pub db: u8,
    /// Key bytes.
    pub key: &'a [u8],
    /// Value bytes.
    pub value: &'a [u8],
    /// Version from the key's owner.
    pub version: u64,
    /// Deadline in boot-time milliseconds, 0 for none.
    pub deadline_ms: u64,
    /// Type tag, at most [`crate::KIND_MAX`].
    pub kind: u8,
    /// When the object was made, boot-time milliseconds.
    pub created_ms: u64,
}

/// What a [`crate::Section::put`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Put {
    /// The readable record that it replaced.
    pub replaced: Option<Meta>,
    /// Whether the record is new or sits in another bucket than the one it replaced: an iteration that goes
    /// by buckets may then have passed it.
    pub rebucketed: bool,
    /// The new record.
    pub at: BlockRef,
}

/// What a [`crate::Section::delete`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deleted {
    /// The newest record killed, expired or not (compare its deadline); `None` where there was none.
    pub found: Option<Meta>,
}

/// What a [`crate::Section::fill`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fill {
    /// Published.
    Cached,
    /// Not kept; older copies were killed all the same.
    NotCached(NotCached),
}

/// Why a fill was not kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotCached {
    /// The fence moved since the ticket: a delete or another version came between.
    Raced,
    /// A newer version is here.
    Newer,
    /// A record at least as new as this late one was let go: nobody can tell any more whether it was this key's.
    Forgotten,
    /// This very version is here already.
    Present,
    /// Key, value, kind or database out of range.
    TooLarge,
    /// No block could be freed within the bound.
    NoRoom,
    /// Every slot of both buckets is being written.
    NoSlot,
    /// The section was retired or this process is a fork of the one that attached: attach again.
    Detached,
}

/// What the policy sees of a record under the hand.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct View {
    /// Reference count, 0..=3.
    pub refs: u8,
    /// Milliseconds since it was made.
    pub age_ms: u64,
    /// Milliseconds since it was last read.
    pub idle_ms: u64,
    /// Milliseconds left, `None` without deadline.
    pub remaining_ms: Option<u64>,
    /// Bytes of section that it occupies.
    pub bytes: u64,
    /// Type tag.
    pub kind: u8,
    /// Logical database.
    pub db: u8,
}

/// The policy's answer to a [`View`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Leave it.
    Keep,
    /// Take one reference away.
    Demerit,
    /// Mark it EVICTING for this process.
    Take,
}

/// A record marked EVICTING.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Victim {
    /// The exact incarnation; name it in every later call.
    pub at: BlockRef,
}

/// Answer of [`crate::Section::release`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Release {
    /// Freed, and every older copy of its key with it.
    Freed,
    /// Deleted, replaced, aborted or already released: drop the copy that was sent.
    Gone,
    /// Its deadline was touched since it was copied; it is still EVICTING: send it again.
    Changed,
}

/// The agent's lease as it stands in the section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// Epoch of the agent that holds it; 0 before the first.
    pub agent_epoch: u16,
    /// Boot-time milliseconds until which hits may be served.
    pub until_ms: u64,
}

/// How a section came about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Made now, empty.
    Fresh,
    /// Found valid, with its records.
    Adopted,
}

/// Figures of a section; counters are of this process since it attached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of shared memory.
    pub total_bytes: u64,
    /// Bytes of one block.
    pub block_bytes: u64,
    /// All blocks.
    pub blocks: u64,
    /// Blocks not in use.
    pub free_blocks: u64,
    /// Slots of the index.
    pub slots: u64,
    /// Records of all databases.
    pub live: u64,
    /// Live records that were evicted to make room (cache mode) by this process.
    pub evicted: u64,
    /// Expired records reclaimed by this process.
    pub expired: u64,
    /// Blocks of dead processes and of flushed records reclaimed by this process.
    pub recovered: u64,
    /// Puts and fills refused for want of blocks.
    pub full: u64,
    /// Puts and fills refused because both buckets were full.
    pub bucket_full: u64,
    /// Reads that gave up after their retries.
    pub contended: u64,
    /// Records whose checksum or key did not match: corrupted, taken out.
    pub corrupt: u64,
}

/// What [`crate::Section::check`] counted in a quiet section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Blocks FREE.
    pub free: u64,
    /// Head blocks LIVE.
    pub live: u64,
    /// Head blocks EVICTING.
    pub evicting: u64,
    /// Continuation blocks of readable records.
    pub continuations: u64,
    /// Older copies beside a newer one: what a crash between commit and retirement leaves; invisible.
    pub duplicates: u64,
    /// Blocks left by processes that died; the hand takes them.
    pub orphans: u64,
    /// Slots that name no readable record.
    pub dangling: u64,
    /// Expired or flushed records not yet reclaimed.
    pub stale: u64,
}
