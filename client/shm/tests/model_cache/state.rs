//! The model's state: the section's blocks, slots and fences, what each process keeps in private memory, the relay,
//! and what callers on this host were told.

use crate::control::{Ctl, St};
use crate::mutant::Mutant;

/// What a process is asked to do with a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Op {
    Fetch(u8),
    Set(u8),
    Delete(u8),
    /// The stream brings a version, whatever is known here.
    Late(u8, u8),
}

impl Op {
    pub(crate) fn key(self) -> u8 {
        match self {
            Op::Fetch(key) | Op::Set(key) | Op::Delete(key) | Op::Late(key, _) => key,
        }
    }
}

/// How far a run goes. Keys 0 and 1 are in the section when it begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Run {
    pub(crate) blocks: usize,
    pub(crate) slots: usize,
    pub(crate) plans: [&'static [Op]; WORKERS],
    pub(crate) reads: u8,
    pub(crate) crashes: u8,
    /// Versions of key 0 that the relay has beyond the one that is here.
    pub(crate) ahead: u8,
    /// Records of key 0 take two blocks.
    pub(crate) long: bool,
}

impl Run {
    /// Whether the stream brings anything: only then what is let go is noted, for nobody else asks.
    pub(crate) fn late(&self) -> bool {
        self.plans.iter().any(|plan| plan.iter().any(|op| matches!(op, Op::Late(..))))
    }

    pub(crate) fn blocks_of(&self, key: u8) -> usize {
        if self.long && key == 0 { 2 } else { 1 }
    }
}

/// All states of one exploration have the same.
impl std::hash::Hash for Run {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

pub(crate) const WORKERS: usize = 3;
pub(crate) const KEYS: usize = 3;
const BLOCKS: usize = 4;
const SLOTS: usize = 3;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Block {
    pub(crate) ctl: Ctl,
    pub(crate) key: u8,
    pub(crate) version: u8,
    /// Two words, written and read one after the other; 0 is scrubbed.
    pub(crate) payload: [u8; 2],
    /// Of a head: its continuation. Of a continuation: its head.
    pub(crate) link: Option<u8>,
}

/// The word that a record of a key and version consists of.
pub(crate) fn word(key: u8, version: u8) -> u8 {
    (key + 1) << 4 | version
}

/// What a slot says: the block, its generation, and the key (the tag).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Slot {
    pub(crate) block: u8,
    pub(crate) generation: u8,
    pub(crate) key: u8,
}

/// An incarnation seen or held.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Held {
    pub(crate) block: u8,
    pub(crate) ctl: Ctl,
}

/// A walk over the slots that kills records of a key up to a version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Walk {
    pub(crate) slot: u8,
    pub(crate) upto: u8,
    pub(crate) then: Then,
}

/// What follows a walk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Then {
    Ticket,
    Newer,
    Return,
    Buried,
    Nothing,
    /// What was seen and not kept is noted, then looked for again.
    Unkept,
    /// So is what was deleted.
    Gone,
}

/// Where a process is in what it does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum At {
    Next,
    /// Moves the fence, then walks.
    Bump {
        upto: u8,
        then: Then,
    },
    Walking(Walk),
    Ticket,
    Ask,
    Look,
    Allocate,
    /// The hand met a continuation: whose is it, and does that one still hold it?
    Whose(Held),
    AskHead {
        seen: Held,
        head: Option<u8>,
    },
    Raise,
    Write {
        word: u8,
    },
    Join,
    Complete,
    Link,
    Steal(Held),
    /// The mutant's order: the fence first, then the slot.
    LateLink,
    Newer {
        slot: u8,
        found: bool,
    },
    /// What comes late asks what was let go.
    AskNote {
        newer: bool,
    },
    Publish {
        newer: bool,
    },
    /// Notes a version, then walks once more.
    Note {
        upto: u8,
        then: Then,
    },
    Return,
}

/// How far the end of a record has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Ending {
    Note,
    Claim,
    /// The mutant's order: the note when it has ended.
    LateNote,
    Unlink,
    Member,
    ClaimMember(Held),
    ScrubMember(Held),
    FreeMember(Held),
    Scrub,
    Free,
}

/// The end of a record at this process's hands: noted, made DEAD, out of the index, scrubbed, free.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Clean {
    pub(crate) held: Held,
    pub(crate) step: Ending,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Worker {
    pub(crate) alive: bool,
    pub(crate) done: u8,
    pub(crate) at: At,
    pub(crate) clean: Option<Clean>,
    // Of the operation under way.
    pub(crate) ticket: u8,
    pub(crate) version: u8,
    pub(crate) old: u8,
    pub(crate) noted: u8,
    pub(crate) mine: Option<Held>,
    pub(crate) second: Option<Held>,
}

impl Worker {
    pub(crate) const IDLE: Worker = Worker {
        alive: true,
        done: 0,
        at: At::Next,
        clean: None,
        ticket: 0,
        version: 0,
        old: 0,
        noted: 0,
        mine: None,
        second: None,
    };
}

