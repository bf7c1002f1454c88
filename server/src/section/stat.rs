//! What a section holds, in figures.

use std::io::Write;

use gs_client::cache::{BLOCK_BYTES_DEFAULT, DATABASES, Fit, Mix, Observer, Occupancy, Seen};
use serde::Serialize;

use super::list::{mode, pids};
use super::text::{bytes, percent, span};
use super::{At, who};
use crate::core::huge::mount_option;

/// Upper ends of the classes of idle time and age, in seconds; the last class is open.
const TIMES_S: [u64; 7] = [10, 60, 600, 3_600, 14_400, 86_400, 604_800];
/// Idle time is not known beyond four hours.
const IDLE_TIMES: usize = 5;

/// Everything that `stat` tells; the fields of `--json`.
#[derive(Serialize)]
struct Stat {
    name: String,
    object: String,
    mode: &'static str,
    made_ms_ago: u64,
    creator_pid: u64,
    nonce: String,
    total_bytes: u64,
    block_bytes: u32,
    blocks: u32,
    index_slots: u64,
    value_bytes_max: u32,
    keeps_keys: bool,
    attached_slots: Vec<u16>,
    untidy_slots: usize,
    pids: Vec<u32>,
    occupancy: Blocks,
    databases: Vec<Database>,
    sizes: Vec<Class>,
    idle: Vec<Class>,
    age: Vec<Class>,
    huge_bytes: u64,
    huge_option: String,
    agent_epoch: u16,
    lease_left_ms: u64,
    applied_seq: u64,
    record_size: Vec<Advice>,
}

#[derive(Serialize)]
struct Blocks {
    free: u64,
    live: u64,
    evicting: u64,
    continuations: u64,
    passing: u64,
    garbage: u64,
}

#[derive(Serialize, Default, Clone)]
struct Database {
    db: usize,
    records: u64,
    key_bytes: u64,
    value_bytes: u64,
    expired: u64,
    flushed: u64,
}

/// Records of up to `up_to` bytes or seconds; `None` is the open class.
#[derive(Serialize, Clone)]
struct Class {
    up_to: Option<u64>,
    records: u64,
    bytes: u64,
}

/// What the records cost at a block size.
#[derive(Serialize)]
struct Advice {
    which: &'static str,
    block_bytes: u32,
    overhead_bytes_per_record: f64,
    fill_pct: f64,
    section_bytes: u64,
}

pub(super) fn run(at: &At, json: bool, out: &mut dyn Write, now_ms: u64) -> anyhow::Result<bool> {
    let observer = at.observer()?;
    let stat = gather(&at.name, &observer, now_ms)?;
    if json {
        writeln!(out, "{}", serde_json::to_string(&stat)?)?;
    } else {
        show(&stat, out)?;
    }
    Ok(true)
}

/// What one walk over the blocks gathers.
struct Tally {
    databases: Vec<Database>,
    sizes: Vec<Class>,
    idle: Vec<Class>,
    age: Vec<Class>,
    mix: Mix,
}

impl Tally {
    fn new() -> Tally {
        let class = |up_to| Class { up_to, records: 0, bytes: 0 };
        let times =
            |times: &[u64]| times.iter().copied().map(Some).chain([None]).map(class).collect::<Vec<_>>();
        Tally {
            databases: (0..DATABASES).map(|db| Database { db, ..Database::default() }).collect(),
            // 64 bytes to 16 MiB, the most that there can be, by powers of two.
            sizes: (6..=24).map(|power| class(Some(1 << power))).collect(),
            idle: times(&TIMES_S[..IDLE_TIMES]),
            age: times(&TIMES_S),
            mix: Mix::default(),
        }
    }

