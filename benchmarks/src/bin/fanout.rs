//! What a change costs a relay that tells a hundred front ends of it, and a front end that hears of it: the figures that
//! docs/scaling.md counts with.
//!
//! ```text
//! cargo run --release -p benchmarks --bin fanout
//! ```
//!
//! The same beside Redis's PUBLISH, at several paces: `cargo run --release -p benchmarks -- compare --group fanout`.
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use benchmarks::compare::cleanup;
use benchmarks::compare::groups::fanout::launch;
use benchmarks::compare::machine::{Cores, cpu_seconds};
use benchmarks::compare::options::gs_server;
use benchmarks::compare::servers::{Launch, Peer, Program, Server};
use benchmarks::compare::stage::{Pace, Stage, Told};
use benchmarks::compare::talk::Talk;
use benchmarks::compare::wire::{Op, Shape, Speech};
use clap::Parser;
use gs_client::blocking::Sessions;
use gs_client::cache::Backing;
use gs_client::sessions::{LruConfig, RelayConfig};

const VALUE_BYTES: usize = 384;
/// One change at a time, each told by itself, and yet so many that nobody goes cold.
const ALONE: Pace = Pace::EachSecond(400);
/// So many changes that nearly all the cost is theirs, not that of a write.
const MANY: Pace = Pace::Answered(64);
const RENEWALS: usize = 20_000;
/// Sessions that change at a front end.
const KEYS: u64 = 1000;

/// CPU of a relay for each front end that it tells of a change, and of a front end for what it is told.
#[derive(Parser)]
struct Args {
    /// Repetitions; the middle one is told.
    #[arg(long, default_value_t = 5)]
    reps: usize,
    /// Changes in a measurement of changes that come alone; fifty times as many of those that do not.
    #[arg(long, default_value_t = 400)]
    changes: usize,
    /// The gs-server to start; built where none is named.
    #[arg(long)]
    gs_server: Option<PathBuf>,
    /// Is a front end of the relay at this address until its input ends; this program starts itself so.
    #[arg(long, hide = true)]
    follow: Option<String>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some(relay) = &args.follow {
        return follow(relay);
    }
    cleanup::on_signals()?;
    let cores = Cores::of_this_machine()?;
    let gs = Peer { name: "gs".into(), program: Program::Gs(gs_server(args.gs_server.as_deref())?) };
    let start = |push| gs.start(&cores, &launch(push));
    let (told, pushed) = (start("invalidate")?, start("all")?);
    // A front end that went is waited for until its lease has lapsed: with the lease that is shipped.
    let start = |push| {
        let sets = vec![format!("stream.push={push}")];
        gs.start(&cores, &Launch { sets, ..launch(push) })
    };
    let (followed, sending) = (start("invalidate")?, start("all")?);
    let many = args.changes * 50;
    println!("| name | us (lowest-highest) | what |\n|---|---|---|");
    let say = |name: &str, what: &str, measure: &mut dyn FnMut() -> anyhow::Result<f64>| {
        let mut figures = (0..args.reps.max(1)).map(|_| measure()).collect::<anyhow::Result<Vec<_>>>()?;
        figures.sort_by(f64::total_cmp);
        let (low, middle, high) = (figures[0], figures[figures.len() / 2], figures[figures.len() - 1]);
        println!("| `{name}` | {middle:.3} ({low:.3}-{high:.3}) | {what} |");
        anyhow::Ok(())
    };
    say("c_write", "relay: a front end is told of a change that comes alone", &mut || {
        deliveries(&told, Told::Deleted, args.changes, ALONE)
    })?;
    say("c_deliver", "relay: each of many changes in one write", &mut || {
        deliveries(&told, Told::Deleted, many, MANY)
    })?;
    say("c_deliver_value", "the same with values of 384 bytes", &mut || {
        deliveries(&pushed, Told::Written, many, MANY)
    })?;
    say("c_renew", "relay: a lease is renewed, alone", &mut || renewals(&told))?;
    let mut front = Front::of(&followed, &cores)?;
    say("c_wake", "front end: is woken and hears of one change", &mut || front.hear(args.changes, ALONE))?;
    say("c_apply", "front end: each of many changes", &mut || front.hear(many, MANY))?;
    let mut front = Front::of(&sending, &cores)?;
    say("c_apply_value", "the same with values of 384 bytes", &mut || front.hear(many, MANY))
}

