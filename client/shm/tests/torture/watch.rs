//! The watchdog: no operation may take more than a second of its process's own time.
//!
//! Own time is what the thread ran plus what it slept; waiting for a processor is the machine's doing, and a
//! stopped worker is not looked at until it goes on. So the figure means the same on a loaded machine.

use std::fs;
use std::time::Duration;

use super::oracle::Oracle;
use super::worker::DOINGS;

/// Own time that an operation may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(1);

/// What was seen of a worker at the last look.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sample {
    place: u64,
    ran: Duration,
    /// When it was looked at.
    at: Duration,
    /// Own time of the operation it is in, as far as it was watched.
    spent: Duration,
    reported: bool,
}

/// Looks at a worker that is not stopped; `Some` is the own time of the operation that it is in, and (once
/// per operation) the name of one that is over the limit.
pub(crate) fn look(
    oracle: &Oracle,
    number: usize,
    pid: u32,
    now: Duration,
    last: &mut Sample,
) -> Option<(Duration, Option<&'static str>)> {
    let (place, what) = oracle.place(number);
    let (ran, sleeps) = times(pid)?;
    let before = std::mem::replace(last, Sample { place, ran, at: now, ..Sample::default() });
    if place % 2 == 0 || before.place != place {
        return None;
    }
    let slept = if sleeps { now.saturating_sub(before.at) } else { Duration::ZERO };
    last.spent = before.spent + ran.saturating_sub(before.ran) + slept;
    last.reported = before.reported || last.spent > LIMIT;
    let over = last.spent > LIMIT && !before.reported;
    Some((last.spent, over.then(|| DOINGS.get(what as usize).copied().unwrap_or("?"))))
}

/// Time that the threads of a process have run, and whether all of them sleep.
fn times(pid: u32) -> Option<(Duration, bool)> {
    let (mut ran, mut sleeping) = (0, true);
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        // Nanoseconds on a processor, nanoseconds waiting for one, slices.
        let schedstat = fs::read_to_string(task.path().join("schedstat")).ok()?;
        ran += schedstat.split_whitespace().next()?.parse::<u64>().ok()?;
        let stat = fs::read_to_string(task.path().join("stat")).ok()?;
        // The state is the field behind the name, which may itself hold anything but ends with the last ')'.
        sleeping &= stat.rsplit(')').next()?.trim_start().starts_with('S');
    }
    Some((Duration::from_nanos(ran), sleeping))
}
