//! Every state that a model can come to.

use std::collections::{HashSet, VecDeque};
use std::fmt::Debug;
use std::hash::{BuildHasher, Hash, RandomState};

/// Explored states, or the first violation and how many states it took. `successors` gives what one step of anybody
/// leads to.
pub(crate) fn explore<S: Debug + Hash>(
    start: S,
    mut successors: impl FnMut(&S, &mut Vec<S>),
    invariant: impl Fn(&S) -> Result<(), &'static str>,
) -> Result<usize, (String, usize)> {
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
