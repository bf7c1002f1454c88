//! Instructions, counted by callgrind: the figure that a busy machine does not blur.
//!
//! Of the server they are counted from outside: it runs under valgrind, requests come in over a socket and replies go
//! out. Only what a connection's task does is counted: reading, parsing, the look-up, the reply; not what the node does
//! by itself each second. A run that serves, less one that only stores the sessions, is the commands'.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::compare::servers::{free_port, local};
use crate::compare::talk::{Talk, until};

/// Growth that fails a comparison.
pub const LIMIT: f64 = 1.10;

/// Sessions that the requests go to, one after the other.
const SESSIONS: usize = 1000;
/// Their size.
const VALUE: [u8; 384] = [b'v'; 384];

/// The function of the server whose instructions, and those of all that it calls, are counted: what the task of a
/// connection does when it is woken.
const COUNTED: &str = "gs_server::io::conn::turn";

/// A command that the server is asked, so many at once.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// What a baseline calls it.
    pub name: &'static str,
    /// Commands of a batch.
    pub pipeline: usize,
    /// Batches that are counted.
    pub batches: usize,
    /// SET, else GET.
    pub writes: bool,
}

/// Everything that is counted of the server.
pub const ASKED: [Asked; 4] = [
    Asked { name: "server-get-p1", pipeline: 1, batches: 2000, writes: false },
    Asked { name: "server-get-p16", pipeline: 16, batches: 400, writes: false },
    Asked { name: "server-set-p1", pipeline: 1, batches: 2000, writes: true },
    Asked { name: "server-set-p16", pipeline: 16, batches: 400, writes: true },
];

/// Instructions of the server for each command of [`ASKED`].
///
/// # Errors
/// valgrind is not there, the server does not start, or a reply is wrong.
pub fn of_server(program: &Path) -> anyhow::Result<BTreeMap<&'static str, f64>> {
    let count = |asked: Option<Asked>| move || served(program, asked);
    // Two at a time: each is one thread of valgrind, and CI has two cores.
    let mut counted = BTreeMap::new();
    let none = count(None)()?;
    for pair in ASKED.chunks(2) {
        let counts: anyhow::Result<Vec<u64>> = std::thread::scope(|scope| {
            let runs: Vec<_> = pair.iter().map(|asked| scope.spawn(count(Some(*asked)))).collect();
            runs.into_iter().map(|run| run.join().expect("a count does not panic")).collect()
        });
        for (asked, all) in pair.iter().zip(counts?) {
            let commands = (asked.pipeline * asked.batches) as f64;
            counted.insert(asked.name, all.saturating_sub(none) as f64 / commands);
        }
    }
    Ok(counted)
}

/// True where valgrind can be run.
pub fn is_installed() -> bool {
    Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// What the baselines in a text say: a name and a number in each line.
pub fn baseline(text: &str) -> BTreeMap<&str, f64> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, count)| Some((name, count.trim().parse().ok()?)))
        .collect()
}

/// The number in what callgrind said at the end of a run.
///
/// # Errors
/// It is not there.
pub fn collected(said: &str) -> anyhow::Result<u64> {
    said.lines()
        .find_map(|line| line.split_once("Collected : "))
        .and_then(|(_, count)| count.trim().parse().ok())
        .with_context(|| format!("no count in:\n{said}"))
}

/// Ends with whoever waits for it, however that ends.
struct Valgrind(Child);

impl Drop for Valgrind {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// All instructions of a server's life in which it stored the sessions and served what was asked.
fn served(program: &Path, asked: Option<Asked>) -> anyhow::Result<u64> {
    let dir = tempfile::tempdir()?;
    let (port, log) = (free_port()?, dir.path().join("callgrind.log"));
    let place = dir.path().display().to_string();
    let mut run = Command::new("valgrind");
    run.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    run.arg(format!("--toggle-collect={COUNTED}"));
    run.arg(format!("--log-file={}", log.display())).arg(program);
    run.args(["--role", "relay", "--http-port", "off", "--capacity", "4mb", "--dir", &place]);
    run.args(["--port", &port.to_string(), "--set", "threads=1", "--set", "section.backing=memory"]);
    // Nobody else's work is counted.
    run.args(["--set", "sibling_mode=external"]);
    let child = run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = Valgrind(child.context("valgrind is needed")?);
    let mut talk = Talk::with_patience(local(port))
        .with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
    for n in 0..SESSIONS {
        talk.send(&set(n))?;
        let reply = talk.reply()?;
        ensure!(reply == "+OK\r\n", "a session was not stored: {reply}");
    }
    if let Some(asked) = asked {
        ask(&mut talk, asked)?;
    }
    drop(talk);
    let pid = Pid::from_raw(i32::try_from(child.0.id())?).context("a process has a number")?;
    kill_process(pid, Signal::TERM)?;
    let ended = until("the server ends", || child.0.try_wait().ok().flatten())?;
    let said = std::fs::read_to_string(&log)?;
    ensure!(ended.success(), "the server failed under valgrind:\n{said}");
    let counted = collected(&said)?;
    ensure!(counted > 0, "{COUNTED} never ran: it was renamed, or is now part of another function");
    Ok(counted)
}

fn ask(talk: &mut Talk, asked: Asked) -> anyhow::Result<()> {
    let value = format!("${}\r\n{}\r\n", VALUE.len(), String::from_utf8_lossy(&VALUE));
    for batch in 0..asked.batches {
        let sessions = (0..asked.pipeline).map(|n| (batch * asked.pipeline + n) % SESSIONS);
        let one = |n| if asked.writes { set(n) } else { command(&[b"GET", &key(n)]) };
        talk.send(&sessions.flat_map(one).collect::<Vec<u8>>())?;
        for _ in 0..asked.pipeline {
            let reply = talk.reply()?;
            ensure!(reply == if asked.writes { "+OK\r\n" } else { &value }, "{}: {reply}", asked.name);
        }
    }
    Ok(())
}

fn set(n: usize) -> Vec<u8> {
    command(&[b"SET", &key(n), &VALUE])
}

/// A command as it goes over the wire.
fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    gs_resp::encode_command(&mut out, words);
    out
}

/// A key of 32 bytes.
fn key(n: usize) -> [u8; 32] {
    let mut key = *b"session:000000000000000000000000";
    for (at, digit) in format!("{n:08}").bytes().enumerate() {
        key[24 + at] = digit;
    }
    key
}
