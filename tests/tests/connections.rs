//! What one connection may do to another, and to itself: CLIENT KILL, PAUSE, REPLY, NO-TOUCH, LIST, and RESET.

use gs_tests::node::{Node, Spec};
use gs_tests::wait;
use gs_tests::wire::{Value, Wire};
use std::time::Duration;

fn relay(dir: &tempfile::TempDir) -> Node {
    let spec = Spec::role("relay", &dir.path().join("relay")).flag("port", 0).flag("sibling-port", 0);
    Node::start(spec.flag("capacity", "16mb").set("sibling_mode", "inside"))
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory can be made")
}

/// The fields of one line of CLIENT LIST.
fn fields(line: &str) -> Vec<(String, String)> {
    let pair = |word: &str| {
        let (name, value) = word.split_once('=').expect("a field has a value");
        (name.to_owned(), value.to_owned())
    };
    line.split(' ').map(pair).collect()
}

fn field(line: &str, name: &str) -> String {
    let found = fields(line).into_iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("no {name} in {line}")).1
}

/// An operator who kills a connection that hangs must not wait until it says something.
#[test]
fn a_killed_connection_that_idles_closes_at_once() {
    let dir = home();
    let node = relay(&dir);
    let (mut operator, mut idle, mut other) = (node.wire(), node.wire(), node.wire());
    let id = idle.call(&["CLIENT", "ID"]).int().to_string();
    assert_eq!(operator.call(&["CLIENT", "KILL", "ID", &id]), Value::Int(1));
    // No round of any kind has to pass: the end is there by itself.
    assert!(idle.raw_reply().is_err(), "the killed connection has ended");
    wait::until_true("it is off the list", || {
        !operator.call(&["CLIENT", "LIST"]).text().contains(&format!("id={id} "))
    });
    let laddr = node.addr();
    let own = operator.call(&["CLIENT", "ID"]).int();
    assert_eq!(other.call(&["PING"]), Value::Simple("PONG".into()));
    let killed = operator.call(&["CLIENT", "KILL", "LADDR", laddr.as_str()]).int();
    assert!(killed >= 1, "everybody else came in there");
    assert!(other.raw_reply().is_err());
    assert_eq!(operator.call(&["CLIENT", "ID"]).int(), own, "SKIPME is the default");
    // One that kills itself is told before it ends.
    let own = own.to_string();
    assert_eq!(operator.call(&["CLIENT", "KILL", "ID", &own, "SKIPME", "no"]), Value::Int(1));
    assert!(operator.raw_reply().is_err());
}

/// A pipeline that wants no answers gets none, and finds its way back in step.
#[test]
fn replies_can_be_held_back() {
    let dir = home();
    let node = relay(&dir);
    let mut wire = node.wire();
    wire.send(b"CLIENT REPLY SKIP\r\nSET a 1\r\nGET a\r\n");
    assert_eq!(wire.raw_reply().expect("a reply").1, Value::bulk("1"));
    wire.send(
        b"CLIENT REPLY OFF\r\nSET a 2\r\nGET a\r\nNOSUCH\r\nGET\r\nCLIENT REPLY SKIP\r\nCLIENT REPLY ON\r\n",
    );
    assert_eq!(wire.raw_reply().expect("a reply").1, Value::ok());
    assert_eq!(wire.call(&["GET", "a"]), Value::bulk("2"));
    wire.send(b"CLIENT REPLY OFF\r\nRESET\r\nPING\r\n");
    assert_eq!(wire.raw_reply().expect("a reply").1, Value::Simple("RESET".into()));
    assert_eq!(wire.raw_reply().expect("a reply").1, Value::Simple("PONG".into()));
}

/// A pause for writes holds writes and nothing else; UNPAUSE lets them go before the time is over.
#[test]
fn a_pause_holds_what_it_says_and_ends_when_told() {
    let dir = home();
    let node = relay(&dir);
    let (mut operator, mut writer) = (node.wire(), node.wire());
    assert_eq!(writer.call(&["SET", "a", "1"]), Value::ok());
    assert_eq!(operator.call(&["CLIENT", "PAUSE", "600000", "WRITE"]), Value::ok());
    writer.send(b"GET a\r\nPING\r\nSET a 2\r\n");
    assert_eq!(writer.raw_reply().expect("reads pass").1, Value::bulk("1"));
    assert_eq!(writer.raw_reply().expect("reads pass").1, Value::Simple("PONG".into()));
    wait::until_true("the writer is seen to wait", || {
        operator.call(&["CLIENT", "LIST"]).text().lines().any(|line| field(line, "flags") == "b")
            && operator.call(&["INFO", "clients"]).text().contains("blocked_clients:1")
    });
    assert_eq!(operator.call(&["GET", "a"]), Value::bulk("1"));
    assert_eq!(operator.call(&["CLIENT", "UNPAUSE"]), Value::ok());
    assert_eq!(writer.raw_reply().expect("the write goes on").1, Value::ok());
    assert_eq!(operator.call(&["GET", "a"]), Value::bulk("2"));
    // A pause of everything ends by itself; the command that waited runs then.
    assert_eq!(operator.call(&["CLIENT", "PAUSE", "50"]), Value::ok());
    assert_eq!(operator.call(&["GET", "a"]), Value::bulk("2"));
}

