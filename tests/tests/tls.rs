//! TLS: redis-cli speaks it with the relay, the four nodes speak it mutually among themselves, and who
//! has no certificate of theirs is kept out.

use gs_tests::certs::Authority;
use gs_tests::node::{Node, Spec, port_of};
use gs_tests::sessions::{Load, key};
use gs_tests::wire::{Value, Wire};
use gs_tests::{peers, ports, wait};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn cli(program: &Path, addr: &str, args: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-p", &port_of(addr).to_string(), "--tls"]).args(args);
    command.stdin(Stdio::null()).output().expect("redis-cli can be run")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn redis_cli_talks_tls_with_the_relay() {
    let Some(program) = peers::find("redis-cli") else {
        return;
    };
    let dir = tempfile::tempdir().expect("a directory can be made");
    let ours = Authority::new(dir.path(), "ours").expect("a CA can be made");
    let theirs = Authority::new(dir.path(), "theirs").expect("a CA can be made");
    let leaf = ours.leaf("relay").expect("a leaf can be made");
    let spec = Spec::role("relay", &dir.path().join("relay")).flag("port", 0).flag("sibling-port", 0);
    let spec = spec.flag("capacity", "4mb").set("tls.port", 0);
    let node = Node::start(spec.set("tls.cert", leaf.cert.display()).set("tls.key", leaf.key.display()));
    let addr = node.addr_of("relay", "resp-tls");
    let ca = ours.ca().display().to_string();

    assert_eq!(said(&cli(&program, &addr, &["--cacert", &ca, "SET", "a", "over tls"])), "OK");
    // The clear port stays beside it and shows the same session.
    assert_eq!(node.wire().call(&["GET", "a"]), Value::bulk("over tls"));
    assert_eq!(
        said(&cli(&program, &addr, &["--cacert", &ca, "-3", "GET", "a"])).trim_matches('"'),
        "over tls"
    );

    let wrong = theirs.ca().display().to_string();
    let refused = cli(&program, &addr, &["--cacert", &wrong, "PING"]);
    assert_ne!(said(&refused), "PONG", "a certificate of an unknown authority was believed");
    // A client that speaks no TLS gets no service at this port, and harms nobody.
    let mut clear = Wire::connect(addr.as_str());
    assert!(clear.try_call(&["PING"]).is_err());
    assert_eq!(said(&cli(&program, &addr, &["--cacert", &ca, "PING"])), "PONG");
}

#[test]
fn the_family_of_four_talks_mutual_tls() {
    let Some(program) = peers::find("redis-cli") else {
        return;
    };
    let dir = tempfile::tempdir().expect("a directory can be made");
    let ours = Authority::new(dir.path(), "ours").expect("a CA can be made");
    let theirs = Authority::new(dir.path(), "theirs").expect("a CA can be made");
    let base = ports::reserve();
    // TLS on the one port that each node has: there is no clear way in.
    let node = |role: &'static str, nth: u16| {
        let leaf = ours.leaf(role).expect("a leaf can be made");
        let (cert, key, ca) = (leaf.cert.display(), leaf.key.display(), ours.ca().display());
        Spec::role(role, &dir.path().join(role))
            .flag("port", base + nth)
            .flag("http-port", base + 10 + nth)
            .set("tls.port", base + nth)
            .set("tls.cert", &cert)
            .set("tls.key", &key)
            .set("tls.ca", &ca)
            .set("tls.client_auth", "required")
            .set("link.tls", "true")
            .set("link.cert", &cert)
            .set("link.key", &key)
            .set("link.ca", &ca)
    };
    let relay = node("relay", 0).flag("capacity", "4mb").set("sibling_mode", "external").ready(&["relay"]);
    let relay = Node::start(relay);
    // A sibling is a process of its own here, beside its relay's section.
    let sibling =
        node("sibling", 1).in_dir(&dir.path().join("relay")).set("relay", format!("127.0.0.1:{base}"));
    let sibling = Node::start(sibling);
    let join = |role, nth| {
        Node::start(
            node(role, nth).flag("sibling", format!("127.0.0.1:{}", base + 1)).flag("capacity", "64mb"),
        )
    };
    let reliefs = [join("relief-expansion", 2), join("relief-aging", 3)];

    let (leaf, ca) = (ours.leaf("client").expect("a leaf can be made"), ours.ca().display().to_string());
    let (cert, key_file) = (leaf.cert.display().to_string(), leaf.key.display().to_string());
    let args = ["--cacert", &ca, "--cert", &cert, "--key", &key_file];
    let ask = |addr: &str, words: &[&str]| said(&cli(&program, addr, &[&args[..], words].concat()));
    let addr = relay.addr_of("relay", "resp-tls");
    wait::until("both reliefs have joined", || {
        let nodes = ask(&sibling.addr_of("sibling", "resp-tls"), &["GS.SHARD", "NODES"]);
        let up = nodes.lines().filter(|line| line.trim() == "up").count();
        if up == reliefs.len() { Ok(()) } else { Err(nodes) }
    });

    // Enough to move sessions over every link.
    let load = Load { count: 20_000, len: 384, ttl_s: 3_600, edition: 1 };
    let mut child = Command::new(&program)
        .args(["-h", "127.0.0.1", "-p", &port_of(&addr).to_string(), "--tls"])
        .args(args)
        .arg("--pipe")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-cli can be run");
    let mut bytes = Vec::new();
    for n in 0..load.count {
        let value = gs_tests::sessions::value(&key(n), load.edition, load.len);
        gs_tests::wire::encode(&mut bytes, &[b"SET", key(n).as_bytes(), &value, b"EX", b"3600"]);
    }
    std::io::Write::write_all(&mut child.stdin.take().expect("piped"), &bytes).expect("redis-cli reads");
    let output = child.wait_with_output().expect("redis-cli ends");
    assert!(
        said(&output).contains(&format!("errors: 0, replies: {}", load.count)),
        "{}",
        peers::shown(&output)
    );
    wait::until("sessions went down over TLS", || {
        let held = ask(&reliefs[0].addr_of("relief-expansion", "resp-tls"), &["DBSIZE"]);
        if held.parse().is_ok_and(|n: u64| n > 1_000) { Ok(()) } else { Err(held) }
    });
    for n in (0..load.count).step_by(997) {
        let got = ask(&addr, &["--raw", "GET", &key(n)]);
        let wanted = format!("{}#1|", key(n));
        assert!(got.starts_with(&wanted), "{} reads {got:?}", key(n));
    }
    assert_eq!(ask(&addr, &["DBSIZE"]), load.count.to_string());

    // Without a certificate, or with somebody else's, there is no way in.
    let none = said(&cli(&program, &addr, &["--cacert", &ca, "PING"]));
    assert_ne!(none, "PONG", "a client without a certificate was served");
    let stranger = theirs.leaf("stranger").expect("a leaf can be made");
    let (cert, key_file) = (stranger.cert.display().to_string(), stranger.key.display().to_string());
    let forged = cli(&program, &addr, &["--cacert", &ca, "--cert", &cert, "--key", &key_file, "PING"]);
    assert_ne!(said(&forged), "PONG", "a stranger's certificate was believed");
}
