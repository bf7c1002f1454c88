//! An hour's worth of operations at full speed: does anything grow, slow down, or fail?

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::bench::{Bench, Sizes};
use super::load::{self, Outcome, Plan};
use super::machine::{self, Cores};
use super::mix::{Draw, Keys, Mix};
use super::options::gs_server;
use super::others::Others;
use super::servers::{Peer, Program, Server};
use super::verdict::Verdict;

/// Slices that are looked at one by one.
const SLICES: u64 = 60;
/// Between the second quarter and the last one memory may grow by this much: nothing accumulates.
const MEMORY_MOST: f64 = 1.02;
/// And latency by this much: what a machine with neighbours does by itself.
const LATENCY_MOST: f64 = 1.25;

/// An hour of 50,000 operations a second, at full speed: the session mix, and sessions that come and go.
#[derive(Args, Clone, Debug)]
pub struct Long {
    /// Operations in all.
    #[arg(long, default_value_t = 180_000_000)]
    ops: u64,
    /// Sessions that are preloaded.
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// Requests under way on each of 50 connections.
    #[arg(long, default_value_t = 16)]
    pipeline: usize,
    /// gs-server; built with this program unless said.
    #[arg(long, value_name = "PATH")]
    gs_server: Option<PathBuf>,
    /// Where long.json goes.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// No progress bar.
    #[arg(long)]
    no_progress: bool,
}

/// What a slice showed.
#[derive(Clone, Copy, Debug, serde::Serialize)]
struct Slice {
    ops_s: f64,
    cpu_us: f64,
    p50_us: f64,
    p99_us: f64,
    resident_mib: f64,
    held_mib: f64,
    others_pct: f64,
}

/// Runs it; an error if a reply was wrong or anything is not flat.
pub fn run(options: &Long) -> anyhow::Result<()> {
    super::cleanup::on_signals()?;
    let cores = Cores::of_this_machine()?;
    let gs = Peer { name: "gs".into(), program: Program::Gs(gs_server(options.gs_server.as_deref())?) };
    let sizes = Sizes { keys: options.keys, ..Sizes::full() };
    let mut bench = Bench::new(sizes, cores, vec![gs.clone()], true);
    let server = bench.start_loaded(&[gs])?.remove(0);
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} slices, {eta} left: {msg}")?;
    let bar =
        if options.no_progress { ProgressBar::hidden() } else { ProgressBar::new(SLICES).with_style(style) };
    let keys = Keys::new(options.keys, Draw::Uniform);
    let each = options.ops.div_ceil(SLICES);
    let (mut slices, mut done, mut seconds) = (Vec::new(), 0, 0.0);
    for nth in 0..SLICES {
        let (outcome, slice) = slice(&bench, &server, options, &keys, (nth, each))?;
        done += outcome.ops;
        seconds += outcome.seconds;
        bar.set_message(format!("{:.0} ops/s, {:.0} MiB", slice.ops_s, slice.resident_mib));
        bar.inc(1);
        slices.push(slice);
    }
    bar.finish_and_clear();
    println!("{done} operations in {seconds:.0} s, no wrong reply");
    tell(&slices);
    if let Some(dir) = &options.out {
        let text = serde_json::to_string_pretty(&json!({
            "operations": done, "seconds": seconds, "version": server.version, "slices": slices,
        }))?;
        std::fs::write(dir.join("long.json"), text + "\n")?;
    }
    judge(&slices)
}

/// Nine in ten operations are the session mix; the others write sessions anew and destroy them.
fn slice(
    bench: &Bench,
    server: &Server,
    options: &Long,
    keys: &Keys,
    (nth, ops): (u64, u64),
) -> anyhow::Result<(Outcome, Slice)> {
    let time = Duration::from_secs(120);
    let plan = |mix, keys: &Keys, ops_max| Plan { ops_max, time, ..bench.plan(mix, keys, options.pipeline) };
    let others = Others::than(server.pids(), &bench.cores);
    let mixed = plan(Mix::Session, keys, ops * 9 / 10);
    let mut outcome = load::closed(server, &mixed)?.must_be_right("the session mix")?;
    let fresh = Keys::new(u64::MAX, Draw::Once((1 << 40) + nth * ops));
    // Two operations for each key.
    let short = load::closed(server, &plan(Mix::SetDel, &fresh, ops / 20))?.must_be_right("SET and DEL")?;
    let pids = server.pids();
    let slice = Slice {
        ops_s: outcome.ops_s(),
        cpu_us: outcome.cpu_us(),
        p50_us: outcome.tally.latency.value_at_quantile(0.5) as f64 / 1e3,
        p99_us: outcome.tally.latency.value_at_quantile(0.99) as f64 / 1e3,
        resident_mib: machine::resident_bytes(&pids) as f64 / f64::from(1 << 20),
        held_mib: server.held_bytes() as f64 / f64::from(1 << 20),
        others_pct: others.pct(),
    };
    outcome.ops += short.ops;
    outcome.seconds += short.seconds;
    Ok((outcome, slice))
}

fn tell(slices: &[Slice]) {
    println!("slice      ops/s  CPU us   p50 us   p99 us  resident MiB  held MiB  others %");
    for (nth, slice) in slices.iter().enumerate().step_by(slices.len().div_ceil(12)) {
        let Slice { ops_s, cpu_us, p50_us, p99_us, resident_mib, held_mib, others_pct } = slice;
        println!(
            "{nth:>5} {ops_s:>10.0} {cpu_us:>7.3} {p50_us:>8.0} {p99_us:>8.0} {resident_mib:>13.1} {held_mib:>9.1} {others_pct:>9.1}"
        );
    }
}

fn judge(slices: &[Slice]) -> anyhow::Result<()> {
    let quarter = slices.len() / 4;
    let median =
        |part: &[Slice], of: fn(&Slice) -> f64| crate::section::stats::Spread::of(part.iter().map(of)).median;
    let growth = |of: fn(&Slice) -> f64| {
        median(&slices[slices.len() - quarter..], of) / median(&slices[quarter..2 * quarter], of)
    };
    // The two quarters that are compared; what was worse in one of them decides.
    let halves = [&slices[quarter..2 * quarter], &slices[slices.len() - quarter..]];
    let others = halves.map(|part| median(part, |slice| slice.others_pct)).into_iter().reduce(f64::max);
    // Neighbours take time, not memory.
    let bars = [
        ("memory held", growth(|slice| slice.held_mib), MEMORY_MOST, None),
        ("resident memory", growth(|slice| slice.resident_mib), MEMORY_MOST, None),
        ("p50", growth(|slice| slice.p50_us), LATENCY_MOST, others),
        ("p99", growth(|slice| slice.p99_us), LATENCY_MOST, others),
    ];
    let mut failed = 0;
    for (what, value, most, others) in bars {
        let verdict = Verdict::of(value, most, others);
        failed += usize::from(verdict == Verdict::NotMet);
        println!("BAR long {what}, last quarter / second: {value:.3} <= {most:.3} {verdict}");
    }
    anyhow::ensure!(failed == 0, "{failed} figures are not flat");
    Ok(())
}
