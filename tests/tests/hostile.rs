//! Bytes from outside: whatever comes, one clear error or a closed connection, the server goes on, and
//! memory is not taken before its limit.

use gs_tests::node::{Node, Spec};
use gs_tests::sessions::next;
use gs_tests::wait;
use gs_tests::wire::{Value, Wire, encode};
use tempfile::TempDir;

struct Target {
    node: Node,
    _dir: TempDir,
}

fn target(with: impl Fn(Spec) -> Spec) -> Target {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let spec = Spec::role("relay", &dir.path().join("relay")).flag("port", 0).flag("sibling-port", 0);
    let node = Node::start(with(spec.flag("capacity", "16mb").set("sibling_mode", "inside")));
    Target { node, _dir: dir }
}

/// Everything the server says to these bytes until it closes; panics if it does neither in a while.
fn until_closed(target: &Target, bytes: &[u8]) -> String {
    let mut wire = target.node.wire();
    // It may close while we still send.
    let _ = wire.try_send(bytes);
    let said = wire.drain().unwrap_or_else(|e| {
        panic!(
            "the connection stays open after {:?}: {e}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(80)])
        )
    });
    String::from_utf8_lossy(&said).into_owned()
}

fn alive(target: &Target) {
    assert!(target.node.runs(), "the server died\n{}", target.node.story());
    assert_eq!(target.node.wire().call(&["PING"]), Value::Simple("PONG".into()));
    assert!(!target.node.story().contains("panicked"), "{}", target.node.story());
}

/// Resident bytes of the server's own memory, the shared section apart.
fn private_bytes(target: &Target) -> u64 {
    let pid = target.node.pid().as_raw_nonzero();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the server runs");
    let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:")).expect("the kernel tells");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of KiB");
    kib * 1024
}

#[test]
fn malformed_frames_get_one_error_and_a_close() {
    let target = target(|s| s);
    let frames: [(&[u8], &str); 9] = [
        (b"*abc\r\n", "-ERR Protocol error"),
        (b"*1\r\n$abc\r\n", "-ERR Protocol error"),
        (b"*1\r\n+PING\r\n", "-ERR Protocol error"),
        (b"*1\r\n$-5\r\nPING\r\n", "-ERR Protocol error"),
        (b"*9223372036854775807\r\n", "-ERR Protocol error"),
        (b"*1\r\n$9223372036854775807\r\n", "-ERR Protocol error"),
        (b"*1\r\n*1\r\n$4\r\nPING\r\n", "-ERR Protocol error"),
        (b"SET a \"unbalanced\r\n", "-ERR Protocol error"),
        (b"*2\r\n$4\r\nECHO\r\n$3\r\nabcdef\r\n", "-ERR Protocol error"),
    ];
    for (bytes, wanted) in frames {
        let shown = String::from_utf8_lossy(bytes).escape_debug().to_string();
        if bytes.ends_with(b"abcdef\r\n") {
            // Redis trusts the length here and reads what follows as the next request; either is fair.
            let mut wire = target.node.wire();
            wire.send(bytes);
            assert!(wire.reply().is_ok(), "{shown}: no answer");
            continue;
        }
        let said = until_closed(&target, bytes);
        assert!(said.starts_with(wanted), "{shown} answers {said:?}");
        assert_eq!(said.matches("\r\n").count(), 1, "one error, not {said:?}");
    }
    alive(&target);
}

#[test]
fn deep_nesting_is_refused_at_its_first_level() {
    let target = target(|s| s);
    let said = until_closed(&target, &b"*1\r\n".repeat(200_000));
    assert!(said.starts_with("-ERR Protocol error"), "{said:?}");
    alive(&target);
}

#[test]
fn what_looks_like_http_is_closed_at_once() {
    let target = target(|s| s);
    let mut wire = target.node.wire();
    for request in [
        "POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET stolen 1\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\nSET stolen 1\r\n",
        "Host: localhost\r\nSET stolen 1\r\n",
        "post x\r\nSET stolen 1\r\n",
    ] {
        until_closed(&target, request.as_bytes());
        assert_eq!(wire.call(&["EXISTS", "stolen"]), Value::Int(0), "{request:?} reached the keyspace");
    }
    alive(&target);
}

