//! The results as Markdown.

use std::fmt::Write as _;

use crate::section::stats::Spread;

use super::bars;
use super::groups::ALL;
use super::results::{Group, Results, Row};
use super::verdict::DISTURBED_PCT;

/// Figures that have a column of their own, and how it is headed.
const COLUMNS: [(&str, &str); 13] = [
    ("ops_s", "ops/s"),
    ("p50_us", "p50 us"),
    ("p99_us", "p99 us"),
    ("p999_us", "p99.9 us"),
    ("cpu_us", "CPU s / M op"),
    ("bytes_per_session", "B / session"),
    ("overhead_bytes", "B over the data"),
    ("bytes", "B each"),
    ("answer_ms", "first answer ms"),
    ("ready_ms", "ready ms"),
    ("miss_share", "asked below"),
    ("others_pct", "others %"),
    ("ns", "ns"),
];

/// Everything: bars, then a table for each group. `plots` are names of pictures beside the file.
pub fn markdown(results: &Results, plots: &[String]) -> String {
    let mut out = String::from("# gs beside its peers\n\n");
    let machine = |field: &str| results.machine[field].as_str().unwrap_or("unknown").to_owned();
    let _ = writeln!(
        out,
        "{}, {} usable cores, kernel {}; huge pages `{}`; shared memory `{}`. Servers on one core, load on another. \
         `cargo run --release -p benchmarks -- compare` measures it anew.\n",
        machine("cpu"),
        results.machine["cores"]["usable"],
        machine("kernel"),
        machine("huge_pages"),
        machine("shared_memory"),
    );
    out.push_str(
        "Each figure is the median of interleaved repetitions with fresh servers (least-greatest). `x NAME` is gs's \
         CPU per operation by that server's of the same repetition. Latencies of the closed loop count from the sending of \
         a whole pipeline; those of the open loop (group latency) from when a request was due. `others %` is what neither \
         server nor load used of the two cores: a run is made up to three times until it is below 3. ",
    );
    let _ = writeln!(
        out,
        "A bar is not judged where it was above {DISTURBED_PCT:.0} (in the middle repetition): it says `disturbed` then.\n"
    );
    out.push_str("## Bars\n\n```\n");
    for bar in bars::judge(results) {
        let _ = writeln!(out, "{bar}");
    }
    out.push_str("```\n");
    for plot in plots {
        let _ = write!(out, "\n![{plot}]({plot})\n");
    }
    for measure in &ALL {
        if let Some(group) = results.groups.get(measure.name) {
            table(&mut out, measure.name, measure.what, group);
        }
    }
    out
}

fn table(out: &mut String, name: &str, what: &str, group: &Group) {
    let _ = writeln!(out, "\n## {name}: {what}\n");
    let servers: Vec<String> = group.servers.iter().map(|(name, v)| format!("{name} ({v})")).collect();
    let reps = group.samples.iter().map(|sample| sample.rep + 1).max().unwrap_or(0);
    let _ = writeln!(
        out,
        "{}; commit {}; {} sessions; {reps} repetitions; {:.0} s. {}\n",
        servers.join(", "),
        group.revision,
        group.keys,
        group.took_s,
        group.notes.join(". ")
    );
    let rows = group.rows();
    let columns: Vec<_> = COLUMNS
        .iter()
        .filter(|(figure, _)| rows.iter().any(|row| group.spread(row, figure).is_some()))
        .collect();
    let gs = group.server_of_version("gs ").unwrap_or_default();
    let others: Vec<String> = group
        .server_names()
        .into_iter()
        .filter(|other| {
            *other != gs && rows.iter().any(|row| row.3 == gs && against(group, row, other).is_some())
        })
        .collect();
    out.push_str("| case | B | pipeline | server |");
    for (_, head) in &columns {
        let _ = write!(out, " {head} |");
    }
    for other in &others {
        let _ = write!(out, " x {other} |");
    }
    out.push_str("\n|---|---|---|---|");
    (0..columns.len() + others.len()).for_each(|_| out.push_str("---|"));
    out.push('\n');
    for row in &rows {
        let _ = write!(out, "| {} | {} | {} | {} |", row.0, row.1, row.2, row.3);
        for (figure, _) in &columns {
            let _ = write!(out, " {} |", shown(group.spread(row, figure)));
        }
        for other in &others {
            let ratio = if row.3 == gs { against(group, row, other) } else { None };
            let _ = write!(out, " {} |", shown(ratio));
        }
        out.push('\n');
    }
}

fn against(group: &Group, row: &Row, other: &str) -> Option<Spread> {
    let theirs = (row.0.clone(), row.1, row.2, other.to_owned());
    group.ratio(row, &theirs, "cpu_us")
}

fn shown(spread: Option<Spread>) -> String {
    spread.map_or_else(String::new, |spread| {
        // A million and more: in thousands, or nobody can read it.
        if spread.median >= 1e5 {
            let Spread { median, min, max } = spread;
            return format!("{:.0}k ({:.0}-{:.0}k)", median / 1e3, min / 1e3, max / 1e3);
        }
        spread.to_string()
    })
}