    fn add(&mut self, seen: &Seen, now_ms: u64) {
        let meta = &seen.meta;
        let database = &mut self.databases[usize::from(meta.db)];
        database.flushed += u64::from(seen.flushed);
        database.expired += u64::from(seen.expired && !seen.flushed);
        if seen.flushed || seen.expired {
            return;
        }
        let bytes = u64::from(meta.key_len) + u64::from(meta.value_len);
        database.records += 1;
        database.key_bytes += u64::from(meta.key_len);
        database.value_bytes += u64::from(meta.value_len);
        self.mix.add(meta.key_len as usize, meta.value_len as usize, 1);
        count(&mut self.sizes, bytes, bytes);
        count(&mut self.idle, meta.idle_ms / 1000, bytes);
        count(&mut self.age, now_ms.saturating_sub(meta.created_ms) / 1000, bytes);
    }
}

fn count(classes: &mut [Class], value: u64, bytes: u64) {
    let at = classes.iter().position(|class| class.up_to.is_none_or(|up_to| value <= up_to));
    let last = classes.len() - 1;
    let class = &mut classes[at.unwrap_or(last)];
    class.records += 1;
    class.bytes += bytes;
}

fn gather(name: &str, observer: &Observer, now_ms: u64) -> anyhow::Result<Stat> {
    let mut tally = Tally::new();
    let Occupancy { free, live, evicting, continuations, passing, garbage } =
        observer.survey(now_ms, &mut |seen| tally.add(seen, now_ms));
    let (geometry, lease, users) = (observer.geometry(), observer.lease(), who::users(observer.shm_name()));
    let filled = |classes: Vec<Class>| classes.into_iter().filter(|class| class.records > 0).collect();
    Ok(Stat {
        name: name.to_owned(),
        object: observer.shm_name().to_owned(),
        mode: mode(observer),
        made_ms_ago: now_ms.saturating_sub(observer.made().0),
        creator_pid: observer.made().1,
        nonce: format!("{:032x}", observer.nonce()),
        total_bytes: geometry.total_len,
        block_bytes: geometry.block_bytes,
        blocks: geometry.blocks,
        index_slots: geometry.slots(),
        value_bytes_max: geometry.value_bytes_max,
        keeps_keys: geometry.keep_keys,
        attached_slots: observer.attached()?,
        untidy_slots: observer.untidy()?.len(),
        pids: users.pids,
        occupancy: Blocks { free, live, evicting, continuations, passing, garbage },
        databases: tally
            .databases
            .into_iter()
            .filter(|database| database.records + database.expired + database.flushed > 0)
            .collect(),
        sizes: filled(tally.sizes),
        idle: filled(tally.idle),
        age: filled(tally.age),
        // The walk has touched every page, so this process's own mapping counts as well as another's.
        huge_bytes: users.huge_bytes.max(observer.huge_bytes()),
        huge_option: mount_option(),
        agent_epoch: lease.agent_epoch,
        lease_left_ms: lease.until_ms.saturating_sub(now_ms),
        applied_seq: observer.applied_seq(),
        record_size: advice(&tally.mix, geometry.block_bytes),
    })
}

fn advice(mix: &Mix, current: u32) -> Vec<Advice> {
    let Some(advised) = mix.advise() else {
        return Vec::new();
    };
    let fits =
        [("current", mix.fit(current)), ("default", mix.fit(BLOCK_BYTES_DEFAULT)), ("advised", advised)];
    let advice = |(which, fit): (&'static str, Fit)| Advice {
        which,
        block_bytes: fit.block_bytes,
        overhead_bytes_per_record: fit.overhead_per_record(),
        fill_pct: fit.fill() * 100.0,
        section_bytes: fit.section_bytes,
    };
    fits.into_iter().map(advice).collect()
}

