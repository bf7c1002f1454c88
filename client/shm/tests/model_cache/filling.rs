//! What a process does for its callers, up to the record that it publishes: `fill`, `observe` and `invalidate` of the
//! section, in the order in which a front end calls them.

use crate::control::St;
use crate::mutant::Mutant;
use crate::state::{At, Held, Op, Slot, State, Then, Worker};

impl State {
    pub(super) fn work(&self, n: usize, mutant: Mutant, out: &mut Vec<State>) {
        let worker = &self.workers[n];
        if worker.at == At::Next {
            out.extend(self.begin(n, mutant));
            return;
        }
        let op = self.run.plans[n][worker.done as usize];
        let key = op.key() as usize;
        match worker.at {
            At::Next => {}
            At::Bump { .. } | At::Walking(_) | At::Note { .. } => {
                out.push(self.with(|s| s.end_others(n, op, mutant)))
            }
            At::Ticket => out.push(self.with(|s| {
                s.workers[n].ticket = s.fences[key];
                s.workers[n].at = if worker.version == 0 { At::Ask } else { At::Look };
            })),
            At::Ask => out.push(self.with(|s| s.ask(n, op, mutant))),
            At::Look => out.push(self.with(|s| s.look(n, op, mutant))),
            At::Allocate => self.allocate(n, op, mutant, out),
            At::Whose(_) | At::AskHead { .. } => out.push(self.with(|s| s.judge(n, mutant))),
            At::Raise | At::Write { .. } | At::Join | At::Complete => {
                out.push(self.with(|s| s.write(n, op, mutant)))
            }
            At::Link | At::LateLink => self.link(n, op, mutant, out),
            At::Steal(seen) => out.push(self.with(|s| {
                s.workers[n].at = At::Link;
                s.retire(n, seen, mutant);
            })),
            At::Newer { .. } | At::AskNote { .. } | At::Publish { .. } => {
                out.push(self.with(|s| s.publish(n, op, mutant)))
            }
            At::Return => out.push(self.with(|s| {
                let version = s.workers[n].version;
                s.floor[key] = s.floor[key].max(version);
                s.finish(n);
            })),
        }
    }

    fn begin(&self, n: usize, mutant: Mutant) -> Option<State> {
        let op = self.run.plans[n].get(self.workers[n].done as usize)?;
        Some(self.with(|s| {
            if let Op::Late(_, version) = op {
                s.workers[n].version = *version;
            }
            s.workers[n].at = match op {
                Op::Late(..) => At::Ticket,
                Op::Fetch(_) if mutant == Mutant::TicketAfterAnswer => At::Ask,
                Op::Fetch(_) => At::Ticket,
                // Read-your-writes: the old copy dies before the relay is asked.
                Op::Set(_) | Op::Delete(_) => At::Bump { upto: u8::MAX, then: Then::Ticket },
            };
        }))
    }

    fn ask(&mut self, n: usize, op: Op, mutant: Mutant) {
        let key = op.key() as usize;
        let (version, there) = &mut self.relay[key];
        match op {
            Op::Fetch(_) | Op::Late(..) => {}
            Op::Set(_) => (*version, *there) = (*version + 1, true),
            Op::Delete(_) => *there = false,
        }
        let (version, there) = (*version, *there);
        let worker = &mut self.workers[n];
        worker.version = version;
        worker.at = match op {
            Op::Delete(_) => At::Bump { upto: version, then: Then::Gone },
            Op::Fetch(_) if there && mutant == Mutant::TicketAfterAnswer => At::Ticket,
            _ if there => At::Look,
            _ => At::Bump { upto: u8::MAX, then: Then::Nothing },
        };
    }

    /// What spares the writing: this version is here already, or the fence has moved.
    fn look(&mut self, n: usize, op: Op, mutant: Mutant) {
        let worker = self.workers[n];
        let present = self.index().iter().flatten().any(|slot| {
            let block = self.block(slot.block);
            slot.key == op.key()
                && block.ctl.st == St::Live
                && self.leads(*slot)
                && block.version == worker.version
        });
        let raced = self.fences[op.key() as usize] != worker.ticket && mutant != Mutant::AnyTicket;
        if present {
            self.observe(n, Then::Return, mutant);
        } else if raced {
            self.observe(n, Then::Unkept, mutant);
        } else {
            self.workers[n].at = At::Allocate;
        }
    }

