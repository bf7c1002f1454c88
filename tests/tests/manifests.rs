//! The workspace keeps its shape: every arrow between our crates is one that ARCHITECTURE.md allows.
//! A wrong arrow compiles today and makes the next change impossible, so it fails here.

use gs_tests::bins;
use std::collections::{BTreeMap, BTreeSet};
use toml::Table;

/// Crate, and what it may use. What is not listed here may use everything and be used by nothing.
const ARROWS: [(&str, &[&str]); 6] = [
    ("gs-resp", &[]),
    ("gs-policies", &[]),
    ("gs-shm", &[]),
    ("gs-conf", &["gs-policies", "gs-shm"]),
    ("gs-client", &["gs-resp", "gs-policies", "gs-shm", "gs-conf"]),
    ("gs-server", &["gs-resp", "gs-policies", "gs-conf", "gs-client"]),
];

/// Crates at the end of every arrow.
const ENDS: [&str; 2] = ["gs-tests", "benchmarks"];

/// What the sans-IO crates must not even know of.
const NO_IO: [&str; 8] =
    ["tokio", "tokio-rustls", "rustls", "socket2", "rustix", "libc", "axum", "shared_memory"];

fn manifests() -> BTreeMap<String, Table> {
    let root = read("Cargo.toml");
    let members = root["workspace"]["members"].as_array().expect("members is a list");
    let paths = members.iter().map(|m| m.as_str().expect("a member is a path"));
    paths
        .map(|path| {
            let manifest = read(&format!("{path}/Cargo.toml"));
            (manifest["package"]["name"].as_str().expect("a package has a name").to_owned(), manifest)
        })
        .collect()
}

fn read(path: &str) -> Table {
    let text = std::fs::read_to_string(bins::repository().join(path)).expect("a manifest is readable");
    text.parse().expect("a manifest is TOML")
}

/// Every dependency of every kind and target.
fn uses(manifest: &Table, kinds: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let targets = manifest.get("target").and_then(|t| t.as_table()).into_iter().flatten();
    let tables = std::iter::once(manifest).chain(targets.filter_map(|(_, t)| t.as_table()));
    for table in tables {
        for kind in kinds {
            found.extend(
                table.get(*kind).and_then(|t| t.as_table()).into_iter().flat_map(|t| t.keys().cloned()),
            );
        }
    }
    found
}

const ALL: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

#[test]
fn every_arrow_between_our_crates_is_allowed() {
    let manifests = manifests();
    let ours: BTreeSet<_> = manifests.keys().cloned().collect();
    for (name, manifest) in &manifests {
        for used in uses(manifest, &ALL).intersection(&ours) {
            assert!(!ENDS.contains(&used.as_str()), "{name} uses {used}, which nobody may use");
            if ENDS.contains(&name.as_str()) {
                continue;
            }
            let (_, allowed) =
                ARROWS.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("{name} is in no table"));
            assert!(allowed.contains(&used.as_str()), "{name} uses {used}; it may use only {allowed:?}");
        }
    }
    for (name, _) in ARROWS {
        assert!(ours.contains(name), "{name} of the table is not in the workspace");
    }
}

#[test]
fn sans_io_crates_know_no_io() {
    let manifests = manifests();
    for name in ["gs-resp", "gs-policies"] {
        let known = uses(&manifests[name], &["dependencies", "build-dependencies"]);
        let io: Vec<_> = NO_IO.iter().filter(|io| known.contains(**io)).collect();
        assert!(io.is_empty(), "{name} is sans-IO and uses {io:?}");
    }
    let shm = uses(&manifests["gs-shm"], &ALL);
    assert!(!shm.contains("tokio"), "the section must be usable without a runtime");
}

#[test]
fn every_crate_takes_its_version_and_its_bans_from_the_workspace() {
    let root = read("Cargo.toml");
    for (name, manifest) in manifests() {
        for key in ["version", "edition", "rust-version", "license"] {
            let inherits =
                manifest["package"].get(key).and_then(|v| v.get("workspace")).and_then(|v| v.as_bool());
            assert_eq!(inherits, Some(true), "{name}: {key}.workspace = true is missing");
        }
        let lints = &manifest["lints"];
        if lints.get("workspace").and_then(|w| w.as_bool()) == Some(true) {
            continue;
        }
        // Cargo cannot extend the workspace's lints, so a crate with one more repeats them all.
        for (tool, rules) in root["workspace"]["lints"].as_table().expect("the workspace has lints") {
            for (rule, level) in rules.as_table().expect("lints are tables") {
                let own = lints.get(tool).and_then(|t| t.get(rule));
                assert_eq!(
                    own,
                    Some(level),
                    "{name} has its own lints, without {tool}.{rule} of the workspace"
                );
            }
        }
    }
}
