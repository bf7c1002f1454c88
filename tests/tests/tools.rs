//! Redis's own tools and what an exporter asks, against a node: an operator's habits must work unchanged.

use gs_tests::node::{Node, Spec};
use gs_tests::peers;
use gs_tests::wire::{Value, Wire};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

fn relay(dir: &tempfile::TempDir) -> Node {
    let spec = Spec::role("relay", &dir.path().join("relay")).flag("port", 0).flag("sibling-port", 0);
    // Whatever takes long here, the machine was busy.
    Node::start(spec.flag("capacity", "16mb").set("sibling_mode", "inside").set("watch.slower_than_us", -1))
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory can be made")
}

fn fill(wire: &mut Wire) {
    for i in 0..100 {
        wire.call(&["SET", &format!("s:{i}"), &"x".repeat(i + 1)]);
    }
    wire.call(&["HSET", "h:1", "a", "1", "b", "2"]);
}

/// The program against the node; one that hangs is ended.
fn command(program: &Path, node: &Node, args: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command.arg("60").arg(program).args(["-p", node.port().to_string().as_str()]).args(args);
    command
}

/// Runs a program that goes on until it is ended, until it has printed this.
fn prints(program: &Path, node: &Node, args: &[&str], wanted: &str) {
    let mut child = command(program, node, args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program can be run");
    let mut stdout = child.stdout.take().expect("it is piped");
    let (mut said, mut chunk) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&said).contains(wanted) {
        let n = stdout.read(&mut chunk).expect("a pipe can be read");
        assert!(n > 0, "{args:?} ended without {wanted:?}: {}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&chunk[..n]);
    }
    // Its next line finds nobody who reads it, and that ends it.
    drop(stdout);
    child.wait().expect("it ends");
}

/// Runs a program to its end.
fn run(program: &Path, node: &Node, args: &[&str], input: &[u8]) -> String {
    let mut child = command(program, node, args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be run");
    child.stdin.take().expect("it is piped").write_all(input).expect("it reads its input");
    let output = child.wait_with_output().expect("it ends");
    let said = peers::shown(&output);
    assert!(!said.contains("ERR") && !said.contains("rror:"), "{args:?}: {said}");
    said
}

/// Every mode of redis-cli that looks into a server.
#[test]
fn redis_cli_looks_into_a_node() {
    let Some(cli) = peers::find("redis-cli") else { return };
    let dir = home();
    let node = relay(&dir);
    fill(&mut node.wire());
    let scan = run(&cli, &node, &["--scan", "--pattern", "s:*"], b"");
    let keys = scan.lines().filter(|line| line.trim_start_matches("stdout: ").starts_with("s:")).count();
    assert_eq!(keys, 100, "{scan}");
    let big = run(&cli, &node, &["--bigkeys"], b"");
    assert!(big.contains("Sampled 101 keys") && big.contains("\"s:99\"' has 100 bytes"), "{big}");
    let big = run(&cli, &node, &["-3", "--bigkeys"], b"");
    assert!(big.contains("Sampled 101 keys"), "{big}");
    let memory = run(&cli, &node, &["--memkeys"], b"");
    assert!(memory.contains("Sampled 101 keys"), "{memory}");
    // These go on until they are ended; the first prints a line only when it has a page of them.
    prints(&cli, &node, &["--stat", "-i", "0.001"], "\n101 ");
    prints(&cli, &node, &["--latency-history", "--no-raw", "-i", "1"], "avg: ");
    run(&cli, &node, &["--latency", "--raw", "-i", "1"], b"");
    let piped = run(&cli, &node, &["--pipe"], b"SET p:1 x\r\nSET p:2 y\r\nGET p:1\r\n");
    assert!(piped.contains("errors: 0, replies: 3"), "{piped}");
    // A prompt reads COMMAND DOCS for its hints; what it is given is run.
    let prompt = run(&cli, &node, &[], b"GS.GET s:1\nGET s:1\nHELP GET\n");
    assert!(prompt.contains("xx"), "{prompt}");
    let docs = run(&cli, &node, &["-3", "COMMAND", "DOCS", "GS.GET"], b"");
    assert!(docs.contains("gs.get") && docs.contains("summary"), "{docs}");
}

/// The usual benchmark, alone and pipelined, in both protocols.
#[test]
fn redis_benchmark_runs_its_tests() {
    let Some(benchmark) = peers::find("redis-benchmark") else { return };
    let dir = home();
    let node = relay(&dir);
    for more in [&["-P", "16"][..], &["-3", "-P", "1"]] {
        let common = ["-t", "ping,set,get,incr,mset,hset", "-n", "2000", "-c", "10", "-r", "100", "--csv"];
        let said = run(&benchmark, &node, &[&common[..], more].concat(), b"");
        for test in ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "HSET", "MSET"] {
            assert!(said.contains(&format!("\"{test}")), "{test}: {said}");
        }
        assert!(!said.contains("WARNING"), "{said}");
    }
}

/// What redis_exporter sends, query by query: it shows nothing at all when INFO fails.
#[test]
fn an_exporter_finds_what_it_asks_for() {
    let dir = home();
    let node = relay(&dir);
    let mut wire = node.wire();
    fill(&mut wire);
    assert_eq!(wire.call(&["CLIENT", "SETNAME", "redis_exporter"]), Value::ok());
    assert!(wire.call(&["CONFIG", "GET", "*"]).items().len() > 100);
    let info = wire.call(&["INFO", "ALL"]).text();
    for name in [
        "redis_version:7.",
        "redis_mode:standalone",
        "process_id:",
        "uptime_in_seconds:",
        "connected_clients:",
        "blocked_clients:0",
        "maxclients:10000",
        "used_memory:",
        "maxmemory:",
        "maxmemory_policy:",
        "loading:0",
        "rdb_bgsave_in_progress:0",
        "aof_rewrite_in_progress:0",
        "total_connections_received:",
        "total_commands_processed:",
        "instantaneous_ops_per_sec:",
        "instantaneous_input_kbps:",
        "keyspace_hits:",
        "expired_keys:0",
        "evicted_keys:0",
        "role:master",
        "connected_slaves:0",
        "master_repl_offset:",
        "used_cpu_sys:",
        "cluster_enabled:0",
        "db0:keys=101,expires=0,avg_ttl=0",
        "cmdstat_set:calls=100,",
    ] {
        assert!(info.lines().any(|line| line.starts_with(name)), "{name} is missing");
    }
    assert_eq!(wire.call(&["LATENCY", "LATEST"]), Value::Array(Vec::new()));
    assert!(wire.call(&["LATENCY", "HISTOGRAM"]).field("set").is_some());
    assert_eq!(wire.call(&["SLOWLOG", "LEN"]), Value::Int(0));
    assert_eq!(wire.call(&["SLOWLOG", "GET", "1"]), Value::Array(Vec::new()));
    let page = wire.call(&["SCAN", "0", "MATCH", "h:*", "COUNT", "1000"]);
    assert_eq!(page.items()[1].items(), [Value::bulk("h:1")]);
    assert_eq!(wire.call(&["TYPE", "h:1"]), Value::Simple("hash".into()));
    assert!(wire.call(&["CLIENT", "LIST"]).text().contains("name=redis_exporter"));
    assert_eq!(wire.call(&["COMMAND", "INFO", "COMMANDLOG"]), Value::Array(vec![Value::Null]));
    assert_eq!(wire.call(&["MODULE", "LIST"]), Value::Array(Vec::new()));
}
