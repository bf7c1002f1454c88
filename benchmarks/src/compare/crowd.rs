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

    /// Waits until everybody has heard so many messages more, and not one beyond.
    pub fn hear(&mut self, messages: usize) -> anyhow::Result<()> {
        self.wanted += messages;
        let wanted = self.wanted;
        let mut missing = self.all.iter().filter(|listener| listener.heard < wanted).count();
        let began = Instant::now();
        while missing > 0 {
            self.events.clear();
            let wait = Timespec { tv_sec: 1, tv_nsec: 0 };
            epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut self.events), Some(&wait))?;
            for event in &self.events {
                let listener = &mut self.all[event.data.u64() as usize];
                let before = listener.heard;
                listener.read()?;
                ensure!(listener.heard <= wanted, "a message that nobody sent");
                missing -= usize::from(before < wanted && listener.heard == wanted);
            }
            ensure!(began.elapsed() < PATIENCE, "{missing} listeners did not hear everything");
        }
        Ok(())
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
