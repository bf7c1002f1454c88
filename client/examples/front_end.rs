//! A front end on the command line: sets, reads and deletes sessions through this machine's section.
//!
//! ```text
//! cargo run --release --example front_end -- --section web set sess:1 alice --ttl 3600
//! cargo run --release --example front_end -- --section web --attach get sess:1
//! cargo run --release --example front_end -- --section web            # one command per line on stdin
//! ```
//!
//! Every command answers one line: `OK ...`, `VALUE value ...`, `NIL ...` or `ERR ...`, with `local`, `relay` or
//! `stale` for who answered.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clap::{Parser, Subcommand};
use gs_client::blocking::Sessions;
use gs_client::clock::Clock;
use gs_client::error::SessionError;
use gs_client::sessions::{LruConfig, PartitionPolicy, RelayConfig, Session, Source, TlsFiles};

#[derive(Parser)]
#[command(about = "Sessions out of shared memory, backed by a relay")]
struct Cli {
    /// Name of the section; all processes with the same name and directory share it.
    #[arg(long)]
    section: String,
    /// Attach to a section that another process made, instead of making it.
    #[arg(long)]
    attach: bool,
    /// Relay as HOST:PORT; several times for several relays.
    #[arg(long = "relay", default_value = "127.0.0.1:7878")]
    relays: Vec<String>,
    /// Directory of the section's files.
    #[arg(long, default_value = "/tmp/gs-front")]
    dir: PathBuf,
    /// Bytes of the section.
    #[arg(long, default_value_t = 64 << 20)]
    capacity: u64,
    /// Milliseconds that the section may answer without hearing from the relay.
    #[arg(long, default_value_t = 1000)]
    lease_ms: u64,
    /// Milliseconds that stale sessions may be served while cut off; 0 for none.
    #[arg(long, default_value_t = 0)]
    stale_ms: u64,
    /// The relays' password.
    #[arg(long)]
    password: Option<String>,
    /// CA file: speak TLS with the relays.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Without it, commands are read from stdin.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Store a session.
    Set {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
        /// Seconds to live.
        #[arg(long)]
        ttl: Option<f64>,
    },
    /// Read a session.
    Get {
        /// Its key.
        key: String,
    },
    /// Destroy a session.
    Delete {
        /// Its key.
        key: String,
    },
    /// Let a session live for SECONDS from now on.
    Touch {
        /// Its key.
        key: String,
        /// Seconds to live.
        seconds: f64,
    },
    /// Print what becomes of sessions, until interrupted.
    Watch,
    /// Measure local reads of N keys.
    Bench {
        /// How many keys.
        #[arg(default_value_t = 1000)]
        keys: usize,
    },
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let lru = LruConfig {
        dir: cli.dir,
        name: cli.section,
        manage_section: !cli.attach,
        capacity_bytes: cli.capacity,
        ..LruConfig::default()
    };
    let relay = RelayConfig {
        relays: cli.relays,
        password: cli.password,
        tls: cli.ca.map(|ca| TlsFiles { ca, cert: None, key: None }),
        lease: Duration::from_millis(cli.lease_ms),
        partition: match cli.stale_ms {
            0 => PartitionPolicy::Closed,
            for_ms => PartitionPolicy::Stale { for_ms },
        },
        ..RelayConfig::default()
    };
    let sessions = Sessions::open(lru, relay)?;
    let words = match cli.command {
        None => return interactive(&sessions),
        Some(Command::Watch) => return watch(&sessions),
        Some(Command::Set { key, value, ttl: None }) => vec!["set".into(), key, value],
        Some(Command::Set { key, value, ttl: Some(ttl) }) => vec!["set".into(), key, value, ttl.to_string()],
        Some(Command::Get { key }) => vec!["get".into(), key],
        Some(Command::Delete { key }) => vec!["del".into(), key],
        Some(Command::Touch { key, seconds }) => vec!["touch".into(), key, seconds.to_string()],
        Some(Command::Bench { keys }) => vec!["bench".into(), keys.to_string()],
    };
    // A moment for the connection and the lease; without them the command itself says what is wrong.
    let _ = sessions.ready_within(Duration::from_secs(3));
    let answer = run(&sessions, &words.iter().map(String::as_str).collect::<Vec<_>>());
    println!("{answer}");
    anyhow::ensure!(!answer.starts_with("ERR"), "the command failed");
    Ok(())
}

/// One command per line, one answer per line, flushed at once: a program at the other end of a pipe waits for it.
fn interactive(sessions: &Sessions) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.first() {
            None => continue,
            Some(&"quit" | &"exit") => break,
            Some(_) => writeln!(out, "{}", run(sessions, &words))?,
        }
        out.flush()?;
    }
    Ok(())
}

const HELP: &str = "commands: set K V [TTL-SECONDS] | setv K V VERSION | get K | getlocal K | del K | delsync K | \
                    touch K SECONDS | hashset K V | check K V | wait [SECONDS] | bench [N] | stats | quit";

