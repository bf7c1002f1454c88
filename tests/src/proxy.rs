//! A TCP proxy that misbehaves on purpose, the same way for the same seed.

use crate::sessions::next;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What happens to bytes on their way.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Every chunk waits between 0 and this long.
    pub delay_max: Duration,
    /// Of 1000 chunks, how many are the last of their connection: it is cut in the middle of one.
    pub cut_per_mille: u64,
    /// Nothing passes in either direction, connections stay open: a partition.
    pub blackhole: bool,
    /// New connections are closed at once.
    pub refuse: bool,
}

/// A running proxy in front of one address.
pub struct Proxy {
    addr: String,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    target: String,
    faults: Mutex<Faults>,
    seed: AtomicU64,
    stop: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
    passed: AtomicU64,
}

/// How often a pump looks whether it has to stop, and a blackhole whether it has ended.
const TICK: Duration = Duration::from_millis(20);

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and passes everything to `target`.
    pub fn start(target: &str, seed: u64, faults: Faults) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port can be bound");
        let addr = listener.local_addr().expect("a listener has an address").to_string();
        listener.set_nonblocking(true).expect("a listener can be polled");
        let shared = Arc::new(Shared {
            target: target.to_owned(),
            faults: Mutex::new(faults),
            seed: AtomicU64::new(seed),
            stop: AtomicBool::new(false),
            open: Mutex::new(Vec::new()),
            passed: AtomicU64::new(0),
        });
        let mine = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || accept(&listener, &mine));
        Proxy { addr, shared, acceptor: Some(acceptor) }
    }

    /// Where to connect instead of to the target.
    pub fn addr(&self) -> &str {
        &self.addr
    }

    /// Changes what happens from now on.
    pub fn faults(&self, faults: Faults) {
        *self.shared.lock_faults() = faults;
    }

    /// Cuts every open connection.
    pub fn cut(&self) {
        for stream in self.shared.open.lock().expect("no pump panics").drain(..) {
            // A connection that has ended needs no cut.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Bytes that passed so far, both directions together.
    pub fn passed(&self) -> u64 {
        self.shared.passed.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.cut();
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn lock_faults(&self) -> std::sync::MutexGuard<'_, Faults> {
        self.faults.lock().expect("nobody panics while holding the faults")
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.stopped() {
        match listener.accept() {
            Ok((client, _)) => {
                if shared.lock_faults().refuse {
                    continue;
                }
                // A target that is down looks like a cut, which is what it is.
                if let Ok(server) = TcpStream::connect(&shared.target) {
                    join(client, server, shared);
                }
            }
            Err(_) => std::thread::sleep(TICK),
        }
    }
}

fn join(client: TcpStream, server: TcpStream, shared: &Arc<Shared>) {
    let pair = |a: &TcpStream, b: &TcpStream| Some((a.try_clone().ok()?, b.try_clone().ok()?));
    let (Some((from_client, to_server)), Some((from_server, to_client))) =
        (pair(&client, &server), pair(&server, &client))
    else {
        return;
    };
    for (from, to) in [(from_client, to_server), (from_server, to_client)] {
        // Each direction draws from its own stream, so that one does not shift the other's faults.
        let seed = shared.seed.fetch_add(0x9E37_79B9, Ordering::Relaxed);
        let shared = Arc::clone(shared);
        std::thread::spawn(move || pump(from, to, seed, &shared));
    }
    shared.open.lock().expect("no pump panics").extend([client, server]);
}

fn pump(mut from: TcpStream, mut to: TcpStream, mut seed: u64, shared: &Shared) {
    let mut buffer = [0; 16 * 1024];
    let _ = (from.set_nonblocking(false), from.set_read_timeout(Some(TICK)), to.set_nodelay(true));
    while !shared.stopped() {
        let n = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(_) => break,
        };
        while shared.lock_faults().blackhole && !shared.stopped() {
            std::thread::sleep(TICK);
        }
        let faults = shared.lock_faults().clone();
        if !faults.delay_max.is_zero() {
            std::thread::sleep(faults.delay_max.mul_f64((next(&mut seed) % 1000) as f64 / 1000.0));
        }
        let cut = next(&mut seed) % 1000 < faults.cut_per_mille;
        let n = if cut { (next(&mut seed) as usize) % n } else { n };
        shared.passed.fetch_add(n as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..n]).is_err() || cut {
            break;
        }
    }
    // Both ends must see it, whichever direction ended.
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
