//! The promises, judged by the figures of a run.

use std::fmt;

use super::results::{Group, Results, Row};

/// Bytes of a session's value in the promises.
const BYTES: usize = 384;

/// One judged promise.
pub struct Bar {
    name: String,
    what: String,
    value: f64,
    most: f64,
}

impl Bar {
    /// Whether it is kept.
    pub fn is_met(&self) -> bool {
        self.value <= self.most
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_met() { "pass" } else { "NOT MET" };
        write!(f, "BAR {} {}: {:.3} <= {:.3} {verdict}", self.name, self.what, self.value, self.most)
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
            self.value(what, ratio.median, most);
        }
    }

    fn figure(&mut self, what: &str, row: &Row, figure: &str, most: f64) {
        if let Some(spread) = self.group.spread(row, figure) {
            self.value(what.to_owned(), spread.median, most);
        }
    }

    fn value(&mut self, what: String, value: f64, most: f64) {
        self.bars.push(Bar { name: self.name.to_owned(), what, value, most });
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
                let what = format!("{case} p{pipeline}, CPU, gs / {}", group.servers[&peer]);
                judge.ratio(what, &row(case, pipeline, &gs), &row(case, pipeline, &peer), "cpu_us", most);
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
    for window in [1, 16, 128] {
        let publish = row("PUBLISH", window, &redis);
        let change = row("change, invalidated", window, &gs);
        let what = format!("{window} under way, CPU per delivery, stream / Redis PUBLISH");
        judge.ratio(what, &change, &publish, "cpu_us", 0.5);
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
    if let Some(cost) = group.spread(&row("TLS handshake", 1, &gs), "cpu_us") {
        judge.value("full handshake, ms of server CPU".into(), cost.median / 1e3, 0.84);
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
