//! Starts the workers, kills and stops them, watches them, and judges what is left.

use std::fmt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gs_shm::*;
use rustix::process::{Pid, Signal, kill_process};

use super::args::{Args, Which};
use super::oracle::{FAULTS_ALL, FIGURES_ALL, Fault, Oracle};
use super::watch::{self, Sample};
use super::worker::{ENVIRONMENT, NAME, Role, now_ms};
use crate::random::{one_in, random_of};

/// Longest time that a worker is kept stopped.
const STOPPED_MS: u64 = 400;
/// Time between two looks of the watchdog.
const LOOK_MS: u64 = 15;
/// Time that workers get to end by themselves.
const END_MS: u64 = 60_000;

/// What a run came to.
#[derive(Clone)]
pub(crate) struct Table {
    args: Args,
    mode: Mode,
    operations: u64,
    figures: Vec<(String, u64)>,
    kills: u64,
    stops: u64,
    rounds: u64,
    longest: Duration,
    faults: Vec<(String, u64)>,
    pub(crate) stalls: u64,
    pub(crate) crashed: u64,
    pub(crate) leaked: u64,
    pub(crate) unclean: u64,
}

impl Table {
    /// Whether nothing happened that must not.
    pub(crate) fn clean(&self) -> bool {
        let faults: u64 = self.faults.iter().map(|(_, n)| n).sum();
        faults + self.stalls + self.crashed + self.leaked + self.unclean == 0
    }

    /// Whether so much was done that "clean" means something.
    pub(crate) fn worked(&self) -> bool {
        let done = |name: &str| self.figures.iter().find(|(n, _)| n == name).map_or(0, |(_, v)| *v);
        let least = ["hits", "stored", "deleted"].iter().all(|name| done(name) > 1_000);
        let handed = self.mode == Mode::Cache || (done("released") > 100 && done("adopted") > 100);
        let blows = self.kills > 20 && (self.stops > 20 || !self.args.stop);
        least && handed && blows && self.rounds > 1
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Args { workers, seconds, seed, stop, section_bytes, .. } = self.args;
        let how = if stop { "killed and stopped" } else { "killed" };
        let mode = self.mode;
        writeln!(
            f,
            "{mode:?} mode, {workers} workers {how}, {seconds} s, {section_bytes} bytes, seed {seed}"
        )?;
        let mut line = |name: &str, value: String| writeln!(f, "  {name:<14}{value:>14}");
        line("operations", self.operations.to_string())?;
        for (name, value) in &self.figures {
            line(name, value.to_string())?;
        }
        line("kills", self.kills.to_string())?;
        line("stops", self.stops.to_string())?;
        line("longest, ms", self.longest.as_millis().to_string())?;
        line("proofs", self.rounds.to_string())?;
        for (name, value) in &self.faults {
            line(name, value.to_string())?;
        }
        line("stalls", self.stalls.to_string())?;
        line("crashed", self.crashed.to_string())?;
        line("leaked", self.leaked.to_string())?;
        line("unclean", self.unclean.to_string())?;
        let verdict = match (self.clean(), self.worked()) {
            (true, true) => "OK",
            (true, false) => "OK, and too little was done to show anything",
            (false, _) => "VIOLATED",
        };
        write!(f, "  {verdict}")
    }
}

struct Slot {
    child: Child,
    /// While stopped: until when.
    stopped_until: Option<u64>,
    sample: Sample,
}

struct Run {
    args: Args,
    mode: Mode,
    dir: tempfile::TempDir,
    oracle: Oracle,
    oracle_path: PathBuf,
    start: Vec<String>,
    random: fastrand::Rng,
    workers: Vec<Slot>,
    table: Table,
}

impl Drop for Run {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.child.kill();
            let _ = worker.child.wait();
        }
        let _ = Section::remove(self.dir.path(), NAME);
    }
}

/// Runs each mode that was asked for; `start` are the arguments with which this program becomes a worker.
pub(crate) fn run(args: &Args, start: &[&str]) -> Vec<Table> {
    let modes: &[Mode] = match args.mode {
        Which::Cache => &[Mode::Cache],
        Which::Owner => &[Mode::Owner],
        Which::Both => &[Mode::Cache, Mode::Owner],
    };
    let args = Args { seconds: args.seconds / modes.len() as u64, ..args.clone() };
    modes.iter().map(|mode| run_mode(&args, *mode, start)).collect()
}

