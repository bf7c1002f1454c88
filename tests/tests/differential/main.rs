//! Debian's redis-server is the oracle: the same calls go to it and to the relay, and every reply,
//! every error text and the keyspace afterwards must be equal byte for byte, in RESP2 and in RESP3.
//! What is meant to differ stands in one list (`wanted.rs`) with its reason.

mod cases;
mod connections;
mod generated;
mod hashes;
mod scripts;
mod server;
mod sets;
mod several;
mod sorted;
mod strings;
mod wanted;

use gs_tests::node::{Node, Spec};
use gs_tests::oracle::Oracle;
use gs_tests::sessions::short;
use gs_tests::wire::{Value, Wire, encode};

/// One call after the other on one connection, over an empty keyspace.
#[derive(Clone, Debug)]
pub struct Script {
    /// The calls: words, or raw bytes.
    pub calls: Vec<Call>,
}

/// What is sent.
#[derive(Clone, Debug)]
pub enum Call {
    /// A command as an array of bulk strings.
    Words(Vec<Vec<u8>>),
    /// Bytes as they are.
    Raw(Vec<u8>),
}

/// Ends the replies of a call: whatever came before it belongs to the call.
const SENTINEL: &str = "sentinel-5f2e";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Protocol {
    Resp2,
    Resp3,
}

/// What one server answered to one call.
#[derive(Clone, Debug)]
struct Answer {
    raw: Vec<u8>,
    values: Vec<Value>,
    closed: bool,
}

/// True if the calls queue: then no sentinel may stand between them.
fn queues(script: &Script) -> bool {
    script
        .calls
        .iter()
        .any(|c| matches!(c, Call::Words(w) if w.first().is_some_and(|n| n.eq_ignore_ascii_case(b"multi"))))
}

fn connect(addr: &str, protocol: Protocol) -> Wire {
    let mut wire = Wire::connect(addr);
    wire.call(&["FLUSHALL"]);
    if protocol == Protocol::Resp3 {
        wire.hello3();
    }
    wire
}

