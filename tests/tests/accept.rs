//! How connections come to the data threads: with few of them, as a pool of PHP workers has, one thread must not get
//! most; and whoever accepts, limits, CLIENT KILL and the end of the process hold for every thread's connections.

use gs_tests::certs::Authority;
use gs_tests::http::Metrics;
use gs_tests::node::{Node, Spec};
use gs_tests::wait;
use gs_tests::wire::{Value, Wire};
use std::net::TcpStream;

/// A relay to which nobody connects by itself.
fn relay(dir: &tempfile::TempDir, accept: &str, threads: usize) -> Spec {
    let spec = Spec::role("relay", &dir.path().join("relay")).flag("port", 0).flag("capacity", "4mb");
    let spec = spec.ready(&["relay"]).set("sibling_mode", "external");
    spec.set("threads", threads).set("accept", accept)
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory can be made")
}

/// Connections of each thread, the asking one included.
fn spread(wire: &mut Wire) -> Vec<usize> {
    let info = wire.call(&["INFO", "gs"]).text();
    let line = info.lines().find_map(|line| line.strip_prefix("gs_connections_by_thread:"));
    let counts = line.unwrap_or_else(|| panic!("no such line in {info}")).split(',');
    counts.map(|count| count.parse().expect("a count")).collect()
}

/// Waits until that many connections are open, and tells which thread has how many.
fn settled(wire: &mut Wire, open: usize) -> Vec<usize> {
    wait::until("the closed connections are gone", || {
        let now = spread(wire);
        if now.iter().sum::<usize>() == open { Ok(now) } else { Err(format!("{now:?}")) }
    })
}

/// As many connections as threads: each thread has one, and each is served by it. Of any number no thread ever has two
/// more than another; where some close, those that come next fill the gap.
#[test]
fn handed_connections_are_spread_evenly() {
    let dir = home();
    let node = Node::start(relay(&dir, "handed", 4));
    let mut wires: Vec<Wire> = (0..4).map(|_| node.wire()).collect();
    for wire in &mut wires {
        assert_eq!(settled(wire, 4), [1, 1, 1, 1]);
        assert_eq!(wire.call(&["SET", "a", "x"]), Value::ok());
    }
    for open in 5..=16 {
        wires.push(node.wire());
        let now = settled(&mut wires[0], open);
        assert!(now.iter().max() <= now.iter().min().map(|least| least + 1).as_ref(), "{now:?}");
    }
    // Two of one thread, or of two: whichever it is, the next ones go where it is empty.
    for _ in 0..3 {
        wires.drain(2..8);
        settled(&mut wires[0], 10);
        wires.extend((0..6).map(|_| node.wire()));
        assert_eq!(settled(&mut wires[0], 16), [4, 4, 4, 4]);
    }
    let Value::Bulk(_) = wires[9].call(&["GET", "a"]) else {
        panic!("a value that another thread's client set")
    };
}

/// Connections over TLS count beside the clear ones, also while they have not shaken hands yet.
#[test]
fn clear_and_tls_connections_are_spread_together() {
    let dir = home();
    let leaf = Authority::new(dir.path(), "ours").and_then(|ours| ours.leaf("relay")).expect("a certificate");
    let spec = relay(&dir, "handed", 2).set("tls.port", 0);
    let node = Node::start(spec.set("tls.cert", leaf.cert.display()).set("tls.key", leaf.key.display()));
    let tls = node.addr_of("relay", "resp-tls");
    let mut wire = node.wire();
    let _handshakes: Vec<_> = (0..3).map(|_| TcpStream::connect(&tls).expect("it listens")).collect();
    assert_eq!(settled(&mut wire, 4), [2, 2]);
}

/// The bound on clients is one for all threads; one that is refused is told so and leaves no trace.
#[test]
fn the_bound_on_clients_holds_over_all_threads() {
    for accept in ["kernel", "handed"] {
        let dir = home();
        let node = Node::start(relay(&dir, accept, 3).set("limits.maxclients", 4));
        let mut wires: Vec<Wire> = (0..4).map(|_| node.wire()).collect();
        settled(&mut wires[0], 4);
        let refused = node.wire().reply().expect("the words");
        assert!(refused.is_error("ERR max number of clients reached"), "{accept}: {refused:?}");
        wires.pop();
        settled(&mut wires[0], 3);
        wires.push(node.wire());
        assert_eq!(settled(&mut wires[3], 4).iter().sum::<usize>(), 4, "{accept}");
    }
}

/// Whichever thread serves it, a connection is on the list, is killed by a client of another thread, and is off the
/// list and its thread's count then; the metric says the same as INFO.
#[test]
fn connections_of_every_thread_are_listed_killed_and_counted() {
    for accept in ["kernel", "handed"] {
        let dir = home();
        let node = Node::start(relay(&dir, accept, 3));
        let mut operator = node.wire();
        let mut others: Vec<Wire> = (0..5).map(|_| node.wire()).collect();
        let before = settled(&mut operator, 6);
        assert_eq!(operator.call(&["CLIENT", "LIST"]).text().lines().count(), 6, "{accept}");
        wait::until("the metric tells of each thread", || {
            let metrics = Metrics::of(&node.addr_of("relay", "http"));
            let of = |thread: usize| {
                let label = format!("thread=\"{thread}\"");
                metrics.sum(|name, labels| name == "gs_thread_connections" && labels.contains(&label))
                    as usize
            };
            let told: Vec<_> = (0..3).map(of).collect();
            if told == before { Ok(()) } else { Err(format!("{told:?}, not {before:?}")) }
        });
        assert_eq!(operator.call(&["CLIENT", "KILL", "TYPE", "normal"]), Value::Int(5), "{accept}");
        assert!(others.iter_mut().all(|wire| wire.raw_reply().is_err()), "{accept}: all have ended");
        settled(&mut operator, 1);
    }
}

/// A process that is told to stop closes every thread's connections and ends in order.
#[test]
fn the_end_closes_the_connections_of_every_thread() {
    for accept in ["kernel", "handed"] {
        let dir = home();
        let mut node = Node::start(relay(&dir, accept, 3));
        let mut wires: Vec<Wire> = (0..9).map(|_| node.wire()).collect();
        settled(&mut wires[0], 9);
        assert!(node.terminate().success(), "{accept}");
        assert!(wires.iter_mut().all(|wire| wire.raw_reply().is_err()), "{accept}");
    }
}