fn deliveries(server: &Server, told: Told, messages: usize, pace: Pace) -> anyhow::Result<f64> {
    let mut stage = Stage::new(server, told, &Shape::new(Speech::Resp, VALUE_BYTES))?;
    Ok(stage.deliver(messages, pace)?.cpu_us())
}

fn renewals(server: &Server) -> anyhow::Result<f64> {
    let mut talk = Talk::to(server.addr)?;
    talk.call(&["HELLO", "3"])?;
    talk.call(&["GS.STREAM", "0", "0"])?;
    let before = server.cpu_seconds();
    for _ in 0..RENEWALS {
        talk.call(&["GS.RENEW", "0"])?;
    }
    Ok((server.cpu_seconds() - before) * 1e6 / RENEWALS as f64)
}

/// A front end in a process of its own; its section is its own memory.
struct Front {
    child: Child,
    talk: Talk,
    shape: Shape,
}

impl Front {
    fn of(relay: &Server, cores: &Cores) -> anyhow::Result<Front> {
        let me = std::env::current_exe().context("where this program is")?;
        let mut command = Command::new(me);
        command.arg("--follow").arg(relay.addr.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = cores.as_server(|| Ok(command.spawn()?))?;
        let talk = Talk::to(relay.addr)?;
        let mut front = Front { child, talk, shape: Shape::new(Speech::Resp, VALUE_BYTES) };
        let mut said = String::new();
        BufReader::new(front.child.stdout.take().context("no output")?).read_line(&mut said)?;
        ensure!(said.trim() == "ready", "the front end did not come up: {said:?}");
        Ok(front)
    }

    /// CPU of the front end for each change that it hears of.
    fn hear(&mut self, changes: usize, pace: Pace) -> anyhow::Result<f64> {
        let window = pace.window();
        self.all_heard()?;
        let (began, before) = (Instant::now(), cpu_seconds(&[self.child.id()]));
        for sent in (0..changes).step_by(window) {
            if let Pace::EachSecond(rate) = pace {
                let due = began + Duration::from_secs_f64(sent as f64 / f64::from(rate));
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            let mut out = Vec::new();
            for n in sent..sent + window {
                self.shape.ask(Op::Set, n as u64 % KEYS, &mut out);
            }
            self.talk.send(&out)?;
            for _ in 0..window {
                ensure!(self.talk.reply()? == "+OK\r\n", "a session was not stored");
            }
        }
        self.all_heard()?;
        Ok((cpu_seconds(&[self.child.id()]) - before) * 1e6 / changes.next_multiple_of(window) as f64)
    }

    /// Waits until the front end has applied everything: a delete that is to be known everywhere is behind it all.
    fn all_heard(&mut self) -> anyhow::Result<()> {
        self.talk.call(&["SET", "mark", "here"])?;
        self.talk.call(&["GS.DEL", "mark", "SYNC"]).map(drop)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // It ends with its input, which waiting closes.
        let _ = self.child.wait();
    }
}

/// Hears of every change at a relay until the input ends.
fn follow(relay: &str) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let lru = LruConfig { dir: dir.path().into(), backing: Backing::Memory, ..LruConfig::default() };
    let sessions =
        Sessions::open(lru, RelayConfig { relays: vec![relay.to_owned()], ..RelayConfig::default() })?;
    ensure!(sessions.ready_within(Duration::from_secs(60))?, "the relay does not answer");
    println!("ready");
    std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink())?;
    Ok(())
}
