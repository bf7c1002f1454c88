//! Judging a section, and removing one.

use std::io::Write;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Context as _;
use gs_client::cache::{CheckReport, Observer, OpenError, Section};

use super::At;

/// Looks at a section in use, and the pause between two: what is work in progress is another complaint by then.
const LOOKS: usize = 3;
const PAUSE: Duration = Duration::from_millis(100);

/// True if every invariant holds.
pub(super) fn check(observer: &Observer, out: &mut dyn Write, now_ms: u64) -> anyhow::Result<bool> {
    let attached = observer.attached().context("asking who is attached")?.len();
    let quiet = attached == 0;
    if !quiet {
        let processes = if attached == 1 { "process is" } else { "processes are" };
        writeln!(out, "not quiet: {attached} {processes} attached; only what stays is told")?;
    }
    match lasting(observer, if quiet { 1 } else { LOOKS }, now_ms) {
        Ok(report) => {
            let CheckReport { free, live, evicting, continuations, duplicates, orphans, dangling, stale } =
                report;
            writeln!(
                out,
                "ok: {live} live and {evicting} leaving records, {continuations} further blocks, {free} blocks free"
            )?;
            writeln!(
                out,
                "left for the hand: {stale} expired or flushed records, {orphans} blocks of ended processes, \
                 {dangling} slots that name nothing, {duplicates} older copies"
            )?;
            Ok(true)
        }
        Err(complaints) => {
            writeln!(out, "broken: {} complaints", complaints.len())?;
            complaints.iter().try_for_each(|complaint| writeln!(out, "  {complaint}"))?;
            Ok(false)
        }
    }
}

/// The complaints that every look repeats; a look without any ends it.
fn lasting(observer: &Observer, looks: usize, now_ms: u64) -> Result<CheckReport, Vec<String>> {
    let mut lasting = match observer.check(now_ms) {
        Ok(report) => return Ok(report),
        Err(complaints) => complaints,
    };
    for _ in 1..looks {
        sleep(PAUSE);
        let again = match observer.check(now_ms) {
            Ok(report) => return Ok(report),
            Err(complaints) => complaints,
        };
        lasting.retain(|complaint| again.contains(complaint));
    }
    // Nothing stayed: each look met other work in progress.
    if lasting.is_empty() { Ok(CheckReport::default()) } else { Err(lasting) }
}

/// True if it was removed.
pub(super) fn remove(at: &At, force: bool, key: bool, out: &mut dyn Write) -> anyhow::Result<bool> {
    let dir = at.dir();
    let removed = match Section::remove_unused(&dir, &at.name, force, key) {
        Err(OpenError::InUse { name, attached }) => anyhow::bail!(
            "section {name} is in use by {attached} process(es): end them first, or say --force \
             (`gs-server section stat {name}` shows who they are)"
        ),
        Err(OpenError::Absent { .. }) => {
            anyhow::bail!("no section {} in {}: nothing was removed", at.name, dir.display())
        }
        other => other?,
    };
    if let Some(shm) = &removed.shm {
        writeln!(out, "removed /dev/shm/{shm}")?;
    }
    for suffix in &removed.files {
        writeln!(out, "removed {}", dir.join(format!("{}.{suffix}", at.name)).display())?;
    }
    let kept = dir.join(format!("{}.key", at.name));
    if !key && kept.exists() {
        writeln!(out, "kept {}: tombstones on disk are told by it (--key removes it too)", kept.display())?;
    }
    if removed.attached > 0 {
        writeln!(out, "{} process(es) were attached; they see it retired", removed.attached)?;
    }
    Ok(true)
}
