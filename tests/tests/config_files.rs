//! Every configuration file that ships is one that the server takes, and a typo is refused with its
//! path and the names that are allowed.

use gs_tests::{bins, peers};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn check(file: &std::path::Path) -> Output {
    let mut command = Command::new(bins::gs_server());
    // A shipped file may name relative paths; they are relative to where it is started.
    command.arg("check").arg(file).current_dir(bins::repository()).stdin(Stdio::null());
    command.output().expect("gs-server can be run")
}

fn files(dir: &str, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(bins::repository().join(dir)).unwrap_or_else(|e| panic!("{dir}: {e}"));
    let found = entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == extension));
    found.collect()
}

#[test]
fn every_shipped_toml_loads() {
    // client.toml is the front-end library's, which has tests of its own.
    let all = files("conf", "toml")
        .into_iter()
        .filter(|p| !p.ends_with("Cargo.toml") && !p.ends_with("client.toml"));
    let all: Vec<_> = all.collect();
    for name in ["relay.toml", "sibling.toml", "relief-expansion.toml", "relief-aging.toml"] {
        assert!(all.iter().any(|p| p.ends_with(name)), "conf/{name} is not shipped");
    }
    for file in all {
        let output = check(&file);
        assert!(output.status.success(), "{}: {}", file.display(), peers::shown(&output));
    }
}

#[test]
fn every_shipped_legacy_file_loads() {
    let all = files("conf/legacy", "conf");
    assert!(!all.is_empty(), "no example of the ancestors' files is shipped");
    for file in all {
        let output = check(&file);
        assert!(output.status.success(), "{}: {}", file.display(), peers::shown(&output));
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_path_and_the_allowed_names() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let file = dir.path().join("relay.toml");
    std::fs::write(&file, "role = \"relay\"\n[section]\nblock_byte = 256\n").expect("a file can be written");
    let output = check(&file);
    assert_eq!(output.status.code(), Some(2), "{}", peers::shown(&output));
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("section.block_byte"), "the path is not named: {said}");
    assert!(
        said.contains("block_bytes") && said.contains("value_bytes_max"),
        "the allowed names are missing: {said}"
    );
}

#[test]
fn a_value_out_of_range_is_refused_with_its_path() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let file = dir.path().join("relay.toml");
    std::fs::write(&file, "role = \"relay\"\ndatabases = 99\n").expect("a file can be written");
    let output = check(&file);
    assert_eq!(output.status.code(), Some(2), "{}", peers::shown(&output));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("databases") && said.contains("16"), "path and limit are not named: {said}");
}
