//! Where a victim goes: young overflow to an expansion node, what has aged to an aging node.

use crate::params::Params;

/// What the route depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgeParams {
    /// A victim at least this old has aged out; a younger one was pushed out by a burst. Milliseconds.
    pub aged_after_ms: u64,
    /// A victim with less life than this left is not worth moving; it is dropped as expired would be. 0 moves all.
    pub worth_moving_ms: u64,
}

impl Default for AgeParams {
    fn default() -> Self {
        Params::DEFAULT.age()
    }
}

/// Which kinds of relief can take a victim now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// An expansion node has joined and answers.
    pub expansion: bool,
    /// An aging node has joined and answers.
    pub aging: bool,
}

/// The kind of node a victim goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// To the expansion node of its slot.
    Expansion,
    /// To the aging node.
    Aging,
}

/// Routes a victim by its age.
///
/// Without an expansion node a young victim goes to aging; without an aging node an aged one is kept by expansion,
/// because holding it in the wrong place is better than losing it. `None` when no relief is within reach: then
/// nothing can be demoted, and [`crate::admit::on_full`] decides.
#[must_use]
pub fn route(age_ms: u64, params: &AgeParams, reach: Reach) -> Option<Route> {
    let wanted = if age_ms < params.aged_after_ms { Route::Expansion } else { Route::Aging };
    match (wanted, reach.expansion, reach.aging) {
        (_, false, false) => None,
        (Route::Expansion, true, _) | (_, true, false) => Some(Route::Expansion),
        (Route::Aging, _, true) | (_, false, true) => Some(Route::Aging),
    }
}

/// True when a victim has so little life left that moving it costs more than it is worth.
#[must_use]
pub fn not_worth_moving(remaining_ms: Option<u64>, params: &AgeParams) -> bool {
    remaining_ms.is_some_and(|left| left < params.worth_moving_ms)
}
