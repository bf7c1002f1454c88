//! What the machine says of this process: time on its processors, memory. Read from /proc when somebody asks.

use std::fs::read_to_string;

/// Processor time in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cpu {
    pub(super) user: f64,
    pub(super) system: f64,
    pub(super) children_user: f64,
    pub(super) children_system: f64,
}

/// Of the process, or of its main thread.
pub(super) fn cpu(main_thread: bool) -> Cpu {
    let path = match main_thread {
        true => format!("/proc/self/task/{}/stat", std::process::id()),
        false => "/proc/self/stat".to_owned(),
    };
    let text = read_to_string(path).unwrap_or_default();
    // The name before may hold blanks and brackets; the fields behind it begin with the third.
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = rustix::param::clock_ticks_per_second().max(1) as f64;
    let field = |n: usize| {
        let word = rest.split_whitespace().nth(n - 3);
        word.and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0) / ticks
    };
    Cpu { user: field(14), system: field(15), children_user: field(16), children_system: field(17) }
}

/// Bytes of memory that this process has in the machine, what it shares included.
pub(super) fn resident_bytes() -> u64 {
    let text = read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

/// Bytes of memory that the machine has.
pub(super) fn total_bytes() -> u64 {
    let text = read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0);
    kib * 1024
}

/// The kernel and its architecture, as INFO names them.
pub(super) fn system() -> String {
    let name = rustix::system::uname();
    let words = [name.sysname(), name.release(), name.machine()];
    words.map(|word| word.to_string_lossy().into_owned()).join(" ")
}
