//! Cache mode: every worker is a front end's process. The truth about a key (the relay's answer) is a word
//! of the oracle: `version << 1 | present`.

use std::sync::atomic::Ordering::SeqCst;

use gs_shm::*;

use super::oracle::{Fault, Figure};
use super::worker::{Worker, name_of, now_ms};
use crate::random::one_in;

/// Life of records that have a deadline, in milliseconds.
const LIFE_MS: u64 = 150;

pub(crate) fn work(mut w: Worker) {
    while !w.stopping() {
        let key = w.some_key();
        match w.random.u64(..1000) {
            0..700 => read_through(&mut w, key),
            700..820 => set(&mut w, key),
            820..900 => delete(&mut w, key),
            900..960 => observe(&mut w, key),
            960..998 => hand(&mut w),
            _ if one_in(&mut w.random, 40) => flush(&mut w),
            _ => {}
        }
    }
}

/// A read, and on a miss the question to the relay and a fill with its answer.
fn read_through(w: &mut Worker, key: u64) {
    let (_, answer) = w.get(key);
    if let Err(Lookup::Miss { ticket }) = answer {
        // After the ticket: a flush that begins later than this count began later than the ticket.
        let since = w.oracle.tick();
        let truth = w.oracle.truth(key).load(SeqCst);
        if truth & 1 == 1 {
            fill(w, key, truth >> 1, ticket, since);
        } else if truth != 0 {
            // "Absent since version v" is an answer too, and is observed like one.
            let id = w.section.key_id(0, &name_of(key));
            w.watched("observe", |s| s.observe(&id, &name_of(key), truth >> 1));
            w.oracle.saw(key, truth >> 1);
        }
    }
}

fn fill(w: &mut Worker, key: u64, version: u64, ticket: u64, since: u64) {
    let name = name_of(key);
    let now = now_ms();
    let deadline_ms = if one_in(&mut w.random, 4) { now + 1 + w.random.u64(..LIFE_MS) } else { 0 };
    w.make(key, version, since);
    let value = std::mem::take(&mut w.value);
    let rec = NewRecord {
        id: w.section.key_id(0, &name),
        db: 0,
        key: &name,
        value: &value,
        version,
        deadline_ms,
        kind: (key % 16) as u8,
        created_ms: now,
    };
    let done = w.watched("fill", |s| s.fill(&rec, ticket, now));
    w.value = value;
    match done {
        Fill::Cached => w.count(Figure::Stored),
        Fill::NotCached(NotCached::TooLarge | NotCached::Detached) => {
            w.oracle.fault(Fault::Wrong, &format!("fill of key {key}: {done:?}"));
        }
        Fill::NotCached(_) => w.count(Figure::NotStored),
    }
    // Whether it was kept or not: nothing older is readable from here on.
    w.oracle.saw(key, version);
}

/// What a client's SET does on its host.
fn set(w: &mut Worker, key: u64) {
    let name = name_of(key);
    let id = w.section.key_id(0, &name);
    w.watched("set", |s| s.invalidate(&id, &name, None));
    let ticket = w.section.ticket(&id);
    let since = w.oracle.tick();
    let version = next_version(w, key, 1);
    fill(w, key, version, ticket, since);
}

/// What a client's DEL does on its host: here, at the relay, and here again below the relay's version.
fn delete(w: &mut Worker, key: u64) {
    let name = name_of(key);
    let id = w.section.key_id(0, &name);
    w.watched("delete", |s| s.invalidate(&id, &name, None));
    let version = next_version(w, key, 0);
    w.watched("delete", |s| s.invalidate(&id, &name, Some(version + 1)));
    // The acknowledgement: reads that begin from here on must not see it.
    w.oracle.deleted(key).fetch_max(version, SeqCst);
    w.count(Figure::Deleted);
}

fn next_version(w: &Worker, key: u64, present: u64) -> u64 {
    let next = |truth: u64| Some(((truth >> 1) + 1) << 1 | present);
    let before = w.oracle.truth(key).fetch_update(SeqCst, SeqCst, next);
    (before.unwrap_or_else(|truth| truth) >> 1) + 1
}

/// What the agent does with an invalidation from the stream.
fn observe(w: &mut Worker, key: u64) {
    let version = w.oracle.truth(key).load(SeqCst) >> 1;
    let name = name_of(key);
    let id = w.section.key_id(0, &name);
    w.watched("observe", |s| s.observe(&id, &name, version));
    w.oracle.saw(key, version);
}

/// The shared hand, as a policy moves it, and the other ways through the section.
fn hand(w: &mut Worker) {
    let now = now_ms();
    let probes = 1 + w.random.u64(..100) as u32;
    let from = w.random.u64(..);
    if one_in(&mut w.random, 2) {
        w.watched("sweep", |s| s.sweep(probes, now, &mut |_| Verdict::Demerit, &mut Vec::new()));
    } else {
        w.watched("sweep", |s| s.expire_sweep(from as u32, probes, now, &mut |_, _| ()));
    }
}

/// All of it invisible at once; fills whose tickets are older are stopped.
fn flush(w: &mut Worker) {
    let at = w.oracle.tick();
    let now = now_ms();
    w.watched("flush", |s| s.flush_db(Some(0), now));
    w.flushed(at);
    w.count(Figure::Flushed);
}
