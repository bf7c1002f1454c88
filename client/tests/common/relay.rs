//! A relay for tests: speaks the protocol over real sockets, with levers to make it fail on demand.
//!
//! It keeps its store in a map and its stream in a list. One thread per connection, which is all a test needs.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gs_client::hashed;
use gs_resp::{Limits, Parsed, Parser};

/// More than any front end here asks for, so that its own lease counts.
const LEASE_MS: u64 = 60_000;

struct Stored {
    version: u64,
    value: Vec<u8>,
    pttl: i64,
    kind: u8,
}

#[derive(Default)]
struct State {
    store: HashMap<Vec<u8>, Stored>,
    tombs: HashMap<Vec<u8>, u64>,
    /// Keys beginning with this answer GONE after a delete.
    wins_prefix: Option<Vec<u8>>,
    version: u64,
    /// Encoded events; the first has number `first`.
    log: Vec<Vec<u8>>,
    first: u64,
    uuid: u64,
    published: Vec<(Vec<u8>, Vec<u8>)>,
    sockets: Vec<TcpStream>,
}

/// The relay.
#[derive(Clone)]
pub(crate) struct FakeRelay {
    state: Arc<Mutex<State>>,
    pub(crate) addr: SocketAddr,
    /// Accepts, and hangs up at once.
    pub(crate) refuse: Arc<AtomicBool>,
    /// Reads commands but answers none.
    pub(crate) silent: Arc<AtomicBool>,
    /// Sends no events above this number, and below `u64::MAX` answers no renewals: a stream that is behind.
    stream_upto: Arc<AtomicU64>,
    /// How many `GS.GET` were asked.
    pub(crate) gets: Arc<AtomicU64>,
    /// How many `GS.TOUCH` were heard.
    pub(crate) touches: Arc<AtomicU64>,
    /// How often `GS.STREAM` was asked.
    pub(crate) streams: Arc<AtomicU64>,
}

impl FakeRelay {
    pub(crate) fn start() -> FakeRelay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = FakeRelay {
            state: Arc::new(Mutex::new(State { first: 1, uuid: 7, version: 1000, ..State::default() })),
            addr: listener.local_addr().unwrap(),
            refuse: Arc::default(),
            silent: Arc::default(),
            stream_upto: Arc::new(AtomicU64::new(u64::MAX)),
            gets: Arc::default(),
            touches: Arc::default(),
            streams: Arc::default(),
        };
        let accepting = relay.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                if accepting.refuse.load(Ordering::SeqCst) {
                    continue;
                }
                accepting.state.lock().unwrap().sockets.push(socket.try_clone().unwrap());
                let relay = accepting.clone();
                std::thread::spawn(move || Connection::new(relay, socket).serve());
            }
        });
        relay
    }

    /// Ends all connections and takes no new ones.
    pub(crate) fn go_away(&self) {
        self.refuse.store(true, Ordering::SeqCst);
        self.hang_up();
    }

    pub(crate) fn come_back(&self) {
        self.refuse.store(false, Ordering::SeqCst);
    }

    /// Ends all connections.
    pub(crate) fn hang_up(&self) {
        for socket in self.state.lock().unwrap().sockets.drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Lets the stream fall behind: no event from now on, until [`FakeRelay::let_stream_on_to`].
    pub(crate) fn hold_stream(&self) {
        self.stream_upto.store(self.last(), Ordering::SeqCst);
    }

    pub(crate) fn let_stream_on_to(&self, seq: u64) {
        self.stream_upto.store(seq, Ordering::SeqCst);
    }

    /// The number of the newest event.
    pub(crate) fn last(&self) -> u64 {
        self.state.lock().unwrap().last()
    }

    pub(crate) fn wins(&self, prefix: &[u8]) {
        self.state.lock().unwrap().wins_prefix = Some(prefix.to_vec());
    }

    /// Sets a key as another machine would.
    pub(crate) fn set(&self, key: &[u8], value: &[u8]) -> u64 {
        self.state.lock().unwrap().set(key, value, -1, 0)
    }

    /// Sets a key that is only kept as a hash, as another machine would.
    pub(crate) fn seal(&self, key: &[u8], value: &[u8]) -> u64 {
        self.state.lock().unwrap().set(key, &hashed::seal(value), -1, hashed::KIND_HASHED)
    }

    /// Deletes a key as another machine would.
    pub(crate) fn delete(&self, key: &[u8]) -> u64 {
        self.state.lock().unwrap().delete(key, false).1
    }

    /// Deletes a key without a word in the stream: what the stream says while an agent is away and its log too short.
    pub(crate) fn forget_log(&self) {
        let mut state = self.state.lock().unwrap();
        state.first += state.log.len() as u64;
        state.log.clear();
    }

    /// As after a restart: another identity, numbers from 1.
    pub(crate) fn new_life(&self) {
        let mut state = self.state.lock().unwrap();
        state.uuid += 1;
        state.first = 1;
        state.log.clear();
    }

    pub(crate) fn publish(&self, topic: &[u8], payload: &[u8]) {
        self.state.lock().unwrap().published.push((topic.to_vec(), payload.to_vec()));
    }
}

