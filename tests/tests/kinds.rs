//! Hashes, sets and sorted sets travel as sessions do: what was pushed down is found by its type, comes up whole
//! with its remaining life, and nobody who expects a string is given its bytes.

use gs_tests::cluster::{Cluster, Plan};
use gs_tests::front::Machine;
use gs_tests::sessions::Load;
use gs_tests::wire::{Value, Wire};
use gs_tests::{peek, wait};
use std::collections::BTreeSet;

/// Collections of each kind.
const EACH: usize = 300;

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

/// More than a relay of 2 MB holds, so that what was written before sinks.
const LOAD: Load = Load { count: 8_000, len: 384, ttl_s: 3_600, edition: 1 };

fn write(wire: &mut Wire) {
    for n in 0..EACH {
        let (hash, set, sorted) = (format!("hash:{n}"), format!("set:{n}"), format!("sorted:{n}"));
        wire.call(&["HSET", &hash, "absexp", "-1", "data", &"x".repeat(100)]);
        wire.call(&["SADD", &set, "10", "9"]);
        wire.call(&["ZADD", &sorted, "2", "b", "1.5", "a"]);
        for key in [&hash, &set, &sorted] {
            assert_eq!(wire.call(&["EXPIRE", key, "5000"]), Value::Int(1));
        }
    }
}

fn scan(wire: &mut Wire, kind: &str) -> BTreeSet<String> {
    let (mut seen, mut cursor) = (BTreeSet::new(), "0".to_owned());
    loop {
        let page = wire.call(&["SCAN", &cursor, "COUNT", "500", "TYPE", kind]);
        seen.extend(page.items()[1].items().iter().map(Value::text));
        cursor = page.items()[0].text();
        if cursor == "0" {
            return seen;
        }
    }
}

/// Keys of a prefix that live on a relief and nowhere else.
fn sunk(wire: &mut Wire, prefix: &str) -> Vec<String> {
    let keys = (0..EACH).map(|n| format!("{prefix}:{n}"));
    keys.filter(|key| !peek::tiers(wire, key).contains(&"relay".to_owned())).collect()
}

fn pressed() -> Cluster {
    let cluster = Plan::relay("2mb").expansion("4mb").aging("32mb").start();
    let mut wire = cluster.wire();
    write(&mut wire);
    assert_eq!(LOAD.write(&mut wire, 0..LOAD.count), []);
    for prefix in ["hash", "set", "sorted"] {
        wait::until_true("some of each kind live below", || {
            // They were written first and are the coldest.
            wire.call(&["GS.AGE", "RUN", "500"]);
            sunk(&mut wire, prefix).len() > 20
        });
    }
    cluster
}

#[test]
fn collections_sink_and_rise_whole() {
    let cluster = pressed();
    let mut wire = cluster.wire();
    for prefix in ["hash", "set", "sorted"] {
        let wanted: BTreeSet<String> = (0..EACH).map(|n| format!("{prefix}:{n}")).collect();
        assert_eq!(scan(&mut wire, if prefix == "sorted" { "zset" } else { prefix }), wanted);
    }
    assert_eq!(scan(&mut wire, "string").len(), LOAD.count);

    let [hash, set, sorted] = ["hash", "set", "sorted"].map(|prefix| sunk(&mut cluster.wire(), prefix));
    // Asked as what it is not, each comes up and is not touched.
    for key in [&hash[0], &set[0], &sorted[0]] {
        for call in
            [&["GET", key.as_str()][..], &["INCR", key], &["APPEND", key, "x"], &["SETRANGE", key, "0", "x"]]
        {
            assert_eq!(wire.call(call), Value::Error(WRONG_TYPE.into()), "{call:?}");
        }
    }
    assert_eq!(wire.call(&["TYPE", &hash[1]]).text(), "hash");
    assert_eq!(wire.call(&["OBJECT", "ENCODING", &set[1]]).text(), "intset");
    for key in &hash {
        assert_eq!(wire.call(&["HMGET", key, "absexp", "nope", "data"]).items()[0], Value::bulk("-1"));
        assert_eq!(wire.call(&["HINCRBY", key, "absexp", "5"]), Value::Int(4));
        assert_eq!(wire.call(&["HLEN", key]), Value::Int(2));
    }
    for key in &set {
        assert_eq!(wire.call(&["SMEMBERS", key]).items(), [Value::bulk("9"), Value::bulk("10")]);
        assert_eq!(wire.call(&["SADD", key, "11"]), Value::Int(1));
    }
    for key in &sorted {
        assert_eq!(wire.call(&["ZPOPMIN", key]).items(), [Value::bulk("a"), Value::bulk("1.5")]);
    }
    for key in hash.iter().chain(&set).chain(&sorted) {
        let left = wire.call(&["TTL", key]).int();
        assert!((4_800..=5_000).contains(&left), "{key} has {left} s left");
    }
    assert_eq!(wire.call(&["DBSIZE"]), Value::Int((3 * EACH + LOAD.count) as i64));
    assert_eq!(cluster.all_metrics().losses(), 0.0, "a metric of loss moved");
}

