//! What it costs a server to tell a hundred others that something changed.
//!
//! ```text
//! cargo run --release -p benchmarks --bin fanout
//! ```
//!
//! A relay tells its front ends (`GS.STREAM`) of deleted keys and of new values of 384 bytes, and the subscribers of a
//! channel; redis-server tells the subscribers of a channel as many bytes. The writer keeps so many commands under way.
//! The figure is the server's CPU for each message that arrived, the writer's command included.
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use benchmarks::procs::{Server, command, connect, middle, pin_load};
use clap::Parser;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// CPU of a relay and of redis-server for each message that reaches one of many listeners.
#[derive(Parser)]
struct Args {
    /// Listeners.
    #[arg(long, default_value_t = 100)]
    followers: usize,
    /// Commands under way at once; several figures with commas.
    #[arg(long, default_value = "1,16,64", value_delimiter = ',')]
    depths: Vec<usize>,
    /// Messages in one measurement at one command under way; up to eight times as many at more.
    #[arg(long, default_value_t = 5_000)]
    messages: usize,
    /// Interleaved repetitions.
    #[arg(long, default_value_t = 5)]
    reps: usize,
    /// Bursts of messages in a second; 0 for as fast as they are answered.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Only these: publish, gone, put, gs-publish.
    #[arg(long, default_value = "publish,gone,put,gs-publish", value_delimiter = ',')]
    only: Vec<String>,
    /// The gs-server to start.
    #[arg(long, default_value = "target/release/gs-server")]
    gs_server: PathBuf,
}

/// Who tells what.
#[derive(Clone, Copy, PartialEq)]
enum What {
    Publish(usize),
    GsPublish(usize),
    Gone,
    Put,
}

const KEY_BYTES: usize = 32;
const VALUE_BYTES: usize = 384;
const MARK: &[u8] = b"the-end-of-one-measurement-";
/// A front end renews its lease so often.
const RENEW: Duration = Duration::from_millis(250);

impl What {
    fn name(self) -> String {
        match self {
            What::Publish(bytes) => format!("redis PUBLISH {bytes} B"),
            What::GsPublish(bytes) => format!("gs PUBLISH {bytes} B"),
            What::Gone => "gs stream, key of 32 B deleted".to_owned(),
            What::Put => "gs stream, value of 384 B".to_owned(),
        }
    }

    fn word(self) -> &'static str {
        match self {
            What::Publish(_) => "publish",
            What::GsPublish(_) => "gs-publish",
            What::Gone => "gone",
            What::Put => "put",
        }
    }

    /// What Redis is asked to carry for comparison.
    fn peer(self) -> What {
        match self {
            What::Publish(bytes) | What::GsPublish(bytes) => What::Publish(bytes),
            What::Gone => What::Publish(KEY_BYTES),
            What::Put => What::Publish(VALUE_BYTES),
        }
    }

    fn is_stream(self) -> bool {
        matches!(self, What::Gone | What::Put)
    }

    fn command(self, n: usize) -> Vec<u8> {
        let key = format!("sess:{n:027}");
        match self {
            What::Publish(bytes) | What::GsPublish(bytes) => {
                let payload = format!("{key}{}", "v".repeat(bytes - KEY_BYTES));
                command(&[b"PUBLISH", b"channel", payload.as_bytes()])
            }
            What::Gone => command(&[b"DEL", key.as_bytes()]),
            What::Put => command(&[b"SET", key.as_bytes(), &[b'v'; VALUE_BYTES], b"PX", b"86400000"]),
        }
    }

    fn last(self, mark: &[u8]) -> Vec<u8> {
        match self {
            What::Publish(_) | What::GsPublish(_) => command(&[b"PUBLISH", b"channel", mark]),
            What::Gone | What::Put => command(&[b"SET", mark, b""]),
        }
    }
}

