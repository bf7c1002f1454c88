//! The promises, judged by the figures of a run.

use std::fmt;

use super::groups::fanout::PACES;
use super::groups::limits::NULL;
use super::results::{Group, Results, Row};
use super::verdict::Verdict;

/// Bytes of a session's value in the promises.
const BYTES: usize = 384;

/// One judged promise.
pub struct Bar {
    name: String,
    what: String,
    value: f64,
    most: f64,
    others_pct: Option<f64>,
}

impl Bar {
    /// Whether it is kept, as far as the run can tell.
    pub fn verdict(&self) -> Verdict {
        Verdict::of(self.value, self.most, self.others_pct)
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bar { name, what, value, most, .. } = self;
        write!(f, "BAR {name} {what}: {value:.3} <= {most:.3} {}", self.verdict())
    }
}

/// Every promise for which there are figures.
pub fn judge(results: &Results) -> Vec<Bar> {
    let mut bars = Vec::new();
    commands(&results.group("commands"), &mut bars);
    latency(&results.group("latency"), &mut bars);
    memory(&results.group("memory"), &mut bars);
    threads(&results.group("threads"), &mut bars);
    fanout(&results.group("fanout"), &mut bars);
    restart(&results.group("restart"), &mut bars);
    tls(&results.group("tls"), &mut bars);
    tiers(&results.group("tiers"), &mut bars);
    growth(results, &mut bars);
    bars
}

fn row(case: &str, pipeline: usize, server: &str) -> Row {
    (case.to_owned(), BYTES, pipeline, server.to_owned())
}

fn gs(group: &Group) -> String {
    group.server_of_version("gs ").unwrap_or_default()
}

fn redis(group: &Group) -> String {
    group.server_of_version("Redis 7").or_else(|| group.server_of_version("Redis ")).unwrap_or_default()
}

struct Judge<'a> {
    group: &'a Group,
    name: &'static str,
    bars: &'a mut Vec<Bar>,
}

impl Judge<'_> {
    fn ratio(&mut self, what: String, mine: &Row, theirs: &Row, figure: &str, most: f64) {
        if let Some(ratio) = self.group.ratio(mine, theirs, figure) {
            self.value(what, ratio.median, most, &[mine, theirs]);
        }
    }

    fn figure(&mut self, what: &str, row: &Row, figure: &str, most: f64) {
        if let Some(spread) = self.group.spread(row, figure) {
            self.value(what.to_owned(), spread.median, most, &[row]);
        }
    }

    /// A value that comes from these rows.
    fn value(&mut self, what: String, value: f64, most: f64, rows: &[&Row]) {
        let others_pct = self.group.others_pct(rows);
        self.bars.push(Bar { name: self.name.to_owned(), what, value, most, others_pct });
    }
}

fn commands(group: &Group, bars: &mut Vec<Bar>) {
    let mut judge = Judge { group, name: "P4", bars };
    let gs = gs(group);
    for (version, most) in [("Valkey 9", [0.75, 0.50, 0.35]), ("Redis 7", [0.75, 0.25, 0.20])] {
        let Some(peer) = group.server_of_version(version) else {
            continue;
        };
        for case in ["GET", "SET"] {
            for (pipeline, most) in [1, 16, 64].into_iter().zip(most) {
                let theirs = row(case, pipeline, &peer);
                let floor = group.ratio(&row(case, pipeline, NULL), &theirs, "cpu_us");
                let floor = floor.map(|floor| format!(" (a server that only answers: {:.3})", floor.median));
                let (version, floor) = (&group.servers[&peer], floor.unwrap_or_default());
                let what = format!("{case} p{pipeline}, CPU, gs / {version}{floor}");
                judge.ratio(what, &row(case, pipeline, &gs), &theirs, "cpu_us", most);
            }
        }
    }
}

fn latency(group: &Group, bars: &mut Vec<Bar>) {
    let mut judge = Judge { group, name: "P5", bars };
    let (mine, theirs) = (row("GET at 50 %", 1, &gs(group)), row("GET at 50 %", 1, &redis(group)));
    let what = "p99 at half of Redis's saturation, gs / Redis".to_owned();
    judge.ratio(what, &mine, &theirs, "p99_us", 1.0);
}

fn memory(group: &Group, bars: &mut Vec<Bar>) {
    let mut judge = Judge { group, name: "P6", bars };
    let gs = gs(group);
    for (case, most) in [("full, advised record size", 80.0), ("full, default record size", 110.0)] {
        judge.figure(&format!("{case}, bytes over the data"), &row(case, 1, &gs), "overhead_bytes", most);
    }
}

fn threads(group: &Group, bars: &mut Vec<Bar>) {
    let mut judge = Judge { group, name: "P7", bars };
    let gs = gs(group);
    for pipeline in [1, 16, 64] {
        let (one, two) = (row("GET, one thread", pipeline, &gs), row("GET, two threads", pipeline, &gs));
        // 1.8 times the throughput of one: an operation may cost 2 / 1.8 of the CPU.
        judge.ratio(format!("GET p{pipeline}, CPU, two threads / one"), &two, &one, "cpu_us", 2.0 / 1.8);
    }
}

fn fanout(group: &Group, bars: &mut Vec<Bar>) {
    let mut judge = Judge { group, name: "P8", bars };
    let (gs, redis) = (gs(group), redis(group));
    for pace in PACES {
        let (name, window) = (pace.name(), pace.window());
        let publish = row(&format!("PUBLISH{name}"), window, &redis);
        for case in ["DEL", "SET"] {
            let how = if name.is_empty() { format!(", {window} under way") } else { name.clone() };
            let what = format!("{case}{how}, CPU per delivery, stream / Redis PUBLISH");
            judge.ratio(what, &row(&format!("{case}{name}"), window, &gs), &publish, "cpu_us", 0.5);
        }
    }
}

