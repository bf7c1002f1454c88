//! Instructions of each operation of the section, and of GET and SET of the server, counted by callgrind: the figure
//! that a busy machine does not blur. Each operation of the section runs N and 2N times under valgrind; the difference
//! is its own.
//!
//! `cargo run --release -p benchmarks --bin instructions`            compares with the baseline, fails above +10 %
//! `cargo run --release -p benchmarks --bin instructions -- --bless` writes the baseline anew

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use benchmarks::callgrind::{self, LIMIT, baseline};
use benchmarks::compare::options::gs_server;
use benchmarks::section::store::{Keys, Shape, Store};

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/baselines/instructions.txt");
const TIMES: usize = 2000;
const OPERATIONS: [&str; 7] =
    ["hit-64", "hit-384", "hit-4096", "many16-384", "miss-384", "set-384", "delete-384"];

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", operation, times] => run(operation, times.parse()?),
        ["--bless"] => {
            let counted = count_all()?;
            let mut text =
                String::from("# instructions per operation; see benchmarks/src/bin/instructions.rs\n");
            for (operation, count) in &counted {
                writeln!(text, "{operation} {count:.0}")?;
            }
            std::fs::write(BASELINE, &text)?;
            print!("{text}");
            Ok(())
        }
        [] => compare(),
        _ => bail!("nothing, --bless, or run OPERATION TIMES"),
    }
}

fn compare() -> anyhow::Result<()> {
    let text = std::fs::read_to_string(BASELINE).with_context(|| format!("reading {BASELINE}"))?;
    let baseline = baseline(&text);
    let mut grown = 0;
    for (operation, count) in count_all()? {
        let Some(&was) = baseline.get(operation) else {
            println!("{operation:<16} {count:>8.0}  no baseline: --bless writes one");
            continue;
        };
        let over = count > was * LIMIT;
        grown += usize::from(over);
        let verdict = if over { "GREW" } else { "ok" };
        println!("{operation:<16} {count:>8.0}  baseline {was:>8.0}  x{:.2}  {verdict}", count / was);
    }
    ensure!(grown == 0, "{grown} operations take over 10 % more instructions than {BASELINE} says");
    Ok(())
}

fn count_all() -> anyhow::Result<BTreeMap<&'static str, f64>> {
    let mut all: BTreeMap<_, _> = of_section()?;
    all.append(&mut callgrind::of_server(&gs_server(None)?)?);
    Ok(all)
}

fn of_section() -> anyhow::Result<BTreeMap<&'static str, f64>> {
    OPERATIONS
        .iter()
        .map(|&operation| {
            let once = collected(operation, TIMES)?;
            let twice = collected(operation, 2 * TIMES)?;
            Ok((operation, twice.saturating_sub(once) as f64 / TIMES as f64))
        })
        .collect()
}

/// What callgrind says that a run of this program took.
fn collected(operation: &str, times: usize) -> anyhow::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["run", operation, &times.to_string()])
        .output()
        .context("valgrind is needed")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{operation} failed under valgrind:\n{said}");
    callgrind::collected(&said)
}

fn run(operation: &str, times: usize) -> anyhow::Result<()> {
    let (name, bytes) = operation.rsplit_once('-').unwrap_or((operation, "384"));
    let shape = Shape { objects: 1000, value_len: bytes.parse()? };
    let store = Store::private(shape)?;
    store.fill_up()?;
    let keys = Keys::uniform(shape.objects, 1000);
    let mut out = Vec::with_capacity(1 << 20);
    let batches: Vec<_> = keys.batches(16).collect();
    for n in 0..times {
        let key = keys.at(n);
        match name {
            "hit" => store.get(key, &mut out),
            "miss" => store.miss(key, &mut out),
            "many16" => {
                if n % 16 == 0 {
                    store.get_many(batches[n / 16 % batches.len()], &mut out);
                }
            }
            "set" => store.set(key)?,
            "delete" => store.delete_and_set(key)?,
            _ => bail!("no operation {name}"),
        }
    }
    Ok(())
}
