//! A GET over loopback: one client, one blocking socket, one request at a time. What a caller pays who has no cache of
//! its own: the wall-clock time of the round trip, both wake-ups in it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::Pid;
use rustix::thread::CpuSet;

use super::cores::{self, Kept};
use super::peers::{Peer, value};
use super::store::{Keys, Shape, key};
use super::timing::{Timed, timed};

/// A redis-server of our own.
pub struct Redis {
    child: Child,
    stream: BufReader<TcpStream>,
    /// The client's core, if it has one to itself.
    client: Option<CpuSet>,
    cpu: Option<f64>,
}

impl Redis {
    /// Started on a port of its own and filled. `apart`: client and server have a core each, as they have on a machine
    /// with something else to do; otherwise the scheduler places them, which on an idle machine puts both on one core
    /// and spares them the wake-up of another.
    pub fn new(shape: Shape, apart: bool) -> anyhow::Result<Redis> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .context("redis-server")?;
        let mut redis = Redis { child, stream: BufReader::new(connect(port)?), client: None, cpu: None };
        if apart {
            let (client, server) = cores::nth(0).zip(cores::nth(1)).context("two cores are needed")?;
            let pid = Pid::from_raw(redis.child.id().cast_signed()).context("a process id")?;
            cores::keep(pid, &server)?;
            redis.client = Some(client);
        }
        let value = value(shape);
        for n in 0..shape.objects {
            let mut request = b"*3\r\n$3\r\nSET\r\n$32\r\n".to_vec();
            request.extend_from_slice(&key(n));
            request.extend_from_slice(format!("\r\n${}\r\n", value.len()).as_bytes());
            request.extend_from_slice(&value);
            request.extend_from_slice(b"\r\n");
            redis.stream.get_mut().write_all(&request)?;
            let mut line = String::new();
            redis.stream.read_line(&mut line)?;
            ensure!(line == "+OK\r\n", "redis said {line:?}");
        }
        Ok(redis)
    }

    fn ask(&mut self, key: &[u8; 32], out: &mut Vec<u8>) -> anyhow::Result<()> {
        let mut request = [0u8; 56];
        request[..20].copy_from_slice(b"*2\r\n$3\r\nGET\r\n$32\r\n\0\0");
        request[18..50].copy_from_slice(key);
        request[50..52].copy_from_slice(b"\r\n");
        self.stream.get_mut().write_all(&request[..52])?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let len: usize = line.trim_start_matches('$').trim_end().parse()?;
        let at = out.len();
        out.resize(at + len + 2, 0);
        self.stream.read_exact(&mut out[at..])?;
        out.truncate(at + len);
        Ok(())
    }

    /// What client and server have used of their cores so far.
    fn used(&self) -> Option<f64> {
        Some(cores::cpu_ns("thread-self")? + cores::cpu_ns(&self.child.id().to_string())?)
    }
}

fn connect(port: u16) -> anyhow::Result<TcpStream> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(e) if Instant::now() > deadline => return Err(e).context("redis-server does not answer"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

impl Peer for Redis {
    fn get(&mut self, key: &[u8; 32], out: &mut Vec<u8>) -> bool {
        self.ask(key, out).is_ok()
    }

    fn run(&mut self, keys: &Keys, times: usize) -> anyhow::Result<Timed> {
        let client = self.client;
        let _kept = client.as_ref().map(Kept::on).transpose()?;
        let mut out = Vec::with_capacity(8192);
        let (mut gets, mut misses) = (0usize, 0usize);
        let before = self.used();
        let ns = timed(times, |n| {
            out.clear();
            gets += 1;
            misses += usize::from(!self.get(keys.at(n), &mut out));
        });
        self.cpu = before.zip(self.used()).map(|(before, after)| (after - before) / gets as f64);
        ensure!(misses == 0, "{misses} misses at a redis that has every object");
        Ok(ns)
    }

    fn cpu(&self) -> Option<f64> {
        self.cpu
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