/// One listener: reads until it meets the mark it is told to look for.
async fn follow(
    port: u16,
    stream: bool,
    marks: tokio::sync::watch::Receiver<Vec<u8>>,
    met: Met,
) -> anyhow::Result<()> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    let hello = match stream {
        true => [command(&[b"HELLO", b"3"]), command(&[b"GS.STREAM", b"0", b"0"])].concat(),
        false => command(&[b"SUBSCRIBE", b"channel"]),
    };
    socket.write_all(&hello).await?;
    let renew = command(&[b"GS.RENEW", b"0"]);
    let mut ticks = tokio::time::interval(RENEW);
    let mut buffer = vec![0; 256 << 10];
    let mut kept = 0;
    loop {
        tokio::select! {
            biased;
            read = socket.read(&mut buffer[kept..]) => {
                let n = read?;
                ensure!(n > 0, "a listener was cut off");
                let have = kept + n;
                let mark = marks.borrow().clone();
                // It comes last, so it can only be at the end.
                let tail = &buffer[have.saturating_sub(mark.len() + 64)..have];
                if !mark.is_empty() && tail.windows(mark.len()).any(|w| w == &mark[..]) {
                    met.send(()).await?;
                    kept = 0;
                } else {
                    kept = have.min(mark.len() + 64);
                    buffer.copy_within(have - kept..have, 0);
                }
            }
            _ = ticks.tick(), if stream => socket.write_all(&renew).await?,
        }
    }
}

type Met = tokio::sync::mpsc::Sender<()>;

/// A server with its listeners.
struct Crowd {
    marks: tokio::sync::watch::Sender<Vec<u8>>,
    met: tokio::sync::mpsc::Receiver<()>,
    tasks: tokio::task::JoinSet<anyhow::Result<()>>,
    writer: TcpStream,
    followers: usize,
    nth: usize,
}

impl Crowd {
    async fn gather(port: u16, what: What, followers: usize) -> anyhow::Result<Crowd> {
        let (marks, marked) = tokio::sync::watch::channel(Vec::new());
        let (told, met) = tokio::sync::mpsc::channel(followers);
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..followers {
            tasks.spawn(follow(port, what.is_stream(), marked.clone(), told.clone()));
        }
        let writer = TcpStream::connect(("127.0.0.1", port)).await?;
        writer.set_nodelay(true)?;
        let mut crowd = Crowd { marks, met, tasks, writer, followers, nth: 0 };
        // Whoever has not joined yet misses it: then it is said again.
        tokio::time::sleep(Duration::from_millis(300)).await;
        crowd.end(what).await?;
        Ok(crowd)
    }

    /// Says the last word, and waits until everybody has heard it.
    async fn end(&mut self, what: What) -> anyhow::Result<()> {
        self.nth += 1;
        let mark = [MARK, self.nth.to_string().as_bytes(), b"."].concat();
        self.marks.send_replace(mark.clone());
        self.writer.write_all(&what.last(&mark)).await?;
        answers(&mut self.writer, 1).await?;
        for _ in 0..self.followers {
            tokio::select! {
                met = self.met.recv() => met.context("the listeners are gone")?,
                failed = self.tasks.join_next() => {
                    failed.context("no listeners")???;
                }
                () = tokio::time::sleep(Duration::from_secs(20)) => anyhow::bail!("a listener never heard the last word"),
            }
        }
        Ok(())
    }
}

/// Reads so many one-line replies.
async fn answers(socket: &mut TcpStream, mut wanted: usize) -> anyhow::Result<()> {
    let mut buffer = [0; 8192];
    while wanted > 0 {
        let n = socket.read(&mut buffer).await?;
        ensure!(n > 0, "the server hung up");
        ensure!(buffer[0] != b'-', "{}", String::from_utf8_lossy(&buffer[..n]));
        wanted = wanted.saturating_sub(buffer[..n].iter().filter(|b| **b == b'\n').count());
    }
    Ok(())
}

