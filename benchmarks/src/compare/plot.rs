//! The pictures of a comparison: a line for each server.

use super::results::{Group, Results};
use crate::plot::{Chart, Line, Scale};

/// Pictures of a run: file name and contents.
pub fn all(results: &Results) -> Vec<(String, String)> {
    let mut plots = Vec::new();
    let latency = latency(&results.group("latency"));
    if !latency.is_empty() {
        let title = "GET, 384 B: p99 over load (open loop)";
        plots.push(("latency.svg".into(), draw(title, "operations a second", "p99, us", latency)));
    }
    for case in ["GET", "SET"] {
        let lines = cpu(&results.group("commands"), case);
        if !lines.is_empty() {
            let title = format!("{case}, 384 B: server CPU over pipeline depth");
            let name = format!("cpu-{}.svg", case.to_lowercase());
            plots.push((name, draw(&title, "pipeline depth", "CPU s / M op", lines)));
        }
    }
    plots
}

/// Both axes are logarithmic: loads and depths double, latencies explode.
fn draw(title: &str, x: &str, y: &str, lines: Vec<Line>) -> String {
    Chart { title, x: (x, Scale::Log), y: (y, Scale::Log), lines, dots: true }.svg()
}

fn latency(group: &Group) -> Vec<Line> {
    lines(
        group,
        |row| row.0.starts_with("GET at "),
        |row| Some((group.spread(row, "ops_s")?.median, group.spread(row, "p99_us")?.median)),
    )
}

fn cpu(group: &Group, case: &str) -> Vec<Line> {
    lines(group, |row| row.0 == case, |row| Some((row.2 as f64, group.spread(row, "cpu_us")?.median)))
}

fn lines(
    group: &Group,
    wanted: impl Fn(&super::results::Row) -> bool,
    point: impl Fn(&super::results::Row) -> Option<(f64, f64)>,
) -> Vec<Line> {
    let rows: Vec<_> = group.rows().into_iter().filter(|row| wanted(row)).collect();
    let mut names = group.server_names();
    names.sort();
    let line = |name: String| {
        let mut points: Vec<_> = rows.iter().filter(|row| row.3 == name).filter_map(&point).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Line { name, points }
    };
    names.into_iter().map(line).filter(|line| line.points.len() > 1).collect()
}
