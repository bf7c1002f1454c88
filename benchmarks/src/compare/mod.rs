//! gs beside its peers: starts servers, loads them in turns, judges the promises, writes JSON, Markdown and SVG.
#![allow(clippy::disallowed_methods, reason = "it measures time")]

pub mod bars;
pub mod bench;
pub mod certs;
pub mod cleanup;
pub mod crowd;
pub mod groups;
pub mod lanes;
pub mod load;
pub mod long;
pub mod machine;
pub mod mix;
pub mod null;
pub mod open;
pub mod options;
pub mod others;
pub mod plot;
pub mod report;
pub mod results;
pub mod servers;
pub mod stage;
pub mod talk;
pub mod verdict;
pub mod wire;

use anyhow::Context;

use bench::Bench;
use groups::Measure;
use options::Compare;
use results::Results;

/// Measures the chosen groups and writes everything that is known.
pub fn run(options: &Compare) -> anyhow::Result<()> {
    if options.list {
        groups::ALL.iter().for_each(|measure| println!("{:<10} {}", measure.name, measure.what));
        return Ok(());
    }
    let chosen = options.groups()?;
    let json = options.out.as_ref().map(|dir| dir.join("compare.json"));
    if let Some(dir) = &options.out {
        std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    }
    let mut results = match &json {
        Some(path) => Results::read(path)?,
        None => Results::default(),
    };
    if !options.report {
        measure(options, &chosen, &mut results, json.as_deref())?;
    }
    write(options, &results)
}

fn measure(
    options: &Compare,
    chosen: &[&Measure],
    results: &mut Results,
    json: Option<&std::path::Path>,
) -> anyhow::Result<()> {
    cleanup::on_signals()?;
    let cores = machine::Cores::of_this_machine()?;
    results.machine = serde_json::to_value(machine::describe(&cores))?;
    let mut bench = Bench::new(options.sizes(), cores, options.peers()?, options.quiet());
    for measure in chosen {
        (measure.run)(&mut bench).with_context(|| format!("group {}", measure.name))?;
        results.groups.insert(measure.name.to_owned(), bench.end());
        // After each group: what follows may fail, and what was measured took minutes.
        if let Some(path) = json {
            results.write(path)?;
        }
    }
    Ok(())
}

fn write(options: &Compare, results: &Results) -> anyhow::Result<()> {
    let plots = plot::all(results);
    let names: Vec<String> = plots.iter().map(|(name, _)| format!("compare-{name}")).collect();
    let text = report::markdown(results, &names);
    match &options.out {
        None => print!("{text}"),
        Some(dir) => {
            std::fs::write(dir.join("compare.md"), &text)?;
            for (name, (_, svg)) in names.iter().zip(&plots) {
                std::fs::write(dir.join(name), svg)?;
            }
            bars::judge(results).iter().for_each(|bar| println!("{bar}"));
            println!("{}", dir.join("compare.md").display());
        }
    }
    Ok(())
}