/// What CLIENT LIST says of a connection is what the connection did.
#[test]
fn the_list_tells_the_truth() {
    let dir = home();
    let node = relay(&dir);
    let (mut operator, mut seen) = (node.wire(), node.wire());
    let id = seen.call(&["CLIENT", "ID"]).int().to_string();
    let line = |operator: &mut Wire| {
        let text = operator.call(&["CLIENT", "LIST", "ID", id.as_str()]).text();
        text.trim_end().to_owned()
    };
    seen.hello3();
    seen.call(&["CLIENT", "SETNAME", "joe"]);
    seen.call(&["SELECT", "3"]);
    seen.call(&["SUBSCRIBE", "a", "b"]);
    seen.reply().expect("the second channel");
    seen.call(&["PSUBSCRIBE", "c*"]);
    seen.call(&["MULTI"]);
    seen.call(&["GET", "x"]);
    seen.send(b"*2\r\n$3\r\nGET\r\n$10\r\nabc");
    wait::until_true("its unfinished request is seen", || field(&line(&mut operator), "qbuf") == "21");
    wait::until_true("its last reply is out", || field(&line(&mut operator), "obl") == "0");
    let said = line(&mut operator);
    for (name, value) in [
        ("id", id.as_str()),
        ("laddr", node.addr().as_str()),
        ("name", "joe"),
        ("flags", "Px"),
        ("db", "3"),
        ("sub", "2"),
        ("psub", "1"),
        ("multi", "1"),
        ("cmd", "get"),
        ("obl", "0"),
        ("events", "r"),
        ("resp", "3"),
        ("user", "default"),
    ] {
        assert_eq!(field(&said, name), value, "{name} in {said}");
    }
    let own = operator.call(&["CLIENT", "INFO"]).text();
    assert_eq!(field(own.trim_end(), "cmd"), "client|info");
    assert!(field(own.trim_end(), "argv-mem").parse::<u64>().expect("a number") >= 10);
    // RESET ends all of it.
    let mut fresh = node.wire();
    let id = fresh.call(&["CLIENT", "ID"]).int().to_string();
    for words in
        [vec!["CLIENT", "SETNAME", "x"], vec!["SELECT", "2"], vec!["CLIENT", "NO-TOUCH", "ON"], vec!["MULTI"]]
    {
        fresh.call(&words);
    }
    assert_eq!(fresh.call(&["RESET"]), Value::Simple("RESET".into()));
    let said = operator.call(&["CLIENT", "LIST", "ID", id.as_str()]).text();
    for (name, value) in
        [("name", ""), ("flags", "N"), ("db", "0"), ("multi", "-1"), ("cmd", "reset"), ("resp", "2")]
    {
        assert_eq!(field(said.trim_end(), name), value, "{name} in {said}");
    }
}

/// Whoever looks through the keys with NO-TOUCH leaves their age as it is.
#[test]
fn reads_without_touch_are_no_uses() {
    let dir = home();
    let node = relay(&dir);
    let (mut user, mut watcher) = (node.wire(), node.wire());
    user.call(&["SET", "a", "1"]);
    assert_eq!(watcher.call(&["CLIENT", "NO-TOUCH", "ON"]), Value::ok());
    let idle = |wire: &mut Wire| wire.call(&["OBJECT", "IDLETIME", "a"]).int();
    wait::until_within(Duration::from_secs(60), || {
        assert_eq!(watcher.call(&["GET", "a"]), Value::bulk("1"));
        let seconds = idle(&mut watcher);
        if seconds >= 2 { Ok(()) } else { Err(format!("idle for {seconds} s")) }
    })
    .expect("the key ages although it is read");
    wait::until("an ordinary read is a use", || {
        assert_eq!(user.call(&["GET", "a"]), Value::bulk("1"));
        let seconds = idle(&mut watcher);
        if seconds < 2 { Ok(()) } else { Err(format!("idle for {seconds} s after a read")) }
    });
}
