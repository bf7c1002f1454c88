//! What a session costs beside its own bytes: resident memory of a relay's processes and of redis-server, each
//! with the same sessions in it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use gs_shm::{Geometry, Section, SectionConfig};

/// Bytes of every value.
pub const VALUE_BYTES: usize = 384;
const KEY_BYTES: usize = 32;
const LIFE_MS: u64 = 86_400_000;
const BATCH: u64 = 1000;
const WARM_UP_BATCHES: usize = 200;
/// A server that has not answered by then will not.
const PATIENCE: u32 = 600;
const PAUSE: Duration = Duration::from_millis(50);

/// Resident bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// The shared-memory object.
    pub section_bytes: u64,
    /// What the processes grew by while the sessions were stored, shared memory aside.
    pub grown_bytes: u64,
    /// What the processes held before, shared memory aside.
    pub fixed_bytes: u64,
}

/// A process that ends with its owner.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Stores the sessions in a relay whose section has room for just these.
pub fn of_relay(program: &Path, sessions: u64, block_bytes: u32) -> anyhow::Result<Cost> {
    let dir = std::env::temp_dir().join(format!("gs-room-{}", std::process::id()));
    let cost = measured(program, &dir, sessions, block_bytes);
    let removed = Section::remove(&dir, "relay");
    std::fs::remove_dir_all(&dir).context("removing the relay's directory")?;
    removed?;
    cost
}

fn measured(program: &Path, dir: &Path, sessions: u64, block_bytes: u32) -> anyhow::Result<Cost> {
    let capacity = capacity_for(sessions, block_bytes)?;
    let (port, sibling_port) = (free_port()?, free_port()?);
    let child = Command::new(program)
        .args(["--role", "relay", "--http-port", "off", "--port", &port.to_string()])
        .args(["--sibling-port", &sibling_port.to_string(), "--capacity", &capacity.to_string()])
        .args(["--set", &format!("section.block_bytes={block_bytes}"), "--dir"])
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("starting {}; build it with --release first", program.display()))?;
    let relay = Server(child);
    let mut wire = connect(port)?;
    connect(sibling_port)?;
    let pids = family_of(relay.0.id());
    ensure!(pids.len() == 2, "a relay and its sibling were expected, not {pids:?}");
    warm_up(&mut wire)?;
    let before = resident(&pids)?;
    store(&mut wire, sessions)?;
    let cost = Cost {
        section_bytes: section_bytes(dir)?,
        grown_bytes: resident(&pids)?.saturating_sub(before),
        fixed_bytes: before,
    };
    // The sibling ends with its relay's standard input; let both end in order.
    wire.get_mut().write_all(b"*2\r\n$8\r\nSHUTDOWN\r\n$6\r\nNOSAVE\r\n")?;
    let gone = |pid: &u32| !Path::new(&format!("/proc/{pid}")).exists();
    drop(relay);
    until("the sibling has ended", || pids[1..].iter().all(gone).then_some(()))?;
    Ok(cost)
}

