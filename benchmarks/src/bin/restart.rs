//! How long a relay with a million sessions is away when its process ends and starts again.
//!
//! ```text
//! cargo run --release -p benchmarks --bin restart
//! ```
//!
//! From the start of the process to the first answer with a session's bytes from the section that the one before left;
//! the relay is killed, as a crash would, or told to stop.
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use benchmarks::procs::{Server, Wire, command, connect, free_port, middle, until};
use clap::Parser;

/// The time a relay needs to answer again from the section that it had.
#[derive(Parser)]
struct Args {
    /// Sessions held.
    #[arg(long, default_value_t = 1_000_000)]
    sessions: usize,
    /// Bytes of the section.
    #[arg(long, default_value = "800mb")]
    capacity: String,
    /// Restarts of each kind.
    #[arg(long, default_value_t = 5)]
    times: usize,
    /// The gs-server to start.
    #[arg(long, default_value = "target/release/gs-server")]
    gs_server: PathBuf,
}

const BATCH: usize = 1000;
const VALUE: [u8; 384] = [b'v'; 384];
/// The bar, in milliseconds.
const BAR_MS: f64 = 200.0;

fn key(n: usize) -> String {
    format!("sess:{n:027}")
}

fn start(args: &Args, dir: &Path, port: u16) -> anyhow::Result<Server> {
    let words = ["--role", "relay", "--http-port", "off", "--sibling-port", "0", "--port"];
    let mut all: Vec<String> = words.map(String::from).into();
    all.extend([port.to_string(), "--capacity".into(), args.capacity.clone(), "--dir".into()]);
    all.push(dir.display().to_string());
    Ok(Server::start(&args.gs_server, &all, port)?.keeping(dir, "relay"))
}

/// Asks again and again, as fast as the connection is refused, until a session's value comes back.
fn first_answer(port: u16, n: usize) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let mut wire = loop {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
            break Wire::new(stream)?;
        }
        ensure!(began.elapsed() < Duration::from_secs(60), "the relay does not come back");
        std::thread::sleep(Duration::from_micros(200));
    };
    let reply = wire.call(&[b"GET", key(n).as_bytes()])?;
    ensure!(reply.as_bytes() == VALUE, "the relay answered {reply:?}");
    Ok(began.elapsed())
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let dir = tempfile::tempdir()?;
    let port = free_port()?;
    let mut relay = start(&args, dir.path(), port)?;
    let mut wire = connect(port)?;
    for from in (0..args.sessions).step_by(BATCH) {
        let to = (from + BATCH).min(args.sessions);
        let set = |n| command(&[b"SET", key(n).as_bytes(), &VALUE, b"PX", b"86400000"]);
        wire.send(&(from..to).flat_map(set).collect::<Vec<u8>>())?;
        for _ in from..to {
            let reply = wire.reply()?;
            ensure!(reply == "+OK", "SET answered {reply}");
        }
    }
    println!("{} sessions stored; ms until the first answer from the old section\n", args.sessions);
    println!("| ended by | median | lowest | highest | bar |\n|---|---|---|---|---|");
    for (ended, signal) in [("a kill", "KILL"), ("an order to stop", "TERM")] {
        let mut took = Vec::new();
        for n in 0..args.times {
            let before = relay.pids();
            relay.end_by(signal)?;
            // The next one adopts what nobody holds any more; a sibling may live a little longer than its relay.
            let gone = |pid: &u32| !Path::new(&format!("/proc/{pid}")).exists();
            until("the processes have ended", || before.iter().all(gone).then_some(()))?;
            relay = start(&args, dir.path(), port)?;
            took.push(first_answer(port, n * 7919 % args.sessions)?.as_secs_f64() * 1e3);
            let held = connect(port)?.call(&[b"DBSIZE"])?;
            ensure!(held == format!(":{}", args.sessions), "{held} sessions are left");
        }
        let (median, low, high) = middle(&took);
        let verdict = if median <= BAR_MS { "met" } else { "missed" };
        println!("| {ended} | {median:.1} | {low:.1} | {high:.1} | {BAR_MS} {verdict} |");
    }
    drop(wire);
    drop(relay);
    dir.close().context("removing the directory")
}
