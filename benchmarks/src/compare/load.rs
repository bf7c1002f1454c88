//! The load: one thread, one epoll, requests built by copying, every reply compared with what it must be.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;
use rustix::event::{Timespec, epoll};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::mix::{Keys, Maker, Mix};
use super::servers::Server;
use super::wire::{Shape, Want};

/// A server that says nothing for this long hangs.
const SILENCE: Duration = Duration::from_secs(20);
/// Replies that are read at once.
const INPUT_BYTES: usize = 128 * 1024;

/// A connection, in the clear or not.
pub enum Pipe {
    /// TCP.
    Clear(TcpStream),
    /// TLS over it.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Pipe {
    /// Connects; with a TLS configuration, shakes hands.
    pub fn connect(addr: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> anyhow::Result<Pipe> {
        let stream =
            TcpStream::connect_timeout(&addr, SILENCE).with_context(|| format!("connecting to {addr}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        let Some(tls) = tls else {
            return Ok(Pipe::Clear(stream));
        };
        let mut stream = stream;
        let mut session = ClientConnection::new(tls.clone(), "localhost".try_into()?)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream).context("TLS handshake")?;
        }
        Ok(Pipe::Tls(Box::new(StreamOwned::new(session, stream))))
    }

    /// Calls return at once from now on.
    pub fn no_waiting(&self) -> std::io::Result<()> {
        match self {
            Pipe::Clear(stream) => stream.set_nonblocking(true),
            Pipe::Tls(stream) => stream.sock.set_nonblocking(true),
        }
    }

    fn is_tls(&self) -> bool {
        matches!(self, Pipe::Tls(_))
    }
}

impl AsFd for Pipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Pipe::Clear(stream) => stream.as_fd(),
            Pipe::Tls(stream) => stream.sock.as_fd(),
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Pipe::Clear(stream) => stream.read(buf),
            Pipe::Tls(stream) => stream.read(buf),
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        match self {
            Pipe::Clear(stream) => stream.write(buf),
            Pipe::Tls(stream) => stream.write(buf),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Pipe::Clear(_) => Ok(()),
            Pipe::Tls(stream) => stream.flush(),
        }
    }
}

/// What a run counted.
pub struct Tally {
    /// Replies that were right.
    pub right: u64,
    /// Replies that were not.
    pub wrong: u64,
    /// The first of those, shortened.
    pub first_wrong: Option<String>,
    /// Nanoseconds from when a request was due (or its batch was sent) to its reply.
    pub latency: Histogram<u64>,
}

impl Tally {
    /// Nothing yet.
    pub fn new() -> Tally {
        let latency = Histogram::new_with_bounds(100, 60_000_000_000, 3).expect("the bounds are in order");
        Tally { right: 0, wrong: 0, first_wrong: None, latency }
    }

    fn wrong(&mut self, reply: &[u8]) {
        self.wrong += 1;
        let text = || reply.iter().take(80).flat_map(|byte| byte.escape_ascii()).map(char::from).collect();
        self.first_wrong.get_or_insert_with(text);
    }
}

impl Default for Tally {
    fn default() -> Tally {
        Tally::new()
    }
}

/// One connection of the load.
pub struct Conn {
    pipe: Pipe,
    maker: Maker,
    out: Vec<u8>,
    sent: usize,
    /// What must come back, and when it was due.
    wants: VecDeque<(Want, Instant)>,
    input: Vec<u8>,
    from: usize,
    to: usize,
    made: u64,
}

impl Conn {
    fn new(pipe: Pipe, maker: Maker) -> Conn {
        let (out, wants) = (Vec::new(), VecDeque::new());
        Conn { pipe, maker, out, sent: 0, wants, input: vec![0; INPUT_BYTES], from: 0, to: 0, made: 0 }
    }

    /// Requests without a reply.
    pub fn waiting(&self) -> usize {
        self.wants.len()
    }

    /// Makes one request that is due at `due`.
    pub fn make(&mut self, due: Instant) {
        self.made += 1;
        let wants = &mut self.wants;
        self.maker.next(&mut self.out, |want| wants.push_back((want, due)));
    }

