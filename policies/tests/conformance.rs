//! One contract, one suite, every eviction policy.

use std::cmp::Ordering;

use gs_policies::evict::{Cutoff, Swept};
use gs_policies::{Evict, Fifo, LeastLife, Recency, Verdict, View};
use proptest::prelude::*;

/// Every policy with its cutoff wide open, where it has one.
fn open() -> [Box<dyn Evict>; 4] {
    [
        Box::new(Recency::default()),
        Box::new(Recency { spare_younger_ms: 60_000 }),
        Box::new(Fifo { older_than_ms: 0 }),
        Box::new(LeastLife { remaining_up_to_ms: u64::MAX }),
    ]
}

/// And with it shut: what they take now, they take for another reason.
fn shut() -> [Box<dyn Evict>; 3] {
    [
        Box::new(Recency { spare_younger_ms: u64::MAX }),
        Box::new(Fifo { older_than_ms: u64::MAX }),
        Box::new(LeastLife { remaining_up_to_ms: 0 }),
    ]
}

fn view() -> impl Strategy<Value = View> {
    (0u8..=3, any::<u64>(), any::<u64>(), proptest::option::of(any::<u64>()), any::<u32>(), 0u8..=100)
        .prop_map(|(refs, age_ms, idle_ms, remaining_ms, bytes, pressure)| View {
            refs,
            age_ms,
            idle_ms,
            remaining_ms,
            bytes,
            pressure,
        })
}

proptest! {
    /// A sweep must end with room: whoever is judged again and again under full pressure, with a demerit costing a
    /// reference, is taken within four passes.
    #[test]
    fn repeated_passes_take_every_record(view in view()) {
        for policy in open() {
            let mut view = View { pressure: 100, ..view };
            let mut passes = 0;
            loop {
                passes += 1;
                prop_assert!(passes <= 4, "{} never takes {view:?}", policy.name());
                match policy.judge(&view) {
                    Verdict::Take => break,
                    Verdict::Demerit => view.refs -= 1,
                    Verdict::Keep => prop_assert!(false, "{} keeps {view:?} for ever", policy.name()),
                }
            }
        }
    }

    /// A demerit on zero would wrap the counter around in a caller that trusts the verdict.
    #[test]
    fn a_demerit_needs_a_reference(view in view()) {
        for policy in open().iter().chain(&shut()) {
            if policy.judge(&view) == Verdict::Demerit {
                prop_assert!(view.refs > 0, "{}", policy.name());
            }
        }
    }

    /// Dead weight goes first, whatever the policy thinks of its age or its readers.
    #[test]
    fn the_expired_are_always_taken(view in view()) {
        let view = View { remaining_ms: Some(0), ..view };
        for policy in open().iter().chain(&shut()) {
            prop_assert_eq!(policy.judge(&view), Verdict::Take, "{}", policy.name());
        }
    }

    /// The same record and the same numbers: the same answer.
    #[test]
    fn verdicts_are_functions(view in view()) {
        for policy in open() {
            prop_assert_eq!(policy.judge(&view), policy.judge(&view.clone()));
        }
    }

    /// Sampling sorts by `worse`; an order with a cycle would panic there or pick at random.
    #[test]
    fn worse_is_an_order(a in view(), b in view(), c in view()) {
        for policy in open() {
            prop_assert_eq!(policy.worse(&a, &b), policy.worse(&b, &a).reverse());
            prop_assert_eq!(policy.worse(&a, &a), Ordering::Equal);
            if policy.worse(&a, &b).is_le() && policy.worse(&b, &c).is_le() {
                prop_assert!(policy.worse(&a, &c).is_le(), "{}: not transitive", policy.name());
            }
        }
    }

    /// An expired record is worse than any live one.
    #[test]
    fn the_expired_are_worst(dead in view(), live in view()) {
        let dead = View { remaining_ms: Some(0), ..dead };
        prop_assume!(live.remaining_ms != Some(0));
        for policy in open() {
            prop_assert_eq!(policy.worse(&dead, &live), Ordering::Less, "{}", policy.name());
        }
    }
}

