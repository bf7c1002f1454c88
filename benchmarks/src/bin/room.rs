//! Does any mix of sizes use the memory well, and what does a session cost beside its own bytes?
//!
//! ```text
//! cargo run --release -p benchmarks --bin room              # fill of full sections; writes results/room.md
//! cargo run --release -p benchmarks --bin room -- --redis   # also a relay and a redis-server with the same sessions
//! ```
#![allow(clippy::disallowed_methods, reason = "it waits for other processes")]

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use benchmarks::compare::options::gs_server;
use benchmarks::overhead::{self, Cost};
use benchmarks::room::{Level, MIXES, Room, Sizes};
use clap::Parser;
use gs_shm::{BLOCK_BYTES_DEFAULT, Mode};

/// Fill of full sections for mixes of sizes, and the bytes a session costs beside its own.
#[derive(Parser)]
struct Args {
    /// Bytes of each section that is filled.
    #[arg(long, default_value_t = 16 << 20)]
    capacity: u64,
    /// Also store the same sessions in a relay (at the default and at the advised block size) and in redis-server.
    #[arg(long)]
    redis: bool,
    /// How many sessions that is.
    #[arg(long, default_value_t = 1_000_000)]
    sessions: u64,
    /// The gs-server to start; built where none is named.
    #[arg(long)]
    gs_server: Option<PathBuf>,
    /// Where the tables go.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results/room.md"))]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut text = ABOUT.to_owned();
    fills(&mut text, args.capacity)?;
    shifts(&mut text, args.capacity)?;
    if args.redis {
        costs(&mut text, &args)?;
    }
    print!("{text}");
    std::fs::write(&args.out, text).with_context(|| format!("writing {}", args.out.display()))
}

const ABOUT: &str = "\
# Room

Written by `cargo run --release -p benchmarks --bin room -- --redis`.

Live is the share of the block area (blocks x block_bytes) that holds headers and payload of readable records when the
section is full: 64 bytes of header, the key where keys are kept (32 bytes, in owner mode), and the value, for each
record. Headers of further blocks, ends of blocks that a record does not fill, and free blocks are loss. A front end's
section (cache) evicts as it fills; an owner's is demoted ahead of demand, 3 % kept free, and one record in eight is
deleted. Advised is what `gs-server section stat` says for the mix. Each section has been written over three times.
Bar: at the advised size at least 85 %, and after a shift of sizes the same as without it.
";

fn level(mode: Mode, block_bytes: u32, capacity: u64, turns: &[Sizes]) -> anyhow::Result<Level> {
    let mut room = Room::new(mode, block_bytes, capacity)?;
    let level = turns.iter().map(|sizes| room.fill(*sizes)).last().context("no mix")?;
    room.check().map_err(|complaints| anyhow::anyhow!("{complaints:?}"))?;
    Ok(level)
}

fn fills(text: &mut String, capacity: u64) -> anyhow::Result<()> {
    writeln!(
        text,
        "\n| section | sizes | advised | live | refused | full buckets | at {BLOCK_BYTES_DEFAULT} (default) |"
    )?;
    writeln!(text, "|---|---|---|---|---|---|---|")?;
    for mode in [Mode::Cache, Mode::Owner] {
        for sizes in MIXES {
            let advised = sizes.advised(mode);
            let best = level(mode, advised, capacity, &[sizes])?;
            let default = level(mode, BLOCK_BYTES_DEFAULT, capacity, &[sizes])?;
            writeln!(
                text,
                "| {} | {} | {advised} | {:.1} % | {} | {} | {:.1} % |",
                word(mode),
                sizes.name(),
                100.0 * best.live,
                best.refused,
                full_buckets(mode, &best),
                100.0 * default.live
            )?;
        }
    }
    Ok(())
}

/// A cache takes the coldest record's slot and does not count it.
fn full_buckets(mode: Mode, level: &Level) -> String {
    match mode {
        Mode::Cache => "-".to_owned(),
        Mode::Owner => format!("{:.4} % of writes", 100.0 * level.bucket_full as f64 / level.writes as f64),
    }
}

fn shifts(text: &mut String, capacity: u64) -> anyhow::Result<()> {
    writeln!(text, "\n| section | full of | then written | block | live | without the shift | refused |")?;
    writeln!(text, "|---|---|---|---|---|---|---|")?;
    for mode in [Mode::Cache, Mode::Owner] {
        for (from, to) in MIXES.into_iter().flat_map(|from| MIXES.map(|to| (from, to))) {
            if from == to {
                continue;
            }
            for (which, block_bytes) in [("old", from.advised(mode)), ("new", to.advised(mode))] {
                let fresh = level(mode, block_bytes, capacity, &[to])?;
                let shifted = level(mode, block_bytes, capacity, &[from, to])?;
                writeln!(
                    text,
                    "| {} | {} | {} | {block_bytes}, advised for the {which} | {:.1} % | {:.1} % | {} |",
                    word(mode),
                    from.name(),
                    to.name(),
                    100.0 * shifted.live,
                    100.0 * fresh.live,
                    shifted.refused
                )?;
            }
        }
    }
    Ok(())
}

fn word(mode: Mode) -> &'static str {
    match mode {
        Mode::Cache => "cache",
        Mode::Owner => "owner",
    }
}

fn costs(text: &mut String, args: &Args) -> anyhow::Result<()> {
    let advised = Sizes::All(overhead::VALUE_BYTES).advised(Mode::Owner);
    let program = gs_server(args.gs_server.as_deref())?;
    let gs = |block_bytes| overhead::of_relay(&program, args.sessions, block_bytes);
    let mut rows: Vec<(String, Cost)> = vec![
        (format!("relay, {BLOCK_BYTES_DEFAULT} (default)"), gs(BLOCK_BYTES_DEFAULT)?),
        (format!("relay, {advised} (advised)"), gs(advised)?),
    ];
    match overhead::of_redis(args.sessions)? {
        Some((version, cost)) => rows.push((version, cost)),
        None => writeln!(text, "\nNo redis-server here to compare with.")?,
    }
    writeln!(
        text,
        "\n{} sessions of a 32-byte key, {} bytes and a life, stored over a socket. Bytes per session beside those 416: \
         the section (sized for just these sessions, all of it resident from the start) and what the processes' own \
         resident memory grew by; a relay is its process and its sibling's. Fixed is their resident memory before, after \
         200,000 writes to sessions that were then deleted, the section aside. Bar: 110 at the default, 80 at the advised size.\n",
        args.sessions,
        overhead::VALUE_BYTES
    )?;
    writeln!(
        text,
        "| server | section | grown | overhead per session | fixed, MiB | all resident, per session |"
    )?;
    writeln!(text, "|---|---|---|---|---|---|")?;
    for (name, cost) in rows {
        let each = |bytes: u64| bytes as f64 / args.sessions as f64;
        writeln!(
            text,
            "| {name} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
            each(cost.section_bytes),
            each(cost.grown_bytes),
            each(cost.section_bytes + cost.grown_bytes) - 416.0,
            cost.fixed_bytes as f64 / f64::from(1 << 20),
            each(cost.section_bytes + cost.grown_bytes + cost.fixed_bytes) - 416.0
        )?;
    }
    Ok(())
}
