//! What people, gateways and validators hear on the topics of a path, and what a path's policy does.

use gs_tests::cluster::{Cluster, Plan};
use gs_tests::sessions::Load;
use gs_tests::wire::{Value, Wire};
use serde_json::{Value as Json, json};

fn subscribe(cluster: &Cluster, topics: &[&str]) -> Wire {
    let mut wire = cluster.wire();
    for topic in topics {
        let heard = wire.call(&["SUBSCRIBE", topic]);
        assert_eq!(heard.items()[1].text(), *topic);
    }
    wire
}

/// The next message: its channel, and its payload, which is always one JSON object.
fn message(wire: &mut Wire) -> (String, Json) {
    let reply = wire.must_reply();
    let items = reply.items();
    assert_eq!(items[0].text(), "message");
    let payload = items[2].text();
    let json = serde_json::from_str(&payload).unwrap_or_else(|e| panic!("{payload:?} is not JSON: {e}"));
    (items[1].text(), json)
}

#[test]
fn a_new_a_changed_and_a_destroyed_session_are_told() {
    let cluster = Plan::relay("4mb").start();
    let mut ear = subscribe(&cluster, &["auths/session", "auths/session_gone"]);
    let mut wire = cluster.wire();
    assert_eq!(wire.call(&["SET", "s:1", "hello", "PX", "60000"]), Value::ok());
    let (topic, told) = message(&mut ear);
    assert_eq!((topic.as_str(), &told["key"]), ("auths/session", &json!("s:1")));
    assert_eq!(told["value"], json!("aGVsbG8="), "a topic carries the value as base64: {told}");
    let left = told["pttl"].as_u64().unwrap_or_default();
    assert!((1..=60_000).contains(&left), "{told}");
    let first = told["version"].as_u64().expect("a version is a number");

    assert_eq!(wire.call(&["SET", "s:1", "again"]), Value::ok());
    let (topic, told) = message(&mut ear);
    assert_eq!(topic, "auths/session");
    assert!(told["version"].as_u64() > Some(first), "versions grow: {told} after {first}");

    assert_eq!(wire.call(&["DEL", "s:1"]), Value::Int(1));
    let (topic, told) = message(&mut ear);
    assert_eq!((topic.as_str(), &told["key"]), ("auths/session_gone", &json!("s:1")));
}

#[test]
fn a_session_that_moves_to_the_aging_tier_is_told() {
    let cluster = Plan::relay("4mb").aging("64mb").start();
    let mut ear = subscribe(&cluster, &["auths/session_backup"]);
    let load = Load { count: 20_000, len: 384, ttl_s: 3_600, edition: 1 };
    assert_eq!(load.write(&mut cluster.wire(), 0..load.count), []);
    let (_, told) = message(&mut ear);
    assert!(told["key"].as_str().is_some_and(|key| key.starts_with("s:")), "{told}");
}

#[test]
fn a_publish_of_a_client_stores_nothing() {
    let cluster = Plan::relay("4mb").start();
    let mut ear = subscribe(&cluster, &["auths/session"]);
    let mut wire = cluster.wire();
    assert_eq!(wire.call(&["PUBLISH", "auths/session", r#"{"key":"s:9","value":"eA=="}"#]), Value::Int(1));
    assert_eq!(message(&mut ear).1["key"], json!("s:9"));
    assert_eq!(wire.call(&["EXISTS", "s:9"]), Value::Int(0));
}

#[test]
fn an_external_program_is_believed_where_the_path_allows_it() {
    let with = |external: bool| {
        let plan = Plan::relay("4mb")
            .aging("4mb")
            .set("paths.auths.prefix", "")
            .set("paths.auths.external", external);
        plan.set("paths.auths.external_wait_ms", 20_000).start()
    };
    let allowed = with(true);
    let mut validator = subscribe(&allowed, &["auths/need_session"]);
    std::thread::scope(|scope| {
        let asker = scope.spawn(|| allowed.wire().call(&["GET", "s:known"]));
        let (_, need) = message(&mut validator);
        assert_eq!(need["key"], json!("s:known"));
        let requester = need["requester"].as_str().expect("it says who asks").to_owned();
        let answer = json!({"key": "s:known", "value": "aGVsbG8=", "pttl": 60_000}).to_string();
        let told = allowed.wire().call(&["PUBLISH", &format!("auths/session_known-{requester}"), &answer]);
        assert!(matches!(told, Value::Int(_)), "{told:?}");
        assert_eq!(asker.join().expect("the asker is answered"), Value::bulk("hello"));
    });
    let left = allowed.wire().call(&["PTTL", "s:known"]).int();
    assert!((1..=60_000).contains(&left), "the answer's life is kept: {left}");

    let refused = with(false);
    let _validator = subscribe(&refused, &["auths/need_session"]);
    assert_eq!(refused.wire().call(&["GET", "s:known"]), Value::Null, "nobody outside is asked");
}

#[test]
fn destroy_wins_where_the_path_says_so_and_only_there() {
    let plan = Plan::relay("4mb").set("paths.sess.prefix", "sess:").set("paths.sess.destroy", "wins");
    let cluster = plan.start();
    let mut wire = cluster.wire();
    assert_eq!(wire.call(&["SET", "sess:1", "x", "EX", "60"]), Value::ok());
    assert_eq!(wire.call(&["DEL", "sess:1"]), Value::Int(1));
    let late = wire.call(&["SET", "sess:1", "saved by a request in flight", "EX", "60"]);
    assert!(late.is_error("GONE"), "a late save over a destroyed session answers {late:?}");
    assert!(late.flat().contains("sess"), "the path is named: {late:?}");
    assert_eq!(wire.call(&["GET", "sess:1"]), Value::Null);

    assert_eq!(wire.call(&["SET", "other:1", "x"]), Value::ok());
    assert_eq!(wire.call(&["DEL", "other:1"]), Value::Int(1));
    assert_eq!(wire.call(&["SET", "other:1", "new"]), Value::ok(), "elsewhere a new SET is a new object");
}

#[test]
fn a_deleted_session_stays_gone_over_a_crash_where_destroy_wins() {
    let plan = Plan::relay("4mb").set("paths.sess.prefix", "sess:").set("paths.sess.destroy", "wins");
    let mut cluster = plan.start();
    assert_eq!(cluster.wire().call(&["SET", "sess:1", "x"]), Value::ok());
    assert_eq!(cluster.wire().call(&["DEL", "sess:1"]), Value::Int(1));
    cluster.relay.kill();
    cluster.relay.restart();
    let late = cluster.wire().call(&["SET", "sess:1", "late"]);
    assert!(late.is_error("GONE"), "the journal forgot it: {late:?}");
}

/// A gateway that speaks only pub/sub asks for a session and hears it on its own channel; a key of another
/// path, or one that nobody has, is not told.
#[test]
fn who_publishes_need_session_is_answered_on_its_own_channel() {
    let cluster = Plan::relay("4mb").start();
    let mut ear = subscribe(&cluster, &["auths/session_known-gate"]);
    let mut wire = cluster.wire();
    assert_eq!(wire.call(&["SET", "s:1", "hello"]), Value::ok());
    for key in ["nobody-has-this", "s:1"] {
        let question = json!({ "key": key, "requester": "gate" }).to_string();
        assert_eq!(wire.call(&["PUBLISH", "auths/need_session", &question]), Value::Int(0));
    }
    let (topic, told) = message(&mut ear);
    assert_eq!(topic, "auths/session_known-gate");
    assert_eq!((&told["key"], &told["value"]), (&json!("s:1"), &json!("aGVsbG8=")), "{told}");
}
