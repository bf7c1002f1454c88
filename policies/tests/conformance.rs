//! One contract, one suite, every eviction policy.

use std::cmp::Ordering;

use gs_policies::evict::{Cutoff, Swept};
use gs_policies::{Evict, Fifo, LeastLife, Recency, Verdict, View};
use proptest::prelude::*;

/// Every policy with its cutoff wide open, where it has one.
fn open() -> [Box<dyn Evict>; 4] {
    [
        Box::new(Recency::default()),
        Box::new(Recency { grace_ms: 0, newcomers_pct: 100, ..Recency::DEFAULT }),
        Box::new(Fifo { older_than_ms: 0 }),
        Box::new(LeastLife { remaining_up_to_ms: u64::MAX }),
    ]
}

/// And with it shut: what they take now, they take for another reason.
fn shut() -> [Box<dyn Evict>; 3] {
    [
        Box::new(Recency { grace_ms: u64::MAX, newcomers_pct: 0, ..Recency::DEFAULT }),
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

/// What a policy may be asked, and what it said wrong.
type Broken = Result<(), String>;

fn ensure(kept: bool, rule: &str, policy: &dyn Evict, views: &[&View]) -> Broken {
    if kept { Ok(()) } else { Err(format!("{}: {rule}: {views:?}", policy.name())) }
}

/// A sweep must end with room: whoever is judged again and again under full pressure, with a demerit costing a
/// reference, is taken within four passes.
fn ends_with_room(policy: &dyn Evict, view: &View) -> Broken {
    let mut now = View { pressure: 100, ..*view };
    for _ in 0..4 {
        match policy.judge(&now) {
            Verdict::Take => return Ok(()),
            Verdict::Demerit => now.refs = now.refs.saturating_sub(1),
            Verdict::Keep => break,
        }
    }
    ensure(false, "repeated passes take every record", policy, &[view])
}

/// What holds for one record, whatever the cutoff.
fn judges_well(policy: &dyn Evict, view: &View) -> Broken {
    let verdict = policy.judge(view);
    // A demerit on zero would wrap the counter around in a caller that trusts the verdict.
    ensure(verdict != Verdict::Demerit || view.refs > 0, "a demerit needs a reference", policy, &[view])?;
    ensure(policy.judge(&view.clone()) == verdict, "equal views, equal verdicts", policy, &[view])?;
    // Dead weight goes first, whatever the policy thinks of its age or its readers.
    let dead = View { remaining_ms: Some(0), ..*view };
    ensure(policy.judge(&dead) == Verdict::Take, "the expired are always taken", policy, &[&dead])
}

/// Sampling sorts by `worse`; an order with a cycle would panic there or pick at random.
fn orders(policy: &dyn Evict, a: &View, b: &View, c: &View) -> Broken {
    let worse = |a: &View, b: &View| policy.worse(a, b);
    ensure(worse(a, b) == worse(b, a).reverse(), "two views compare one way", policy, &[a, b])?;
    ensure(worse(a, a) == Ordering::Equal, "a view is its own equal", policy, &[a])?;
    let chain = worse(a, b).is_le() && worse(b, c).is_le();
    ensure(!chain || worse(a, c).is_le(), "the order is transitive", policy, &[a, b, c])?;
    let dead = View { remaining_ms: Some(0), ..*a };
    let alive = b.remaining_ms != Some(0);
    ensure(!alive || worse(&dead, b) == Ordering::Less, "the expired are worst", policy, &[&dead, b])
}

/// The whole contract, for one policy whose cutoff is wide open (`open`) or wherever it may be.
fn conforms(policy: &dyn Evict, open: bool, a: &View, b: &View, c: &View) -> Broken {
    judges_well(policy, a)?;
    orders(policy, a, b, c)?;
    if open { ends_with_room(policy, a) } else { Ok(()) }
}

proptest! {
    #[test]
    fn every_policy_keeps_the_contract(a in view(), b in view(), c in view()) {
        for policy in open() {
            conforms(policy.as_ref(), true, &a, &b, &c).map_err(TestCaseError::fail)?;
        }
        for policy in shut() {
            conforms(policy.as_ref(), false, &a, &b, &c).map_err(TestCaseError::fail)?;
        }
    }

    /// Choosing is choosing: nobody is lost or doubled, as many go as were wanted, and whoever goes ranks no lower
    /// than whoever of the same kind (newcomer or not) stays.
    #[test]
    fn a_choice_takes_the_worst_of_each_kind(
        met in proptest::collection::vec((0u8..=3, 0u64..200_000), 0..60), wanted in 0usize..70, pct in 0u8..=100,
    ) {
        let policy = Recency { newcomers_pct: pct, ..Recency::DEFAULT };
        let mut after = met.clone();
        let chosen = policy.choose(&mut after, wanted, |view| *view);
        prop_assert_eq!(chosen, wanted.min(met.len()));
        let sorted = |mut list: Vec<(u8, u64)>| { list.sort_unstable(); list };
        prop_assert_eq!(sorted(after.clone()), sorted(met.clone()));
        let (gone, kept) = after.split_at(chosen);
        for newcomer in [true, false] {
            let rank = |(refs, idle_ms): &(u8, u64)| ((*refs == 0) == newcomer).then(|| policy.rank(*refs, *idle_ms));
            let least_gone = gone.iter().filter_map(rank).min().unwrap_or(u64::MAX);
            let most_kept = kept.iter().filter_map(rank).max().unwrap_or(0);
            prop_assert!(least_gone >= most_kept, "{gone:?} went, {kept:?} stayed");
        }
    }
}

/// A suite that lets everything pass proves nothing: each of these breaks one rule, and is caught at it.
#[test]
fn broken_policies_are_caught() {
    struct Broken(&'static str, fn(&View) -> Verdict, fn(&View, &View) -> Ordering);
    impl Evict for Broken {
        fn judge(&self, view: &View) -> Verdict {
            self.1(view)
        }
        fn worse(&self, a: &View, b: &View) -> Ordering {
            self.2(a, b)
        }
        fn name(&self) -> &'static str {
            self.0
        }
    }
    let sound = |view: &View| Recency::DEFAULT.judge(view);
    let order = |a: &View, b: &View| Recency::DEFAULT.worse(a, b);
    fn never(_: &View) -> Verdict {
        Verdict::Keep
    }
    fn takes_only_the_dead(view: &View) -> Verdict {
        if view.remaining_ms == Some(0) { Verdict::Take } else { Verdict::Keep }
    }
    fn demerits_all(view: &View) -> Verdict {
        if view.remaining_ms == Some(0) { Verdict::Take } else { Verdict::Demerit }
    }
    fn remembers(_: &View) -> Verdict {
        use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
        static TURN: AtomicBool = AtomicBool::new(false);
        if TURN.fetch_xor(true, Relaxed) { Verdict::Take } else { Verdict::Keep }
    }
    let refs_round = |a: &View, b: &View| match (a.refs, b.refs) {
        (0, 2) => Ordering::Greater,
        (2, 0) => Ordering::Less,
        (a, b) => a.cmp(&b),
    };
    let suspects: [(&str, Broken); 7] = [
        ("the expired are always taken", Broken("spares the dead", never, order)),
        ("repeated passes take every record", Broken("hoards", takes_only_the_dead, order)),
        ("a demerit needs a reference", Broken("wraps", demerits_all, order)),
        ("equal views, equal verdicts", Broken("remembers", remembers, order)),
        ("two views compare one way", Broken("always less", sound, |_, _| Ordering::Less)),
        ("the order is transitive", Broken("goes round", sound, refs_round)),
        ("the expired are worst", Broken("by refs alone", sound, |a, b| a.refs.cmp(&b.refs))),
    ];
    let views: Vec<View> = (0..=2).map(|refs| View { refs, ..VIEW }).collect();
    for (rule, policy) in suspects {
        let mut said = Vec::new();
        for a in &views {
            for b in &views {
                said.extend(views.iter().filter_map(|c| conforms(&policy, true, a, b, c).err()));
            }
        }
        assert!(
            said.iter().any(|text| text.contains(rule)),
            "{}: not caught at '{rule}': {said:?}",
            policy.0
        );
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
fn recency_goes_by_idleness_and_beyond_the_grace_by_reads_too() {
    let policy = Recency::DEFAULT;
    assert_eq!(policy.judge(&VIEW), Verdict::Take);
    assert_eq!(policy.judge(&View { refs: 3, ..VIEW }), Verdict::Demerit);
    let first = |mut met: Vec<(u8, u64)>| {
        assert_eq!(policy.choose(&mut met, 1, |view| *view), 1);
        met[0]
    };
    let others = [(3, 0); 10];
    let among = |one: (u8, u64), two: (u8, u64)| first([&[one, two], &others[..]].concat());
    assert_eq!(among((0, 50_000), (3, 51_000)), (3, 51_000), "everybody is between two requests");
    assert_eq!(among((0, 120_000), (3, 290_000)), (0, 120_000), "a bounce is known by its silence");
    assert_eq!(among((0, 120_000), (3, 310_000)), (3, 310_000), "but not for ever");
    assert_eq!(among((1, 120_000), (2, 135_000)), (1, 120_000));
    assert_eq!(among((1, 120_000), (2, 155_000)), (2, 155_000));
}

#[test]
fn a_scan_displaces_its_own() {
    let among = |newcomers: usize, idle_ms: u64| {
        let mut met: Vec<(u8, u64)> = vec![(3, 1_800_000); 100 - newcomers];
        met.extend(vec![(0, idle_ms); newcomers]);
        let chosen = Recency::DEFAULT.choose(&mut met, 15, |view| *view);
        met[..chosen].iter().filter(|(refs, _)| *refs == 0).count()
    };
    assert_eq!(among(50, 40_000), 15, "half of the room is more than newcomers get");
    assert_eq!(among(15, 40_000), 0, "a share of it they do get");
    assert_eq!(among(40, 1_000), 0, "and a larger one while nobody can know who comes back");
    assert_eq!(among(65, 1_000), 15, "but never all of it");
}

#[test]
fn silence_tells_for_a_while() {
    let rank = |refs, idle_ms| Recency::DEFAULT.rank(refs, idle_ms);
    let ahead = |idle_ms| rank(0, idle_ms) - rank(3, idle_ms);
    assert_eq!(ahead(60_000), 0);
    assert!(ahead(120_000) > 0 && ahead(660_000) > ahead(120_000));
    assert_eq!(ahead(660_000), ahead(6_600_000), "who is silent for hours is only that");
    assert_eq!(rank(3, u64::MAX), u64::MAX);
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
