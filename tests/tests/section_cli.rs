//! An operator looks at the sections of a machine while they are in use and after their processes died, and
//! removes one. A look shows no secret that was not asked for, and leaves nothing behind; a removal never
//! takes memory from under a process.

use gs_tests::front::Machine;
use gs_tests::node::{Node, Spec};
use gs_tests::{bins, wait};
use serde_json::Value as Json;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const TOKEN: &str = "sess:8d1f0a77c5";
const SECRET: &str = "user=alice;role=admin";

fn run(args: &[&str], dir: &Path) -> Output {
    Command::new(bins::gs_server())
        .arg("section")
        .args(args)
        .args([Path::new("--dir"), dir])
        .stdin(Stdio::null())
        .output()
        .expect("gs-server can be run")
}

/// What a look that must go well prints.
fn said(args: &[&str], dir: &Path) -> String {
    let output = run(args, dir);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints text")
}

fn json(args: &[&str], dir: &Path) -> Json {
    let text = said(&[args, &["--json"]].concat(), dir);
    assert_eq!(text.lines().count(), 1, "one object on one line: {text}");
    serde_json::from_str(&text).expect("it prints JSON")
}

/// What a look that must fail with this exit code complains of.
fn refused(args: &[&str], dir: &Path, code: i32) -> String {
    let output = run(args, dir);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout) + &text(&output.stderr)
}

fn object(dir: &Path, name: &str) -> PathBuf {
    let name = std::fs::read_to_string(dir.join(format!("{name}.cur"))).expect("the section has a name");
    Path::new("/dev/shm").join(name.trim())
}

fn family(dir: &Path) -> Node {
    let node = Node::start(
        Spec::family(dir)
            .flag("port", 0)
            .flag("sibling-port", 0)
            .flag("expansion-port", 0)
            .flag("aging-port", 0)
            .flag("http-port", "off")
            .flag("capacity", "16mb")
            .set("expansion_capacity", "8mb")
            .set("aging_capacity", "8mb"),
    );
    let mut wire = node.wire();
    assert_eq!(wire.call(&["SET", TOKEN, SECRET, "PX", "600000"]).text(), "OK");
    for n in 0..100 {
        assert_eq!(wire.call(&["SET", &format!("{TOKEN}:{n:03}"), &"v".repeat(380)]).text(), "OK");
    }
    assert_eq!(wire.call(&["SELECT", "3"]).text(), "OK");
    assert_eq!(wire.call(&["SET", TOKEN, SECRET]).text(), "OK");
    node
}

fn slots(stat: &Json) -> &Vec<Json> {
    stat["attached_slots"].as_array().expect("slots are a list")
}

/// The advice for a mix that is nearly all of one size is the block that holds one such record.
fn advised(stat: &Json) -> (u64, f64) {
    let advice = stat["record_size"].as_array().expect("advice is a list");
    let of = |which: &str| advice.iter().find(|a| a["which"] == which).expect("it is there");
    let overhead = |which: &str| of(which)["overhead_bytes_per_record"].as_f64().expect("a number");
    assert!(overhead("advised") <= overhead("default") && overhead("advised") <= overhead("current"));
    (
        of("advised")["block_bytes"].as_u64().expect("a number"),
        of("advised")["fill_pct"].as_f64().expect("too"),
    )
}

#[test]
fn a_running_family_is_seen_and_not_touched() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let node = family(dir.path());
    let listed = json(&["list"], dir.path());
    let sections = listed["sections"].as_array().expect("sections are a list");
    for (name, attached) in [("relay", 2), ("expansion", 1), ("aging", 1)] {
        let entry =
            sections.iter().find(|entry| entry["name"] == name).expect("each node's section is listed");
        let figures = &entry["figures"];
        assert_eq!(figures["attached"], attached, "{entry}");
        assert_eq!(figures["pids"], serde_json::json!([node.pid().as_raw_nonzero().get()]), "{entry}");
        assert!(object(dir.path(), name).ends_with(entry["object"].as_str().expect("it has a name")));
    }
    assert_eq!(sections.len(), 3, "locks of nodes are no sections: {listed}");

    let stat = json(&["stat", "relay"], dir.path());
    assert_eq!(
        (&stat["mode"], &stat["attached_slots"].as_array().map(Vec::len)),
        (&"owner".into(), &Some(2))
    );
    let database = |at: usize| &stat["databases"][at];
    assert_eq!((&database(0)["db"], &database(0)["records"]), (&0.into(), &101.into()), "{stat}");
    assert_eq!((&database(1)["db"], &database(1)["records"]), (&3.into(), &1.into()), "{stat}");
    let (block, fill) = advised(&stat);
    assert!((440..=480).contains(&block) && fill > 95.0, "20 + 380 bytes: {block}, {fill} %");

    // Every way to look that does not ask for secrets, and none is told.
    for args in [&["list"][..], &["list", "--json"], &["stat", "relay"], &["stat", "relay", "--json"]] {
        let text = said(args, dir.path());
        assert!(!text.contains(TOKEN) && !text.contains("alice"), "{args:?}: {text}");
    }
    let plain = said(&["dump", "relay"], dir.path());
    assert_eq!(plain.lines().count(), 1 + 102);
    assert!(!plain.contains("sess") && !plain.contains("alice") && !plain.contains("vvv"), "{plain}");
    let keys = said(&["dump", "relay", "--keys"], dir.path());
    assert!(keys.contains(TOKEN) && !keys.contains("alice") && !keys.contains("vvv"), "{keys}");
    let values = said(&["dump", "relay", "--values", "--db", "3"], dir.path());
    assert!(values.contains(SECRET) && !values.contains(TOKEN), "{values}");
    assert_eq!(values.lines().count(), 2);
    assert_eq!(said(&["dump", "relay", "--limit", "5"], dir.path()).lines().count(), 1 + 5);

    let checked = said(&["check", "relay"], dir.path());
    assert!(checked.contains("not quiet") && checked.contains("ok: 102 live"), "{checked}");
    let complaint = refused(&["rm", "relay"], dir.path(), 1);
    assert!(complaint.contains("in use by 2"), "{complaint}");
    assert_eq!(node.wire().call(&["GET", TOKEN]).text(), SECRET, "a refused removal removes nothing");

    // A look that is ended half way leaves no more behind than one that ends by itself.
    let mut look = Command::new(bins::gs_server())
        .args(["section", "dump", "relay", "--dir"])
        .arg(dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gs-server can be run");
    look.kill().expect("it can be killed");
    look.wait().expect("it ends");
    let after = json(&["stat", "relay"], dir.path());
    assert_eq!((slots(&after), &after["untidy_slots"]), (slots(&stat), &0.into()));
}

