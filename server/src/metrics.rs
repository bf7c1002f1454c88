//! Counters of a node, and how they reach Prometheus.
//!
//! Counting is a relaxed addition to a cache line that the thread mostly has to itself. Once a second the
//! totals are published to the `metrics` facade, whose recorder renders the text: one recorder per process,
//! series told apart by the labels `node` and `role`.

mod commands;
mod publish;

pub use commands::{Times, Totals};
pub use publish::{Publisher, sorted};

use crate::commands::Command;
use crate::commands::table;
use gs_resp::Code;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Lanes of a counter: each belongs to one thread, the last to all that come later.
const LANES: usize = 16;

/// One lane, alone in its cache line so that two threads do not pull it back and forth.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Lane(AtomicU64);

/// The lane of the current thread.
#[inline]
fn lane() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static LANE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    LANE.with(|mine| {
        if mine.get() == usize::MAX {
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed).min(LANES - 1));
        }
        mine.get()
    })
}

/// Adds to a number in a lane. Where no other thread writes it, that is a load and a store: no locked instruction, each of
/// which is a twentieth of a GET.
#[inline]
fn add(number: &AtomicU64, lane: usize, n: u64) {
    if lane < LANES - 1 {
        number.store(number.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    } else {
        number.fetch_add(n, Ordering::Relaxed);
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter {
    lanes: [Lane; LANES],
}

impl Counter {
    /// Adds.
    #[inline]
    pub fn add(&self, n: u64) {
        let lane = lane();
        add(&self.lanes[lane].0, lane, n);
    }

    /// The total.
    pub fn get(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.0.load(Ordering::Relaxed)).sum()
    }
}

/// What a series is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Grows only, until the process ends.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// One metric as it is told to the world.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name in Prometheus.
    pub name: &'static str,
    /// What it is.
    pub shape: Shape,
    /// Labels beside `node` and `role`, as `name` or `name=value|value`; empty for none.
    pub labels: &'static str,
    /// What it says, in one line.
    pub doc: &'static str,
}

/// Declares the plain counters once: the field, its name, label and text.
macro_rules! counters {
    ($( $(#[doc = $doc:literal])+ $field:ident: $name:literal $([$key:literal = $value:literal])?; )*) => {
        /// What a node counts.
        pub struct Metrics {
            $( $(#[doc = $doc])+ pub $field: Counter, )*
            commands: commands::Commands,
            /// Error replies by their first word, in the order of [`Code::ALL`].
            errors: Box<[Counter]>,
        }

        impl Default for Metrics {
            fn default() -> Self {
                Metrics {
                    $( $field: Counter::default(), )*
                    commands: Default::default(),
                    errors: Code::ALL.iter().map(|_| Counter::default()).collect(),
                }
            }
        }

        /// The plain counters: name, label, text and where it is.
        static COUNTERS: &[Plain] = &[
            $( Plain {
                row: Row {
                    name: $name,
                    shape: Shape::Counter,
                    labels: concat!($($key, "=", $value)?),
                    doc: concat!($($doc),+),
                },
                label: { let pair: &[(&str, &str)] = &[$(($key, $value))?]; pair },
                of: |metrics| &metrics.$field,
            }, )*
        ];
    };
}

struct Plain {
    row: Row,
    label: &'static [(&'static str, &'static str)],
    of: fn(&Metrics) -> &Counter,
}

counters! {
    /// Commands refused before they ran: unknown, wrong arity, not authenticated, wrong node.
    refused_commands: "gs_refused_commands_total";
    /// Writes refused because too many destroyed sessions are remembered already.
    refused_tombs: "gs_refused_tombstones_full_total";
    /// Deadlines changed of sessions that were to have two copies, and no relief took the second one.
    second_copies_missed: "gs_second_copies_missed_total";
    /// Reads of a key that this node had.
    hits: "gs_hits_total" ["tier" = "here"];
    /// Reads of a key that an expansion node had.
    hits_expansion: "gs_hits_total" ["tier" = "expansion"];
    /// Reads of a key that an aging node had.
    hits_aging: "gs_hits_total" ["tier" = "aging"];
    /// Reads of a key that nobody had.
    misses: "gs_misses_total";
    /// Sessions handed to an expansion node.
    demoted_expansion: "gs_demoted_total" ["tier" = "expansion"];
    /// Sessions handed to an aging node.
    demoted_aging: "gs_demoted_total" ["tier" = "aging"];
    /// Demotions that were given up and will be tried again.
    demotions_aborted: "gs_demotions_aborted_total";
    /// Sessions brought back up from a relief.
    promoted: "gs_promoted_total";
    /// Live sessions removed to make room.
    evicted: "gs_evicted_total";
    /// Sessions whose time was over and whose room was reclaimed.
    expired: "gs_expired_total";
    /// Sessions that no tier has any more although their time was not over.
    lost: "gs_lost_total";
    /// Writes refused for want of room.
    oom: "gs_refused_full_total";
    /// Copies and demotions refused because something newer, or a delete, is known.
    stale_refused: "gs_stale_refused_total";
    /// Reads that waited for a fetch already under way instead of asking again.
    single_flight_joined: "gs_single_flight_joined_total";
    /// Keys that an external validator was asked for.
    external_asked: "gs_external_asked_total";
    /// Keys that an external validator answered for in time.
    external_answered: "gs_external_answered_total";
    /// Keys that could not be answered for because their holder cannot be reached.
    unavailable: "gs_unavailable_total";
    /// Connections closed because what they sent is no request.
    protocol_errors: "gs_protocol_errors_total";
    /// Reads from clients' sockets that brought something.
    socket_reads: "gs_socket_reads_total";
    /// Writes of replies to clients' sockets.
    socket_writes: "gs_socket_writes_total";
    /// Bytes read from clients.
    bytes_in: "gs_bytes_total" ["direction" = "in"];
    /// Bytes written to clients.
    bytes_out: "gs_bytes_total" ["direction" = "out"];
    /// Connections cut because the client did not read its replies.
    cut_replies: "gs_clients_cut_total" ["reason" = "replies"];
    /// Connections cut because the client did not read its messages.
    cut_messages: "gs_clients_cut_total" ["reason" = "messages"];
    /// Connections cut because more messages waited for the client than may for long, for longer.
    cut_messages_slow: "gs_clients_cut_total" ["reason" = "messages_slow"];
    /// Connections closed because all together held too much, and they held most.
    evicted_clients: "gs_clients_cut_total" ["reason" = "memory"];
    /// Front ends that fell behind the stream of changes and have to start anew.
    stream_gaps: "gs_stream_gaps_total";
    /// Connections closed because they did not authenticate in time.
    auth_timeouts: "gs_auth_timeouts_total";
    /// TLS handshakes that failed or took too long.
    tls_failures: "gs_tls_failures_total";
    /// Failed attempts to accept a connection, for instance for want of descriptors.
    accept_errors: "gs_accept_errors_total";
    /// Deletes and flushes that could not be written to the journal.
    journal_failures: "gs_journal_failures_total";
}

/// Metrics that are measured when they are published, or that have a series per command, database or node.
pub const MEASURED: &[Row] = &[
    Row {
        name: "gs_commands_total",
        shape: Shape::Counter,
        labels: "command",
        doc: "Commands that ran, by name.",
    },
    Row {
        name: "gs_commands_failed_total",
        shape: Shape::Counter,
        labels: "command",
        doc: "Commands that ran and answered an error, by name.",
    },
    Row {
        name: "gs_connections_accepted_total",
        shape: Shape::Counter,
        labels: "",
        doc: "Connections accepted since the start.",
    },
    Row {
        name: "gs_connections_refused_total",
        shape: Shape::Counter,
        labels: "",
        doc: "Connections refused because there were as many as may be.",
    },
    Row {
        name: "gs_messages_delivered_total",
        shape: Shape::Counter,
        labels: "",
        doc: "Messages put into subscribers' mailboxes.",
    },
    Row {
        name: "gs_contended_reads_total",
        shape: Shape::Counter,
        labels: "",
        doc: "Reads of the section that gave up after their retries and were tried anew.",
    },
    Row {
        name: "gs_corrupt_records_total",
        shape: Shape::Counter,
        labels: "",
        doc: "Records whose checksum did not match; they were taken out, never answered.",
    },
    Row {
        name: "gs_recovered_blocks_total",
        shape: Shape::Counter,
        labels: "",
        doc: "Blocks of dead processes and of flushed records that were reclaimed.",
    },
    Row { name: "gs_ready", shape: Shape::Gauge, labels: "", doc: "1 while the node serves." },
    Row { name: "gs_connections", shape: Shape::Gauge, labels: "", doc: "Client connections." },
    Row {
        name: "gs_clients_buffer_bytes",
        shape: Shape::Gauge,
        labels: "",
        doc: "Bytes that connections hold: requests, replies and messages that wait, in whole pages.",
    },
    Row {
        name: "gs_thread_connections",
        shape: Shape::Gauge,
        labels: "thread",
        doc: "Client connections of each data thread.",
    },
    Row {
        name: "gs_section_bytes",
        shape: Shape::Gauge,
        labels: "",
        doc: "Bytes of the section, its index included.",
    },
    Row {
        name: "gs_section_huge_bytes",
        shape: Shape::Gauge,
        labels: "",
        doc: "Bytes of the section in huge pages, as of the last minute.",
    },
    Row {
        name: "gs_section_blocks",
        shape: Shape::Gauge,
        labels: "state=used|free",
        doc: "Blocks of the section by what they are.",
    },
    Row {
        name: "gs_section_occupancy_ratio",
        shape: Shape::Gauge,
        labels: "",
        doc: "Used blocks over all blocks, 0 to 1.",
    },
    Row {
        name: "gs_sessions",
        shape: Shape::Gauge,
        labels: "db",
        doc: "Sessions in this node's section, by database.",
    },
    Row {
        name: "gs_directory_entries",
        shape: Shape::Gauge,
        labels: "",
        doc: "Copies that the relay knows to be on reliefs.",
    },
    Row {
        name: "gs_tombstones",
        shape: Shape::Gauge,
        labels: "",
        doc: "Destroyed or superseded keys remembered.",
    },
    Row {
        name: "gs_journal_bytes",
        shape: Shape::Gauge,
        labels: "",
        doc: "Bytes of the journal of deletions.",
    },
    Row {
        name: "gs_journal_failing",
        shape: Shape::Gauge,
        labels: "",
        doc: "1 while the disk refuses the journal.",
    },
    Row {
        name: "gs_outbox_waiting",
        shape: Shape::Gauge,
        labels: "",
        doc: "Orders to reliefs that were not acknowledged yet.",
    },
    Row {
        name: "gs_agents",
        shape: Shape::Gauge,
        labels: "",
        doc: "Front-end agents that follow the stream.",
    },
    Row {
        name: "gs_stream_seq",
        shape: Shape::Gauge,
        labels: "",
        doc: "Number of the newest event of the stream.",
    },
    Row {
        name: "gs_sibling_up",
        shape: Shape::Gauge,
        labels: "",
        doc: "1 while the relay's link to its sibling stands.",
    },
    Row {
        name: "gs_members",
        shape: Shape::Gauge,
        labels: "state",
        doc: "Reliefs that the relay remembers, by state.",
    },
];

/// Every metric there is, in the order of the tables; a name with several fixed label values comes once per
/// value.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    COUNTERS.iter().map(|plain| &plain.row).chain(MEASURED)
}

impl Metrics {
    /// Counters at zero.
    pub fn new() -> Self {
        Metrics::default()
    }

    /// `calls` of the command at this place of the table took `nanos` together; `keep_times` keeps how long each
    /// took on average.
    pub fn ran(&self, row: usize, calls: u64, nanos: u64, keep_times: bool) {
        self.commands.ran(row, calls, nanos, keep_times);
    }

    /// A command that reads looked for a key: what counts as a hit or a miss, as in Redis, whatever is asked of the
    /// key and whether or not it is of the right kind.
    pub fn sought(&self, found: bool) {
        if found { &self.hits } else { &self.misses }.add(1);
    }

    /// A command that ran answered an error.
    pub fn failed(&self, command: &'static Command) {
        self.commands.failed(table::index(command));
    }

    /// A command was refused before it ran.
    pub fn rejected(&self, command: &'static Command) {
        self.commands.rejected(table::index(command));
    }

    /// An error was answered.
    pub fn erred(&self, code: Code) {
        if let Some(counter) = self.errors.get(code as usize) {
            counter.add(1);
        }
    }

    /// Error replies by their first word.
    pub fn errors(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Code::ALL.iter().zip(&self.errors).map(|(code, counter)| (code.prefix(), counter.get()))
    }

    /// Every command with its calls and its failures, in the order of the table.
    pub fn by_command(&self) -> impl Iterator<Item = (&'static Command, u64, u64)> {
        table::all().enumerate().map(|(i, command)| {
            let totals = self.commands.totals(i);
            (command, totals.calls, totals.failed)
        })
    }

    /// A command since the last CONFIG RESETSTAT.
    pub fn since_reset(&self, command: &'static Command) -> (Totals, Times) {
        self.commands.since_reset(command)
    }

    /// CONFIG RESETSTAT for the commands.
    pub fn reset_commands(&self) {
        self.commands.reset();
    }

    /// Calls of all commands.
    pub fn commands_total(&self) -> u64 {
        (0..table::COMMANDS.len()).map(|i| self.commands.totals(i).calls).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// A name that means two things, or a counter without `_total`, breaks every dashboard built on it.
    #[test]
    fn names_are_well_formed_and_mean_one_thing() {
        let mut seen: HashMap<&str, (Shape, &str)> = HashMap::new();
        for row in rows() {
            assert!(row.name.starts_with("gs_"), "{}", row.name);
            assert_eq!(row.name.ends_with("_total"), row.shape == Shape::Counter, "{}", row.name);
            assert!(row.doc.trim().ends_with('.'), "{}: {}", row.name, row.doc);
            let key = row.labels.split('=').next().unwrap_or_default();
            if let Some((shape, labels)) = seen.insert(row.name, (row.shape, key)) {
                assert_eq!((shape, labels), (row.shape, key), "{}", row.name);
            }
        }
    }

    /// What several threads count must all be in the total, also of those for whom there is no lane of their own.
    #[test]
    fn no_count_is_lost_between_threads() {
        let counter = Counter::default();
        std::thread::scope(|scope| {
            for _ in 0..3 * LANES {
                scope.spawn(|| (0..10_000).for_each(|_| counter.add(2)));
            }
        });
        assert_eq!(counter.get(), 3 * LANES as u64 * 20_000);
    }
}