fn ask(wire: &mut Wire, call: &Call, sentinel: bool) -> Answer {
    let mut out = match call {
        Call::Words(words) => {
            let mut out = Vec::new();
            encode(&mut out, words);
            out
        }
        Call::Raw(bytes) => bytes.clone(),
    };
    if sentinel {
        encode(&mut out, &["PING", SENTINEL]);
    }
    let mut answer = Answer { raw: Vec::new(), values: Vec::new(), closed: wire.try_send(&out).is_err() };
    loop {
        match wire.raw_reply() {
            Ok((_, value)) if sentinel && value.flat().contains(SENTINEL) => return answer,
            Ok((raw, value)) => {
                answer.raw.extend(raw);
                answer.values.push(value);
                if !sentinel {
                    return answer;
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => panic!("no reply to {call:?}"),
            // After a protocol error the server closes; what follows may be an end or a reset.
            Err(_) => {
                answer.closed = true;
                return answer;
            }
        }
    }
}

fn replay(addr: &str, protocol: Protocol, script: &Script) -> Vec<Answer> {
    let sentinel = !queues(script);
    let mut wire = connect(addr, protocol);
    let mut answers = Vec::new();
    for call in &script.calls {
        let answer = ask(&mut wire, call, sentinel);
        let closed = answer.closed;
        answers.push(answer);
        if closed {
            break;
        }
    }
    answers
}

/// All that a key holds, in an order of its own where the type has none.
fn contents(wire: &mut Wire, key: &[u8], kind: &str) -> Value {
    let sorted = |items: Vec<String>, each: usize| {
        let mut items: Vec<_> = items.chunks(each).map(|part| part.join(" = ")).collect();
        items.sort();
        Value::Simple(items.join(", "))
    };
    let flat = |value: Value| value.items().iter().map(Value::flat).collect::<Vec<_>>();
    match kind {
        "hash" => sorted(flat(wire.call(&[&b"HGETALL"[..], key])), 2),
        "set" => sorted(flat(wire.call(&[&b"SMEMBERS"[..], key])), 1),
        "zset" => wire.call(&[&b"ZRANGE"[..], key, b"0", b"-1", b"WITHSCORES"]),
        _ => wire.call(&[&b"GET"[..], key]),
    }
}

/// The keyspace of the first two databases: key, type, encoding, contents, and deadline to ten seconds.
fn keyspace(addr: &str) -> Vec<(usize, String, String, Value, i64)> {
    let mut wire = Wire::connect(addr);
    let mut all = Vec::new();
    for db in 0..2 {
        assert_eq!(wire.call(&["SELECT", &db.to_string()]), Value::ok());
        for key in wire.call(&["KEYS", "*"]).items() {
            let key = key.bytes();
            let kind = wire.call(&[b"TYPE", key]).text();
            let value = contents(&mut wire, key, &kind);
            // How a string came to be decides its encoding in Redis; gs keeps bytes.
            let kind = match kind.as_str() {
                "string" => kind,
                _ => format!("{kind} ({})", wire.call(&[&b"OBJECT"[..], b"ENCODING", key]).text()),
            };
            let left = wire.call(&[b"PTTL", key]).int();
            // Rounded, because the two servers were not asked in the same instant.
            let left = if left < 0 { left } else { (left.min(wanted::DEADLINE_MS_FAR) + 5_000) / 10_000 };
            all.push((db, String::from_utf8_lossy(key).into_owned(), kind, value, left));
        }
    }
    all.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    all
}

fn compare(name: &str, scripts: &[Script]) {
    let Some(oracle) = Oracle::start() else { return };
    let dir = tempfile::tempdir().expect("a directory can be made");
    // A relay alone: what the family adds is another test's business.
    let node;
    let ours = match std::env::var("GS_DIFFERENTIAL_ADDR") {
        Ok(addr) => addr,
        Err(_) => {
            let spec = Spec::role("relay", &dir.path().join("relay")).flag("port", 0).flag("sibling-port", 0);
            node = Node::start(spec.flag("capacity", "16mb").set("sibling_mode", "inside"));
            node.addr()
        }
    };
    let mut findings = Vec::new();
    let mut compared = 0;
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        for script in scripts {
            let (theirs, mine) = (replay(oracle.addr(), protocol, script), replay(&ours, protocol, script));
            for (n, call) in script.calls.iter().enumerate() {
                let (Some(theirs), Some(mine)) = (theirs.get(n), mine.get(n)) else {
                    if theirs.get(n).is_some() != mine.get(n).is_some() {
                        findings.push(format!(
                            "{protocol:?} {}: only one of the two closed before",
                            shown(script, n)
                        ));
                    }
                    break;
                };
                compared += 1;
                let equal = theirs.raw == mine.raw && theirs.closed == mine.closed;
                if !equal && !wanted::differs(call, theirs, mine) {
                    findings.push(format!(
                        "{protocol:?} {}\n    redis: {}{}\n    gs:    {}{}",
                        shown(script, n),
                        String::from_utf8_lossy(&theirs.raw).escape_debug(),
                        if theirs.closed { " (closed)" } else { "" },
                        String::from_utf8_lossy(&mine.raw).escape_debug(),
                        if mine.closed { " (closed)" } else { "" },
                    ));
                }
            }
            let (theirs, mine) = (keyspace(oracle.addr()), keyspace(&ours));
            if theirs != mine {
                findings.push(format!(
                    "{protocol:?} {}: the keyspace differs\n    redis: {theirs:?}\n    gs:    {mine:?}",
                    shown(script, script.calls.len() - 1)
                ));
            }
        }
    }
    assert!(compared > scripts.len(), "{name}: nothing was compared");
    assert!(findings.is_empty(), "{name}: {} of {compared} differ:\n{}", findings.len(), findings.join("\n"));
}

/// A script up to its n-th call, in few characters.
fn shown(script: &Script, n: usize) -> String {
    let call = |c: &Call| match c {
        Call::Words(words) => {
            let words = words.iter().map(|w| String::from_utf8_lossy(w).escape_debug().to_string());
            short(&Value::Simple(words.collect::<Vec<_>>().join(" ")))
        }
        Call::Raw(bytes) => format!("raw {}", short(&Value::Bulk(bytes.iter().take(60).copied().collect()))),
    };
    script.calls[..=n].iter().map(call).collect::<Vec<_>>().join(" ; ")
}

#[test]
fn strings_and_their_options() {
    compare("strings", &cases::strings());
}

#[test]
fn every_combination_of_set_options() {
    compare("SET options", &cases::set_options());
}

#[test]
fn expiry_and_its_boundary_numbers() {
    compare("expiry", &cases::expiry());
}

#[test]
fn keyspace_and_scan() {
    compare("keyspace", &cases::keyspace());
}

#[test]
fn parts_of_strings_and_numbers_in_them() {
    compare("parts of strings", &strings::parts());
}

#[test]
fn rows_of_the_commands_on_data() {
    compare("rows", &strings::rows());
}

#[test]
fn keys_under_other_names() {
    compare("names", &strings::names());
}

#[test]
fn hashes_and_their_fields() {
    compare("hashes", &hashes::cases());
}

#[test]
fn sets_and_their_members() {
    compare("sets", &sets::cases());
}

#[test]
fn sorted_sets_and_their_ranges() {
    compare("sorted sets", &sorted::cases());
}

#[test]
fn transactions() {
    compare("transactions", &cases::transactions());
}

#[test]
fn connection_and_introspection() {
    compare("connection", &cases::connection());
}

#[test]
fn scripts_of_session_libraries() {
    compare("scripts", &scripts::all());
}

#[test]
fn publish_and_subscribe() {
    compare("pubsub", &cases::pubsub());
}

#[test]
fn inline_and_malformed_requests() {
    compare("raw", &cases::raw());
}

#[test]
fn arity_of_every_command() {
    compare("arity", &cases::arity());
}

#[test]
fn clients_and_their_connections() {
    compare("clients", &connections::clients());
}

#[test]
fn the_server_and_its_options() {
    compare("server", &server::all());
}