fn run_mode(args: &Args, mode: Mode, start: &[&str]) -> Table {
    let dir = tempfile::tempdir().expect("a directory");
    let cfg = SectionConfig {
        capacity_bytes: args.section_bytes,
        value_bytes_max: args.value_bytes_max,
        keep_keys: mode == Mode::Owner,
        mode,
        ..SectionConfig::default()
    };
    let (section, origin) = Section::create_or_adopt(dir.path(), NAME, &cfg, now_ms()).expect("a section");
    assert_eq!(origin, Origin::Fresh);
    drop(section);
    // The file lives until the end: workers open it through this process.
    let (oracle, _file, oracle_path) = Oracle::new(args.keys);
    let table = Table {
        args: args.clone(),
        mode,
        operations: 0,
        figures: Vec::new(),
        kills: 0,
        stops: 0,
        rounds: 0,
        longest: Duration::ZERO,
        faults: Vec::new(),
        stalls: 0,
        crashed: 0,
        leaked: 0,
        unclean: 0,
    };
    let mut run = Run {
        args: args.clone(),
        mode,
        dir,
        oracle,
        oracle_path,
        start: start.iter().map(|s| s.to_string()).collect(),
        random: random_of(&[args.seed, mode as u64]),
        workers: Vec::new(),
        table,
    };
    let ends = now_ms() + args.seconds * 1000;
    while now_ms() < ends {
        run.round(ends.min(now_ms() + args.round * 1000));
    }
    // How much is done in a second is the machine's doing: one that is slow or shared goes on for longer.
    let last = ends + args.longer * 1000;
    let mut table = run.judge();
    while !table.worked() && now_ms() < last {
        run.round(now_ms() + args.round * 1000);
        table = run.judge();
    }
    table
}

impl Run {
    fn role(&self, number: usize) -> Role {
        match (self.mode, number) {
            (Mode::Cache, _) => Role::Cache,
            (Mode::Owner, 0) => Role::Owner,
            (Mode::Owner, 1) => Role::Demoter,
            (Mode::Owner, _) => Role::Reader,
        }
    }

