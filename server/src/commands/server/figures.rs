//! The counters that INFO shows: since the start or since CONFIG RESETSTAT, and per second.
//!
//! The node's own counters only grow, because Prometheus reads them too; a reset is a line under them.

use crate::core::node::Node;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::LazyLock;

macro_rules! figures {
    ($($name:ident)*) => {
        /// Counters at one moment.
        #[derive(Clone, Copy, Debug, Default)]
        pub(super) struct Figures { $(pub(super) $name: u64,)* }

        impl Figures {
            /// What was counted since `earlier`.
            pub(super) fn since(self, earlier: Figures) -> Figures {
                Figures { $($name: self.$name.saturating_sub(earlier.$name),)* }
            }
        }
    };
}

figures! { connections rejected commands errors bytes_in bytes_out hits misses expired evicted }

impl Figures {
    fn now(node: &Node) -> Figures {
        let metrics = &node.metrics;
        let stats = node.cache.section().stats();
        Figures {
            connections: node.clients.accepted(),
            rejected: node.clients.refused(),
            commands: metrics.commands_total(),
            errors: metrics.refused_commands.get()
                + metrics.by_command().map(|(_, _, failed)| failed).sum::<u64>(),
            bytes_in: metrics.bytes_in.get(),
            bytes_out: metrics.bytes_out.get(),
            hits: metrics.hits.get(),
            misses: metrics.misses.get(),
            expired: metrics.expired.get().max(stats.expired),
            evicted: metrics.evicted.get().max(stats.evicted),
        }
    }
}

/// Events per second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rates {
    pub(super) commands: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

/// A shorter time than this says nothing about a rate.
const SAMPLE_MS_MIN: u64 = 1000;

#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    /// The counters at the last reset.
    zero: Figures,
    /// The counters when the rates were last computed, and when.
    sampled: Figures,
    sampled_ms: u64,
    rates: Rates,
}

/// By node, as several may share the process; keyed by the random identity of the node's life.
static MEMORY: LazyLock<Mutex<HashMap<String, Memory>>> = LazyLock::new(Mutex::default);

/// Draws a line under the counters.
pub(super) fn reset(node: &Node) {
    let now = Figures::now(node);
    MEMORY.lock().entry(node.run_id.clone()).or_default().zero = now;
}

/// The counters since the last reset, and the rates since the last time somebody asked.
pub(super) fn read(node: &Node) -> (Figures, Rates) {
    let (now, unix_ms) = (Figures::now(node), node.clock.unix_ms());
    let mut memory = MEMORY.lock();
    let memory = memory
        .entry(node.run_id.clone())
        .or_insert_with(|| Memory { sampled_ms: node.started_unix_ms, ..Memory::default() });
    let passed = unix_ms.saturating_sub(memory.sampled_ms.max(node.started_unix_ms));
    if passed >= SAMPLE_MS_MIN {
        let more = now.since(memory.sampled);
        let per_second = |n: u64| n.saturating_mul(1000) / passed;
        memory.rates = Rates {
            commands: per_second(more.commands),
            bytes_in: per_second(more.bytes_in),
            bytes_out: per_second(more.bytes_out),
        };
        memory.sampled = now;
        memory.sampled_ms = unix_ms;
    }
    (now.since(memory.zero), memory.rates)
}
