//! Which sections there are.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use gs_client::cache::{Mode, Observer, Section};
use serde::Serialize;

use super::text::{bytes, percent, span};
use super::who;

/// A section by its files, whether or not there is anything behind them.
#[derive(Serialize)]
struct Entry {
    dir: PathBuf,
    name: String,
    /// Name of the object in /dev/shm.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    figures: Option<Figures>,
    /// Why there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
}

#[derive(Serialize)]
struct Figures {
    mode: &'static str,
    total_bytes: u64,
    block_bytes: u32,
    blocks: u32,
    used_pct: f64,
    records: u64,
    attached: usize,
    pids: Vec<u32>,
    made_ms_ago: u64,
}

/// An object that no directory asked about names: another directory's, or left behind.
#[derive(Serialize)]
struct Loose {
    object: String,
    total_bytes: u64,
    pids: Vec<u32>,
}

#[derive(Serialize)]
struct Listing {
    sections: Vec<Entry>,
    loose: Vec<Loose>,
}

pub(super) fn run(dirs: &[PathBuf], json: bool, out: &mut dyn Write, now_ms: u64) -> anyhow::Result<bool> {
    let mut sections = Vec::new();
    for dir in dirs {
        let names = Section::names(dir).map_err(|e| anyhow::anyhow!("{}: {e}", dir.display()))?;
        sections.extend(names.into_iter().map(|(name, object)| entry(dir, name, object, now_ms)));
    }
    let named: BTreeSet<&str> = sections.iter().filter_map(|entry| entry.object.as_deref()).collect();
    let loose = loose(&named);
    let listing = Listing { sections, loose };
    if json {
        writeln!(out, "{}", serde_json::to_string(&listing)?)?;
        return Ok(true);
    }
    show(&listing, out)?;
    Ok(true)
}

fn entry(dir: &Path, name: String, object: Option<String>, now_ms: u64) -> Entry {
    let (figures, trouble) = match Observer::open(dir, &name) {
        Ok(observer) => (Some(figures(&observer, now_ms)), None),
        Err(_) if object.is_none() => {
            (None, Some("no section now: in private memory, removed, or not made yet".to_owned()))
        }
        Err(error) => (None, Some(error.to_string())),
    };
    Entry { dir: dir.to_owned(), name, object, figures, trouble }
}

fn figures(observer: &Observer, now_ms: u64) -> Figures {
    let stats = observer.stats();
    Figures {
        mode: mode(observer),
        total_bytes: stats.total_bytes,
        block_bytes: observer.geometry().block_bytes,
        blocks: observer.geometry().blocks,
        used_pct: percent(stats.blocks - stats.free_blocks, stats.blocks),
        records: stats.live,
        attached: observer.attached().map_or(0, |slots| slots.len()),
        pids: who::users(observer.shm_name()).pids,
        made_ms_ago: now_ms.saturating_sub(observer.made().0),
    }
}

pub(super) fn mode(observer: &Observer) -> &'static str {
    match observer.config().mode {
        Mode::Cache => "cache",
        Mode::Owner => "owner",
    }
}

fn loose(named: &BTreeSet<&str>) -> Vec<Loose> {
    let Ok(entries) = std::fs::read_dir("/dev/shm") else {
        return Vec::new();
    };
    let mut loose: Vec<Loose> = entries
        .flatten()
        .filter_map(|entry| {
            let object = entry.file_name().into_string().ok()?;
            let ours = object.strip_prefix("gs-").is_some_and(|hex| hex.len() == 32);
            let total_bytes = entry.metadata().ok()?.len();
            let pids = if ours { who::users(&object).pids } else { Vec::new() };
            (ours && !named.contains(object.as_str())).then_some(Loose { object, total_bytes, pids })
        })
        .collect();
    loose.sort_by(|a, b| a.object.cmp(&b.object));
    loose
}

fn show(listing: &Listing, out: &mut dyn Write) -> std::io::Result<()> {
    if listing.sections.is_empty() {
        writeln!(out, "no sections here")?;
    } else {
        writeln!(
            out,
            "{:<20} {:<5} {:>10} {:>5} {:>10} {:>6} {:>8} {:>5}  object, pids",
            "NAME", "MODE", "SIZE", "BLOCK", "RECORDS", "USED", "ATTACHED", "AGE"
        )?;
    }
    for entry in &listing.sections {
        let object = entry.object.as_deref().unwrap_or("-");
        match (&entry.figures, &entry.trouble) {
            (Some(f), _) => writeln!(
                out,
                "{:<20} {:<5} {:>10} {:>5} {:>10} {:>5.1}% {:>8} {:>5}  {object}, {}",
                entry.name,
                f.mode,
                bytes(f.total_bytes),
                f.block_bytes,
                f.records,
                f.used_pct,
                f.attached,
                span(f.made_ms_ago),
                pids(&f.pids)
            )?,
            (None, trouble) => {
                writeln!(out, "{:<20} {}", entry.name, trouble.as_deref().unwrap_or_default())?;
            }
        }
    }
    for object in &listing.loose {
        writeln!(
            out,
            "not named here: /dev/shm/{}, {}, {}",
            object.object,
            bytes(object.total_bytes),
            pids(&object.pids)
        )?;
    }
    Ok(())
}

/// Pids in a row; mappings of other users' processes cannot be seen.
pub(super) fn pids(pids: &[u32]) -> String {
    if pids.is_empty() {
        return "no pid seen".to_owned();
    }
    format!("pid {}", pids.iter().map(u32::to_string).collect::<Vec<_>>().join(" "))
}