/// A reader of key 0, with what had been promised when it began.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Reader {
    Idle,
    Scan { slot: u8, best: Option<(Held, u8)>, floor: u8 },
    Copy { from: Held, version: u8, floor: u8 },
    Second { from: Held, version: u8, first: u8, next: u8, floor: u8 },
    Recheck { from: Held, version: u8, words: [u8; 2], floor: u8 },
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct State {
    pub(crate) run: Run,
    // The section.
    pub(crate) blocks: [Block; BLOCKS],
    pub(crate) slots: [Option<Slot>; SLOTS],
    pub(crate) fences: [u8; KEYS],
    /// The newest version that was let go.
    pub(crate) forgotten: u8,
    pub(crate) workers: [Worker; WORKERS],
    pub(crate) reader: Reader,
    pub(crate) reads: u8,
    pub(crate) crashes: u8,
    /// The relay: version of each key, and whether it is there.
    pub(crate) relay: [(u8, bool); KEYS],
    // Promises: the least version of each key that may still be read on this host.
    pub(crate) floor: [u8; KEYS],
    pub(crate) broken: Option<&'static str>,
}

impl State {
    pub(crate) fn start(run: Run) -> State {
        let block = |st, generation, key, version, payload, link| Block {
            ctl: Ctl { st, owner: 0, generation },
            key,
            version,
            payload,
            link,
        };
        let free = block(St::Free, 0, 0, 0, [0; 2], None);
        let live = |key| block(St::Live, 1, key, 1, [word(key, 1); 2], None);
        let blocks = if run.long {
            let head = block(St::Live, 2, 0, 1, [word(0, 1), 0], Some(2));
            [head, live(1), block(St::Continuation, 2, 0, 0, [0, word(0, 1)], Some(0)), free]
        } else {
            [live(0), live(1), free, free]
        };
        let slot = |key: u8| {
            let generation = blocks[key as usize].ctl.generation;
            Some(Slot { block: key, generation, key })
        };
        let mut relay = [(1, true); KEYS];
        relay[0].0 += run.ahead;
        State {
            run,
            blocks,
            slots: [slot(0), slot(1), None],
            fences: [0; KEYS],
            forgotten: 0,
            workers: [Worker::IDLE; WORKERS],
            reader: Reader::Idle,
            reads: run.reads,
            crashes: run.crashes,
            relay,
            floor: [1; KEYS],
            broken: None,
        }
    }

    pub(crate) fn block(&self, block: u8) -> &Block {
        &self.blocks[block as usize]
    }

    /// The slots that this run has.
    pub(crate) fn index(&self) -> &[Option<Slot>] {
        &self.slots[..self.run.slots]
    }

    /// Whether a slot leads to a record, readable or about to be.
    pub(crate) fn leads(&self, slot: Slot) -> bool {
        let ctl = self.block(slot.block).ctl;
        ctl.generation == slot.generation && matches!(ctl.st, St::Pending | St::Live)
    }

    /// Whether the hand may take a block that is neither live nor a continuation: its owner died at it.
    pub(crate) fn abandoned(&self, ctl: Ctl, mutant: Mutant) -> bool {
        match ctl.st {
            St::Writing if mutant == Mutant::ReclaimLiving => true,
            St::Writing | St::Pending | St::Dead => {
                !self.workers[ctl.owner as usize].alive && mutant != Mutant::AbandonedStays
            }
            _ => false,
        }
    }

    /// Whether a head holds a continuation of a generation.
    pub(crate) fn holds(&self, head: u8, generation: u8, mutant: Mutant) -> bool {
        let ctl = self.block(head).ctl;
        let held = match ctl.st {
            St::Pending | St::Live => true,
            St::Writing => mutant != Mutant::WrittenUnheld,
            _ => false,
        };
        held && ctl.generation == generation
    }

    /// Whether a block is a record's second, as it should be while that can be read.
    fn whole(&self, head: u8) -> bool {
        let block = self.block(head);
        let Some(next) = block.link else { return self.run.blocks_of(block.key) == 1 };
        let next = self.block(next);
        next.ctl.st == St::Continuation
            && next.ctl.generation == block.ctl.generation
            && next.link == Some(head)
            && next.payload[1] == word(block.key, block.version)
    }

    pub(crate) fn invariant(&self, mutant: Mutant) -> Result<(), &'static str> {
        if let Some(what) = self.broken {
            return Err(what);
        }
        for slot in self.index().iter().flatten() {
            let block = self.block(slot.block);
            let readable = block.ctl.st == St::Live && block.ctl.generation == slot.generation;
            if readable && block.key == slot.key && block.version < self.floor[block.key as usize] {
                return Err("what was deleted or overwritten can be read");
            }
            if readable && !self.whole(slot.block) {
                return Err("a record that can be read has lost a part");
            }
        }
        let over = |(n, w): (usize, &Worker)| {
            !w.alive || (w.at == At::Next && w.clean.is_none() && w.done as usize == self.run.plans[n].len())
        };
        if self.workers.iter().enumerate().all(over) { self.at_rest(mutant) } else { Ok(()) }
    }

    /// Nobody is at work any more: what a turn of the hand would leave.
    fn at_rest(&self, mutant: Mutant) -> Result<(), &'static str> {
        for (n, block) in self.blocks[..self.run.blocks].iter().enumerate() {
            let named =
                |slot: &&Slot| usize::from(slot.block) == n && slot.generation == block.ctl.generation;
            let linked = self.index().iter().flatten().filter(named).count();
            match block.ctl.st {
                St::Free if block.payload != [0; 2] => return Err("a free block tells what was in it"),
                St::Live if linked != 1 => return Err("a live record is not linked exactly once"),
                St::Free | St::Live | St::Continuation => {}
                _ if self.abandoned(block.ctl, mutant) => {}
                _ => return Err("a block is nobody's for ever"),
            }
        }
        Ok(())
    }
}
