//! The model's state: the section's blocks, slots and fences, what each process keeps in private memory, the relay,
//! and what callers on this host were told.

/// A rule left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mutant {
    None,
    /// A fill is published whatever its ticket.
    AnyTicket,
    /// The ticket is taken when the relay has answered.
    TicketAfterAnswer,
    /// A fill moves the fence before its record is linked.
    FenceBeforeLink,
    /// A delete passes over records that are not yet readable.
    SparePending,
    /// A kill gives up when its one CAS fails.
    KillOnce,
    /// Whoever could not keep an answer leaves older copies.
    ObserveNothing,
    /// The hand takes the block that it chose, whatever that is by now.
    EvictAnything,
    /// The hand takes what a living process is still writing.
    ReclaimLiving,
    /// Nobody takes what a dead process left.
    AbandonedStays,
    /// A block is used again under the generation it had.
    SameGeneration,
    /// The slot of a record that is not yet readable counts as free.
    PendingSlotFree,
    /// A reader does not look at the control word again.
    NoRecheck,
}

impl Mutant {
    pub(crate) const ALL: [Mutant; 12] = [
        Mutant::AnyTicket,
        Mutant::TicketAfterAnswer,
        Mutant::FenceBeforeLink,
        Mutant::SparePending,
        Mutant::KillOnce,
        Mutant::ObserveNothing,
        Mutant::EvictAnything,
        Mutant::ReclaimLiving,
        Mutant::AbandonedStays,
        Mutant::SameGeneration,
        Mutant::PendingSlotFree,
        Mutant::NoRecheck,
    ];
}

/// What a process is asked to do with a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Op {
    Fetch(u8),
    Set(u8),
    Delete(u8),
}

impl Op {
    pub(crate) fn key(self) -> u8 {
        match self {
            Op::Fetch(key) | Op::Set(key) | Op::Delete(key) => key,
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
}

/// All states of one exploration have the same.
impl std::hash::Hash for Run {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

pub(crate) const WORKERS: usize = 3;
pub(crate) const KEYS: usize = 3;
const BLOCKS: usize = 3;
const SLOTS: usize = 3;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum St {
    Free,
    Writing,
    Pending,
    Live,
    Dead,
}

/// Everything that one CAS of a control word compares.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Ctl {
    pub(crate) st: St,
    pub(crate) owner: u8,
    pub(crate) generation: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Block {
    pub(crate) ctl: Ctl,
    pub(crate) key: u8,
    pub(crate) version: u8,
    /// Two words, written and read one after the other; 0 is scrubbed.
    pub(crate) payload: [u8; 2],
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
    /// The control word that was judged and is to be swapped next.
    pub(crate) doomed: Option<Held>,
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
    Evict(Held),
    Write {
        word: u8,
    },
    Complete,
    Link,
    Steal(Held),
    /// The mutant's order: the fence first, then the slot.
    LateLink,
    Newer {
        slot: u8,
        found: bool,
    },
    Publish {
        newer: bool,
    },
    Return,
}

/// The end of a record that this process has made DEAD: out of the index, scrubbed, free.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Clean {
    pub(crate) held: Held,
    pub(crate) step: u8,
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
    pub(crate) mine: Option<Held>,
}

impl Worker {
    pub(crate) const IDLE: Worker =
        Worker { alive: true, done: 0, at: At::Next, clean: None, ticket: 0, version: 0, old: 0, mine: None };
}

/// A reader of key 0, with what had been promised when it began.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Reader {
    Idle,
    Scan { slot: u8, best: Option<(Held, u8)>, floor: u8 },
    Copy { from: Held, version: u8, floor: u8 },
    Second { from: Held, version: u8, first: u8, floor: u8 },
    Recheck { from: Held, version: u8, words: [u8; 2], floor: u8 },
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct State {
    pub(crate) run: Run,
    // The section.
    pub(crate) blocks: [Block; BLOCKS],
    pub(crate) slots: [Option<Slot>; SLOTS],
    pub(crate) fences: [u8; KEYS],
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
        let live = |key| Block {
            ctl: Ctl { st: St::Live, owner: 0, generation: 1 },
            key,
            version: 1,
            payload: [word(key, 1); 2],
        };
        let free =
            Block { ctl: Ctl { st: St::Free, owner: 0, generation: 0 }, key: 0, version: 0, payload: [0; 2] };
        let slot = |key| Some(Slot { block: key, generation: 1, key });
        State {
            run,
            blocks: [live(0), live(1), free],
            slots: [slot(0), slot(1), None],
            fences: [0; KEYS],
            workers: [Worker::IDLE; WORKERS],
            reader: Reader::Idle,
            reads: run.reads,
            crashes: run.crashes,
            relay: [(1, true); KEYS],
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

    /// Whether the hand may take a block that is not live: its owner died at it.
    pub(crate) fn abandoned(&self, ctl: Ctl, mutant: Mutant) -> bool {
        match ctl.st {
            St::Free | St::Live => false,
            St::Writing if mutant == Mutant::ReclaimLiving => true,
            St::Writing | St::Pending | St::Dead => {
                !self.workers[ctl.owner as usize].alive && mutant != Mutant::AbandonedStays
            }
        }
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
                St::Free | St::Live => {}
                _ if self.abandoned(block.ctl, mutant) => {}
                _ => return Err("a block is nobody's for ever"),
            }
        }
        Ok(())
    }
}
