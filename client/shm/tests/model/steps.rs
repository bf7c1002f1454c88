//! The model's steps: one shared access each.

use crate::state::{
    At, Block, Ctl, Kill, Mutant, NOBODY, Reader, Releaser, Reply, SLOTS, Sibling, St, State, Writer,
};

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

    // --- the relay's storing thread

    fn write(&self, mutant: Mutant, out: &mut Vec<State>) {
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
    fn kill_step(&mut self, kill: &mut Kill, owner: u8, once: bool) -> bool {
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

    // --- the relay's releasing thread

    fn releasing(&self, key: u8) -> bool {
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

    fn release(&self, mutant: Mutant, out: &mut Vec<State>) {
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

    // --- the demoter

    fn demote(&self, mutant: Mutant, out: &mut Vec<State>) {
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

impl Kill {
    fn of(key: u8, upto: u8, except: u8) -> Kill {
        Kill { slot: 0, key, upto, except, seen: None, won: None }
    }
}
