//! How long commands take, without a look at the clock for each.
//!
//! The clock is read when a batch begins and after a command that is timed alone: the only one of its batch, one
//! that may take long by its nature, or every one while the slow log asks for times that short. Quick commands of a
//! pipeline are timed in runs of up to sixteen and share what the run took. So no time is counted twice or lost,
//! the counters of a command are touched once per run, and a pipeline pays a sixteenth of a look per command.

use crate::commands::Command;
use crate::commands::table;
use crate::core::node::Node;
use gs_resp::Args;

/// Commands of a run at most.
const RUN_MAX: usize = 16;
/// Where the slow log wants to know of times shorter than this, every command is timed alone.
const COARSE_USEC: i64 = 1_000;

/// The meter of one connection.
#[derive(Debug, Default)]
pub struct Meter {
    since_ns: u64,
    rows: [u16; RUN_MAX],
    run: usize,
    /// Set by the connection: whether more commands of this batch follow.
    pub more: bool,
}

/// A command whose time is taken alone: when it began.
#[derive(Clone, Copy, Debug)]
pub struct Alone(u64);

impl Meter {
    /// From here on time is counted: a batch begins, or goes on after a wait.
    pub fn begin(&mut self, node: &Node) {
        self.since_ns = node.clock.nanos();
    }

    /// A command begins. Where its time is to be taken alone, what ran before it is settled.
    pub fn before(&mut self, node: &Node, row: &'static Command) -> Option<Alone> {
        let slower_than = node.live.slower_than_us();
        let exact = (0..COARSE_USEC).contains(&slower_than);
        if self.more && !exact && table::is_quick(row) {
            return None;
        }
        if self.run > 0 {
            self.settle(node);
        }
        Some(Alone(self.since_ns))
    }

    /// A command that was not timed alone has run.
    pub fn after_one_of_many(&mut self, node: &Node, row: &'static Command) {
        // There are far fewer rows than that.
        self.rows[self.run] = table::index(row) as u16;
        self.run += 1;
        if self.run == RUN_MAX {
            self.settle(node);
        }
    }

    /// A command that was timed alone has run; how long it took, in nanoseconds.
    pub fn after_alone(&mut self, node: &Node, row: &'static Command, began: Alone) -> u64 {
        // What a transaction ran inside of it is settled by itself.
        if self.run > 0 {
            self.settle(node);
        }
        let now_ns = node.clock.nanos();
        let took = now_ns.saturating_sub(began.0);
        self.since_ns = now_ns;
        node.metrics.ran(table::index(row), 1, took, node.live.tracks_latency());
        took
    }

    /// Ends the run: its time is shared among its commands.
    pub fn settle(&mut self, node: &Node) {
        let run = std::mem::take(&mut self.run);
        if run == 0 {
            return;
        }
        let now_ns = node.clock.nanos();
        let took = now_ns.saturating_sub(self.since_ns);
        self.since_ns = now_ns;
        let (share, keeps) = (took / run as u64, node.live.tracks_latency());
        for same in self.rows[..run].chunk_by(|a, b| a == b) {
            node.metrics.ran(usize::from(same[0]), same.len() as u64, share * same.len() as u64, keeps);
        }
        if node.live.is_slow(took) {
            node.slow.note_run(node, &table::COMMANDS[usize::from(self.rows[run - 1])], run, took);
        }
    }
}

/// Tells the logs of a command that was timed alone and was slow.
#[cold]
pub fn note_slow(ctx: &crate::commands::Ctx<'_>, row: &'static Command, args: Args<'_>, took_ns: u64) {
    ctx.node.slow.note(ctx.node, &ctx.conn.info, row, args, took_ns);
}
