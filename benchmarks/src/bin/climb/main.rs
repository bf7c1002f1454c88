//! What a session costs that is not at the relay but at the aging relief: it climbs relay, sibling, relief and back.
//!
//! ```text
//! cargo run --release -p benchmarks --bin climb
//! ```
//!
//! One at a time the time is counted in round trips (the median of PING to the same relay), beside the least that three
//! processes can take: they only hand bytes on to each other and back, each with a thread that blocks. Pipelined, the CPU of relay,
//! sibling and relief together, beside nutcracker (twemproxy) with a redis-server behind it. First with room at the
//! relay, then at a full one, where each session that climbs pushes another one down.
#![allow(clippy::disallowed_methods, reason = "it measures time")]

mod procs;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::ensure;
use benchmarks::compare::options::gs_server;
use benchmarks::compare::servers::free_port;
use benchmarks::compare::talk::until;
use clap::Parser;
use procs::{Server, Wire, command, connect, middle, pin_load};

/// Time and CPU of sessions that climb from the aging relief.
#[derive(Parser)]
struct Args {
    /// Sessions stored; the relay holds about a fifth of them.
    #[arg(long, default_value_t = 500_000)]
    sessions: usize,
    /// Bytes of the relay's section.
    #[arg(long, default_value = "64mb")]
    capacity: String,
    /// Sessions that climb in one measurement.
    #[arg(long, default_value_t = 16_000)]
    climbs: usize,
    /// Commands under way at once.
    #[arg(long, default_value = "16,64", value_delimiter = ',')]
    depths: Vec<usize>,
    /// Connections, each with so many.
    #[arg(long, default_value_t = 50)]
    connections: usize,
    /// Interleaved repetitions.
    #[arg(long, default_value_t = 3)]
    reps: usize,
    /// Be one of the processes of the plain chain: the port to listen at and the next one's, 0 for the last.
    #[arg(long, num_args = 2, hide = true)]
    hop: Option<Vec<u16>>,
    /// The gs-server to start; built where none is named.
    #[arg(long)]
    gs_server: Option<PathBuf>,
}

const BATCH: usize = 500;
/// Turns of what is timed one at a time.
const ROUNDS: usize = 5;
const VALUE: [u8; 384] = [b'v'; 384];

fn key(n: usize) -> String {
    format!("sess:{n:027}")
}

fn get(n: usize) -> Vec<u8> {
    command(&[b"GET", key(n).as_bytes()])
}

/// Sends commands in bursts of `depth` over each connection and checks every reply.
fn bursts(
    wires: &mut [Wire],
    range: std::ops::Range<usize>,
    depth: usize,
    what: impl Fn(usize) -> Vec<u8>,
    reply: &str,
) -> anyhow::Result<()> {
    let parts = |from: usize| (from..range.end).step_by(depth).map(|at| at..(at + depth).min(range.end));
    for from in range.clone().step_by(depth * wires.len()) {
        for (wire, part) in wires.iter_mut().zip(parts(from)) {
            wire.send(&part.flat_map(&what).collect::<Vec<u8>>())?;
        }
        for (wire, part) in wires.iter_mut().zip(parts(from)) {
            for n in part {
                let got = wire.reply()?;
                ensure!(got == reply, "command {n} was answered {got:?}");
            }
        }
    }
    Ok(())
}

fn store(wire: &mut [Wire], sessions: usize) -> anyhow::Result<()> {
    let set = |n| command(&[b"SET", key(n).as_bytes(), &VALUE, b"PX", b"86400000"]);
    bursts(wire, 0..sessions, BATCH, set, "+OK")
}

/// A relay with its sibling, and an aging relief.
struct Family {
    // The relief joins the sibling and goes first.
    aging: Server,
    relay: Server,
    next: usize,
    _dir: tempfile::TempDir,
}

impl Family {
    fn start(args: &Args) -> anyhow::Result<Family> {
        let dir = tempfile::tempdir()?;
        let sibling = free_port()?;
        let flags = ["--sibling-port", &sibling.to_string(), "--capacity", &args.capacity].map(String::from);
        let program = gs_server(args.gs_server.as_deref())?;
        let relay = Server::gs(&program, "relay", &dir.path().join("relay"), &flags)?;
        let flags = ["--sibling", &format!("127.0.0.1:{sibling}"), "--capacity", "512mb"].map(String::from);
        connect(sibling)?;
        let aging = Server::gs(&program, "relief-aging", &dir.path().join("aging"), &flags)?;
        let mut wire = connect(sibling)?;
        until("the relief has joined", || {
            wire.call(&[b"GS.SHARD", b"NODES"]).ok().filter(|nodes| nodes.contains(" up ")).map(drop)
        })?;
        Ok(Family { aging, relay, next: 0, _dir: dir })
    }

