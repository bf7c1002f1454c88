//! A crowd at its limits: each client keeps to its own bounds, and together they would still take all the memory
//! there is. Those that hold most are closed, everybody else is served as before.

use gs_tests::http::Metrics;
use gs_tests::node::{Node, Spec};
use gs_tests::wait;
use gs_tests::wire::{Value, Wire, encode};
use std::time::Duration;
use tempfile::TempDir;

const MIB: usize = 1 << 20;

struct Target {
    node: Node,
    _dir: TempDir,
}

/// A relay with a client that looks at it and is never in anybody's way.
fn target(budget: &str) -> (Target, Wire) {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let spec = Spec::role("relay", &dir.path().join("relay")).flag("port", 0).flag("sibling-port", 0);
    let spec = spec.flag("capacity", "16mb").set("sibling_mode", "inside").set("threads", 2);
    // Without the bound that one of the tests sets while the node runs.
    let spec = spec.set("limits.pubsub_soft_bytes", 0);
    let node = Node::start(spec.set("limits.clients_buffer_bytes", budget));
    let mut wire = node.wire();
    assert_eq!(wire.call(&["SET", "there", "before"]), Value::ok());
    (Target { node, _dir: dir }, wire)
}

fn info(wire: &mut Wire, name: &str) -> usize {
    let text = wire.call(&["INFO", "everything"]).text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("{name} is not in INFO")).trim().parse().expect("a number")
}

fn evicted(wire: &mut Wire) -> usize {
    info(wire, "evicted_clients")
}

/// A client that has sent `sent` bytes of a value of `bytes`, and nothing else.
fn half_sent(target: &Target, key: &str, bytes: usize, sent: usize) -> Wire {
    let mut wire = target.node.wire();
    wire.patience(Duration::from_secs(30));
    begin(&mut wire, key, bytes, sent);
    wire
}

fn begin(wire: &mut Wire, key: &str, bytes: usize, sent: usize) {
    let mut start = format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${bytes}\r\n", key.len()).into_bytes();
    start.resize(start.len() + sent, b'v');
    // It may be closed while it still sends.
    let _ = wire.try_send(&start);
}

/// True if it could send the rest and was answered; false if it had been closed.
fn finishes(mut wire: Wire, bytes: usize, sent: usize) -> bool {
    let mut rest = vec![b'v'; bytes - sent];
    rest.extend_from_slice(b"\r\n");
    match wire.try_send(&rest).and_then(|()| wire.reply()) {
        Ok(reply) => {
            assert_eq!(reply, Value::ok());
            true
        }
        Err(_) => false,
    }
}

/// Forty clients with most of a value sent are closed down to the bound, each with its connection and nothing said;
/// those that stay are served as if nothing had been.
#[test]
fn half_sent_requests_are_bounded_together() {
    let (target, mut wire) = target("0");
    let (bytes, sent) = (MIB, MIB * 3 / 4);
    let crowd: Vec<Wire> = (0..40).map(|n| half_sent(&target, &format!("k{n}"), bytes, sent)).collect();
    wait::until_true("all of it is held", || info(&mut wire, "mem_clients_normal") >= crowd.len() * sent);
    assert_eq!((evicted(&mut wire), info(&mut wire, "maxmemory_clients")), (0, 0), "there is no bound");

    assert_eq!(wire.call(&["CONFIG", "SET", "maxmemory-clients", "12mb"]), Value::ok());
    let shown = wire.call(&["CONFIG", "GET", "maxmemory-clients"]);
    assert_eq!(shown.items().last(), Some(&Value::bulk("12582912")));
    wait::until_true("so much is given back", || info(&mut wire, "mem_clients_normal") <= 12 * MIB);
    let gone = evicted(&mut wire);
    assert!((20..40).contains(&gone), "{gone} of 40 were closed");
    let finished = crowd.into_iter().filter_map(|wire| finishes(wire, bytes, sent).then_some(())).count();
    assert_eq!((finished, evicted(&mut wire)), (40 - gone, gone), "nobody else was closed");
    assert_eq!(wire.call(&["GET", "there"]), Value::bulk("before"));

    let reason = |metrics: &Metrics| {
        metrics.sum(|name, labels| name == "gs_clients_cut_total" && labels.contains("reason=\"memory\""))
    };
    let http = target.node.addr_of("relay", "http");
    wait::until_true("Prometheus hears of it", || reason(&Metrics::of(&http)) == gone as f64);
    assert!(target.node.story().contains("and it holds most"), "{}", target.node.story());
}

/// Of many that are over the bound only by one of them, that one goes.
#[test]
fn whoever_holds_most_goes_first_and_alone() {
    let (target, mut wire) = target("8mb");
    let largest = half_sent(&target, "large", 4 * MIB - 1000, 3 * MIB);
    wait::until_true("the large one is held", || info(&mut wire, "mem_clients_normal") >= 3 * MIB);
    let (bytes, sent) = (MIB / 2, MIB / 2 - 1000);
    let mut crowd = Vec::new();
    wait::until_true("one is closed", || {
        crowd.push(half_sent(&target, &format!("k{}", crowd.len()), bytes, sent));
        assert!(crowd.len() < 40, "20 MiB are held and nobody was closed");
        evicted(&mut wire) > 0
    });
    assert!(!finishes(largest, 4 * MIB - 1000, 3 * MIB), "the largest is served on");
    assert!(
        crowd.into_iter().all(|wire| finishes(wire, bytes, sent)),
        "a small one was closed for a large one"
    );
    assert_eq!(evicted(&mut wire), 1);
}

