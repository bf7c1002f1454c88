//! Calls of several connections in turns: what one does and what the others are told of it. WATCH, channels and
//! client-side caches only show between connections.

use super::SENTINEL;
use gs_tests::node::{Node, Spec};
use gs_tests::oracle::Oracle;
use gs_tests::wire::{Wire, encode};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One connection of a story.
struct Party {
    wire: Wire,
    id: i64,
    /// True while it queues: nothing may be sent in between.
    queues: bool,
}

impl Party {
    fn connect(addr: &str, resp3: bool) -> Party {
        let mut wire = Wire::connect(addr);
        wire.patience(Duration::from_secs(20));
        if resp3 {
            wire.hello3();
        }
        let id = wire.call(&["CLIENT", "ID"]).int();
        Party { wire, id, queues: false }
    }

    /// Everything that comes until the answer to a word of our own, as raw bytes.
    fn heard(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut out, &["PING", SENTINEL]);
        self.wire.send(&out);
        let mut all = Vec::new();
        loop {
            match self.wire.raw_reply() {
                Ok((_, value)) if value.flat().contains(SENTINEL) => return all,
                Ok((raw, _)) => all.extend(raw),
                Err(_) => return all,
            }
        }
    }
}

/// Plays lines `PARTY WORD ...` and returns what each party heard after each. A party whose name is a capital
/// speaks RESP3. `{x}` is the number of party x; `PAUSE` lets 40 ms pass; `|` sends several calls in one write.
fn play(addr: &str, lines: &[&str]) -> Vec<String> {
    Wire::connect(addr).call(&["FLUSHALL"]);
    let mut parties: BTreeMap<String, Party> = BTreeMap::new();
    let mut transcript = Vec::new();
    for line in lines {
        let (name, call) = line.split_once(' ').expect("a party and a call");
        if call == "PAUSE" {
            let since = Instant::now();
            gs_tests::wait::until_true("time passed", || since.elapsed() > Duration::from_millis(40));
            continue;
        }
        if call == "GONE" {
            parties.remove(name);
            // The server notices by itself, and nothing tells when.
            let gone = || Wire::connect(addr).call(&["CLIENT", "LIST"]).flat().lines().count();
            gs_tests::wait::until_true("the connection is gone", || gone() <= parties.len() + 1);
            continue;
        }
        let resp3 = name.chars().all(char::is_uppercase);
        parties.entry(name.to_owned()).or_insert_with(|| Party::connect(addr, resp3));
        let mut call = call.to_owned();
        for (other, party) in &parties {
            call = call.replace(&format!("{{{other}}}"), &party.id.to_string());
        }
        let party = parties.get_mut(name).expect("it was made");
        let mut out = Vec::new();
        for one in call.split('|') {
            let words: Vec<&str> = one.split_whitespace().collect();
            party.queues |= words[0] == "MULTI";
            party.queues &= !["EXEC", "DISCARD", "RESET"].contains(&words[0]);
            encode(&mut out, &words);
        }
        party.wire.send(&out);
        for (other, party) in &mut parties {
            let mut raw = Vec::new();
            if !party.queues {
                raw = party.heard();
            } else if other == name {
                raw = party.wire.raw_reply().map(|(raw, _)| raw).unwrap_or_default();
            }
            let mut text = String::from_utf8_lossy(&raw).escape_debug().to_string();
            text = text.replace(&format!(":{}\\r", party.id), ":{self}\\r");
            if !text.is_empty() {
                transcript.push(format!("{line} -> {other}: {text}"));
            }
        }
    }
    let numbers: Vec<(String, i64)> = parties.iter().map(|(name, party)| (name.clone(), party.id)).collect();
    for line in &mut transcript {
        for (name, id) in &numbers {
            *line = line.replace(&format!(":{id}\\r"), &format!(":{{{name}}}\\r"));
        }
    }
    transcript
}

/// Plays every story on both servers.
fn compare(stories: &[&[&str]]) {
    let Some(oracle) = Oracle::start() else { return };
    let dir = tempfile::tempdir().expect("a directory can be made");
    let spec = Spec::role("relay", &dir.path().join("relay")).flag("port", 0).flag("sibling-port", 0);
    let node =
        Node::start(spec.flag("capacity", "16mb").flag("http-port", "off").set("sibling_mode", "inside"));
    let mut findings = Vec::new();
    for story in stories {
        let (theirs, mine) = (play(oracle.addr(), story), play(&node.addr(), story));
        let all = theirs.len().max(mine.len());
        let differ = (0..all).find(|n| theirs.get(*n) != mine.get(*n));
        if let Some(n) = differ {
            findings.push(format!("{story:?}\n    redis: {:?}\n    gs:    {:?}", theirs.get(n), mine.get(n)));
        }
    }
    assert!(findings.is_empty(), "{} of {}:\n{}", findings.len(), stories.len(), findings.join("\n"));
}