    fn cpu(&self) -> f64 {
        self.relay.cpu() + self.aging.cpu()
    }

    /// Waits until nothing moves any more.
    fn settle(&self) -> anyhow::Result<()> {
        let mut last = self.cpu();
        until("the family has nothing left to do", || {
            std::thread::sleep(Duration::from_millis(450));
            let now = self.cpu();
            (now - std::mem::replace(&mut last, now) < 0.03).then_some(())
        })
    }

    /// CPU microseconds for each of some sessions that climb.
    fn climb(&mut self, wires: &mut [Wire], climbs: usize, depth: usize) -> anyhow::Result<(f64, f64)> {
        self.settle()?;
        let value = String::from_utf8_lossy(&VALUE).into_owned();
        let (from, cpu, began) = (self.next, self.cpu(), Instant::now());
        self.next += climbs;
        bursts(wires, from..self.next, depth, get, &value)?;
        let took = began.elapsed().as_secs_f64();
        // Also what follows: the copies below are dropped, and where there was no room others went down.
        self.settle()?;
        Ok(((self.cpu() - cpu) * 1e6 / climbs as f64, climbs as f64 / took))
    }
}

/// Redis behind nutcracker.
struct Proxied {
    redis: Server,
    proxy: Server,
    _dir: tempfile::TempDir,
}

impl Proxied {
    fn start() -> anyhow::Result<Proxied> {
        let (dir, redis, port) = (tempfile::tempdir()?, Server::redis()?, free_port()?);
        let text = format!(
            "pool:\n  listen: 127.0.0.1:{port}\n  hash: fnv1a_64\n  distribution: ketama\n  redis: true\n  \
             auto_eject_hosts: false\n  servers:\n   - 127.0.0.1:{}:1\n",
            redis.port
        );
        let conf = dir.path().join("nutcracker.yml");
        std::fs::write(&conf, text)?;
        let stats = free_port()?.to_string();
        let words = ["-c", &conf.display().to_string(), "-a", "127.0.0.1", "-s", &stats].map(String::from);
        let proxy = Server::start(std::path::Path::new("nutcracker"), &words, port)?;
        connect(port)?;
        Ok(Proxied { redis, proxy, _dir: dir })
    }

    fn gets(&self, wires: &mut [Wire], count: usize, depth: usize) -> anyhow::Result<(f64, f64)> {
        let value = String::from_utf8_lossy(&VALUE).into_owned();
        let (cpu, began) = (self.redis.cpu() + self.proxy.cpu(), Instant::now());
        bursts(wires, 0..count, depth, get, &value)?;
        let took = began.elapsed().as_secs_f64();
        Ok(((self.redis.cpu() + self.proxy.cpu() - cpu) * 1e6 / count as f64, count as f64 / took))
    }
}

/// The median time of one call after the other, in microseconds.
fn each_us(wire: &mut Wire, calls: impl Iterator<Item = Vec<u8>>) -> anyhow::Result<f64> {
    let mut took = Vec::new();
    for call in calls {
        let began = Instant::now();
        wire.send(&call)?;
        wire.reply()?;
        took.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(middle(&took).0)
}

/// Hands requests on and their replies back; the last one of the chain answers.
fn hop(port: u16, next: u16) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let mut far = (next != 0).then(|| plain(next)).transpose()?;
    let (mut near, _) = listener.accept()?;
    near.set_nodelay(true)?;
    let (mut request, mut reply) = ([0; 1024], VALUE);
    loop {
        let len = near.read(&mut request)?;
        if len == 0 {
            return Ok(());
        }
        if let Some(far) = &mut far {
            far.write_all(&request[..len])?;
            far.read_exact(&mut reply)?;
        }
        near.write_all(&reply)?;
    }
}

