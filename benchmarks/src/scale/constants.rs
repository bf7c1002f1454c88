//! The measured figures that the sums in `docs/scaling.md` rest on: the one place where they stand. A new measurement is
//! entered here, and `cargo run --release -p benchmarks --bin scale -- --write` brings it everywhere else.

/// A measured figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constant {
    /// How the formulae call it.
    pub name: &'static str,
    /// What it is.
    pub what: &'static str,
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// The command that prints it.
    pub command: &'static str,
}

const fn constant(
    name: &'static str,
    value: f64,
    unit: &'static str,
    what: &'static str,
    command: &'static str,
) -> Constant {
    Constant { name, what, value, unit, command }
}

const ROOM: &str = "cargo run --release -p benchmarks --bin room -- --redis";
const SECTION: &str = "cargo bench -p benchmarks --bench section";
const DIRECTORY: &str = "cargo run --release -p benchmarks --bin directory -- 10000000";
const COMPARE: &str = "cargo run --release -p benchmarks -- compare";
const CLIMB: &str =
    "the same; measured here as a GET where a relay of 32 MiB and an aging node hold 250,000 sessions";
const FANOUT: &str = "cargo run --release -p benchmarks --bin fanout";

/// All of them. Measured on two cores of an AMD EPYC, the load on one and what is measured on the other.
pub const CONSTANTS: [Constant; 20] = [
    constant("c_hit", 0.44, "us", "a hit in a front end's section of a million sessions", SECTION),
    constant("c_get", 5.65, "us", "CPU of a relay for a GET that comes alone", COMPARE),
    constant("c_get_16", 0.57, "us", "the same, sixteen at a time", COMPARE),
    constant("c_set", 6.10, "us", "CPU of a relay for a SET that comes alone, without listeners", COMPARE),
    constant("c_set_16", 1.15, "us", "the same, sixteen at a time", COMPARE),
    constant(
        "c_move",
        4.70,
        "us",
        "CPU of a relay and its sibling for a session that goes down or comes up",
        CLIMB,
    ),
    constant("c_move_16", 3.50, "us", "the same, sixteen at a time", CLIMB),
    constant("c_relief", 1.60, "us", "CPU of a relief to take a session, or to give it back", CLIMB),
    constant("c_write", 4.57, "us", "CPU of a relay to wake one front end and write to it", FANOUT),
    constant("c_deliver", 0.024, "us", "CPU of a relay for each change in that write", FANOUT),
    constant(
        "c_deliver_value",
        0.045,
        "us",
        "the same where the change carries a value of 384 bytes",
        FANOUT,
    ),
    constant("c_wake", 4.82, "us", "CPU of a front end to be woken by a relay and read", FANOUT),
    constant("c_apply", 0.40, "us", "CPU of a front end to apply one of the changes read", FANOUT),
    constant("c_apply_value", 0.85, "us", "the same where the change carries a value of 384 bytes", FANOUT),
    constant("c_renew", 4.72, "us", "CPU of a relay to renew a lease, taken for a front end's too", FANOUT),
    constant("b_session", 416.0, "B", "key (32) and value (384) of a session: an assumption", "-"),
    constant("b_over", 108.6, "B", "memory beside them, at the default block", ROOM),
    constant("b_over_best", 78.6, "B", "the same, at the block that `gs-server section stat` advises", ROOM),
    constant("b_dir", 42.0, "B", "memory of a relay for each session that a relief holds", DIRECTORY),
    constant("b_conn", 6_981.0, "B", "memory of a relay for an idle connection, the kernel's aside", COMPARE),
];

/// The figure of a name; every name in the formulae is in the table, which a test holds.
pub fn value(name: &str) -> f64 {
    CONSTANTS.iter().find(|constant| constant.name == name).map_or(f64::NAN, |constant| constant.value)
}

/// The table for a document.
pub fn table() -> String {
    let mut out = String::from("| name | figure | what | command that prints it |\n|---|---|---|---|\n");
    for c in &CONSTANTS {
        out.push_str(&format!("| `{}` | {} {} | {} | {} |\n", c.name, c.value, c.unit, c.what, c.command));
    }
    out
}
