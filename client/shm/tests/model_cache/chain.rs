//! Blocks for a record, one or two: taken, written and tied together, and what becomes of the second one.

use crate::control::{Ctl, St};
use crate::mutant::Mutant;
use crate::state::{At, Clean, Ending, Held, Op, State, Then, word};

impl State {
    /// A free block, or one that the hand makes free. Which live record goes is the policy's affair; here it may be
    /// any, read or not.
    pub(super) fn allocate(&self, n: usize, op: Op, mutant: Mutant, out: &mut Vec<State>) {
        let before = out.len();
        let blocks = &self.blocks[..self.run.blocks];
        for (at, block) in blocks.iter().enumerate().filter(|(_, block)| block.ctl.st == St::Free) {
            out.push(self.with(|s| {
                let generation = block.ctl.generation + u8::from(mutant != Mutant::SameGeneration);
                let ctl = Ctl { st: St::Writing, owner: n as u8, generation };
                s.blocks[at].ctl = ctl;
                s.took(n, op, Held { block: at as u8, ctl });
            }));
        }
        if out.len() > before {
            return;
        }
        for (at, block) in blocks.iter().enumerate() {
            let seen = Held { block: at as u8, ctl: block.ctl };
            if block.ctl.st == St::Live || self.abandoned(block.ctl, mutant) {
                out.push(self.with(|s| s.retire(n, seen, mutant)));
            } else if block.ctl.st == St::Continuation {
                out.push(self.with(|s| s.workers[n].at = At::Whose(seen)));
            }
        }
        // The walks are bounded: no room is an answer, too.
        out.push(self.with(|s| {
            s.observe(n, Then::Unkept, mutant);
            if let Some(held) = s.workers[n].mine.take() {
                s.workers[n].clean = Some(Clean { held, step: Ending::Free });
            }
        }));
    }

    fn took(&mut self, n: usize, op: Op, taken: Held) {
        let long = self.run.blocks_of(op.key()) == 2;
        let worker = &mut self.workers[n];
        match worker.mine {
            None => {
                worker.mine = Some(taken);
                worker.at = if long { At::Allocate } else { At::Write { word: 0 } };
            }
            Some(head) => {
                worker.second = Some(taken);
                let raised = head.ctl.generation < taken.ctl.generation;
                worker.at = if raised { At::Raise } else { At::Write { word: 0 } };
            }
        }
    }

    /// A continuation that the hand met under a control word: whose it is, and whether that one holds it.
    pub(super) fn judge(&mut self, n: usize, mutant: Mutant) {
        match self.workers[n].at {
            At::Whose(seen) => {
                self.workers[n].at = At::AskHead { seen, head: self.block(seen.block).link };
            }
            At::AskHead { mut seen, head } => {
                let held = head.is_some_and(|head| self.holds(head, seen.ctl.generation, mutant));
                self.workers[n].at = At::Allocate;
                if mutant == Mutant::JudgedLate {
                    seen.ctl = self.block(seen.block).ctl;
                }
                let taken = !held || mutant == Mutant::HeadUnasked;
                // The other end of a record without continuations: made DEAD, scrubbed, freed.
                if taken && let Some(held) = self.claim(n, seen, St::Dead) {
                    self.workers[n].clean = Some(Clean { held, step: Ending::Scrub });
                }
            }
            _ => {}
        }
    }

    pub(super) fn write(&mut self, n: usize, op: Op, mutant: Mutant) {
        let worker = self.workers[n];
        let Some(mine) = worker.mine else { return };
        let ours = |held: Held| self.block(held.block).ctl == held.ctl || worker.at == At::Join;
        if !ours(mine) || !worker.second.is_none_or(ours) {
            self.broken = Some("a block is written by one that it does not belong to");
            return;
        }
        let joins = worker.second.is_some() && mutant != Mutant::JoinedLate;
        self.workers[n].at = match worker.at {
            At::Raise => {
                let generation = worker.second.map_or(0, |second| second.ctl.generation);
                if mutant != Mutant::NotRaised {
                    self.blocks[mine.block as usize].ctl.generation = generation;
                    self.workers[n].mine = Some(Held { ctl: Ctl { generation, ..mine.ctl }, ..mine });
                }
                At::Write { word: 0 }
            }
            At::Write { word: 0 } => {
                let head = &mut self.blocks[mine.block as usize];
                (head.key, head.version, head.link) =
                    (op.key(), worker.version, worker.second.map(|second| second.block));
                head.payload[0] = word(op.key(), worker.version);
                At::Write { word: 1 }
            }
            At::Write { .. } => {
                let last = worker.second.unwrap_or(mine);
                let block = &mut self.blocks[last.block as usize];
                block.payload[1] = word(op.key(), worker.version);
                if worker.second.is_some() {
                    block.link = Some(mine.block);
                }
                if joins { At::Join } else { At::Complete }
            }
            At::Join => {
                self.join(n, mine, worker.second);
                if joins { At::Complete } else { At::Return }
            }
            _ => {
                self.workers[n].mine = self.claim(n, mine, St::Pending);
                // From here on the head alone is its.
                self.workers[n].second = worker.second.filter(|_| !joins);
                if mutant == Mutant::FenceBeforeLink { At::LateLink } else { At::Link }
            }
        };
    }

    /// The second block becomes the first one's, under its generation.
    fn join(&mut self, n: usize, head: Held, second: Option<Held>) {
        let Some(second) = second else { return };
        let generation = head.ctl.generation;
        match self.claim(n, second, St::Continuation) {
            Some(joined) => {
                self.blocks[joined.block as usize].ctl.generation = generation;
                let ctl = Ctl { generation, ..joined.ctl };
                self.workers[n].second = Some(Held { ctl, ..joined });
            }
            None => self.broken = Some("a block is taken from one that writes it"),
        }
    }

    /// The continuation of a record that ends: taken from it if it is still its own, scrubbed, freed.
    pub(super) fn end_member(&mut self, n: usize, held: Held, step: Ending, mutant: Mutant) -> Ending {
        match step {
            Ending::Member => {
                let Some(next) = self.block(held.block).link else { return Ending::Scrub };
                let block = self.block(next);
                let ours = block.ctl.st == St::Continuation
                    && block.ctl.generation == held.ctl.generation
                    && block.link == Some(held.block);
                let member = Held { block: next, ctl: block.ctl };
                if ours || mutant == Mutant::EndsOthers { Ending::ClaimMember(member) } else { Ending::Scrub }
            }
            Ending::ClaimMember(member) => {
                self.claim(n, member, St::Dead).map_or(Ending::Scrub, Ending::ScrubMember)
            }
            Ending::ScrubMember(member) => {
                self.scrub(member);
                Ending::FreeMember(member)
            }
            Ending::FreeMember(member) => {
                self.free(n, member);
                Ending::Scrub
            }
            other => other,
        }
    }
}
