//! How much room must be made, and when a relief may hand back what it took.

use crate::params::Params;

/// What the pressure rules depend on, in percent of all blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PressureParams {
    /// Free blocks to keep ahead of demand, so that a writer does not wait for the demoter.
    pub free_target_pct: u8,
    /// An expansion node hands back while the tier above it is filled less than this.
    pub hand_back_below_pct: u8,
    /// At most this many records in one step, so that a step is short.
    pub batch: u32,
}

impl Default for PressureParams {
    fn default() -> Self {
        Params::DEFAULT.pressure()
    }
}

/// What to do about free room now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Blocks to free; 0 when there is room enough.
    pub blocks: u64,
    /// Whether freeing goes on: pass it back in at the next step (the hysteresis).
    pub freeing: bool,
}

/// How many blocks to free.
///
/// Freeing starts below the target and ends at one and a half times the target, so that a section at the mark does
/// not start and stop with every write. The target is at least one block of a section that has any.
#[must_use]
pub fn demand(free: u64, total: u64, freeing: bool, params: &PressureParams) -> Demand {
    let target = percent(total, params.free_target_pct).max(1).min(total);
    let enough = target.saturating_add(target / 2).min(total);
    let goal = if freeing { enough } else { target };
    if free >= goal {
        Demand { blocks: 0, freeing: false }
    } else {
        Demand { blocks: enough - free, freeing: true }
    }
}

/// How many records to hand back to the tier above, given how full that tier is.
///
/// None unless it is filled less than `hand_back_below_pct`; then no more than bring it up to that mark, and no
/// more than a batch. The mark lies below the level at which the upper tier starts to free, so that what was handed
/// back does not come down again at once.
#[must_use]
pub fn hand_back(upper_free: u64, upper_total: u64, held: u64, params: &PressureParams) -> u64 {
    let used = upper_total.saturating_sub(upper_free);
    let ceiling = 100u8.saturating_sub(params.free_target_pct.saturating_mul(2));
    let mark = percent(upper_total, params.hand_back_below_pct.min(ceiling));
    mark.saturating_sub(used).min(held).min(u64::from(params.batch))
}

/// Pressure as 0..=100: 0 while twice the target is free, 100 when nothing is.
#[must_use]
pub fn level(free: u64, total: u64, params: &PressureParams) -> u8 {
    if total == 0 {
        return 0;
    }
    let calm = percent(total, params.free_target_pct).max(1).saturating_mul(2).min(total);
    let missing = u128::from(calm.saturating_sub(free));
    u8::try_from(missing * 100 / u128::from(calm)).unwrap_or(100)
}

/// `pct` percent of `of`, without overflow, rounded down.
fn percent(of: u64, pct: u8) -> u64 {
    u64::try_from(u128::from(of) * u128::from(pct) / 100).unwrap_or(u64::MAX)
}
