//! Routing, pressure, admission, quota and parameters: what they decide at their edges.

use gs_policies::admit::{Admit, Full, OnFull, admit, on_full};
use gs_policies::age::not_worth_moving;
use gs_policies::params::{PARAMS, ParamError};
use gs_policies::pressure::{PressureParams, demand, hand_back, level};
use gs_policies::quota::{Over, Quota, Usage, check};
use gs_policies::{AgeParams, Params, Reach, Route, route};
use proptest::prelude::*;

const BOTH: Reach = Reach { expansion: true, aging: true };

#[test]
fn the_young_expand_and_the_old_age() {
    let params = AgeParams { aged_after_ms: 1000, worth_moving_ms: 50 };
    assert_eq!(route(999, &params, BOTH), Some(Route::Expansion));
    assert_eq!(route(1000, &params, BOTH), Some(Route::Aging));
    assert_eq!(route(0, &AgeParams { aged_after_ms: 0, ..params }, BOTH), Some(Route::Aging));
    assert!(not_worth_moving(Some(49), &params) && !not_worth_moving(Some(50), &params));
    assert!(
        !not_worth_moving(None, &params)
            && !not_worth_moving(Some(0), &AgeParams { worth_moving_ms: 0, ..params })
    );
}

#[test]
fn a_victim_goes_wherever_somebody_takes_it() {
    let params = AgeParams { aged_after_ms: 1000, worth_moving_ms: 0 };
    for age in [0, 5000] {
        let with = |expansion, aging| route(age, &params, Reach { expansion, aging });
        assert_eq!(with(true, false), Some(Route::Expansion));
        assert_eq!(with(false, true), Some(Route::Aging));
        assert_eq!(with(false, false), None);
    }
}

const P: PressureParams = PressureParams { free_target_pct: 4, hand_back_below_pct: 70, batch: 100 };

#[test]
fn freeing_starts_below_the_mark_and_goes_on_past_it() {
    assert_eq!(demand(40, 1000, false, &P).blocks, 0, "at the mark nothing starts");
    let started = demand(39, 1000, false, &P);
    assert_eq!((started.blocks, started.freeing), (21, true), "up to one and a half times the mark");
    assert_eq!(demand(45, 1000, true, &P).blocks, 15, "and having begun it goes on");
    assert!(!demand(60, 1000, true, &P).freeing);
    assert_eq!(demand(45, 1000, false, &P).blocks, 0, "but does not begin there");
    assert_eq!(demand(0, 3, false, &P).blocks, 1, "a small section keeps a block, too");
    assert_eq!(demand(0, 0, false, &P).blocks, 0, "an empty one has none to keep");
    assert!(demand(0, u64::MAX, false, &P).blocks > 0);
}

#[test]
fn a_relief_hands_back_only_into_calm_and_only_up_to_the_mark() {
    assert_eq!(hand_back(300, 1000, 500, &P), 0, "70 % filled: no");
    assert_eq!(hand_back(350, 1000, 500, &P), 50);
    assert_eq!(hand_back(900, 1000, 500, &P), 100, "a batch at a time");
    assert_eq!(hand_back(900, 1000, 7, &P), 7, "not more than it holds");
    assert_eq!(hand_back(900, 1000, 7, &PressureParams { hand_back_below_pct: 0, ..P }), 0);
    assert_eq!(hand_back(0, 0, 7, &P), 0);
}

#[test]
fn pressure_rises_as_room_shrinks() {
    assert_eq!(level(1000, 1000, &P), 0);
    assert_eq!(level(80, 1000, &P), 0);
    assert_eq!(level(40, 1000, &P), 50);
    assert_eq!(level(0, 1000, &P), 100);
    assert_eq!(level(0, 0, &P), 0);
}

proptest! {
    /// What is handed back must not be demoted again at once: the two would push objects to and fro for ever.
    #[test]
    fn handing_back_never_starts_freeing(
        total in 100u64..1 << 40, free_pct in 0u64..=100, target in 1u8..=50, below in 0u8..=95, batch in 1u32..=10_000,
    ) {
        let params = PressureParams { free_target_pct: target, hand_back_below_pct: below, batch };
        let free = total * free_pct / 100;
        let back = hand_back(free, total, u64::MAX, &params);
        prop_assert!(back <= free);
        if back > 0 {
            prop_assert!(!demand(free - back, total, false, &params).freeing, "{back} of {free} in {total}");
        }
    }

    /// Freeing what was asked for is enough: a second look asks for nothing.
    #[test]
    fn a_demand_that_was_met_is_over(free in any::<u64>(), total in any::<u64>(), freeing: bool, target in 1u8..=50) {
        let params = PressureParams { free_target_pct: target, ..P };
        let free = free.min(total);
        let first = demand(free, total, freeing, &params);
        let second = demand(free + first.blocks, total, first.freeing, &params);
        prop_assert_eq!((second.blocks, second.freeing), (0, false));
        prop_assert!(free + first.blocks <= total);
        prop_assert!(level(free, total, &params) <= 100);
    }
}

