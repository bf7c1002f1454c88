//! Every state that a model can come to, and what its two tests say of that.

use std::collections::{HashSet, VecDeque};
use std::fmt::Debug;
use std::hash::{BuildHasher, Hash, RandomState};

/// Explored states, or the first violation and how many states it took.
pub(crate) type Explored = Result<usize, (String, usize)>;

/// `successors` gives what one step of anybody leads to.
pub(crate) fn explore<S: Debug + Hash>(
    start: S,
    mut successors: impl FnMut(&S, &mut Vec<S>),
    invariant: impl Fn(&S) -> Result<(), &'static str>,
) -> Explored {
    // States are kept whole in the queue and as 128-bit hashes in the set of those seen: at a few million
    // states the chance of a collision is about 10^-25.
    let (one, two) = (RandomState::new(), RandomState::new());
    let mut seen = HashSet::new();
    let mut queue = VecDeque::new();
    seen.insert((one.hash_one(&start), two.hash_one(&start)));
    queue.push_back(start);
    let mut next = Vec::new();
    while let Some(state) = queue.pop_front() {
        successors(&state, &mut next);
        for successor in next.drain(..) {
            if let Err(what) = invariant(&successor) {
                return Err((format!("{what}\n{successor:#?}"), seen.len()));
            }
            if seen.insert((one.hash_one(&successor), two.hash_one(&successor))) {
                queue.push_back(successor);
            }
        }
    }
    Ok(seen.len())
}

/// Nothing that may not happen does, in any state of any run.
pub(crate) fn holds<R: Copy>(runs: &[(&str, R)], explore: impl Fn(R) -> Explored) {
    for (name, run) in runs {
        match explore(*run) {
            Ok(states) => println!("{name}: {states} states, no violation"),
            Err((what, states)) => panic!("{name}: after {states} states: {what}"),
        }
    }
}

/// Each rule is there because without it something happens, in one of the runs.
pub(crate) fn all_caught<R: Copy, M: Copy + Debug>(
    runs: &[(&str, R)],
    mutants: &[M],
    explore: impl Fn(R, M) -> Explored,
) {
    for mutant in mutants {
        let caught = runs.iter().find_map(|(name, run)| Some((name, explore(*run, *mutant).err()?)));
        let Some((name, (what, states))) = caught else {
            panic!("{mutant:?} goes unnoticed");
        };
        let what = what.lines().next().unwrap_or("");
        println!("{mutant:?}: caught after {states} states of \"{name}\": {what}");
    }
}
