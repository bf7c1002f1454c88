//! The model's state: the section's blocks and slots, what each process keeps in private memory, and what
//! was promised to clients.

use crate::control::{Ctl, St};

/// How far a run goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Limits {
    pub(crate) versions: u8,
    pub(crate) deletes: u8,
    pub(crate) touches: u8,
    pub(crate) marks: u8,
    pub(crate) reads: u8,
    pub(crate) aborts: u8,
    pub(crate) relay_crashes: u8,
    pub(crate) sibling_crashes: u8,
}

/// A rule left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mutant {
    None,
    /// The old record is retired before the new one is LIVE.
    RetireFirst,
    /// The new record is linked in the slot of the old one.
    InPlaceOfOld,
    /// Readers pass over records that are EVICTING.
    SkipEvicting,
    /// Full buckets: a live record of another key is dropped.
    DropToMakeRoom,
    /// A release closes the deadline first and leaves EVICTING only then, so an abort may come between.
    CloseBeforeLeaving,
    /// A delete gives up when its one CAS fails.
    DeleteOnce,
    /// A release leaves older copies alone.
    KeepOlderAtRelease,
    /// Taking over a LEAVING record leaves its deadline closed.
    StayClosed,
    /// The fence moves after the old record is gone.
    FenceLate,
    /// Giving a hand-off up leaves the deadline word as it was.
    SameTurn,
    /// The hand takes an older copy out without moving the fence.
    SweepNoFence,
}

impl Mutant {
    pub(crate) const ALL: [Mutant; 11] = [
        Mutant::RetireFirst,
        Mutant::InPlaceOfOld,
        Mutant::SkipEvicting,
        Mutant::DropToMakeRoom,
        Mutant::CloseBeforeLeaving,
        Mutant::DeleteOnce,
        Mutant::KeepOlderAtRelease,
        Mutant::StayClosed,
        Mutant::FenceLate,
        Mutant::SameTurn,
        Mutant::SweepNoFence,
    ];
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Block {
    pub(crate) ctl: Ctl,
    pub(crate) key: u8,
    pub(crate) version: u8,
    /// Stands for the deadline: each touch moves it.
    pub(crate) touch: u8,
    pub(crate) closed: bool,
    /// Moves when a hand-off is given up or taken over.
    pub(crate) turn: u8,
}

/// The exact incarnation of a hand-off, as it travels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct At {
    pub(crate) block: u8,
    pub(crate) ctl: Ctl,
    pub(crate) key: u8,
    pub(crate) version: u8,
    pub(crate) touch: u8,
    pub(crate) turn: u8,
    pub(crate) copy: u8,
}

/// A walk over the slots that kills records of key 0 or 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Kill {
    pub(crate) slot: u8,
    pub(crate) key: u8,
    /// Versions up to this one go.
    pub(crate) upto: u8,
    pub(crate) except: u8,
    /// The mutant's separately loaded control word.
    pub(crate) seen: Option<Ctl>,
    /// A block won, with what is still to be done: 2 unlink, 1 free.
    pub(crate) won: Option<(u8, u8)>,
}

/// The relay's storing thread.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Writer {
    Idle,
    Written { block: u8 },
    Pending { block: u8 },
    Linked { block: u8 },
    EarlyKill { block: u8, kill: Kill },
    Committed { block: u8 },
    Kill { block: u8, kill: Kill },
    LateFence { block: u8 },
    Deleting { kill: Kill },
}

/// The relay's releasing thread.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Releaser {
    Idle,
    Started { at: At },
    Left { at: At },
    Closed { at: At },
    Listed { at: At },
    KillOlder { at: At, kill: Kill },
    Ending { at: At },
    Won { at: At, left: u8 },
}

/// The demoter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Sibling {
    Idle,
    /// Took over a dead process's hand-off; its deadline may be closed.
    Reopening {
        block: u8,
        ctl: Ctl,
    },
    Marked {
        block: u8,
        ctl: Ctl,
    },
    Copied {
        at: At,
    },
    Stored {
        at: At,
    },
    Asked {
        at: At,
    },
    /// Gave up waiting and moved the turn on.
    Aborting {
        at: At,
    },
    /// The copy it left at the relief is to be dropped.
    Drop {
        key: u8,
        copy: u8,
    },
}

/// The relay's answer to a release.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Reply {
    Freed,
    Gone,
    Changed,
}

/// A reader of key 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Reader {
    Idle,
    Scan { slot: u8, best: Option<(u8, u8, u8)> },
}

