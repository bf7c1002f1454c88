//! Stock clients and session libraries connect with their defaults and do what they are used for.
//! The scripts are in `tests/clients`; each prints OK.

use gs_tests::node::{Node, Spec};
use gs_tests::{bins, peers, ports};
use std::process::{Command, Stdio};

fn run(name: &str, programs: &[&str]) {
    if programs.iter().any(|p| peers::find(p).is_none()) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory can be made");
    let base = ports::reserve();
    let spec = Spec::family(&dir.path().join("gs"))
        .flag("port", base)
        .flag("sibling-port", base + 2)
        .flag("expansion-port", base + 3)
        .flag("aging-port", base + 4)
        .flag("http-port", base + 5);
    let node = Node::start(spec.flag("capacity", "16mb"));
    let runner = bins::repository().join("tests/clients/run");
    if !peers::required() && !installed(&runner) {
        return;
    }
    let output = Command::new(runner).args([&node.addr(), name]).stdin(Stdio::null()).output();
    let output = output.expect("the runner can be started");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.trim_end().ends_with("OK"), "{name}: {}", peers::shown(&output));
}

/// Without a network the packages cannot be had, which is a reason to skip where skipping is allowed.
fn installed(runner: &std::path::Path) -> bool {
    let output = Command::new(runner)
        .arg("--install")
        .stdin(Stdio::null())
        .output()
        .expect("the runner can be started");
    if !output.status.success() {
        peers::skip(&format!("client packages cannot be installed: {}", peers::shown(&output)));
    }
    output.status.success()
}

#[test]
fn redis_py_with_its_defaults_and_with_resp2() {
    run("redis_py", &["python3"]);
}

#[test]
fn node_redis_with_its_defaults() {
    run("node_redis", &["node", "npm"]);
}

#[test]
fn ioredis_with_its_defaults() {
    run("ioredis", &["node", "npm"]);
}

#[test]
fn php_redis_and_its_session_handler() {
    run("php_redis", &["php"]);
}

#[test]
fn express_session_logs_in_and_out() {
    run("express_session", &["node", "npm"]);
}

#[test]
fn flask_session_logs_in_and_out() {
    run("flask_app", &["python3"]);
}

#[test]
fn redis_py_locks_watches_caches_and_listens() {
    run("redis_py_more", &["python3"]);
}

#[test]
fn django_in_its_three_ways() {
    run("django_app", &["python3"]);
}

#[test]
fn starsessions_log_in_and_out() {
    run("starsessions_app", &["python3"]);
}

#[test]
fn redlock_locks_by_scripts() {
    run("node_locks", &["node", "npm"]);
}

#[test]
fn fastify_session_logs_in_and_out() {
    run("fastify_session", &["node", "npm"]);
}

#[test]
fn php_sessions_with_locking_lose_nothing() {
    run("php_locking", &["php"]);
}

#[test]
fn symfony_sessions_over_both_clients() {
    if std::path::Path::new("/usr/share/php/Symfony/Component/HttpFoundation/autoload.php").exists() {
        run("symfony_session", &["php"]);
    } else {
        peers::skip("php-symfony-http-foundation is not installed");
    }
}

#[test]
fn ruby_redis_races_and_listens() {
    run("ruby_redis", &["ruby"]);
}

#[test]
fn hiredis_pipelines() {
    if std::path::Path::new("/usr/include/hiredis/hiredis.h").exists() {
        run("hiredis", &["cc"]);
    } else {
        peers::skip("libhiredis-dev is not installed");
    }
}
