//! What a node says of itself: figures that add up, a slow log that tells no secrets, options that act at once and
//! find their way back into the file.

use gs_tests::http::Metrics;
use gs_tests::node::{Node, Spec};
use gs_tests::wait;
use gs_tests::wire::{Value, Wire};

fn relay(dir: &tempfile::TempDir) -> Spec {
    let spec = Spec::role("relay", &dir.path().join("relay")).flag("port", 0).flag("sibling-port", 0);
    spec.flag("capacity", "16mb").set("sibling_mode", "inside")
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory can be made")
}

/// The lines of INFO by name.
fn info(wire: &mut Wire, section: &str) -> Vec<(String, String)> {
    let text = wire.call(&["INFO", section]).text();
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

fn figure(wire: &mut Wire, section: &str, name: &str) -> String {
    let found = info(wire, section).into_iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("no {name} in INFO {section}")).1
}

fn number(wire: &mut Wire, section: &str, name: &str) -> u64 {
    let text = figure(wire, section, name);
    text.parse().unwrap_or_else(|_| panic!("{name} is {text}"))
}

/// A field of `calls=1,usec=2`.
fn part(line: &str, name: &str) -> f64 {
    let found = line.split(',').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no {name} in {line}")).parse().expect("a number")
}

/// Dashboards add: what a command's own line says must be in the totals, whether it came alone or in a pipeline.
#[test]
fn the_counters_add_up() {
    let dir = home();
    let node = Node::start(relay(&dir));
    let mut wire = node.wire();
    wire.call(&["CONFIG", "RESETSTAT"]);
    let piped: Vec<Vec<&str>> =
        (0..1000).map(|i| if i % 4 == 0 { vec!["SET", "k", "v"] } else { vec!["GET", "k"] }).collect();
    wire.pipeline(&piped);
    for _ in 0..50 {
        wire.call(&["GET", "k"]);
        wire.call(&["GET", "nope"]);
    }
    assert!(matches!(wire.call(&["GET"]), Value::Error(_)));
    assert!(matches!(wire.call(&["NOSUCH"]), Value::Error(_)));
    assert!(matches!(wire.call(&["SELECT", "99"]), Value::Error(_)));
    wire.pipeline(&[vec!["MULTI"], vec!["GET", "k"], vec!["SET", "k", "w"], vec!["EXEC"]]);
    let get = figure(&mut wire, "commandstats", "cmdstat_get");
    assert_eq!(
        (part(&get, "calls"), part(&get, "rejected_calls"), part(&get, "failed_calls")),
        (851.0, 1.0, 0.0)
    );
    assert!(part(&get, "usec") > 0.0 && part(&get, "usec_per_call") > 0.0, "{get}");
    let set = figure(&mut wire, "commandstats", "cmdstat_set");
    assert_eq!(part(&set, "calls"), 251.0);
    let select = figure(&mut wire, "commandstats", "cmdstat_select");
    assert_eq!((part(&select, "calls"), part(&select, "failed_calls")), (1.0, 1.0));
    assert_eq!(figure(&mut wire, "errorstats", "errorstat_ERR"), "count=3");
    // The sibling's link speaks too, so the total is judged against the sum of all lines.
    let text = wire.call(&["INFO", "stats", "commandstats"]).text();
    let line = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)).expect("it is there").trim().to_owned()
    };
    let total: f64 = line("total_commands_processed:").parse().expect("a number");
    let sum: f64 = text
        .lines()
        .filter(|l| l.starts_with("cmdstat_"))
        .map(|l| part(l.split_once(':').expect("a value").1, "calls"))
        .sum();
    assert_eq!(total, sum);
    assert_eq!(line("total_error_replies:"), "3");
    assert_eq!((line("keyspace_hits:").as_str(), line("keyspace_misses:").as_str()), ("801", "50"));
    let times = figure(&mut wire, "latencystats", "latency_percentiles_usec_get");
    assert!(part(&times, "p50") > 0.0 && part(&times, "p50") <= part(&times, "p99.9"), "{times}");
    let seen = wire.call(&["LATENCY", "HISTOGRAM", "get"]);
    assert_eq!(seen.must("get").must("calls").int(), 851);
    // The machine's figures are there.
    assert!(number(&mut wire, "memory", "used_memory_rss") > 1_000_000);
    assert!(info(&mut wire, "cpu").iter().all(|(_, value)| value.parse::<f64>().is_ok()));
    wait::until_true("a second's rate is seen", || {
        wire.pipeline(&piped);
        number(&mut wire, "stats", "instantaneous_ops_per_sec") > 0
    });
}

