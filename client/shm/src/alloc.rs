//! Getting blocks, and writing a record into them.

use crate::Mode;
use crate::blocks::{Ctl, Mem, State};
use crate::layout::{CONT_WORDS, HEAD_WORDS};
use crate::record::{self, ChainWord, Deadline, Shape};
use crate::section::Section;
use crate::sync::{AtomicU64, Ordering, fence, mutant};
use crate::types::NewRecord;
use crate::words::store_words;
use smallvec::SmallVec;

/// Blocks taken for one record, all WRITING(me); the head has the generation that all will bear.
pub(crate) struct Chain {
    pub(crate) head: u32,
    pub(crate) ctl: Ctl,
    members: Taken,
}

/// Blocks with the control words that say whose they are. Those of most records need no allocation of their own.
type Taken = SmallVec<[(u32, Ctl); 4]>;

/// Free-block hints kept per process.
const POOL_MAX: usize = 16_384;
/// Hints taken at once: the blocks of most records.
const HINTS_AT_ONCE: usize = 8;
/// Hints gathered beyond what is asked for, so that one walk serves many writes.
const GATHER_MORE: usize = 64;
/// Blocks looked at for one record when nothing says that there are free ones.
const PROBES: u64 = 2048;
/// More of them per block needed: a long value may have to evict many short ones.
const PROBES_PER_BLOCK: u64 = 16;
/// Walks before "no room" is the answer.
const WALKS: usize = 3;

impl Section {
    /// Takes blocks for a record: FREE ones, and what the walk may reclaim for them. `None`: no room.
    pub(crate) fn allocate(&self, needed: u32, now_ms: u64) -> Option<Chain> {
        let mem = self.mem();
        let needed = needed as usize;
        if needed > self.geometry.blocks as usize {
            return None;
        }
        let mut taken = Taken::with_capacity(needed);
        for walk in 0..=WALKS {
            self.take_hinted(mem, needed, &mut taken);
            if taken.len() == needed {
                return self.chain(mem, taken);
            }
            if walk < WALKS {
                self.gather(mem, needed - taken.len(), walk > 0, now_ms);
            }
        }
        self.give_back(mem, &taken);
        None
    }

    fn take_hinted(&self, mem: Mem<'_>, needed: usize, taken: &mut Taken) {
        let before = taken.len();
        while taken.len() < needed {
            // The lock is private and never held over a shared access.
            let mut hints = [0; HINTS_AT_ONCE];
            let hinted = {
                let mut pool = self.pool();
                let keep = pool.len().saturating_sub(HINTS_AT_ONCE.min(needed - taken.len()));
                let hinted = pool.len() - keep;
                hints[..hinted].copy_from_slice(&pool[keep..]);
                pool.truncate(keep);
                hinted
            };
            if hinted == 0 {
                break;
            }
            for &block in hints[..hinted].iter().rev() {
                let ctl = mem.load_ctl(block);
                let to = ctl.next(State::Writing, self.me);
                if (ctl.state() == State::Free || mutant("taken-unfree")) && mem.cas_ctl(block, ctl, to) {
                    taken.push((block, to));
                }
            }
        }
        self.used_add((taken.len() - before) as i64);
    }

    /// Raises the head's generation to the highest of all, so that no member ever bore it before.
    fn chain(&self, mem: Mem<'_>, mut taken: Taken) -> Option<Chain> {
        let highest = taken.iter().map(|(_, ctl)| ctl.generation()).max()?;
        let (head, ctl) = taken[0];
        let highest = if mutant("generation-not-raised") { ctl.generation() } else { highest };
        let raised = Ctl::new(State::Writing, self.me, highest);
        if raised != ctl && !mem.cas_ctl(head, ctl, raised) {
            // Only garbage in the section can do this: the block was ours.
            self.give_back(mem, &taken[1..]);
            return None;
        }
        taken.remove(0);
        Some(Chain { head, ctl: raised, members: taken })
    }

