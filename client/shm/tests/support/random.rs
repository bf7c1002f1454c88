//! Random numbers from what a test is given: the same everywhere, so a failure can be had again.
#![allow(dead_code, reason = "each test uses its part")]

use fastrand::Rng;

/// Several numbers folded into one generator.
pub(crate) fn random_of(parts: &[u64]) -> Rng {
    let fold =
        |seed: u64, part: &u64| Rng::with_seed(seed ^ part.wrapping_mul(0xff51_afd7_ed55_8ccd)).u64(..);
    Rng::with_seed(parts.iter().fold(0, fold))
}

/// True once in `n`.
pub(crate) fn one_in(random: &mut Rng, n: u64) -> bool {
    random.u64(..n) == 0
}
