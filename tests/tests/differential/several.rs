//! Calls of several connections in turns: what one does and what the others are told of it. WATCH, channels and
//! client-side caches only show between connections.

use super::SENTINEL;
use gs_tests::node::{Node, Spec};
use gs_tests::oracle::Oracle;
use gs_tests::wire::{Value, Wire, encode};
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
        if resp3 {
            wire.hello3();
        }
        let id = wire.call(&["CLIENT", "ID"]).int();
        Party { wire, id, queues: false }
    }

    /// Everything that comes until the answer to a word of our own, as raw bytes. Only sent when `answers` have come:
    /// what is told behind them would else be told before or behind that word, as it happens.
    fn heard(&mut self, answers: usize) -> Vec<u8> {
        let (mut all, mut left) = (Vec::new(), answers);
        while left > 0 {
            let Ok((raw, value)) = self.wire.raw_reply() else { return all };
            all.extend(raw);
            left -= usize::from(!matches!(value, Value::Push(_)));
        }
        let mut out = Vec::new();
        encode(&mut out, &["PING", SENTINEL]);
        self.wire.send(&out);
        loop {
            match self.wire.raw_reply() {
                Ok((_, value)) if value.flat().contains(SENTINEL) => return all,
                Ok((raw, _)) => all.extend(raw),
                Err(_) => return all,
            }
        }
    }
}

/// Plays calls `PARTY WORD ...; ...` and returns what each party heard after each. A party whose name is a capital
/// speaks RESP3. `{x}` is the number of party x; `PAUSE` lets 40 ms pass, `LAPSE`
/// more than a second, for a life that must not end before the calls in between; `|` sends several calls in one write.
fn play(addr: &str, story: &str) -> Vec<String> {
    Wire::connect(addr).call(&["FLUSHALL"]);
    let mut parties: BTreeMap<String, Party> = BTreeMap::new();
    let (mut transcript, mut gone) = (Vec::new(), Vec::new());
    for line in story.split("; ") {
        let (name, call) = line.split_once(' ').expect("a party and a call");
        if let Some(ms) =
            [("PAUSE", 40), ("LAPSE", 1_040)].iter().find_map(|(w, ms)| (*w == call).then_some(*ms))
        {
            let since = Instant::now();
            gs_tests::wait::until_true("time passed", || since.elapsed() > Duration::from_millis(ms));
            continue;
        }
        if call == "GONE" {
            let id = parties.remove(name).expect("it was there").id;
            gone.push((name.to_owned(), id));
            // The server notices by itself, and nothing tells when.
            let there =
                || Wire::connect(addr).call(&["CLIENT", "LIST"]).flat().contains(&format!("id={id} "));
            gs_tests::wait::until_true("the connection is gone", || !there());
            continue;
        }
        let resp3 = name.chars().all(char::is_uppercase);
        parties.entry(name.to_owned()).or_insert_with(|| Party::connect(addr, resp3));
        let mut call = call.to_owned();
        for (other, party) in &parties {
            call = call.replace(&format!("{{{other}}}"), &party.id.to_string());
        }
        let party = parties.get_mut(name).expect("it was made");
        // Confirmations of subscriptions are pushes, as many as there are channels.
        let answers = if call.contains("SUBSCRIBE") { 0 } else { call.split('|').count() };
        let mut out = Vec::new();
        for one in call.split('|') {
            let words: Vec<&str> = one.split_whitespace().collect();
            party.queues |= words[0] == "MULTI";
            party.queues &= !["EXEC", "DISCARD", "RESET"].contains(&words[0]);
            encode(&mut out, &words);
        }
        party.wire.send(&out);
        // What it did is done when it has its answer; then the others are asked what they heard of it.
        let others = parties.keys().filter(|other| *other != name).cloned().collect::<Vec<_>>();
        for other in [name.to_owned()].into_iter().chain(others) {
            let party = parties.get_mut(&other).expect("it is there");
            let raw = match (party.queues, other == name) {
                (false, acts) => party.heard(if acts { answers } else { 0 }),
                (true, true) => party.wire.raw_reply().map(|(raw, _)| raw).unwrap_or_default(),
                (true, false) => Vec::new(),
            };
            let mut text = String::from_utf8_lossy(&raw).escape_debug().to_string();
            text = text.replace(&format!(":{}\\r", party.id), ":{self}\\r");
            if !text.is_empty() {
                transcript.push(format!("{line} -> {other}: {text}"));
            }
        }
    }
    let numbers =
        parties.iter().map(|(name, party)| (name.clone(), party.id)).chain(gone).collect::<Vec<_>>();
    for line in &mut transcript {
        for (name, id) in &numbers {
            *line = line.replace(&format!(":{id}\\r"), &format!(":{{{name}}}\\r"));
        }
    }
    transcript
}