pub(crate) const BLOCKS: usize = 3;
pub(crate) const SLOTS: usize = 2;
pub(crate) const NOBODY: u8 = u8::MAX;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct State {
    // The section.
    pub(crate) blocks: [Block; BLOCKS],
    pub(crate) slots: [Option<(u8, u8)>; SLOTS],
    // The relay's private memory.
    pub(crate) relay: u8,
    pub(crate) writer: Writer,
    pub(crate) releaser: Releaser,
    /// Copy and version that the directory lists per key.
    pub(crate) dir: [Option<(u8, u8)>; 2],
    // The demoter's.
    pub(crate) sibling: u8,
    pub(crate) demoter: Sibling,
    pub(crate) request: Option<At>,
    pub(crate) reply: Option<Reply>,
    // The relief: copy, version, touch.
    pub(crate) relief: [Option<(u8, u8, u8)>; 2],
    pub(crate) copies: u8,
    /// The relief refuses versions below.
    pub(crate) floor: [u8; 2],
    // A reader: what it has seen move, and which answers were true at some instant (bit 0: absent).
    pub(crate) reader: Reader,
    pub(crate) fence_moved: bool,
    pub(crate) true_once: u8,
    pub(crate) answered: Option<u8>,
    // Promises.
    pub(crate) acked: [u8; 2],
    pub(crate) acked_touch: (u8, u8),
    pub(crate) dead_upto: [u8; 2],
    pub(crate) next_version: u8,
    pub(crate) left: Limits,
}

impl State {
    pub(crate) fn start(left: Limits) -> State {
        let live = |key| Block {
            ctl: Ctl { st: St::Live, owner: 1, generation: 1 },
            key,
            version: 1,
            touch: 0,
            closed: false,
            turn: 0,
        };
        let free = Block {
            ctl: Ctl { st: St::Free, owner: 0, generation: 0 },
            key: 0,
            version: 0,
            touch: 0,
            closed: false,
            turn: 0,
        };
        State {
            blocks: [live(0), live(1), free],
            slots: [Some((0, 1)), Some((1, 1))],
            relay: 1,
            writer: Writer::Idle,
            releaser: Releaser::Idle,
            dir: [None; 2],
            sibling: 2,
            demoter: Sibling::Idle,
            request: None,
            reply: None,
            relief: [None; 2],
            copies: 0,
            floor: [0; 2],
            reader: Reader::Idle,
            fence_moved: false,
            true_once: 0,
            answered: None,
            acked: [1; 2],
            acked_touch: (0, 0),
            dead_upto: [0; 2],
            next_version: 2,
            left,
        }
    }

    /// The newest readable version of a key in the section, with its touch; 0 for none.
    pub(crate) fn local(&self, key: u8) -> (u8, u8) {
        let mut newest = (0, 0);
        for (block, generation) in self.slots.iter().flatten() {
            let b = &self.blocks[*block as usize];
            if b.ctl.st.readable() && b.ctl.generation == *generation && b.key == key {
                newest = newest.max((b.version, b.touch));
            }
        }
        newest
    }

    /// What the relay would find through its directory.
    pub(crate) fn downstream(&self, key: u8) -> (u8, u8) {
        match (self.dir[key as usize], self.relief[key as usize]) {
            (Some((copy, _)), Some((stored, version, touch))) if copy == stored => (version, touch),
            _ => (0, 0),
        }
    }

    /// Notes for a read under way what would have been a true answer just now.
    pub(crate) fn observe(&mut self) {
        if self.reader != Reader::Idle {
            self.true_once |= 1 << self.local(0).0;
        }
    }

    pub(crate) fn invariant(&self) -> Result<(), &'static str> {
        for key in 0..2u8 {
            let (here, there) = (self.local(key), self.downstream(key));
            let acked = self.acked[key as usize];
            if here.0.max(there.0) < acked {
                return Err("an acknowledged object is not readable");
            }
            let dead = self.dead_upto[key as usize];
            if (here.0 > 0 && here.0 <= dead) || (there.0 > 0 && there.0 <= dead) {
                return Err("a deleted object is readable");
            }
            if here.0 > 0 && here.0 < there.0 {
                return Err("an older copy hides the newer one downstream");
            }
        }
        let touched = self.acked_touch;
        let found = self.local(0).max(self.downstream(0));
        if touched.0 != 0 && found.0 == touched.0 && found.1 < touched.1 {
            return Err("an acknowledged touch is lost");
        }
        if self.answered.is_some_and(|answer| self.true_once & (1 << answer) == 0) {
            return Err("a reader was told what was never true");
        }
        let at_rest = self.writer == Writer::Idle && self.releaser == Releaser::Idle;
        let closed = |b: &Block| b.ctl.st == St::Live && b.closed;
        if at_rest && self.blocks.iter().any(closed) {
            return Err("a live record cannot be touched");
        }
        Ok(())
    }
}
