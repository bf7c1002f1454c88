//! Other caches with the same keys and values, each giving the bytes as the section does: copied out.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail, ensure};
use lmdb::Transaction as _;

use super::store::{Keys, Shape, key};
use super::timing::{Timed, timed};

type Key = [u8; 32];
type Value = std::sync::Arc<[u8]>;

/// Something that gives a value for a key.
pub trait Peer {
    /// Appends the value.
    fn get(&mut self, key: &Key, out: &mut Vec<u8>) -> bool;

    /// Nanoseconds of a get of these keys, in a row and one by one.
    fn run(&mut self, keys: &Keys, times: usize) -> anyhow::Result<Timed> {
        let mut out = Vec::with_capacity(8192);
        let mut misses = 0usize;
        let ns = timed(times, |n| {
            out.clear();
            misses += usize::from(!self.get(keys.at(n), &mut out));
            std::hint::black_box(&out);
        });
        ensure!(misses == 0, "{misses} misses at a peer that has every object");
        Ok(ns)
    }

    /// Nanoseconds of all cores for each get of the last run, where others than the caller work for it.
    fn cpu(&self) -> Option<f64> {
        None
    }
}

pub(super) fn value(shape: Shape) -> Vec<u8> {
    (0..shape.value_len).map(|n| n as u8).collect()
}

/// quick_cache, in process.
pub struct Quick(quick_cache::sync::Cache<Key, Value>);

impl Quick {
    /// Filled.
    pub fn new(shape: Shape) -> Quick {
        let cache = quick_cache::sync::Cache::new(shape.objects * 2);
        (0..shape.objects).for_each(|n| cache.insert(key(n), value(shape).into()));
        Quick(cache)
    }
}

impl Peer for Quick {
    fn get(&mut self, key: &Key, out: &mut Vec<u8>) -> bool {
        self.0.get(key).is_some_and(|value| {
            out.extend_from_slice(&value);
            true
        })
    }
}

/// moka, in process.
pub struct Moka(moka::sync::Cache<Key, Value>);

impl Moka {
    /// Filled.
    pub fn new(shape: Shape) -> Moka {
        let cache = moka::sync::Cache::new(shape.objects as u64 * 2);
        (0..shape.objects).for_each(|n| cache.insert(key(n), value(shape).into()));
        Moka(cache)
    }
}

impl Peer for Moka {
    fn get(&mut self, key: &Key, out: &mut Vec<u8>) -> bool {
        self.0.get(key).is_some_and(|value| {
            out.extend_from_slice(&value);
            true
        })
    }
}

/// dashmap, in process; no eviction.
pub struct Dash(dashmap::DashMap<Key, Box<[u8]>>);

impl Dash {
    /// Filled.
    pub fn new(shape: Shape) -> Dash {
        Dash((0..shape.objects).map(|n| (key(n), value(shape).into())).collect())
    }
}

impl Peer for Dash {
    fn get(&mut self, key: &Key, out: &mut Vec<u8>) -> bool {
        self.0.get(key).is_some_and(|value| {
            out.extend_from_slice(&value);
            true
        })
    }
}

/// LMDB: one read transaction held open, as kindly as it can be used.
pub struct Lmdb {
    txn: lmdb::RoTransaction<'static>,
    db: lmdb::Database,
}

impl Lmdb {
    /// Filled, in a directory that should be in memory. The environment stays open until the process ends.
    pub fn new(dir: &Path, shape: Shape) -> anyhow::Result<Lmdb> {
        let size = shape.objects * (shape.value_len + 300) * 2 + (16 << 20);
        let mut options = lmdb::Environment::new();
        options.set_map_size(size.next_multiple_of(4096)).set_flags(lmdb::EnvironmentFlags::NO_SYNC);
        let env: &'static lmdb::Environment = Box::leak(Box::new(options.open(dir)?));
        let db = env.create_db(None, lmdb::DatabaseFlags::empty())?;
        let mut txn = env.begin_rw_txn()?;
        let value = value(shape);
        for n in 0..shape.objects {
            txn.put(db, &key(n), &value, lmdb::WriteFlags::empty())?;
        }
        txn.commit()?;
        Ok(Lmdb { txn: env.begin_ro_txn()?, db })
    }
}

impl Peer for Lmdb {
    fn get(&mut self, key: &Key, out: &mut Vec<u8>) -> bool {
        self.txn.get(self.db, key).is_ok_and(|value: &[u8]| {
            out.extend_from_slice(value);
            true
        })
    }
}

/// PHP's APCu: a script that stays and measures on demand; see `benchmarks/peers/apcu.php`.
pub struct Apcu {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Apcu {
    /// Started and filled.
    pub fn new(shape: Shape) -> anyhow::Result<Apcu> {
        let megabytes = shape.objects * (shape.value_len + 400) * 3 / 2 / (1 << 20) + 64;
        let mut child = Command::new("php")
            .args(["-d", "apc.enable_cli=1", "-d", "memory_limit=-1"])
            .args(["-d", &format!("apc.shm_size={megabytes}M"), "-d", "apc.entries_hint=1000000"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/apcu.php"))
            .args([shape.objects.to_string(), shape.value_len.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("php")?;
        let answers = BufReader::new(child.stdout.take().context("php's output")?);
        let mut apcu = Apcu { child, answers };
        ensure!(apcu.line()?.trim() == "ready", "apcu did not take every object");
        Ok(apcu)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line)
    }
}

impl Peer for Apcu {
    fn get(&mut self, _key: &Key, _out: &mut Vec<u8>) -> bool {
        false
    }

    fn run(&mut self, _keys: &Keys, times: usize) -> anyhow::Result<Timed> {
        let stdin = self.child.stdin.as_mut().context("php's input")?;
        writeln!(stdin, "{times}")?;
        let line = self.line()?;
        let said: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [mean, p50, p99] = said[..] else { bail!("apcu said {line:?}") };
        Ok(Timed { mean, p50, p99 })
    }
}

impl Drop for Apcu {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
