//! Owner mode: one process stores, deletes, touches and frees; others read.
//!
//! The truth about a key is a word of the oracle that its owner keeps, `[count 20 | version 40 | flags 4]`;
//! the count moves with every change, so two equal readings mean that nothing happened in between, and then
//! a reader's answer has to be exact. What the owner is about to do is noted in the key's second word
//! (`issued version << 4 | intent`): whoever comes after a killed owner judges by it what may be found.

use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;

use gs_shm::*;

use super::demoter;
use super::oracle::{Fault, Figure, Oracle};
use super::worker::{NAME, Worker, name_of, now_ms};
use crate::random::one_in;

/// Every how many-th key gets short deadlines, so that nobody can say when it is gone.
const SHORT_LIVED: u64 = 4;
const LIFE_MS: u64 = 100;
const LONG_MS: u64 = 3_600_000;
/// Victims that a full owner makes room with.
const ROOM: u32 = 4;

const ALIVE: u64 = 1;
const BUSY: u64 = 2;
/// Alive, or past its deadline.
const LOOSE: u64 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intent {
    Put,
    Delete,
    Touch,
    Release,
    Flush,
}

impl Intent {
    fn of(word: u64) -> Intent {
        match word & 15 {
            0 => Intent::Put,
            1 => Intent::Delete,
            2 => Intent::Touch,
            3 => Intent::Release,
            _ => Intent::Flush,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Truth(u64);

impl Truth {
    fn version(self) -> u64 {
        self.0 >> 4 & 0xff_ffff_ffff
    }
    fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
    }
    fn next(self, version: u64, flags: u64) -> Truth {
        Truth(((self.0 >> 44) + 1) << 44 | version << 4 | flags)
    }
}

fn truth(oracle: &Oracle, key: u64) -> Truth {
    Truth(oracle.truth(key).load(SeqCst))
}

fn issued(oracle: &Oracle, key: u64) -> u64 {
    oracle.intent(key).load(SeqCst) >> 4
}

/// Says what is about to happen; returns what was true until now.
fn begin(oracle: &Oracle, key: u64, intent: Intent, version: u64) -> Truth {
    let was = truth(oracle, key);
    oracle.intent(key).store(version << 4 | intent as u64, SeqCst);
    oracle.truth(key).store(was.next(was.version(), was.0 & (ALIVE | LOOSE) | BUSY).0, SeqCst);
    was
}

fn end(oracle: &Oracle, key: u64, version: u64, flags: u64) {
    oracle.truth(key).store(truth(oracle, key).next(version, flags).0, SeqCst);
}

/// Nothing that was ever issued for this key may be read from here on.
fn gone(oracle: &Oracle, key: u64) {
    let version = issued(oracle, key);
    oracle.deleted(key).fetch_max(version, SeqCst);
    end(oracle, key, version, 0);
}

fn back(oracle: &Oracle, key: u64, was: Truth) {
    end(oracle, key, was.version(), was.0 & (ALIVE | LOOSE));
}

fn flag_of(key: u64) -> u64 {
    if key.is_multiple_of(SHORT_LIVED) { LOOSE } else { ALIVE }
}

/// The owner comes (again) and must find the section that its predecessor left.
pub(crate) fn adopt(dir: &Path) -> Result<Section, OpenError> {
    let cfg = Section::attach(dir, NAME, None)?.config().clone();
    let (section, origin) = Section::create_or_adopt(dir, NAME, &cfg, now_ms())?;
    match origin {
        Origin::Adopted => Ok(section),
        Origin::Fresh => Err(OpenError::Retired("the section of the owner that died".into())),
    }
}

pub(crate) fn work(mut w: Worker) {
    for key in 0..w.keys {
        resolve(&w, key);
    }
    while !w.stopping() {
        demoter::read_mail(&mut w, free);
        let key = w.some_key();
        match w.random.u64(..1000) {
            0..500 => put(&mut w, key, false),
            500..560 => put(&mut w, key, true),
            560..660 => delete(&w, key),
            660..780 => touch(&mut w, key),
            780..960 => read_one(&mut w, key),
            960..998 => {
                let (from, probes) = (w.random.u64(..) as u32, w.random.u64(..200) as u32);
                w.watched("sweep", |s| s.expire_sweep(from, probes, now_ms(), &mut |_, _| ()));
            }
            _ if one_in(&mut w.random, 60) => flush(&w),
            _ => {}
        }
    }
}

/// What a predecessor was killed at: the record must be there or not as its intent allows.
fn resolve(w: &Worker, key: u64) {
    let was = truth(&w.oracle, key);
    if !was.has(BUSY) {
        return;
    }
    let (intent, issued) = (Intent::of(w.oracle.intent(key).load(SeqCst)), issued(&w.oracle, key));
    let name = name_of(key);
    let id = w.section.key_id(0, &name);
    let found = w.watched("get", |s| s.peek(&id, &name, now_ms())).map(|meta| meta.version);
    let old = was.version();
    let fine = match (found, intent) {
        (None, Intent::Put | Intent::Touch) => !was.has(ALIVE),
        (None, _) => true,
        (Some(v), Intent::Put) if v == issued => true,
        (Some(v), _) => v == old && was.has(ALIVE | LOOSE),
    };
    if !fine {
        let text = format!("key {key}: {intent:?} of {issued} died, was {old} ({was:?}), found {found:?}");
        w.oracle.fault(Fault::Lost, &text);
    }
    match found {
        None => gone(&w.oracle, key),
        Some(version) => end(&w.oracle, key, version, flag_of(key)),
    }
}

fn put(w: &mut Worker, key: u64, again: bool) {
    let was = truth(&w.oracle, key);
    let version = if again && was.has(ALIVE) { was.version() } else { issued(&w.oracle, key) + 1 };
    let since = w.oracle.tick();
    w.make(key, version, since);
    let value = std::mem::take(&mut w.value);
    let (name, now) = (name_of(key), now_ms());
    let deadline_ms = match flag_of(key) {
        LOOSE => now + 1 + w.random.u64(..LIFE_MS),
        _ if one_in(&mut w.random, 2) => now + LONG_MS,
        _ => 0,
    };
    let id = w.section.key_id(0, &name);
    let rec =
        NewRecord { id, db: 0, key: &name, value: &value, version, deadline_ms, kind: 1, created_ms: now };
    begin(&w.oracle, key, Intent::Put, version.max(issued(&w.oracle, key)));
    let done = w.watched("put", |s| s.put(&rec, now));
    w.value = value;
    match done {
        Ok(_) => {
            w.oracle.saw(key, version);
            end(&w.oracle, key, version, flag_of(key));
            return w.count(Figure::Stored);
        }
        Err(PutError::Full { .. }) => {
            back(&w.oracle, key, was);
            let mut left = ROOM;
            let mut decide = |_: &View| {
                left = left.saturating_sub(1);
                if left > 0 { Verdict::Take } else { Verdict::Keep }
            };
            let mut victims = Vec::new();
            w.watched("sweep", |s| s.sweep(200, now, &mut decide, &mut victims));
            make_room(w, victims);
        }
        Err(PutError::BucketFull) => {
            back(&w.oracle, key, was);
            let mut victims = Vec::new();
            w.watched("sweep", |s| s.bucket_victims(&id, now, &mut victims));
            make_room(w, victims);
        }
        Err(e) => {
            w.oracle.fault(Fault::Wrong, &format!("put of key {key} version {version} ({was:?}): {e}"));
            back(&w.oracle, key, was);
        }
    }
    w.count(Figure::NotStored);
}

/// The owner frees by itself what nobody took.
fn make_room(w: &mut Worker, victims: Vec<Victim>) {
    for victim in victims {
        if let Some((key, meta)) = demoter::copy(w, &victim) {
            free(w, key, meta.version, meta.at);
        }
    }
}

/// Frees a record that is said to have been stored elsewhere.
fn free(w: &mut Worker, key: u64, version: u64, at: BlockRef) {
    let was = begin(&w.oracle, key, Intent::Release, issued(&w.oracle, key));
    match w.watched("release", |s| s.release(&at)) {
        Release::Freed => {
            // One that is past its deadline may be freed although its key is known to be absent.
            let fine = match flag_of(key) {
                LOOSE => version <= was.version(),
                _ => version == was.version() && was.has(ALIVE),
            };
            if !fine {
                let text = format!("key {key}: version {version} was freed, the truth is {was:?}");
                w.oracle.fault(Fault::Lost, &text);
            }
            gone(&w.oracle, key);
            w.count(Figure::Released);
        }
        Release::Gone => back(&w.oracle, key, was),
        Release::Changed => {
            back(&w.oracle, key, was);
            w.watched("abort", |s| s.abort(&at));
        }
    }
}

fn delete(w: &Worker, key: u64) {
    let (name, was) = (name_of(key), begin(&w.oracle, key, Intent::Delete, issued(&w.oracle, key)));
    let id = w.section.key_id(0, &name);
    let found = w.watched("delete", |s| s.delete(&id, &name)).found;
    gone(&w.oracle, key);
    let fine = match found {
        None => !was.has(ALIVE),
        // A record past its deadline may be found although its key is known to be absent.
        Some(meta) if meta.deadline_ms != 0 && meta.deadline_ms <= now_ms() => meta.version <= was.version(),
        Some(meta) => was.has(ALIVE | LOOSE) && meta.version == was.version(),
    };
    if !fine {
        w.oracle.fault(Fault::Lost, &format!("key {key}: delete found {found:?}, was {was:?}"));
    }
    w.count(Figure::Deleted);
}

fn touch(w: &mut Worker, key: u64) {
    let (name, now) = (name_of(key), now_ms());
    let id = w.section.key_id(0, &name);
    let deadline_ms = if flag_of(key) == LOOSE { now + 1 + w.random.u64(..LIFE_MS) } else { now + LONG_MS };
    let was = begin(&w.oracle, key, Intent::Touch, issued(&w.oracle, key));
    let found = w.watched("touch", |s| s.set_deadline(&id, &name, deadline_ms, now));
    back(&w.oracle, key, was);
    let fine = match found {
        None => !was.has(ALIVE),
        Some(meta) => was.has(ALIVE | LOOSE) && meta.version == was.version(),
    };
    if !fine {
        let here = w.section.peek(&id, &name, now);
        w.oracle.fault(Fault::Lost, &format!("key {key}: touch found {found:?}, was {was:?}, peek {here:?}"));
    }
    w.count(Figure::Touched);
}

fn flush(w: &Worker) {
    for key in 0..w.keys {
        begin(&w.oracle, key, Intent::Flush, issued(&w.oracle, key));
    }
    w.watched("flush", |s| s.flush_db(None, now_ms()));
    for key in 0..w.keys {
        gone(&w.oracle, key);
    }
    w.count(Figure::Flushed);
}

/// A reader's whole life.
pub(crate) fn read(mut w: Worker) {
    while !w.stopping() {
        let key = w.some_key();
        if one_in(&mut w.random, 5_000) {
            scan(&mut w);
        } else {
            read_one(&mut w, key);
        }
    }
}

fn read_one(w: &mut Worker, key: u64) {
    let was = truth(&w.oracle, key);
    let (_, answer) = w.get(key);
    let is = truth(&w.oracle, key);
    if was != is || was.has(BUSY) {
        return;
    }
    // Nothing happened to this key while it was read: the answer has to be exact.
    w.count(Figure::Checked);
    let fault = match answer {
        Ok(_) if !was.has(ALIVE | LOOSE) => Some(Fault::AfterDelete),
        Ok(meta) if meta.version != was.version() => Some(Fault::Wrong),
        Err(Lookup::Miss { .. }) if was.has(ALIVE) => Some(Fault::Lost),
        _ => None,
    };
    if let Some(fault) = fault {
        w.oracle.fault(fault, &format!("key {key}: {answer:?}, where the owner said {was:?}"));
    }
}

/// Some of the index: each record shown must be one that may be read.
fn scan(w: &mut Worker) {
    let deleted: Vec<u64> = (0..w.keys).map(|key| w.oracle.deleted(key).load(SeqCst)).collect();
    let from = w.random.u64(..) % w.section.geometry().buckets;
    let mut seen = Vec::new();
    w.watched("scan", |s| {
        s.scan_buckets(from, 50, now_ms(), &mut |meta, key| seen.push((meta.version, key.to_vec())))
    });
    for (version, name) in seen {
        let key = demoter::key_of(&name).filter(|key| *key < w.keys);
        if key.is_none_or(|key| version <= deleted[key as usize] || version > issued(&w.oracle, key)) {
            w.oracle.fault(Fault::AfterDelete, &format!("a scan showed {name:?} version {version}"));
        }
    }
}
