//! The text of INFO: sections of `name:value` lines, in the words that clients and exporters read.

use crate::commands::connection::REDIS_VERSION;
use crate::commands::server::{figures, machine};
use crate::commands::table;
use crate::core::census::Deadlines;
use crate::core::clients::ClientInfo;
use crate::core::node::{DATABASES, Node};
use gs_resp::Args;
use std::fmt::{Display, Write};
use std::sync::atomic::Ordering::Relaxed;

/// The lines of one section.
struct Lines(String);

impl Lines {
    fn line(&mut self, name: &str, value: impl Display) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{name}:{value}\r\n");
    }
}

struct Section {
    /// The word it is asked for by, in lower case.
    word: &'static str,
    /// Its title.
    title: &'static str,
    /// False for one that has to be asked for.
    default: bool,
    fill: fn(&Node, &mut Lines),
}

const fn section(word: &'static str, title: &'static str, fill: fn(&Node, &mut Lines)) -> Section {
    Section { word, title, default: true, fill }
}

const fn on_demand(word: &'static str, title: &'static str, fill: fn(&Node, &mut Lines)) -> Section {
    Section { word, title, default: false, fill }
}

/// In Redis's order, with its words; ours is the last.
const SECTIONS: &[Section] = &[
    section("server", "Server", server),
    section("clients", "Clients", clients),
    section("memory", "Memory", memory),
    section("persistence", "Persistence", persistence),
    section("stats", "Stats", stats),
    section("replication", "Replication", replication),
    section("cpu", "CPU", cpu),
    section("modules", "Modules", |_, _| ()),
    on_demand("commandstats", "Commandstats", command_stats),
    section("errorstats", "Errorstats", error_stats),
    on_demand("latencystats", "Latencystats", latency_stats),
    section("cluster", "Cluster", |_, lines| lines.line("cluster_enabled", 0)),
    section("keyspace", "Keyspace", keyspace),
    section("gs", "Gs", gs),
];

/// True if the sections that `words` ask for tell how many keys have deadlines.
pub(super) fn counts_keys(words: Args<'_>) -> bool {
    let keyspace = ["keyspace", "all", "everything", "default"];
    words.is_empty() || words.iter().any(|w| keyspace.iter().any(|k| w.eq_ignore_ascii_case(k.as_bytes())))
}

/// True if the sections that `words` ask for tell of huge pages.
pub(super) fn tells_of_pages(words: Args<'_>) -> bool {
    let gs = ["gs", "all", "everything", "default"];
    words.is_empty() || words.iter().any(|w| gs.iter().any(|g| w.eq_ignore_ascii_case(g.as_bytes())))
}

/// The sections that `words` ask for, the usual ones where there is none.
pub(super) fn text(node: &Node, words: &[Vec<u8>]) -> String {
    let asks = |word: &str| words.iter().any(|w| w.eq_ignore_ascii_case(word.as_bytes()));
    let (all, usual) = (asks("all") || asks("everything"), words.is_empty() || asks("default"));
    let mut text = String::with_capacity(4096);
    for section in SECTIONS {
        if all || (usual && section.default) || asks(section.word) {
            let mut lines = Lines(String::new());
            (section.fill)(node, &mut lines);
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            let _ = write!(text, "# {}\r\n{}", section.title, lines.0);
        }
    }
    text
}

fn server(node: &Node, lines: &mut Lines) {
    let unix_ms = node.clock.unix_ms();
    let uptime = unix_ms.saturating_sub(node.started_unix_ms) / 1000;
    lines.line("redis_version", REDIS_VERSION);
    lines.line("redis_mode", "standalone");
    lines.line("os", machine::system());
    lines.line("arch_bits", usize::BITS);
    lines.line("monotonic_clock", "POSIX clock_gettime");
    lines.line("multiplexing_api", "epoll");
    lines.line("process_id", std::process::id());
    lines.line("process_supervised", "no");
    lines.line("run_id", &node.run_id);
    lines.line("tcp_port", node.port.load(std::sync::atomic::Ordering::Relaxed));
    lines.line("server_time_usec", node.clock.unix_us());
    lines.line("uptime_in_seconds", uptime);
    lines.line("uptime_in_days", uptime / 86_400);
    let exe = std::env::current_exe().unwrap_or_default();
    lines.line("executable", exe.display());
    let file = node.config_file.clone().unwrap_or_default();
    lines.line("config_file", file.display());
}

fn clients(node: &Node, lines: &mut Lines) {
    let list = node.clients.list();
    let most = |of: fn(&ClientInfo) -> usize| list.iter().map(|info| of(info)).max().unwrap_or(0);
    lines.line("connected_clients", list.len());
    lines.line("cluster_connections", 0);
    lines.line("maxclients", node.live.clients_max());
    lines.line("client_recent_max_input_buffer", most(|info| info.input.load(Relaxed)));
    lines.line("client_recent_max_output_buffer", most(|info| info.facts.out.load(Relaxed)));
    lines.line("blocked_clients", node.clients.paused());
    lines.line("tracking_clients", node.changes.tracking.clients());
    lines.line("clients_in_timeout_table", 0);
}

