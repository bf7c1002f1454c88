//! Time as an argument: one `Clock` per node, real or set by a test.
//!
//! Inside a node every deadline and age is milliseconds of `CLOCK_BOOTTIME`, which goes on while the machine is
//! suspended: a lease must not be longer because the lid was closed. That clock has no coarse variant and costs
//! about 20 ns, so the hit path reads the two coarse clocks (about 4 ns each) and adds the offset to boot time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use rustix::time::{ClockId, Timespec, clock_getres, clock_gettime};

/// The wall clock a manual clock starts at, so that versions made in tests look like real ones.
const MANUAL_UNIX_BASE_MS: u64 = 1_700_000_000_000;
/// How far the two coarse clocks may drift apart before the offset is read anew.
const OFFSET_SLACK_NS: i64 = 2_000_000;
/// The offset is read anew at least this often, whatever the coarse clocks say.
const OFFSET_AGE_MAX_NS: i64 = 1_000_000_000;
/// How late a tick of the kernel may be: some milliseconds where a virtual machine's host runs another one (6 were
/// seen with ticks of 4).
const LATE_TICK_MS: u64 = 20;

/// The source of time of a node. Cloning is cheap and all clones agree.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Real(Arc<Coarse>),
    Manual(Arc<AtomicU64>),
}

/// What turns the coarse monotonic clock into boot time.
#[derive(Debug)]
struct Coarse {
    /// Boot time minus monotonic time: grows only by suspends.
    boot_offset_ns: AtomicI64,
    /// Wall minus monotonic time when the offset was read; a suspend moves it, a slewed wall clock does not.
    wall_offset_ns: AtomicI64,
    /// Monotonic time after which the offset is read again.
    stale_after_ns: AtomicI64,
    granularity_ms: u64,
}

impl Default for Clock {
    fn default() -> Self {
        Self::real()
    }
}

impl Clock {
    /// The machine's clocks.
    pub fn real() -> Self {
        let res = clock_getres(ClockId::MonotonicCoarse);
        let coarse = Coarse {
            boot_offset_ns: AtomicI64::new(0),
            wall_offset_ns: AtomicI64::new(i64::MIN / 2),
            stale_after_ns: AtomicI64::new(i64::MIN),
            granularity_ms: (nanos(res).max(1) as u64).div_ceil(1_000_000),
        };
        Self(Source::Real(Arc::new(coarse)))
    }

    /// A clock that shows what `ms` holds: for tests and simulations.
    pub fn manual(ms: Arc<AtomicU64>) -> Self {
        Self(Source::Manual(ms))
    }

    /// Boot-time milliseconds, exact.
    pub fn now_ms(&self) -> u64 {
        match &self.0 {
            Source::Real(_) => millis(nanos(clock_gettime(ClockId::Boottime))),
            Source::Manual(ms) => ms.load(Ordering::SeqCst),
        }
    }

    /// Boot-time milliseconds, at most [`Clock::coarse_lag_ms`] behind [`Clock::now_ms`] and never ahead of
    /// it by more than the read itself takes. Notices a suspend.
    pub fn now_coarse_ms(&self) -> u64 {
        match &self.0 {
            Source::Real(coarse) => coarse.now_ms(),
            Source::Manual(ms) => ms.load(Ordering::SeqCst),
        }
    }

    /// How far the coarse clock may be behind; whoever grants a lease takes this off.
    pub fn coarse_lag_ms(&self) -> u64 {
        match &self.0 {
            Source::Real(coarse) => coarse.granularity_ms + LATE_TICK_MS,
            Source::Manual(_) => 0,
        }
    }

    /// Wall-clock microseconds since 1970, to be shown.
    pub fn unix_us(&self) -> u64 {
        match &self.0 {
            Source::Real(_) => nanos(clock_gettime(ClockId::Realtime)) as u64 / 1000,
            Source::Manual(_) => self.unix_ms() * 1000,
        }
    }

    /// Nanoseconds of a clock that only goes on, for how long something took on this machine; says nothing else.
    pub fn nanos(&self) -> u64 {
        match &self.0 {
            Source::Real(_) => nanos(clock_gettime(ClockId::Monotonic)) as u64,
            Source::Manual(ms) => ms.load(Ordering::SeqCst) * 1_000_000,
        }
    }

