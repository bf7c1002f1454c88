//! The first thing anybody does: start `gs-server`, type what it says, and look with redis-cli.

use gs_tests::http;
use gs_tests::node::{Node, Spec};
use gs_tests::wire::Value;
use gs_tests::{bins, peers, ports, wait};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A family whose ports stay the same over a restart.
fn family(dir: &Path) -> Spec {
    let base = ports::reserve();
    Spec::family(dir)
        .flag("port", base)
        .flag("sibling-port", base + 2)
        .flag("expansion-port", base + 3)
        .flag("aging-port", base + 4)
        .flag("http-port", base + 5)
        .flag("capacity", "16mb")
}

fn gs_server(args: &[&str]) -> Output {
    Command::new(bins::gs_server()).args(args).stdin(Stdio::null()).output().expect("gs-server can be run")
}

#[test]
fn the_commands_of_the_readme_work_by_redis_cli() {
    let Some(cli) = peers::find("redis-cli") else {
        return;
    };
    let dir = tempfile::tempdir().expect("a directory can be made");
    let node = Node::start(family(&dir.path().join("gs")));
    let at = |role: &str, args: &[&str]| peers::redis_cli(&cli, &node.addr_of(role, "resp"), args);

    assert_eq!(at("relay", &["SET", "s:1", "hello", "EX", "60"]), "OK");
    assert_eq!(at("relay", &["GET", "s:1"]), "hello");
    let got = at("relay", &["GS.GET", "s:1"]);
    for word in ["value", "hello", "version", "pttl", "tier", "relay", "node", "idle"] {
        assert!(got.contains(word), "GS.GET does not say {word:?}: {got}");
    }
    let nodes = at("sibling", &["GS.SHARD", "NODES"]);
    for role in ["relief-expansion", "relief-aging"] {
        let addr = node.addr_of(role, "resp");
        assert!(nodes.contains(&addr), "GS.SHARD NODES does not show {addr}: {nodes}");
    }
    for command in [&["GS.AGE", "INFO"][..], &["GS.AGE", "HISTOGRAM"], &["GS.AGE", "POLICY"], &["GS.TIER"]] {
        let said = at("relief-aging", command);
        assert!(!said.is_empty() && !said.contains("ERR"), "{command:?}: {said}");
    }
    assert_eq!(at("relief-expansion", &["DBSIZE"]), "0");
    for command in
        [&["GS.SHARD", "SLOTS"][..], &["GS.SHARD", "OF", "s:1"], &["GS.SHARD", "EPOCH"], &["GS.TIER"]]
    {
        let said = at("sibling", command);
        assert!(!said.is_empty() && !said.contains("ERR"), "{command:?}: {said}");
    }
    let written = at("relief-aging", &["SET", "s:2", "x"]);
    assert!(written.starts_with("READONLY"), "applications do not write to a relief: {written}");
}

#[test]
fn the_gs_commands_do_what_their_table_says() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let node = Node::start(family(&dir.path().join("gs")));
    let mut wire = node.wire();

    let first = wire.call(&["GS.SET", "a", "one", "PX", "60000"]).int();
    assert_eq!(wire.call(&["GS.SET", "a", "late", "IFV", &(first - 1).to_string()]), Value::Null);
    let second = wire.call(&["GS.SET", "a", "two", "IFV", &first.to_string()]).int();
    assert!(second > first, "versions grow: {first}, {second}");
    let got = wire.call(&["GS.GET", "a"]);
    assert_eq!(got.must("value"), &Value::bulk("two"));
    assert_eq!(got.must("version").int(), second);
    assert_eq!(got.must("tier").text(), "relay");
    assert_eq!(got.must("pttl").int(), -1, "a save without a life has none");
    assert_eq!(wire.call(&["GS.TOUCH", "a", "PX", "90000"]), Value::Int(1));
    assert_eq!(wire.call(&["GS.TOUCH", "nope", "PX", "90000"]), Value::Int(0), "a touch never creates");
    assert_eq!(wire.call(&["GS.DEL", "a", "nope"]), Value::Int(1));
    assert_eq!(wire.call(&["GS.GET", "a"]), Value::Null);
    assert_eq!(wire.call(&["GS.SET", "a", "saved late", "IFV", &second.to_string()]), Value::Null);

    assert!(matches!(wire.call(&["GS.HASHSET", "h", "secret"]), Value::Int(_)));
    assert_eq!(wire.call(&["GS.CHECKHASH", "h", "secret"]), Value::Int(1));
    assert_eq!(wire.call(&["GS.CHECKHASH", "h", "Secret"]), Value::Int(0));
    assert_eq!(wire.call(&["GS.CHECKHASH", "nope", "secret"]), Value::Null);
    let stored = wire.call(&["GS.GET", "h"]).flat();
    assert!(!stored.contains("secret"), "the value itself must not be kept: {stored}");

    // RESP3 gives a true map.
    wire.hello3();
    assert!(matches!(wire.call(&["GS.SET", "b", "x"]), Value::Int(_)));
    assert!(matches!(wire.call(&["GS.GET", "b"]), Value::Map(_)));
}