fn show(s: &Stat, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(
        out,
        "section      {}, {} mode, made {} ago by pid {}",
        s.name,
        s.mode,
        span(s.made_ms_ago),
        s.creator_pid
    )?;
    writeln!(out, "object       /dev/shm/{}, {}", s.object, bytes(s.total_bytes))?;
    writeln!(
        out,
        "geometry     {} blocks of {} B, {} index slots, values up to {}, {}",
        s.blocks,
        s.block_bytes,
        s.index_slots,
        bytes(s.value_bytes_max.into()),
        if s.keeps_keys { "keys kept" } else { "keys as identities only" }
    )?;
    let slots = s.attached_slots.iter().map(u16::to_string).collect::<Vec<_>>().join(" ");
    let slots = if slots.is_empty() { "nobody".to_owned() } else { format!("slots {slots}") };
    writeln!(out, "attached     {slots}; {}; {} slots left untidy", pids(&s.pids), s.untidy_slots)?;
    show_agent(s, out)?;
    show_huge(s, out)?;
    show_occupancy(s, out)?;
    for (title, unit, classes) in
        [("size", "bytes", &s.sizes), ("idle", "seconds", &s.idle), ("age", "seconds", &s.age)]
    {
        show_classes(title, unit, classes, out)?;
    }
    show_advice(s, out)
}

fn show_agent(s: &Stat, out: &mut dyn Write) -> std::io::Result<()> {
    if s.agent_epoch == 0 {
        return writeln!(out, "agent        none yet");
    }
    let lease = match s.lease_left_ms {
        0 => "lapsed".to_owned(),
        ms => format!("{ms} ms left"),
    };
    writeln!(
        out,
        "agent        epoch {}, lease {lease}, stream applied up to {}",
        s.agent_epoch, s.applied_seq
    )
}

fn show_huge(s: &Stat, out: &mut dyn Write) -> std::io::Result<()> {
    let share = percent(s.huge_bytes, s.total_bytes);
    writeln!(
        out,
        "huge pages   {} of {} ({share:.0} %); /dev/shm is mounted huge={}",
        bytes(s.huge_bytes),
        bytes(s.total_bytes),
        s.huge_option
    )?;
    if share < 50.0 && s.huge_option == "never" {
        writeln!(
            out,
            "             `mount -o remount,huge=advise /dev/shm` (root, or in fstab), then a new section"
        )?;
    }
    Ok(())
}

fn show_occupancy(s: &Stat, out: &mut dyn Write) -> std::io::Result<()> {
    let Blocks { free, live, evicting, continuations, passing, garbage } = s.occupancy;
    let whole = s.blocks.into();
    writeln!(
        out,
        "blocks       {:.1} % used: {live} live heads, {evicting} evicting, {continuations} further, {passing} in passing \
         or dead, {garbage} garbage, {free} free",
        percent(whole - free.min(whole), whole)
    )?;
    for d in &s.databases {
        writeln!(
            out,
            "db {:<9} {} records, keys {}, values {}; {} expired and {} flushed not yet reclaimed",
            d.db,
            d.records,
            bytes(d.key_bytes),
            bytes(d.value_bytes),
            d.expired,
            d.flushed
        )?;
    }
    Ok(())
}

fn show_classes(title: &str, unit: &str, classes: &[Class], out: &mut dyn Write) -> std::io::Result<()> {
    let all: u64 = classes.iter().map(|class| class.records).sum();
    for class in classes {
        let up_to = match class.up_to {
            Some(up_to) => format!("<= {up_to} {unit}"),
            None => "more".to_owned(),
        };
        writeln!(
            out,
            "{title:<12} {up_to:<18} {:>10} records {:>5.1} %  {}",
            class.records,
            percent(class.records, all),
            bytes(class.bytes)
        )?;
    }
    Ok(())
}

fn show_advice(s: &Stat, out: &mut dyn Write) -> std::io::Result<()> {
    for a in &s.record_size {
        writeln!(
            out,
            "record_size  {:<8} block_bytes {:>4}: {:>6.1} B beside each record's own, {:>5.1} % of the blocks filled, {}",
            a.which,
            a.block_bytes,
            a.overhead_bytes_per_record,
            a.fill_pct,
            bytes(a.section_bytes)
        )?;
    }
    Ok(())
}
