//! A server that only answers: what TCP costs here without any lookup, and so what no server can be below.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;

use rustix::event::epoll;

use super::wire::{Op, Shape, Speech};

/// Characters that a value must begin with, at the end of its key.
const TAG_BYTES: usize = 16;

struct Conn {
    stream: TcpStream,
    /// The beginning of a request whose end is still to come.
    rest: Vec<u8>,
}

/// Serves for ever: for each GET of the load a value of so many bytes that begins as the load expects it.
pub fn serve(port: u16, value_bytes: usize) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, listener.as_fd(), epoll::EventData::new_u64(u64::MAX), epoll::EventFlags::IN)?;
    let mut request = Vec::new();
    Shape::new(Speech::Resp, value_bytes).ask(Op::Get, 0, &mut request);
    let mut conns: Vec<Option<Conn>> = Vec::new();
    let mut events: Vec<epoll::Event> = Vec::with_capacity(256);
    let mut answerer = Answerer::new(request.len(), value_bytes);
    loop {
        events.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let at = event.data.u64();
            if at == u64::MAX {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                let data = epoll::EventData::new_u64(conns.len() as u64);
                epoll::add(&poll, stream.as_fd(), data, epoll::EventFlags::IN)?;
                conns.push(Some(Conn { stream, rest: Vec::new() }));
            } else if let Some(conn) = &mut conns[at as usize]
                && !answerer.answer(conn)
            {
                conns[at as usize] = None;
            }
        }
    }
}

struct Answerer {
    request_bytes: usize,
    reply: Vec<u8>,
    tag_at: usize,
    input: Vec<u8>,
    out: Vec<u8>,
}

impl Answerer {
    fn new(request_bytes: usize, value_bytes: usize) -> Answerer {
        let mut reply = format!("${value_bytes}\r\n").into_bytes();
        let tag_at = reply.len();
        reply.resize(tag_at + value_bytes, b'v');
        reply.extend_from_slice(b"\r\n");
        Answerer { request_bytes, reply, tag_at, input: vec![0; 64 * 1024], out: Vec::new() }
    }

    /// One read, one write; false when the connection is over.
    fn answer(&mut self, conn: &mut Conn) -> bool {
        let kept = conn.rest.len();
        self.input[..kept].copy_from_slice(&conn.rest);
        let bytes = match conn.stream.read(&mut self.input[kept..]) {
            Ok(0) => return false,
            Ok(bytes) => kept + bytes,
            Err(e) => return e.kind() == ErrorKind::Interrupted,
        };
        let whole = bytes - bytes % self.request_bytes;
        self.out.clear();
        for request in self.input[..whole].chunks_exact(self.request_bytes) {
            let at = self.out.len() + self.tag_at;
            self.out.extend_from_slice(&self.reply);
            let end = request.len() - 2;
            self.out[at..at + TAG_BYTES].copy_from_slice(&request[end - TAG_BYTES..end]);
        }
        conn.rest.clear();
        conn.rest.extend_from_slice(&self.input[whole..bytes]);
        conn.stream.write_all(&self.out).is_ok()
    }
}
