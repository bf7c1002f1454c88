//! The process that hands records off: it marks, copies and says so to the owner, gives some up again, and
//! takes over what its killed predecessor had marked.

use std::sync::atomic::Ordering::SeqCst;

use gs_shm::*;

use super::oracle::{Fault, Figure, MAILS};
use super::worker::{Worker, name_of, now_ms};
use crate::random::one_in;

/// States of a message's first word.
const EMPTY: u64 = 0;
const FULL: u64 = 1;
/// Victims of one sweep.
const BATCH: u32 = 4;
/// Hand-offs remembered, to be given up late.
const KEPT: usize = 16;

pub(crate) fn work(mut w: Worker) {
    let mut kept: Vec<Victim> = Vec::new();
    let mut victims = Vec::new();
    // Before the first sweep: what was marked before.
    loop {
        victims.clear();
        w.watched("sweep", |s| s.adopt_evicting(&mut victims, 32));
        for victim in &victims {
            w.count(Figure::Adopted);
            decide(&mut w, victim, &mut kept);
        }
        if victims.len() < 32 {
            break;
        }
    }
    while !w.stopping() {
        victims.clear();
        let (now, probes, mut left) = (now_ms(), 1 + w.random.u64(..64) as u32, BATCH);
        let mut take = |view: &View| match view.refs {
            0 if left > 0 => {
                left -= 1;
                Verdict::Take
            }
            _ => Verdict::Demerit,
        };
        w.watched("sweep", |s| s.sweep(probes, now, &mut take, &mut victims));
        for victim in &victims {
            w.count(Figure::Marked);
            decide(&mut w, victim, &mut kept);
        }
        let key = w.some_key();
        let _ = w.get(key);
    }
}

/// Copies a victim, then says that it is stored elsewhere, gives it up, or waits with that.
fn decide(w: &mut Worker, victim: &Victim, kept: &mut Vec<Victim>) {
    let copied = copy(w, victim);
    match (copied, w.random.u64(..10)) {
        (Some((key, meta)), 0..6) => {
            mail(w, key, &meta);
            // Some of these are given up although they were sent: one of the two wins.
            if one_in(&mut w.random, 4) {
                kept.push(*victim);
            }
        }
        (_, 6..8) => abort(w, victim),
        _ => kept.push(*victim),
    }
    if kept.len() > KEPT {
        let at = w.random.u64(..kept.len() as u64) as usize;
        let old = kept.swap_remove(at);
        abort(w, &old);
    }
}

fn abort(w: &Worker, victim: &Victim) {
    if w.watched("abort", |s| s.abort(&victim.at)) {
        w.count(Figure::Aborted);
    }
}

/// The key's number in a name.
pub(crate) fn key_of(name: &[u8]) -> Option<u64> {
    let key = std::str::from_utf8(name.strip_prefix(b"torture:")?).ok()?.parse().ok()?;
    (name_of(key) == name).then_some(key)
}

/// A marked record's key and metadata, every byte of it verified.
pub(crate) fn copy(w: &mut Worker, victim: &Victim) -> Option<(u64, Meta)> {
    let (mut name, mut value) = (Vec::new(), Vec::new());
    let meta = w.watched("copy", |s| s.copy_victim(&victim.at, &mut name, &mut value))?;
    let Some(key) = key_of(&name) else {
        w.oracle.fault(Fault::Torn, &format!("a victim's key is {name:?}"));
        return None;
    };
    w.verify(key, meta.version, &value);
    Some((key, meta))
}

/// Tells the owner, if there is room for a message.
fn mail(w: &Worker, key: u64, meta: &Meta) {
    let Some(words) = (0..MAILS).map(|n| w.oracle.mail(n)).find(|m| m[0].load(SeqCst) == EMPTY) else {
        return;
    };
    let content = [key, meta.version, u64::from(meta.at.index), meta.at.ctl, meta.at.w4];
    for (word, value) in words[1..].iter().zip(content) {
        word.store(value, SeqCst);
    }
    // Last: the owner reads a whole message, or (if this process dies first) none.
    words[0].store(FULL, SeqCst);
}

/// The owner's side: each message is acted on; a message whose owner died at it is acted on again.
pub(crate) fn read_mail(w: &mut Worker, mut act: impl FnMut(&mut Worker, u64, u64, BlockRef)) {
    let at = w.random.u64(..MAILS as u64) as usize;
    for number in [at, (at + 1) % MAILS, (at + 2) % MAILS] {
        let words: [u64; 6] = std::array::from_fn(|n| w.oracle.mail(number)[n].load(SeqCst));
        let [FULL, key, version, index, ctl, w4] = words else {
            continue;
        };
        act(w, key, version, BlockRef { index: index as u32, ctl, w4 });
        w.oracle.mail(number)[0].store(EMPTY, SeqCst);
    }
}
