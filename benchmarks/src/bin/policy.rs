//! What the eviction policies are worth: hit ratios of ours, of the known ones and of the optimum, on traces made
//! from a seed. No clock is read; the figures are the same on every machine.
//!
//! `cargo run --release -p benchmarks --bin policy -- [--quick] [--json FILE]`
//! `... -- --seeds 3,5,7,11,13`: ours beside LRU and ARC with other seeds

use anyhow::Context;
use benchmarks::sim::family;
use benchmarks::sim::report::{Row, SEED, SHARES, row, seeds, sized, table, traces};
use benchmarks::sim::sessions::{MIXES, TWO_LIVES, make, smaller};
use benchmarks::sim::trace::Trace;
use clap::Parser;

/// Prints hit ratios per policy, trace and size, as Markdown.
#[derive(Parser)]
struct Options {
    /// Traces of a tenth of the size.
    #[arg(long)]
    quick: bool,
    /// Only what ours has beyond LRU and ARC with each of these seeds.
    #[arg(long, value_delimiter = ',')]
    seeds: Vec<u64>,
    /// Writes the figures to this file, too.
    #[arg(long)]
    json: Option<std::path::PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let by = if options.quick { 10 } else { 1 };
    if !options.seeds.is_empty() {
        print!("{}", seeds(by, &options.seeds));
        return Ok(());
    }
    let traces = traces(by);
    println!("Seed {SEED}. A star marks what is below the bar: LRU, on session traces ARC too.\n");
    println!("| trace | keys | requests |\n|---|---|---|");
    for trace in &traces {
        println!("| {} | {} | {} |", trace.name, trace.keys, trace.requests.len());
    }
    println!("\n## A front end's section\n");
    let mut rows: Vec<Row> = Vec::new();
    for trace in &traces {
        rows.extend(SHARES.map(|share| row(trace, share, &|_| true)));
    }
    print!("{}", table(&rows));
    println!("\n## Records of one to three blocks (room for the same share of keys at two blocks each)\n");
    println!("| trace | cache | gs, the section | gs, the model | LRU | FIFO |\n|---|---|---|---|---|---|");
    for trace in traces.iter().filter(|trace| ["zipf 0.99", "sessions", "bots"].contains(&trace.name)) {
        for share in SHARES {
            let [section, model, lru, fifo] = sized(trace, share);
            println!("| {} | {share} % | {section:.2} | {model:.2} | {lru:.2} | {fifo:.2} |", trace.name);
        }
    }
    println!("\n## The family: in percent of all requests\n");
    let two_lives = make(&smaller(&TWO_LIVES, by), SEED);
    let several: Vec<&Trace> =
        traces.iter().filter(|trace| ["sessions", "rolling TTL", "bots"].contains(&trace.name)).collect();
    for trace in several {
        print!("{}", family::table(trace, [5, 5, 5, 10]));
    }
    print!("{}", family::table(&two_lives, [3, 3, 3, 4]));
    println!("\n## How the session traces are made\n");
    for mix in MIXES.iter().chain([&TWO_LIVES]) {
        println!("- `{mix:?}`");
    }
    if let Some(path) = options.json {
        let text = serde_json::to_string_pretty(&rows).context("figures as JSON")?;
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}