/// Plays every story on both servers.
fn compare(stories: &[&str]) {
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
        "a WATCH k; a MULTI; a SET k 1; a EXEC; b GET k",
        "A WATCH k; b SET k 2; A MULTI; A SET k 1; A EXEC; b GET k; A MULTI; A PING; A EXEC",
        "a WATCH k; b SET k 2; a MULTI; a SET k 1; a EXEC; b GET k",
        "b SET k 1; a WATCH k; b SET k 1; a MULTI; a PING; a EXEC",
        "a WATCH k; b DEL k; a MULTI; a PING; a EXEC",
        "b SET k 1; a WATCH k; b DEL k; a MULTI; a PING; a EXEC",
        "b SET k 1; a WATCH k; b DEL k; b SET k 1; a MULTI; a PING; a EXEC",
        "b SET k 1; a WATCH k; b EXPIRE k 100; a MULTI; a PING; a EXEC",
        "b SET k 1 EX 50; a WATCH k; b EXPIRE k 100; a MULTI; a PING; a EXEC",
        "b SET k 1 EX 50; a WATCH k; b PERSIST k; a MULTI; a PING; a EXEC",
        "b SET k 1; a WATCH k; b PERSIST k; b EXPIRE none 5; a MULTI; a PING; a EXEC",
        "b SET k 1; a WATCH k; b GETEX k EX 50; a MULTI; a PING; a EXEC",
        "b SET k 1; a WATCH k; b GET k; b GETEX k; b SETNX k 2; b SET k 2 NX; a MULTI; a PING; a EXEC",
        "b SET k 1; a WATCH k; b APPEND k x; a MULTI; a PING; a EXEC",
        "b SET k 1; a WATCH k; b GETDEL k; a MULTI; a PING; a EXEC",
        "a WATCH k; b INCR k; a MULTI; a PING; a EXEC",
        "a WATCH j k; b MSET x 1 k 2; a MULTI; a PING; a EXEC",
        "b SET k 1 PX 1000; a WATCH k; a LAPSE; a MULTI; a PING; a EXEC",
        "b SET k 1 PX 1000; a WATCH k; a LAPSE; b GET k; a MULTI; a PING; a EXEC",
        "b SET k 1 PX 20; b PAUSE; a WATCH k; b GET k; a MULTI; a PING; a EXEC",
        "b SET k 1 PX 20; b PAUSE; a WATCH k; a MULTI; a PING; a EXEC",
        "b SET k 1 PX 20; b PAUSE; a WATCH k; b DEL k; a MULTI; a PING; a EXEC",
        "b SET k 1; a WATCH k; b FLUSHDB; a MULTI; a PING; a EXEC",
        "b SET k 1; a WATCH k; b FLUSHALL; a MULTI; a PING; a EXEC",
        "a WATCH k; b FLUSHALL; a MULTI; a PING; a EXEC",
        "b SET k 1; a WATCH k; b SELECT 1; b FLUSHDB; b SET k 2; a MULTI; a PING; a EXEC",
        "a SELECT 1; a WATCH k; a SELECT 0; b SELECT 1; b SET k 2; a MULTI; a PING; a EXEC",
        "a WATCH k; b SET k 2; a UNWATCH; a MULTI; a PING; a EXEC",
        "a WATCH k; a MULTI; a PING; a DISCARD; b SET k 2; a MULTI; a PING; a EXEC",
        "a WATCH k; b SET k 2; a RESET; a MULTI; a PING; a EXEC",
        "a WATCH k; a SET k 1; a MULTI; a PING; a EXEC",
        "a WATCH k k; a MULTI; a SET k 1; a SET k 2; a EXEC; a MULTI; a GET k; a EXEC",
        "a WATCH k; a MULTI; b SET k 2; a WATCH j; a UNWATCH; a EXEC; a MULTI; a EXEC",
        "a WATCH k; b SET k 2; a MULTI; a NOSUCH; a EXEC; a MULTI; a PING; a EXEC",
        "a WATCH k; b SET k 2; a WATCH j; a MULTI; a PING; a EXEC x; a MULTI; a PING; a EXEC",
        "a WATCH k; a MULTI; a FLUSHALL; a SET k 1; a DBSIZE; a EXEC",
        "b SET k 1; a WATCH k; a MULTI; a FLUSHALL; a GET k; b SET k 2; a EXEC; b GET k",
        "a WATCH; a UNWATCH x; a WATCH k; a EXEC; a DISCARD; b SET k 1; a MULTI; a PING; a EXEC",
    ]);
}