/// Whoever CLIENT NO-EVICT protects stays, and what it holds still counts.
#[test]
fn whoever_is_protected_stays() {
    let (target, mut wire) = target("6mb");
    let mut protected = target.node.wire();
    assert_eq!(protected.call(&["CLIENT", "NO-EVICT", "ON"]), Value::ok());
    begin(&mut protected, "large", 4 * MIB - 1000, 3 * MIB);
    wait::until_true("it is held", || info(&mut wire, "mem_clients_normal") >= 3 * MIB);
    let (bytes, sent) = (MIB, MIB * 3 / 4);
    let crowd: Vec<Wire> = (0..8).map(|n| half_sent(&target, &format!("k{n}"), bytes, sent)).collect();
    wait::until_true("others are closed", || evicted(&mut wire) >= 4);
    let finished = crowd.into_iter().filter_map(|wire| finishes(wire, bytes, sent).then_some(())).count();
    assert!(finished < 5, "{finished} of 8 beside one that holds nearly everything");
    let mut rest = vec![b'v'; MIB - 1000];
    rest.extend_from_slice(b"\r\nPING\r\n");
    protected.send(&rest);
    // More than a value may be: refused, by a connection that lives.
    assert!(protected.must_reply().is_error("ERR"));
    assert_eq!(protected.must_reply(), Value::Simple("PONG".into()));
}

/// Replies that are not read count as well as requests.
#[test]
fn unread_replies_are_bounded_together() {
    let (target, mut wire) = target("6mb");
    let value = vec![b'v'; 100_000];
    assert_eq!(wire.call(&[b"SET", b"big".as_slice(), &value]), Value::ok());
    let mut asks = Vec::new();
    (0..150).for_each(|_| encode(&mut asks, &["GET", "big"]));
    // Each may have 16 MB, as far as it alone is concerned.
    let readers: Vec<Wire> = (0..6)
        .map(|_| {
            let mut reader = target.node.wire();
            let _ = reader.try_send(&asks);
            reader
        })
        .collect();
    wait::until_true("some are closed", || {
        assert_eq!(wire.call(&["GET", "there"]), Value::bulk("before"));
        evicted(&mut wire) > 0
    });
    wait::until_true("the rest keep to the bound", || info(&mut wire, "mem_clients_normal") <= 6 * MIB);
    drop(readers);
    wait::until_true("nothing is left of them", || info(&mut wire, "mem_clients_normal") < MIB / 2);
}

/// And so do messages that wait for a subscriber; the publisher is the one that is in nobody's debt.
#[test]
fn unread_messages_are_bounded_together() {
    let (target, mut wire) = target("6mb");
    let mut deaf: Vec<Wire> = (0..6).map(|_| target.node.wire()).collect();
    deaf.iter_mut().for_each(|wire| drop(wire.call(&["SUBSCRIBE", "news"])));
    let message = vec![b'm'; 50_000];
    // 8 MB each are theirs.
    let mut published = 0;
    wait::until_true("some are closed", || {
        for _ in 0..20 {
            assert!(wire.call(&[b"PUBLISH", b"news".as_slice(), &message]).int() >= 0);
            published += message.len();
        }
        evicted(&mut wire) > 0
    });
    wait::until_true("the rest keep to the bound", || info(&mut wire, "mem_clients_normal") <= 6 * MIB);
    assert!(wire.call(&["CLIENT", "LIST"]).text().contains("cmd=client"), "the publisher is there");
    drop(deaf);
    wait::until_true("nothing is left of them", || info(&mut wire, "mem_clients_normal") < MIB / 2);
}

/// A subscriber that is always behind is cut long before it holds all that it may; one that catches up is not.
#[test]
fn a_subscriber_that_stays_behind_is_cut() {
    let (target, mut wire) = target("0");
    for (name, value) in [("limits.pubsub_soft_bytes", "256kb"), ("limits.pubsub_soft_ms", "200")] {
        assert_eq!(wire.call(&["CONFIG", "SET", name, value]), Value::ok());
    }
    let shown = wire.call(&["CONFIG", "GET", "client-output-buffer-limit"]).items()[1].text();
    assert!(shown.ends_with("pubsub 8388608 262144 1"), "{shown}");
    let (mut deaf, mut quick) = (target.node.wire(), target.node.wire());
    [&mut deaf, &mut quick].into_iter().for_each(|wire| drop(wire.call(&["SUBSCRIBE", "news"])));
    let message = vec![b'm'; 50_000];
    let mut waiting = 0;
    wait::until_true("it is cut", || {
        // What the kernel keeps for it does not count: it is filled up, and then little more comes.
        let message = if waiting < 8 * MIB { message.as_slice() } else { b"m" };
        let reached = wire.call(&[b"PUBLISH", b"news".as_slice(), message]).int();
        waiting += message.len();
        assert!(matches!(quick.must_reply(), Value::Array(_)), "whoever reads is told");
        reached == 1
    });
    let http = target.node.addr_of("relay", "http");
    let cut = |reason: &str| {
        Metrics::of(&http).sum(|name, labels| name == "gs_clients_cut_total" && labels.contains(reason))
    };
    wait::until_true("it is counted", || cut("\"messages_slow\"") == 1.0);
    assert_eq!(cut("\"messages\""), 0.0, "it was not at its bound");
}