impl State {
    fn last(&self) -> u64 {
        self.first + self.log.len() as u64 - 1
    }

    fn append(&mut self, event: impl FnOnce(u64) -> Vec<u8>) {
        let seq = self.last() + 1;
        self.log.push(event(seq));
    }

    fn set(&mut self, key: &[u8], value: &[u8], pttl: i64, kind: u8) -> u64 {
        self.version += 10;
        let version = self.version;
        self.append(|seq| {
            let mut out = format!(">9\r\n+gs.put\r\n:{seq}\r\n:0\r\n").into_bytes();
            bulk(&mut out, key);
            out.extend(format!(":{version}\r\n:{pttl}\r\n:{kind}\r\n:0\r\n").into_bytes());
            bulk(&mut out, value);
            out
        });
        self.store.insert(key.to_vec(), Stored { version, value: value.to_vec(), pttl, kind });
        version
    }

    fn delete(&mut self, key: &[u8], sync: bool) -> (bool, u64) {
        self.version += 10;
        let version = self.version;
        self.append(|seq| {
            let mut out = format!(">6\r\n+gs.gone\r\n:{seq}\r\n:0\r\n").into_bytes();
            bulk(&mut out, key);
            out.extend(format!(":{version}\r\n:{}\r\n", u8::from(sync)).into_bytes());
            out
        });
        self.tombs.insert(key.to_vec(), version);
        (self.store.remove(key).is_some(), version)
    }
}

struct Connection {
    relay: FakeRelay,
    socket: TcpStream,
    /// The next event to send, once streaming.
    next_event: Option<u64>,
    topics: Vec<Vec<u8>>,
    published: usize,
}

impl Connection {
    fn new(relay: FakeRelay, socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        socket.set_nodelay(true).unwrap();
        let published = relay.state.lock().unwrap().published.len();
        Self { relay, socket, next_event: None, topics: Vec::new(), published }
    }

