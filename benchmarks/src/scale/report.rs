//! The tables and pictures.

use std::fmt::Write as _;

use gs_server::core::members::Tier;

use super::balance::{self, Keys, Rule, Spread};
use super::capacity::{self, MACHINE, Machines, Mix, Traffic};
use super::constants;
use super::scenario::{Outcome, SOON_MS, Size};
use super::site::{Plan, Site, relay_names};
use crate::plot::{Chart, Line, Scale};

/// Numbers of relays in tables and pictures.
pub const NUMBERS: [usize; 7] = [2, 5, 10, 20, 50, 100, 200];

/// Percent, with as many digits as mean something.
fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// How keys fall to relays and reliefs, and what moves.
pub fn placement(plan: &Plan, keys: &Keys, spreads: &[(usize, Spread)]) -> String {
    let mut out = format!(
        "{} tokens, hashed as the product does.\n\n\
         | relays | busiest / mean | least / mean | standard deviation |\n|---|---|---|---|\n",
        keys.total
    );
    for (relays, spread) in spreads {
        let _ = writeln!(
            out,
            "| {relays} | {:.3} | {:.3} | {} |",
            spread.max,
            spread.min,
            percent(spread.stddev)
        );
    }
    let site = Site::new(plan);
    let tiers =
        [Tier::Expansion, Tier::Aging].map(|tier| Spread::of(&balance::relief_loads(&site, tier, keys)));
    let _ = writeln!(
        out,
        "\nReliefs: each belongs to one relay, so its share is a share of a share.\n\n\
         | of {} relays | nodes | busiest / mean | least / mean | standard deviation |\n|---|---|---|---|---|",
        plan.relays
    );
    for (name, spread) in ["expansion", "aging"].iter().zip(tiers) {
        let Spread { nodes, max, min, stddev, .. } = spread;
        let _ = writeln!(out, "| {name} | {nodes} | {max:.3} | {min:.3} | {} |", percent(stddev));
    }
    out.push_str(&moves(plan, keys));
    out
}

/// What moves when a node comes or goes, beside two rules that are not used.
fn moves(plan: &Plan, keys: &Keys) -> String {
    let (before, after) = (relay_names(plan.relays), relay_names(plan.relays + 1));
    let mut out = format!(
        "\n| rule, {} relays | one is added: keys that move | one is lost: mean | worst | of these needlessly, worst | \
         busiest survivor / mean |\n|---|---|---|---|---|---|\n",
        plan.relays
    );
    for (name, rule) in [
        ("lots (the product)", Rule::Lots),
        ("ranges of slots (before)", Rule::Ranges),
        ("modulo", Rule::Modulo),
    ] {
        let (added, lost) =
            (balance::change(rule, &before, &after, keys), balance::losses(rule, &before, keys));
        let _ = writeln!(
            out,
            "| {name} | {} | {} | {} | {} | {:.3} |",
            percent(added.moved),
            percent(lost.mean_moved),
            percent(lost.max_moved),
            percent(lost.max_needless),
            lost.max_after
        );
    }
    for (what, joins) in [("leaves", false), ("joins", true)] {
        let changes = balance::relief_change(plan, joins);
        let worst = |pick: fn(&balance::Change) -> f64| changes.iter().map(pick).fold(0.0, f64::max);
        let mean = changes.iter().map(|change| change.moved).sum::<f64>() / changes.len() as f64;
        let _ = writeln!(
            out,
            "\nA relief {what}: {} of its relay's slots get another owner in its tier (worst {}), needlessly {}.",
            percent(mean),
            percent(worst(|change| change.moved)),
            percent(worst(|change| change.needless))
        );
    }
    out
}

/// What came of every scenario.
pub fn scenarios(size: &Size, outcomes: &[Outcome]) -> String {
    let rooms = size.rooms();
    let mut out = format!(
        "{} logins in {} hours; room for {} sessions at each front end, {} at each relay, {} at each expansion and {} at \
         each aging node. Figures are of the time after the event, {} min; shares are of all requests.\n\n\
         | scenario | local | relay | expansion | aging | refused | logged out | no room | commands | of these \
         more in the first {} min | busiest relay / mean | busiest minute of a relay / mean | went down, came up | evicted \
         alive |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
        size.logins,
        size.hours,
        rooms.front,
        rooms.relay,
        rooms.reliefs[0],
        rooms.reliefs[1],
        (u64::from(size.hours) * 3_600_000 - size.event_ms()) / 60_000,
        SOON_MS / 60_000
    );
    for o in outcomes {
        let more = o.soon as i64 - outcomes[0].soon as i64;
        let share = |n: u64| percent(n as f64 / o.after.requests as f64);
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {more:+} | {:.3} | {:.2} | {}, {} | {} |",
            o.scenario.name,
            share(o.after.local),
            share(o.after.relay),
            share(o.after.expansion),
            share(o.after.aging),
            share(o.after.unavailable),
            o.after.cut,
            o.full,
            o.after.commands,
            o.commands.max,
            o.storm,
            o.moved[0],
            o.moved[1],
            o.evicted
        );
    }
    out.push_str("\n| load per node | nodes | busiest / mean | least / mean | standard deviation |\n|---|---|---|---|---|\n");
    for o in outcomes.iter().filter(|o| o.scenario.event.is_none()) {
        for (what, spread) in [
            ("commands of a relay", o.commands),
            ("changes that a relay streams", o.events),
            ("sessions that a relay answers for", o.owned),
            ("sessions on an expansion node", o.held_below[0]),
            ("sessions on an aging node", o.held_below[1]),
            ("messages of a relief", o.messages),
            ("requests of a front end", o.requests),
        ] {
            let Spread { nodes, max, min, stddev, .. } = spread;
            let _ = writeln!(
                out,
                "| {what}, {} | {nodes} | {max:.3} | {min:.3} | {} |",
                o.scenario.name,
                percent(stddev)
            );
        }
    }
    out
}

