//! The model's steps, one shared access each: who takes them, the reader's, and death and what comes after.

mod demoter;
mod releaser;
mod storer;

use crate::control::{Ctl, St};
use crate::state::{Block, Mutant, Reader, Releaser, SLOTS, Sibling, State, Writer};

impl State {
    /// All states that one step of somebody leads to.
    pub(crate) fn successors(&self, mutant: Mutant, out: &mut Vec<State>) {
        let mut base = self.clone();
        base.answered = None;
        if base.reader == Reader::Idle {
            base.true_once = 0;
            base.fence_moved = false;
        }
        base.write(mutant, out);
        base.release(mutant, out);
        base.demote(mutant, out);
        base.read(mutant, out);
        base.recover(out);
        base.crash(out);
    }

    fn with(&self, change: impl FnOnce(&mut State)) -> State {
        let mut next = self.clone();
        change(&mut next);
        next
    }

    fn block(&self, block: u8) -> &Block {
        &self.blocks[block as usize]
    }

    fn set(&mut self, block: u8, st: St, owner: u8) {
        let ctl = &mut self.blocks[block as usize].ctl;
        *ctl = Ctl { st, owner, generation: ctl.generation };
    }

    fn loose(&self, slot: usize) -> bool {
        self.slots[slot].is_none_or(|(block, generation)| {
            let ctl = self.block(block).ctl;
            ctl.generation != generation || !(ctl.st.readable() || ctl.st == St::Pending)
        })
    }

    fn unlink(&mut self, block: u8) {
        let generation = self.block(block).ctl.generation;
        for slot in &mut self.slots {
            if *slot == Some((block, generation)) {
                *slot = None;
            }
        }
    }

    // --- a reader

    fn read(&self, mutant: Mutant, out: &mut Vec<State>) {
        match self.reader {
            Reader::Idle => {
                if self.left.reads > 0 {
                    out.push(self.with(|s| {
                        s.left.reads -= 1;
                        s.reader = Reader::Scan { slot: 0, best: None };
                        s.true_once = 1 << s.local(0).0;
                    }));
                }
            }
            Reader::Scan { slot, mut best } if (slot as usize) < SLOTS => out.push(self.with(|s| {
                if let Some((block, generation)) = s.slots[slot as usize] {
                    let b = s.block(block);
                    let skipped = mutant == Mutant::SkipEvicting && b.ctl.st != St::Live;
                    let found =
                        b.ctl.st.readable() && !skipped && b.ctl.generation == generation && b.key == 0;
                    if found && best.is_none_or(|(_, _, version)| b.version >= version) {
                        best = Some((block, generation, b.version));
                    }
                }
                s.reader = Reader::Scan { slot: slot + 1, best };
            })),
            Reader::Scan { best, .. } => out.push(self.with(|s| {
                s.reader = Reader::Idle;
                s.answered = match best {
                    Some((block, generation, version)) => {
                        let ctl = s.block(block).ctl;
                        (ctl.generation == generation && ctl.st.readable()).then_some(version)
                    }
                    None => (!s.fence_moved).then_some(0),
                };
            })),
        }
    }

    // --- death and after

    /// Whoever lives reclaims what a dead process was writing or scrubbing.
    fn recover(&self, out: &mut Vec<State>) {
        for (block, b) in self.blocks.iter().enumerate() {
            let abandoned = b.ctl.owner != self.relay && b.ctl.owner != self.sibling;
            if abandoned && matches!(b.ctl.st, St::Writing | St::Pending | St::Dead) {
                out.push(self.with(|s| {
                    s.unlink(block as u8);
                    s.set(block as u8, St::Free, 0);
                }));
            }
        }
    }

    fn crash(&self, out: &mut Vec<State>) {
        if self.left.relay_crashes > 0 {
            out.push(self.with(|s| {
                s.left.relay_crashes -= 1;
                s.relay += 2;
                s.writer = Writer::Idle;
                s.releaser = Releaser::Idle;
                s.request = None;
                s.reply = None;
                // The successor asks the relief what it holds.
                s.dir = s.relief.map(|held| held.map(|(copy, version, _)| (copy, version)));
            }));
        }
        if self.left.sibling_crashes > 0 {
            out.push(self.with(|s| {
                s.left.sibling_crashes -= 1;
                s.sibling += 2;
                s.demoter = Sibling::Idle;
                s.reply = None;
            }));
        }
    }
}