#[test]
fn watched_keys() {
    compare(&[
        &["a WATCH k", "a MULTI", "a SET k 1", "a EXEC", "b GET k"],
        &[
            "A WATCH k",
            "b SET k 2",
            "A MULTI",
            "A SET k 1",
            "A EXEC",
            "b GET k",
            "A MULTI",
            "A PING",
            "A EXEC",
        ],
        &["a WATCH k", "b SET k 2", "a MULTI", "a SET k 1", "a EXEC", "b GET k"],
        &["b SET k 1", "a WATCH k", "b SET k 1", "a MULTI", "a PING", "a EXEC"],
        &["a WATCH k", "b DEL k", "a MULTI", "a PING", "a EXEC"],
        &["b SET k 1", "a WATCH k", "b DEL k", "a MULTI", "a PING", "a EXEC"],
        &["b SET k 1", "a WATCH k", "b DEL k", "b SET k 1", "a MULTI", "a PING", "a EXEC"],
        &["b SET k 1", "a WATCH k", "b EXPIRE k 100", "a MULTI", "a PING", "a EXEC"],
        &["b SET k 1 EX 50", "a WATCH k", "b EXPIRE k 100", "a MULTI", "a PING", "a EXEC"],
        &["b SET k 1 EX 50", "a WATCH k", "b PERSIST k", "a MULTI", "a PING", "a EXEC"],
        &["b SET k 1", "a WATCH k", "b PERSIST k", "b EXPIRE none 5", "a MULTI", "a PING", "a EXEC"],
        &["b SET k 1", "a WATCH k", "b GETEX k EX 50", "a MULTI", "a PING", "a EXEC"],
        &[
            "b SET k 1",
            "a WATCH k",
            "b GET k",
            "b GETEX k",
            "b SETNX k 2",
            "b SET k 2 NX",
            "a MULTI",
            "a PING",
            "a EXEC",
        ],
        &["b SET k 1", "a WATCH k", "b APPEND k x", "a MULTI", "a PING", "a EXEC"],
        &["b SET k 1", "a WATCH k", "b GETDEL k", "a MULTI", "a PING", "a EXEC"],
        &["a WATCH k", "b INCR k", "a MULTI", "a PING", "a EXEC"],
        &["a WATCH j k", "b MSET x 1 k 2", "a MULTI", "a PING", "a EXEC"],
        &["b SET k 1 PX 20", "a WATCH k", "a PAUSE", "a MULTI", "a PING", "a EXEC"],
        &["b SET k 1 PX 20", "a WATCH k", "a PAUSE", "b GET k", "a MULTI", "a PING", "a EXEC"],
        &["b SET k 1 PX 20", "b PAUSE", "a WATCH k", "b GET k", "a MULTI", "a PING", "a EXEC"],
        &["b SET k 1 PX 20", "b PAUSE", "a WATCH k", "a MULTI", "a PING", "a EXEC"],
        &["b SET k 1 PX 20", "b PAUSE", "a WATCH k", "b DEL k", "a MULTI", "a PING", "a EXEC"],
        &["b SET k 1", "a WATCH k", "b FLUSHDB", "a MULTI", "a PING", "a EXEC"],
        &["b SET k 1", "a WATCH k", "b FLUSHALL", "a MULTI", "a PING", "a EXEC"],
        &["a WATCH k", "b FLUSHALL", "a MULTI", "a PING", "a EXEC"],
        &["b SET k 1", "a WATCH k", "b SELECT 1", "b FLUSHDB", "b SET k 2", "a MULTI", "a PING", "a EXEC"],
        &["a SELECT 1", "a WATCH k", "a SELECT 0", "b SELECT 1", "b SET k 2", "a MULTI", "a PING", "a EXEC"],
        &["a WATCH k", "b SET k 2", "a UNWATCH", "a MULTI", "a PING", "a EXEC"],
        &["a WATCH k", "a MULTI", "a PING", "a DISCARD", "b SET k 2", "a MULTI", "a PING", "a EXEC"],
        &["a WATCH k", "b SET k 2", "a RESET", "a MULTI", "a PING", "a EXEC"],
        &["a WATCH k", "a SET k 1", "a MULTI", "a PING", "a EXEC"],
        &["a WATCH k k", "a MULTI", "a SET k 1", "a SET k 2", "a EXEC", "a MULTI", "a GET k", "a EXEC"],
        &["a WATCH k", "a MULTI", "b SET k 2", "a WATCH j", "a UNWATCH", "a EXEC", "a MULTI", "a EXEC"],
        &["a WATCH k", "b SET k 2", "a MULTI", "a NOSUCH", "a EXEC", "a MULTI", "a PING", "a EXEC"],
        &[
            "a WATCH k",
            "b SET k 2",
            "a WATCH j",
            "a MULTI",
            "a PING",
            "a EXEC x",
            "a MULTI",
            "a PING",
            "a EXEC",
        ],
        &["a WATCH k", "a MULTI", "a FLUSHALL", "a SET k 1", "a DBSIZE", "a EXEC"],
        &["b SET k 1", "a WATCH k", "a MULTI", "a FLUSHALL", "a GET k", "b SET k 2", "a EXEC", "b GET k"],
        &[
            "a WATCH",
            "a UNWATCH x",
            "a WATCH k",
            "a EXEC",
            "a DISCARD",
            "b SET k 1",
            "a MULTI",
            "a PING",
            "a EXEC",
        ],
    ]);
}
