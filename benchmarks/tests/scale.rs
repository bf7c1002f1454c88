//! The figures of docs/scaling.md rest on a simulation and on sums: small versions of both, with what must hold whatever
//! the figures are. Seconds in all.

use benchmarks::scale::balance::{Keys, Rule, Spread, change, loads, losses, relief_change, relief_loads};
use benchmarks::scale::capacity::{MACHINE, Machines, Mix, Traffic, event_bytes, first, limits};
use benchmarks::scale::events::Event;
use benchmarks::scale::scenario::{Outcome, SCENARIOS, SMALL, Scenario, play_all};
use benchmarks::scale::site::{Plan, Site, relay_names};
use benchmarks::scale::{constants, document};
use gs_server::core::members::Tier;

const SEED: u64 = 5;

fn keys() -> Keys {
    Keys::draw(100_000, SEED)
}

/// Machines are bought by the mean and die by the busiest: the bound that docs/scaling.md plans with. 16,384 slots
/// fall to n relays as balls do, so the busiest stays within five standard deviations of that.
#[test]
fn no_relay_gets_far_more_than_its_share() {
    let keys = keys();
    for relays in [2, 10, 25] {
        let spread = Spread::of(&loads(Rule::Lots, &relay_names(relays), &keys));
        let mean_slots = 16_384.0 / relays as f64;
        assert!(spread.max < 1.0 + 5.0 / mean_slots.sqrt(), "{spread:?}");
        assert!(spread.min > 1.0 - 5.0 / mean_slots.sqrt(), "{spread:?}");
    }
}

/// A relay that comes or goes takes its own share along and nothing else: whoever moves needlessly is logged out.
/// Placing by modulo, or by ranges of slots, fails this.
#[test]
fn only_the_share_of_the_relay_that_comes_or_goes_moves() {
    let (keys, relays) = (keys(), relay_names(10));
    let lost = losses(Rule::Lots, &relays, &keys);
    let busiest = Spread::of(&loads(Rule::Lots, &relays, &keys)).max / 10.0;
    assert_eq!(lost.max_needless, 0.0);
    assert!((lost.max_moved - busiest).abs() < 1e-9, "{lost:?}: what it had, {busiest}");
    let added = change(Rule::Lots, &relays, &relay_names(11), &keys);
    assert_eq!(added.needless, 0.0);
    assert!((0.07..0.12).contains(&added.moved), "{added:?} instead of an eleventh");
    // The measure sees what it is there to see.
    for (rule, least) in [(Rule::Ranges, 0.3), (Rule::Modulo, 0.8)] {
        assert!(losses(rule, &relays, &keys).max_needless > least);
        assert!(change(rule, &relays, &relay_names(11), &keys).needless > least);
    }
}

/// Every key has a relay, and there one relief of each tier; nothing is counted twice.
#[test]
fn no_key_is_without_a_place() {
    let keys = keys();
    let plan = Plan { fronts: 1, relays: 4, expansion: 2, aging: 3 };
    let placed = |loads: Vec<f64>| loads.iter().sum::<f64>() as u64;
    assert_eq!(placed(loads(Rule::Lots, &relay_names(4), &keys)), keys.total);
    let mut site = Site::new(&plan);
    for tier in [Tier::Expansion, Tier::Aging] {
        assert_eq!(placed(relief_loads(&site, tier, &keys)), keys.total);
    }
    site.unlist(2);
    site.families[1].leave(1);
    let added = site.add(&plan);
    assert_eq!(added, 4);
    for tier in [Tier::Expansion, Tier::Aging] {
        assert_eq!(placed(relief_loads(&site, tier, &keys)), keys.total, "after changes");
    }
}

/// The same for reliefs, whose slots are dealt by the sibling.
#[test]
fn a_relief_that_comes_or_goes_moves_its_own_slots_only() {
    let plan = Plan { fronts: 1, relays: 2, expansion: 2, aging: 3 };
    for joins in [false, true] {
        for change in relief_change(&plan, joins) {
            assert_eq!(change.needless, 0.0, "joins: {joins}");
            assert!((0.1..0.6).contains(&change.moved), "joins: {joins}: {change:?}");
        }
    }
}

fn played(names: &[&str]) -> Vec<Outcome> {
    let wanted: Vec<Scenario> =
        SCENARIOS.into_iter().filter(|scenario| names.contains(&scenario.name)).collect();
    assert_eq!(wanted.len(), names.len(), "a scenario was renamed");
    play_all(&SMALL, SEED, &wanted)
}

