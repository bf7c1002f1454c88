//! Calls that nobody thought of: made from the command table's own grammar, in sequences on one connection, and
//! sent to both servers. `GS_DIFFERENTIAL_CALLS` says how many (100,000 if it does not), `GS_DIFFERENTIAL_SEED`
//! repeats one.

mod calls;
mod grammar;

use super::{Answer, Call, Protocol, connect, wanted};
use calls::Random;
use gs_tests::node::{Node, Spec};
use gs_tests::oracle::Oracle;
use gs_tests::wire::{Value, Wire, encode};
use std::collections::{BTreeMap, BTreeSet};

/// Calls of one sequence.
const SEQUENCE: usize = 40;
/// Calls of an ordinary run, both protocols together.
const CALLS: usize = 100_000;
/// Differences shown at most.
const SHOWN: usize = 30;

/// Commands that are not made up, with the reason.
const LEFT_OUT: &[&str] = &[
    // One call has several answers, or none, or some that come when they will; hand-written cases have them.
    "subscribe",
    "unsubscribe",
    "psubscribe",
    "punsubscribe",
    "ssubscribe",
    "sunsubscribe",
    "monitor",
    "client|reply",
    "client|tracking",
    "client|caching",
    // They end or stop the server, the connection or others, or change what later calls may do.
    "quit",
    // Without replicas Redis waits for them for ever.
    "wait",
    "shutdown",
    "client|kill",
    "client|pause",
    "config|set",
    "config|rewrite",
    "auth",
    "hello",
    "replicaof",
    "slaveof",
    "failover",
    "debug",
    // Any word is told that there is no cluster.
    "cluster",
    // Scripts that are made up are unknown ones; the known ones have cases of their own.
    "eval",
    "eval_ro",
    "script|load",
];

/// Commands that tell of the server and not of the data, or choose at random: errors are equal, and other answers
/// have the same form.
const OF_EACH_OWN: &[&str] = &[
    "acl",
    "client",
    "command",
    "config",
    "function",
    "hrandfield",
    "info",
    "latency",
    "lolwut",
    "memory",
    "module",
    "object|freq",
    "object|help",
    "object|idletime",
    "pubsub|help",
    "randomkey",
    "role",
    "script|help",
    "slowlog",
    "srandmember",
    "time",
    "zrandmember",
];

/// Commands that remove what they choose at random: what follows them is another story on each server.
const PARTING: &[&str] = &["spop"];

fn sequence(random: &mut Random, of: &[grammar::Grammar]) -> Vec<Vec<Vec<u8>>> {
    (0..SEQUENCE)
        .map(|_| {
            let grammar = random.one(of);
            calls::call(random, grammar)
        })
        .collect()
}

/// The answers to calls that were sent all at once.
fn answers(addr: &str, protocol: Protocol, calls: &[Vec<Vec<u8>>]) -> Vec<Answer> {
    let mut wire = connect(addr, protocol);
    let mut out = Vec::new();
    calls.iter().for_each(|words| encode(&mut out, words));
    wire.send(&out);
    calls
        .iter()
        .map(|words| match wire.raw_reply() {
            Ok((raw, value)) => Answer { raw, values: vec![value], closed: false },
            Err(e) => panic!("{addr} does not answer {}: {e}", shown(words)),
        })
        .collect()
}

fn shown(words: &[Vec<u8>]) -> String {
    words.iter().map(|word| format!("{:?}", String::from_utf8_lossy(word))).collect::<Vec<_>>().join(" ")
}