#[test]
fn channels_and_shard_channels() {
    compare(&[
        "a SUBSCRIBE c; b PUBLISH c m; a PSUBSCRIBE c*; b PUBLISH c m; b PUBSUB NUMPAT; b PUBSUB NUMSUB c d",
        "A SUBSCRIBE c; B PUBLISH c m; A GET k; A PSUBSCRIBE c* d*; B PUBLISH cc m; A PUNSUBSCRIBE; B PUBLISH cc m",
        "a SSUBSCRIBE s t; b SPUBLISH s m; b PUBLISH s m; a SUBSCRIBE s; b PUBLISH s m; b SPUBLISH s m",
        "A SSUBSCRIBE t; B SPUBLISH s m; A SUBSCRIBE c; A PSUBSCRIBE *; B SPUBLISH t m; A SUNSUBSCRIBE; B SPUBLISH t m",
        "a SUNSUBSCRIBE; a SUNSUBSCRIBE x; a SSUBSCRIBE s s; a GET k; a SUNSUBSCRIBE s x; a GET k",
        "b PUBSUB SHARDCHANNELS; a SSUBSCRIBE s t; b PUBSUB SHARDNUMSUB; b PUBSUB SHARDNUMSUB s x t; b PUBSUB SHARDCHANNELS s*",
        "a SSUBSCRIBE s; b PUBSUB CHANNELS; b PUBSUB NUMSUB s; b PUBSUB SHARDCHANNELS x y; a RESET; b PUBSUB SHARDCHANNELS",
        "a MULTI; a SSUBSCRIBE s; a SUBSCRIBE c; a SPUBLISH s m; a EXEC; b PUBLISH c m; a RESET; a GET k",
        "a SUBSCRIBE c; a RESET; b PUBLISH c m; a GET k; a PSUBSCRIBE p; a SSUBSCRIBE s; b PUBSUB NUMPAT; a QUIT",
        "a SSUBSCRIBE; a SPUBLISH s; a SPUBLISH s m n; a PUBSUB SHARDNUMSUB; a PUBSUB SHARDNONSENSE",
        "a UNSUBSCRIBE; a PUNSUBSCRIBE; a SUNSUBSCRIBE; A UNSUBSCRIBE; A PUNSUBSCRIBE x; A SUNSUBSCRIBE",
        "a SUBSCRIBE c; a SSUBSCRIBE s; a UNSUBSCRIBE; a GET k; a SUNSUBSCRIBE; a GET k",
    ]);
}

