//! No order of messages between the tiers loses a session, brings a destroyed one back, counts one twice or
//! leaves a copy behind that nobody knows: every order is tried, for one session and a bounded number of
//! writes, deletes, hand-offs, passings-on and look-ups. Each defence is taken away once, to see it missed.

#[path = "tier_model/world.rs"]
mod world;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use world::{Budget, Without, World};

/// Walks all states. The first faulty one, with the way to it; or how many there are.
fn explore(budget: Budget, without: Without) -> Result<usize, String> {
    // A state is known by its hash: two of a few million are taken for one with p < 1e-6.
    let hasher = RandomState::new();
    let start = World::new(budget);
    let mut seen = HashSet::from([hasher.hash_one(&start)]);
    let mut path = vec![(String::from("start"), start.next(&without))];
    while let Some((_, ahead)) = path.last_mut() {
        let Some((name, world)) = ahead.pop() else {
            path.pop();
            continue;
        };
        if !seen.insert(hasher.hash_one(&world)) {
            continue;
        }
        if let Some(fault) = world.fault() {
            let way: Vec<String> = path.iter().map(|(name, _)| name.clone()).collect();
            return Err(format!("{fault} after {}\n  {name}\nin {world:#?}", way.join("\n  ")));
        }
        let ahead = world.next(&without);
        path.push((name, ahead));
    }
    Ok(seen.len())
}

const MOVES: Budget = Budget { sets: 0, deletes: 0, demotions: 4, passes: 3, lookups: 3, drops: 0 };
const WRITES: Budget = Budget { sets: 1, deletes: 1, demotions: 2, passes: 2, lookups: 1, drops: 0 };
const DROPS: Budget = Budget { sets: 1, deletes: 1, demotions: 2, passes: 1, lookups: 1, drops: 1 };

fn sound(budget: Budget, at_least: usize) {
    let states = explore(budget, Without::default()).unwrap_or_else(|fault| panic!("{fault}"));
    println!("{states} states of {budget:?}");
    assert!(states > at_least, "only {states} states were seen");
}

#[test]
fn sessions_that_only_move_are_never_lost() {
    sound(MOVES, 1_000);
}

#[test]
fn writes_and_deletes_meet_every_move() {
    sound(WRITES, 1_000);
}

#[test]
fn what_a_relief_loses_by_itself_is_never_listed_afterwards() {
    sound(DROPS, 1_000);
}

#[test]
fn each_defence_is_missed() {
    let missed = |budget: Budget, without: Without| explore(budget, without).expect_err("it is not missed");
    let all = [
        (MOVES, Without { doubt_of_the_unheard: true, ..Without::default() }, "a session is lost"),
        (DROPS, Without { memory_of_the_dropped: true, ..Without::default() }, "what is listed is not there"),
        (WRITES, Without { second_look_at_the_found: true, ..Without::default() }, ""),
        (WRITES, Without { order_of_reports: true, ..Without::default() }, ""),
    ];
    for (budget, without, fault) in all {
        let found = missed(budget, without);
        println!("{without:?}: {}", found.lines().next().unwrap_or_default());
        assert!(found.starts_with(fault), "{without:?} ends in {found}");
    }
}