#[test]
fn a_value_is_taken_whole_or_not_at_all() {
    assert_eq!(admit(1024, 1024), Admit::Accept);
    assert_eq!(admit(1025, 1024), Admit::TooLarge { len: 1025, max: 1024 });
}

#[test]
fn a_full_owner_drops_only_where_it_may() {
    // With a relief no acknowledged object is dropped; without, a lone relay is a cache.
    assert_eq!(on_full(OnFull::Auto, false, 0, 50), Full::Drop);
    assert_eq!(on_full(OnFull::Auto, true, 0, 50), Full::Wait { left_ms: 50 });
    assert_eq!(on_full(OnFull::Auto, true, 49, 50), Full::Wait { left_ms: 1 });
    assert_eq!(on_full(OnFull::Auto, true, 50, 50), Full::Refuse);
    assert_eq!(on_full(OnFull::Relief, true, 999, 50), Full::Refuse);
    assert_eq!(on_full(OnFull::Relief, false, 0, 50), Full::Refuse, "nobody will make room");
    assert_eq!(on_full(OnFull::Drop, true, 0, 50), Full::Drop);
}

#[test]
fn a_quota_stops_growth_and_never_shrinking() {
    let quota = Quota { objects_max: 2, bytes_max: 100 };
    let at = |objects, bytes| Usage { objects, bytes };
    assert_eq!(check(&quota, &at(1, 50), None, 50), Ok(()));
    assert_eq!(check(&quota, &at(2, 50), None, 1), Err(Over::Objects { max: 2 }));
    assert_eq!(check(&quota, &at(1, 50), None, 51), Err(Over::Bytes { max: 100 }));
    assert_eq!(check(&quota, &at(9, 900), Some(80), 79), Ok(()), "over already, but getting smaller");
    assert_eq!(check(&quota, &at(9, 900), Some(80), 81), Err(Over::Bytes { max: 100 }));
    assert_eq!(check(&Quota::default(), &at(u64::MAX, u64::MAX), None, u64::MAX), Ok(()), "no limit");
}

#[test]
fn parameters_keep_their_limits() {
    for param in PARAMS {
        let mut params = Params::default();
        assert_eq!(params.get(param.name), Some(param.default), "{}", param.name);
        assert!(param.min <= param.default && param.default <= param.max, "{}", param.name);
        for value in [param.min, param.max] {
            params.set(&param.name.to_uppercase(), value).expect("the ends are within");
            assert_eq!(params.get(param.name), Some(value));
        }
        let before = params;
        for value in [param.min.checked_sub(1), param.max.checked_add(1)].into_iter().flatten() {
            let error = params.set(param.name, value).expect_err(param.name);
            assert_eq!(error, ParamError::OutOfRange { param, value });
            assert!(error.to_string().contains(&param.max.to_string()), "{error}");
            assert_eq!(params, before);
        }
    }
    let error = Params::default().set("nonsense", 1).expect_err("no such parameter");
    assert!(PARAMS.iter().all(|param| error.to_string().contains(param.name)), "{error}");
}

#[test]
fn parameters_reach_the_policies() {
    let mut params = Params::default();
    for (name, value) in [
        ("aged_after_ms", 1),
        ("worth_moving_ms", 2),
        ("free_target_pct", 3),
        ("hand_back_below_pct", 4),
        ("batch", 5),
        ("interval_ms", 6),
    ] {
        params.set(name, value).expect("within");
    }
    assert_eq!(params.age(), AgeParams { aged_after_ms: 1, worth_moving_ms: 2 });
    assert_eq!(params.pressure(), PressureParams { free_target_pct: 3, hand_back_below_pct: 4, batch: 5 });
    assert_eq!((params.batch(), params.interval_ms()), (5, 6));
    assert_eq!(params.iter().map(|(_, value)| value).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
}