/// Nothing is lost while nothing happens; a relief that is away refuses and logs nobody out; what is given up logs out
/// its share; and what the relays list is what their reliefs hold, whatever happened.
#[test]
fn users_are_logged_out_by_what_is_lost_alone() {
    let outcomes = played(&[
        "undisturbed",
        "twice the users",
        "a front end is lost",
        "a relay restarts (5 s)",
        "a relay's machine is replaced (1 min)",
        "a relay is taken off the list",
        "a relay is added",
        "an aging node is away (10 min)",
        "an aging node is given up",
        "an aging node is added",
    ]);
    for outcome in &outcomes {
        let name = outcome.scenario.name;
        assert_eq!(outcome.faults, Vec::<String>::new(), "{name}");
        assert_eq!(outcome.full, 0, "{name}: there is room");
        let counts = outcome.after;
        let answered =
            counts.local + counts.relay + counts.expansion + counts.aging + counts.logins + counts.cut;
        assert_eq!(answered + counts.unavailable, counts.requests, "{name}: every request has one outcome");
        let gone = match outcome.scenario.event {
            Some(Event::RelayReplaced { .. } | Event::RelayUnlisted { .. }) => true,
            Some(Event::RelayAdded | Event::ReliefLost { .. }) => true,
            // Ageing nodes that are full give up what is alive.
            _ => outcome.evicted > 0,
        };
        assert_eq!(counts.cut > 0, gone, "{name}: {counts:?}");
        let refuses = matches!(
            outcome.scenario.event,
            Some(Event::RelayAway { .. } | Event::RelayReplaced { .. } | Event::ReliefAway { .. })
        );
        assert_eq!(counts.unavailable > 0, refuses, "{name}: {counts:?}");
    }
    let of =
        |name: &str| outcomes.iter().find(|outcome| outcome.scenario.name == name).expect("it was played");
    let (calm, doubled) = (of("undisturbed"), of("twice the users"));
    assert!(doubled.after.local < doubled.after.requests && calm.after.local * 2 > calm.after.requests);
    assert!(
        doubled.moved[0] > 2 * calm.moved[0],
        "more than twice as many go down: the relays are no larger"
    );
    assert!(of("a relay restarts (5 s)").soon > calm.soon, "front ends ask again for what they forgot");
    assert!(of("a front end is lost").soon > calm.soon, "its users are asked for elsewhere");
}

/// A figure that nobody can repeat is none.
#[test]
fn a_seed_gives_the_same_figures_every_time() {
    let counts = |outcome: &Outcome| (outcome.after, outcome.moved, outcome.buckets.clone());
    let once: Vec<_> = played(&["undisturbed", "a relay is added"]).iter().map(counts).collect();
    let again: Vec<_> = played(&["undisturbed", "a relay is added"]).iter().map(counts).collect();
    assert_eq!(once, again);
}

/// The sums say what they should: more relays carry more until every front end hears too much, and more front ends
/// make each change dearer.
#[test]
fn limits_move_as_the_formulae_say() {
    let mix = Mix { gets: 0.05, writes: 0.1, touches: 0.05, moves: 0.05 };
    let carried = |fronts: f64, relays: f64, batched: bool| {
        let machines = Machines { fronts, relays, uneven: 1.0 };
        first(&limits(&mix, &machines, &MACHINE, Traffic { values: false, batched }))
    };
    let (one, ten) = (carried(1000.0, 1.0, true), carried(1000.0, 10.0, true));
    assert!((ten.requests / one.requests - 10.0).abs() < 0.01, "{one:?}, {ten:?}");
    let (many, more) = (carried(1000.0, 100.0, true), carried(1000.0, 150.0, true));
    assert!(many.what.starts_with("a front end's"), "{many:?}");
    assert!(
        more.requests < 1.01 * many.requests,
        "what a front end hears is not divided by relays: {more:?}"
    );
    assert!(carried(100.0, 1.0, true).requests > 5.0 * one.requests, "{one:?}");
    assert!(carried(10.0, 1.0, false).requests < carried(10.0, 1.0, true).requests);
    let (put, inval) = event_bytes();
    assert!(put > inval + 384.0 && inval > 32.0, "{put}, {inval}");
}

/// The document shows the figures that the sums use.
#[test]
fn the_document_has_the_constants_in_force() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/scaling.md");
    let text = std::fs::read_to_string(path).expect("docs/scaling.md");
    assert_eq!(
        document::part(&text, "constants"),
        Some(constants::table().trim()),
        "run `cargo run --release -p benchmarks --bin scale -- --write` in the repository"
    );
    for part in ["placement", "scenarios", "carried"] {
        assert!(document::part(&text, part).is_some_and(|text| text.contains("|---|")), "{part} is missing");
    }
    for c in &constants::CONSTANTS {
        assert!(constants::value(c.name) > 0.0 && !c.command.is_empty(), "{}", c.name);
    }
}
