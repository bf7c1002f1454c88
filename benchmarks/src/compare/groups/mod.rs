//! The measurements, in groups that can be run apart.

pub mod commands;
pub mod connections;
pub mod fanout;
pub mod growth;
pub mod latency;
pub mod limits;
pub mod memory;
pub mod restart;
pub mod tiers;
pub mod tls;

use super::bench::Bench;

/// A group: its name, what it is, how it is run.
pub struct Measure {
    /// How it is chosen.
    pub name: &'static str,
    /// What it measures.
    pub what: &'static str,
    /// Runs it.
    pub run: fn(&mut Bench) -> anyhow::Result<()>,
}

/// All of them, in the order in which they are run and told.
pub const ALL: [Measure; 14] = [
    Measure { name: "limits", what: "what this machine cannot do faster", run: limits::run },
    Measure { name: "commands", what: "GET and SET at each pipeline depth (P4)", run: commands::run },
    Measure { name: "verbs", what: "other commands, the session mix, zipf", run: commands::verbs },
    Measure { name: "sizes", what: "GET and SET of 64 B to 16 KiB", run: commands::sizes },
    Measure { name: "latency", what: "latency over load, open loop (P5)", run: latency::run },
    Measure { name: "memory", what: "memory per session (P6)", run: memory::run },
    Measure { name: "threads", what: "two serving threads beside one (P7)", run: growth::threads },
    Measure { name: "fanout", what: "messages to 100 subscribers and front ends (P8)", run: fanout::run },
    Measure { name: "restart", what: "the relay ends and starts again (P10)", run: restart::run },
    Measure { name: "tls", what: "GET over TLS, full handshakes (P11)", run: tls::run },
    Measure { name: "tiers", what: "misses that climb through the tiers (P12)", run: tiers::run },
    Measure { name: "growth", what: "ten times the sessions (P13)", run: growth::run },
    Measure { name: "idle", what: "10,000 idle connections (P13)", run: connections::idle },
    Measure { name: "churn", what: "connect, GET, close, as PHP does", run: connections::churn },
];