const VIEW: View =
    View { refs: 0, age_ms: 1000, idle_ms: 1000, remaining_ms: None, bytes: 256, pressure: 50 };

#[test]
fn names_are_unique() {
    let [recency, _, fifo, least_life] = open().map(|policy| policy.name());
    assert_eq!([recency, fifo, least_life], ["recency", "fifo", "least-life"]);
}

#[test]
fn recency_takes_the_unread_at_the_first_pass_and_gives_readers_a_pass_each() {
    let policy = Recency::default();
    assert_eq!(policy.judge(&VIEW), Verdict::Take);
    assert_eq!(policy.judge(&View { refs: 3, ..VIEW }), Verdict::Demerit);
    let sparing = Recency { spare_younger_ms: 2000 };
    assert_eq!(sparing.judge(&VIEW), Verdict::Keep, "a login before its first read");
    assert_eq!(sparing.judge(&View { pressure: 90, ..VIEW }), Verdict::Take, "but not when room is short");
}

#[test]
fn fifo_looks_at_age_alone() {
    let policy = Fifo { older_than_ms: 1000 };
    assert_eq!(policy.judge(&View { refs: 3, idle_ms: 0, ..VIEW }), Verdict::Take);
    assert_eq!(policy.judge(&View { age_ms: 999, ..VIEW }), Verdict::Keep);
}

#[test]
fn least_life_spares_what_lives_for_ever_until_nothing_else_is_left() {
    let policy = LeastLife { remaining_up_to_ms: 5000 };
    assert_eq!(policy.judge(&View { remaining_ms: Some(5000), refs: 3, ..VIEW }), Verdict::Take);
    assert_eq!(policy.judge(&View { remaining_ms: Some(5001), ..VIEW }), Verdict::Keep);
    assert_eq!(policy.judge(&VIEW), Verdict::Keep);
    let (soon, never) = (View { remaining_ms: Some(1), ..VIEW }, VIEW);
    assert_eq!(policy.worse(&soon, &never), Ordering::Less);
}

#[test]
fn a_cutoff_reaches_any_mark_in_64_sweeps_and_rests_when_it_is_right() {
    let none = Swept { seen: 100, taken: 0, wanted: 10 };
    let many = Swept { seen: 100, taken: 90, wanted: 10 };
    let right = Swept { seen: 100, taken: 15, wanted: 10 };
    let nothing = Swept { seen: 0, taken: 0, wanted: 10 };
    let run = |from: u64, step: fn(Cutoff, Swept) -> Cutoff, swept: Swept| {
        (0..64).fold(Cutoff(from), |cutoff, _| step(cutoff, swept)).0
    };
    assert_eq!(run(u64::MAX, Cutoff::older, none), 0, "everything is old enough in the end");
    assert_eq!(
        run(0, Cutoff::sooner, none),
        1 << 63,
        "and everything short-lived enough, within a factor of two"
    );
    assert_eq!(Cutoff(1 << 63).sooner(none), Cutoff(u64::MAX), "records without a deadline, too");
    assert_eq!(run(0, Cutoff::older, many), 1 << 63);
    assert_eq!(run(u64::MAX, Cutoff::sooner, many), 0);
    for cutoff in
        [Cutoff(7).older(right), Cutoff(7).sooner(right), Cutoff(7).older(nothing), Cutoff(7).sooner(nothing)]
    {
        assert_eq!(cutoff, Cutoff(7));
    }
}

/// A model of a relief under steady pressure: the cutoff must settle where each sweep takes about what is wanted.
#[test]
fn a_cutoff_settles_in_a_population() {
    let population: Vec<View> = (0..1000).map(|i| View { age_ms: i * 60_000, ..VIEW }).collect();
    let mut cutoff = Cutoff(1);
    let mut last = 0;
    for _ in 0..64 {
        let policy = Fifo { older_than_ms: cutoff.0 };
        last = population.iter().filter(|view| policy.judge(view) == Verdict::Take).count() as u32;
        cutoff = cutoff.older(Swept { seen: 1000, taken: last, wanted: 300 });
    }
    assert!((300..=1000).contains(&last), "{last} are taken where 300 are wanted");
    assert!(cutoff.0 > 1, "it moved");
}
