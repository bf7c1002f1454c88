//! Which operation comes next, on which key.

use std::sync::Arc;

use crate::sim::random::{Random, Zipf};

use super::wire::{FIELDS, Op, Shape, Want};

/// Draws that are prepared ahead of a run.
const DRAWS: usize = 1 << 20;

/// A kind of load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mix {
    /// One operation, over and over.
    Only(Op),
    /// 80 % reads, 15 % prolongations, 5 % writes.
    Session,
    /// A session is written and destroyed.
    SetDel,
    /// Fields of hashes are written.
    HSet,
    /// Fields of hashes are read.
    HGet,
}

/// How keys are drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Draw {
    /// Every key alike.
    Uniform,
    /// A few much more often: skew 0.99.
    Zipf,
    /// One after the other from here on, each once.
    Once(u64),
}

/// Keys in the order in which they will be asked for.
#[derive(Clone)]
pub struct Keys {
    draws: Arc<Vec<u32>>,
    draw: Draw,
    /// How many there are.
    pub count: u64,
}

impl Keys {
    /// Draws among `count` keys.
    pub fn new(count: u64, draw: Draw) -> Keys {
        let mut random = Random::new(42);
        let draws = match draw {
            Draw::Uniform => (0..DRAWS).map(|_| (random.bits() % count) as u32).collect(),
            Draw::Zipf => {
                let zipf = Zipf::new(count as usize, 0.99);
                // Ranks are spread over the keys, so that frequent ones do not lie beside each other.
                (0..DRAWS)
                    .map(|_| (u64::from(zipf.draw(&mut random)).wrapping_mul(2_654_435_761) % count) as u32)
                    .collect()
            }
            Draw::Once(_) => Vec::new(),
        };
        Keys { draws: Arc::new(draws), draw, count }
    }

    /// Whether each key comes once, and so every lane has to come to its end.
    pub fn once(&self) -> bool {
        matches!(self.draw, Draw::Once(_))
    }
}

/// Makes requests.
pub struct Maker {
    shape: Shape,
    mix: Mix,
    keys: Keys,
    at: u64,
    step: u64,
}

impl Maker {
    /// Of this mix; `lane` of `lanes` makers that share the keys.
    pub fn new(shape: Shape, mix: Mix, keys: &Keys, lane: u64, lanes: u64) -> Maker {
        let (at, step) = match keys.draw {
            Draw::Once(_) => (lane, lanes),
            _ => (lane * (DRAWS as u64 / lanes.max(1)), 1),
        };
        Maker { shape, mix, keys: keys.clone(), at, step }
    }

    fn next_key(&mut self) -> u64 {
        let at = self.at;
        self.at += self.step;
        match self.keys.draw {
            Draw::Once(from) => from + at,
            _ => u64::from(self.keys.draws[at as usize & (DRAWS - 1)]),
        }
    }

    /// Appends the next request; what must come back goes to `wants`.
    pub fn next(&mut self, out: &mut Vec<u8>, mut wants: impl FnMut(Want)) {
        let n = self.next_key();
        // Operations are dealt by the position, keys by the draw: they do not depend on each other.
        let dealt = self.at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let op = match self.mix {
            Mix::Only(op) => op,
            Mix::Session => match dealt % 100 {
                0..80 => Op::Get,
                80..95 => Op::Expire,
                _ => Op::SetEx,
            },
            Mix::SetDel => {
                wants(self.shape.ask(Op::Set, n, out));
                Op::Del
            }
            Mix::HSet => Op::HSet((dealt % u64::from(FIELDS)) as u8),
            Mix::HGet => Op::HGet((dealt % u64::from(FIELDS)) as u8),
        };
        wants(self.shape.ask(op, n, out));
    }

    /// Whether what came is what was wanted.
    pub fn judge(&self, want: &Want, input: &[u8]) -> Option<(usize, bool)> {
        self.shape.judge(want, input)
    }
}
