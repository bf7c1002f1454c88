//! Client-side caches: whoever keeps a value it read must hear of the change that makes it old, or a logged-out
//! session lives on in some process's memory.

use gs_tests::cluster::{Cluster, Plan};
use gs_tests::sessions::Load;
use gs_tests::wait;
use gs_tests::wire::{Value, Wire};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

fn caching(cluster: &Cluster, options: &[&str]) -> Wire {
    let mut wire = cluster.wire();
    wire.hello3();
    let call = [&["CLIENT", "TRACKING", "ON"], options].concat();
    assert_eq!(wire.call(&call), Value::ok());
    wire
}

/// The keys of an invalidation; none for one of everything.
fn invalidated(push: &Value) -> Option<Vec<String>> {
    let Value::Push(items) = push else { panic!("{push:?} is no push") };
    assert_eq!(items[0].text(), "invalidate");
    match &items[1] {
        Value::Null => None,
        keys => Some(keys.items().iter().map(Value::text).collect()),
    }
}

/// Reads through a local cache as client libraries do: what a push names is dropped, what is not there is asked
/// for and kept.
struct Cache {
    wire: Wire,
    kept: HashMap<String, Value>,
}

impl Cache {
    fn take(&mut self, push: &Value) {
        match invalidated(push) {
            None => self.kept.clear(),
            Some(keys) => keys.iter().for_each(|key| drop(self.kept.remove(key))),
        }
    }

    fn ask(&mut self, words: &[&str]) -> Value {
        let mut reply = self.wire.call(words);
        while let Value::Push(_) = reply {
            self.take(&reply);
            reply = self.wire.must_reply();
        }
        reply
    }

    fn read(&mut self, key: &str) {
        if !self.kept.contains_key(key) {
            let value = self.ask(&["GET", key]);
            self.kept.insert(key.to_owned(), value);
        }
    }
}