    /// The answer is not kept: what is older must not be read again all the same.
    pub(super) fn observe(&mut self, n: usize, then: Then, mutant: Mutant) {
        let older = self.workers[n].version - 1;
        self.workers[n].at = match mutant {
            Mutant::ObserveNothing => At::Return,
            _ => At::Bump { upto: older, then },
        };
    }

    /// The slot, and then the fence: a delete moves the fence before it looks at the slots, so one sees the other.
    fn link(&self, n: usize, op: Op, mutant: Mutant, out: &mut Vec<State>) {
        let worker = self.workers[n];
        let Some(mine) = worker.mine else { return };
        if worker.at == At::LateLink {
            // The mutant's first half.
            out.push(self.with(|s| {
                s.move_fence(n, op);
                s.workers[n].at = At::Link;
            }));
            return;
        }
        let loose = self.index().iter().position(|slot| {
            let passing = |slot: Slot| {
                mutant == Mutant::PendingSlotFree && self.block(slot.block).ctl.st == St::Pending
            };
            slot.is_none_or(|slot| !self.leads(slot) || passing(slot))
        });
        if let Some(at) = loose {
            out.push(self.with(|s| {
                let generation = mine.ctl.generation;
                s.slots[at] = Some(Slot { block: mine.block, generation, key: op.key() });
                let walk = At::walk(worker.version - 1, Then::Newer);
                s.workers[n].at = match mutant {
                    Mutant::FenceBeforeLink => walk,
                    _ => At::Bump { upto: worker.version - 1, then: Then::Newer },
                };
            }));
            return;
        }
        // Full: the coldest record of another key makes room, if there is one.
        for slot in self.index().iter().flatten() {
            let block = self.block(slot.block);
            if block.ctl.st == St::Live && self.leads(*slot) && block.key != op.key() {
                let seen = Held { block: slot.block, ctl: block.ctl };
                out.push(self.with(|s| s.workers[n].at = At::Steal(seen)));
            }
        }
        out.push(self.with(|s| {
            s.observe(n, Then::Unkept, mutant);
            s.retire(n, mine, mutant);
        }));
    }

    fn publish(&mut self, n: usize, op: Op, mutant: Mutant) {
        let worker = self.workers[n];
        let Some(mine) = worker.mine else { return };
        match worker.at {
            At::Newer { slot, found } => {
                let newer = self.index().get(slot as usize).map(|slot| {
                    slot.is_some_and(|slot| {
                        let block = self.block(slot.block);
                        self.leads(slot) && block.key == op.key() && block.version > worker.version
                    })
                });
                let late = matches!(op, Op::Late(..)) && mutant != Mutant::LateAsAsked;
                self.workers[n].at = match newer {
                    Some(newer) => At::Newer { slot: slot + 1, found: found || newer },
                    None if late && mutant != Mutant::NoteBeforeLook => At::AskNote { newer: found },
                    None => At::Publish { newer: found },
                };
            }
            At::AskNote { newer } => {
                self.workers[n].noted = self.forgotten;
                self.workers[n].at = At::Publish { newer };
            }
            At::Publish { newer } => {
                let raced = worker.old != worker.ticket && mutant != Mutant::AnyTicket;
                let late = matches!(op, Op::Late(..)) && mutant != Mutant::LateAsAsked;
                let forgotten = late && worker.noted >= worker.version;
                self.workers[n].at = At::Return;
                if newer || raced || forgotten || self.claim(n, mine, St::Live).is_none() {
                    // What was seen is no news: whoever has the newer one, or noted it, stops what is older.
                    if !newer && (raced || !forgotten) {
                        self.observe(n, Then::Unkept, mutant);
                    }
                    self.retire(n, mine, mutant);
                } else if mutant == Mutant::JoinedLate && worker.second.is_some() {
                    self.workers[n].at = At::Join;
                }
            }
            _ => {}
        }
    }

    pub(super) fn finish(&mut self, n: usize) {
        let done = self.workers[n].done + 1;
        self.workers[n] = Worker { done, ..crate::state::Worker::IDLE };
    }
}
