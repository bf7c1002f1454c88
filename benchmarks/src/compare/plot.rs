//! Curves as SVG, without a library: two axes, a line for each server, a legend.

use std::fmt::Write as _;

use super::results::{Group, Results};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 170.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
const COLOURS: [&str; 6] = ["#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf"];

/// A line: its name, its points.
type Line = (String, Vec<(f64, f64)>);

/// Pictures of a run: file name and contents.
pub fn all(results: &Results) -> Vec<(String, String)> {
    let mut plots = Vec::new();
    let latency = latency(&results.group("latency"));
    if !latency.is_empty() {
        let title = "GET, 384 B: p99 over load (open loop)";
        plots.push(("latency.svg".into(), draw(title, "operations a second", "p99, us", &latency)));
    }
    for case in ["GET", "SET"] {
        let lines = cpu(&results.group("commands"), case);
        if !lines.is_empty() {
            let title = format!("{case}, 384 B: server CPU over pipeline depth");
            let name = format!("cpu-{}.svg", case.to_lowercase());
            plots.push((name, draw(&title, "pipeline depth", "CPU s / M op", &lines)));
        }
    }
    plots
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
        (name, points)
    };
    names.into_iter().map(line).filter(|(_, points)| points.len() > 1).collect()
}

/// Both axes are logarithmic: loads and depths double, latencies explode.
struct Axis {
    from: f64,
    to: f64,
    at: f64,
    length: f64,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64>, at: f64, length: f64) -> Axis {
        let (mut from, mut to) = (f64::INFINITY, 0.0f64);
        for value in values.filter(|value| *value > 0.0) {
            (from, to) = (from.min(value), to.max(value));
        }
        Axis { from: from * 0.9, to: to * 1.1, at, length }
    }

    fn place(&self, value: f64) -> f64 {
        self.at + (value / self.from).ln() / (self.to / self.from).ln() * self.length
    }

    /// 1, 2 and 5 times each power of ten that lie on it.
    fn ticks(&self) -> Vec<f64> {
        let powers = (self.from.log10().floor() as i32)..=(self.to.log10().ceil() as i32);
        let all = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|times| times * 10f64.powi(power)));
        all.filter(|tick| (self.from..=self.to).contains(tick)).collect()
    }
}

fn draw(title: &str, x_name: &str, y_name: &str, lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let x = Axis::new(points().map(|point| point.0), LEFT, WIDTH - LEFT - RIGHT);
    let y = Axis::new(points().map(|point| point.1), HEIGHT - BOTTOM, TOP + BOTTOM - HEIGHT);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{title}</text>\n"
    );
    let (low, high) = (HEIGHT - BOTTOM, TOP);
    for tick in x.ticks() {
        let at = x.place(tick);
        let _ = writeln!(
            svg,
            "<path d=\"M{at:.1} {low} V{high}\" stroke=\"#ddd\"/><text x=\"{at:.1}\" y=\"{:.1}\" \
             text-anchor=\"middle\">{}</text>",
            low + 16.0,
            short(tick)
        );
    }
    for tick in y.ticks() {
        let at = y.place(tick);
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {at:.1} H{:.1}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" \
             text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            short(tick)
        );
    }
    let middle = LEFT + (WIDTH - LEFT - RIGHT) / 2.0;
    let _ = writeln!(
        svg,
        "<text x=\"{middle}\" y=\"{:.1}\" text-anchor=\"middle\">{x_name}</text>\
         <text x=\"16\" y=\"{:.1}\" transform=\"rotate(-90 16 {1:.1})\" text-anchor=\"middle\">{y_name}</text>",
        HEIGHT - 12.0,
        (low + high) / 2.0
    );
    for (nth, (name, points)) in lines.iter().enumerate() {
        let colour = COLOURS[nth % COLOURS.len()];
        let place = |point: &(f64, f64)| format!("{:.1},{:.1}", x.place(point.0), y.place(point.1));
        let path: Vec<String> = points.iter().map(place).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join(" ")
        );
        for point in points {
            let (cx, cy) = (x.place(point.0), y.place(point.1));
            let _ = writeln!(svg, "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"3\" fill=\"{colour}\"/>");
        }
        let at = TOP + 16.0 + 20.0 * nth as f64;
        let _ = writeln!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{at:.1}\">{name}</text>",
            WIDTH - RIGHT + 14.0,
            at - 10.0,
            WIDTH - RIGHT + 32.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn short(value: f64) -> String {
    if value >= 1e6 {
        format!("{}M", value / 1e6)
    } else if value >= 1e3 {
        format!("{}k", value / 1e3)
    } else {
        format!("{}", (value * 1e6).round() / 1e6)
    }
}
