//! The counters that INFO shows: since the start or since CONFIG RESETSTAT, and per second.
//!
//! The node's own counters only grow, because Prometheus reads them too; a reset is a line under them.

use crate::core::node::Node;
use parking_lot::Mutex;

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

figures! {
    connections rejected commands errors bytes_in bytes_out reads writes hits misses expired evicted evicted_clients
}

impl Figures {
    fn now(node: &Node) -> Figures {
        let metrics = &node.metrics;
        let stats = node.cache.section().stats();
        Figures {
            connections: node.clients.accepted(),
            rejected: node.clients.refused(),
            commands: metrics.commands_total(),
            errors: metrics.errors().map(|(_, count)| count).sum(),
            bytes_in: metrics.bytes_in.get(),
            bytes_out: metrics.bytes_out.get(),
            reads: metrics.socket_reads.get(),
            writes: metrics.socket_writes.get(),
            hits: metrics.hits.get(),
            misses: metrics.misses.get(),
            expired: metrics.expired.get().max(stats.expired),
            evicted_clients: metrics.evicted_clients.get(),
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
const SAMPLE_MS_MIN: u64 = 500;

#[derive(Clone, Debug, Default)]
struct State {
    /// The counters at the last reset.
    zero: Figures,
    /// Error replies by their first word at the last reset.
    errors_zero: Vec<u64>,
    /// The counters when the rates were last computed, and when (boot time).
    sampled: Figures,
    sampled_ms: u64,
    rates: Rates,
    /// Most bytes of the section that were in use when somebody looked.
    peak_bytes: u64,
}

/// What a node remembers of its counters.
#[derive(Debug, Default)]
pub struct Memory(Mutex<State>);

impl Memory {
    /// Computes the rates anew; called about once a second.
    pub fn sample(&self, node: &Node) {
        let (now, now_ms) = (Figures::now(node), node.now_ms());
        let used = used_bytes(node);
        let mut state = self.0.lock();
        state.peak_bytes = state.peak_bytes.max(used);
        let passed = now_ms.saturating_sub(state.sampled_ms);
        if passed >= SAMPLE_MS_MIN {
            let more = now.since(state.sampled);
            let per_second = |n: u64| n.saturating_mul(1000) / passed;
            // The first sample has no other to be held against.
            if state.sampled_ms > 0 {
                state.rates = Rates {
                    commands: per_second(more.commands),
                    bytes_in: per_second(more.bytes_in),
                    bytes_out: per_second(more.bytes_out),
                };
            }
            state.sampled = now;
            state.sampled_ms = now_ms;
        }
    }

    /// Draws a line under the counters.
    pub(super) fn reset(&self, node: &Node) {
        let now = Figures::now(node);
        let mut state = self.0.lock();
        state.zero = now;
        state.errors_zero = node.metrics.errors().map(|(_, count)| count).collect();
        state.peak_bytes = used_bytes(node);
        drop(state);
        node.metrics.reset_commands();
    }

    /// The counters since the last reset, and the rates of the last second.
    pub(super) fn read(&self, node: &Node) -> (Figures, Rates) {
        let now = Figures::now(node);
        let state = self.0.lock();
        (now.since(state.zero), state.rates)
    }

    /// Error replies since the last reset by their first word, those that there were.
    pub(super) fn errors(&self, node: &Node) -> Vec<(&'static str, u64)> {
        let zero = self.0.lock().errors_zero.clone();
        let before = |i: usize| zero.get(i).copied().unwrap_or(0);
        let all = node.metrics.errors().enumerate();
        let all = all.map(|(i, (code, count))| (code, count.saturating_sub(before(i))));
        let mut all: Vec<_> = all.filter(|(_, count)| *count > 0).collect();
        all.sort_unstable();
        all
    }

    /// Most bytes of the section that were seen in use.
    pub(super) fn peak_bytes(&self, node: &Node) -> u64 {
        let used = used_bytes(node);
        let mut state = self.0.lock();
        state.peak_bytes = state.peak_bytes.max(used);
        state.peak_bytes
    }
}

/// Bytes of the section's blocks that are in use.
pub(super) fn used_bytes(node: &Node) -> u64 {
    let stats = node.cache.section().stats();
    stats.blocks.saturating_sub(stats.free_blocks) * stats.block_bytes
}
