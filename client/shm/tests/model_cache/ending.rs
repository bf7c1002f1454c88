//! How records end: the walk that kills a key's copies, the claim that one process wins, and what it does then.

use crate::control::St;
use crate::mutant::Mutant;
use crate::state::{At, Clean, Ending, Held, Op, State, Then, Walk};

impl At {
    pub(super) fn walk(upto: u8, then: Then) -> At {
        At::Walking(Walk { slot: 0, upto, then })
    }
}

impl State {
    pub(super) fn move_fence(&mut self, n: usize, op: Op) {
        let fence = &mut self.fences[op.key() as usize];
        self.workers[n].old = *fence;
        *fence += 1;
    }

    /// The fence first, then slot by slot: judge a control word and what belongs to it, then swap exactly that.
    pub(super) fn end_others(&mut self, n: usize, op: Op, mutant: Mutant) {
        match self.workers[n].at {
            At::Bump { upto, then } => {
                self.move_fence(n, op);
                self.workers[n].at = At::walk(upto, then);
            }
            At::Walking(walk) => {
                let next = self.walk(n, op, walk, mutant);
                self.workers[n].at = next;
                if next == At::Next {
                    self.finish(n);
                }
            }
            At::Note { upto, then } => {
                self.forgotten = self.forgotten.max(upto);
                self.workers[n].at = if mutant == Mutant::NotedAndGone {
                    self.after(n, op, then, upto, mutant)
                } else {
                    At::Bump { upto, then }
                };
                if self.workers[n].at == At::Next {
                    self.finish(n);
                }
            }
            _ => {}
        }
    }

    /// One slot. Whether the swap of what is found there wins or not, the slot is looked at again: it may have moved to
    /// another state.
    fn walk(&mut self, n: usize, op: Op, walk: Walk, mutant: Mutant) -> At {
        let Some(slot) = self.index().get(walk.slot as usize) else {
            return self.after(n, op, walk.then, walk.upto, mutant);
        };
        let doomed = slot.filter(|slot| slot.key == op.key()).and_then(|slot| {
            let block = self.block(slot.block);
            let spared = mutant == Mutant::SparePending && block.ctl.st == St::Pending;
            let mine =
                walk.then == Then::Newer && self.workers[n].mine.is_some_and(|m| m.block == slot.block);
            let dies =
                self.leads(slot) && block.key == op.key() && block.version <= walk.upto && !spared && !mine;
            dies.then_some(Held { block: slot.block, ctl: block.ctl })
        });
        if let Some(doomed) = doomed {
            self.retire(n, doomed, mutant);
        }
        let slot = walk.slot + u8::from(doomed.is_none() || mutant == Mutant::KillOnce);
        At::Walking(Walk { slot, ..walk })
    }

    fn after(&mut self, n: usize, op: Op, then: Then, upto: u8, mutant: Mutant) -> At {
        match then {
            Then::Ticket => At::Ticket,
            Then::Newer => {
                if mutant == Mutant::NoteBeforeLook {
                    self.workers[n].noted = self.forgotten;
                }
                At::Newer { slot: 0, found: false }
            }
            Then::Return => At::Return,
            Then::Nothing => At::Next,
            Then::Unkept if !self.run.late() || mutant == Mutant::UnkeptUntold => At::Return,
            Then::Unkept => At::Note { upto, then: Then::Return },
            Then::Gone if self.run.late() && mutant != Mutant::GoneUntold => {
                At::Note { upto, then: Then::Buried }
            }
            Then::Gone | Then::Buried => {
                let floor = &mut self.floor[op.key() as usize];
                *floor = (*floor).max(self.workers[n].version + 1);
                At::Next
            }
        }
    }

    /// Begins the end of an incarnation, which is this process's next steps; one that could be read is noted first.
    pub(super) fn retire(&mut self, n: usize, held: Held, mutant: Mutant) {
        let told = self.run.late() && held.ctl.st == St::Live && mutant != Mutant::LetGoUntold;
        let step = if told && mutant != Mutant::LetGoLate { Ending::Note } else { Ending::Claim };
        self.workers[n].clean = Some(Clean { held, step });
    }

    /// One step of an end: noted, claimed by one, out of the index, its continuation first, scrubbed, free.
    pub(super) fn clean(&mut self, n: usize, Clean { mut held, step }: Clean, mutant: Mutant) {
        let next = match step {
            Ending::Note => {
                // Its version, if it is still that record. Loom has the steps of this one, beside one other process.
                let block = *self.block(held.block);
                (block.ctl == held.ctl).then(|| {
                    self.forgotten = self.forgotten.max(block.version);
                    Ending::Claim
                })
            }
            Ending::Claim => {
                let now = self.block(held.block).ctl;
                if mutant == Mutant::EvictAnything && self.workers[n].at == At::Allocate && now.st != St::Free
                {
                    held.ctl = now;
                }
                let late = mutant == Mutant::LetGoLate && self.run.late() && held.ctl.st == St::Live;
                self.claim(n, held, St::Dead).map(|won| {
                    held = won;
                    if late { Ending::LateNote } else { Ending::Unlink }
                })
            }
            Ending::LateNote => {
                self.forgotten = self.forgotten.max(self.block(held.block).version);
                Some(Ending::Unlink)
            }
            Ending::Unlink => {
                for slot in &mut self.slots {
                    if slot.is_some_and(|s| s.block == held.block && s.generation == held.ctl.generation) {
                        *slot = None;
                    }
                }
                Some(if self.block(held.block).link.is_some() { Ending::Member } else { Ending::Scrub })
            }
            Ending::Member | Ending::ClaimMember(_) | Ending::ScrubMember(_) | Ending::FreeMember(_) => {
                Some(self.end_member(n, held, step, mutant))
            }
            Ending::Scrub => {
                self.scrub(held);
                Some(Ending::Free)
            }
            Ending::Free => {
                self.free(n, held);
                None
            }
        };
        self.workers[n].clean = next.map(|step| Clean { held, step });
    }

    pub(super) fn scrub(&mut self, held: Held) {
        let block = &mut self.blocks[held.block as usize];
        if block.ctl != held.ctl {
            self.broken = Some("a block is scrubbed by one that it does not belong to");
        }
        (block.payload, block.link) = ([0; 2], None);
    }

    pub(super) fn free(&mut self, n: usize, held: Held) {
        if let Some(free) = self.claim(n, held, St::Free) {
            self.blocks[free.block as usize].ctl.owner = 0;
        }
    }
}
