//! What a run is asked to be.

/// Which mode the section is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Cache,
    Owner,
    Both,
}

/// A run.
#[derive(Clone, Debug)]
pub(crate) struct Args {
    pub(crate) seconds: u64,
    /// Seconds that it may go on after that if too little was done to show anything.
    pub(crate) longer: u64,
    pub(crate) seed: u64,
    pub(crate) workers: usize,
    /// Stop workers too, not only kill them.
    pub(crate) stop: bool,
    pub(crate) mode: Which,
    pub(crate) section_bytes: u64,
    pub(crate) value_bytes_max: u32,
    pub(crate) keys: u64,
    /// Seconds until everybody is killed and the section is proven.
    pub(crate) round: u64,
    /// Mean time between two blows is half of this.
    pub(crate) blow_ms: u64,
}

impl Default for Args {
    fn default() -> Args {
        Args {
            seconds: 30,
            longer: 0,
            seed: 1,
            workers: 8,
            stop: false,
            mode: Which::Both,
            section_bytes: 1 << 20,
            value_bytes_max: 20_000,
            keys: 1_500,
            round: 5,
            blow_ms: 20,
        }
    }
}

pub(crate) const USAGE: &str =
    "torture [--seconds N] [--seed N] [--workers N] [--stop] [--mode cache|owner|both]
        [--section-bytes N] [--value-bytes N] [--keys N] [--round SECONDS] [--blow-ms N]";

impl Args {
    /// Reads a command line; the error is a text for the user.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Args, String> {
        let mut args = Args::default();
        while let Some(flag) = words.next() {
            if flag == "--stop" {
                args.stop = true;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{flag} needs a value\n{USAGE}"))?;
            if flag == "--mode" {
                args.mode = match value.as_str() {
                    "cache" => Which::Cache,
                    "owner" => Which::Owner,
                    "both" => Which::Both,
                    other => return Err(format!("--mode {other}: cache, owner or both")),
                };
                continue;
            }
            let number: u64 = value.parse().map_err(|e| format!("{flag} {value}: {e}"))?;
            match flag.as_str() {
                "--seconds" => args.seconds = number,
                "--seed" => args.seed = number,
                "--workers" => args.workers = number as usize,
                "--section-bytes" => args.section_bytes = number,
                "--value-bytes" => args.value_bytes_max = number as u32,
                "--keys" => args.keys = number.max(1),
                "--round" => args.round = number.max(1),
                "--blow-ms" => args.blow_ms = number.max(1),
                other => return Err(format!("{other} is not a flag\n{USAGE}")),
            }
        }
        if args.workers < 3 || args.workers > super::oracle::WORKERS_MAX {
            return Err(format!("--workers {}: 3 to {}", args.workers, super::oracle::WORKERS_MAX));
        }
        Ok(args)
    }
}