#[test]
fn an_abandoned_section_is_judged_and_removed() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let mut node = family(dir.path());
    node.kill();
    let stat = json(&["stat", "relay"], dir.path());
    assert_eq!((slots(&stat).len(), &stat["pids"]), (0, &serde_json::json!([])), "{stat}");
    assert!(stat["untidy_slots"].as_u64() >= Some(1), "nobody left in order: {stat}");
    let checked = said(&["check", "relay"], dir.path());
    assert!(!checked.contains("not quiet") && checked.contains("ok: 102 live"), "{checked}");

    // One byte of a value changed: the check says so and fails; everything else can still be seen.
    let path = object(dir.path(), "relay");
    let memory = std::fs::read(&path).expect("the section can be read");
    let at = memory.windows(SECRET.len()).position(|window| window == SECRET.as_bytes());
    let file = std::fs::File::options().write(true).open(&path).expect("the section can be written");
    file.write_all_at(b"X", at.expect("the value is there") as u64).expect("a byte can be written");
    let broken = refused(&["check", "relay"], dir.path(), 1);
    assert!(broken.contains("broken: 1") && broken.contains("checksum"), "{broken}");
    assert!(!broken.contains("alice") && !broken.contains(TOKEN), "{broken}");
    assert_eq!(json(&["stat", "relay"], dir.path())["occupancy"]["live"], 102);

    let removed = said(&["rm", "relay"], dir.path());
    assert!(!path.exists() && removed.contains("kept"), "{removed}");
    assert!(!dir.path().join("relay.lock").exists() && dir.path().join("relay.key").exists());
    for args in [&["stat", "relay"][..], &["dump", "relay"], &["check", "relay"], &["rm", "relay"]] {
        assert!(refused(args, dir.path(), 1).contains("no section relay in"), "{args:?}");
    }
    let there = refused(&["stat", "relay"], dir.path(), 1);
    assert!(there.contains("there are: aging, expansion"), "it names those that exist: {there}");
    refused(&["stat"], dir.path(), 2);
    refused(&["stat", "relay", "--jsonn"], dir.path(), 2);
    refused(&["list"], &dir.path().join("nowhere"), 1);
    node.restart();
    assert_eq!(json(&["stat", "relay"], dir.path())["databases"], serde_json::json!([]));
}

#[test]
fn a_front_ends_section_tells_of_its_agent() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let node = family(&dir.path().join("gs"));
    let front = dir.path().join("front");
    let machine = Machine::new(&front, &node.addr(), env!("CARGO_BIN_EXE_gs-test-front-end"));
    let mut process = machine.create().ready();
    let got = process.ask(&format!("get {TOKEN}"));
    assert!(got.contains(SECRET), "{got}");
    let listed = json(&["list"], &front);
    let name = listed["sections"][0]["name"].as_str().expect("it has a name").to_owned();
    let stat = wait::until("the session is in the section", || {
        let stat = json(&["stat", &name], &front);
        if stat["occupancy"]["live"] == 1 { Ok(stat) } else { Err(stat.to_string()) }
    });
    assert_eq!((&stat["mode"], &stat["keeps_keys"]), (&"cache".into(), &false.into()));
    assert!(stat["agent_epoch"].as_u64() >= Some(1) && slots(&stat).len() == 1, "{stat}");
    assert!(said(&["stat", &name], &front).contains("lease"));
}
