//! INFO's counters, beside Redis's: the same commands on both, and after each of them both have counted the same. A
//! dashboard made for Redis is right without a change, and what a line says adds up with the totals.

use gs_tests::node::{Node, Spec};
use gs_tests::oracle::Oracle;
use gs_tests::wait;
use gs_tests::wire::{Value, Wire};
use std::collections::BTreeMap;

/// Each is run and judged for itself. Keys: `k` and `i` are strings, `h` a hash, `s` a set, `z` a sorted set, and `n`
/// is never there.
const COMMANDS: &str = "SET k v; GET k; GET n; MGET k n k; STRLEN k; STRLEN n; EXISTS k k n; TYPE k; TYPE n; TTL k; \
    TTL n; PTTL k; EXPIRETIME k; EXPIRETIME n; PEXPIRETIME k; TOUCH k n; OBJECT ENCODING k; OBJECT ENCODING n; \
    OBJECT IDLETIME k; OBJECT REFCOUNT k; OBJECT FREQ k; GETRANGE k 0 1; SUBSTR n 0 1; GETEX k; GETEX k EX 100; \
    GETEX n; GETDEL n; GETDEL k; SET k v; SET k v GET; SET n2 v GET; SET k v NX; SET k v XX; SET n3 v XX; \
    SET k v KEEPTTL; GETSET k w; GETSET n4 w; SETNX k v; SETNX n5 v; APPEND k x; APPEND n6 x; SETRANGE k 1 x; INCR i; \
    INCR i; INCRBYFLOAT i 1; LCS k i; LCS n n; DEL n; DEL n4; UNLINK n5; EXPIRE n 1; EXPIRE k 100; PERSIST k; \
    PERSIST n; RENAME k k2; RENAME k2 k; RENAMENX k i; RENAME n x; COPY k k3; COPY n k4; COPY k k3; MSET a 1 b 2; \
    MSETNX a 1 c 2; HSET h a 1 b 2; HGET h a; HGET h z; HGET n a; HMGET h a z; HMGET n a; HGETALL h; HGETALL n; \
    HKEYS h; HVALS h; HLEN h; HLEN n; HSTRLEN h a; HEXISTS h a; HEXISTS n a; HDEL h b; HDEL n b; HSETNX h a 1; \
    HINCRBY h c 1; HRANDFIELD h; HRANDFIELD n 2; HSCAN h 0; HSCAN n 0; SADD s a b c; SISMEMBER s a; SMEMBERS s; \
    SMEMBERS n; SCARD s; SRANDMEMBER s; SPOP n; SPOP s; SREM s a; SSCAN n 0; ZADD z 1 a 2 b; ZSCORE z a; ZSCORE n a; \
    ZRANGE z 0 -1; ZRANGEBYSCORE n 0 1; ZREVRANGEBYSCORE z 1 0; ZCARD z; ZCOUNT z 0 1; ZINCRBY z 1 a; ZREM z a; \
    ZSCAN z 0; ZPOPMIN z; KEYS *; RANDOMKEY; SCAN 0; DBSIZE; GET h; HGET k a; STRLEN h; LCS h k; MGET h k n; \
    MEMORY USAGE k; MEMORY USAGE n; MOVE k 1; MOVE n 1; WATCH k n; UNWATCH; NOSUCH; GET; SELECT 99; \
    SET k v EX 0; INCR h; CLIENT NOSUCH; CONFIG GET foo; PUBLISH a b; PING; ECHO x; FLUSHDB; GET k";