    fn spawn(&mut self, number: usize) -> Slot {
        let words = [
            self.role(number).name().to_owned(),
            number.to_string(),
            self.random.u64(..).to_string(),
            std::process::id().to_string(),
            self.args.keys.to_string(),
            self.dir.path().display().to_string(),
            self.oracle_path.display().to_string(),
        ];
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args(&self.start)
            .env(ENVIRONMENT, words.join("\t"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("a worker");
        Slot { child, stopped_until: None, sample: Sample::default() }
    }

    /// Workers at work, blows falling, until `ends`; then everybody ends and the section is proven.
    fn round(&mut self, ends: u64) {
        self.oracle.stop(false);
        self.workers = Vec::new();
        for number in 0..self.args.workers {
            let slot = self.spawn(number);
            self.workers.push(slot);
        }
        while now_ms() < ends {
            let blow_at = now_ms() + 1 + self.random.u64(..self.args.blow_ms);
            while now_ms() < blow_at {
                let wait = (blow_at - now_ms().min(blow_at)).min(LOOK_MS);
                std::thread::sleep(Duration::from_millis(wait));
                self.look();
            }
            self.thaw();
            self.blow();
        }
        self.table.rounds += 1;
        // Every other round they are all killed as they stand, else they finish what they are at.
        if self.table.rounds.is_multiple_of(2) {
            self.finish();
        }
        for slot in &mut self.workers {
            let _ = slot.child.kill();
            let _ = slot.child.wait();
        }
        self.prove();
    }

    /// One worker is killed and replaced, or stopped for a while. In owner mode the two that write are hit as
    /// often as all readers.
    fn blow(&mut self) {
        let few = if self.mode == Mode::Owner && one_in(&mut self.random, 2) {
            2
        } else {
            self.args.workers as u64
        };
        let number = self.random.u64(..few) as usize;
        let stopped = self.workers.iter().filter(|slot| slot.stopped_until.is_some()).count();
        let stop = self.args.stop && stopped < self.args.workers / 2 && one_in(&mut self.random, 2);
        if stop && self.workers[number].stopped_until.is_none() {
            let until = now_ms() + 1 + self.random.u64(..STOPPED_MS);
            let slot = &mut self.workers[number];
            let _ = kill_process(Pid::from_child(&slot.child), Signal::STOP);
            slot.stopped_until = Some(until);
            self.table.stops += 1;
        } else {
            self.replace(number);
        }
    }

    fn replace(&mut self, number: usize) {
        let slot = &mut self.workers[number];
        self.table.crashed += u64::from(ended_badly(&mut slot.child));
        let _ = slot.child.kill();
        let _ = slot.child.wait();
        self.table.kills += 1;
        self.workers[number] = self.spawn(number);
    }

    /// Those whose time has come go on, or are killed as they stand.
    fn thaw(&mut self) {
        let now = now_ms();
        for number in 0..self.workers.len() {
            if self.workers[number].stopped_until.is_none_or(|until| until > now) {
                continue;
            }
            if one_in(&mut self.random, 3) {
                self.replace(number);
            } else {
                let slot = &mut self.workers[number];
                slot.stopped_until = None;
                slot.sample = Sample::default();
                let _ = kill_process(Pid::from_child(&slot.child), Signal::CONT);
            }
        }
    }

    fn look(&mut self) {
        let now = Duration::from_millis(now_ms());
        for (number, slot) in self.workers.iter_mut().enumerate() {
            if slot.stopped_until.is_some() {
                continue;
            }
            let pid = slot.child.id();
            let Some((spent, over)) = watch::look(&self.oracle, number, pid, now, &mut slot.sample) else {
                continue;
            };
            self.table.longest = self.table.longest.max(spent);
            if let Some(what) = over {
                eprintln!("STALL worker {number} in {what}: {} ms", spent.as_millis());
                self.table.stalls += 1;
            }
        }
    }

    /// Everybody ends by himself, those who were stopped included.
    fn finish(&mut self) {
        self.oracle.stop(true);
        for slot in &mut self.workers {
            slot.stopped_until = None;
            slot.sample = Sample::default();
            let _ = kill_process(Pid::from_child(&slot.child), Signal::CONT);
        }
        let deadline = now_ms() + END_MS;
        loop {
            let left = self.workers.iter_mut().filter_map(|slot| slot.child.try_wait().ok());
            if left.filter(Option::is_none).count() == 0 {
                break;
            }
            if now_ms() > deadline {
                eprintln!("STALL a worker does not end");
                self.table.stalls += 1;
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
            self.look();
        }
        for slot in &mut self.workers {
            self.table.crashed += u64::from(ended_badly(&mut slot.child));
        }
    }

    /// Nobody is left: one turn of re-adoption and of the hand, and every invariant holds.
    fn prove(&mut self) {
        let section = match Section::attach(self.dir.path(), NAME, None) {
            Ok(section) => section,
            Err(e) => {
                eprintln!("UNCLEAN cannot attach: {e}");
                self.table.unclean += 1;
                return;
            }
        };
        let blocks = section.geometry().blocks;
        let mut victims = Vec::new();
        section.adopt_evicting(&mut victims, usize::MAX);
        for victim in victims {
            if !section.abort(&victim.at) {
                self.oracle.fault(Fault::Wrong, "a hand-off of a dead process cannot be taken back");
            }
        }
        for _ in 0..2 {
            section.sweep(blocks, now_ms(), &mut |_| Verdict::Keep, &mut Vec::new());
        }
        match section.check(now_ms()) {
            Ok(report) => {
                let known = report.free + report.live + report.evicting + report.continuations;
                let leaked = u64::from(blocks).saturating_sub(known);
                if leaked > 0 {
                    eprintln!("LEAKED {leaked} blocks: {report:?}");
                }
                self.table.leaked += leaked;
            }
            Err(complaints) => {
                eprintln!("UNCLEAN {complaints:#?}");
                self.table.unclean += complaints.len() as u64;
            }
        }
    }

    fn judge(&mut self) -> Table {
        let name = |what: &dyn fmt::Debug| format!("{what:?}").to_lowercase();
        self.table.operations = self.oracle.operations();
        self.table.figures = FIGURES_ALL.iter().map(|f| (name(f), self.oracle.figure(*f))).collect();
        self.table.faults = FAULTS_ALL.iter().map(|f| (name(f), self.oracle.faults(*f))).collect();
        self.table.clone()
    }
}

/// Whether a worker has ended, and not as it was told to.
fn ended_badly(child: &mut Child) -> bool {
    match child.try_wait() {
        Ok(Some(status)) if !status.success() => {
            eprintln!("CRASHED {status}");
            true
        }
        Ok(_) => false,
        Err(e) => panic!("a worker cannot be waited for: {e}"),
    }
}
