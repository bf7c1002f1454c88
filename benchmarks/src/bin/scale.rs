//! What many machines carry: 1,000 front ends, 50 relays, 200 reliefs, simulated with the product's placement and
//! policies. No clock is read; the figures are the same on every machine.
//!
//! `cargo run --release -p benchmarks --bin scale -- [--quick] [--seed N] [--write]`

use std::path::Path;

use anyhow::Context;
use benchmarks::scale::balance::{Keys, Rule, by_number};
use benchmarks::scale::capacity::Mix;
use benchmarks::scale::report;
use benchmarks::scale::scenario::{PUBLISHED, SCENARIOS, SMALL, play_all};
use benchmarks::scale::{constants, document};
use clap::Parser;

/// Tokens that are placed.
const KEYS: usize = 4_000_000;
const RESULTS: &str = "benchmarks/results";
const DOCUMENT: &str = "docs/scaling.md";

/// Prints balance, traffic and limits of a site, as Markdown.
#[derive(Parser)]
struct Options {
    /// A small site; seconds instead of a minute.
    #[arg(long)]
    quick: bool,
    /// Where the users come from.
    #[arg(long, default_value_t = 2)]
    seed: u64,
    /// Writes tables and pictures into benchmarks/results and docs/scaling.md.
    #[arg(long)]
    write: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    anyhow::ensure!(!(options.quick && options.write), "--quick makes no figures that are worth writing");
    let size = if options.quick { SMALL } else { PUBLISHED };
    let keys = Keys::draw(if options.quick { KEYS / 40 } else { KEYS }, options.seed);
    let spreads = by_number(&report::NUMBERS, Rule::Lots, &keys);
    let outcomes = play_all(&size, options.seed, &SCENARIOS);
    for outcome in &outcomes {
        anyhow::ensure!(outcome.faults.is_empty(), "{}: {:?}", outcome.scenario.name, outcome.faults);
    }
    let mix = Mix::of(&outcomes[0]);
    let parts = [
        ("constants", constants::table()),
        ("placement", report::placement(&size.plan, &keys, &spreads)),
        ("scenarios", report::scenarios(&size, &outcomes)),
        ("carried", report::carried(&mix, &spreads)),
    ];
    println!("Seed {}. {:?}.", options.seed, size.plan);
    for (name, text) in &parts {
        println!("\n## {name}\n\n{text}");
    }
    if options.write {
        for (name, svg) in report::pictures(&keys, &outcomes, &mix, &spreads) {
            let path = Path::new(RESULTS).join(name);
            std::fs::write(&path, svg).with_context(|| format!("writing {}", path.display()))?;
        }
        let mut text = std::fs::read_to_string(DOCUMENT).with_context(|| format!("reading {DOCUMENT}"))?;
        for (name, part) in &parts {
            text = document::replace(&text, name, part).with_context(|| format!("{DOCUMENT}: {name}"))?;
        }
        std::fs::write(DOCUMENT, text).with_context(|| format!("writing {DOCUMENT}"))?;
    }
    Ok(())
}
