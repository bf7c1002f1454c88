//! The command line.

use std::net::ToSocketAddrs as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;

use super::bench::Sizes;
use super::groups::{self, Measure};
use super::servers::{Peer, Program, find};
use super::wire::Speech;

/// gs beside the servers that are found here, in one interleaved run.
#[derive(Args, Clone, Debug)]
pub struct Compare {
    /// Only these groups (may be repeated); all of them unless said.
    #[arg(long = "group", value_name = "NAME")]
    group: Vec<String>,
    /// Names the groups.
    #[arg(long)]
    pub list: bool,
    /// Seconds in all: shows that it works, the figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Interleaved repetitions, each with fresh servers.
    #[arg(long, value_name = "N")]
    reps: Option<usize>,
    /// Length of one run.
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// Sessions that are preloaded.
    #[arg(long, value_name = "N")]
    keys: Option<u64>,
    /// Bytes of a value where a group does not choose its own.
    #[arg(long, value_name = "BYTES")]
    value_bytes: Option<usize>,
    /// Connections.
    #[arg(long, value_name = "N")]
    conns: Option<usize>,
    /// A server that runs already: name=host:port,pid, with `,memcached` behind if it speaks that.
    #[arg(long = "peer", value_name = "NAME=HOST:PORT,PID")]
    running: Vec<String>,
    /// A further server to be started with redis-server's flags.
    #[arg(long = "server-binary", value_name = "NAME=PATH")]
    binary: Vec<String>,
    /// Leaves a server out: gs, redis, memcached.
    #[arg(long, value_name = "NAME")]
    without: Vec<String>,
    /// gs-server; built with this program unless said.
    #[arg(long, value_name = "PATH")]
    gs_server: Option<PathBuf>,
    /// Where compare.json (groups that are there already are kept), compare.md and the plots go.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Measures nothing: writes table, bars and plots anew from compare.json.
    #[arg(long, requires = "out")]
    pub report: bool,
    /// No progress bars.
    #[arg(long)]
    no_progress: bool,
}

impl Compare {
    /// The groups to measure.
    pub fn groups(&self) -> anyhow::Result<Vec<&'static Measure>> {
        for name in &self.group {
            ensure!(
                groups::ALL.iter().any(|measure| measure.name == name),
                "no such group: {name} (see --list)"
            );
        }
        let chosen =
            |measure: &&Measure| self.group.is_empty() || self.group.iter().any(|n| n == measure.name);
        Ok(groups::ALL.iter().filter(chosen).collect())
    }

    /// How much is measured.
    pub fn sizes(&self) -> Sizes {
        let base = if self.quick { Sizes::quick() } else { Sizes::full() };
        Sizes {
            reps: self.reps.unwrap_or(base.reps).max(1),
            time: self.seconds.map_or(base.time, Duration::from_secs_f64),
            keys: self.keys.unwrap_or(base.keys).max(1000),
            keys_grown: self.keys.map_or(base.keys_grown, |keys| keys * 10),
            value_bytes: self.value_bytes.unwrap_or(base.value_bytes).max(16),
            conns: self.conns.unwrap_or(base.conns).max(1),
            ..base
        }
    }

    /// Whether progress is shown.
    pub fn quiet(&self) -> bool {
        self.quick || self.no_progress
    }

    /// Every server that is found, gs first.
    pub fn peers(&self) -> anyhow::Result<Vec<Peer>> {
        let peer = |name: &str, program: Program| Peer { name: name.to_owned(), program };
        let mut peers = vec![peer("gs", Program::Gs(gs_server(self.gs_server.as_deref())?))];
        for (name, program) in [("redis", "redis-server"), ("memcached", "memcached")] {
            match find(program) {
                None => eprintln!("{program} is not installed: its columns are missing"),
                Some(path) if name == "redis" => peers.push(peer(name, Program::Redis(path))),
                Some(path) => peers.push(peer(name, Program::Memcached(path))),
            }
        }
        for said in &self.binary {
            let (name, path) = said.split_once('=').with_context(|| format!("{said}: not NAME=PATH"))?;
            ensure!(Path::new(path).is_file(), "{path} is not a file");
            peers.push(peer(name, Program::Redis(path.into())));
        }
        for said in &self.running {
            peers.push(running(said).with_context(|| format!("--peer {said}"))?);
        }
        peers.retain(|peer| !self.without.contains(&peer.name));
        ensure!(!peers.is_empty(), "no server is left");
        Ok(peers)
    }
}

fn running(said: &str) -> anyhow::Result<Peer> {
    let (name, rest) = said.split_once('=').context("not NAME=HOST:PORT,PID")?;
    let mut parts = rest.split(',');
    let addr = parts.next().unwrap_or_default().to_socket_addrs()?.next().context("no address")?;
    let pid = parts.next().context("no process id")?.parse().context("the process id")?;
    let speech = match parts.next() {
        None => Speech::Resp,
        Some("memcached") => Speech::Memcached,
        Some(other) => bail!("{other}: only memcached may stand here"),
    };
    Ok(Peer { name: name.to_owned(), program: Program::Running { addr, pid, speech } })
}

/// The server beside this program, freshly built: cargo builds another package's program for nobody who only asked
/// for this one's. `GS_BIN_DIR` names a directory with a ready one.
pub fn gs_server(said: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = said {
        ensure!(path.is_file(), "{} is not a file", path.display());
        return Ok(path.to_path_buf());
    }
    if let Some(dir) = std::env::var_os("GS_BIN_DIR") {
        return Ok(PathBuf::from(dir).join("gs-server"));
    }
    let me = std::env::current_exe().context("where this program is")?;
    let mut profile = me.parent().context("a program lies in a directory")?;
    if profile.ends_with("deps") {
        profile = profile.parent().context("deps lies in a profile's directory")?;
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // The whole workspace, so that features unify as in `cargo test --workspace` and nothing is built twice.
    command.args(["build", "--quiet", "--workspace", "--bin", "gs-server"]);
    if profile.ends_with("release") {
        command.arg("--release");
    }
    if let Some(target) = profile.parent() {
        command.arg("--target-dir").arg(target);
    }
    let status = command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null()).status()?;
    ensure!(status.success(), "gs-server cannot be built; --gs-server names a ready one");
    Ok(profile.join("gs-server"))
}
