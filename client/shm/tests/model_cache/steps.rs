//! The model's steps, one shared access each: who takes them, death, and the reader's.

mod chain;
mod ending;
mod filling;

use crate::control::St;
use crate::mutant::Mutant;
use crate::state::{At, Held, Reader, State, WORKERS, Worker, word};

impl State {
    /// All states that one step of somebody leads to.
    pub(crate) fn successors(&self, mutant: Mutant, out: &mut Vec<State>) {
        for n in 0..WORKERS {
            let worker = &self.workers[n];
            if !worker.alive {
                continue;
            }
            match worker.clean {
                Some(clean) => out.push(self.with(|s| s.clean(n, clean, mutant))),
                None => self.work(n, mutant, out),
            }
            let busy = worker.at != At::Next || worker.clean.is_some();
            if busy && self.crashes > 0 {
                out.push(self.with(|s| s.die(n)));
            }
        }
        self.read(mutant, out);
    }

    fn with(&self, change: impl FnOnce(&mut State)) -> State {
        let mut next = self.clone();
        change(&mut next);
        next
    }

    /// Everything in private memory is gone; what is in the section stays as it is.
    fn die(&mut self, n: usize) {
        self.crashes -= 1;
        self.workers[n] = Worker { alive: false, ..Worker::IDLE };
    }

    /// One exact CAS of a control word: the incarnation in its next state, if it is still what was seen.
    fn claim(&mut self, n: usize, seen: Held, st: St) -> Option<Held> {
        let ctl = &mut self.blocks[seen.block as usize].ctl;
        if *ctl != seen.ctl {
            return None;
        }
        (ctl.st, ctl.owner) = (st, n as u8);
        Some(Held { block: seen.block, ctl: *ctl })
    }

    fn read(&self, mutant: Mutant, out: &mut Vec<State>) {
        let next = match self.reader {
            Reader::Idle if self.reads > 0 => self.with(|s| {
                s.reads -= 1;
                s.reader = Reader::Scan { slot: 0, best: None, floor: s.floor[0] };
            }),
            Reader::Idle => return,
            Reader::Scan { slot, best, floor } => self.with(|s| s.scan(slot, best, floor)),
            Reader::Copy { from, version, floor } => self.with(|s| {
                let head = s.block(from.block);
                let (first, next) = (head.payload[0], head.link.unwrap_or(from.block));
                s.reader = Reader::Second { from, version, first, next, floor };
            }),
            Reader::Second { from, version, first, next, floor } => self.with(|s| {
                let words = [first, s.block(next).payload[1]];
                s.reader = Reader::Recheck { from, version, words, floor };
            }),
            Reader::Recheck { from, version, words, floor } => self.with(|s| {
                s.reader = Reader::Idle;
                let stands = s.block(from.block).ctl.st == St::Live
                    && s.block(from.block).ctl.generation == from.ctl.generation;
                if !stands && mutant != Mutant::NoRecheck {
                    return;
                }
                if words != [word(0, version); 2] {
                    s.broken = Some("a reader was given torn bytes");
                } else if version < floor {
                    s.broken = Some("a reader was given what had been deleted or overwritten");
                }
            }),
        };
        out.push(next);
    }

    fn scan(&mut self, slot: u8, mut best: Option<(Held, u8)>, floor: u8) {
        let Some(found) = self.index().get(slot as usize) else {
            self.reader = match best {
                Some((from, version)) => Reader::Copy { from, version, floor },
                None => Reader::Idle,
            };
            return;
        };
        if let Some(found) = found.filter(|found| found.key == 0) {
            let block = self.block(found.block);
            let readable = block.ctl.st == St::Live && block.ctl.generation == found.generation;
            if readable && block.key == 0 && best.is_none_or(|(_, version)| block.version >= version) {
                best = Some((Held { block: found.block, ctl: block.ctl }, block.version));
            }
        }
        self.reader = Reader::Scan { slot: slot + 1, best, floor };
    }
}