/// Stores the sessions in redis-server, if there is one; its version, and the cost.
pub fn of_redis(sessions: u64) -> anyhow::Result<Option<(String, Cost)>> {
    let Ok(version) = Command::new("redis-server").arg("--version").output() else {
        return Ok(None);
    };
    let version = String::from_utf8_lossy(&version.stdout);
    let version =
        version.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or("?").to_owned();
    let port = free_port()?;
    let child = Command::new("redis-server")
        .args(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--port", &port.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("starting redis-server")?;
    let redis = Server(child);
    let mut wire = connect(port)?;
    let pids = [redis.0.id()];
    warm_up(&mut wire)?;
    let before = resident(&pids)?;
    store(&mut wire, sessions)?;
    let grown_bytes = resident(&pids)?.saturating_sub(before);
    Ok(Some((format!("redis-server {version}"), Cost { section_bytes: 0, grown_bytes, fixed_bytes: before })))
}

/// The least capacity with blocks for that many sessions.
fn capacity_for(sessions: u64, block_bytes: u32) -> anyhow::Result<u64> {
    let of = |capacity_bytes| {
        let cfg = SectionConfig { capacity_bytes, block_bytes, ..SectionConfig::default() };
        let geometry = Geometry::of(&cfg).ok()?;
        let needed = u64::from(geometry.record_blocks(KEY_BYTES, VALUE_BYTES)) * sessions;
        (u64::from(geometry.blocks) >= needed).then_some(())
    };
    let (mut low, mut high) = (0, sessions * 4096 + (64 << 20));
    ensure!(of(high).is_some(), "no capacity fits {sessions} sessions");
    while low + 4096 < high {
        let middle = (low + high) / 2;
        if of(middle).is_some() { high = middle } else { low = middle }
    }
    Ok(high)
}

/// Brings buffers, and pages of the program, to what they are under load: many writes to a few sessions, which
/// are then deleted.
fn warm_up(wire: &mut BufReader<TcpStream>) -> anyhow::Result<()> {
    for _ in 0..WARM_UP_BATCHES {
        store_batch(wire, 0, BATCH)?;
    }
    wire.get_mut().write_all(b"*1\r\n$7\r\nFLUSHDB\r\n")?;
    let reply = line(wire)?;
    ensure!(reply == "+OK", "FLUSHDB answered {reply:?}");
    Ok(())
}

fn store_batch(wire: &mut BufReader<TcpStream>, from: u64, to: u64) -> anyhow::Result<()> {
    let value = "v".repeat(VALUE_BYTES);
    let life = LIFE_MS.to_string();
    let mut batch = Vec::new();
    for n in from..to {
        let key = format!("sess:{n:027}");
        write!(batch, "*5\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${VALUE_BYTES}\r\n{value}\r\n", key.len())?;
        write!(batch, "$2\r\nPX\r\n${}\r\n{life}\r\n", life.len())?;
    }
    wire.get_mut().write_all(&batch)?;
    for _ in from..to {
        let reply = line(wire)?;
        ensure!(reply == "+OK", "SET answered {reply:?}");
    }
    Ok(())
}

fn store(wire: &mut BufReader<TcpStream>, sessions: u64) -> anyhow::Result<()> {
    for from in (0..sessions).step_by(BATCH as usize) {
        store_batch(wire, from, (from + BATCH).min(sessions))?;
    }
    wire.get_mut().write_all(b"*1\r\n$6\r\nDBSIZE\r\n")?;
    let held = line(wire)?;
    ensure!(held == format!(":{sessions}"), "{sessions} sessions were stored and {held} are there");
    Ok(())
}

fn line(wire: &mut BufReader<TcpStream>) -> anyhow::Result<String> {
    let mut line = String::new();
    wire.by_ref().take(4096).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    for _ in 0..PATIENCE {
        if let Some(found) = look() {
            return Ok(found);
        }
        sleep(PAUSE);
    }
    bail!("waited in vain: {what}")
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A connection on which PING is answered.
fn connect(port: u16) -> anyhow::Result<BufReader<TcpStream>> {
    until("the server answers", || {
        let mut wire = BufReader::new(TcpStream::connect(("127.0.0.1", port)).ok()?);
        wire.get_mut().write_all(b"*1\r\n$4\r\nPING\r\n").ok()?;
        (line(&mut wire).ok()? == "+PONG").then_some(wire)
    })
}

/// A process and its children.
fn family_of(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<u32> = children
        .flat_map(|text| text.split_whitespace().filter_map(|n| n.parse().ok()).collect::<Vec<_>>())
        .collect();
    [vec![pid], children].concat()
}

/// Resident memory of processes but for shared memory, which is counted once, as the section.
fn resident(pids: &[u32]) -> anyhow::Result<u64> {
    let mut kib = 0;
    for pid in pids {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        for line in status.lines().filter(|line| line.starts_with("RssAnon:") || line.starts_with("RssFile:"))
        {
            kib += line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Ok(kib << 10)
}

fn section_bytes(dir: &Path) -> anyhow::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let name = std::fs::read_to_string(dir.join("relay.cur")).context("the section's name")?;
    let meta = std::fs::metadata(Path::new("/dev/shm").join(name.trim())).context("the section")?;
    Ok(meta.blocks() * 512)
}
