//! A GET and a SET of the server take no more instructions than they took: bytes in, reply bytes out, alone and in a
//! pipeline. Time on a machine that does other things would hide a tenth; this does not.
//!
//! `cargo run --release -p benchmarks --bin instructions` counts the release build and the section's own operations;
//! `GS_BLESS=1 cargo test -p benchmarks --test instructions` writes this baseline anew.

use std::fmt::Write as _;

use benchmarks::callgrind::{LIMIT, baseline, is_installed, of_server};
use benchmarks::compare::options::gs_server;

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/baselines/server-dev.txt");

#[test]
fn a_get_and_a_set_of_the_server_take_what_they_took() {
    if !cfg!(debug_assertions) {
        eprintln!("SKIPPED: the baseline is that of the dev profile, which CI builds");
        return;
    }
    if !is_installed() {
        let required = std::env::var("GS_REQUIRE_PEERS").is_ok_and(|value| value == "1");
        assert!(!required, "valgrind is not installed, and GS_REQUIRE_PEERS=1");
        eprintln!("SKIPPED: valgrind is not installed (GS_REQUIRE_PEERS=1 makes this a failure)");
        return;
    }
    let counted = of_server(&gs_server(None).unwrap()).unwrap();
    if std::env::var_os("GS_BLESS").is_some() {
        let mut text = String::from(
            "# instructions per command of the dev profile; see benchmarks/tests/instructions.rs\n",
        );
        counted.iter().for_each(|(name, count)| writeln!(text, "{name} {count:.0}").unwrap());
        std::fs::write(BASELINE, text).unwrap();
    }
    let text = std::fs::read_to_string(BASELINE).unwrap();
    let before = baseline(&text);
    let mut grown = Vec::new();
    for (name, count) in counted {
        let was = *before.get(name).unwrap_or_else(|| panic!("{name} is not in {BASELINE}"));
        println!("{name:<16} {count:>8.0}  baseline {was:>8.0}  x{:.2}", count / was);
        if count > was * LIMIT {
            grown.push(format!("{name}: {count:.0}, was {was:.0}"));
        }
    }
    assert!(grown.is_empty(), "over 10 % more instructions than {BASELINE} says: {grown:?}");
}
