//! Servers started for a measurement: pinned to the first core, watched, and gone afterwards. The load runs on the
//! second core.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail, ensure};
use benchmarks::compare::machine;
use benchmarks::compare::servers::free_port;
use benchmarks::compare::talk::until;
use gs_shm::Section;

/// A server with the processes that it started.
pub(crate) struct Server {
    child: Child,
    /// Its RESP port.
    pub port: u16,
    /// Its directory and the name of its section there, where it has one.
    keeps: Option<(PathBuf, &'static str)>,
}

impl Server {
    /// Starts a program on core 0, its output thrown away.
    ///
    /// # Errors
    /// The program cannot be started.
    pub(crate) fn start(program: &Path, args: &[String], port: u16) -> anyhow::Result<Server> {
        let child = Command::new("taskset")
            .args(["-c", "0"])
            .arg(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        Ok(Server { child, port, keeps: None })
    }

    /// Starts a node of gs in `dir`, and waits until it answers.
    ///
    /// # Errors
    /// It cannot be started, or does not answer.
    pub(crate) fn gs(
        program: &Path,
        role: &'static str,
        dir: &Path,
        flags: &[String],
    ) -> anyhow::Result<Server> {
        let port = free_port()?;
        let mut args: Vec<String> = ["--role", role, "--http-port", "off", "--port"].map(String::from).into();
        args.extend([port.to_string(), "--dir".into(), dir.display().to_string()]);
        args.extend_from_slice(flags);
        let server = Server::start(program, &args, port)?.keeping(dir, role);
        connect(port)?;
        Ok(server)
    }

    /// Starts a redis-server that keeps nothing on disk.
    ///
    /// # Errors
    /// It cannot be started, or does not answer.
    pub(crate) fn redis() -> anyhow::Result<Server> {
        let port = free_port()?;
        let words = ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--port", &port.to_string()];
        let server = Server::start(Path::new("redis-server"), &words.map(String::from), port)?;
        connect(port)?;
        Ok(server)
    }

    /// The process and what it started.
    pub(crate) fn pids(&self) -> Vec<u32> {
        machine::family_of(self.child.id())
    }

    /// CPU seconds of all of them so far.
    pub(crate) fn cpu(&self) -> f64 {
        machine::cpu_seconds(&self.pids())
    }

    /// The section of this name in a directory is removed when this is dropped.
    fn keeping(mut self, dir: &Path, section: &'static str) -> Server {
        self.keeps = Some((dir.to_owned(), section));
        self
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let rest = self.pids();
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A sibling ends with its relay's standard input; it still holds the section until then.
        let _ = until("the children have ended", || {
            let gone = |pid: &u32| !Path::new(&format!("/proc/{pid}")).exists();
            rest[1..].iter().all(gone).then_some(())
        });
        if let Some((dir, section)) = &self.keeps {
            let _ = Section::remove(dir, section);
        }
    }
}

/// Puts this process, and what it starts from now on, on core 1.
///
/// # Errors
/// `taskset` cannot be run.
pub(crate) fn pin_load() -> anyhow::Result<()> {
    let pid = std::process::id().to_string();
    let done = Command::new("taskset").args(["-acp", "1", &pid]).stdout(Stdio::null()).status()?;
    ensure!(done.success(), "taskset refused core 1");
    Ok(())
}

/// A connection on which PING is answered.
///
/// # Errors
/// It never is.
pub(crate) fn connect(port: u16) -> anyhow::Result<Wire> {
    until("the server answers", || {
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        let mut wire = Wire::new(stream).ok()?;
        wire.send(&command(&[b"PING"])).ok()?;
        (wire.line().ok()? == "+PONG").then_some(wire)
    })
}

/// A command as it goes over the wire.
pub(crate) fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    gs_resp::encode_command(&mut out, words);
    out
}

/// A plain connection.
pub(crate) struct Wire(BufReader<TcpStream>);

impl Wire {
    /// Talks over a connection.
    ///
    /// # Errors
    /// It takes no options.
    pub(crate) fn new(stream: TcpStream) -> anyhow::Result<Wire> {
        stream.set_nodelay(true)?;
        Ok(Wire(BufReader::with_capacity(1 << 16, stream)))
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.0.get_mut().write_all(bytes)?)
    }

    /// One line of a reply, without its end.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let n = self.0.by_ref().take(4096).read_line(&mut line)?;
        ensure!(n > 0, "the server closed the connection");
        Ok(line.trim_end().to_owned())
    }

    /// A whole reply as text: `nil` where there is none, the elements of an array one after the other.
    ///
    /// # Errors
    /// The connection broke, or the reply is not understood.
    pub(crate) fn reply(&mut self) -> anyhow::Result<String> {
        let line = self.line()?;
        match line.as_bytes().first() {
            Some(b'$' | b'=') => {
                let Ok(len) = line[1..].parse::<usize>() else { return Ok("nil".into()) };
                let mut bytes = vec![0; len + 2];
                self.0.read_exact(&mut bytes)?;
                bytes.truncate(len);
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            }
            Some(b'*' | b'>' | b'~') => {
                let words: Result<Vec<_>, _> =
                    (0..line[1..].parse::<i64>()?.max(0)).map(|_| self.reply()).collect();
                Ok(words?.join(" "))
            }
            Some(b'_') => Ok("nil".into()),
            Some(_) => Ok(line),
            None => bail!("an empty line is no reply"),
        }
    }

    /// Sends one command and reads its reply.
    ///
    /// # Errors
    /// As [`Wire::reply`].
    pub(crate) fn call(&mut self, words: &[&[u8]]) -> anyhow::Result<String> {
        self.send(&command(words))?;
        self.reply()
    }
}

/// The middle of some figures, the lowest and the highest.
pub(crate) fn middle(figures: &[f64]) -> (f64, f64, f64) {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => (f64::NAN, f64::NAN, f64::NAN),
        n => (sorted[n / 2], sorted[0], sorted[n - 1]),
    }
}