#[test]
fn redis_cli_gets_its_hints_from_the_command_table() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let node = Node::start(family(&dir.path().join("gs")));
    let mut wire = node.wire();
    let docs = wire.call(&["COMMAND", "DOCS"]);
    for name in ["gs.get", "gs.set", "gs.shard", "gs.age", "get", "set", "hello"] {
        let doc = docs.field(name).unwrap_or_else(|| panic!("COMMAND DOCS does not know {name}"));
        for field in ["summary", "since", "group"] {
            assert!(doc.field(field).is_some(), "{name} has no {field}: {doc:?}");
        }
    }
    let arguments = docs.must("gs.set").must("arguments").flat();
    for word in ["key", "value", "PX", "IFV", "COPIES"] {
        assert!(arguments.contains(word), "the hint of GS.SET misses {word}: {arguments}");
    }
    let subcommands = docs.must("gs.shard").must("subcommands").flat();
    for word in ["slots", "nodes", "of", "epoch"] {
        assert!(subcommands.contains(word), "GS.SHARD's hint misses {word}: {subcommands}");
    }
    assert_eq!(wire.call(&["COMMAND", "COUNT"]).int() as usize, wire.call(&["COMMAND"]).items().len());
    let info = wire.call(&["COMMAND", "INFO", "get", "nosuch"]);
    assert_eq!(info.items()[0].items()[0], Value::bulk("get"));
    assert_eq!(info.items()[0].items()[1], Value::Int(2), "GET has an arity of 2");
    assert_eq!(info.items()[1], Value::Null);
}

#[test]
fn redis_benchmark_runs() {
    let Some(benchmark) = peers::find("redis-benchmark") else {
        return;
    };
    let dir = tempfile::tempdir().expect("a directory can be made");
    let node = Node::start(family(&dir.path().join("gs")));
    let output = Command::new(benchmark)
        .args([
            "-p",
            &node.port().to_string(),
            "-t",
            "ping,set,get",
            "-n",
            "20000",
            "-r",
            "1000",
            "-d",
            "384",
            "-q",
        ])
        .stdin(Stdio::null())
        .output()
        .expect("redis-benchmark can be run");
    let said = peers::shown(&output);
    assert!(output.status.success() && !said.to_lowercase().contains("error"), "{said}");
    let keys = node.wire().call(&["DBSIZE"]).int();
    assert!((900..=1000).contains(&keys), "20,000 writes of 1,000 random keys left {keys}");
}

#[test]
fn it_says_where_it_listens_and_what_to_type_next() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let spec = Spec::family(&dir.path().join("gs")).flag("port", 0).flag("sibling-port", 0);
    let node = Node::start(spec.flag("expansion-port", 0).flag("aging-port", 0).flag("capacity", "16mb"));
    let listeners = node.listeners();
    for role in ["relay", "sibling", "relief-expansion", "relief-aging"] {
        let mut wire = node.wire_to(role);
        assert_eq!(wire.call(&["PING"]), Value::Simple("PONG".into()), "{role} answers");
        let of_role = listeners.iter().filter(|l| l.role == role && l.proto == "resp").count();
        assert_eq!(of_role, 1, "one line per listener: {listeners:?}");
    }
    assert!(
        listeners.iter().all(|l| l.addr.starts_with("127.0.0.1:") && !l.addr.ends_with(":0")),
        "{listeners:?}"
    );
    let (status, _) = http::get(&node.addr_of("relay", "http"), "/readyz");
    assert_eq!(status, 200);
    gs_tests::wait::until_true("it says what to type next", || {
        node.lines().iter().any(|l| l.starts_with("try: "))
    });
}

