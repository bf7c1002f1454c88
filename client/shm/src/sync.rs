//! The atomics of shared memory, through one door: the standard ones, loom's, shuttle's, or counted ones.
//!
//! Everything in the section is reached through these types, so a model checker can replace them
//! (`--cfg loom`, `--cfg shuttle`) and a crash test can end the process at the n-th shared write
//! (`crash-points`). [`mutant`] leaves one defence out (`--cfg gs_mutants`), to see that a test misses it.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU16, Ordering, fence};

#[cfg(loom)]
pub(crate) use doored::AtomicU64;

// Shuttle knows sequential consistency alone: orderings and fences are loom's to judge.
#[cfg(all(shuttle, not(loom)))]
pub(crate) use shuttle::sync::atomic::{AtomicU16, AtomicU64, Ordering, fence};

#[cfg(not(any(loom, shuttle)))]
pub(crate) use std::sync::atomic::{Ordering, fence};

#[cfg(not(any(loom, shuttle, feature = "crash-points")))]
pub(crate) use std::sync::atomic::{AtomicU16, AtomicU64};

#[cfg(all(not(any(loom, shuttle)), feature = "crash-points"))]
pub(crate) use counted::{AtomicU16, AtomicU64};

/// Loom's word behind a door. Loom keeps one last access of each object to find out what races with what, so
/// a thread that loads a word before it swaps it hides its race with an earlier reader. Everyone passes the
/// door with a relaxed read-modify-write, which orders nothing and races with all others.
#[cfg(loom)]
mod doored {
    use super::Ordering;
    use loom::sync::atomic::AtomicU64 as Word;

    #[derive(Debug)]
    pub(crate) struct AtomicU64 {
        door: Word,
        word: Word,
    }

    impl AtomicU64 {
        pub(crate) fn new(value: u64) -> Self {
            Self { door: Word::new(0), word: Word::new(value) }
        }
        /// Payload is moved relaxed and never swapped: it needs no door.
        fn pass(&self, order: Ordering) -> &Word {
            if order != Ordering::Relaxed {
                self.door.fetch_add(0, Ordering::Relaxed);
            }
            &self.word
        }
        pub(crate) fn load(&self, order: Ordering) -> u64 {
            self.pass(order).load(order)
        }
        pub(crate) fn store(&self, value: u64, order: Ordering) {
            self.pass(order).store(value, order);
        }
        pub(crate) fn compare_exchange(
            &self,
            old: u64,
            new: u64,
            ok: Ordering,
            err: Ordering,
        ) -> Result<u64, u64> {
            self.pass(ok).compare_exchange(old, new, ok, err)
        }
        pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
            self.pass(order).fetch_add(value, order)
        }
        pub(crate) fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
            self.pass(order).fetch_sub(value, order)
        }
    }
}

/// Whether the defence of this name is to be left out: `GS_MUTANT` names it. Listed in MUTANTS.md with the
/// test that then fails.
#[cfg(gs_mutants)]
pub(crate) fn mutant(name: &str) -> bool {
    static CHOSEN: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var("GS_MUTANT").unwrap_or_default()) == name
}

/// No defence is ever left out of the product.
#[cfg(not(gs_mutants))]
#[inline(always)]
pub(crate) const fn mutant(_name: &str) -> bool {
    false
}

/// Counting stand-ins: same layout, each access is a step and each write first passes [`crash::point`].
#[cfg(all(not(any(loom, shuttle)), feature = "crash-points"))]
mod counted {
    use super::Ordering;
    use super::crash::{point, step};

    macro_rules! counted {
        ($name:ident, $of:ty, $int:ty) => {
            #[derive(Debug)]
            #[repr(transparent)]
            pub(crate) struct $name($of);

            #[allow(dead_code, reason = "one macro for two widths; the narrow one needs less")]
            impl $name {
                pub(crate) fn new(value: $int) -> Self {
                    Self(<$of>::new(value))
                }
                pub(crate) fn load(&self, order: Ordering) -> $int {
                    step();
                    self.0.load(order)
                }
                pub(crate) fn store(&self, value: $int, order: Ordering) {
                    point();
                    self.0.store(value, order);
                }
                pub(crate) fn compare_exchange(
                    &self,
                    old: $int,
                    new: $int,
                    ok: Ordering,
                    err: Ordering,
                ) -> Result<$int, $int> {
                    point();
                    self.0.compare_exchange(old, new, ok, err)
                }
                pub(crate) fn fetch_add(&self, value: $int, order: Ordering) -> $int {
                    point();
                    self.0.fetch_add(value, order)
                }
                pub(crate) fn fetch_sub(&self, value: $int, order: Ordering) -> $int {
                    point();
                    self.0.fetch_sub(value, order)
                }
            }
        };
    }
    counted!(AtomicU64, std::sync::atomic::AtomicU64, u64);
    counted!(AtomicU16, std::sync::atomic::AtomicU16, u16);
}

/// Where a test says at which shared write this process shall end or stop, and learns how many steps an
/// operation took.
#[cfg(all(not(any(loom, shuttle)), feature = "crash-points"))]
pub mod crash {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU64, Ordering};

    thread_local! {
        static STEPS: Cell<u64> = const { Cell::new(0) };
    }
    static WRITES: AtomicU64 = AtomicU64::new(0);
    static END_AT: AtomicU64 = AtomicU64::new(u64::MAX);
    static STOP_AT: AtomicU64 = AtomicU64::new(u64::MAX);

    /// Ends the process (`_exit(77)`) just before the n-th shared write from now (0 is the very next).
    pub fn arm(n: u64) {
        WRITES.store(0, Ordering::SeqCst);
        END_AT.store(n, Ordering::SeqCst);
    }

    /// Stops the process (SIGSTOP) just before the n-th shared write from now; SIGCONT lets it go on there.
    pub fn arm_stop(n: u64) {
        WRITES.store(0, Ordering::SeqCst);
        STOP_AT.store(n, Ordering::SeqCst);
    }

    /// Neither; returns how many shared writes there were since it was armed.
    pub fn disarm() -> u64 {
        END_AT.store(u64::MAX, Ordering::SeqCst);
        STOP_AT.store(u64::MAX, Ordering::SeqCst);
        WRITES.load(Ordering::SeqCst)
    }

    /// Shared accesses of this thread, reads and writes, since it began.
    pub fn steps() -> u64 {
        STEPS.get()
    }

    #[inline]
    pub(crate) fn step() {
        STEPS.set(STEPS.get().wrapping_add(1));
    }

    pub(crate) fn point() {
        step();
        let write = WRITES.fetch_add(1, Ordering::SeqCst);
        if write == END_AT.load(Ordering::SeqCst) {
            crate::map::exit_now(77);
        }
        if write == STOP_AT.load(Ordering::SeqCst) {
            // An error leaves the process running, and the test that waits for it to stop says so.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
        }
    }
}
