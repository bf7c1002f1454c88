//! The comparison works: every group runs against gs (and the peers that are installed), every reply is right, and
//! there is a figure and a verdict for each promise. What the figures are is for a quiet machine to say.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use benchmarks::compare::groups::ALL;
use serde_json::Value;

/// True where a missing peer is a failure, as in the other tests.
fn required() -> bool {
    std::env::var("GS_REQUIRE_PEERS").is_ok_and(|value| value == "1")
}

fn run(args: &[&str], out: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_benchmarks"))
        .args(args)
        .arg("--out")
        .arg(out)
        .stdin(Stdio::null())
        .output()
        .expect("the program can be run");
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{args:?}: {said}\n{complained}");
    said.into_owned()
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|dir: PathBuf| dir.join(program).is_file());
    if !there {
        assert!(!required(), "{program} is not installed, and GS_REQUIRE_PEERS=1");
        eprintln!("SKIPPED: {program} is not installed (GS_REQUIRE_PEERS=1 makes this a failure)");
    }
    there
}

#[test]
fn every_group_has_figures_of_right_replies_and_every_promise_a_verdict() {
    let out = tempfile::tempdir().unwrap();
    let redis = installed("redis-server");
    let bars = run(&["compare", "--quick"], out.path());
    let json = std::fs::read_to_string(out.path().join("compare.json")).unwrap();
    let results: Value = serde_json::from_str(&json).unwrap();
    for measure in &ALL {
        let samples = results["groups"][measure.name]["samples"].as_array().unwrap();
        let gs = samples.iter().filter(|sample| sample["server"] == "gs").count();
        assert!(gs > 0 || measure.name == "limits", "{}: no figure of gs", measure.name);
        let figures = samples.iter().flat_map(|sample| sample["figures"].as_object().unwrap());
        for (name, value) in figures {
            let value = value.as_f64().unwrap_or(f64::NAN);
            assert!(value.is_finite(), "{}: {name} is {value}", measure.name);
            assert!(value > 0.0 || !["ops_s", "p50_us"].contains(&name.as_str()), "{}: {name}", measure.name);
        }
    }
    let misses = results["groups"]["tiers"]["samples"].as_array().unwrap();
    let misses = misses.iter().filter_map(|sample| sample["figures"]["miss_share"].as_f64());
    let share = misses.fold(f64::INFINITY, f64::min);
    assert!(share > 0.95, "what is told of misses is of misses: {share} of them went below");
    let alone = ["P6", "P7", "P10", "P12", "P13"];
    let beside = ["P4", "P5", "P8", "P11"];
    for bar in alone.iter().chain(beside.iter().filter(|_| redis)) {
        assert!(bars.contains(&format!("BAR {bar} ")), "no verdict on {bar}:\n{bars}");
    }
    let table = std::fs::read_to_string(out.path().join("compare.md")).unwrap();
    assert!(table.contains("## commands") && table.contains("| GET | 384 | 16 | gs |"), "{table}");
    for plot in ["compare-latency.svg", "compare-cpu-GET.svg"] {
        assert!(out.path().join(plot.to_lowercase()).is_file(), "{plot} is missing");
    }
}

#[test]
fn groups_are_joined_with_what_was_measured_before() {
    let out = tempfile::tempdir().unwrap();
    for group in ["commands", "churn"] {
        run(
            &["compare", "--quick", "--group", group, "--without", "redis", "--without", "memcached"],
            out.path(),
        );
    }
    let table = std::fs::read_to_string(out.path().join("compare.md")).unwrap();
    assert!(table.contains("## commands") && table.contains("## churn"), "{table}");
}

#[test]
fn a_long_load_is_judged() {
    let out = tempfile::tempdir().unwrap();
    // So few operations say nothing about latency: only that all of it was counted matters here.
    let output = Command::new(env!("CARGO_BIN_EXE_benchmarks"))
        .args(["long", "--ops", "60000", "--keys", "2000", "--no-progress", "--out"])
        .arg(out.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("no wrong reply") && said.contains("BAR long p99"), "{output:?}");
    let json = std::fs::read_to_string(out.path().join("long.json")).unwrap();
    let results: Value = serde_json::from_str(&json).unwrap();
    assert!(results["operations"].as_u64().unwrap() >= 60_000, "{results}");
    assert_eq!(results["slices"].as_array().unwrap().len(), 60);
}