/// What the section holds: that is the memory that is bounded, and all nodes of a machine share it.
fn memory(node: &Node, lines: &mut Lines) {
    let stats = node.cache.section().stats();
    let used = figures::used_bytes(node);
    let max = stats.blocks * stats.block_bytes;
    let (rss, peak, total) =
        (machine::resident_bytes(), node.figures.peak_bytes(node), machine::total_bytes());
    let overhead = stats.total_bytes.saturating_sub(max);
    let percent = |part: u64, whole: u64| format!("{:.2}%", part as f64 * 100.0 / whole.max(1) as f64);
    let mut both = |name: &str, bytes: u64| {
        lines.line(name, bytes);
        lines.line(&format!("{name}_human"), human(bytes));
    };
    both("used_memory", used);
    both("used_memory_rss", rss);
    both("used_memory_peak", peak);
    lines.line("used_memory_peak_perc", percent(used, peak));
    lines.line("used_memory_overhead", overhead);
    lines.line("used_memory_startup", 0);
    lines.line("used_memory_dataset", used);
    lines.line("used_memory_dataset_perc", percent(used, used));
    lines.line("total_system_memory", total);
    lines.line("total_system_memory_human", human(total));
    lines.line("maxmemory", max);
    lines.line("maxmemory_human", human(max));
    lines.line("maxmemory_policy", if node.drops_when_full() { "allkeys-lru" } else { "noeviction" });
    lines.line("mem_fragmentation_ratio", format!("{:.2}", rss as f64 / used.max(1) as f64));
    lines.line("mem_fragmentation_bytes", rss as i64 - used as i64);
    lines.line("mem_clients_slaves", 0);
    lines.line("mem_clients_normal", node.holdings.total());
    lines.line("maxmemory_clients", node.holdings.bytes_max());
    lines.line("mem_allocator", "shared-memory");
    lines.line("active_defrag_running", 0);
    lines.line("lazyfree_pending_objects", 0);
}

/// Bytes as Redis prints them: `1.50M`.
fn human(bytes: u64) -> String {
    let units = ["B", "K", "M", "G", "T", "P"];
    let mut n = bytes as f64;
    let mut unit = 0;
    while n >= 1024.0 && unit + 1 < units.len() {
        n /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes}B") } else { format!("{n:.2}{}", units[unit]) }
}

fn persistence(_: &Node, lines: &mut Lines) {
    for name in ["loading", "async_loading", "rdb_changes_since_last_save", "rdb_bgsave_in_progress"] {
        lines.line(name, 0);
    }
    lines.line("rdb_last_bgsave_status", "ok");
    for name in ["aof_enabled", "aof_rewrite_in_progress", "aof_rewrite_scheduled"] {
        lines.line(name, 0);
    }
    lines.line("aof_last_write_status", "ok");
}

fn stats(node: &Node, lines: &mut Lines) {
    let (figures, rates) = node.figures.read(node);
    let kbps = |bytes: u64| format!("{:.2}", bytes as f64 / 1024.0);
    lines.line("total_connections_received", figures.connections);
    lines.line("total_commands_processed", figures.commands);
    lines.line("instantaneous_ops_per_sec", rates.commands);
    lines.line("total_net_input_bytes", figures.bytes_in);
    lines.line("total_net_output_bytes", figures.bytes_out);
    lines.line("instantaneous_input_kbps", kbps(rates.bytes_in));
    lines.line("instantaneous_output_kbps", kbps(rates.bytes_out));
    lines.line("rejected_connections", figures.rejected);
    lines.line("expired_keys", figures.expired);
    lines.line("evicted_keys", figures.evicted);
    lines.line("keyspace_hits", figures.hits);
    lines.line("keyspace_misses", figures.misses);
    lines.line("evicted_clients", figures.evicted_clients);
    lines.line("latest_fork_usec", 0);
    lines.line("total_forks", 0);
    lines.line("pubsub_channels", node.bus.channels(false, None).len());
    lines.line("pubsub_patterns", node.bus.patterns());
    let tracking = &node.changes.tracking;
    lines.line("pubsubshard_channels", node.bus.channels(true, None).len());
    lines.line("tracking_total_keys", tracking.keys());
    lines.line("tracking_total_items", tracking.items());
    lines.line("tracking_total_prefixes", tracking.prefixes());
    lines.line("unexpected_error_replies", 0);
    lines.line("total_error_replies", figures.errors);
    lines.line("total_reads_processed", figures.reads);
    lines.line("total_writes_processed", figures.writes);
}

fn replication(node: &Node, lines: &mut Lines) {
    lines.line("role", "master");
    lines.line("connected_slaves", 0);
    lines.line("master_failover_state", "no-failover");
    lines.line("master_replid", &node.run_id);
    lines.line("master_repl_offset", 0);
    lines.line("second_repl_offset", -1);
    lines.line("repl_backlog_active", 0);
}

