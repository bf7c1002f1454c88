//! Steps of the relay's releasing thread: a record is listed below, then freed here.

use crate::control::{Ctl, St};
use crate::state::{At, Kill, Mutant, Releaser, Reply, Sibling, State, Writer};

impl State {
    pub(super) fn releasing(&self, key: u8) -> bool {
        match self.releaser {
            Releaser::Idle => false,
            Releaser::Started { at }
            | Releaser::Left { at }
            | Releaser::Closed { at }
            | Releaser::Listed { at }
            | Releaser::KillOlder { at, .. }
            | Releaser::Ending { at }
            | Releaser::Won { at, .. } => at.key == key,
        }
    }

    pub(super) fn release(&self, mutant: Mutant, out: &mut Vec<State>) {
        let early = mutant == Mutant::CloseBeforeLeaving;
        match self.releaser {
            Releaser::Idle => {
                // The key's stripe lock.
                if let Some(at) = self.request
                    && (at.key == 1 || self.writer == Writer::Idle)
                {
                    out.push(self.with(|s| {
                        s.request = None;
                        s.releaser = Releaser::Started { at };
                    }));
                }
            }
            Releaser::Started { at } if early => {
                out.push(self.with(|s| s.close(at, Releaser::Closed { at })))
            }
            Releaser::Started { at } => out.push(self.with(|s| {
                let ctl = s.block(at.block).ctl;
                if ctl == at.ctl {
                    s.set(at.block, St::Leaving, s.relay);
                    s.releaser = Releaser::Left { at };
                } else {
                    s.answer(at, Reply::Gone);
                }
            })),
            Releaser::Left { at } => out.push(self.with(|s| s.close(at, Releaser::Closed { at }))),
            Releaser::Closed { at } => out.push(self.with(|s| {
                s.dir[at.key as usize] = Some((at.copy, at.version));
                s.releaser = Releaser::Listed { at };
            })),
            Releaser::Listed { at } => out.push(self.with(|s| {
                let kill = Kill::of(at.key, at.version - 1, at.block);
                s.fence_moved |= at.key == 0 && s.older_than(at.version);
                s.releaser = match mutant {
                    Mutant::KeepOlderAtRelease => Releaser::Ending { at },
                    _ => Releaser::KillOlder { at, kill },
                };
            })),
            Releaser::KillOlder { at, mut kill } => out.push(self.with(|s| {
                let done = s.kill_step(&mut kill, s.relay, false);
                s.releaser = if done { Releaser::Ending { at } } else { Releaser::KillOlder { at, kill } };
            })),
            Releaser::Ending { at } => out.push(self.with(|s| {
                let ctl = s.block(at.block).ctl;
                let leaving = Ctl { st: St::Leaving, owner: s.relay, generation: at.ctl.generation };
                if ctl == leaving || (early && ctl == at.ctl) {
                    s.set(at.block, St::Dead, s.relay);
                    s.releaser = Releaser::Won { at, left: 2 };
                } else {
                    s.dir[at.key as usize] = None;
                    s.answer(at, Reply::Gone);
                }
            })),
            Releaser::Won { at, left: 2 } => out.push(self.with(|s| {
                s.unlink(at.block);
                s.releaser = Releaser::Won { at, left: 1 };
            })),
            Releaser::Won { at, .. } => out.push(self.with(|s| {
                s.set(at.block, St::Free, 0);
                s.answer(at, Reply::Freed);
            })),
        }
    }

    fn older_than(&self, version: u8) -> bool {
        (self.slots.iter().flatten()).any(|(b, g)| {
            let b = self.block(*b);
            b.key == 0 && b.ctl.generation == *g && b.ctl.st.readable() && b.version < version
        })
    }

    /// CAS of the deadline word (which bears the generation) to closed; otherwise back, and "changed".
    fn close(&mut self, at: At, then: Releaser) {
        let b = &mut self.blocks[at.block as usize];
        if b.ctl.generation == at.ctl.generation && b.touch == at.touch && b.turn == at.turn {
            b.closed = true;
            self.releaser = then;
        } else {
            if b.ctl.st == St::Leaving {
                b.ctl = at.ctl;
            }
            self.answer(at, Reply::Changed);
        }
    }

    fn answer(&mut self, at: At, reply: Reply) {
        self.releaser = Releaser::Idle;
        if matches!(self.demoter, Sibling::Asked { at: asked } if asked.copy == at.copy) {
            self.reply = Some(reply);
        }
    }
}