fn plain(port: u16) -> anyhow::Result<TcpStream> {
    let stream = until("the next one listens", || TcpStream::connect(("127.0.0.1", port)).ok())?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The median time through the plain chain and back, in microseconds.
fn chain_us(calls: usize) -> anyhow::Result<f64> {
    let own = std::env::current_exe()?;
    let ports = [free_port()?, free_port()?, free_port()?, 0];
    let start = |pair: &[u16]| {
        let words = ["--hop".to_owned(), pair[0].to_string(), pair[1].to_string()];
        Server::start(&own, &words, pair[0])
    };
    let chain: Vec<Server> = ports.windows(2).map(start).collect::<anyhow::Result<_>>()?;
    let (mut stream, mut reply, mut took) = (plain(ports[0])?, VALUE, Vec::new());
    for n in 0..calls {
        let began = Instant::now();
        stream.write_all(&get(n))?;
        stream.read_exact(&mut reply)?;
        took.push(began.elapsed().as_secs_f64() * 1e6);
    }
    drop(chain);
    Ok(middle(&took).0)
}

fn connections(port: u16, count: usize) -> anyhow::Result<Vec<Wire>> {
    (0..count).map(|_| connect(port)).collect()
}

/// Prints what one climb takes, in turns with the two that it is compared with.
fn one_at_a_time(args: &Args, family: &mut Family, wire: &mut Wire) -> anyhow::Result<()> {
    let singles = args.climbs / 8 / ROUNDS;
    let mut all = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        all.0.push(each_us(wire, (0..singles).map(|_| command(&[b"PING"])))?);
        let from = family.next;
        family.next += singles;
        all.1.push(each_us(wire, (from..family.next).map(get))?);
        all.2.push(chain_us(singles)?);
    }
    let (ping, climb, chain) = (middle(&all.0).0, middle(&all.1).0, middle(&all.2).0);
    println!(
        "one at a time: PING {ping:.1} us, climb {climb:.1} us: {:.2} round trips (bar 3)",
        climb / ping
    );
    println!("three processes that only hand on: {chain:.1} us, {:.2} round trips\n", chain / ping);
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some([port, next]) = args.hop.as_deref() {
        return hop(*port, *next);
    }
    pin_load()?;
    let proxied = Proxied::start()?;
    let mut through = connections(proxied.proxy.port, args.connections)?;
    store(&mut through[..1], 100_000)?;
    let mut family = Family::start(&args)?;
    let mut wires = connections(family.relay.port, args.connections)?;
    store(&mut wires[..1], args.sessions)?;
    family.settle()?;
    let held = wires[0].call(&[b"DBSIZE"])?;
    ensure!(held == format!(":{}", args.sessions), "{held} of {} sessions are there", args.sessions);
    // The youngest are at the relay: without them it has room.
    let young = args.sessions / 6;
    let del = |n| command(&[b"DEL", key(n).as_bytes()]);
    bursts(&mut wires[..1], args.sessions - young..args.sessions, BATCH, del, ":1")?;
    ensure!(args.climbs * (args.depths.len() * args.reps + 1) < args.sessions - 2 * young, "too many climbs");
    family.settle()?;

    one_at_a_time(&args, &mut family, &mut wires[0])?;

    println!(
        "| under way | relay | climb, CPU us (lowest-highest) | climbs/s | nutcracker + redis, CPU us | x, same repetition (bar 0.5) |"
    );
    println!("|---|---|---|---|---|---|");
    let mut rows = vec![(Vec::new(), Vec::new(), Vec::new(), Vec::new()); args.depths.len()];
    for _ in 0..args.reps {
        for (depth, row) in args.depths.iter().zip(&mut rows) {
            let (own, rate) = family.climb(&mut wires, args.climbs, *depth)?;
            let (its, _) = proxied.gets(&mut through, 100_000, *depth)?;
            row.0.push(own);
            row.1.push(rate);
            row.2.push(its);
            row.3.push(own / its);
        }
    }
    for (depth, (own, rate, its, ratio)) in args.depths.iter().zip(&rows) {
        let (cpu, low, high) = middle(own);
        println!(
            "| {depth} | with room | {cpu:.2} ({low:.2}-{high:.2}) | {:.0} | {:.2} | {:.2} |",
            middle(rate).0,
            middle(its).0,
            middle(ratio).0
        );
    }
    // Filled again: from here on each climb pushes one down.
    let set = |n| command(&[b"SET", format!("more:{n:027}").as_bytes(), &VALUE, b"PX", b"86400000"]);
    bursts(&mut wires[..1], 0..args.sessions / 3, BATCH, set, "+OK")?;
    for (depth, row) in args.depths.iter().zip(&rows) {
        let (own, rate) = family.climb(&mut wires, args.climbs, *depth)?;
        let its = middle(&row.2).0;
        println!("| {depth} | full | {own:.2} | {rate:.0} | {its:.2} | {:.2} |", own / its);
    }
    Ok(())
}
