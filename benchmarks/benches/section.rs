//! The section beside its peers, in one interleaved run.
//!
//! `cargo bench -p benchmarks --bench section`                 all of it, about four minutes
//! `cargo bench -p benchmarks --bench section -- --quick`      20,000 objects only, seconds
//! `... -- --json FILE`                                        the figures as JSON as well
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::path::{Path, PathBuf};

use benchmarks::section::peers::{Apcu, Dash, Lmdb, Moka, Peer, Quick};
use benchmarks::section::redis::Redis;
use benchmarks::section::stats::Spread;
use benchmarks::section::store::{Keys, Shape, Store};
use benchmarks::section::table::{Row, Table};
use benchmarks::section::timing::{self, Timed};
use benchmarks::section::workers::{self, Job};
use gs_shm::Section;
use serde_json::{Value, json};

const REPETITIONS: usize = 5;
const PICKS: usize = 200_000;
/// Where LMDB's file and the multi-process section's names go: in memory.
const MEMORY: &str = "/dev/shm";

struct Options {
    quick: bool,
    json: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if args.first().is_some_and(|arg| arg == "worker") {
        return workers::work(&args[1..]);
    }
    let options = Options {
        quick: args.iter().any(|arg| arg == "--quick"),
        json: args.iter().position(|arg| arg == "--json").and_then(|at| args.get(at + 1)).map(Into::into),
    };
    let mut results = vec![operations(&options)?];
    let sizes: &[usize] = if options.quick { &[20_000] } else { &[20_000, 1_000_000] };
    for &objects in sizes {
        results.push(beside_peers(Shape { objects, value_len: 384 })?);
    }
    results.push(processes(&options)?);
    if let Some(path) = options.json {
        std::fs::write(path, serde_json::to_string_pretty(&results)?)?;
    }
    Ok(())
}

fn operations(options: &Options) -> anyhow::Result<Value> {
    let sizes: &[usize] = if options.quick { &[384] } else { &[64, 384, 1024, 4096] };
    let times = if options.quick { 100_000 } else { 200_000 };
    println!(
        "## operations: mean ns (p50, p99 of single ones, clock taken off), 20,000 objects and 1 M of 384 B"
    );
    println!("{:>9} {:>5} {:<10} {:>8} {:>8} {:>8}", "objects", "bytes", "what", "mean", "p50", "p99");
    let mut rows = Vec::new();
    let mut shapes: Vec<Shape> =
        sizes.iter().map(|&value_len| Shape { objects: 20_000, value_len }).collect();
    if !options.quick {
        shapes.push(Shape { objects: 1_000_000, value_len: 384 });
    }
    for shape in shapes {
        let store = Store::private(shape)?;
        store.fill_up()?;
        let uniform = Keys::uniform(shape.objects, PICKS);
        let zipf = Keys::zipf(shape.objects, PICKS);
        let mut out = Vec::with_capacity(8192);
        let mut failed = None;
        let mut row = |what: &str, timed: Timed| {
            let Timed { mean, p50, p99 } = timed;
            println!(
                "{:>9} {:>5} {what:<10} {mean:>8.1} {p50:>8.0} {p99:>8.0}",
                shape.objects, shape.value_len
            );
            rows.push(json!({"objects": shape.objects, "bytes": shape.value_len, "what": what, "ns": timed}));
        };
        row("hit", timing::timed(times, |n| store.get(uniform.at(n), &mut out)));
        row("hit zipf", timing::timed(times, |n| store.get(zipf.at(n), &mut out)));
        row("miss", timing::timed(times, |n| store.miss(uniform.at(n), &mut out)));
        row("set", timing::timed(times, |n| failed = store.set(uniform.at(n)).err()));
        row("del+set", timing::timed(times, |n| failed = store.delete_and_set(uniform.at(n)).err()));
        if let Some(error) = failed {
            return Err(error);
        }
    }
    Ok(json!({"operations": rows}))
}

/// A GET over loopback with a core each for client and server, and where the scheduler puts them.
const APART: &str = "redis GET, cores apart";
const ANYWHERE: &str = "redis GET";