fn run(sessions: &Sessions, words: &[&str]) -> String {
    let result = match words {
        ["set", key, value] => sessions.set(key.as_bytes(), value.as_bytes(), None).map(stored),
        ["set", key, value, "--ttl", ttl] | ["set", key, value, ttl] => match seconds(ttl) {
            Some(ttl) => sessions.set(key.as_bytes(), value.as_bytes(), Some(ttl)).map(stored),
            None => return bad_number(ttl),
        },
        ["setv", key, value, version] => match version.parse() {
            Ok(version) => sessions
                .set_if_version(key.as_bytes(), value.as_bytes(), None, version)
                .map(|version| version.map_or_else(|| "NIL relay version-differs".into(), stored)),
            Err(_) => return bad_number(version),
        },
        ["get", key] => {
            sessions.get(key.as_bytes()).map(|s| s.map_or_else(|| "NIL relay".into(), |s| shown(&s)))
        }
        ["getlocal", key] => {
            Ok(sessions.get_local(key.as_bytes()).map_or_else(|| "NIL local".into(), |s| shown(&s)))
        }
        ["del" | "delete", key] => sessions.delete(key.as_bytes()).map(counted),
        ["delsync", key] => sessions.delete_everywhere(key.as_bytes()).map(counted),
        ["touch", key, ttl] => match seconds(ttl) {
            Some(ttl) => sessions.touch(key.as_bytes(), ttl).map(counted),
            None => return bad_number(ttl),
        },
        ["hashset", key, value] => sessions.hash_set(key.as_bytes(), value.as_bytes(), None).map(stored),
        ["check", key, value] => sessions
            .check_hash(key.as_bytes(), value.as_bytes())
            .map(|same| same.map_or_else(|| "NIL relay".into(), |same| format!("OK {}", u8::from(same)))),
        ["wait"] => wait(sessions, Duration::from_secs(10)),
        ["wait", limit] => match seconds(limit) {
            Some(limit) => wait(sessions, limit),
            None => return bad_number(limit),
        },
        ["bench"] => bench(sessions, 1000),
        ["bench", keys] => match keys.parse() {
            Ok(keys) => bench(sessions, keys),
            Err(_) => return bad_number(keys),
        },
        ["stats"] => Ok(stats(sessions)),
        _ => return format!("ERR {HELP}"),
    };
    result.unwrap_or_else(|error| format!("ERR {error} relay"))
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

fn bad_number(text: &str) -> String {
    format!("ERR {text} is no number that fits here")
}

fn stored(version: u64) -> String {
    format!("OK version={version} relay")
}

fn counted(yes: bool) -> String {
    format!("OK {} relay", u8::from(yes))
}

fn shown(session: &Session) -> String {
    let source = match session.source {
        Source::Local => "local",
        Source::Relay => "relay",
        Source::Stale => "stale",
    };
    let value = String::from_utf8_lossy(&session.value);
    let life = session.remaining_ms.map_or_else(|| "-1".into(), |ms| ms.to_string());
    format!("VALUE {value} {source} version={} pttl={life}", session.version)
}

fn wait(sessions: &Sessions, limit: Duration) -> Result<String, SessionError> {
    Ok(match sessions.ready_within(limit)? {
        true => "OK ready local".into(),
        false => "ERR not ready: no relay or no lease yet".into(),
    })
}

fn stats(sessions: &Sessions) -> String {
    let s = sessions.stats();
    format!(
        "OK hits={} misses={} asked={} stale={} unavailable={} events={} gaps={} terms={} records={} leased={} \
         connected={} local",
        s.hits,
        s.misses,
        s.asked,
        s.stale,
        s.unavailable,
        s.events,
        s.gaps,
        s.terms,
        s.records,
        s.leased,
        s.connected
    )
}

/// Local reads of `keys` sessions, which are stored first; some may not fit in the section, hence the ratio.
fn bench(sessions: &Sessions, keys: usize) -> Result<String, SessionError> {
    const READS: usize = 2_000_000;
    let keys = keys.max(1);
    let names: Vec<Vec<u8>> = (0..keys).map(|n| format!("bench:{n}").into_bytes()).collect();
    let value = vec![b'v'; 64];
    for name in &names {
        sessions.set(name, &value, Some(Duration::from_secs(600)))?;
    }
    let (manager, clock) = (sessions.manager(), Clock::real());
    let mut out = Vec::with_capacity(value.len());
    let (mut hits, mut at) = (0usize, 0usize);
    let started_ms = clock.now_ms();
    for _ in 0..READS {
        // A stride that meets every key, in an order that the processor cannot guess.
        at = (at + 7919) % keys;
        hits += usize::from(manager.get_local_into(&names[at], &mut out).is_some());
    }
    let took_ms = clock.now_ms() - started_ms;
    let ns = took_ms as f64 * 1e6 / READS as f64;
    Ok(format!(
        "OK ns_per_get={ns:.1} hit_ratio={:.4} keys={keys} reads={READS} local",
        hits as f64 / READS as f64
    ))
}

/// What is published on the path's topics, a line each.
fn watch(sessions: &Sessions) -> anyhow::Result<()> {
    let lines = Arc::new(AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for topic in ["session", "session_gone", "session_backup"] {
            let lines = lines.clone();
            scope.spawn(move || {
                for message in sessions.subscribe(topic) {
                    let n = lines.fetch_add(1, Ordering::Relaxed);
                    match message {
                        Ok(m) => println!(
                            "OK {n} {} {}",
                            String::from_utf8_lossy(&m.topic),
                            String::from_utf8_lossy(&m.payload)
                        ),
                        Err(error) => println!("ERR {n} messages may have been missed: {error}"),
                    }
                }
            });
        }
    });
    Ok(())
}