/// Both databases: every key with its type, its value in an order of its own, and its deadline to ten seconds.
fn keyspace(addr: &str) -> BTreeMap<(usize, String), (String, Vec<String>, i64)> {
    let mut wire = Wire::connect(addr);
    let mut all = BTreeMap::new();
    for db in 0..2 {
        wire.call(&["SELECT", &db.to_string()]);
        for key in wire.call(&["KEYS", "*"]).items() {
            let key = key.text();
            let kind = wire.call(&["TYPE", &key]).text();
            let value = match kind.as_str() {
                "hash" => wire.call(&["HGETALL", &key]),
                "set" => wire.call(&["SMEMBERS", &key]),
                "zset" => wire.call(&["ZRANGE", &key, "0", "-1", "WITHSCORES"]),
                _ => wire.call(&["GET", &key]),
            };
            let mut parts: Vec<String> = match (&value, kind.as_str()) {
                (Value::Array(items), "hash") => items.chunks(2).map(|pair| format!("{pair:?}")).collect(),
                (Value::Array(items), _) => items.iter().map(|item| format!("{item:?}")).collect(),
                (other, _) => vec![format!("{other:?}")],
            };
            if kind != "zset" {
                parts.sort();
            }
            let left = wire.call(&["PTTL", &key]).int();
            let left = if left < 0 { left } else { (left.min(wanted::DEADLINE_MS_FAR) + 5_000) / 10_000 };
            all.insert((db, key), (kind, parts, left));
        }
    }
    all
}

const QUEUED: &[u8] = b"+QUEUED\r\n";

/// How a comparison of a sequence ended.
enum Verdict {
    /// All answers agree, and so must the keys.
    Equal,
    /// They agree up to a call that chose at random.
    Parted,
    /// This one differs.
    Differs(String),
}

fn is_one_of(names: &[&str], words: &[Vec<u8>]) -> bool {
    let lower =
        |n: usize| String::from_utf8_lossy(words.get(n).map_or(&[][..], Vec::as_slice)).to_lowercase();
    let (one, two) = (lower(0), format!("{}|{}", lower(0), lower(1)));
    names.iter().any(|name| *name == one || *name == two)
}

fn agree(words: &[Vec<u8>], theirs: &Answer, mine: &Answer) -> bool {
    let error = |a: &Answer| a.values.iter().any(|v| matches!(v, Value::Error(_)));
    let form = |a: &Answer| std::mem::discriminant(&a.values[0]);
    // Where Redis echoes a word in an error, a zero byte ends it.
    let zero = is_one_of(OF_EACH_OWN, words) && words.iter().any(|word| word.contains(&0));
    theirs.raw == mine.raw
        || wanted::differs(&Call::Words(words.to_vec()), theirs, mine)
        || zero && error(theirs) && error(mine)
        || (is_one_of(OF_EACH_OWN, words) || is_one_of(PARTING, words))
            && !error(theirs)
            && !error(mine)
            && theirs.raw != QUEUED
            && mine.raw != QUEUED
            && form(theirs) == form(mine)
}

/// As [`agree`] for what EXEC answers: each queued call for itself.
fn agree_in_exec(queued: &[&Vec<Vec<u8>>], theirs: &Answer, mine: &Answer) -> bool {
    let (Value::Array(theirs), Value::Array(mine)) = (&theirs.values[0], &mine.values[0]) else {
        return theirs.raw == mine.raw;
    };
    let part = |value: &Value| Answer {
        raw: format!("{value:?}").into_bytes(),
        values: vec![value.clone()],
        closed: false,
    };
    theirs.len() == queued.len()
        && mine.len() == queued.len()
        && queued.iter().zip(theirs.iter().zip(mine)).all(|(words, (a, b))| {
            let agreed = agree(words, &part(a), &part(b));
            if !agreed {
                println!("in EXEC: {}: redis {a:?}, gs {b:?}", shown(words));
            }
            agreed
        })
}