/// Rates with three digits.
fn rate(requests: f64) -> String {
    match requests {
        r if r >= 1e6 => format!("{:.2} M", r / 1e6),
        r if r >= 1e3 => format!("{:.0} k", r / 1e3),
        r => format!("{r:.0}"),
    }
}

/// The busiest relay's share for a number of relays.
fn uneven(relays: usize, spreads: &[(usize, Spread)]) -> f64 {
    spreads.iter().find(|(n, _)| *n == relays).map_or(1.0, |(_, spread)| spread.max)
}

/// What numbers of machines carry, and what stops them.
pub fn carried(mix: &Mix, spreads: &[(usize, Spread)]) -> String {
    let (put, inval) = capacity::event_bytes();
    let mut out = format!(
        "A request at a front end makes {:.4} questions, {:.4} writes, {:.4} touches at a relay and {:.4} moves between \
         tiers (undisturbed case above). A change is {put:.0} bytes with its value, {inval:.0} without. A machine: {} \
         cores for a relay, {} for gs at a front end, {} Gbit/s, of which {} are used at most.\n\n\
         | front ends | relays | each command alone: requests/s | stopped by | sixteen at a time | stopped by | the same, \
         values pushed | stopped by |\n|---|---|---|---|---|---|---|---|\n",
        mix.gets,
        mix.writes,
        mix.touches,
        mix.moves,
        MACHINE.cores,
        MACHINE.front_cores,
        MACHINE.network * 8.0 / 1e9,
        percent(MACHINE.share)
    );
    for fronts in [10.0, 100.0, 1_000.0] {
        for relays in [1, 2, 5, 10, 20, 50, 100] {
            let machines = Machines { fronts, relays: relays as f64, uneven: uneven(relays, spreads) };
            let _ = write!(out, "| {fronts} | {relays} |");
            for (values, batched) in [(false, false), (false, true), (true, true)] {
                let limits = capacity::limits(mix, &machines, &MACHINE, Traffic { values, batched });
                let first = capacity::first(&limits);
                let _ = write!(out, " {} | {} |", rate(first.requests), first.what);
            }
            out.push('\n');
        }
    }
    out.push_str(&memory());
    out
}

fn memory() -> String {
    let gib = f64::from(1 << 30);
    let mut out = String::from(
        "\n| memory | sessions in a section of 1 GiB | of 64 GiB | directory entries in 1 GiB |\n|---|---|---|---|\n",
    );
    for (name, over) in [("default block", "b_over"), ("advised block", "b_over_best")] {
        let _ = writeln!(
            out,
            "| {name} | {} | {} | {} |",
            rate(capacity::sessions(gib, over)),
            rate(capacity::sessions(64.0 * gib, over)),
            rate(gib / constants::value("b_dir"))
        );
    }
    out
}

/// The pictures: file names and contents.
pub fn pictures(
    keys: &Keys,
    outcomes: &[Outcome],
    mix: &Mix,
    spreads: &[(usize, Spread)],
) -> Vec<(String, String)> {
    let balance = |rule, name: &str| {
        let points = balance::by_number(&NUMBERS, rule, keys).into_iter();
        Line::new(name, points.map(|(n, spread)| (n as f64, spread.max)).collect())
    };
    let balance = Chart {
        title: "Busiest relay over the mean",
        x: ("relays", Scale::Log),
        y: ("busiest / mean (keys)", Scale::Linear),
        lines: vec![balance(Rule::Lots, "lots (the product)"), balance(Rule::Ranges, "ranges of slots")],
        dots: false,
    };
    let over_time = |names: [&str; 5], title| Chart {
        title,
        dots: false,
        x: ("minutes", Scale::Linear),
        y: ("commands of the busiest relay in a minute", Scale::Linear),
        lines: outcomes
            .iter()
            .filter(|outcome| names.contains(&outcome.scenario.name))
            .map(|outcome| Line::new(outcome.scenario.name, super::scenario::busiest_by_minute(outcome)))
            .collect(),
    };
    let storm = over_time(
        [
            "undisturbed",
            "a relay restarts (5 s)",
            "a relay's machine is replaced (1 min)",
            "a relay is taken off the list",
            "a relay is added",
        ],
        "What a lost relay asks of the busiest one",
    );
    let capacity = Chart {
        title: "What the site carries (sixteen at a time, invalidations)",
        x: ("relays", Scale::Log),
        y: ("requests a second", Scale::Log),
        dots: false,
        lines: [10.0, 100.0, 1_000.0, 10_000.0]
            .iter()
            .map(|fronts| {
                let at = |relays: usize| {
                    let machines =
                        Machines { fronts: *fronts, relays: relays as f64, uneven: uneven(relays, spreads) };
                    let traffic = Traffic { values: false, batched: true };
                    capacity::first(&capacity::limits(mix, &machines, &MACHINE, traffic)).requests
                };
                let points = NUMBERS.iter().map(|relays| (*relays as f64, at(*relays))).collect();
                Line::new(format!("{fronts} front ends"), points)
            })
            .collect(),
    };
    [("balance", balance), ("storm", storm), ("capacity", capacity)]
        .map(|(name, chart)| (format!("scale-{name}.svg"), chart.svg()))
        .to_vec()
}
