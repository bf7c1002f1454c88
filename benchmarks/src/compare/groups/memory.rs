//! Memory per session: what a server holds beyond keys and values, a remaining life included.

use crate::compare::bench::Bench;
use crate::compare::load::{self, Plan};
use crate::compare::machine::private_bytes;
use crate::compare::mix::{Draw, Keys, Mix};
use crate::compare::servers::{Launch, Peer, Program};
use crate::compare::talk::Talk;
use crate::compare::wire::{KEY_BYTES, Op};

/// Loads each server and looks at what it holds.
///
/// Each is told by its growth from the empty process on, which is of no interest at any number of sessions that
/// matters. A section does not grow: it is filled until it is full, and all of it, index and the room kept free
/// included, is divided by the sessions that it then has.
pub fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let reps = bench.sizes.reps.min(3);
    let others: Vec<Peer> =
        bench.peers.iter().filter(|p| !p.is_gs() && p.is_ours_to_start()).cloned().collect();
    bench.begin("memory", reps * (2 + others.len()));
    let gs = bench.gs()?;
    let (keys, bytes) = (bench.sizes.keys, bench.sizes.value_bytes);
    for rep in 0..reps {
        let advised = full_section(bench, &gs, None, rep)?;
        full_section(bench, &gs, Some(advised), rep)?;
        for peer in &others {
            bench.step(&peer.name);
            let launch = Launch { capacity: keys * (bytes as u64 + 200), ..Launch::default() };
            let server = bench.start(peer, &launch)?;
            let before = server.held_bytes();
            bench.preload(&server, keys, bytes, Op::SetEx)?;
            let each = (server.held_bytes() - before) as f64 / keys as f64;
            let over = each - (bytes + KEY_BYTES) as f64;
            let figures = [("bytes_per_session", each), ("overhead_bytes", over)];
            bench.keep_figures(&peer.name, "loaded", (1, bytes), rep, &figures);
        }
    }
    Ok(())
}

/// Fills a section of this block size; returns the advised one.
fn full_section(bench: &mut Bench, gs: &Peer, block: Option<u64>, rep: usize) -> anyhow::Result<u64> {
    bench.step(&format!("{} with blocks of {block:?}", gs.name));
    let (keys, bytes) = (bench.sizes.keys, bench.sizes.value_bytes);
    let mut sets = vec!["section.on_full=drop".to_owned()];
    sets.extend(block.map(|block| format!("section.block_bytes={block}")));
    let capacity = keys * (bytes as u64 + 100);
    let server = bench.start(gs, &Launch { capacity, sets, ..Launch::default() })?;
    let empty = private_bytes(&server.pids());
    // A fifth more than fits, so that it is full.
    let plan = Plan {
        ops_max: keys + keys / 5,
        time: std::time::Duration::from_secs(600),
        conns: 8,
        ..bench.plan(Mix::Only(Op::SetEx), &Keys::new(u64::MAX, Draw::Once(0)), 64)
    };
    load::closed(&server, &plan)?.must_be_right("filling a section")?;
    let held = Talk::to(server.addr)?.number(&["DBSIZE"])?;
    anyhow::ensure!(held < keys + keys / 5, "the section is not full: {held} sessions");
    let each = server.held_bytes().saturating_sub(empty) as f64 / held as f64;
    let over = each - (bytes + KEY_BYTES) as f64;
    let case = if block.is_some() { "full, advised record size" } else { "full, default record size" };
    let figures = [("bytes_per_session", each), ("overhead_bytes", over), ("sessions", held as f64)];
    bench.keep_figures(&gs.name, case, (1, bytes), rep, &figures);
    advised(gs, &server)
}

/// What `gs-server section stat` says of the best size of a block.
fn advised(gs: &Peer, server: &crate::compare::servers::Server) -> anyhow::Result<u64> {
    use anyhow::Context as _;
    let Program::Gs(path) = &gs.program else {
        anyhow::bail!("{} is not gs", gs.name);
    };
    let output = std::process::Command::new(path)
        .args(["section", "stat", "relay", "--json", "--dir"])
        .arg(server.dir())
        .output()?;
    let stat: serde_json::Value = serde_json::from_slice(&output.stdout).context("section stat --json")?;
    let advice = stat["record_size"].as_array().context("no record_size")?;
    let best = advice.last().context("no advice")?;
    best["block_bytes"].as_u64().with_context(|| format!("no block_bytes in {best}"))
}