/// Every mode of CLIENT TRACKING: what is pushed, when, to whom, and what is refused.
#[test]
fn client_side_caching() {
    compare(&[
        "A CLIENT TRACKING ON; A GET k; b SET k 1; b SET k 2; A GET k; b DEL k; b DEL k; A GET k",
        "A CLIENT TRACKING ON; A MGET k l; b MSET k 1 l 2 m 3; A EXISTS m; A TTL m; A STRLEN m; b EXPIRE m 50; b APPEND m x",
        "A CLIENT TRACKING ON; A SELECT 2; A GET k; b SET k 1; A TYPE k; b FLUSHDB; A GET k; b FLUSHALL; b SET k 1",
        "A CLIENT TRACKING ON; A GET k; A SET k 1; A GET k; A MULTI; A SET k 2; A GET k; A EXEC; A SET k 3; A FLUSHALL",
        "A CLIENT TRACKING ON|GET k|SET k 1|GET k|SET k 2|PING; A GET k|FLUSHALL|PING",
        "A CLIENT TRACKING ON NOLOOP; A GET k; A SET k 1; A GET k; b SET k 2; A GET k; A FLUSHALL",
        "b SET k 1 PX 1000; A CLIENT TRACKING ON; A GET k; A LAPSE; b GET k",
        "A CLIENT TRACKING ON OPTIN; A GET k; b SET k 1; A CLIENT CACHING YES; A GET k; b SET k 2; A GET k; b SET k 3",
        "A CLIENT TRACKING ON OPTIN; A CLIENT CACHING YES; A MULTI; A PTTL k; A GET k; A EXEC; b SET k 2; A GET k; b SET k 3",
        "A CLIENT TRACKING ON OPTIN; A CLIENT CACHING YES; A CLIENT ID; A GET k; b SET k 1; A CLIENT CACHING YES; A PING; A GET k; b SET k 2",
        "A CLIENT TRACKING ON OPTOUT; A GET k; b SET k 1; A CLIENT CACHING NO; A GET k; b SET k 2; A GET k; b SET k 3",
        "A CLIENT TRACKING ON BCAST; b SET k 1; b MSET z 1 a 2 m 3; b DEL none; b DEL z a; b FLUSHALL; A SET k 1; A MULTI; A SET k 2; A SET l 2; A EXEC",
        "A CLIENT TRACKING ON BCAST|SET k 1|SET l 1|SET k 2|PING; A CLIENT TRACKING OFF|SET k 1",
        "A CLIENT TRACKING ON BCAST PREFIX a PREFIX b; b MSET a1 1 b1 1 c1 1 a0 1; A CLIENT TRACKING ON BCAST PREFIX c; b MSET c1 1 a1 1; A CLIENT TRACKINGINFO",
        "A CLIENT TRACKING ON BCAST NOLOOP; A SET k 1; b SET k 2; A FLUSHALL; B CLIENT TRACKING ON BCAST PREFIX k; A MSET k 1 l 2",
        "A CLIENT TRACKING ON; A GET k; A CLIENT TRACKING OFF; A CLIENT TRACKING ON BCAST PREFIX z; b SET k 1; A CLIENT TRACKING OFF; A CLIENT TRACKING ON; b SET k 2",
        "A MULTI; A CLIENT TRACKING ON; A GET k; A EXEC; b SET k 1; A GET k; A SET k 2; A CLIENT TRACKINGINFO",
        "A MULTI; A GET k; A CLIENT TRACKING ON; A SET l 1; A EXEC; b SET k 1; A GET l; b SET l 2",
        "A MULTI; A CLIENT TRACKING ON BCAST; A SET k 1; A EXEC; b SET k 2; A MULTI; A CLIENT TRACKING OFF; A SET k 3; A EXEC",
        "A MULTI; A CLIENT TRACKING ON; A CLIENT TRACKING ON BCAST; A GET k; A EXEC; b SET k 1; A CLIENT TRACKINGINFO",
        "a SUBSCRIBE __redis__:invalidate; b CLIENT TRACKING ON REDIRECT {a}; b GET k; c SET k 1; b CLIENT GETREDIR; b CLIENT TRACKINGINFO; c FLUSHALL",
        "a SUBSCRIBE other; B CLIENT TRACKING ON REDIRECT {a}; B GET k; B SET k 1; B CLIENT GETREDIR",
        "a PING; b CLIENT TRACKING ON REDIRECT {a}; b GET k; c SET k 1; a SUBSCRIBE x; b GET k; c SET k 1",
        "A PING; b CLIENT TRACKING ON REDIRECT {A}; b GET k; c SET k 1; b CLIENT TRACKING OFF; c SET k 2",
        "A PING; B CLIENT TRACKING ON BCAST REDIRECT {A}; c MSET k 1 l 2; c FLUSHALL; B RESET; c SET k 2",
        "a SUBSCRIBE x; B CLIENT TRACKING ON REDIRECT {a}; B GET k; a GONE; c SET k 1; B CLIENT TRACKINGINFO; B CLIENT GETREDIR",
        "b CLIENT TRACKING ON; b GET k; c SET k 1; b CLIENT TRACKINGINFO; b PING",
        "A CLIENT TRACKING ON; A GET k; A RESET; A CLIENT TRACKINGINFO; b SET k 1",
        "A CLIENT TRACKING; A CLIENT TRACKING x; A CLIENT TRACKING ON REDIRECT; A CLIENT TRACKING ON REDIRECT 99999; A CLIENT TRACKING ON REDIRECT abc; b PING; A CLIENT TRACKING ON REDIRECT {b} REDIRECT {b}; A CLIENT TRACKING OFF REDIRECT 99999; A CLIENT TRACKING OFF BCAST OPTIN; A CLIENT TRACKING OFF x",
        "A CLIENT TRACKING ON PREFIX a; A CLIENT TRACKING ON BCAST OPTIN; A CLIENT TRACKING ON OPTIN OPTOUT; A CLIENT TRACKING ON BCAST PREFIX a PREFIX ab; A CLIENT TRACKING ON BCAST PREFIX ab PREFIX a PREFIX b; A CLIENT TRACKING ON BCAST PREFIX a; A CLIENT TRACKING ON BCAST PREFIX ab; A CLIENT TRACKING ON BCAST; A CLIENT TRACKING ON",
        "A CLIENT CACHING YES; A CLIENT TRACKING ON OPTIN; A CLIENT CACHING NO; A CLIENT CACHING x; A CLIENT CACHING YES; A CLIENT TRACKINGINFO; A CLIENT TRACKING ON OPTOUT; A CLIENT TRACKING ON; A CLIENT CACHING YES; A CLIENT TRACKING ON OPTOUT; A CLIENT CACHING NO; A CLIENT TRACKINGINFO; A CLIENT CACHING; A CLIENT GETREDIR x; A CLIENT TRACKINGINFO x",
    ]);
}