#[test]
fn sigterm_ends_it_and_its_sessions_outlive_it() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let mut node = Node::start(family(&dir.path().join("gs")));
    assert_eq!(node.wire().call(&["SET", "s:1", "hello", "EX", "600"]), Value::ok());
    assert_eq!(node.wire().call(&["SET", "s:2", "bye"]), Value::ok());
    assert_eq!(node.wire().call(&["DEL", "s:2"]), Value::Int(1));
    assert_eq!(node.terminate().code(), Some(0));
    node.restart();
    let mut wire = node.wire();
    assert_eq!(wire.call(&["GET", "s:1"]), Value::bulk("hello"));
    let left = wire.call(&["TTL", "s:1"]).int();
    assert!((500..=600).contains(&left), "{left} s left");
    // Until the reliefs have said what they hold, unknown is not absent.
    gs_tests::wait::until("what was deleted is known to be absent", || match wire.call(&["GET", "s:2"]) {
        Value::Null => Ok(()),
        reply if reply.is_error("UNAVAILABLE") => Err(reply.flat()),
        other => panic!("a deleted session answers {other:?}"),
    });
}

/// Whoever reads warnings about broken links at every stop reads over the one that matters.
#[test]
fn a_stop_in_order_warns_of_nothing() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let mut node = Node::start(family(&dir.path().join("gs")));
    assert_eq!(node.wire().call(&["SET", "s:1", "x"]), Value::ok());
    assert!(node.terminate().success());
    let story = node.story();
    assert!(story.contains("stopping"), "the log is told of: {story}");
    assert!(!story.contains(" WARN ") && !story.contains(" ERROR "), "{story}");
}

#[test]
fn help_names_every_flag_and_mistakes_are_explained() {
    let help = gs_server(&["--help"]);
    assert!(help.status.success());
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    for flag in [
        "--role",
        "--config",
        "--bind",
        "--port",
        "--sibling-port",
        "--sibling",
        "--http-port",
        "--capacity",
        "--dir",
        "--set",
        "--expansion-port",
        "--aging-port",
        "--version",
        "check",
    ] {
        assert!(text.contains(flag), "--help does not name {flag}:\n{text}");
    }
    let version = gs_server(&["--version"]);
    assert!(
        version.status.success()
            && String::from_utf8_lossy(&version.stdout).contains(env!("CARGO_PKG_VERSION"))
    );

    let typo = gs_server(&["--role", "relay", "--set", "sectoin.block_bytes=256"]);
    assert_eq!(typo.status.code(), Some(2), "{}", peers::shown(&typo));
    assert!(String::from_utf8_lossy(&typo.stderr).contains("sectoin"), "{}", peers::shown(&typo));
    let role = gs_server(&["--role", "realy"]);
    assert_eq!(role.status.code(), Some(2), "{}", peers::shown(&role));
    let nothing = gs_server(&["check", "/nonexistent/relay.toml"]);
    assert_eq!(nothing.status.code(), Some(2), "{}", peers::shown(&nothing));
}

#[test]
fn a_port_in_use_is_said_with_the_port() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let port = ports::reserve();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).expect("a reserved port is free");
    let mut node = Node::spawn(
        Spec::role("relay", &dir.path().join("relay"))
            .flag("port", port)
            .flag("sibling-port", port + 1)
            .flag("http-port", port + 2)
            .flag("capacity", "4mb"),
    );
    assert_eq!(node.wait_exit().code(), Some(1));
    assert!(node.story().contains(&port.to_string()), "the port is not named\n{}", node.story());
    assert!(node.story().contains("if a gs-server runs here already"), "no way out\n{}", node.story());
}

#[test]
fn serving_everybody_is_said_once() {
    // Who binds an address beyond this machine and forgets the password finds a line in the log, and not one for each
    // process.
    let dir = tempfile::tempdir().expect("a directory can be made");
    let relay = |name: &str, bind: &str| {
        Spec::role("relay", &dir.path().join(name))
            .flag("port", 0)
            .flag("sibling-port", 0)
            .flag("http-port", "off")
            .flag("capacity", "4mb")
            .flag("bind", bind)
    };
    let warnings = |spec| Node::start(spec).story().matches("whoever reaches this address is served").count();
    assert_eq!(warnings(relay("open", "0.0.0.0")), 1);
    assert_eq!(warnings(relay("closed", "0.0.0.0").set("requirepass", "s3cret")), 0);
    assert_eq!(warnings(relay("local", "127.0.0.1")), 0);
}

#[test]
fn a_sibling_without_its_relay_says_what_it_waits_for() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let spec = Spec::role("sibling", dir.path()).flag("port", 0).flag("http-port", "off");
    let node = Node::spawn(spec.flag("relay", "127.0.0.1:1"));
    wait::until("it says what it waits for", || {
        let story = node.story();
        let line = story.lines().find(|line| line.contains("waiting for the relay's section"));
        if line.is_some_and(|line| line.contains("127.0.0.1:1")) { Ok(()) } else { Err(story) }
    });
}
