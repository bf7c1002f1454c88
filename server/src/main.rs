//! The program: what stands on the command line becomes a configuration, and that becomes running nodes.

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use gs_conf::Inputs;
use std::path::PathBuf;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The configuration is wrong.
const EXIT_CONFIG: u8 = 2;
/// The configuration is fine and this machine is not: a port is taken, a section has no room.
const EXIT_START: u8 = 1;

/// gs: a family of session cache servers that speak the Redis protocol.
///
/// Without a role, one process runs the whole family on this machine's loopback: relay 7878, sibling 7880,
/// expansion relief 7881, aging relief 7882, HTTP 9878.
#[derive(Parser, Debug)]
#[command(name = "gs-server", version, args_conflicts_with_subcommands = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Job>,
    /// A configuration file of global_session (JSON with comments); it picks the role.
    #[arg(value_name = "FILE.conf", conflicts_with = "config")]
    legacy: Option<PathBuf>,
    /// family, relay, sibling, relief-expansion or relief-aging.
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// The configuration file: TOML, or YAML or JSON by its extension.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The address to listen on.
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<String>,
    /// The RESP port; 0 picks a free one.
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    /// The port of the sibling that a relay or a family starts.
    #[arg(long, value_name = "PORT")]
    sibling_port: Option<String>,
    /// The port of the family's expansion relief.
    #[arg(long, value_name = "PORT")]
    expansion_port: Option<String>,
    /// The port of the family's aging relief.
    #[arg(long, value_name = "PORT")]
    aging_port: Option<String>,
    /// The sibling that a relief joins.
    #[arg(long, value_name = "HOST:PORT")]
    sibling: Option<String>,
    /// The relay that a sibling works for.
    #[arg(long, value_name = "HOST:PORT")]
    relay: Option<String>,
    /// The port of /metrics, /healthz and /readyz: RESP port + 2000 unless given; `off` or -1 for none.
    #[arg(long, value_name = "PORT|off", allow_hyphen_values = true)]
    http_port: Option<String>,
    /// Bytes of the section, for instance 256mb.
    #[arg(long, value_name = "BYTES")]
    capacity: Option<String>,
    /// The directory of what a node keeps.
    #[arg(long, value_name = "DIR")]
    dir: Option<String>,
    /// Sets any option; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// End when standard input does: how a relay starts its sibling.
    #[arg(long)]
    child: bool,
}

#[derive(Subcommand, Debug)]
enum Job {
    /// Judges a configuration file and tells everything that is wrong with it.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Looks at the sections of this machine, and removes one.
    #[command(subcommand)]
    Section(gs_server::section::SectionCommand),
}

impl Cli {
    /// What was said, as keys of the configuration. `--set` comes last and wins.
    fn flags(&self) -> Result<Vec<(String, String)>, String> {
        let said = [
            ("role", &self.role),
            ("bind", &self.bind),
            ("port", &self.port),
            ("sibling_port", &self.sibling_port),
            ("expansion_port", &self.expansion_port),
            ("aging_port", &self.aging_port),
            ("sibling", &self.sibling),
            ("relay", &self.relay),
            ("http_port", &self.http_port),
            ("capacity", &self.capacity),
            ("dir", &self.dir),
        ];
        let mut flags: Vec<(String, String)> = said
            .iter()
            .filter_map(|(key, value)| value.as_ref().map(|value| ((*key).to_owned(), value.clone())))
            .collect();
        for pair in &self.sets {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| format!("--set {pair}: no value; write --set {pair}=VALUE"))?;
            flags.push((key.trim().to_owned(), value.to_owned()));
        }
        Ok(flags)
    }
}

fn main() -> ExitCode {
    // Every option of the table stands in the long help.
    let options = format!("Options of the configuration (--set KEY=VALUE):\n{}", gs_conf::render::help());
    let command = <Cli as clap::CommandFactory>::command().after_long_help(options);
    let cli = match <Cli as clap::FromArgMatches>::from_arg_matches(&command.get_matches()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match &cli.command {
        Some(Job::Check { file }) => return check(file),
        Some(Job::Section(command)) => return gs_server::section::run(command),
        None => {}
    }
    let file = cli.config.clone().or_else(|| cli.legacy.clone());
    let loaded = cli.flags().and_then(|flags| {
        let file = file.clone();
        gs_conf::load(&Inputs { file, env: Inputs::process_env(), flags })
            .map_err(|errors| errors.to_string())
    });
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(text) => {
            eprintln!("{text}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    gs_server::logging::start(&loaded.config);
    for note in &loaded.notes {
        tracing::info!("{note}");
    }
    match gs_server::assemble::run(&loaded.config, cli.child, file.as_deref()).context("gs-server cannot run")
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(EXIT_START)
        }
    }
}

fn check(file: &std::path::Path) -> ExitCode {
    match gs_conf::check(file) {
        Ok(checked) => {
            println!("{}: ok", file.display());
            checked.notes().iter().for_each(|note| println!("{note}"));
            ExitCode::SUCCESS
        }
        Err(errors) => {
            eprintln!("{errors}");
            ExitCode::from(EXIT_CONFIG)
        }
    }
}