/// A client that hears itself reads its own replies in order: what it publishes comes behind them, at the top level,
/// as in Redis since 7.2. Redis 7.0 puts it before, in EXEC between the answers of the transaction.
#[test]
fn what_one_publishes_to_oneself_comes_behind_the_reply() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let spec = Spec::role("relay", &dir.path().join("relay")).flag("port", 0).flag("sibling-port", 0);
    let node = Node::start(spec.flag("capacity", "16mb").set("sibling_mode", "inside"));
    let said = |text: &str| format!(">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n{text}\r\n");
    let mut wire = node.wire();
    wire.hello3();
    let send = |wire: &mut Wire, calls: &[&str]| {
        let mut out = Vec::new();
        calls.iter().for_each(|call| encode(&mut out, &call.split(' ').collect::<Vec<_>>()));
        wire.send(&out);
    };
    send(&mut wire, &["SUBSCRIBE c", "PUBLISH c x", "GET k", "PUBLISH c y", "PING"]);
    let subscribed = ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n";
    let expected = format!("{subscribed}:1\r\n{}_\r\n:1\r\n{}+PONG\r\n", said("x"), said("y"));
    wire.expect_bytes(expected.as_bytes());
    send(&mut wire, &["MULTI", "PUBLISH c x", "GET k", "PUBLISH c y", "EXEC", "PING"]);
    let queued = "+QUEUED\r\n".repeat(3);
    let expected = format!("+OK\r\n{queued}*3\r\n:1\r\n_\r\n:1\r\n{}{}+PONG\r\n", said("x"), said("y"));
    wire.expect_bytes(expected.as_bytes());
    // A broadcasting client gets its keys in one push, whatever else it is told.
    send(&mut wire, &["CLIENT TRACKING ON BCAST", "MSET a 1 b 2", "PUBLISH c x", "SET d 3"]);
    let keys = ">2\r\n$10\r\ninvalidate\r\n*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nd\r\n";
    wire.expect_bytes(format!("+OK\r\n+OK\r\n:1\r\n+OK\r\n{}{keys}", said("x")).as_bytes());
}
