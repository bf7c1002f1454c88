//! Curves as SVG, without a library: two axes, each linear or logarithmic, lines, a legend.

use std::fmt::Write as _;

const WIDTH: f64 = 840.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 290.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
const COLOURS: [&str; 6] = ["#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf"];

/// How an axis counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// From zero on.
    Linear,
    /// In powers of ten; what is not above zero is left out.
    Log,
}

/// A line: its name, its points in the order of x.
#[derive(Clone, Debug)]
pub struct Line {
    /// What the legend calls it.
    pub name: String,
    /// Where it goes.
    pub points: Vec<(f64, f64)>,
}

impl Line {
    /// A line.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Line {
        Line { name: name.into(), points }
    }
}

/// A picture.
#[derive(Clone, Debug)]
pub struct Chart<'a> {
    /// What stands above it.
    pub title: &'a str,
    /// What x is, and how it counts.
    pub x: (&'a str, Scale),
    /// What y is, and how it counts.
    pub y: (&'a str, Scale),
    /// The lines.
    pub lines: Vec<Line>,
    /// A dot at each point: where there are few, and what lies between was not measured.
    pub dots: bool,
}

struct Axis {
    scale: Scale,
    from: f64,
    to: f64,
    at: f64,
    length: f64,
}

impl Axis {
    fn new(scale: Scale, values: impl Iterator<Item = f64>, at: f64, length: f64) -> Axis {
        let (mut from, mut to) = (f64::INFINITY, f64::MIN);
        for value in values.filter(|value| scale == Scale::Linear || *value > 0.0) {
            (from, to) = (from.min(value), to.max(value));
        }
        let (from, to) = match scale {
            Scale::Log => (from * 0.9, to * 1.1),
            Scale::Linear => (from.min(0.0), if to > 0.0 { to * 1.05 } else { 1.0 }),
        };
        Axis { scale, from, to, at, length }
    }

    fn place(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (value - self.from) / (self.to - self.from),
            Scale::Log => (value / self.from).ln() / (self.to / self.from).ln(),
        };
        self.at + share * self.length
    }

    fn shows(&self, value: f64) -> bool {
        self.scale == Scale::Linear || value > 0.0
    }

    fn ticks(&self) -> Vec<f64> {
        if self.scale == Scale::Linear {
            let step = 10f64.powf(((self.to - self.from) / 8.0).log10().floor());
            let times = [1.0, 2.0, 5.0, 10.0].into_iter().find(|t| (self.to - self.from) / (step * t) <= 8.0);
            let step = step * times.unwrap_or(10.0);
            return (0..=10).map(|n| f64::from(n) * step).filter(|tick| *tick <= self.to).collect();
        }
        let powers = (self.from.log10().floor() as i32)..=(self.to.log10().ceil() as i32);
        let all = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|times| times * 10f64.powi(power)));
        all.filter(|tick| (self.from..=self.to).contains(tick)).collect()
    }
}

impl Chart<'_> {
    /// The picture as a file.
    pub fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x = Axis::new(self.x.1, points().map(|point| point.0), LEFT, WIDTH - LEFT - RIGHT);
        let y = Axis::new(self.y.1, points().map(|point| point.1), HEIGHT - BOTTOM, TOP + BOTTOM - HEIGHT);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
             <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{}</text>\n",
            self.title
        );
        self.frame(&mut svg, &x, &y);
        for (nth, line) in self.lines.iter().enumerate() {
            let colour = COLOURS[nth % COLOURS.len()];
            let shown = line.points.iter().filter(|point| x.shows(point.0) && y.shows(point.1));
            let placed: Vec<_> = shown.map(|point| (x.place(point.0), y.place(point.1))).collect();
            let path: Vec<String> = placed.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            for (x, y) in placed.iter().filter(|_| self.dots) {
                let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
            }
            let at = TOP + 16.0 + 20.0 * nth as f64;
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\"/>\n\
                 <rect x=\"{:.1}\" y=\"{:.1}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\
                 <text x=\"{:.1}\" y=\"{at:.1}\">{}</text>",
                path.join(" "),
                WIDTH - RIGHT + 14.0,
                at - 10.0,
                WIDTH - RIGHT + 32.0,
                line.name
            );
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn frame(&self, svg: &mut String, x: &Axis, y: &Axis) {
        let (low, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for tick in x.ticks() {
            let (at, below) = (x.place(tick), low + 16.0);
            let _ = writeln!(
                svg,
                "<path d=\"M{at:.1} {low} V{TOP}\" stroke=\"#ddd\"/>\
                 <text x=\"{at:.1}\" y=\"{below:.1}\" text-anchor=\"middle\">{}</text>",
                short(tick)
            );
        }
        for tick in y.ticks() {
            let (at, before) = (y.place(tick), LEFT - 6.0);
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT} {at:.1} H{right:.1}\" stroke=\"#ddd\"/>\
                 <text x=\"{before:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                at + 4.0,
                short(tick)
            );
        }
        let (across, down) = ((LEFT + right) / 2.0, (TOP + low) / 2.0);
        let _ = writeln!(
            svg,
            "<text x=\"{across:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text x=\"16\" y=\"{down:.1}\" transform=\"rotate(-90 16 {down:.1})\" text-anchor=\"middle\">{}</text>",
            HEIGHT - 12.0,
            self.x.0,
            self.y.0
        );
    }
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
