//! The harness itself, held against a server that is known to be right: a check that cannot fail
//! proves nothing.

use gs_tests::certs::Authority;
use gs_tests::oracle::Oracle;
use gs_tests::peers;
use gs_tests::proxy::{Faults, Proxy};
use gs_tests::sessions::{Load, key};
use gs_tests::wire::{Value, Wire};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::{Duration, Instant};

const LOAD: Load = Load { count: 2_000, len: 384, ttl_s: 600, edition: 1 };

fn fails(check: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(check)).is_err()
}

#[test]
fn a_load_is_written_by_pipe_and_any_difference_is_seen() {
    let (Some(oracle), Some(cli)) = (Oracle::start(), peers::find("redis-cli")) else {
        return;
    };
    LOAD.write_by_pipe(&cli, oracle.addr());
    let mut wire = oracle.wire();
    LOAD.check(&mut wire, 0..LOAD.count, 60);

    assert_eq!(wire.call(&["SETRANGE", &key(5), "100", "?"]), Value::Int(384));
    assert!(fails(|| LOAD.check(&mut oracle.wire(), 5..6, 60)), "a changed byte went unseen");
    assert_eq!(wire.call(&["DEL", &key(6)]), Value::Int(1));
    assert!(fails(|| LOAD.check(&mut oracle.wire(), 6..7, 60)), "a missing session went unseen");
    assert_eq!(wire.call(&["EXPIRE", &key(7), "700"]), Value::Int(1));
    assert!(fails(|| LOAD.check(&mut oracle.wire(), 7..8, 60)), "a life too long went unseen");
    assert_eq!(wire.call(&["PERSIST", &key(8)]), Value::Int(1));
    assert!(fails(|| LOAD.check(&mut oracle.wire(), 8..9, 60)), "a life without end went unseen");
}

#[test]
fn a_pipe_with_refused_writes_is_not_taken_for_success() {
    let (Some(oracle), Some(cli)) = (Oracle::start(), peers::find("redis-cli")) else {
        return;
    };
    assert_eq!(oracle.wire().call(&["CONFIG", "SET", "maxmemory", "1mb"]), Value::ok());
    assert!(fails(|| LOAD.write_by_pipe(&cli, oracle.addr())), "refused writes went unseen");
    assert!(!LOAD.write(&mut oracle.wire(), 0..10).is_empty(), "refused writes went unseen");
}

#[test]
fn the_proxy_passes_delays_holds_and_cuts() {
    let Some(oracle) = Oracle::start() else { return };
    let proxy = Proxy::start(oracle.addr(), 1, Faults::default());
    let mut wire = Wire::connect(proxy.addr());
    assert_eq!(LOAD.write(&mut wire, 0..500), []);
    LOAD.check(&mut wire, 0..500, 60);
    assert!(proxy.passed() > 400_000);

    proxy.faults(Faults { delay_max: Duration::from_millis(20), ..Faults::default() });
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(wire.call(&["PING"]), Value::Simple("PONG".into()));
    }
    assert!(began.elapsed() > Duration::from_millis(40), "nothing was delayed");

    proxy.faults(Faults { blackhole: true, ..Faults::default() });
    wire.patience(Duration::from_millis(300));
    assert!(wire.try_call(&["PING"]).is_err(), "a blackhole answered");
    proxy.faults(Faults::default());
    wire.patience(Duration::from_secs(30));
    assert_eq!(wire.must_reply(), Value::Simple("PONG".into()), "what was held is passed on in the end");

    proxy.cut();
    assert!(wire.try_call(&["PING"]).is_err(), "a cut connection answered");
    assert_eq!(Wire::connect(proxy.addr()).call(&["PING"]), Value::Simple("PONG".into()));
    proxy.faults(Faults { cut_per_mille: 1000, ..Faults::default() });
    assert!(Wire::connect(proxy.addr()).try_call(&["PING"]).is_err());
    proxy.faults(Faults { refuse: true, ..Faults::default() });
    let refused = Wire::try_connect(proxy.addr()).and_then(|mut w| w.try_call(&["PING"]));
    assert!(refused.is_err());
}

#[test]
fn certificates_are_valid_for_openssl() {
    let Some(openssl) = peers::find("openssl") else {
        return;
    };
    let dir = tempfile::tempdir().expect("a directory can be made");
    let ours = Authority::new(dir.path(), "ours").expect("a CA can be made");
    let theirs = Authority::new(dir.path(), "theirs").expect("a CA can be made");
    let leaf = ours.leaf("node").expect("a leaf can be made");
    let verify = |ca: &std::path::Path, purpose: &str| {
        let mut command = Command::new(&openssl);
        command.args(["verify", "-purpose", purpose, "-CAfile"]).arg(ca).arg(&leaf.cert);
        command.output().expect("openssl can be run").status.success()
    };
    assert!(verify(ours.ca(), "sslserver") && verify(ours.ca(), "sslclient"));
    assert!(!verify(theirs.ca(), "sslserver"));
}

#[test]
fn a_reply_is_read_in_both_protocols() {
    let Some(oracle) = Oracle::start() else { return };
    let mut wire = oracle.wire();
    assert_eq!(wire.call(&["HSET", "h", "a", "1"]), Value::Int(1));
    assert_eq!(wire.call(&["HGETALL", "h"]).must("a"), &Value::bulk("1"));
    assert!(matches!(wire.call(&["CONFIG", "GET", "save"]), Value::Array(_)));
    assert_eq!(wire.hello3().must("proto").int(), 3);
    assert!(matches!(wire.call(&["CONFIG", "GET", "save"]), Value::Map(_)));
    assert_eq!(wire.call(&["GET", "nope"]), Value::Null);
    assert!(matches!(wire.call(&["INFO", "server"]), Value::Verbatim(_)));
    assert!(wire.call(&["NOSUCH"]).is_error("ERR unknown command"));
    wire.send(b"PING\r\n");
    wire.expect_bytes(b"+PONG\r\n");
    let replies = wire.pipeline(&[vec!["SET", "a", "1"], vec!["GET", "a"], vec!["DEL", "a"]]);
    assert_eq!(replies, [Value::ok(), Value::bulk("1"), Value::Int(1)]);
}