/// The lines of these sections.
fn info(wire: &mut Wire, sections: &[&str]) -> BTreeMap<String, String> {
    let text = wire.call(&[&["INFO"], sections].concat()).text();
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

fn number(wire: &mut Wire, name: &str) -> i64 {
    let lines = info(wire, &["clients", "stats"]);
    lines.get(name).unwrap_or_else(|| panic!("no {name}")).parse().expect("a number")
}

/// What only counting and not timing decides of a command's line; commands of the family's own links are left out.
fn calls(wire: &mut Wire) -> BTreeMap<String, String> {
    let lines = info(wire, &["commandstats", "errorstats"]);
    let of_clients = lines.into_iter().filter(|(name, _)| !name.starts_with("cmdstat_gs."));
    let without_times = |line: String| {
        let parts: Vec<_> = line.split(',').filter(|part| !part.starts_with("usec")).collect();
        parts.join(",")
    };
    of_clients.map(|(name, line)| (name, without_times(line))).collect()
}

/// Both servers.
struct Pair {
    redis: Oracle,
    node: Node,
    _dir: tempfile::TempDir,
}

impl Pair {
    fn start() -> Option<Pair> {
        let redis = Oracle::start()?;
        let dir = tempfile::tempdir().expect("a directory can be made");
        // No sibling connects by itself and is counted, too.
        let spec = Spec::role("relay", &dir.path().join("relay")).flag("port", 0).ready(&["relay"]);
        let node = Node::start(spec.flag("capacity", "16mb").set("sibling_mode", "external"));
        Some(Pair { redis, node, _dir: dir })
    }

    fn wires(&self) -> [Wire; 2] {
        [self.redis.wire(), self.node.wire()]
    }
}

/// Hits and misses after every command; calls, refusals and errors of each in the end.
#[test]
fn every_command_counts_as_in_redis() {
    let Some(pair) = Pair::start() else { return };
    let mut wires = pair.wires();
    let mut seen = [(0, 0); 2];
    wires.iter_mut().for_each(|wire| drop(wire.call(&["CONFIG", "RESETSTAT"])));
    for command in COMMANDS.split(';') {
        let words: Vec<_> = command.split_whitespace().collect();
        let counted: Vec<_> = wires
            .iter_mut()
            .zip(&mut seen)
            .map(|(wire, seen)| {
                wire.call(&words);
                let now = (number(wire, "keyspace_hits"), number(wire, "keyspace_misses"));
                let before = std::mem::replace(seen, now);
                (now.0 - before.0, now.1 - before.1)
            })
            .collect();
        assert_eq!(counted[0], counted[1], "hits and misses of {command}, Redis's and ours");
    }
    assert!(seen[1].0 > 50 && seen[1].1 > 20, "the commands have found and missed something: {seen:?}");
    for wire in &mut wires {
        let queued = [vec!["MULTI"], vec!["GET", "k"], vec!["NOSUCH"], vec!["EXEC"]];
        wire.pipeline(&queued);
        wire.pipeline(&[
            vec!["MULTI"],
            vec!["SET", "k", "v"],
            vec!["GET", "k"],
            vec!["HGET", "k", "f"],
            vec!["EXEC"],
        ]);
        wire.pipeline(&[vec!["MULTI"], vec!["GET", "k"], vec!["DISCARD"], vec!["EXEC"]]);
    }
    let [redis, gs] = &mut wires;
    assert_eq!(calls(redis), calls(gs));
    for name in ["keyspace_hits", "keyspace_misses", "total_error_replies"] {
        assert_eq!(number(redis, name), number(gs, name), "{name}");
    }
}

/// Connections, subscriptions and deadlines: gauges go down again, totals do not.
#[test]
fn connections_subscriptions_and_deadlines_count_as_in_redis() {
    let Some(pair) = Pair::start() else { return };
    let mut wires = pair.wires();
    let names = ["connected_clients", "total_connections_received", "pubsub_channels", "pubsub_patterns"];
    let mut counted = Vec::new();
    for (wire, addr) in wires.iter_mut().zip([pair.redis.addr().to_owned(), pair.node.addr()]) {
        wire.call(&["CONFIG", "RESETSTAT"]);
        let before = number(wire, "connected_clients");
        let mut others: Vec<Wire> = (0..5).map(|_| Wire::connect(addr.as_str())).collect();
        for other in &mut others {
            other.call(&["PING"]);
        }
        others[0].call(&["SUBSCRIBE", "a"]);
        others[1].call(&["SUBSCRIBE", "a"]);
        others[2].call(&["PSUBSCRIBE", "p*"]);
        let full: Vec<_> = names.map(|name| number(wire, name)).into();
        drop(others.drain(1..));
        wait::until_true("the connections are gone", || number(wire, "connected_clients") == before + 1);
        let fewer: Vec<_> = names.map(|name| number(wire, name)).into();
        counted.push((full[0] - before, full[1..].to_vec(), fewer[1..].to_vec()));
    }
    assert_eq!(counted[0], counted[1], "{names:?} of Redis and ours, with all connections and with fewer");
    for wire in &mut wires {
        for i in 0..20 {
            let life = if i < 8 { "1" } else { "100000" };
            wire.call(&["SET", &format!("d{i}"), "x", "PX", life]);
        }
        wire.call(&["SET", "for-ever", "x"]);
        wire.call(&["DEL", "d9"]);
        // Nobody reads them: a sweep has to find them.
        wait::until_true("the keys have expired", || number(wire, "expired_keys") == 8);
        assert_eq!(wire.call(&["DBSIZE"]), Value::Int(12));
        let line = info(wire, &["keyspace"]).remove("db0").expect("there are keys");
        assert!(line.starts_with("keys=12,expires=11,"), "{line}");
    }
}

/// Bytes in and out are those on the wire, to the byte.
#[test]
fn bytes_are_counted_as_they_are_on_the_wire() {
    let Some(pair) = Pair::start() else { return };
    let mut grown = Vec::new();
    for wire in &mut pair.wires() {
        let before = number(wire, "total_net_input_bytes");
        wire.call(&["SET", "k", &"x".repeat(10_000)]);
        wire.pipeline(&vec![vec!["GET", "k"]; 10]);
        grown.push(number(wire, "total_net_input_bytes") - before);
    }
    assert_eq!(grown[0], grown[1]);
}
