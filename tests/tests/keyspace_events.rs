//! Keyspace events: what subscribers hear of keys that change. Spring's indexed sessions clean up by them, so a
//! name, an order or a class that differs from Redis's leaves sessions lying about for ever.

use gs_tests::cluster::{Cluster, Plan};
use gs_tests::node::{Node, Spec};
use gs_tests::oracle::Oracle;
use gs_tests::sessions::Load;
use gs_tests::wait;
use gs_tests::wire::{Value, Wire};
use std::time::{Duration, Instant};

/// Calls that make every event that the commands of both servers have, expiry by access among them.
const CALLS: &[&str] = &[
    "SET a 1",
    "SET a 2 EX 100",
    "SET a 3 NX",
    "SET a 4 XX KEEPTTL",
    "SETEX b 100 x",
    "PSETEX b 100000 x",
    "SETNX c 1",
    "SETNX c 2",
    "GETSET c 3",
    "MSET d 1 e 2",
    "APPEND d x",
    "APPEND f x",
    "INCR n",
    "DECRBY n 3",
    "EXPIRE a 200",
    "EXPIRE a 50",
    "EXPIRE nope 50",
    "PEXPIREAT a 9999999999999",
    "PERSIST a",
    "PERSIST a",
    "GETEX a EX 100",
    "GETEX a PERSIST",
    "GETEX a",
    "GETDEL a",
    "GETDEL a",
    "GETEX missing",
    "SET o 1 GET",
    "GETSET p 1",
    "DEL b c nope",
    "UNLINK d",
    "SET g 1",
    "EXPIRE g 0",
    "SET g 1",
    "EXPIREAT g 1",
    "SET h 1 PX 30",
    "PAUSE",
    "GET h",
    "SET h 1 PX 30",
    "PAUSE",
    "DEL h",
    "SET h 1 PX 30",
    "PAUSE",
    "SET h 2",
    "SET h 1 PX 30",
    "PAUSE",
    "EXPIRE h 100",
    "SETRANGE r 2 xy",
    "INCRBYFLOAT r2 1.5",
    "RENAME r r3",
    "RENAMENX r3 r4",
    "COPY r4 r5",
    "HSET hh f 1 g 2",
    "HINCRBY hh f 1",
    "HINCRBYFLOAT hh f 1",
    "HSETNX hh f 1",
    "HDEL hh f nope",
    "HDEL hh g",
    "SADD ss a b",
    "SADD ss a",
    "SREM ss a",
    "SPOP ss",
    "ZADD zz 1 a 2 b",
    "ZINCRBY zz 1 a",
    "ZREM zz a",
    "ZREM zz b",
    "HGET missing f",
    "SMEMBERS missing",
    "GET missing",
    "MGET missing e missing",
    "EXISTS missing",
    "TTL missing",
    "TYPE missing",
    "STRLEN missing",
    "OBJECT ENCODING missing",
    "HSET hh a 1 b 2",
    "HSET hh a 1",
    "HSETNX hh a 3",
    "HSETNX hh c 3",
    "HINCRBY hh a 1",
    "HINCRBYFLOAT hh a 1.5",
    "HDEL hh nope",
    "HDEL hh a b",
    "HDEL hh c",
    "HMSET hh a 1",
    "HGET hh nope",
    "HGETALL missing",
    "SADD ss 1 2 3",
    "SADD ss 1",
    "SREM ss 1 9",
    "SREM ss nope",
    "SPOP ss 5",
    "SPOP ss",
    "SADD ss 1",
    "SPOP ss",
    "ZADD zz 1 a 2 b",
    "ZADD zz 1 a",
    "ZADD zz INCR 1 a",
    "ZINCRBY zz 0 a",
    "ZINCRBY zz 1 b",
    "ZREM zz nope",
    "ZREM zz a",
    "ZPOPMIN zz",
    "ZADD zz 1 a 2 b 3 c 4 d",
    "ZPOPMAX zz 1",
    "ZREMRANGEBYSCORE zz 1 1",
    "ZREMRANGEBYRANK zz 0 0",
    "ZREMRANGEBYSCORE zz -inf inf",
    "ZREMRANGEBYRANK zz 0 0",
    "MSETNX ma 1 mb 2",
    "MSETNX mb 1 mc 1",
    "SETRANGE ma 1 x",
    "INCRBYFLOAT mf 1.5",
    "RENAME ma mc",
    "RENAME mc mb",
    "RENAMENX mb mf",
    "RENAMENX mb md",
    "COPY md me",
    "COPY md me",
    "COPY md me REPLACE",
    "MOVE me 1",
    "COPY md me DB 1",
    "COPY md mx DB 1",
    "RENAME md md",
    "SELECT 3",
    "SET a 1",
    "MULTI",
    "SET m 1",
    "INCR m",
    "DEL m",
    "EXEC",
    "FLUSHDB",
    "SELECT 0",
    "FLUSHALL",
];