    /// Sends what the socket takes; true when that was all.
    pub fn send(&mut self) -> anyhow::Result<bool> {
        while self.sent < self.out.len() {
            match self.pipe.write(&self.out[self.sent..]) {
                Ok(bytes) => self.sent += bytes,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) => return Err(e).context("sending"),
            }
        }
        if self.pipe.is_tls() {
            match self.pipe.flush() {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) => return Err(e).context("sending"),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(true)
    }

    /// Reads what is there and judges the replies in it.
    pub fn receive(&mut self, tally: &mut Tally) -> anyhow::Result<()> {
        loop {
            if self.to == self.input.len() {
                self.make_room();
            }
            match self.pipe.read(&mut self.input[self.to..]) {
                Ok(0) => bail!("the server closed a connection with {} requests waiting", self.wants.len()),
                Ok(bytes) => self.to += bytes,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e).context("receiving"),
            }
            self.judge(tally)?;
            // TLS may have more decrypted bytes that no event will announce.
            if !self.pipe.is_tls() {
                return Ok(());
            }
        }
    }

    fn make_room(&mut self) {
        if self.from == 0 {
            let bytes = self.input.len() * 2;
            self.input.resize(bytes, 0);
        }
        self.input.copy_within(self.from..self.to, 0);
        (self.from, self.to) = (0, self.to - self.from);
    }

    fn judge(&mut self, tally: &mut Tally) -> anyhow::Result<()> {
        let now = Instant::now();
        while self.from < self.to {
            let (want, due) = self.wants.front().context("a reply that nobody asked for")?;
            let Some((bytes, right)) = self.maker.judge(want, &self.input[self.from..self.to]) else {
                return Ok(());
            };
            if right {
                tally.right += 1;
            } else {
                tally.wrong(&self.input[self.from..self.from + bytes]);
            }
            tally.latency.saturating_record(now.saturating_duration_since(*due).as_nanos() as u64);
            self.from += bytes;
            self.wants.pop_front();
        }
        (self.from, self.to) = (0, 0);
        Ok(())
    }
}

/// What to run.
#[derive(Clone)]
pub struct Plan {
    /// Operations.
    pub mix: Mix,
    /// Keys.
    pub keys: Keys,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Connections.
    pub conns: usize,
    /// Requests under way on each.
    pub depth: usize,
    /// At most so long.
    pub time: Duration,
    /// At most so many operations.
    pub ops_max: u64,
    /// Over TLS.
    pub tls: Option<Arc<ClientConfig>>,
}

/// All connections of a load.
pub struct Crowd {
    /// The connections.
    pub conns: Vec<Conn>,
    poll: std::os::fd::OwnedFd,
    events: Vec<epoll::Event>,
    heard: Instant,
}

impl Crowd {
    /// Connects them.
    pub fn new(server: &Server, plan: &Plan) -> anyhow::Result<Crowd> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let shape = Shape::new(server.speech, plan.value_bytes);
        let addr = match &plan.tls {
            Some(_) => server.tls_addr.context("this server has no TLS port")?,
            None => server.addr,
        };
        let mut conns = Vec::new();
        for nth in 0..plan.conns {
            let pipe = Pipe::connect(addr, plan.tls.as_ref())?;
            pipe.no_waiting()?;
            epoll::add(&poll, &pipe, epoll::EventData::new_u64(nth as u64), epoll::EventFlags::IN)?;
            let maker = Maker::new(shape.clone(), plan.mix, &plan.keys, nth as u64, plan.conns as u64);
            conns.push(Conn::new(pipe, maker));
        }
        Ok(Crowd { conns, poll, events: Vec::with_capacity(256), heard: Instant::now() })
    }

    /// Connections with something to read, after at most this long.
    pub fn ready(&mut self, wait: Duration) -> anyhow::Result<Vec<usize>> {
        self.events.clear();
        let wait = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
        epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut self.events), Some(&wait))?;
        if !self.events.is_empty() {
            self.heard = Instant::now();
        } else if self.heard.elapsed() > SILENCE && self.conns.iter().any(|conn| conn.waiting() > 0) {
            bail!("no reply within {SILENCE:?}");
        }
        Ok(self.events.iter().map(|event| event.data.u64() as usize).collect())
    }
}

