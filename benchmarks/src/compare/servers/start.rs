//! How each kind of server is started.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;

use super::{Launch, Server, free_port, local};
use crate::compare::cleanup;
use crate::compare::machine::Cores;
use crate::compare::wire::Speech;

/// Connections that a server must take.
const CLIENTS_MAX: u32 = 19_000;

impl Server {
    pub(super) fn spawn(&mut self, command: &mut Command) -> anyhow::Result<()> {
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn()?;
        self.pid = child.id();
        self.child = Some(child);
        cleanup::remember(self.pid, &self.dir);
        Ok(())
    }

    pub(super) fn start_gs(&mut self, path: &Path, launch: &Launch<'_>) -> anyhow::Result<()> {
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

    pub(super) fn start_redis(&mut self, path: &Path, launch: &Launch<'_>) -> anyhow::Result<()> {
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

    pub(super) fn start_memcached(&mut self, path: &Path, launch: &Launch<'_>) -> anyhow::Result<()> {
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
}