    /// Wall-clock milliseconds since 1970, for versions and absolute expiry times only.
    pub fn unix_ms(&self) -> u64 {
        match &self.0 {
            Source::Real(_) => millis(nanos(clock_gettime(ClockId::Realtime))),
            Source::Manual(ms) => MANUAL_UNIX_BASE_MS + ms.load(Ordering::SeqCst),
        }
    }

    /// As [`Clock::unix_ms`], behind it by a tick of the kernel at most: for what only has to grow.
    pub fn unix_coarse_ms(&self) -> u64 {
        match &self.0 {
            Source::Real(_) => millis(nanos(clock_gettime(ClockId::RealtimeCoarse))),
            Source::Manual(_) => self.unix_ms(),
        }
    }
}

impl Coarse {
    fn now_ms(&self) -> u64 {
        let mono = nanos(clock_gettime(ClockId::MonotonicCoarse));
        let wall = nanos(clock_gettime(ClockId::RealtimeCoarse));
        // SYNC POINT: the writer stores boot_offset before wall_offset, so whoever sees the new wall offset
        // sees the new boot offset.
        let expected = self.wall_offset_ns.load(Ordering::Acquire);
        let moved = (wall - mono).abs_diff(expected) > OFFSET_SLACK_NS as u64;
        if moved || mono > self.stale_after_ns.load(Ordering::Relaxed) {
            self.read_offset();
        }
        millis(mono + self.boot_offset_ns.load(Ordering::Relaxed))
    }

    #[cold]
    fn read_offset(&self) {
        let mono = nanos(clock_gettime(ClockId::Monotonic));
        let boot = nanos(clock_gettime(ClockId::Boottime));
        let (mono_coarse, wall_coarse) =
            (nanos(clock_gettime(ClockId::MonotonicCoarse)), nanos(clock_gettime(ClockId::RealtimeCoarse)));
        // Boot was read after mono: an offset that is some nanoseconds too large makes leases end earlier.
        self.boot_offset_ns.store(boot - mono, Ordering::Relaxed);
        self.stale_after_ns.store(mono + OFFSET_AGE_MAX_NS, Ordering::Relaxed);
        self.wall_offset_ns.store(wall_coarse - mono_coarse, Ordering::Release);
    }
}

fn nanos(t: Timespec) -> i64 {
    t.tv_sec.saturating_mul(1_000_000_000).saturating_add(t.tv_nsec)
}

fn millis(ns: i64) -> u64 {
    ns.max(0) as u64 / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Leases are granted by the exact clock and judged by the coarse one; if the coarse one ran ahead or lagged by
    /// more than it says, a lease would be too short or too long.
    #[test]
    fn coarse_is_behind_by_at_most_its_lag() {
        let clock = Clock::real();
        for _ in 0..10_000 {
            let before = clock.now_ms();
            let coarse = clock.now_coarse_ms();
            let after = clock.now_ms();
            assert!(coarse <= after + 1, "{coarse} ran ahead of {after}");
            assert!(coarse + clock.coarse_lag_ms() + 1 >= before, "{coarse} is too far behind {before}");
        }
    }

    /// A machine that was suspended shows it as a jump of the wall clock against the monotonic one; the offset to
    /// boot time has to be read again then, or a lease would outlive the suspend.
    #[test]
    fn a_jump_of_the_wall_offset_makes_the_boot_offset_be_read_again() {
        let clock = Clock::real();
        let right = clock.now_coarse_ms();
        let Source::Real(coarse) = &clock.0 else { unreachable!("a real clock") };
        // As after a suspend of ten seconds: the remembered offsets are both ten seconds short.
        coarse.boot_offset_ns.fetch_sub(10_000_000_000, Ordering::SeqCst);
        coarse.wall_offset_ns.fetch_sub(10_000_000_000, Ordering::SeqCst);
        assert!(clock.now_coarse_ms() >= right);
    }

    /// Simulations own the time; a clone that went its own way would split a node in two.
    #[test]
    fn clones_of_a_manual_clock_agree() {
        let ms = Arc::new(AtomicU64::new(5));
        let (a, b) = (Clock::manual(ms.clone()), Clock::manual(ms.clone()).clone());
        ms.store(77, Ordering::SeqCst);
        assert_eq!((a.now_ms(), b.now_coarse_ms()), (77, 77));
        assert_eq!(a.unix_ms(), MANUAL_UNIX_BASE_MS + 77);
    }
}
