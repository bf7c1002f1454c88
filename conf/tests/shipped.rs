//! What ships is true: every file loads, and the reference is the table.

use std::path::{Path, PathBuf};

use gs_conf::{Checked, Destroy, Role, check, render};

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn node(name: &str) -> gs_conf::Config {
    match check(&here().join(name)).unwrap_or_else(|e| panic!("{name}:\n{e}")) {
        Checked::Node(loaded) => loaded.config,
        Checked::Client(_) => panic!("{name} was taken for a client's"),
    }
}

#[test]
fn every_shipped_file_loads_as_what_it_is() {
    for (name, role) in [
        ("relay.toml", Role::Relay),
        ("sibling.toml", Role::Sibling),
        ("relief-expansion.toml", Role::ReliefExpansion),
        ("relief-aging.toml", Role::ReliefAging),
    ] {
        assert_eq!(node(name).role, role);
    }
    let relay = node("relay.toml");
    assert_eq!(
        (relay.path_of(b"sess:1").destroy, relay.path_of(b"1").destroy),
        (Destroy::Wins, Destroy::Plain)
    );
    match check(&here().join("client.toml")).expect("client.toml loads") {
        Checked::Client(loaded) => assert_eq!(loaded.config, gs_conf::ClientConfig::default()),
        Checked::Node(_) => panic!("client.toml was taken for a node's"),
    }
}

#[test]
fn the_commented_lines_are_good_too() {
    // A reader takes the comment sign away and expects it to work.
    for name in ["relay.toml", "sibling.toml", "relief-expansion.toml", "relief-aging.toml", "client.toml"] {
        let text = std::fs::read_to_string(here().join(name)).expect("it ships");
        let mut opened = String::new();
        for line in text.lines() {
            let bare = line.strip_prefix("# ").unwrap_or(line);
            let key = bare.split(" = ").next().unwrap_or_default();
            let is_option = bare.contains(" = ") && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            opened.push_str(if is_option || bare.starts_with('[') { bare } else { line });
            opened.push('\n');
        }
        let dir = tempfile::tempdir().expect("a directory can be made");
        let file = dir.path().join(name);
        std::fs::write(&file, &opened).expect("a file can be written");
        check(&file).unwrap_or_else(|e| panic!("{name} without comment signs:\n{e}\n{opened}"));
    }
}

#[test]
fn the_reference_is_the_table() {
    let file = here().join("REFERENCE.md");
    let wanted = render::reference();
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &wanted).expect("the reference can be written");
        return;
    }
    assert!(found == wanted, "REFERENCE.md is old: run UPDATE=1 cargo test -p gs-conf");
}

#[test]
fn help_names_every_option() {
    let help = render::help();
    for row in gs_conf::rows() {
        assert!(help.contains(&row.name.replace('*', "<name>")), "{}", row.name);
    }
}
