//! A slow connection for questions beside the load.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::wire::frame;

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);

/// Looks again and again until there is something to see.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        ensure!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(PAUSE);
    }
}

/// A blocking connection.
pub struct Talk {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Talk {
    /// Connects.
    pub fn to(addr: SocketAddr) -> anyhow::Result<Talk> {
        let stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Talk { stream, input: Vec::new() })
    }

    /// Connects to a server that may only be starting, and waits until it answers.
    pub fn with_patience(addr: SocketAddr) -> anyhow::Result<Talk> {
        until("the server answers", || {
            let mut talk = Talk::to(addr).ok()?;
            talk.call(&["PING"]).ok().map(|_| talk)
        })
    }

    /// One command and its reply as it came; an error reply is an error.
    pub fn call(&mut self, args: &[&str]) -> anyhow::Result<String> {
        let mut out = format!("*{}\r\n", args.len());
        for arg in args {
            out.push_str(&format!("${}\r\n{arg}\r\n", arg.len()));
        }
        self.send(out.as_bytes())?;
        let reply = self.reply()?;
        if reply.starts_with('-') {
            bail!("{}: {}", args.first().unwrap_or(&""), reply.trim_end());
        }
        Ok(reply)
    }

    /// Sends requests.
    pub fn send(&mut self, requests: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(requests)?)
    }

    /// The next reply as it came.
    pub fn reply(&mut self) -> anyhow::Result<String> {
        loop {
            if !self.input.is_empty()
                && let Some(len) = frame(&self.input)
            {
                let reply: Vec<u8> = self.input.drain(..len).collect();
                return Ok(String::from_utf8_lossy(&reply).into_owned());
            }
            self.more()?;
        }
    }

    /// As [`Talk::call`] for a reply that is a number.
    pub fn number(&mut self, args: &[&str]) -> anyhow::Result<u64> {
        let reply = self.call(args)?;
        reply.trim_end().trim_start_matches(':').parse().with_context(|| format!("{args:?}: {reply:?}"))
    }

    /// Words that are sent as they are, and the line that comes back.
    pub fn line(&mut self, words: &str) -> anyhow::Result<String> {
        self.stream.write_all(words.as_bytes())?;
        while !self.input.contains(&b'\n') {
            self.more()?;
        }
        Ok(String::from_utf8_lossy(&std::mem::take(&mut self.input)).into_owned())
    }

    /// The socket, and what was read beyond the last reply.
    pub fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.input)
    }

    fn more(&mut self) -> anyhow::Result<()> {
        let mut buf = [0; 16 * 1024];
        let bytes = self.stream.read(&mut buf)?;
        if bytes == 0 {
            bail!("the server closed the connection");
        }
        self.input.extend_from_slice(&buf[..bytes]);
        Ok(())
    }
}

/// A connection whose replies are only counted; an error among them is an error.
pub struct Batch(Talk);

impl Batch {
    /// Connects.
    pub fn to(addr: SocketAddr) -> anyhow::Result<Batch> {
        Talk::to(addr).map(Batch)
    }

    /// Sends requests.
    pub fn send(&mut self, requests: &[u8]) -> anyhow::Result<()> {
        self.0.send(requests)
    }

    /// Waits for so many replies.
    pub fn replies(&mut self, count: usize) -> anyhow::Result<()> {
        let mut at = 0;
        for _ in 0..count {
            let bytes = loop {
                match self.0.input.get(at..).filter(|rest| !rest.is_empty()).and_then(frame) {
                    Some(bytes) => break bytes,
                    None => self.0.more()?,
                }
            };
            if self.0.input[at] == b'-' {
                bail!("{}", String::from_utf8_lossy(&self.0.input[at..at + bytes]).trim_end());
            }
            at += bytes;
        }
        self.0.input.drain(..at);
        Ok(())
    }
}
