//! The text of INFO: sections of `name:value` lines, in the words that clients and exporters read.

use crate::commands::connection::REDIS_VERSION;
use crate::commands::server::figures;
use crate::core::node::{DATABASES, Node};
use gs_resp::Args;
use std::fmt::{Display, Write};

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

const SECTIONS: &[Section] = &[
    Section { word: "server", title: "Server", default: true, fill: server },
    Section { word: "clients", title: "Clients", default: true, fill: clients },
    Section { word: "memory", title: "Memory", default: true, fill: memory },
    Section { word: "persistence", title: "Persistence", default: true, fill: persistence },
    Section { word: "stats", title: "Stats", default: true, fill: stats },
    Section { word: "replication", title: "Replication", default: true, fill: replication },
    Section { word: "modules", title: "Modules", default: true, fill: |_, _| () },
    Section { word: "commandstats", title: "Commandstats", default: false, fill: command_stats },
    Section {
        word: "cluster",
        title: "Cluster",
        default: true,
        fill: |_, lines| lines.line("cluster_enabled", 0),
    },
    Section { word: "keyspace", title: "Keyspace", default: true, fill: keyspace },
    Section { word: "gs", title: "Gs", default: true, fill: gs },
];

/// The sections that `words` ask for, the usual ones where there is none.
pub(super) fn text(node: &Node, words: Args<'_>) -> String {
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
    lines.line("os", std::env::consts::OS);
    lines.line("arch_bits", usize::BITS);
    lines.line("process_id", std::process::id());
    lines.line("run_id", &node.run_id);
    lines.line("tcp_port", node.port.load(std::sync::atomic::Ordering::Relaxed));
    lines.line("server_time_usec", unix_ms * 1000);
    lines.line("uptime_in_seconds", uptime);
    lines.line("uptime_in_days", uptime / 86_400);
}

fn clients(node: &Node, lines: &mut Lines) {
    lines.line("connected_clients", node.clients.count());
    lines.line("cluster_connections", 0);
    lines.line("maxclients", node.settings.clients_max);
    lines.line("blocked_clients", node.clients.paused());
    lines.line("tracking_clients", node.changes.tracking.clients());
}

fn memory(node: &Node, lines: &mut Lines) {
    let stats = node.cache.section().stats();
    let used = stats.blocks.saturating_sub(stats.free_blocks) * stats.block_bytes;
    let max = stats.blocks * stats.block_bytes;
    lines.line("used_memory", used);
    lines.line("used_memory_human", human(used));
    lines.line("maxmemory", max);
    lines.line("maxmemory_human", human(max));
    lines.line("maxmemory_policy", if node.drops_when_full() { "allkeys-lru" } else { "noeviction" });
    lines.line("mem_allocator", "shared-memory");
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
    let (figures, rates) = figures::read(node);
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
    lines.line("pubsub_channels", node.bus.channels(false, None).len());
    lines.line("pubsub_patterns", node.bus.patterns());
    lines.line("total_error_replies", figures.errors);
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

fn command_stats(node: &Node, lines: &mut Lines) {
    for (row, calls, failed) in node.metrics.by_command().filter(|(_, calls, _)| *calls > 0) {
        let name = format!("cmdstat_{}", row.spec.full_name());
        // Times are not taken per command here.
        lines.line(
            &name,
            format_args!("calls={calls},usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls={failed}"),
        );
    }
}

/// Sessions of the whole family on a relay. How many of them have a deadline is not counted.
fn keyspace(node: &Node, lines: &mut Lines) {
    for db in 0..DATABASES {
        let keys = node.count(db);
        if keys > 0 {
            lines.line(&format!("db{db}"), format_args!("keys={keys},expires=0,avg_ttl=0"));
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
    lines.line("gs_section_bytes", stats.total_bytes);
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