fn judge(
    seed: u64,
    protocol: Protocol,
    calls: &[Vec<Vec<u8>>],
    (theirs, mine): (Vec<Answer>, Vec<Answer>),
) -> Verdict {
    let mut queued = Vec::new();
    for (n, words) in calls.iter().enumerate() {
        let (theirs, mine) = (&theirs[n], &mine[n]);
        let in_exec = is_one_of(&["exec"], words);
        let agreed = if in_exec { agree_in_exec(&queued, theirs, mine) } else { agree(words, theirs, mine) };
        if agreed {
            let chosen = |words: &Vec<Vec<u8>>| is_one_of(PARTING, words);
            let was_queued = theirs.raw == QUEUED;
            if (chosen(words) && !was_queued) || (in_exec && queued.iter().any(|words| chosen(words))) {
                return Verdict::Parted;
            }
            match was_queued {
                true => queued.push(words),
                false if is_one_of(&["exec", "discard", "reset"], words) => queued.clear(),
                false => {}
            }
            continue;
        }
        let about = |other: &&Vec<Vec<u8>>| other.iter().skip(1).any(|word| words.get(1) == Some(word));
        let before: Vec<String> = calls[..n].iter().filter(about).map(|words| shown(words)).collect();
        return Verdict::Differs(format!(
            "seed {seed} {protocol:?} call {n}: {}\n    after {}\n    redis: {}\n    gs:    {}",
            shown(words),
            before.join(" ; "),
            String::from_utf8_lossy(&theirs.raw).escape_debug(),
            String::from_utf8_lossy(&mine.raw).escape_debug(),
        ));
    }
    Verdict::Equal
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a number"))
}

// What a client may send is more than anybody writes down: whatever the table's grammar allows, and what comes
// near it, is answered as Redis answers it, and leaves the same keys behind.
#[test]
fn whatever_the_grammar_allows() {
    let Some(oracle) = Oracle::start() else { return };
    let dir = tempfile::tempdir().expect("a directory can be made");
    let spec = Spec::role("relay", &dir.path().join("relay")).flag("port", 0).flag("sibling-port", 0);
    let node = Node::start(spec.flag("capacity", "16mb").set("sibling_mode", "inside"));
    let ours = node.addr();
    let grammars = grammar::of_both(&ours, oracle.addr(), LEFT_OUT);
    let sequences = number("GS_DIFFERENTIAL_CALLS", CALLS as u64).div_ceil(2 * SEQUENCE as u64);
    let first = number("GS_DIFFERENTIAL_SEED", 1);
    let (mut findings, mut compared, mut used) = (Vec::new(), 0, BTreeSet::new());
    for seed in first..first + sequences {
        let calls = sequence(&mut Random::new(seed), &grammars);
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let both = (answers(oracle.addr(), protocol, &calls), answers(&ours, protocol, &calls));
            compared += calls.len();
            match judge(seed, protocol, &calls, both) {
                Verdict::Equal => {}
                Verdict::Parted => continue,
                Verdict::Differs(found) => {
                    findings.push(found);
                    continue;
                }
            }
            let (theirs, mine) = (keyspace(oracle.addr()), keyspace(&ours));
            if theirs != mine {
                let differ = |key: &&(usize, String)| theirs.get(*key) != mine.get(*key);
                let keys: BTreeSet<_> = theirs.keys().chain(mine.keys()).filter(differ).collect();
                let each = |key: &&(usize, String)| {
                    let about = |words: &&Vec<Vec<u8>>| words.iter().any(|word| *word == key.1.as_bytes());
                    let calls: Vec<String> = calls.iter().filter(about).map(|words| shown(words)).collect();
                    let (theirs, mine, calls) = (theirs.get(*key), mine.get(*key), calls.join(" ; "));
                    format!("{key:?}: redis {theirs:?}, gs {mine:?}, after {calls}")
                };
                findings.push(format!(
                    "seed {seed} {protocol:?}: the keyspace differs\n    {}",
                    keys.iter().map(each).collect::<Vec<_>>().join("\n    ")
                ));
            }
        }
        used.extend(calls.iter().map(|words| command(words, &grammars)));
        assert!(findings.len() < SHOWN, "{compared} calls:\n{}", findings.join("\n"));
    }
    println!("{compared} calls of {} commands, seeds from {first}", used.len());
    assert!(findings.is_empty(), "{} of {compared} calls:\n{}", findings.len(), findings.join("\n"));
    assert_eq!(used.len(), grammars.len(), "some command was never called");
}

/// The name under which a call is counted.
fn command(words: &[Vec<u8>], grammars: &[grammar::Grammar]) -> String {
    let lower =
        |n: usize| words.get(n).map(|word| String::from_utf8_lossy(word).to_lowercase()).unwrap_or_default();
    let two = format!("{}|{}", lower(0), lower(1));
    if grammars.iter().any(|grammar| grammar.words.join("|") == two) { two } else { lower(0) }
}
