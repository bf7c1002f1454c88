//! Servers under load: fresh ones on ports of their own, with what they are spoken to in and what they cost.

mod start;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};

use super::certs::Certs;
use super::cleanup;
use super::machine::{self, Cores};
use super::talk::{Talk, until};
use super::wire::Speech;

/// A kind of server.
#[derive(Clone, Debug)]
pub enum Program {
    /// `gs-server` as a relay.
    Gs(PathBuf),
    /// redis-server, valkey-server and others with their flags.
    Redis(PathBuf),
    /// memcached.
    Memcached(PathBuf),
    /// This program: it only answers (the machine's limit).
    Null,
    /// Somebody else started it.
    Running {
        /// Where it listens.
        addr: SocketAddr,
        /// Its process.
        pid: u32,
        /// Its language.
        speech: Speech,
    },
}

/// A server that can be started.
#[derive(Clone, Debug)]
pub struct Peer {
    /// How it is called in the results.
    pub name: String,
    /// What it is.
    pub program: Program,
}

/// How to start one.
#[derive(Clone, Default)]
pub struct Launch<'a> {
    /// Bytes of gs's section.
    pub capacity: u64,
    /// A TLS port as well.
    pub tls: Option<&'a Certs>,
    /// Threads; 0 is one.
    pub threads: usize,
    /// Further options of gs, `KEY=VALUE`.
    pub sets: Vec<String>,
    /// On all cores, not on the servers' alone.
    pub wide: bool,
    /// gs's directory, if it must outlive this process.
    pub dir: Option<&'a Path>,
    /// gs's port, if it must be a certain one.
    pub port: u16,
}

/// A running server; it ends with this.
pub struct Server {
    /// How it is called in the results.
    pub name: String,
    /// Name and version as it says itself.
    pub version: String,
    /// How it is spoken to.
    pub speech: Speech,
    /// Where.
    pub addr: SocketAddr,
    /// Where over TLS.
    pub tls_addr: Option<SocketAddr>,
    /// The addresses that gs announced: role, protocol, address.
    pub listeners: Vec<(String, String, SocketAddr)>,
    child: Option<Child>,
    pid: u32,
    dir: PathBuf,
    own_dir: Option<tempfile::TempDir>,
}

/// A port that is free now.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// This port of this machine.
pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

impl Peer {
    /// Whether it is gs.
    pub fn is_gs(&self) -> bool {
        matches!(self.program, Program::Gs(_))
    }

    /// Whether it speaks RESP.
    pub fn is_resp(&self) -> bool {
        !matches!(self.program, Program::Memcached(_) | Program::Running { speech: Speech::Memcached, .. })
    }

    /// Whether it can be started anew, by this program.
    pub fn is_ours_to_start(&self) -> bool {
        !matches!(self.program, Program::Running { .. })
    }

    /// Starts it where servers run and waits until it answers.
    pub fn start(&self, cores: &Cores, launch: &Launch<'_>) -> anyhow::Result<Server> {
        let start = || self.start_here(launch).with_context(|| format!("starting {}", self.name));
        if launch.wide { cores.as_wide_server(start) } else { cores.as_server(start) }
    }

    fn start_here(&self, launch: &Launch<'_>) -> anyhow::Result<Server> {
        let own_dir = tempfile::Builder::new().prefix("gs-compare-").tempdir()?;
        let mut server = Server::none(&self.name, own_dir);
        if let Some(dir) = launch.dir {
            server.dir = dir.to_path_buf();
        }
        match &self.program {
            Program::Gs(path) => server.start_gs(path, launch)?,
            Program::Redis(path) => server.start_redis(path, launch)?,
            Program::Memcached(path) => server.start_memcached(path, launch)?,
            Program::Null => {
                let me = std::env::current_exe().context("where this program is")?;
                let port = free_port()?;
                server
                    .spawn(Command::new(me).args(["null-server", &port.to_string()]).stdout(Stdio::null()))?;
                server.addr = local(port);
            }
            Program::Running { addr, pid, speech } => {
                (server.addr, server.pid, server.speech) = (*addr, *pid, *speech);
            }
        }
        server.wait_until_it_answers()?;
        server.version = match &self.program {
            Program::Gs(_) => concat!("gs ", env!("CARGO_PKG_VERSION")).to_owned(),
            Program::Null => "answers only".to_owned(),
            _ => server.ask_version(),
        };
        Ok(server)
    }
}

impl Server {
    fn none(name: &str, own_dir: tempfile::TempDir) -> Server {
        Server {
            name: name.to_owned(),
            version: String::new(),
            speech: Speech::Resp,
            addr: local(0),
            tls_addr: None,
            listeners: Vec::new(),
            child: None,
            pid: 0,
            dir: own_dir.path().to_path_buf(),
            own_dir: Some(own_dir),
        }
    }

    /// Whether it knows Redis's commands.
    pub fn speaks_resp(&self) -> bool {
        self.speech == Speech::Resp
    }

    /// Its processes.
    pub fn pids(&self) -> Vec<u32> {
        machine::family_of(self.pid)
    }

    /// CPU that its processes have used.
    pub fn cpu_seconds(&self) -> f64 {
        machine::cpu_seconds(&self.pids())
    }

    /// Bytes that it holds: private memory of its processes, and the sections in shared memory once.
    pub fn held_bytes(&self) -> u64 {
        machine::private_bytes(&self.pids()) + self.section_bytes()
    }

    /// Bytes of its sections in shared memory.
    pub fn section_bytes(&self) -> u64 {
        machine::sections_of(&self.dir).iter().map(|file| machine::allocated_bytes(file)).sum()
    }

    /// The directory of what it keeps.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Ends it at once; its section stays. For a server whose directory outlives it.
    pub fn kill_quietly(&mut self) {
        if let Some(mut child) = self.child.take() {
            cleanup::end(self.pid);
            let _ = child.wait();
        }
    }

    fn wait_until_it_answers(&mut self) -> anyhow::Result<()> {
        let looked = until("it listens", || {
            let gone = self.child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None)));
            (gone || TcpStream::connect(self.addr).is_ok()).then_some(gone)
        });
        ensure!(!looked?, "it ended at once");
        Ok(())
    }

    fn ask_version(&self) -> String {
        let said = Talk::to(self.addr).and_then(|mut talk| match self.speech {
            Speech::Resp => talk.call(&["INFO", "server"]),
            Speech::Memcached => talk.line("version\r\n"),
        });
        let said = said.unwrap_or_default();
        let field = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        match (field("valkey_version:"), field("redis_version:"), field("VERSION ")) {
            (Some(valkey), ..) => format!("Valkey {valkey}"),
            (_, Some(redis), _) => format!("Redis {redis}"),
            (.., Some(memcached)) => format!("memcached {memcached}"),
            _ => "unknown".to_owned(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            cleanup::end(self.pid);
            let _ = child.wait();
            cleanup::remove_sections(&self.dir);
        }
        drop(self.own_dir.take());
    }
}

/// Where a program is, if it is installed.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Daemons live where only root looks.
    let more = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).map(|dir| dir.join(program)).find(|file| file.is_file())
}