fn restart(group: &Group, bars: &mut Vec<Bar>) {
    let mut judge = Judge { group, name: "P10", bars };
    let gs = gs(group);
    for case in ["after SIGTERM", "after SIGKILL"] {
        let what = format!("{} sessions, first answer {case}, ms", group.keys);
        judge.figure(&what, &row(case, 1, &gs), "answer_ms", 200.0);
    }
}

fn tls(group: &Group, bars: &mut Vec<Bar>) {
    let mut judge = Judge { group, name: "P11", bars };
    let (gs, redis) = (gs(group), redis(group));
    for (pipeline, most) in [(1, 0.70), (16, 0.50)] {
        let (mine, theirs) = (row("GET over TLS", pipeline, &gs), row("GET over TLS", pipeline, &redis));
        judge.ratio(format!("TLS GET p{pipeline}, CPU, gs / Redis"), &mine, &theirs, "cpu_us", most);
    }
    let handshake = row("TLS handshake", 1, &gs);
    if let Some(cost) = group.spread(&handshake, "cpu_us") {
        judge.value("full handshake, ms of server CPU".into(), cost.median / 1e3, 0.84, &[&handshake]);
    }
}

fn tiers(group: &Group, bars: &mut Vec<Bar>) {
    let mut judge = Judge { group, name: "P12", bars };
    let gs = gs(group);
    let trip = row("round trip, one connection", 1, "null server");
    let what = "miss through the tiers, p50, in loopback round trips".to_owned();
    judge.ratio(what, &row("miss, one connection", 1, &gs), &trip, "p50_us", 3.0);
    let (miss, proxied) = (row("miss", 16, &gs), row("GET", 16, "twemproxy + redis"));
    judge.ratio("miss p16, CPU, gs / twemproxy + Redis".into(), &miss, &proxied, "cpu_us", 0.5);
}

fn growth(results: &Results, bars: &mut Vec<Bar>) {
    let grown = results.group("growth");
    let mut judge = Judge { group: &grown, name: "P13", bars };
    let server = gs(&grown);
    for pipeline in [1, 16, 64] {
        let few = row("GET among few", pipeline, &server);
        let many = row("GET among ten times as many", pipeline, &server);
        judge.ratio(format!("GET p{pipeline}, CPU, ten times the sessions"), &many, &few, "cpu_us", 1.3);
    }
    let idle = results.group("idle");
    let mut judge = Judge { group: &idle, name: "P13", bars };
    let server = gs(&idle);
    let cases = idle.rows().into_iter().map(|row| row.0).find(|case| case.starts_with("GET beside"));
    for pipeline in [1, 16] {
        let many = row(cases.as_deref().unwrap_or_default(), pipeline, &server);
        let what = format!("GET p{pipeline}, CPU, beside idle connections / without");
        judge.ratio(what, &many, &row("GET", pipeline, &server), "cpu_us", 1.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::results::{Figures, Sample};

    /// Both rows of P7 with these figures for each repetition: CPU of one thread, of two, and what others used.
    fn threads(reps: &[(f64, f64, f64)]) -> Results {
        let mut group =
            Group { servers: [("gs".to_owned(), "gs 0.1.0".to_owned())].into(), ..Group::default() };
        for (rep, (one, two, others)) in reps.iter().enumerate() {
            for (case, cpu) in [("GET, one thread", one), ("GET, two threads", two)] {
                let figures = [("cpu_us".to_owned(), *cpu), ("others_pct".to_owned(), *others)];
                let figures = Figures::from(figures);
                let (case, server) = (case.to_owned(), "gs".to_owned());
                group.samples.push(Sample { case, pipeline: 16, bytes: BYTES, server, rep, figures });
            }
        }
        Results { groups: [("threads".to_owned(), group)].into(), ..Results::default() }
    }

    fn said(reps: &[(f64, f64, f64)]) -> String {
        let bars: Vec<String> = judge(&threads(reps)).iter().map(Bar::to_string).collect();
        bars.join("\n")
    }

    /// A figure that others disturbed is no promise kept, and none broken either; one noisy repetition of several does
    /// not count for more than its figure does.
    #[test]
    fn a_disturbed_run_is_not_judged() {
        let what = "BAR P7 GET p16, CPU, two threads / one";
        assert_eq!(
            said(&[(1.0, 0.6, 41.0)]),
            format!("{what}: 0.600 <= 1.111 disturbed: others 41.0 % (judged up to 5 %)")
        );
        assert_eq!(
            said(&[(1.0, 1.5, 5.1)]),
            format!("{what}: 1.500 <= 1.111 disturbed: others 5.1 % (judged up to 5 %)")
        );
        assert_eq!(said(&[(1.0, 0.6, 5.0)]), format!("{what}: 0.600 <= 1.111 pass"));
        assert_eq!(said(&[(1.0, 1.5, 0.0)]), format!("{what}: 1.500 <= 1.111 NOT MET"));
        let (calm, noisy) = ((1.0, 1.0, 1.0), (1.0, 3.0, 60.0));
        assert_eq!(said(&[calm, noisy, calm]), format!("{what}: 1.000 <= 1.111 pass"));
        assert!(said(&[calm, noisy, noisy]).contains("disturbed: others 60.0 %"));
    }
}