/// Whoever plans capacity asks how many sessions have a deadline, and how far it is.
#[test]
fn keys_with_deadlines_are_counted() {
    let dir = home();
    let node = Node::start(relay(&dir));
    let mut wire = node.wire();
    for i in 0..30 {
        wire.call(&["SET", &format!("s{i}"), "x", "EX", "100"]);
        wire.call(&["SET", &format!("p{i}"), "x"]);
    }
    wire.call(&["PERSIST", "s0"]);
    wire.call(&["DEL", "s1"]);
    let line = figure(&mut wire, "keyspace", "db0");
    assert_eq!((part(&line, "keys"), part(&line, "expires")), (59.0, 28.0), "{line}");
    assert!((90_000.0..=100_000.0).contains(&part(&line, "avg_ttl")), "{line}");
}

/// Tokens are secrets: an operator sees which commands were slow and for whom, never what was in them.
#[test]
fn the_slow_log_tells_no_secrets() {
    let dir = home();
    let node = Node::start(relay(&dir));
    let mut wire = node.wire();
    wire.call(&["CLIENT", "SETNAME", "joe"]);
    wire.call(&["CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "3"]);
    wire.call(&["SLOWLOG", "RESET"]);
    wire.pipeline(&[
        vec!["SET", "token-of-joe", "his-data"],
        vec!["GET", "token-of-joe"],
        vec!["CLIENT", "SETNAME", "ann"],
    ]);
    let entries = wire.call(&["SLOWLOG", "GET", "-1"]);
    assert_eq!(entries.items().len(), 3);
    assert!(
        !entries.flat().contains("token-of-joe") && !entries.flat().contains("his-data"),
        "{}",
        entries.flat()
    );
    let set = entries.items()[2].items();
    let words: Vec<_> = set[3].items().iter().map(Value::text).collect();
    assert_eq!(words, ["SET", "(redacted 12 bytes)", "(redacted 8 bytes)"]);
    assert_eq!(set[5].text(), "joe");
    assert!(set[2].int() < 60_000_000 && set[4].text().starts_with("127.0.0.1:"));
    assert_eq!(entries.items()[0].items()[3].flat(), "CLIENT SETNAME (redacted 3 bytes)");
    assert_eq!(wire.call(&["SLOWLOG", "LEN"]), Value::Int(3), "its length is bounded");
    wire.call(&["CONFIG", "SET", "slowlog-log-slower-than", "-1"]);
    wire.call(&["SLOWLOG", "RESET"]);
    wire.call(&["GET", "x"]);
    assert_eq!(wire.call(&["SLOWLOG", "LEN"]), Value::Int(0));
}

/// An option that answers OK is in force: for the next connection, the next command, the next silence.
#[test]
fn what_config_set_says_is_so_at_once() {
    let dir = home();
    let file = dir.path().join("relay.toml");
    std::fs::write(&file, "# the relay\nrole = \"relay\" # it\n[limits]\nmaxclients = 100 # some\n")
        .expect("written");
    let spec =
        relay(&dir).flag("config", file.display()).set("requirepass", "old").set("link.password", "old");
    let mut node = Node::start(spec);
    let mut wire = node.wire();
    assert_eq!(wire.call(&["AUTH", "old"]), Value::ok());
    assert_eq!(wire.call(&["CONFIG", "SET", "maxclients", "1"]), Value::ok());
    let mut refused = node.wire();
    refused.try_send(b"PING\r\n").expect("sent");
    assert!(refused.raw_reply().expect("told").1.is_error("ERR max number of clients"));
    assert_eq!(wire.call(&["CONFIG", "SET", "maxclients", "200", "requirepass", "new"]), Value::ok());
    let mut other = node.wire();
    assert!(other.call(&["AUTH", "wrong"]).is_error("WRONGPASS"));
    // What the family's links say still opens, but not for clients.
    assert_eq!(other.call(&["AUTH", "old"]), Value::ok());
    assert!(other.call(&["GET", "k"]).is_error("NOPERM"));
    assert_eq!(other.call(&["AUTH", "new"]), Value::ok());
    assert_eq!(other.call(&["GET", "k"]), Value::Null);
    assert_eq!(wire.call(&["CONFIG", "REWRITE"]), Value::ok());
    let text = std::fs::read_to_string(&file).expect("the file is there");
    assert!(text.starts_with("# the relay\nrole = \"relay\" # it\nrequirepass = \"new\"\n"), "{text}");
    assert!(text.contains("maxclients = 200 # some"), "{text}");
    assert_eq!(wire.call(&["CONFIG", "GET", "requirepass"]).items()[1], Value::bulk("(hidden)"));
    // A silent connection ends, one that speaks stays.
    let mut silent = node.wire();
    assert_eq!(silent.call(&["AUTH", "new"]), Value::ok());
    assert_eq!(wire.call(&["CONFIG", "SET", "timeout", "1"]), Value::ok());
    wait::until_true("the silent one is closed", || {
        let list = wire.call(&["CLIENT", "LIST"]).text();
        !list.lines().any(|line| line.contains(" cmd=auth ") && line.contains("resp=2"))
    });
    assert!(silent.raw_reply().is_err());
    // SHUTDOWN answers nothing and ends the process in order.
    wire.send(b"SHUTDOWN NOSAVE\r\n");
    assert!(wire.raw_reply().is_err());
    assert!(node.wait_exit().success());
}

/// A spike is kept with its time, under the name of what was slow.
#[test]
fn spikes_are_kept_where_they_are_asked_for() {
    let dir = home();
    let node = Node::start(relay(&dir));
    let mut wire = node.wire();
    assert_eq!(wire.call(&["CONFIG", "SET", "latency-monitor-threshold", "1"]), Value::ok());
    let many: Vec<Vec<String>> =
        (0..20_000).map(|i| vec!["SET".to_owned(), format!("k{i}"), "v".to_owned()]).collect();
    wire.pipeline(&many);
    wait::until_true("a look through all keys takes longer than a millisecond", || {
        wire.call(&["KEYS", "*nothing*of*the*kind*"]);
        wire.call(&["LATENCY", "LATEST"])
            .items()
            .iter()
            .any(|event| event.items()[0] == Value::bulk("command"))
    });
    let history = wire.call(&["LATENCY", "HISTORY", "command"]);
    assert!(history.items()[0].items()[1].int() >= 1, "{history:?}");
    assert!(wire.call(&["LATENCY", "GRAPH", "command"]).text().starts_with("command - high "));
    assert!(wire.call(&["LATENCY", "DOCTOR"]).text().contains("command: "));
    assert!(wire.call(&["LATENCY", "RESET", "command", "nosuch"]).int() == 1);
    assert_eq!(wire.call(&["LATENCY", "HISTORY", "command"]), Value::Array(Vec::new()));
}

/// Whoever watches sees who runs what, and none of the tokens; nobody watches unless it was switched on.
#[test]
fn monitor_is_switched_on_and_tells_no_secrets() {
    let dir = home();
    let node = Node::start(relay(&dir));
    let (mut watcher, mut user) = (node.wire(), node.wire());
    assert!(watcher.call(&["MONITOR"]).is_error("ERR MONITOR is off"));
    assert_eq!(watcher.call(&["CONFIG", "SET", "watch.monitor", "true"]), Value::ok());
    assert_eq!(watcher.call(&["MONITOR"]), Value::ok());
    user.call(&["CONFIG", "GET", "port"]);
    user.call(&["SELECT", "2"]);
    user.call(&["SET", "token-of-joe", "his-data"]);
    let mut line = || watcher.raw_reply().expect("a line").1.text();
    assert!(line().contains(" [0 127.0.0.1:"), "SELECT is the first: operators' commands are not shown");
    let seen = line();
    assert!(
        seen.contains(" [2 127.0.0.1:")
            && seen.ends_with("\"SET\" \"(redacted 12 bytes)\" \"(redacted 8 bytes)\""),
        "{seen}"
    );
    assert_eq!(watcher.call(&["RESET"]), Value::Simple("RESET".into()));
    user.call(&["GET", "token-of-joe"]);
    assert_eq!(watcher.call(&["PING"]), Value::Simple("PONG".into()));
    // Its own commands were on their way before the end, and nothing comes after it.
    assert_eq!(watcher.call(&["MONITOR"]), Value::ok());
    assert_eq!(user.call(&["CONFIG", "SET", "watch.monitor", "false"]), Value::ok());
    user.call(&["GET", "token-of-joe"]);
    assert_eq!(watcher.call(&["ECHO", "x"]), Value::bulk("x"));
    let list = user.call(&["CLIENT", "LIST"]).text();
    assert!(!list.contains("flags=O"), "whoever was cut off is an ordinary client again: {list}");
}

/// KiB that the kernel has in huge pages for a mapping of a process whose first line `wanted` picks: the most of one, for
/// a sibling in the same process maps the section once more and has touched less of it.
fn huge_kib(node: &Node, wanted: impl Fn(&str) -> bool) -> u64 {
    let smaps = std::fs::read_to_string(format!("/proc/{}/smaps", node.pid().as_raw_pid()));
    let (mut kib, mut inside) = (0, false);
    for line in smaps.expect("a child's mappings can be read").lines() {
        let (field, value) = line.split_once(':').unwrap_or_default();
        match field {
            "ShmemPmdMapped" | "AnonHugePages" if inside => {
                let number = value.trim().trim_end_matches(" kB");
                kib = number.parse::<u64>().expect("a number").max(kib);
            }
            _ if line.starts_with(|c: char| c.is_ascii_digit() || c.is_ascii_lowercase()) => {
                inside = wanted(line);
            }
            _ => {}
        }
    }
    kib
}

/// Huge pages make reads twice as fast and are often not to be had: an operator must see what was got, as the kernel
/// tells it, and how it was asked for.
#[test]
fn huge_pages_are_told_as_the_kernel_has_them() {
    for (backing, asked) in [("memory", "transparent_hugepage="), ("shm", "/dev/shm mounted huge=")] {
        let dir = home();
        let node = Node::start(relay(&dir).set("section.backing", backing).set("section.name", "pages"));
        let mut wire = node.wire();
        let how = figure(&mut wire, "gs", "gs_section_huge_asked");
        assert!(how.starts_with("MADV_HUGEPAGE, ") && how.contains(asked), "{how}");
        // Unless all memory gets huge pages, no other private mapping has any: none asks.
        let told = wait::until("INFO says what the kernel says", || {
            let kernel = huge_kib(&node, |line| match backing {
                "shm" => line.contains("/dev/shm/gs-"),
                _ => line.split_whitespace().count() == 5,
            });
            let told = number(&mut wire, "gs", "gs_section_huge_bytes");
            let others = how.ends_with("=always") && told < kernel << 10;
            if told == kernel << 10 || others {
                Ok(told)
            } else {
                Err(format!("{told}, the kernel {kernel} KiB"))
            }
        });
        let refused = ["=never", "=deny"].iter().any(|word| how.ends_with(word));
        assert!(told > 0 || refused || how.ends_with("=within_size"), "{how}, and nothing was got");
        let http = node.addr_of("relay", "http");
        wait::until_true("there is a metric", || {
            Metrics::of(&http).samples.iter().any(|sample| sample.name == "gs_section_huge_bytes")
        });
    }
}