/// Both names may be anywhere; afterwards only the new one exists, in no tier the old one.
#[test]
fn keys_are_renamed_and_copied_across_the_tiers() {
    let cluster = pressed();
    let mut wire = cluster.wire();
    let [hash, set] = ["hash", "set"].map(|prefix| sunk(&mut cluster.wire(), prefix));
    let before = wire.call(&["DBSIZE"]).int();
    for (n, (from, to)) in hash.iter().zip(&set).take(10).enumerate() {
        // Onto a name that lives below, and onto a free one.
        assert_eq!(wire.call(&["RENAMENX", from, to]), Value::Int(0));
        assert_eq!(wire.call(&["RENAME", from, to]), Value::ok());
        assert_eq!(wire.call(&["HGET", to, "absexp"]), Value::bulk("-1"));
        assert_eq!(wire.call(&["EXISTS", from]), Value::Int(0));
        assert!(peek::tiers(&mut wire, from).is_empty(), "{from} is still somewhere");
        assert!(wire.call(&["TTL", to]).int() > 4_800);
        assert_eq!(wire.call(&["COPY", to, &format!("new:{n}")]), Value::Int(1));
    }
    assert_eq!(wire.call(&["DBSIZE"]), Value::Int(before));
    // Into another database and over a name that lives below there is the same question.
    let from = &hash[10];
    assert_eq!(wire.call(&["COPY", from, from, "DB", "3"]), Value::Int(1));
    assert_eq!(wire.call(&["MOVE", from, "3"]), Value::Int(0));
    assert_eq!(wire.call(&["MOVE", &hash[11], "3"]), Value::Int(1));
    wire.call(&["MULTI"]);
    for call in [&["MOVE", hash[12].as_str(), "3"][..], &["RENAME", &hash[13], "x"], &["HLEN", "x"]] {
        wire.call(call);
    }
    let replies = wire.call(&["EXEC"]);
    assert_eq!(replies.items(), [Value::Int(1), Value::ok(), Value::Int(2)]);
    assert_eq!(wire.call(&["SELECT", "3"]), Value::ok());
    assert_eq!(wire.call(&["DBSIZE"]), Value::Int(3));
    assert_eq!(wire.call(&["HGET", &hash[12], "absexp"]), Value::bulk("-1"));
}

/// Session commands and front ends read strings: they are told what the key holds, and never given its bytes.
#[test]
fn who_expects_a_session_is_told_what_it_is() {
    let cluster = Plan::relay("4mb").start();
    let mut wire = cluster.wire();
    wire.call(&["HSET", "h", "f", "secret"]);
    let told = wire.call(&["GS.GET", "h"]);
    assert!(
        matches!(&told, Value::Error(text) if text.starts_with("WRONGTYPE the key holds a hash")),
        "{told:?}"
    );
    assert!(!wire.call(&["GS.PEEK", "h"]).flat().contains("secret"));
    let checked = wire.call(&["GS.CHECKHASH", "h", "x"]);
    assert_eq!(checked, Value::Error(WRONG_TYPE.into()));

    let dir = tempfile::tempdir().expect("a directory can be made");
    let machine = Machine::new(dir.path(), &cluster.relay.addr(), env!("CARGO_BIN_EXE_gs-test-front-end"));
    let mut front = machine.create().ready();
    let answer = front.ask("get h");
    assert!(answer.starts_with("error another kind of value: WRONGTYPE the key holds a hash"), "{answer}");
    // A session that becomes a hash: the copy here goes, and what comes after it is the relay's word.
    wire.call(&["SET", "s", "session"]);
    wait::until_true("the session is here", || front.ask("get s").contains("session"));
    wire.call(&["MULTI"]);
    wire.call(&["DEL", "s"]);
    wire.call(&["HSET", "s", "f", "secret"]);
    wire.call(&["EXEC"]);
    wait::until_true("the front end heard of it", || front.ask("get s").contains("holds a hash"));
    assert_eq!(front.ask("local s"), front.ask("local nothing"));
}