/// A peer's name, how many gets measure it, and itself.
type Entry = (&'static str, usize, Box<dyn Peer>);

fn peers(shape: Shape, dir: &Path) -> anyhow::Result<Vec<Entry>> {
    let mut peers: Vec<Entry> = vec![
        ("quick_cache", PICKS, Box::new(Quick::new(shape))),
        ("dashmap", PICKS, Box::new(Dash::new(shape))),
        ("moka", PICKS, Box::new(Moka::new(shape))),
        ("LMDB", PICKS, Box::new(Lmdb::new(dir, shape)?)),
        ("APCu", PICKS, Box::new(Apcu::new(shape)?)),
    ];
    if shape.objects <= 20_000 {
        peers.push((ANYWHERE, 5_000, Box::new(Redis::new(shape, false)?)));
        peers.push((APART, 5_000, Box::new(Redis::new(shape, true)?)));
    }
    Ok(peers)
}

fn beside_peers(shape: Shape) -> anyhow::Result<Value> {
    let keys = Keys::uniform(shape.objects, PICKS);
    let store = Store::private(shape)?;
    store.fill_up()?;
    let dir = tempfile::tempdir_in(MEMORY)?;
    let mut peers = peers(shape, dir.path())?;
    let batches: Vec<&[[u8; 32]]> = keys.batches(16).collect();
    let mut out = Vec::with_capacity(1 << 16);
    let mut many = Vec::new();
    let mut table = Table(vec![Row::new("section")]);
    table.0.extend(peers.iter().map(|(name, ..)| Row::new(*name)));
    for _ in 0..REPETITIONS {
        table.0[0].add(timing::timed(PICKS, |n| store.get(keys.at(n), &mut out)), None);
        let batch = timing::mean(batches.len(), |n| store.get_many(batches[n], &mut out));
        many.push(batch / 16.0);
        for ((_, times, peer), row) in peers.iter_mut().zip(&mut table.0[1..]) {
            row.add(peer.run(&keys, *times)?, peer.cpu());
        }
    }
    println!(
        "\n## {} objects of 384 B, {REPETITIONS} interleaved repetitions: median (least-greatest)",
        shape.objects
    );
    table.print();
    let many = Spread::of(many);
    println!("{:<22} {many:>20}", "section, get_many 16");
    bars(shape, &table, many);
    let huge = store.section().huge_bytes() >> 20;
    println!("huge pages: {huge} MiB of {} MiB", store.section().geometry().total_len >> 20);
    Ok(json!({"objects": shape.objects, "rows": table.json(), "get_many": many, "huge_mib": huge}))
}

fn bars(shape: Shape, table: &Table, many: Spread) {
    let hit = &table.0[0];
    if shape.objects <= 20_000 {
        bar("P1 p50 of a hit, ns", hit.single().median, 100.0, false);
        for redis in [APART, ANYWHERE] {
            let [in_a_row, single] = table.ratios(redis).map(|ratio| 1.0 / ratio.median);
            bar(&format!("P1 {redis} / hit"), in_a_row, 200.0, true);
            bar(&format!("P1 {redis} / hit, p50 of each"), single, 200.0, true);
        }
    } else {
        for (peer, most) in [("quick_cache", 0.98), ("LMDB", 0.4), ("APCu", 0.4)] {
            let [in_a_row, single] = table.ratios(peer).map(|ratio| ratio.median);
            bar(&format!("P2 hit / {peer}"), in_a_row, most, false);
            bar(&format!("P2 single hit / {peer}"), single, most, false);
        }
        bar("P2 get_many of 16 / hit", many.median / hit.in_a_row().median, 1.0 / 3.0, false);
        bar("P2 get_many of 16, ns per key", many.median, 500.0 / 3.0, false);
    }
    for peer in ["LMDB", "APCu"] {
        bar(&format!("faster than {peer}"), table.ratios(peer)[0].median, 1.0, false);
    }
}

fn processes(options: &Options) -> anyhow::Result<Value> {
    let objects = 20_000;
    let shape = Shape { objects, value_len: 384 };
    let dir = tempfile::tempdir()?;
    let name = format!("bench{}", std::process::id());
    let store = Store::shared(dir.path(), &name, shape, true)?;
    store.fill_up()?;
    let for_ms = if options.quick { 300 } else { 1500 };
    let run = |jobs: &[Job]| workers::at_once(dir.path(), &name, shape, jobs, for_ms);
    let (mut alone, mut both, mut beside, mut scale) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let measured = (0..REPETITIONS).try_for_each(|_| -> anyhow::Result<()> {
        let one: f64 = run(&[Job::Read])?.iter().sum();
        let two: f64 = run(&[Job::Read, Job::Read])?.iter().sum();
        beside.push(run(&[Job::Read, Job::Write])?[0] / 1e6);
        scale.push(two / one);
        alone.push(one / 1e6);
        both.push(two / 1e6);
        Ok(())
    });
    Section::remove(dir.path(), &name)?;
    measured?;
    let [alone, both, beside, scale] = [alone, both, beside, scale].map(Spread::of);
    println!("\n## processes at one shared section, {objects} objects of 384 B, million reads a second");
    println!("one reader {alone}, two readers {both}, one beside a writer {beside}");
    bar("P3 two readers / one", scale.median, 1.9, true);
    Ok(json!({"one": alone, "two": both, "beside_writer": beside, "scale": scale}))
}

fn bar(what: &str, got: f64, bar: f64, at_least: bool) {
    let pass = if at_least { got >= bar } else { got <= bar };
    let sign = if at_least { ">=" } else { "<=" };
    println!("BAR {what}: {got:.2} {sign} {bar:.2} {}", if pass { "pass" } else { "NOT MET" });
}
