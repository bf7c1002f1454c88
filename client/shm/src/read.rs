//! Reading: no lock, no allocation, nothing written but a touch.

use crate::Mode;
use crate::blocks::Mem;
use crate::layout::{self, CONT_WORDS, HEAD_WORDS};
use crate::record::{self, Head};
use crate::section::{Section, count};
use crate::sync::{AtomicU64, Ordering, fence, mutant};
use crate::types::{KeyId, Leased, Lookup, Meta};
use crate::words::append_words;

/// Scans of one lookup before it answers [`Lookup::Contended`].
const READ_TRIES: usize = if cfg!(loom) { 1 } else { 4 };
/// Scans of a peek; see there.
const PEEK_TRIES: usize = if cfg!(loom) { 2 } else { 16 };

/// Why a copy did not become a hit.
enum Spoiled {
    /// A writer moved the record: look again.
    Moved,
    /// The record stands and its bytes are not what they should be.
    Corrupt,
    /// The record stands and belongs to another key.
    OtherKey,
}

impl Section {
    /// Looks a key up. On a hit, `head` is called to append a prefix to `out` (a reply header, say), then the
    /// value is appended; on anything else `out` is as it was. `touch` counts the read for the hand.
    ///
    /// Every hit is verified: identity, key bytes where kept, flush epoch, deadline, checksum, and that the
    /// record still stood after the copy. So the bytes were written for exactly this key, whatever else is
    /// wrong with the memory.
    #[inline]
    pub fn get(
        &self,
        id: &KeyId,
        key: &[u8],
        now_ms: u64,
        touch: bool,
        out: &mut Vec<u8>,
        head: impl Fn(&mut Vec<u8>, &Meta),
    ) -> Lookup {
        // Both buckets at once, instead of the second after the first has arrived.
        self.prefetch(id);
        let mem = self.mem();
        self.read(id, key, now_ms, touch, out, head, |block| self.prefetch_block(mem, block))
    }

    /// [`Section::get`] with the buckets on their way; `ahead` is told of each block before it is waited for.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "get's own, and what to do ahead")]
    pub(crate) fn read(
        &self,
        id: &KeyId,
        key: &[u8],
        now_ms: u64,
        touch: bool,
        out: &mut Vec<u8>,
        head: impl Fn(&mut Vec<u8>, &Meta),
        ahead: impl Fn(u32),
    ) -> Lookup {
        let mem = self.mem();
        if mem.words[layout::STATE].load(Ordering::Acquire) != layout::STATE_READY && !mutant("read-retired")
        {
            return Lookup::Contended;
        }
        let start = out.len();
        for _ in 0..READ_TRIES {
            // SYNC POINT: the fence is read before the slots and again after; a writer moves it between
            // making the new record readable and taking the old one away.
            let ticket = self.fence(id);
            let Some((_, found)) = mem.newest_ahead(id, |db| self.min_epoch(db), &ahead) else {
                fence(Ordering::Acquire);
                if self.fence(id) == ticket || mutant("miss-any-fence") {
                    return Lookup::Miss { ticket };
                }
                continue;
            };
            if found.deadline.expired(now_ms) {
                if self.expiry_stands(mem, &found) && self.fence(id) == ticket {
                    return Lookup::Miss { ticket };
                }
                continue;
            }
            self.prefetch_rest(mem, &found);
            let meta = mem.meta(&found, now_ms);
            match self.copy(mem, &found, key, &meta, out, &head) {
                Ok(()) => {
                    if touch {
                        mem.count_read(found.block, now_ms);
                    }
                    return Lookup::Hit(meta);
                }
                Err(why) => {
                    out.truncate(start);
                    match why {
                        Spoiled::Moved => {}
                        Spoiled::Corrupt => self.retire_corrupt(mem, found.block, found.ctl),
                        Spoiled::OtherKey => return Lookup::Miss { ticket },
                    }
                }
            }
        }
        count(&self.counters.contended);
        Lookup::Contended
    }

    /// [`Section::get`] under the agent's lease, which is checked before the scan and after the copy:
    /// nothing is returned that a revoked lease should have stopped.
    pub fn get_leased(
        &self,
        id: &KeyId,
        key: &[u8],
        now_ms: impl Fn() -> u64,
        touch: bool,
        out: &mut Vec<u8>,
        head: impl Fn(&mut Vec<u8>, &Meta),
    ) -> Leased {
        let now = now_ms();
        if self.lease().until_ms <= now {
            return Leased::NoLease;
        }
        let start = out.len();
        let answer = self.get(id, key, now, touch, out, head);
        fence(Ordering::Acquire);
        if self.lease().until_ms <= now_ms() && !mutant("lease-not-rechecked") {
            out.truncate(start);
            return Leased::NoLease;
        }
        match answer {
            Lookup::Hit(meta) => Leased::Hit(meta),
            Lookup::Miss { ticket } => Leased::Miss { ticket },
            Lookup::Contended => Leased::Contended,
        }
    }

