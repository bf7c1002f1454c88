//! What no compiler checks: files small enough to read, `unsafe` only where it was argued for, nothing
//! left unfinished, no test that sleeps and hopes.

use gs_tests::bins;
use std::path::{Path, PathBuf};

/// Lines of a source file. The aim is 400.
const LINES_MAX: usize = 500;

/// Where `unsafe` may stand: the mapping, and the fork of its crash tests.
const UNSAFE: [&str; 2] = ["client/shm/src/map.rs", "client/shm/tests/support/fork.rs"];

/// Where a thread may sleep: between two looks at a state, and to delay bytes on purpose.
const SLEEPS: [&str; 2] = ["tests/src/wait.rs", "tests/src/proxy.rs"];

/// Directories that hold nothing of ours.
const SKIPPED: [&str; 5] = ["target", ".git", "node_modules", "gs-data", "__pycache__"];

fn sources(extensions: &[&str]) -> Vec<(String, String)> {
    let root = bins::repository();
    let mut files = Vec::new();
    walk(&root, extensions, &mut files);
    let relative = |p: &PathBuf| p.strip_prefix(&root).expect("it was found there").display().to_string();
    let text = |p: &PathBuf| std::fs::read_to_string(p).expect("a source file is UTF-8 text");
    files.iter().map(|p| (relative(p), text(p))).collect()
}

fn walk(dir: &Path, extensions: &[&str], files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a directory is readable").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() && !SKIPPED.iter().any(|s| name == *s) {
            walk(&path, extensions, files);
        } else if path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x)) {
            files.push(path);
        }
    }
}

/// The code of a line: without strings and what follows `//`.
fn code(line: &str) -> String {
    let mut out = String::new();
    let (mut quoted, mut chars) = (false, line.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => drop(chars.next()),
            '"' => quoted = !quoted,
            '/' if !quoted && chars.peek() == Some(&'/') => break,
            c if !quoted => out.push(c),
            _ => {}
        }
    }
    out
}

fn report(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

fn lines_with(files: &[(String, String)], bad: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let each = |(path, text): &(String, String)| {
        let hits = text.lines().enumerate().filter(|(_, line)| bad(path, line));
        hits.map(|(n, line)| format!("{path}:{}: {}", n + 1, line.trim())).collect::<Vec<_>>()
    };
    files.iter().flat_map(each).collect()
}

#[test]
fn files_are_small_enough_to_read() {
    let long = sources(&["rs"]).into_iter().map(|(path, text)| (path, text.lines().count()));
    let long = long.filter(|(_, n)| *n > LINES_MAX).map(|(path, n)| format!("{path}: {n}")).collect();
    report(&format!("files of more than {LINES_MAX} lines"), long);
}

#[test]
fn unsafe_stays_where_it_was_argued_for() {
    let is_unsafe =
        |line: &str| code(line).split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "unsafe");
    let found = lines_with(&sources(&["rs"]), |path, line| !UNSAFE.contains(&path) && is_unsafe(line));
    report("`unsafe` outside its files", found);
}

#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    for (path, text) in sources(&["rs"]).into_iter().filter(|(path, _)| UNSAFE.contains(&path.as_str())) {
        let lines: Vec<_> = text.lines().collect();
        let blocks = lines.iter().enumerate().filter(|(_, l)| {
            let code = code(l);
            code.contains("unsafe {") || code.contains("unsafe impl")
        });
        let silent =
            blocks.filter(|(n, _)| !lines[n.saturating_sub(8)..=*n].iter().any(|l| l.contains("SAFETY:")));
        report(
            "unsafe without a SAFETY sentence",
            silent.map(|(n, _)| format!("{path}:{}", n + 1)).collect(),
        );
    }
}

#[test]
fn nothing_is_left_unfinished() {
    let words = ["todo!", "unimplemented!", "dbg!(", "FIXME", "XXX:", "HACK"];
    let mine = |path: &str| path == "tests/tests/tidy.rs";
    let bad = |path: &str, line: &str| !mine(path) && words.iter().any(|w| line.contains(w));
    report(
        "unfinished work",
        lines_with(&sources(&["rs", "toml", "md", "sh", "py", "js", "php", "yml"]), bad),
    );
}

#[test]
fn no_test_sleeps_for_a_state() {
    let bad = |path: &str, line: &str| {
        path.starts_with("tests/") && !SLEEPS.contains(&path) && code(line).contains("sleep(")
    };
    report("a sleep in a test", lines_with(&sources(&["rs"]), bad));
}

#[test]
fn the_watcher_sees_code_and_not_words_about_it() {
    assert_eq!(code("let a = \"unsafe // x\"; // unsafe"), "let a = ; ");
    assert_eq!(code("unsafe { x } // why"), "unsafe { x } ");
}
