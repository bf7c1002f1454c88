//! From counters to the text that Prometheus reads.

use super::{COUNTERS, MEASURED, Shape, rows};
use crate::core::members::State;
use crate::core::node::{DATABASES, Node};
use metrics::{Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Publishes the numbers of the nodes of a process and renders them.
pub struct Publisher {
    nodes: Vec<Arc<Node>>,
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    counters: HashMap<(usize, &'static str, String), metrics::Counter>,
    gauges: HashMap<(usize, &'static str, String), metrics::Gauge>,
}

const METADATA: Metadata<'static> = Metadata::new("gs", Level::INFO, None);

impl Publisher {
    /// A recorder for these nodes. It is used directly and not installed for the process: two families in one
    /// test process do not mix.
    pub fn new(nodes: Vec<Arc<Node>>) -> Publisher {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        for row in rows() {
            // One text per name: a name with several label values says what each of them means.
            let same = rows().filter(|other| other.name == row.name);
            let docs: Vec<String> = same
                .map(|row| match row.labels.split_once('=') {
                    Some(_) if row.shape == Shape::Counter => format!("{}: {}", row.labels, row.doc.trim()),
                    _ => row.doc.trim().to_owned(),
                })
                .collect();
            let (name, doc) = (row.name.into(), docs.join(" ").into());
            match row.shape {
                Shape::Counter => recorder.describe_counter(name, None, doc),
                Shape::Gauge => recorder.describe_gauge(name, None, doc),
            }
        }
        Publisher { nodes, recorder, handle, counters: HashMap::new(), gauges: HashMap::new() }
    }

    /// What renders the newest published numbers; may be used from another thread.
    pub fn handle(&self) -> PrometheusHandle {
        self.handle.clone()
    }

    /// Publishes everything once.
    pub fn publish(&mut self) {
        for i in 0..self.nodes.len() {
            let node = self.nodes[i].clone();
            self.publish_node(i, &node);
        }
        self.handle.run_upkeep();
    }

    fn publish_node(&mut self, i: usize, node: &Node) {
        for plain in COUNTERS {
            let (key, value) = plain.label.first().copied().unwrap_or_default();
            self.counter(i, plain.row.name, key, value, (plain.of)(&node.metrics).get());
        }
        for (command, calls, failures) in node.metrics.by_command() {
            // A series for each of a hundred commands that nobody sent would only be noise.
            if calls > 0 {
                let name = command.spec.full_name();
                self.counter(i, "gs_commands_total", "command", &name, calls);
                self.counter(i, "gs_commands_failed_total", "command", &name, failures);
            }
        }
        let stats = node.cache.section().stats();
        self.counter(i, "gs_connections_accepted_total", "", "", node.clients.accepted());
        self.counter(i, "gs_connections_refused_total", "", "", node.clients.refused());
        self.counter(i, "gs_messages_delivered_total", "", "", node.bus.delivered());
        self.counter(i, "gs_contended_reads_total", "", "", stats.contended);
        self.counter(i, "gs_corrupt_records_total", "", "", stats.corrupt);
        self.counter(i, "gs_recovered_blocks_total", "", "", stats.recovered);
        self.gauge(i, "gs_ready", "", "", f64::from(u8::from(node.is_ready())));
        self.gauge(i, "gs_connections", "", "", node.clients.count() as f64);
        self.gauge(i, "gs_clients_buffer_bytes", "", "", node.holdings.total() as f64);
        for (thread, count) in node.clients.by_thread().enumerate() {
            let thread = itoa::Buffer::new().format(thread).to_owned();
            self.gauge(i, "gs_thread_connections", "thread", &thread, count as f64);
        }
        self.gauge(i, "gs_section_bytes", "", "", stats.total_bytes as f64);
        self.gauge(i, "gs_section_huge_bytes", "", "", node.huge.last().bytes as f64);
        let used = stats.blocks.saturating_sub(stats.free_blocks);
        self.gauge(i, "gs_section_blocks", "state", "used", used as f64);
        self.gauge(i, "gs_section_blocks", "state", "free", stats.free_blocks as f64);
        self.gauge(i, "gs_section_occupancy_ratio", "", "", used as f64 / stats.blocks.max(1) as f64);
        for db in 0..DATABASES {
            let live = node.cache.section().live_count(db);
            if live > 0 || db == 0 || self.knows_db(i, db) {
                self.gauge(i, "gs_sessions", "db", itoa::Buffer::new().format(db), live as f64);
            }
        }
        self.publish_relay(i, node);
    }

    fn publish_relay(&mut self, i: usize, node: &Node) {
        if let Some(relief) = node.relief() {
            self.gauge(i, "gs_tombstones", "", "", relief.tombs.len() as f64);
        }
        let Some(relay) = node.relay() else { return };
        let flag = |yes: bool| f64::from(u8::from(yes));
        self.gauge(i, "gs_directory_entries", "", "", relay.directory.len() as f64);
        self.gauge(i, "gs_tombstones", "", "", relay.tombs.len() as f64);
        self.gauge(i, "gs_journal_bytes", "", "", relay.journal.size() as f64);
        self.gauge(i, "gs_journal_failing", "", "", flag(relay.journal.is_failing()));
        self.gauge(i, "gs_outbox_waiting", "", "", relay.outbox.waiting() as f64);
        let agents = relay.agents.iter().filter(|agent| agent.connected.load(Ordering::Acquire)).count();
        self.gauge(i, "gs_agents", "", "", agents as f64);
        self.gauge(i, "gs_stream_seq", "", "", relay.stream.last() as f64);
        self.gauge(i, "gs_sibling_up", "", "", flag(relay.downstream().is_some_and(|link| link.is_up())));
        let members = relay.members.list();
        for state in [State::Up, State::Away, State::Lost] {
            let count = members.iter().filter(|member| member.state == state).count();
            self.gauge(i, "gs_members", "state", state.word(), count as f64);
        }
    }

    fn knows_db(&self, i: usize, db: u8) -> bool {
        self.gauges.contains_key(&(i, "gs_sessions", itoa::Buffer::new().format(db).to_owned()))
    }

    fn key(&self, i: usize, name: &'static str, label: &'static str, value: &str) -> Key {
        let node = &self.nodes[i];
        let mut labels = vec![Label::new("node", node.name.clone()), Label::new("role", node.role.word())];
        if !label.is_empty() {
            labels.push(Label::new(label, value.to_owned()));
        }
        Key::from_parts(name, labels)
    }

    fn counter(&mut self, i: usize, name: &'static str, label: &'static str, value: &str, total: u64) {
        debug_assert!(is_declared(name), "{name} is not in the table");
        let at = (i, name, value.to_owned());
        if !self.counters.contains_key(&at) {
            let handle = self.recorder.register_counter(&self.key(i, name, label, value), &METADATA);
            self.counters.insert(at.clone(), handle);
        }
        if let Some(handle) = self.counters.get(&at) {
            handle.absolute(total);
        }
    }

    fn gauge(&mut self, i: usize, name: &'static str, label: &'static str, value: &str, now: f64) {
        debug_assert!(is_declared(name), "{name} is not in the table");
        let at = (i, name, value.to_owned());
        if !self.gauges.contains_key(&at) {
            let handle = self.recorder.register_gauge(&self.key(i, name, label, value), &METADATA);
            self.gauges.insert(at.clone(), handle);
        }
        if let Some(handle) = self.gauges.get(&at) {
            handle.set(now);
        }
    }
}

fn is_declared(name: &str) -> bool {
    MEASURED.iter().any(|row| row.name == name) || COUNTERS.iter().any(|plain| plain.row.name == name)
}

/// The exporter's text with its families in order of name and their series sorted: it keeps them in hash
/// order, which no diff and no eye can follow.
pub fn sorted(text: &str) -> String {
    let mut families: Vec<(&str, Vec<&str>, Vec<&str>)> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let head = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
        let name = head.unwrap_or(line).split([' ', '{']).next().unwrap_or_default();
        if families.last().is_none_or(|(last, ..)| *last != name) {
            families.push((name, Vec::new(), Vec::new()));
        }
        if let Some((_, heads, series)) = families.last_mut() {
            if head.is_some() { heads.push(line) } else { series.push(line) }
        }
    }
    families.sort();
    let mut out = String::with_capacity(text.len());
    for (_, heads, mut series) in families {
        series.sort_unstable();
        for line in heads.iter().chain(&series) {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::sorted;

    /// Two scrapes of the same numbers must read the same, and no line may go missing.
    #[test]
    fn families_and_series_are_in_order() {
        let text = "# HELP b x\n# TYPE b gauge\nb{n=\"2\"} 1\nb{n=\"1\"} 1\n\n# TYPE a gauge\na 3\n\n";
        let expected = "# TYPE a gauge\na 3\n# HELP b x\n# TYPE b gauge\nb{n=\"1\"} 1\nb{n=\"2\"} 1\n";
        assert_eq!(sorted(text), expected);
    }
}