/// What a subscriber to everything hears of the calls.
fn heard(mut wire: Wire, mut ear: Wire) -> Vec<String> {
    ear.call(&["PSUBSCRIBE", "__key*"]);
    for line in CALLS {
        if *line == "PAUSE" {
            // Asking the server would be an access: what is waited for is only the time.
            let since = Instant::now();
            wait::until_true("the life that was given is over", || {
                since.elapsed() > Duration::from_millis(40)
            });
            continue;
        }
        wire.call(&line.split(' ').collect::<Vec<_>>());
    }
    wire.call(&["PUBLISH", "__key-end", ""]);
    let mut told = Vec::new();
    loop {
        let message = ear.must_reply();
        let items = message.items();
        if items[2].text() == "__key-end" {
            return told;
        }
        told.push(format!("{} {}", items[2].text(), items[3].text()));
    }
}

/// The active sweep of either server may come before the access: what of a call is told first is not compared
/// for these, only that it is told once.
#[test]
fn the_events_are_those_of_redis() {
    let Some(oracle) = Oracle::start() else { return };
    for classes in ["AKEmn", "Egx", "K$", "KE"] {
        oracle.wire().call(&["CONFIG", "SET", "notify-keyspace-events", classes]);
        oracle.wire().call(&["FLUSHALL"]);
        let dir = tempfile::tempdir().expect("a directory can be made");
        let spec = Spec::role("relay", dir.path())
            .flag("capacity", "4mb")
            .flag("port", 0)
            .flag("sibling-port", 0)
            .flag("http-port", "off");
        let node = Node::start(spec.set("notify_keyspace_events", classes));
        let wanted = heard(oracle.wire(), oracle.wire());
        let told = heard(node.wire(), node.wire());
        assert_eq!(told, wanted, "with {classes:?}");
        assert_eq!(wanted.is_empty(), classes == "KE", "{classes:?} is told something: {wanted:?}");
    }
}

fn listen(cluster: &Cluster, channel: &str) -> Wire {
    let mut ear = cluster.wire();
    ear.call(&["SUBSCRIBE", channel]);
    ear
}

/// Nobody asks for the keys again: only the sweep can tell that they ended.
#[test]
fn what_nobody_touches_expires_audibly() {
    let cluster = Plan::relay("4mb").set("notify_keyspace_events", "Ex").start();
    let mut ear = listen(&cluster, "__keyevent@0__:expired");
    let mut wire = cluster.wire();
    let keys: Vec<String> = (0..200).map(|n| format!("s:{n:03}")).collect();
    for key in &keys {
        wire.call(&["SET", key, "x", "PX", "20"]);
    }
    let mut told: Vec<String> = keys.iter().map(|_| ear.must_reply().items()[2].text()).collect();
    told.sort();
    assert_eq!(told, keys, "each key expires once");
}

/// A session that moved to a relief still ends audibly at the relay, where the application listens.
#[test]
fn what_expires_on_a_relief_is_told_by_the_relay() {
    let plan = Plan::relay("2mb").aging("16mb").set_all("notify_keyspace_events", "Exe");
    let cluster = plan.start();
    let mut expired = listen(&cluster, "__keyevent@0__:expired");
    // Few and large: more than the relay holds is written long before the first of them ends.
    let load = Load { count: 1_000, len: 4_000, ttl_s: 5, edition: 1 };
    assert_eq!(load.write(&mut cluster.wire(), 0..load.count), []);
    let below = |cluster: &Cluster| cluster.metrics().sum(|name, _| name == "gs_demoted_total");
    wait::until_true("some sessions live below", || below(&cluster) > 100.0);
    let mut seen = std::collections::HashMap::new();
    for _ in 0..load.count {
        *seen.entry(expired.must_reply().items()[2].text()).or_insert(0) += 1;
    }
    assert!(seen.values().all(|n| *n == 1), "each session ends once");
    assert_eq!(seen.len() as u64, load.count as u64);
}

/// A relay that drops what does not fit says which keys it dropped.
#[test]
fn what_is_dropped_for_room_is_told() {
    let cluster =
        Plan::relay("1mb").set("notify_keyspace_events", "Ee").set("section.on_full", "drop").start();
    let mut ear = listen(&cluster, "__keyevent@0__:evicted");
    let load = Load { count: 6_000, len: 384, ttl_s: 3_600, edition: 1 };
    assert_eq!(load.write(&mut cluster.wire(), 0..load.count), []);
    let key = ear.must_reply().items()[2].text();
    assert_eq!(cluster.wire().call(&["GET", &key]), Value::Null, "{key} was dropped");
}