    fn give_back(&self, mem: Mem<'_>, taken: &[(u32, Ctl)]) {
        for &(block, ctl) in taken {
            self.free(mem, block, ctl);
        }
    }

    /// The last step of a block's life. `ctl` is WRITING(me) or DEAD(me), the block scrubbed or untouched.
    pub(crate) fn free(&self, mem: Mem<'_>, block: u32, ctl: Ctl) {
        if mem.cas_ctl(block, ctl, ctl.to(State::Free, 0)) {
            self.used_add(-1);
            self.hint(block);
        }
    }

    fn hint(&self, block: u32) {
        // In a fork another thread's lock may be held for ever; a lost hint is found again by the walk.
        if self.forked() {
            return;
        }
        let mut pool = self.pool();
        if pool.len() < POOL_MAX {
            pool.push(block);
        }
    }

    fn pool(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        // Hints stay valid whatever a panicking thread did with them.
        self.pool.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Hints that this process has: each may be out of date.
    pub(crate) fn hints(&self) -> usize {
        self.pool().len()
    }

    /// Looks for free blocks and leaves them as hints: in owner mode from this process's own cursor (a live
    /// record is the demoter's to take), in cache mode with the shared hand, evicting.
    fn gather(&self, mem: Mem<'_>, needed: usize, expired_too: bool, now_ms: u64) {
        let found = match self.cfg.mode {
            Mode::Owner => self.find_free(mem, needed, expired_too, now_ms),
            Mode::Cache => self.make_room(mem, needed, now_ms),
        };
        let mut pool = self.pool();
        let room = POOL_MAX.saturating_sub(pool.len());
        // Lowest block last, so that it is taken first and neighbours share a walk of the memory.
        pool.extend(found.into_iter().rev().take(room));
    }

    fn find_free(&self, mem: Mem<'_>, needed: usize, expired_too: bool, now_ms: u64) -> Vec<u32> {
        let blocks = u64::from(self.geometry.blocks);
        let mut probes = PROBES + PROBES_PER_BLOCK * needed as u64;
        if self.free_blocks() >= needed as u64 {
            // They are somewhere: a whole turn finds them.
            probes = blocks;
        }
        let wanted = needed + GATHER_MORE;
        let mut found = Vec::with_capacity(wanted);
        for _ in 0..probes.min(blocks) {
            let next = self.cursor.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let block = (next % blocks) as u32;
            let ctl = mem.load_ctl(block);
            if ctl.state() == State::Free {
                found.push(block);
            } else {
                self.reclaim(mem, block, ctl, now_ms, expired_too);
            }
            if found.len() >= wanted || self.hints() >= wanted {
                break;
            }
        }
        found
    }

    /// Writes the record and makes it PENDING: complete, linked nowhere. On `None` the blocks were given back.
    pub(crate) fn build(&self, chain: &Chain, rec: &NewRecord<'_>, epoch: u16, now_ms: u64) -> Option<Ctl> {
        let mem = self.mem();
        let key: &[u8] = if self.cfg.keep_keys { rec.key } else { &[] };
        let shape = Shape::new(rec, key.len(), epoch);
        // SYNC POINT: the control words went to WRITING with new generations before; a reader that sees any
        // word stored below and then passes its acquire fence sees that, and drops what it read.
        if !mutant("build-no-release") {
            fence(Ordering::Release);
        }
        let (fixed, room) = mem.block(chain.head).split_at(HEAD_WORDS);
        let first = chain.members.first().map(|(block, _)| *block);
        for (at, value) in [
            (record::W_ID_HI, rec.id.hi),
            (record::W_ID_LO, rec.id.lo),
            (record::W_VERSION, rec.version),
            (record::W_DEADLINE, Deadline::new(rec.deadline_ms, chain.ctl.gen16()).0),
            (record::W_SHAPE, shape.0),
            (record::W_CHECKSUM, record::checksum(&rec.id, rec.version, shape, rec.value)),
            (record::W_CHAIN, ChainWord::new(first, rec.created_ms).0),
        ] {
            fixed[at].store(value, Ordering::Relaxed);
        }
        let mut payload = Payload { parts: [key, rec.value] };
        payload.fill(room);
        for (at, (block, ctl)) in chain.members.iter().enumerate() {
            let next = chain.members.get(at + 1).map(|(next, _)| *next);
            let cont = mem.block(*block);
            cont[1].store(u64::from(chain.head) << 32 | record::stored(next), Ordering::Relaxed);
            payload.fill(&cont[CONT_WORDS..]);
            let as_cont = Ctl::new(State::Continuation, self.me, chain.ctl.generation());
            if !mem.cas_ctl(*block, *ctl, as_cont) {
                self.abandon(mem, chain, at);
                return None;
            }
        }
        mem.start_touch(chain.head, now_ms);
        let pending = self.claim(mem, chain.head, chain.ctl, State::Pending);
        if pending.is_none() {
            self.abandon(mem, chain, chain.members.len());
        }
        pending
    }

    /// Gives up a chain whose blocks were changed under us (garbage in the section): what is still ours goes
    /// back; continuations name a head that will not be live, so anyone takes them.
    fn abandon(&self, mem: Mem<'_>, chain: &Chain, linked: usize) {
        self.give_back_scrubbed(mem, chain.head, chain.ctl);
        for (block, ctl) in &chain.members[linked.min(chain.members.len())..] {
            self.give_back_scrubbed(mem, *block, *ctl);
        }
    }

    fn give_back_scrubbed(&self, mem: Mem<'_>, block: u32, ctl: Ctl) {
        if let Some(dead) = self.claim(mem, block, ctl, State::Dead) {
            self.scrub(mem, block);
            self.free(mem, block, dead);
        }
    }
}

/// The payload of a record on its way into its blocks: the words of its key, then those of its value.
struct Payload<'a> {
    parts: [&'a [u8]; 2],
}

impl Payload<'_> {
    /// Stores as much as there is room for: little-endian words, the last one of each part padded with zeroes.
    fn fill(&mut self, mut room: &[AtomicU64]) {
        for part in &mut self.parts {
            let (now, rest) = room.split_at(room.len().min(part.len().div_ceil(8)));
            let (whole, tail) = part.as_chunks::<8>();
            store_words(now, whole);
            if let Some(word) = now.get(whole.len()) {
                let mut bytes = [0u8; 8];
                bytes[..tail.len()].copy_from_slice(tail);
                word.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
            }
            *part = &part[part.len().min(8 * now.len())..];
            room = rest;
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    // A record is cut into blocks of any size at any place: inside its key, between key and value, inside the value,
    // with and without bytes that fill no word.
    #[test]
    fn payload_is_the_same_however_it_is_cut() {
        let bytes: Vec<u8> = (1..=100).collect();
        for (key_len, value_len) in [(0, 0), (0, 5), (8, 0), (3, 61), (32, 64), (33, 67)] {
            let (key, value) = (&bytes[..key_len], &bytes[key_len..key_len + value_len]);
            let wanted: Vec<u64> = [key, value]
                .iter()
                .flat_map(|part| part.chunks(8))
                .map(|chunk| chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
                .collect();
            for block in 1..12 {
                let words: Vec<AtomicU64> = (0..20).map(|_| AtomicU64::new(u64::MAX)).collect();
                let mut payload = Payload { parts: [key, value] };
                words.chunks(block).for_each(|block| payload.fill(block));
                let stored: Vec<u64> = words.iter().map(|word| word.load(Ordering::Relaxed)).collect();
                assert_eq!(stored[..wanted.len()], wanted, "{key_len} {value_len} {block}");
                assert!(
                    stored[wanted.len()..].iter().all(|word| *word == u64::MAX),
                    "nothing more is written"
                );
            }
        }
    }
}
