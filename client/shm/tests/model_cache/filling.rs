//! What a process does for its callers, up to the record that it publishes: `fill`, `observe` and `invalidate` of the
//! section, in the order in which a front end calls them.

use crate::state::{At, Ctl, Held, Mutant, Op, Slot, St, State, Then, Worker, word};

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
            At::Bump { .. } | At::Walking(_) => out.push(self.with(|s| s.end_others(n, op, mutant))),
            At::Ticket => out.push(self.with(|s| {
                s.workers[n].ticket = s.fences[key];
                s.workers[n].at = if worker.version == 0 { At::Ask } else { At::Look };
            })),
            At::Ask => out.push(self.with(|s| s.ask(n, op, mutant))),
            At::Look => out.push(self.with(|s| s.look(n, op, mutant))),
            At::Allocate => self.allocate(n, mutant, out),
            At::Evict(seen) => out.push(self.with(|s| s.evict(n, seen, mutant))),
            At::Write { .. } | At::Complete => out.push(self.with(|s| s.write(n, op, mutant))),
            At::Link | At::LateLink => self.link(n, op, mutant, out),
            At::Steal(seen) => out.push(self.with(|s| {
                s.workers[n].at = At::Link;
                s.retire(n, seen);
            })),
            At::Newer { .. } | At::Publish { .. } => out.push(self.with(|s| s.publish(n, op, mutant))),
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
            s.workers[n].at = match op {
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
            Op::Fetch(_) => {}
            Op::Set(_) => (*version, *there) = (*version + 1, true),
            Op::Delete(_) => *there = false,
        }
        let (version, there) = (*version, *there);
        let worker = &mut self.workers[n];
        worker.version = version;
        worker.at = match op {
            Op::Delete(_) => At::Bump { upto: version, then: Then::Buried },
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
        if present || raced { self.observe(n, mutant) } else { self.workers[n].at = At::Allocate }
    }

    /// The answer is not kept: what is older must not be read again all the same.
    fn observe(&mut self, n: usize, mutant: Mutant) {
        let older = self.workers[n].version - 1;
        self.workers[n].at = match mutant {
            Mutant::ObserveNothing => At::Return,
            _ => At::Bump { upto: older, then: Then::Return },
        };
    }

    /// A free block, or one that the hand makes free. Which live record goes is the policy's affair; here it may be
    /// any, read or not.
    fn allocate(&self, n: usize, mutant: Mutant, out: &mut Vec<State>) {
        let before = out.len();
        for (at, block) in self.blocks[..self.run.blocks].iter().enumerate() {
            if block.ctl.st == St::Free {
                out.push(self.with(|s| {
                    let generation = block.ctl.generation + u8::from(mutant != Mutant::SameGeneration);
                    let ctl = Ctl { st: St::Writing, owner: n as u8, generation };
                    s.blocks[at].ctl = ctl;
                    s.workers[n].mine = Some(Held { block: at as u8, ctl });
                    s.workers[n].at = At::Write { word: 0 };
                }));
            }
        }
        if out.len() > before {
            return;
        }
        for (at, block) in self.blocks[..self.run.blocks].iter().enumerate() {
            if block.ctl.st == St::Live || self.abandoned(block.ctl, mutant) {
                out.push(
                    self.with(|s| s.workers[n].at = At::Evict(Held { block: at as u8, ctl: block.ctl })),
                );
            }
        }
        // The walks are bounded: no room is an answer, too.
        out.push(self.with(|s| s.observe(n, mutant)));
    }

    fn evict(&mut self, n: usize, mut seen: Held, mutant: Mutant) {
        let now = self.block(seen.block).ctl;
        if mutant == Mutant::EvictAnything && now.st != St::Free {
            seen.ctl = now;
        }
        self.workers[n].at = At::Allocate;
        self.retire(n, seen);
    }

    fn write(&mut self, n: usize, op: Op, mutant: Mutant) {
        let worker = self.workers[n];
        let Some(mine) = worker.mine else { return };
        let block = &mut self.blocks[mine.block as usize];
        if block.ctl != mine.ctl {
            self.broken = Some("a block is written by one that it does not belong to");
            return;
        }
        match worker.at {
            At::Write { word: at } => {
                (block.key, block.version) = (op.key(), worker.version);
                block.payload[at as usize] = word(op.key(), worker.version);
                self.workers[n].at = if at == 0 { At::Write { word: 1 } } else { At::Complete };
            }
            _ => {
                self.workers[n].mine = self.claim(n, mine, St::Pending);
                let early = mutant == Mutant::FenceBeforeLink;
                self.workers[n].at = if early { At::LateLink } else { At::Link };
            }
        }
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
            s.observe(n, mutant);
            s.retire(n, mine);
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
                self.workers[n].at = match newer {
                    Some(newer) => At::Newer { slot: slot + 1, found: found || newer },
                    None => At::Publish { newer: found },
                };
            }
            At::Publish { newer } => {
                self.workers[n].at = At::Return;
                let raced = worker.old != worker.ticket && mutant != Mutant::AnyTicket;
                if newer || raced || self.claim(n, mine, St::Live).is_none() {
                    self.retire(n, mine);
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