/// CPU microseconds for each message that arrived, and messages written in a second.
async fn measure(
    server: &Server,
    crowd: &mut Crowd,
    what: What,
    depth: usize,
    args: &Args,
) -> anyhow::Result<(f64, f64)> {
    let messages = args.messages * depth.min(8);
    if what == What::Gone {
        for batch in (0..messages).collect::<Vec<_>>().chunks(64) {
            let bytes: Vec<u8> = batch.iter().flat_map(|n| What::Put.command(*n)).collect();
            crowd.writer.write_all(&bytes).await?;
            answers(&mut crowd.writer, batch.len()).await?;
        }
        crowd.end(what).await?;
    }
    let bursts: Vec<(usize, Vec<u8>)> = (0..messages)
        .collect::<Vec<_>>()
        .chunks(depth)
        .map(|burst| (burst.len(), burst.iter().flat_map(|n| what.command(*n)).collect()))
        .collect();
    let (cpu, began) = (server.cpu(), Instant::now());
    let mut pace = (args.rate > 0).then(|| tokio::time::interval(Duration::from_secs(1) / args.rate as u32));
    for (len, bytes) in &bursts {
        if let Some(pace) = &mut pace {
            pace.tick().await;
        }
        crowd.writer.write_all(bytes).await?;
        answers(&mut crowd.writer, *len).await?;
    }
    crowd.end(what).await?;
    let (cpu, took) = (server.cpu() - cpu, began.elapsed().as_secs_f64());
    let delivered = (messages * args.followers) as f64;
    Ok((cpu * 1e6 / delivered, messages as f64 / took))
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    pin_load()?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(&args))
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let flags = ["--sibling-port", "0", "--capacity", "256mb"].map(String::from);
    let (gs, redis) = (Server::gs(&args.gs_server, "relay", dir.path(), &flags)?, Server::redis()?);
    connect(gs.port)?;
    let all = [
        What::Publish(KEY_BYTES),
        What::Gone,
        What::GsPublish(KEY_BYTES),
        What::Publish(VALUE_BYTES),
        What::Put,
        What::GsPublish(VALUE_BYTES),
    ];
    println!(
        "{} listeners, {} messages, {} repetitions; server CPU in us for each message that arrived\n",
        args.followers, args.messages, args.reps
    );
    println!(
        "| what | under way | CPU us (lowest-highest) | messages/s written | x of redis PUBLISH, same repetition |"
    );
    println!("|---|---|---|---|---|");
    for depth in &args.depths {
        let mut figures: Vec<Vec<(f64, f64)>> = vec![Vec::new(); all.len()];
        for _ in 0..args.reps {
            for (n, what) in
                all.iter().enumerate().filter(|(_, what)| args.only.iter().any(|w| w == what.word()))
            {
                let server = if matches!(what, What::Publish(_)) { &redis } else { &gs };
                let mut crowd = Crowd::gather(server.port, *what, args.followers).await?;
                figures[n].push(measure(server, &mut crowd, *what, *depth, args).await?);
                crowd.tasks.shutdown().await;
            }
        }
        for (n, what) in all.iter().enumerate().filter(|(n, _)| !figures[*n].is_empty()) {
            let (cpu, low, high) = middle(&figures[n].iter().map(|f| f.0).collect::<Vec<_>>());
            let (rate, ..) = middle(&figures[n].iter().map(|f| f.1).collect::<Vec<_>>());
            let peer = all.iter().position(|other| *other == what.peer()).context("a peer")?;
            let ratios: Vec<f64> =
                figures[n].iter().zip(&figures[peer]).map(|(own, its)| own.0 / its.0).collect();
            let (ratio, ..) = middle(&ratios);
            println!(
                "| {} | {depth} | {cpu:.3} ({low:.3}-{high:.3}) | {rate:.0} | {ratio:.2} |",
                what.name()
            );
        }
    }
    Ok(())
}