/// Readers that cache beside writers on other threads. When the writers have stopped and every message has come,
/// nothing old is left in any cache: no change slipped between a read and its note, none overtook the reply.
#[test]
fn no_cache_keeps_what_has_changed() {
    let cluster = Plan::relay("4mb").set("threads", 4).start();
    let done = AtomicBool::new(false);
    let keys: Vec<String> = (0..8).map(|n| format!("k{n}")).collect();
    let caches: Vec<Cache> = std::thread::scope(|scope| {
        let (cluster, keys, done) = (&cluster, &keys, &done);
        let readers: Vec<_> = (0..6)
            .map(|_| {
                let mut cache = Cache { wire: caching(cluster, &[]), kept: HashMap::new() };
                scope.spawn(move || {
                    for turn in 0.. {
                        if done.load(Ordering::Acquire) {
                            return cache;
                        }
                        cache.read(&keys[turn % keys.len()]);
                        if turn % 16 == 0 {
                            cache.ask(&["PING"]);
                        }
                    }
                    cache
                })
            })
            .collect();
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let mut wire = cluster.wire();
                scope.spawn(move || {
                    for n in 0..1_500 {
                        let key = &keys[(n * 7 + writer) % keys.len()];
                        match n % 11 {
                            0 => drop(wire.call(&["DEL", key])),
                            _ => drop(wire.call(&["SET", key, &format!("{writer}:{n}"), "EX", "600"])),
                        }
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
        done.store(true, Ordering::Release);
        readers.into_iter().map(|reader| reader.join().expect("a reader")).collect()
    });
    let mut wire = cluster.wire();
    for mut cache in caches {
        // Everything that was posted before is written before this answer.
        cache.ask(&["PING"]);
        for (key, kept) in &cache.kept {
            assert_eq!(*kept, wire.call(&["GET", key]), "{key} is old");
        }
    }
}

/// Sessions that nobody touches end in the caches too, on whatever tier they are, and each is told of once.
#[test]
fn expiry_invalidates_on_every_tier() {
    let cluster = Plan::relay("2mb").aging("16mb").start();
    let mut wire = caching(&cluster, &["BCAST", "PREFIX", "watched:"]);
    let mut other = cluster.wire();
    for n in 0..50 {
        other.call(&["SET", &format!("watched:{n}"), "x", "PX", "3000"]);
    }
    let mut told = Vec::new();
    while told.len() < 50 {
        told.extend(invalidated(&wire.must_reply()).expect("keys"));
    }
    Load { count: 6_000, len: 384, ttl_s: 600, edition: 1 }.write(&mut other, 0..6_000);
    other.call(&["GS.AGE", "RUN", "4000"]);
    let mut ended = Vec::new();
    while ended.len() < 50 {
        ended.extend(invalidated(&wire.must_reply()).expect("keys"));
    }
    told.sort();
    ended.sort();
    assert_eq!(ended, told, "each one is told of once");
}

/// A move to a relief and back is no change: caches keep what they have.
#[test]
fn a_move_between_tiers_invalidates_nothing() {
    let cluster = Plan::relay("2mb").aging("16mb").start();
    let (mut wire, mut other) = (caching(&cluster, &[]), cluster.wire());
    other.call(&["SET", "kept", "1", "EX", "600"]);
    assert_eq!(wire.call(&["GET", "kept"]), Value::bulk("1"));
    wait::until("the key lives below", || {
        Load { count: 2_000, len: 384, ttl_s: 600, edition: 1 }.write(&mut other, 0..2_000);
        other.call(&["GS.AGE", "RUN", "4000"]);
        let seen = other.call(&["GS.PEEK", "kept"]).flat();
        if seen.contains("aging") && !seen.contains("relay") { Ok(()) } else { Err(seen) }
    });
    assert_eq!(wire.call(&["PING"]), Value::Simple("PONG".into()), "no push came before");
    // It is brought up by the change, and that is told.
    assert_eq!(other.call(&["APPEND", "kept", "2"]), Value::Int(2));
    assert_eq!(invalidated(&wire.must_reply()), Some(vec!["kept".to_owned()]));
}

/// The table is bounded: at the bound, keys are invalidated early, never forgotten in silence.
#[test]
fn the_table_is_bounded_and_says_what_it_forgets() {
    let cluster = Plan::relay("4mb").set("limits.tracking_table_max_keys", 100).start();
    let mut wire = caching(&cluster, &[]);
    let mut forgotten = Vec::new();
    for n in 0..250 {
        let mut reply = wire.call(&["GET", &format!("k{n}")]);
        while let Value::Push(_) = reply {
            forgotten.extend(invalidated(&reply).expect("keys"));
            reply = wire.must_reply();
        }
    }
    wire.send(b"*1\r\n$4\r\nPING\r\n");
    while let push @ Value::Push(_) = wire.must_reply() {
        forgotten.extend(invalidated(&push).expect("keys"));
    }
    assert_eq!(forgotten.len(), 150, "100 of 250 are remembered");
    // What it still remembers is told of when it changes; what it forgot is not told of twice.
    let mut other = cluster.wire();
    (0..250).for_each(|n| drop(other.call(&["SET", &format!("k{n}"), "x"])));
    for _ in 0..100 {
        let keys = invalidated(&wire.must_reply()).expect("keys");
        assert!(keys.iter().all(|key| !forgotten.contains(key)), "{keys:?} was told of before");
    }
    assert_eq!(wire.call(&["PING"]), Value::Simple("PONG".into()));
}

/// A client that caches and does not read its pushes is cut off; nobody waits for it and nothing grows.
#[test]
fn a_client_that_does_not_read_its_invalidations_is_cut() {
    let cluster = Plan::relay("4mb").set("limits.pubsub_buffer_bytes", "64kb").start();
    let _deaf = caching(&cluster, &["BCAST"]);
    let mut other = cluster.wire();
    let key = "k".repeat(8_000);
    let cut = || cluster.metrics().sum(|name, _| name == "gs_output_cut_total");
    wait::until_true("it is cut off", || {
        for n in 0..200 {
            other.call(&["SET", &format!("{key}{n}"), "x", "PX", "1000"]);
        }
        cut() > 0.0
    });
}
