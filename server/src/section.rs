//! `gs-server section`: what an operator asks about the sections of this machine, without being in them.

mod dump;
mod list;
mod manage;
mod stat;
mod text;
mod who;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use gs_client::cache::{Observer, OpenError, Section};
use gs_client::clock::Clock;

/// What can be asked about sections.
#[derive(Subcommand, Debug)]
pub enum SectionCommand {
    /// Which sections there are: those that a directory names, and objects in /dev/shm that none names.
    List {
        /// The directory of the nodes' files (gs-data) or of a front end's (/tmp/gs-front). May be repeated.
        #[arg(long = "dir", value_name = "DIR")]
        dirs: Vec<PathBuf>,
        /// One JSON object on one line.
        #[arg(long)]
        json: bool,
    },
    /// What a section holds: who is attached, geometry, occupancy by database, sizes and ages of its records,
    /// huge pages, the agent's lease, and the block size that suits its records best.
    Stat {
        /// Which one.
        #[command(flatten)]
        at: At,
        /// One JSON object on one line.
        #[arg(long)]
        json: bool,
    },
    /// Every record's metadata, one line each: a prefix of its identity's hash, database, kind, sizes, age, idle
    /// time, remaining life, version, state. Keys and values are not shown unless asked for: they are secrets.
    Dump {
        /// Which one.
        #[command(flatten)]
        at: At,
        /// Show keys too.
        #[arg(long)]
        keys: bool,
        /// Show values too.
        #[arg(long)]
        values: bool,
        /// This database only.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..16))]
        db: Option<u8>,
        /// Stop after so many records.
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
    },
    /// Proves every invariant of a section at which nobody is at work: exit code 0 if all hold, else 1 and what
    /// does not. While processes are attached it looks three times and tells only what stays.
    Check {
        /// Which one.
        #[command(flatten)]
        at: At,
    },
    /// Removes a section and its files. Refuses while a process is attached.
    Rm {
        /// Which one.
        #[command(flatten)]
        at: At,
        /// Even while processes are attached: they see it retired and attach to the next one.
        #[arg(long)]
        force: bool,
        /// The key file too. What a node keeps on disk about its keys (tombstones) is lost with it.
        #[arg(long)]
        key: bool,
    },
}

/// Which section.
#[derive(Args, Debug)]
pub struct At {
    /// The section's name: relay, expansion or aging unless configured otherwise.
    name: String,
    /// The directory of its files.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl At {
    fn dir(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(default_dir)
    }

    fn observer(&self) -> anyhow::Result<Observer> {
        let dir = self.dir();
        Observer::open(&dir, &self.name).map_err(|error| {
            let absent = matches!(error, OpenError::Absent { .. });
            // Those that have memory behind them; a front end's have the hash of their relay in the name.
            let others = Section::names(&dir).unwrap_or_default().into_iter();
            let others: Vec<_> =
                others.filter(|(_, object)| absent && object.is_some()).map(|(name, _)| name).collect();
            let error = anyhow::Error::new(error);
            if others.is_empty() {
                error
            } else {
                anyhow::anyhow!("{error}; there are: {}", others.join(", "))
            }
        })
    }
}

fn default_dir() -> PathBuf {
    gs_conf::Config::default().dir.into()
}

/// Answers on standard output. Exit code 1 for "no" and for what could not be done.
pub fn run(command: &SectionCommand) -> ExitCode {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let now_ms = Clock::real().now_ms();
    let done =
        answer(command, &mut out, now_ms).and_then(|well| out.flush().map(|()| well).map_err(Into::into));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever reads has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn answer(command: &SectionCommand, out: &mut dyn Write, now_ms: u64) -> anyhow::Result<bool> {
    match command {
        SectionCommand::List { dirs, json } => {
            let dirs = if dirs.is_empty() { vec![default_dir()] } else { dirs.clone() };
            list::run(&dirs, *json, out, now_ms)
        }
        SectionCommand::Stat { at, json } => stat::run(at, *json, out, now_ms),
        SectionCommand::Dump { at, keys, values, db, limit } => {
            let what = dump::What { keys: *keys, values: *values, db: *db, limit: limit.unwrap_or(u64::MAX) };
            dump::run(&at.observer()?, &what, out, now_ms)
        }
        SectionCommand::Check { at } => manage::check(&at.observer()?, out, now_ms),
        SectionCommand::Rm { at, force, key } => manage::remove(at, *force, *key, out),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
