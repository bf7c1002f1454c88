//! How records end: the walk that kills a key's copies, the claim that one process wins, and what it does then.

use crate::state::{At, Clean, Held, Mutant, Op, St, State, Then, Walk};

impl At {
    pub(super) fn walk(upto: u8, then: Then) -> At {
        At::Walking(Walk { slot: 0, upto, doomed: None, then })
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
            At::Walking(mut walk) => {
                let next = self.walk(n, op, &mut walk, mutant);
                self.workers[n].at = next;
                if let Some(won) =
                    walk.doomed.filter(|_| matches!(next, At::Walking(w) if w.doomed.is_none()))
                {
                    self.retire(n, won);
                }
                if next == At::Next {
                    self.finish(n);
                }
            }
            _ => {}
        }
    }

    fn walk(&mut self, n: usize, op: Op, walk: &mut Walk, mutant: Mutant) -> At {
        if walk.doomed.is_some() {
            // Whether the swap wins or not, the slot is looked at again: it may have moved to another state.
            let slot = walk.slot + u8::from(mutant == Mutant::KillOnce);
            return At::Walking(Walk { slot, doomed: None, ..*walk });
        }
        let Some(slot) = self.index().get(walk.slot as usize) else {
            return self.after(n, op, walk.then);
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
        let slot = walk.slot + u8::from(doomed.is_none());
        At::Walking(Walk { slot, doomed, ..*walk })
    }

    fn after(&mut self, n: usize, op: Op, then: Then) -> At {
        match then {
            Then::Ticket => At::Ticket,
            Then::Newer => At::Newer { slot: 0, found: false },
            Then::Return => At::Return,
            Then::Nothing => At::Next,
            Then::Buried => {
                let floor = &mut self.floor[op.key() as usize];
                *floor = (*floor).max(self.workers[n].version + 1);
                At::Next
            }
        }
    }

    /// Makes an incarnation DEAD, for the one that wins it; its end is this process's next steps.
    pub(super) fn retire(&mut self, n: usize, seen: Held) {
        if let Some(held) = self.claim(n, seen, St::Dead) {
            self.workers[n].clean = Some(Clean { held, step: 0 });
        }
    }

    /// Out of the index, scrubbed, free.
    pub(super) fn clean(&mut self, n: usize, Clean { held, step }: Clean) {
        let at = held.block as usize;
        match step {
            0 => {
                for slot in &mut self.slots {
                    if slot.is_some_and(|s| s.block == held.block && s.generation == held.ctl.generation) {
                        *slot = None;
                    }
                }
            }
            1 if self.blocks[at].ctl != held.ctl => {
                self.broken = Some("a block is scrubbed by one that it does not belong to");
            }
            1 => self.blocks[at].payload = [0; 2],
            _ => {
                if let Some(free) = self.claim(n, held, St::Free) {
                    self.blocks[free.block as usize].ctl.owner = 0;
                }
            }
        }
        self.workers[n].clean = (step < 2).then_some(Clean { held, step: step + 1 });
    }
}
