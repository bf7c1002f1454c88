//! What an operator sees over HTTP: figures that move with what happens, and health that is true.

use gs_tests::cluster::Plan;
use gs_tests::http::{self, Metrics};
use gs_tests::sessions::Load;
use gs_tests::wait;
use gs_tests::wire::Value;

/// Metrics are published about once a second, so they are waited for.
fn eventually(addr: &str, what: &str, holds: impl Fn(&Metrics) -> bool) {
    wait::until(what, || {
        let metrics = Metrics::of(addr);
        if holds(&metrics) { Ok(()) } else { Err(format!("{:#?}", metrics.samples)) }
    });
}

#[test]
fn commands_hits_misses_and_connections_are_counted() {
    let cluster = Plan::relay("16mb").aging("16mb").start();
    let http = cluster.relay.addr_of("relay", "http");
    let mut wire = cluster.wire();
    assert_eq!(wire.call(&["SET", "a", "x"]), Value::ok());
    for _ in 0..70 {
        assert_eq!(wire.call(&["GET", "a"]), Value::bulk("x"));
        assert_eq!(wire.call(&["GET", "nobody"]), Value::Null);
    }
    let of = |m: &Metrics, words: &[&str]| {
        m.sum(|name, labels| words.iter().all(|w| name.contains(w) || labels.contains(w)))
    };
    eventually(&http, "GET is counted by name", |m| of(m, &["gs_commands_total", "\"get\""]) >= 140.0);
    eventually(&http, "hits are counted", |m| of(m, &["hit"]) >= 70.0);
    eventually(&http, "misses are counted", |m| of(m, &["miss"]) >= 70.0);
    eventually(&http, "connections are counted", |m| of(m, &["connect"]) >= 1.0);
    let metrics = Metrics::of(&http);
    assert!(metrics.samples.iter().any(|s| s.labels.contains("role=\"relay\"")), "series carry their role");
    assert_eq!(metrics.losses(), 0.0);
}

#[test]
fn demotions_promotions_and_occupancy_are_counted() {
    let cluster = Plan::relay("4mb").aging("64mb").start();
    let load = Load { count: 20_000, len: 384, ttl_s: 3_600, edition: 1 };
    assert_eq!(load.write(&mut cluster.wire(), 0..load.count), []);
    let sum = |word: &str| cluster.all_metrics().sum(|name, _| name.contains(word));
    wait::until_true("demotions are counted", || sum("demot") > 5_000.0);
    let before = sum("promot");
    load.check(&mut cluster.wire(), 0..2_000, 600);
    wait::until_true("promotions are counted", || sum("promot") > before);
    let relief = cluster.reliefs[0].addr_of("relief-aging", "http");
    eventually(&relief, "a relief tells what it holds", |m| m.sum(|name, _| name == "gs_sessions") > 5_000.0);
}

#[test]
fn health_and_readiness_answer_and_nothing_else_is_there() {
    let cluster = Plan::relay("4mb").aging("4mb").start();
    for (node, role) in
        [(&cluster.relay, "relay"), (&cluster.relay, "sibling"), (&cluster.reliefs[0], "relief-aging")]
    {
        let addr = node.addr_of(role, "http");
        for path in ["/healthz", "/readyz"] {
            let (status, body) = http::get(&addr, path);
            assert_eq!(status, 200, "{path} of {role}: {body}");
        }
        let (status, _) = http::get(&addr, "/nothing/here");
        assert_eq!(status, 404, "{role}");
    }
}

/// A relief that lost its relay still answers for what it holds: it stays in service, and says what is the matter.
#[test]
fn a_relief_without_its_sibling_is_ready_and_says_so() {
    let mut cluster = Plan::relay("4mb").aging("4mb").start();
    let addr = cluster.reliefs[0].addr_of("relief-aging", "http");
    assert_eq!(http::get(&addr, "/readyz").0, 200);
    wait::until("it has its sibling", || match http::get(&addr, "/readyz").1 {
        body if body.contains("no sibling") => Err(body),
        _ => Ok(()),
    });
    cluster.relay.kill();
    wait::until("the relief notices", || match http::get(&addr, "/readyz") {
        (200, body) if body.contains("no sibling") => Ok(()),
        other => Err(format!("{other:?}")),
    });
}