    fn serve(mut self) {
        let (mut parser, mut buffer, mut chunk) = (Parser::new(), Vec::new(), [0u8; 4096]);
        loop {
            match self.socket.read(&mut chunk) {
                Ok(0) => return,
                Ok(n) => buffer.extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
            if self.relay.silent.load(Ordering::SeqCst) {
                continue;
            }
            if self.next_event.is_some() && self.relay.stream_upto.load(Ordering::SeqCst) != u64::MAX {
                let mut out = Vec::new();
                self.events(&mut out);
                if self.socket.write_all(&out).is_err() {
                    return;
                }
                continue;
            }
            let mut out = Vec::new();
            while let Ok(Parsed::Command { consumed }) = parser.advance(&buffer, &Limits::default()) {
                let args: Vec<Vec<u8>> = parser.args(&buffer).iter().map(<[u8]>::to_vec).collect();
                buffer.drain(..consumed);
                self.events(&mut out);
                self.answer(&args, &mut out);
            }
            self.events(&mut out);
            self.messages(&mut out);
            if self.socket.write_all(&out).is_err() {
                return;
            }
        }
    }

    fn events(&mut self, out: &mut Vec<u8>) {
        let state = self.relay.state.lock().unwrap();
        if let Some(next) = self.next_event {
            let upto = self.relay.stream_upto.load(Ordering::SeqCst).min(state.last());
            for seq in next.max(state.first)..=upto {
                out.extend_from_slice(&state.log[(seq - state.first) as usize]);
            }
            self.next_event = Some(next.max(upto + 1));
        }
    }

    fn messages(&mut self, out: &mut Vec<u8>) {
        let state = self.relay.state.lock().unwrap();
        for (topic, payload) in &state.published[self.published..] {
            if self.topics.contains(topic) {
                out.extend_from_slice(b"*3\r\n$7\r\nmessage\r\n");
                bulk(out, topic);
                bulk(out, payload);
            }
        }
        self.published = state.published.len();
    }

    fn answer(&mut self, args: &[Vec<u8>], out: &mut Vec<u8>) {
        let mut state = self.relay.state.lock().unwrap();
        let option = |name: &str| {
            let at = args.iter().position(|a| a.eq_ignore_ascii_case(name.as_bytes()))?;
            std::str::from_utf8(args.get(at + 1)?).ok()?.parse::<i64>().ok()
        };
        let name = String::from_utf8_lossy(&args[0]).to_uppercase();
        match name.as_str() {
            "HELLO" => out.extend_from_slice(b"%1\r\n$5\r\nproto\r\n:3\r\n"),
            "PING" => out.extend_from_slice(b"+PONG\r\n"),
            "GS.GET" => {
                self.relay.gets.fetch_add(1, Ordering::SeqCst);
                assert_eq!(args.get(2).map(Vec::as_slice), Some(b"WITHVERSION".as_slice()));
                let Some(stored) = state.store.get(&args[1]) else {
                    let history = state.tombs.get(&args[1]).copied().unwrap_or(0);
                    return out.extend(format!(":{history}\r\n").into_bytes());
                };
                out.extend_from_slice(b"*16\r\n$5\r\nvalue\r\n");
                match stored.kind {
                    hashed::KIND_HASHED => out.extend_from_slice(b"$-1\r\n"),
                    _ => bulk(out, &stored.value),
                }
                let (version, pttl, kind) = (stored.version, stored.pttl, stored.kind);
                for (field, n) in [("version", version as i64), ("pttl", pttl), ("kind", i64::from(kind))] {
                    out.extend(format!("${}\r\n{field}\r\n:{n}\r\n", field.len()).into_bytes());
                }
                out.extend_from_slice(b"$4\r\ntier\r\n$5\r\nrelay\r\n$4\r\nnode\r\n$1\r\nr\r\n");
                out.extend_from_slice(b"$4\r\nidle\r\n:0\r\n$6\r\nage_ms\r\n:0\r\n");
            }
            "GS.SET" => {
                let wins = state.wins_prefix.as_ref().is_some_and(|p| args[1].starts_with(p));
                if wins && state.tombs.contains_key(&args[1]) {
                    return out.extend_from_slice(b"-GONE the session was destroyed\r\n");
                }
                let expected = option("IFV").map(|v| v as u64);
                if expected.is_some() && expected != state.store.get(&args[1]).map(|s| s.version) {
                    return out.extend_from_slice(b"$-1\r\n");
                }
                let version = state.set(&args[1], &args[2], option("PX").unwrap_or(-1), 0);
                out.extend(format!(":{version}\r\n").into_bytes());
            }
            "GS.HASHSET" => {
                let sealed = hashed::seal(&args[2]);
                let version = state.set(&args[1], &sealed, -1, hashed::KIND_HASHED);
                out.extend(format!(":{version}\r\n").into_bytes());
            }
            "GS.CHECKHASH" => match state.store.get(&args[1]) {
                None => out.extend_from_slice(b"$-1\r\n"),
                Some(stored) => {
                    let same = hashed::verify(&stored.value, &args[2]);
                    out.extend(format!(":{}\r\n", u8::from(same)).into_bytes());
                }
            },
            "GS.DEL" => {
                let (found, version) = state.delete(&args[1], args.iter().any(|a| a == b"SYNC"));
                out.extend(format!("*2\r\n:{}\r\n:{version}\r\n", u8::from(found)).into_bytes());
            }
            "GS.TOUCH" => {
                self.relay.touches.fetch_add(1, Ordering::SeqCst);
                let pttl = option("PX").unwrap();
                let touched = state.store.get_mut(&args[1]).map(|stored| stored.pttl = pttl).is_some();
                out.extend(format!(":{}\r\n", u8::from(touched)).into_bytes());
            }
            "GS.STREAM" => {
                self.relay.streams.fetch_add(1, Ordering::SeqCst);
                let from: u64 = String::from_utf8_lossy(&args[1]).parse().unwrap();
                let known: u64 = String::from_utf8_lossy(&args[2]).parse().unwrap();
                let goes_on = known == state.uuid && from >= state.first && from <= state.last() + 1;
                self.next_event = Some(if goes_on { from } else { state.last() + 1 });
                let (uuid, next) = (state.uuid, state.last() + 1);
                out.extend(
                    format!("*4\r\n:{uuid}\r\n:{next}\r\n:{}\r\n:{LEASE_MS}\r\n", u8::from(goes_on))
                        .into_bytes(),
                );
            }
            "GS.RENEW" => out.extend(format!(":{}\r\n", state.last()).into_bytes()),
            "SUBSCRIBE" => {
                out.extend_from_slice(b"*3\r\n$9\r\nsubscribe\r\n");
                bulk(out, &args[1]);
                out.extend_from_slice(b":1\r\n");
                self.topics.push(args[1].clone());
            }
            _ => out.extend_from_slice(b"-ERR unknown command\r\n"),
        }
    }
}

fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(format!("${}\r\n", bytes.len()).into_bytes());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}