fn cpu(_: &Node, lines: &mut Lines) {
    let (all, main) = (machine::cpu(false), machine::cpu(true));
    for (name, seconds) in [
        ("used_cpu_sys", all.system),
        ("used_cpu_user", all.user),
        ("used_cpu_sys_children", all.children_system),
        ("used_cpu_user_children", all.children_user),
        ("used_cpu_sys_main_thread", main.system),
        ("used_cpu_user_main_thread", main.user),
    ] {
        lines.line(name, format_args!("{seconds:.6}"));
    }
}

fn command_stats(node: &Node, lines: &mut Lines) {
    for row in table::all() {
        let (seen, _) = node.metrics.since_reset(row);
        if seen.calls + seen.rejected > 0 {
            let usec = seen.nanos / 1000;
            let each = seen.nanos as f64 / 1000.0 / seen.calls.max(1) as f64;
            lines.line(
                &format!("cmdstat_{}", row.spec.full_name()),
                format_args!(
                    "calls={},usec={usec},usec_per_call={each:.2},rejected_calls={},failed_calls={}",
                    seen.calls, seen.rejected, seen.failed
                ),
            );
        }
    }
}

fn error_stats(node: &Node, lines: &mut Lines) {
    for (code, count) in node.figures.errors(node) {
        lines.line(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

fn latency_stats(node: &Node, lines: &mut Lines) {
    for row in table::all() {
        let (_, times) = node.metrics.since_reset(row);
        if times.calls() > 0 {
            let [p50, p99, p999] = [50.0, 99.0, 99.9].map(|percent| times.percentile_usec(percent));
            let name = format!("latency_percentiles_usec_{}", row.spec.full_name());
            lines.line(&name, format_args!("p50={p50:.3},p99={p99:.3},p99.9={p999:.3}"));
        }
    }
}

/// Keys of the whole family on a relay; of their deadlines those in its own section are known.
fn keyspace(node: &Node, lines: &mut Lines) {
    let deadlines = node.census.last();
    for db in 0..DATABASES {
        let keys = node.count(db);
        if keys > 0 {
            let Deadlines { expires, avg_ttl_ms } = deadlines[usize::from(db)];
            // Counted a moment earlier.
            let expires = expires.min(keys);
            lines
                .line(&format!("db{db}"), format_args!("keys={keys},expires={expires},avg_ttl={avg_ttl_ms}"));
        }
    }
}

fn gs(node: &Node, lines: &mut Lines) {
    let stats = node.cache.section().stats();
    let metrics = &node.metrics;
    lines.line("gs_version", env!("CARGO_PKG_VERSION"));
    lines.line("gs_node", &node.name);
    lines.line("gs_role", node.role.word());
    lines.line("gs_ready", u8::from(node.is_ready()));
    let by_thread: Vec<String> = node.clients.by_thread().map(|count| count.to_string()).collect();
    lines.line("gs_connections_by_thread", by_thread.join(","));
    lines.line("gs_section_bytes", stats.total_bytes);
    let huge = node.huge.last();
    lines.line("gs_section_huge_bytes", huge.bytes);
    lines.line("gs_section_huge_asked", huge.asked);
    lines.line("gs_section_blocks", stats.blocks);
    lines.line("gs_section_free_blocks", stats.free_blocks);
    lines.line("gs_section_records", stats.live);
    lines.line("gs_hits_here", metrics.hits.get());
    lines.line("gs_hits_expansion", metrics.hits_expansion.get());
    lines.line("gs_hits_aging", metrics.hits_aging.get());
    lines.line("gs_demoted_expansion", metrics.demoted_expansion.get());
    lines.line("gs_demoted_aging", metrics.demoted_aging.get());
    lines.line("gs_promoted", metrics.promoted.get());
    lines.line("gs_lost", metrics.lost.get());
    let Some(relay) = node.relay() else { return };
    lines.line("gs_epoch", relay.versions.epoch());
    lines.line("gs_sibling", relay.sibling_addr.read().as_deref().unwrap_or("none"));
    lines.line("gs_reliefs", relay.members.list().len());
    lines.line("gs_sessions_below", (0..DATABASES).map(|db| relay.directory.live(db)).sum::<u64>());
    lines.line("gs_orders_waiting", relay.outbox.waiting());
    lines.line("gs_journal_bytes", relay.journal.size());
    lines.line("gs_agents", relay.agents.len());
    if let Some(trouble) = node.trouble() {
        lines.line("gs_trouble", trouble);
    }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn bytes_read_as_in_redis() {
        assert_eq!((human(0).as_str(), human(1023).as_str()), ("0B", "1023B"));
        assert_eq!((human(1536).as_str(), human(256 << 20).as_str()), ("1.50K", "256.00M"));
    }
}
