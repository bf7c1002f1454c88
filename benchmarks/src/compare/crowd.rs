//! Connections that only listen.

use std::io::{ErrorKind, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::event::{Timespec, epoll};

use super::talk::Talk;
use super::wire::frame;

/// A message that is not there by then is lost.
const PATIENCE: Duration = Duration::from_secs(20);

struct Listener {
    stream: TcpStream,
    input: Vec<u8>,
    from: usize,
    /// Messages that were heard.
    heard: usize,
}

/// Many that listen.
pub struct Listeners {
    all: Vec<Listener>,
    poll: OwnedFd,
    events: Vec<epoll::Event>,
    wanted: usize,
}

impl Listeners {
    /// Connects them; `begin` says on each what it wants to hear.
    pub fn connect(
        addr: SocketAddr,
        count: usize,
        begin: impl Fn(&mut Talk) -> anyhow::Result<()>,
    ) -> anyhow::Result<Listeners> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut all = Vec::new();
        for nth in 0..count {
            let mut talk = Talk::to(addr)?;
            begin(&mut talk)?;
            let (stream, input) = talk.into_parts();
            stream.set_nonblocking(true)?;
            epoll::add(&poll, &stream, epoll::EventData::new_u64(nth as u64), epoll::EventFlags::IN)?;
            all.push(Listener { stream, input, from: 0, heard: 0 });
        }
        Ok(Listeners { all, poll, events: Vec::with_capacity(256), wanted: 0 })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// So many messages more are to be heard by everybody, and not one beyond.
    pub fn expect(&mut self, messages: usize) {
        self.wanted += messages;
    }

    /// Reads what comes, waiting at most so long for the first of it.
    pub fn listen(&mut self, patience: Duration) -> anyhow::Result<()> {
        self.events.clear();
        let wait = Timespec::try_from(patience).context("too long a wait")?;
        epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut self.events), Some(&wait))?;
        for event in &self.events {
            let listener = &mut self.all[event.data.u64() as usize];
            listener.read()?;
            ensure!(listener.heard <= self.wanted, "a message that nobody sent");
        }
        Ok(())
    }

    /// Waits until everybody has heard everything.
    pub fn hear(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let missing = self.all.iter().filter(|listener| listener.heard < self.wanted).count();
            if missing == 0 {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{missing} listeners did not hear everything");
            self.listen(Duration::from_secs(1))?;
        }
    }
}

impl Listener {
    fn read(&mut self) -> anyhow::Result<()> {
        let mut buf = [0; 32 * 1024];
        match self.stream.read(&mut buf) {
            Ok(0) => bail!("a listener's connection was closed"),
            Ok(bytes) => self.input.extend_from_slice(&buf[..bytes]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e).context("listening"),
        }
        while let Some(bytes) = self.input.get(self.from..).filter(|rest| !rest.is_empty()).and_then(frame) {
            // A push, or in RESP2 an array.
            ensure!(matches!(self.input[self.from], b'>' | b'*'), "a listener was told something else");
            self.heard += 1;
            self.from += bytes;
        }
        if self.from == self.input.len() {
            self.input.clear();
            self.from = 0;
        }
        Ok(())
    }
}
