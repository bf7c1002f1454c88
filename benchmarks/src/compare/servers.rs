//! Servers under load: fresh ones on ports of their own, with what they are spoken to in and what they cost.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::certs::Certs;
use super::cleanup;
use super::machine::{self, Cores};
use super::wire::Speech;

/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);
/// Connections that a server must take.
const CLIENTS_MAX: u32 = 19_000;

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

fn local(port: u16) -> SocketAddr {
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

    fn spawn(&mut self, command: &mut Command) -> anyhow::Result<()> {
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn()?;
        self.pid = child.id();
        self.child = Some(child);
        cleanup::remember(self.pid, &self.dir);
        Ok(())
    }

    fn start_gs(&mut self, path: &Path, launch: &Launch<'_>) -> anyhow::Result<()> {
        let threads = launch.threads.max(1);
        let mut command = Command::new(path);
        command
            .args(["--role", "relay", "--sibling-port", "0", "--http-port", "off"])
            .args(["--port", &launch.port.to_string(), "--capacity", &launch.capacity.to_string()])
            .arg("--dir")
            .arg(&self.dir)
            .args(["--set", &format!("threads={threads}")])
            .args(["--set", &format!("limits.maxclients={CLIENTS_MAX}")]);
        if let Some(certs) = launch.tls {
            for (key, file) in [("cert", &certs.cert), ("key", &certs.key), ("ca", &certs.ca)] {
                command.args(["--set", &format!("tls.{key}={}", file.display())]);
            }
            command.args(["--set", "tls.port=0"]);
        }
        for set in &launch.sets {
            command.args(["--set", set]);
        }
        self.spawn(command.stdout(Stdio::piped()))?;
        self.hear_listeners(&["relay", "sibling"])?;
        let at = |proto: &str| {
            self.listeners
                .iter()
                .rfind(|(role, p, _)| role == "relay" && p == proto)
                .map(|(_, _, addr)| *addr)
        };
        (self.addr, self.tls_addr) = (at("resp").context("no line `listening relay resp`")?, at("resp-tls"));
        Ok(())
    }

    /// Reads what gs announces until these roles are ready; the rest is read and forgotten.
    fn hear_listeners(&mut self, roles: &[&str]) -> anyhow::Result<()> {
        let stdout = self.child.as_mut().and_then(|child| child.stdout.take()).context("no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut missing: Vec<String> = roles.iter().map(|role| format!("ready {role}")).collect();
        while !missing.is_empty() {
            let line = lines.next().context("it ended before it was ready")??;
            let mut words = line.split(' ');
            if let (Some("listening"), Some(role), Some(proto), Some(addr)) =
                (words.next(), words.next(), words.next(), words.next())
            {
                self.listeners.push((role.into(), proto.into(), addr.parse()?));
            }
            missing.retain(|ready| *ready != line);
        }
        std::thread::spawn(move || lines.for_each(drop));
        Ok(())
    }

    fn start_redis(&mut self, path: &Path, launch: &Launch<'_>) -> anyhow::Result<()> {
        let port = free_port()?;
        let mut command = Command::new(path);
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--maxclients", &CLIENTS_MAX.to_string(), "--tcp-backlog", "4096"])
            .arg("--dir")
            .arg(&self.dir);
        if let Some(certs) = launch.tls {
            let tls = free_port()?;
            for (flag, file) in
                [("cert-file", &certs.cert), ("key-file", &certs.key), ("ca-cert-file", &certs.ca)]
            {
                command.arg(format!("--tls-{flag}")).arg(file);
            }
            command.args(["--tls-port", &tls.to_string(), "--tls-auth-clients", "no"]);
            self.tls_addr = Some(local(tls));
        }
        if launch.threads > 1 {
            command.args(["--io-threads", &launch.threads.to_string()]);
        }
        self.addr = local(port);
        self.spawn(command.stdout(Stdio::null()))
    }

    fn start_memcached(&mut self, path: &Path, launch: &Launch<'_>) -> anyhow::Result<()> {
        let port = free_port()?;
        let megabytes = (launch.capacity * 2) >> 20;
        self.addr = local(port);
        self.speech = Speech::Memcached;
        self.spawn(
            Command::new(path)
                .args(["-l", "127.0.0.1", "-p", &port.to_string(), "-u", "root", "-U", "0"])
                .args(["-m", &megabytes.max(64).to_string(), "-c", &CLIENTS_MAX.to_string()])
                .args(["-t", &launch.threads.max(1).to_string(), "-b", "4096"])
                // The table of the hash at its size from the start, as the others have it after their growth.
                .args(["-o", "hashpower=21"])
                .stdout(Stdio::null()),
        )
    }

    /// Starts a twemproxy in front of a server.
    pub fn start_proxy(path: &Path, behind: SocketAddr, cores: &Cores) -> anyhow::Result<Server> {
        let own_dir = tempfile::Builder::new().prefix("gs-compare-").tempdir()?;
        let (port, stats) = (free_port()?, free_port()?);
        let dir = own_dir.path().to_path_buf();
        let text = format!(
            "pool:\n  listen: 127.0.0.1:{port}\n  redis: true\n  hash: murmur\n  distribution: ketama\n  \
             servers:\n   - {behind}:1\n"
        );
        std::fs::write(dir.join("proxy.yml"), text)?;
        let mut server = Server::none("twemproxy", own_dir);
        server.addr = local(port);
        cores.as_server(|| {
            server.spawn(
                Command::new(path)
                    .arg("-c")
                    .arg(dir.join("proxy.yml"))
                    .args(["-s", &stats.to_string(), "-a", "127.0.0.1"])
                    .arg("-o")
                    .arg(dir.join("log"))
                    .arg("-p")
                    .arg(dir.join("pid"))
                    .stdout(Stdio::null()),
            )
        })?;
        server.wait_until_it_answers()?;
        Ok(server)
    }

    /// Starts a relief that joins this relay's sibling.
    pub fn start_relief(
        &self,
        path: &Path,
        role: &str,
        capacity: u64,
        cores: &Cores,
    ) -> anyhow::Result<Server> {
        let sibling = self.listeners.iter().find(|(role, proto, _)| role == "sibling" && proto == "resp");
        let sibling = sibling.context("the relay did not say where its sibling is")?.2;
        let own_dir = tempfile::Builder::new().prefix("gs-compare-").tempdir()?;
        let mut server = Server::none(role, own_dir);
        cores.as_server(|| {
            let mut command = Command::new(path);
            command
                .args(["--role", role, "--port", "0", "--http-port", "off", "--set", "threads=1"])
                .args(["--sibling", &sibling.to_string(), "--capacity", &capacity.to_string()])
                .arg("--dir")
                .arg(&server.dir);
            server.spawn(command.stdout(Stdio::piped()))?;
            server.hear_listeners(&[role])
        })?;
        server.addr = server.listeners.last().context("it listens nowhere")?.2;
        Ok(server)
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
        let sections = machine::sections_of(&self.dir);
        let shared: u64 = sections.iter().map(|file| machine::allocated_bytes(file)).sum();
        machine::private_bytes(&self.pids()) + shared
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
        let deadline = Instant::now() + PATIENCE;
        loop {
            let gone = self.child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None)));
            ensure!(!gone, "it ended at once");
            if TcpStream::connect(self.addr).is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("nothing listens on {} after {PATIENCE:?}", self.addr);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn ask_version(&self) -> String {
        let said = super::talk::Talk::to(self.addr).and_then(|mut talk| match self.speech {
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
