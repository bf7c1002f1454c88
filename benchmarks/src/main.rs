//! Measurements of gs beside its peers.
//!
//! `cargo run --release -p benchmarks -- compare`   every group, about an hour
//! `cargo run --release -p benchmarks -- compare --quick`
//! `cargo run --release -p benchmarks -- long`      an hour's worth of operations at full speed

use benchmarks::compare::long::{self, Long};
use benchmarks::compare::options::Compare;
use benchmarks::compare::{self, null};
use clap::{Parser, Subcommand};

/// Measurements of gs beside its peers.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    job: Job,
}

#[derive(Subcommand)]
enum Job {
    /// gs beside Redis, memcached and others: throughput, latency, CPU, memory.
    Compare(Box<Compare>),
    /// An hour's worth of operations at full speed: memory and latency must be flat.
    Long(Long),
    /// A server that only answers; `compare` starts it.
    #[command(hide = true)]
    NullServer {
        /// Where it listens.
        port: u16,
        /// Bytes of each value.
        #[arg(default_value_t = 384)]
        value_bytes: usize,
    },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().job {
        Job::Compare(options) => compare::run(&options),
        Job::Long(options) => long::run(&options),
        Job::NullServer { port, value_bytes } => null::serve(port, value_bytes),
    }
}
