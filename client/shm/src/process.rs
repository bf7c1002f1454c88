//! Who is alive: one locked byte per attached process.
//!
//! A process that ends in any way gives its byte back, in whatever container it lived; a pid says nothing of
//! the kind. A stopped process keeps it and is simply waited for by nobody.

#[cfg(not(any(loom, shuttle)))]
use std::fs::File;
#[cfg(not(any(loom, shuttle)))]
use std::os::fd::AsFd;
use std::sync::Arc;
#[cfg(not(any(loom, shuttle)))]
use std::sync::atomic::AtomicU64;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::layout::PROC_SLOTS;
#[cfg(not(any(loom, shuttle)))]
use crate::map;
use crate::sync::mutant;

/// How long "alive" is believed before asking again. "Dead" is never remembered: its slot may be taken.
#[cfg(not(any(loom, shuttle)))]
const ALIVE_MS: u64 = 50;

/// The liveness table of a section in private memory.
pub(crate) type Attached = Arc<[AtomicBool]>;

pub(crate) fn attached_table() -> Attached {
    (0..PROC_SLOTS).map(|_| AtomicBool::new(false)).collect()
}

/// This attachment's own byte, and the means to ask for the others'.
pub(crate) enum Presence {
    Private {
        table: Attached,
        slot: u16,
    },
    #[cfg(not(any(loom, shuttle)))]
    Locked {
        file: File,
        slot: u16,
        seen_alive: Box<[AtomicU64]>,
    },
}

impl Presence {
    /// Takes a free place in a private table.
    pub(crate) fn private(table: Attached) -> Option<Presence> {
        let slot = (1..PROC_SLOTS).find(|&slot| !table[slot].swap(true, Ordering::AcqRel))?;
        Some(Presence::Private { table, slot: slot as u16 })
    }

    /// Takes a free byte of the lock file, beginning at a place that `random` picks. `clean` says whether a
    /// slot was left tidy; others are taken only if no tidy one is free.
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn locked(
        file: File,
        random: u64,
        clean: impl Fn(usize) -> bool,
    ) -> std::io::Result<Option<Presence>> {
        let start = random as usize % (PROC_SLOTS - 1);
        for want_clean in [true, false] {
            for step in 0..PROC_SLOTS - 1 {
                let slot = 1 + (start + step) % (PROC_SLOTS - 1);
                if clean(slot) == want_clean && map::lock_byte(file.as_fd(), slot as i64)? {
                    return Ok(Some(Presence::with_slot(file, slot as u16)));
                }
            }
        }
        Ok(None)
    }

    #[cfg(not(any(loom, shuttle)))]
    fn with_slot(file: File, slot: u16) -> Presence {
        let seen_alive = (0..PROC_SLOTS).map(|_| AtomicU64::new(0)).collect();
        Presence::Locked { file, slot, seen_alive }
    }

    /// No place at all: asks for the others', and is nobody to them.
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn watching(file: File) -> Presence {
        Presence::with_slot(file, 0)
    }

    /// The slots that are taken now.
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn taken(file: &File) -> std::io::Result<Vec<u16>> {
        let mut taken = Vec::new();
        for slot in 1..PROC_SLOTS {
            if map::byte_is_locked(file.as_fd(), slot as i64)? {
                taken.push(slot as u16);
            }
        }
        Ok(taken)
    }

    pub(crate) fn slot(&self) -> u16 {
        match self {
            Presence::Private { slot, .. } => *slot,
            #[cfg(not(any(loom, shuttle)))]
            Presence::Locked { slot, .. } => *slot,
        }
    }

    /// Whether the owner named in a control word may still act on it. Load the control word first, ask
    /// then: who wrote it held the byte since before, so a free byte means that writer is gone, and an
    /// exact CAS of the control word does the rest.
    ///
    /// With a time, an answer "alive" of the last 50 ms will do; without, the system is asked.
    pub(crate) fn alive(&self, owner: u16, now_ms: Option<u64>) -> bool {
        if owner == 0 || usize::from(owner) >= PROC_SLOTS {
            return false;
        }
        if owner == self.slot() || mutant("dead-is-alive") {
            return true;
        }
        #[cfg(any(loom, shuttle))]
        let _ = now_ms;
        match self {
            Presence::Private { table, .. } => table[usize::from(owner)].load(Ordering::Acquire),
            #[cfg(not(any(loom, shuttle)))]
            Presence::Locked { file, seen_alive, .. } => {
                let seen = &seen_alive[usize::from(owner)];
                if now_ms.is_some_and(|now| seen.load(Ordering::Relaxed) > now) {
                    return true;
                }
                // An error tells nothing; "alive" is the answer that can only leak.
                let alive = map::byte_is_locked(file.as_fd(), i64::from(owner)).unwrap_or(true);
                if let Some(now) = now_ms {
                    seen.store(if alive { now.saturating_add(ALIVE_MS) } else { 0 }, Ordering::Relaxed);
                }
                alive
            }
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        #[cfg_attr(any(loom, shuttle), allow(irrefutable_let_patterns))]
        if let Presence::Private { table, slot } = self {
            table[usize::from(*slot)].store(false, Ordering::Release);
        }
    }
}
