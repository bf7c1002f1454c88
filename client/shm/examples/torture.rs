//! Real processes on one section, killed and stopped at any instruction, for as long as you like.
//!
//! ```sh
//! cargo run --release -p gs-shm --example torture -- --seconds 600 --mode both --stop
//! ```
//! Prints what was done and what went wrong; exit code 1 if anything did. `tests/torture.rs` is a short run.

#[path = "../tests/support/fork.rs"]
mod fork;
#[path = "../tests/support/random.rs"]
mod random;
#[path = "../tests/torture/mod.rs"]
mod torture;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = torture::run_if_asked() {
        return ExitCode::from(code as u8);
    }
    let args = match torture::Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(text) => {
            eprintln!("{text}");
            return ExitCode::from(2);
        }
    };
    let tables = torture::run(&args, &[]);
    for table in &tables {
        println!("{table}");
    }
    if tables.iter().all(torture::Table::clean) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
