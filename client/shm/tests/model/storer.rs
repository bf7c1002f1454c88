//! Steps of the relay's storing thread: put, touch, delete, and the walk that kills what is older.

use crate::control::{Ctl, St};
use crate::state::{Block, Kill, Mutant, NOBODY, SLOTS, State, Writer};

impl State {
    pub(super) fn write(&self, mutant: Mutant, out: &mut Vec<State>) {
        match self.writer {
            Writer::Idle if !self.releasing(0) => {
                self.begin_put(mutant, out);
                if self.left.deletes > 0 {
                    out.push(self.with(|s| {
                        s.left.deletes -= 1;
                        s.acked[0] = 0;
                        s.acked_touch = (0, 0);
                        s.fence_moved = true;
                        let upto = s.next_version - 1;
                        s.writer = Writer::Deleting { kill: Kill::of(0, upto, NOBODY) };
                    }));
                }
                if self.left.touches > 0 {
                    self.touch(out);
                }
            }
            Writer::Idle => {}
            Writer::Written { block } => out.push(self.with(|s| {
                s.set(block, St::Pending, s.relay);
                s.writer = Writer::Pending { block };
            })),
            Writer::Pending { block } => self.link(mutant, block, out),
            Writer::Linked { block } => out.push(self.with(|s| {
                s.set(block, St::Live, s.relay);
                s.writer = Writer::Committed { block };
            })),
            Writer::EarlyKill { block, mut kill } => out.push(self.with(|s| {
                let done = s.kill_step(&mut kill, s.relay, false);
                s.writer = if done { Writer::Linked { block } } else { Writer::EarlyKill { block, kill } };
            })),
            Writer::Committed { block } => out.push(self.with(|s| {
                s.fence_moved |= mutant != Mutant::FenceLate;
                let kill = Kill::of(0, s.block(block).version, block);
                s.writer = Writer::Kill { block, kill };
            })),
            Writer::Kill { block, mut kill } => out.push(self.with(|s| {
                let done = s.kill_step(&mut kill, s.relay, false);
                s.writer = if done { Writer::LateFence { block } } else { Writer::Kill { block, kill } };
            })),
            Writer::LateFence { block } => out.push(self.with(|s| {
                s.fence_moved |= mutant == Mutant::FenceLate;
                let version = s.block(block).version;
                s.acked[0] = version;
                s.acked_touch = (0, 0);
                s.supersede(version);
                s.writer = Writer::Idle;
            })),
            Writer::Deleting { mut kill } => out.push(self.with(|s| {
                let done = s.kill_step(&mut kill, s.relay, mutant == Mutant::DeleteOnce);
                s.writer = Writer::Deleting { kill };
                if done {
                    s.dead_upto[0] = kill.upto;
                    s.supersede(kill.upto + 1);
                    s.writer = Writer::Idle;
                }
            })),
        }
    }

    fn begin_put(&self, mutant: Mutant, out: &mut Vec<State>) {
        if self.next_version > self.left.versions {
            return;
        }
        let mut s = self.clone();
        let in_place = mutant == Mutant::InPlaceOfOld;
        if !in_place && !(0..SLOTS).any(|slot| s.loose(slot)) {
            // BucketFull: refused, unless the mutant makes room by force.
            let other = s.slots.iter().flatten().find(|(b, _)| s.block(*b).key == 1).copied();
            let (Mutant::DropToMakeRoom, Some((block, _))) = (mutant, other) else {
                return;
            };
            s.unlink(block);
            s.set(block, St::Free, 0);
        }
        let Some(block) = s.blocks.iter().position(|b| b.ctl.st == St::Free) else {
            return;
        };
        let version = s.next_version;
        s.next_version += 1;
        let generation = s.blocks[block].ctl.generation + 1;
        let ctl = Ctl { st: St::Writing, owner: s.relay, generation };
        s.blocks[block] = Block { ctl, key: 0, version, touch: 0, closed: false, turn: 0 };
        s.writer = Writer::Written { block: block as u8 };
        out.push(s);
    }

    fn link(&self, mutant: Mutant, block: u8, out: &mut Vec<State>) {
        let mut s = self.clone();
        let slot = match mutant {
            Mutant::InPlaceOfOld => (0..SLOTS)
                .find(|&slot| s.slots[slot].is_some_and(|(b, _)| s.block(b).key == 0))
                .or((0..SLOTS).find(|&slot| s.loose(slot))),
            _ => (0..SLOTS).find(|&slot| s.loose(slot)),
        };
        s.writer = match slot {
            None => {
                s.set(block, St::Free, 0);
                Writer::Idle
            }
            Some(slot) => {
                s.slots[slot] = Some((block, s.block(block).ctl.generation));
                match mutant {
                    Mutant::RetireFirst => {
                        Writer::EarlyKill { block, kill: Kill::of(0, s.block(block).version - 1, block) }
                    }
                    _ => Writer::Linked { block },
                }
            }
        };
        out.push(s);
    }

    fn touch(&self, out: &mut Vec<State>) {
        let newest = (self.slots.iter().flatten())
            .filter(|(b, g)| {
                let b = self.block(*b);
                b.key == 0 && b.ctl.generation == *g && b.ctl.st.readable()
            })
            .max_by_key(|(b, _)| self.block(*b).version);
        if let Some((block, _)) = newest
            && !self.block(*block).closed
        {
            out.push(self.with(|s| {
                s.left.touches -= 1;
                let b = &mut s.blocks[*block as usize];
                b.touch += 1;
                s.acked_touch = (b.version, b.touch);
            }));
        }
    }

    /// An acknowledged write of key 0 is told to the relief before its reply.
    fn supersede(&mut self, below: u8) {
        self.dir[0] = None;
        self.floor[0] = below;
        if self.relief[0].is_some_and(|(_, version, _)| version < below) {
            self.relief[0] = None;
        }
    }

    /// One step of a killing walk; true when it is through. `once`: a separately loaded control word and a
    /// single attempt (the mutant); otherwise a CAS that is repeated until it wins, which is one step.
    pub(super) fn kill_step(&mut self, kill: &mut Kill, owner: u8, once: bool) -> bool {
        if let Some((block, left)) = kill.won {
            if left == 2 {
                self.unlink(block);
                kill.won = Some((block, 1));
            } else {
                self.set(block, St::Free, 0);
                kill.won = None;
            }
            return false;
        }
        if kill.slot as usize == SLOTS {
            return true;
        }
        let doomed = self.slots[kill.slot as usize].filter(|&(block, generation)| {
            let b = self.block(block);
            let here = b.ctl.generation == generation && (b.ctl.st.readable() || b.ctl.st == St::Pending);
            here && b.key == kill.key && b.version <= kill.upto && block != kill.except
        });
        let Some((block, _)) = doomed else {
            kill.slot += 1;
            kill.seen = None;
            return false;
        };
        let ctl = self.block(block).ctl;
        if once && kill.seen.is_none() {
            kill.seen = Some(ctl);
        } else if once && kill.seen != Some(ctl) {
            kill.slot += 1;
            kill.seen = None;
        } else {
            self.set(block, St::Dead, owner);
            kill.won = Some((block, 2));
        }
        false
    }
}

impl Kill {
    pub(super) fn of(key: u8, upto: u8, except: u8) -> Kill {
        Kill { slot: 0, key, upto, except, seen: None, won: None }
    }
}