#[test]
fn half_commands_wait_and_take_no_memory() {
    let target = target(|s| s);
    let before = private_bytes(&target);
    // A length is a claim: nothing may be allocated for it before the bytes come.
    let claims: Vec<Wire> = (0..200)
        .map(|_| {
            let mut wire = target.node.wire();
            wire.send(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1000000\r\nx");
            wire
        })
        .collect();
    let arrays: Vec<Wire> = (0..200)
        .map(|_| {
            let mut wire = target.node.wire();
            wire.send(b"*60000\r\n$3\r\nDEL\r\n");
            wire
        })
        .collect();
    alive(&target);
    let grown = private_bytes(&target).saturating_sub(before);
    assert!(grown < 40 << 20, "400 half commands of 14 bytes took {} MiB", grown >> 20);

    // One of them finishes byte by byte, and is served as if it had come whole.
    let mut slow = target.node.wire();
    let mut whole = Vec::new();
    encode(&mut whole, &["SET", "slow", "value"]);
    whole.iter().for_each(|byte| slow.send(&[*byte]));
    assert_eq!(slow.must_reply(), Value::ok());
    drop((claims, arrays));
    wait::until_true("they are forgotten", || {
        target.node.wire().call(&["GET", "slow"]) == Value::bulk("value")
    });
    alive(&target);
}

#[test]
fn an_oversize_value_is_refused_with_the_limit_and_the_connection_lives_or_closes_cleanly() {
    let target = target(|s| s);
    let mut wire = target.node.wire();
    let largest = vec![b'x'; 1 << 20];
    assert_eq!(wire.call(&[b"SET", b"max".as_slice(), &largest]), Value::ok());
    assert_eq!(wire.call(&["GET", "max"]), Value::Bulk(largest.clone()));
    let mut too_large = largest;
    too_large.push(b'x');
    match wire.try_call(&[b"SET", b"max".as_slice(), &too_large]) {
        Ok(Value::Error(text)) => {
            assert!(
                text.contains("1048576") || text.contains("1 MiB") || text.contains("invalid bulk length"),
                "{text}"
            );
        }
        Ok(other) => panic!("a value over the limit answers {other:?}"),
        // The error was sent and the connection closed while we were still sending.
        Err(_) => {}
    }
    let mut wire = target.node.wire();
    assert_eq!(wire.call(&["EXISTS", "max"]), Value::Int(1), "the old value stands");
    alive(&target);
}

#[test]
fn before_auth_only_little_is_taken() {
    let hasty = target(|s| s.set("requirepass", "open sesame").set("limits.auth_timeout_ms", 500));
    let silent = until_closed(&hasty, b"");
    assert!(silent.is_empty() || silent.starts_with('-'), "who says nothing is cut: {silent:?}");

    let target = target(|s| s.set("requirepass", "open sesame").set("limits.auth_timeout_ms", "60s"));
    let hello = target.node.wire().call(&["GET", "a"]);
    assert!(hello.is_error("NOAUTH"), "{hello:?}");
    let many = until_closed(&target, b"*11\r\n$4\r\nMGET\r\n");
    assert!(many.starts_with("-ERR Protocol error"), "11 arguments before AUTH answer {many:?}");
    let large = until_closed(&target, b"*2\r\n$4\r\nAUTH\r\n$16385\r\n");
    assert!(large.starts_with("-ERR Protocol error"), "16 KiB + 1 before AUTH answers {large:?}");

    let mut wire = target.node.wire();
    assert!(wire.call(&["AUTH", "wrong"]).is_error("WRONGPASS"));
    assert_eq!(wire.call(&["AUTH", "open sesame"]), Value::ok());
    assert_eq!(wire.call(&["SET", "a", "x"]), Value::ok());
    let mut wire = target.node.wire();
    assert!(matches!(wire.call(&["HELLO", "3", "AUTH", "default", "open sesame"]), Value::Map(_)));
    assert_eq!(wire.call(&["GET", "a"]), Value::bulk("x"));
}

#[test]
fn a_client_that_never_reads_is_cut_and_others_go_on() {
    let target = target(|s| s.set("limits.output_buffer_bytes", "1mb"));
    let value = vec![b'v'; 100_000];
    assert_eq!(target.node.wire().call(&[b"SET", b"big".as_slice(), &value]), Value::ok());
    let before = private_bytes(&target);
    let mut greedy = target.node.wire();
    let mut asks = Vec::new();
    (0..2_000).for_each(|_| encode(&mut asks, &["GET", "big"]));
    let _ = greedy.try_send(&asks);
    // 200 MB of replies: what it keeps for a client that does not read them stays near its bound.
    for _ in 0..100 {
        assert_eq!(target.node.wire().call(&["PING"]), Value::Simple("PONG".into()));
    }
    let grown = private_bytes(&target).saturating_sub(before);
    assert!(grown < 32 << 20, "a client that never reads took {} MiB", grown >> 20);
    alive(&target);
}

#[test]
fn a_subscriber_that_never_reads_is_cut() {
    let target = target(|s| s.set("limits.pubsub_buffer_bytes", "64kb"));
    let mut deaf = target.node.wire();
    assert!(matches!(deaf.call(&["SUBSCRIBE", "news"]), Value::Array(_)));
    let mut wire = target.node.wire();
    let message = vec![b'm'; 50_000];
    wait::until("it is cut", || match wire.call(&[b"PUBLISH", b"news".as_slice(), &message]) {
        Value::Int(0) => Ok(()),
        other => Err(format!("{other:?} still listen")),
    });
    alive(&target);
}

#[test]
fn random_bytes_never_hurt() {
    let target = target(|s| s);
    let mut seed = 0x5EED;
    let words: [&[u8]; 14] = [
        b"*", b"$", b"\r\n", b"1", b"-1", b"3", b"GET", b"SET", b"a", b"\0", b"99999", b"\"", b" ", b"MULTI",
    ];
    for round in 0..500 {
        let mut bytes = Vec::new();
        while bytes.len() < 200 {
            let dice = next(&mut seed);
            match dice % 4 {
                0 => bytes.extend_from_slice(&dice.to_le_bytes()),
                _ => bytes.extend_from_slice(words[(dice >> 8) as usize % words.len()]),
            }
        }
        let mut wire = target.node.wire();
        let _ = wire.try_send(&bytes);
        wire.finish();
        // Whatever it says, it ends when we do.
        wire.drain().unwrap_or_else(|e| panic!("round {round}: {e} after {bytes:?}"));
    }
    alive(&target);
}

#[test]
fn error_replies_carry_no_line_of_the_senders() {
    let target = target(|s| s);
    let mut wire = target.node.wire();
    let evil: [&[u8]; 2] = [b"NO\r\n+OK\r\nSUCH", b"arg\r\n:1\r\n"];
    let reply = wire.call(&evil);
    assert!(reply.is_error("ERR unknown command"), "{reply:?}");
    assert_eq!(wire.call(&["PING"]), Value::Simple("PONG".into()), "the reply was more than one line");
}
