//! Client-side caches: whoever keeps a value it read must hear of the change that makes it old, or a logged-out
//! session lives on in some process's memory.

use gs_tests::cluster::{Cluster, Plan};
use gs_tests::sessions::Load;
use gs_tests::wait;
use gs_tests::wire::{Value, Wire};
use std::collections::HashMap;
use std::sync::Barrier;

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

/// Keeps what it reads as client libraries do, and drops what a push names.
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

    /// Asks for all of them in one call: between the first read of it and the last there is time for a change.
    fn read(&mut self, keys: &[String]) {
        let call: Vec<&str> = ["MGET"].into_iter().chain(keys.iter().map(String::as_str)).collect();
        let values = self.ask(&call);
        self.kept.extend(keys.iter().cloned().zip(values.items().iter().cloned()));
    }
}

/// Readers on other threads read many keys in one call while a writer changes each of them once. When the writer is
/// done and every message has come, nothing old is left in any cache: no change slipped between a read and its note,
/// none overtook the reply.
#[test]
fn no_cache_keeps_what_has_changed() {
    const READERS: usize = 3;
    const ROUNDS: usize = 100;
    let cluster = Plan::relay("8mb").set("threads", 4).start();
    let barrier = Barrier::new(READERS + 1);
    let keys = |round: usize| (0..200).map(|n| format!("k{round}:{n}")).collect::<Vec<_>>();
    let stale: Vec<String> = std::thread::scope(|scope| {
        let (cluster, barrier, keys) = (&cluster, &barrier, &keys);
        let read = move || {
            let mut cache = Cache { wire: caching(cluster, &[]), kept: HashMap::new() };
            let mut stale = Vec::new();
            for round in 0..ROUNDS {
                barrier.wait();
                cache.read(&keys(round));
                barrier.wait();
                // Everything that was posted before is written before this answer.
                cache.ask(&["PING"]);
                stale.extend(
                    cache.kept.drain().filter(|(_, kept)| *kept == Value::bulk("old")).map(|(key, _)| key),
                );
            }
            stale
        };
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(read)).collect();
        let mut wire = cluster.wire();
        let set = |key: String, value: &str| vec!["SET".to_owned(), key, value.to_owned()];
        for round in 0..ROUNDS {
            wire.pipeline(&keys(round).into_iter().map(|key| set(key, "old")).collect::<Vec<_>>());
            barrier.wait();
            // From the end, so that what was read first changes last.
            wire.pipeline(&keys(round).into_iter().rev().map(|key| set(key, "new")).collect::<Vec<_>>());
            barrier.wait();
        }
        readers.into_iter().flat_map(|reader| reader.join().expect("a reader")).collect()
    });
    assert_eq!(stale, Vec::<String>::new(), "old values stayed in caches");
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
    let cut = || cluster.metrics().sum(|name, _| name == "gs_clients_cut_total");
    wait::until_true("it is cut off", || {
        for n in 0..200 {
            other.call(&["SET", &format!("{key}{n}"), "x", "PX", "1000"]);
        }
        cut() > 0.0
    });
}
