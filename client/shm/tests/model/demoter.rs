//! Steps of the sibling's demoter: mark or adopt, copy, store at the relief, ask for the release, or give up.

use crate::control::St;
use crate::state::{At, Mutant, Releaser, Reply, Sibling, State};

impl State {
    pub(super) fn demote(&self, mutant: Mutant, out: &mut Vec<State>) {
        match self.demoter {
            Sibling::Idle => {
                self.mark(mutant, out);
                self.adopt(mutant, out);
            }
            Sibling::Reopening { block, ctl } => out.push(self.with(|s| {
                if s.block(block).ctl.generation == ctl.generation {
                    s.blocks[block as usize].closed = false;
                    s.blocks[block as usize].turn += 1;
                }
                s.demoter = Sibling::Marked { block, ctl };
            })),
            Sibling::Marked { block, ctl } => out.push(self.with(|s| {
                let b = *s.block(block);
                let at =
                    At { block, ctl, key: b.key, version: b.version, touch: b.touch, turn: b.turn, copy: 0 };
                s.demoter = if b.ctl == ctl { Sibling::Copied { at } } else { Sibling::Idle };
            })),
            Sibling::Copied { at } => out.push(self.with(|s| s.store(at, mutant))),
            Sibling::Stored { at } => {
                if self.request.is_none() {
                    out.push(self.with(|s| {
                        s.request = Some(at);
                        s.demoter = Sibling::Asked { at };
                    }));
                }
            }
            Sibling::Asked { at } => self.asked(at, mutant, out),
            Sibling::Aborting { at } => out.push(self.with(|s| {
                s.demoter = match (s.abort(at), at.copy) {
                    (true, 0) => Sibling::Idle,
                    (true, copy) => Sibling::Drop { key: at.key, copy },
                    (false, 0) => Sibling::Idle,
                    (false, _) => Sibling::Asked { at },
                };
            })),
            Sibling::Drop { key, copy } => out.push(self.with(|s| {
                if s.relief[key as usize].is_some_and(|(stored, ..)| stored == copy) {
                    s.relief[key as usize] = None;
                }
                s.demoter = Sibling::Idle;
            })),
        }
    }

    fn mark(&self, mutant: Mutant, out: &mut Vec<State>) {
        for (block, generation) in self.slots.iter().flatten() {
            let b = self.block(*block);
            if self.left.marks == 0 || b.ctl.st != St::Live || b.ctl.generation != *generation {
                continue;
            }
            out.push(self.with(|s| {
                s.left.marks -= 1;
                if s.local(b.key).0 > b.version {
                    s.fence_moved |= mutant != Mutant::SweepNoFence;
                    s.unlink(*block);
                    s.set(*block, St::Free, 0);
                } else {
                    s.set(*block, St::Evicting, s.sibling);
                    s.demoter = Sibling::Marked { block: *block, ctl: s.block(*block).ctl };
                }
            }));
        }
    }

    fn adopt(&self, mutant: Mutant, out: &mut Vec<State>) {
        for (block, b) in self.blocks.iter().enumerate() {
            let abandoned = b.ctl.owner != self.relay && b.ctl.owner != self.sibling;
            if !abandoned || !matches!(b.ctl.st, St::Evicting | St::Leaving) {
                continue;
            }
            out.push(self.with(|s| {
                let block = block as u8;
                s.set(block, St::Evicting, s.sibling);
                let ctl = s.block(block).ctl;
                s.demoter = match mutant {
                    Mutant::StayClosed => Sibling::Marked { block, ctl },
                    _ => Sibling::Reopening { block, ctl },
                };
            }));
        }
    }

    /// The relief stores it, unless it knows better; then the record stays here.
    fn store(&mut self, at: At, mutant: Mutant) {
        let key = at.key as usize;
        let newer = self.relief[key].is_some_and(|(_, version, _)| version > at.version);
        if at.version < self.floor[key] || newer {
            self.give_up(at, mutant);
            return;
        }
        self.copies += 1;
        self.relief[key] = Some((self.copies, at.version, at.touch));
        self.demoter = Sibling::Stored { at: At { copy: self.copies, ..at } };
    }

    /// The first step of an abort: the record may be marked again under the same control word at once.
    fn give_up(&mut self, at: At, mutant: Mutant) {
        let b = &mut self.blocks[at.block as usize];
        if b.ctl == at.ctl && mutant != Mutant::SameTurn {
            b.turn += 1;
        }
        self.demoter = Sibling::Aborting { at };
    }

    fn abort(&mut self, at: At) -> bool {
        let exact = self.block(at.block).ctl == at.ctl;
        if exact {
            self.set(at.block, St::Live, self.sibling);
        }
        exact
    }

    fn asked(&self, at: At, mutant: Mutant, out: &mut Vec<State>) {
        if let Some(reply) = self.reply {
            out.push(self.with(|s| {
                s.reply = None;
                s.demoter = match reply {
                    Reply::Freed => Sibling::Idle,
                    Reply::Gone => Sibling::Drop { key: at.key, copy: at.copy },
                    Reply::Changed => Sibling::Marked { block: at.block, ctl: at.ctl },
                };
            }));
            return;
        }
        if self.block(at.block).ctl == at.ctl {
            // It waited long enough: the record shall stay. The request may still be on its way.
            if self.left.aborts > 0 {
                out.push(self.with(|s| {
                    s.left.aborts -= 1;
                    s.give_up(at, mutant);
                }));
            }
        } else if self.request.is_none() && self.releaser == Releaser::Idle {
            // Nobody will answer: the relay died over it.
            out.push(self.with(|s| s.demoter = Sibling::Idle));
        }
    }
}
