//! Where the programs under test are, freshly built.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The built `gs-server`.
pub fn gs_server() -> PathBuf {
    built().join("gs-server")
}

/// The built example `front_end` of the client library.
pub fn front_end() -> PathBuf {
    built().join("examples").join("front_end")
}

/// The repository's root.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests crate has a parent").to_path_buf()
}

/// The profile directory (`target/debug` or `target/release`) with fresh programs in it.
///
/// `cargo test` of this package does not build another package's binaries, and a stale binary would
/// test yesterday's server; so cargo is asked once per test process (half a second when nothing
/// changed). `GS_BIN_DIR` names ready ones instead.
fn built() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| match std::env::var_os("GS_BIN_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => build(),
    })
}

fn build() -> PathBuf {
    let me = std::env::current_exe().expect("a test knows its own path");
    let profile = me.parent().and_then(Path::parent).expect("tests live in PROFILE/deps").to_path_buf();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // The whole workspace is selected so that features unify as in `cargo test --workspace`;
    // with fewer packages cargo would rebuild the dependencies with other features.
    command.args(["build", "--quiet", "--workspace", "--bin", "gs-server", "--example", "front_end"]);
    if profile.ends_with("release") {
        command.arg("--release");
    }
    if let Some(target) = profile.parent() {
        command.arg("--target-dir").arg(target);
    }
    let status = command.current_dir(repository()).stdin(Stdio::null()).status().expect("cargo can be run");
    assert!(status.success(), "building gs-server and the front_end example failed");
    profile
}