/// The oracle is older than these; what is expected is what Redis 8 documents.
#[test]
fn hash_commands_of_redis_8() {
    let cluster = Plan::relay("4mb").start();
    let mut wire = cluster.wire();
    let mut told = |line: &str| wire.call(&line.split(' ').collect::<Vec<_>>());
    assert_eq!(told("HSETEX h FNX FIELDS 2 a 1 b 2"), Value::Int(1));
    assert_eq!(told("HSETEX h FNX FIELDS 2 b 3 c 3"), Value::Int(0));
    assert_eq!(told("HSETEX h FXX KEEPTTL FIELDS 1 c 3"), Value::Int(0));
    assert_eq!(told("HSETEX h FXX FIELDS 1 b 4"), Value::Int(1));
    let values = [Value::bulk("1"), Value::Null, Value::bulk("4")];
    assert_eq!(told("HGETEX h FIELDS 3 a nope b").items(), values);
    assert_eq!(told("HGETEX h PERSIST FIELDS 1 a").items(), &values[..1]);
    assert_eq!(told("HGETDEL h FIELDS 3 a nope b").items(), values);
    assert_eq!(told("EXISTS h"), Value::Int(0));
    assert_eq!(told("HGETDEL h FIELDS 1 a").items(), [Value::Null]);
    assert_eq!(told("HSET h a 1 b 2"), Value::Int(2));
    assert_eq!(told("HSCAN h 0 NOVALUES").items()[1].items(), [Value::bulk("a"), Value::bulk("b")]);
    let refused = [
        ("HGETDEL h FIELD 1 a", "ERR Mandatory argument FIELDS is missing or not at the right position"),
        ("HGETDEL h FIELDS 0 a", "ERR Number of fields must be a positive integer"),
        ("HGETDEL h FIELDS 2 a", "ERR The `numfields` parameter must match the number of arguments"),
        ("HSETEX h FIELDS 1 a", "ERR wrong number of arguments for 'hsetex' command"),
        ("HSETEX h FIELDS 2 a 1 b", "ERR The `numfields` parameter must match the number of arguments"),
    ];
    for (line, text) in refused {
        assert_eq!(told(line), Value::Error(text.into()), "{line}");
    }
    // A deadline that would not be kept is refused, and nothing is set.
    for line in ["HSETEX h EX 10 FIELDS 1 a 9", "HGETEX h PX 10 FIELDS 1 a", "HSETEX h EXAT 10 FIELDS 1 a 9"]
    {
        let answer = told(line);
        assert!(
            matches!(&answer, Value::Error(text) if text.contains("have no deadlines")),
            "{line}: {answer:?}"
        );
    }
    assert_eq!(told("HGET h a"), Value::bulk("1"));
}

/// A collection is one record: one that would not fit is refused in words that say so, and stays as it was.
#[test]
fn a_collection_is_bounded_by_a_value() {
    let cluster = Plan::relay("8mb").set("section.value_bytes_max", "64kb").start();
    let mut wire = cluster.wire();
    let part = "x".repeat(10_000);
    for n in 0..6 {
        assert_eq!(wire.call(&["HSET", "h", &format!("f{n}"), &part]), Value::Int(1));
    }
    for call in [&["HSET", "h", "f6", &part][..], &["SETRANGE", "s", "70000", "x"]] {
        let answer = wire.call(call);
        let Value::Error(text) = &answer else { panic!("{call:?} was taken") };
        assert!(text.contains("section.value_bytes_max") || text.contains("proto-max-bulk-len"), "{text}");
    }
    assert_eq!(wire.call(&["HLEN", "h"]), Value::Int(6));
    assert_eq!(wire.call(&["EXISTS", "s"]), Value::Int(0));
}