/// What a run brought.
pub struct Outcome {
    /// Operations that were answered within the measured time.
    pub ops: u64,
    /// The measured time.
    pub seconds: f64,
    /// CPU of the server's processes meanwhile.
    pub cpu_s: f64,
    /// Counts and latencies.
    pub tally: Tally,
    /// Share of the cores that neither the server nor the load used, in per cent, where it was looked at.
    pub others_pct: Option<f64>,
}

impl Outcome {
    /// Microseconds of server CPU for each operation, which is seconds for a million.
    pub fn cpu_us(&self) -> f64 {
        self.cpu_s * 1e6 / self.ops as f64
    }

    /// Adds a further part of the same run.
    pub fn add(&mut self, part: Outcome) {
        self.ops += part.ops;
        self.seconds += part.seconds;
        self.cpu_s += part.cpu_s;
        self.tally.right += part.tally.right;
        self.tally.wrong += part.tally.wrong;
        self.tally.first_wrong = self.tally.first_wrong.take().or(part.tally.first_wrong);
        self.tally.latency.add(part.tally.latency).expect("all histograms have the same bounds");
    }

    /// Operations a second.
    pub fn ops_s(&self) -> f64 {
        self.ops as f64 / self.seconds
    }

    /// An error if any reply was wrong.
    pub fn must_be_right(self, what: &str) -> anyhow::Result<Outcome> {
        let Tally { wrong, first_wrong, .. } = &self.tally;
        ensure!(*wrong == 0, "{what}: {wrong} wrong replies, first {first_wrong:?}");
        Ok(self)
    }
}

/// Closed loop on connections of its own.
pub fn closed(server: &Server, plan: &Plan) -> anyhow::Result<Outcome> {
    Crowd::new(server, plan)?.closed(server, plan)
}

impl Crowd {
    /// Closed loop: each connection asks again when everything it asked for was answered.
    pub fn closed(&mut self, server: &Server, plan: &Plan) -> anyhow::Result<Outcome> {
        let mut tally = Tally::new();
        let (began, cpu_before) = (Instant::now(), server.cpu_seconds());
        let (mut made, mut unsent) = (0u64, Vec::new());
        for nth in 0..self.conns.len() {
            self.conns[nth].made = 0;
            made += batch(&mut self.conns[nth], plan, &mut unsent, nth)?;
        }
        let end = began + plan.time;
        let share = if plan.keys.once() { plan.ops_max.div_ceil(plan.conns as u64) } else { u64::MAX };
        let goes_on = |made: u64, conn: &Conn| {
            conn.made < share && (share < u64::MAX || made < plan.ops_max) && Instant::now() < end
        };
        while tally.right + tally.wrong < made {
            let wait = if unsent.is_empty() { Duration::from_secs(1) } else { Duration::ZERO };
            for nth in self.ready(wait)? {
                let conn = &mut self.conns[nth];
                conn.receive(&mut tally)?;
                if conn.waiting() == 0 && goes_on(made, conn) {
                    made += batch(conn, plan, &mut unsent, nth)?;
                }
            }
            self.send_rest(&mut unsent)?;
        }
        let (seconds, cpu_s) = (began.elapsed().as_secs_f64(), server.cpu_seconds() - cpu_before);
        Ok(Outcome { ops: tally.right + tally.wrong, seconds, cpu_s, tally, others_pct: None })
    }

    /// Sends what sockets did not take before; keeps those that still do not.
    pub fn send_rest(&mut self, unsent: &mut Vec<usize>) -> anyhow::Result<()> {
        for nth in std::mem::take(unsent) {
            if !self.conns[nth].send()? {
                unsent.push(nth);
            }
        }
        Ok(())
    }
}

fn batch(conn: &mut Conn, plan: &Plan, unsent: &mut Vec<usize>, nth: usize) -> anyhow::Result<u64> {
    let now = Instant::now();
    for _ in 0..plan.depth {
        conn.make(now);
    }
    let made = conn.waiting() as u64;
    if !conn.send()? {
        unsent.push(nth);
    }
    Ok(made)
}