    /// What is known of a key's record without its bytes and without touching it. `None` is proof of absence
    /// for the process that serialises the writes of this key; for others it may be a race lost many times.
    pub fn peek(&self, id: &KeyId, key: &[u8], now_ms: u64) -> Option<Meta> {
        let mem = self.mem();
        for _ in 0..PEEK_TRIES {
            let ticket = self.fence(id);
            match mem.newest(id, |db| self.min_epoch(db)) {
                None => {
                    fence(Ordering::Acquire);
                    if self.fence(id) == ticket {
                        return None;
                    }
                }
                Some((_, found)) if found.deadline.expired(now_ms) => {
                    if self.expiry_stands(mem, &found) {
                        return None;
                    }
                }
                Some((_, found)) => {
                    let mut words = PayloadWords::new(mem, &found);
                    let same =
                        !self.cfg.keep_keys || (found.shape.key_len() == key.len() && words.equal(key));
                    if mem.still(found.block, found.ctl) {
                        return (same && self.plausible(&found)).then(|| mem.meta(&found, now_ms));
                    }
                }
            }
        }
        None
    }

    /// Whether "expired" may be said: where absence is final, the judged deadline is closed first, so that a
    /// touch that began earlier cannot bring the record back after someone was told it is gone.
    fn expiry_stands(&self, mem: Mem<'_>, found: &Head) -> bool {
        let unasked = self.cfg.mode == Mode::Cache || mutant("expiry-not-closed");
        let closed = unasked || self.close(mem, found.block, found.ctl, found.deadline);
        closed && mem.still(found.block, found.ctl)
    }

    /// Appends prefix and value, then proves that they were this key's all along.
    #[inline]
    fn copy(
        &self,
        mem: Mem<'_>,
        found: &Head,
        key: &[u8],
        meta: &Meta,
        out: &mut Vec<u8>,
        head: impl Fn(&mut Vec<u8>, &Meta),
    ) -> Result<(), Spoiled> {
        if !self.plausible(found) {
            return Err(if mem.still(found.block, found.ctl) { Spoiled::Corrupt } else { Spoiled::Moved });
        }
        let mut words = PayloadWords::new(mem, found);
        let same_key = !self.cfg.keep_keys
            || (found.shape.key_len() == key.len() && words.equal(key))
            || mutant("read-any-key");
        head(out, meta);
        let at = out.len();
        let whole = same_key && words.copy(found.shape.value_len(), out);
        if !mem.still(found.block, found.ctl) && !mutant("read-no-recheck") {
            return Err(Spoiled::Moved);
        }
        if !same_key {
            return Err(Spoiled::OtherKey);
        }
        // Under loom the checksum is left out: the orderings have to carry the proof alone.
        let sound = cfg!(any(loom, shuttle))
            || mutant("read-no-checksum")
            || record::checksum(&found.id, found.version, found.shape, &out[at..]) == found.checksum;
        if whole && sound { Ok(()) } else { Err(Spoiled::Corrupt) }
    }
}

/// The payload of a chain as a stream of words. Nothing it yields is to be believed before the head has been
/// proven unmoved; it only never leaves the section and never runs longer than what was asked of it.
pub(crate) struct PayloadWords<'a> {
    mem: Mem<'a>,
    segment: &'a [AtomicU64],
    next: u32,
}

impl<'a> PayloadWords<'a> {
    #[inline]
    pub(crate) fn new(mem: Mem<'a>, head: &Head) -> PayloadWords<'a> {
        let segment = &mem.block(head.block)[HEAD_WORDS..];
        PayloadWords { mem, segment, next: head.chain.first() }
    }

    /// Goes on to the next block of the chain; false at its end. Each call is paid for by a word wanted, so
    /// a chain bent into a ring costs no more than the length that was asked for.
    fn advance(&mut self) -> bool {
        let Some(block) = self.mem.checked(self.next) else {
            return false;
        };
        let words = self.mem.block(block);
        self.next = words[1].load(Ordering::Relaxed) as u32;
        self.segment = &words[CONT_WORDS..];
        true
    }

    /// Whether the next words are these bytes (padded to a word).
    #[inline]
    pub(crate) fn equal(&mut self, bytes: &[u8]) -> bool {
        // A last part of no fixed length is copied by a call; most keys' words are whole.
        let (mut whole, tail) = bytes.as_chunks::<8>();
        let mut differ = 0;
        while !whole.is_empty() {
            if self.segment.is_empty() && !self.advance() {
                return false;
            }
            let count = self.segment.len().min(whole.len());
            let ((here, later), (wanted, rest)) = (self.segment.split_at(count), whole.split_at(count));
            for (word, bytes) in here.iter().zip(wanted) {
                differ |= word.load(Ordering::Relaxed) ^ u64::from_le_bytes(*bytes);
            }
            (self.segment, whole) = (later, rest);
        }
        if !tail.is_empty() {
            if self.segment.is_empty() && !self.advance() {
                return false;
            }
            let mut word = [0u8; 8];
            word[..tail.len()].copy_from_slice(tail);
            differ |= self.segment[0].load(Ordering::Relaxed) ^ u64::from_le_bytes(word);
            self.segment = &self.segment[1..];
        }
        differ == 0
    }

    /// Appends the next `len` bytes; false if the chain ends before.
    #[inline]
    pub(crate) fn copy(&mut self, len: usize, out: &mut Vec<u8>) -> bool {
        let end = out.len() + len;
        let mut words = len.div_ceil(8);
        out.reserve(words * 8);
        while words > 0 {
            if self.segment.is_empty() && !self.advance() {
                return false;
            }
            let (now, later) = self.segment.split_at(self.segment.len().min(words));
            append_words(now, out);
            self.segment = later;
            words -= now.len();
        }
        out.truncate(end);
        true
    }
}
