//! Other people's programs: found, or said to be missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The path of a program, or `None` with a line that says what is skipped.
///
/// With `GS_REQUIRE_PEERS=1` (what `.ci/run` sets) a missing program is a failure: a test that skips
/// itself where it matters proves nothing.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file());
    if found.is_none() {
        skip(&format!("{program} is not installed"));
    }
    found
}

/// Says that a test is skipped, or fails where skipping is not allowed.
pub fn skip(why: &str) {
    assert!(!required(), "{why}, and GS_REQUIRE_PEERS=1 does not allow the test to be skipped");
    eprintln!("SKIPPED: {why} (GS_REQUIRE_PEERS=1 makes this a failure)");
}

/// Whether a missing peer is a failure.
pub fn required() -> bool {
    std::env::var("GS_REQUIRE_PEERS").is_ok_and(|v| v == "1")
}

/// Runs redis-cli against an address and returns what it printed, without the last newline.
/// Panics when it fails: redis-cli exits 0 on an error *reply*.
pub fn redis_cli(cli: &Path, addr: &str, args: &[&str]) -> String {
    let (host, port) = addr.rsplit_once(':').expect("an address has a port");
    let output = Command::new(cli)
        .args(["-h", host, "-p", port])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("redis-cli can be run");
    assert!(output.status.success(), "redis-cli {args:?}: {}", shown(&output));
    String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
}

/// Status, stdout and stderr of a program in one text, for a failing test.
pub fn shown(output: &Output) -> String {
    format!(
        "{}\nstdout: {}\nstderr: {}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
