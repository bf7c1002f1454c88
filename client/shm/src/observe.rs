//! Looking at a section without being in it: no process slot, a mapping that cannot be written, nothing left
//! behind however the looker ends.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use crate::blocks::State;
use crate::files::{CreateLock, Files};
use crate::layout::{self, Geometry, ident};
use crate::map::Mapping;
use crate::process::Presence;
use crate::read::PayloadWords;
use crate::record::{self, Head};
use crate::region::Region;
use crate::section::Section;
use crate::sync::Ordering;
use crate::types::{CheckReport, KeyId, Lease, Meta, Stats};
use crate::{OpenError, SectionConfig};

/// A section as an operator's tool sees it.
///
/// It has the memory mapped for reading alone, so nothing that changes a section can be reached from here.
pub struct Observer {
    section: Section,
    lock: File,
}

/// One readable record in a survey.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// All that is known of it but its bytes.
    pub meta: Meta,
    /// Its identity.
    pub id: KeyId,
    /// Flushed with its database; it only waits to be reclaimed.
    pub flushed: bool,
    /// Past its deadline.
    pub expired: bool,
}

/// Blocks by what they are.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Occupancy {
    /// Takable.
    pub free: u64,
    /// Heads of readable records.
    pub live: u64,
    /// Heads of records that are being handed to another node.
    pub evicting: u64,
    /// Further blocks of records.
    pub continuations: u64,
    /// Being written or scrubbed, or left so by a process that died.
    pub passing: u64,
    /// In no state that there is.
    pub garbage: u64,
}

/// What was removed with a section.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Removed {
    /// Name of the shared-memory object, if there was one.
    pub shm: Option<String>,
    /// Files beside it, by their suffix.
    pub files: Vec<&'static str>,
    /// Processes that were attached all the same.
    pub attached: usize,
}

impl Observer {
    /// Looks at the section of that name.
    pub fn open(dir: &Path, name: &str) -> Result<Observer, OpenError> {
        let files = Files::new(dir, name)?;
        let shm = files.current()?.ok_or_else(|| files.absent())?;
        let judged = files.judge(&shm, None, Mapping::look)?;
        let lock = || files.lock_to_read()?.ok_or_else(|| files.absent());
        let section = Section::assemble(
            Region::Mapped(Arc::new(judged.mapping)),
            judged.geometry,
            judged.cfg,
            judged.secret,
            Presence::watching(lock()?),
            None,
            Some(shm),
        );
        Ok(Observer { section, lock: lock()? })
    }

    /// See [`Section::config`].
    pub fn config(&self) -> &SectionConfig {
        self.section.config()
    }

    /// See [`Section::geometry`].
    pub fn geometry(&self) -> &Geometry {
        self.section.geometry()
    }

    /// See [`Section::stats`]; the counters of single processes are all 0.
    pub fn stats(&self) -> Stats {
        self.section.stats()
    }

    /// See [`Section::nonce`].
    pub fn nonce(&self) -> u128 {
        self.section.nonce()
    }

    /// See [`Section::lease`].
    pub fn lease(&self) -> Lease {
        self.section.lease()
    }

    /// See [`Section::applied_seq`].
    pub fn applied_seq(&self) -> u64 {
        self.section.applied_seq()
    }

    /// See [`Section::agent_line`].
    pub fn agent_line(&self) -> u64 {
        self.section.agent_line()
    }

    /// See [`Section::live_count`].
    pub fn live_count(&self, db: u8) -> u64 {
        self.section.live_count(db)
    }

    /// See [`Section::huge_bytes`]: as far as this process has looked at them.
    pub fn huge_bytes(&self) -> u64 {
        self.section.huge_bytes()
    }

    /// Name of the shared-memory object.
    pub fn shm_name(&self) -> &str {
        self.section.shm_name().unwrap_or_default()
    }

    /// Boot-time milliseconds of its making, and the process that made it. A pid is a hint: it may be another's
    /// by now, or count in another namespace.
    pub fn made(&self) -> (u64, u64) {
        let read = |at: usize| self.section.region.words()[at].load(Ordering::Relaxed);
        (read(ident::CREATED_AT), read(ident::CREATOR_PID))
    }

    /// The process slots that are held now.
    pub fn attached(&self) -> std::io::Result<Vec<u16>> {
        Presence::taken(&self.lock)
    }

    /// Slots whose last holder did not leave in order and that nobody has now.
    pub fn untidy(&self) -> std::io::Result<Vec<u16>> {
        let taken = self.attached()?;
        let words = self.section.region.words();
        let dirty = |slot: &u16| words[layout::PROCS + usize::from(*slot)].load(Ordering::Relaxed) != 0;
        Ok((1..layout::PROC_SLOTS as u16).filter(|slot| dirty(slot) && !taken.contains(slot)).collect())
    }

    /// See [`Section::check`].
    pub fn check(&self, now_ms: u64) -> Result<CheckReport, Vec<String>> {
        self.section.check(now_ms)
    }

    /// Goes through all blocks and shows every readable record, in the order of the blocks.
    pub fn survey(&self, now_ms: u64, f: &mut dyn FnMut(&Seen)) -> Occupancy {
        let mem = self.section.mem();
        let mut occupancy = Occupancy::default();
        for block in 0..self.section.geometry.blocks {
            let ctl = mem.load_ctl(block);
            match ctl.state() {
                State::Free => occupancy.free += 1,
                State::Live => occupancy.live += 1,
                State::Evicting | State::Leaving => occupancy.evicting += 1,
                State::Continuation => occupancy.continuations += 1,
                State::Writing | State::Pending | State::Dead => occupancy.passing += 1,
                State::Garbage => occupancy.garbage += 1,
            }
            let Some(head) = mem.proven_head(block, ctl) else {
                continue;
            };
            if self.section.plausible(&head) {
                f(&Seen {
                    meta: mem.meta(&head, now_ms),
                    id: head.id,
                    flushed: head.shape.epoch() != self.section.min_epoch(head.shape.db()),
                    expired: head.deadline.expired(now_ms),
                });
            }
        }
        occupancy
    }

    /// Replaces `key` and `value` by the bytes of a record that a survey showed; false if it has gone since, or
    /// its bytes are not what was stored.
    pub fn bytes(&self, seen: &Seen, key: &mut Vec<u8>, value: &mut Vec<u8>) -> bool {
        key.clear();
        value.clear();
        let mem = self.section.mem();
        let Some(block) = mem.checked(seen.meta.at.index.saturating_add(1)) else {
            return false;
        };
        let ctl = mem.load_ctl(block);
        let head: Head = mem.head(block, ctl);
        let mut words = PayloadWords::new(mem, &head);
        let whole = ctl.state().readable()
            && head.ctl.generation() == seen.meta.at.generation()
            && self.section.plausible(&head)
            && words.copy(head.shape.key_len(), key)
            && words.copy(head.shape.value_len(), value);
        whole
            && mem.still(block, ctl)
            && record::checksum(&head.id, head.version, head.shape, value) == head.checksum
    }
}

impl Section {
    /// [`Section::remove`] for a person: with the lock file, and not while a process is attached unless
    /// `force`. The key file stays unless `key`: what a node noted on disk of its keys, tombstones above all, is
    /// told by that secret.
    pub fn remove_unused(dir: &Path, name: &str, force: bool, key: bool) -> Result<Removed, OpenError> {
        let files = Files::new(dir, name)?;
        let present = files.present();
        // A lock file alone may be somebody else's; a key alone stays.
        if present.iter().all(|suffix| *suffix == "lock" || *suffix == "key" && !key) {
            return Err(files.absent());
        }
        let creating = CreateLock::take(&files)?;
        let attached =
            Presence::taken(&creating.0).map_err(|e| files.io("asking for locks of", "lock", e))?;
        if !attached.is_empty() && !force {
            return Err(OpenError::InUse { name: name.into(), attached: attached.len() });
        }
        let mut removed = Removed { attached: attached.len(), ..Removed::default() };
        if let Some(shm) = files.current()? {
            files.retire(&shm);
            removed.shm = Some(shm);
        }
        files.remove_half_made();
        // The lock file last, while its create byte is ours: who waits for it then looks again.
        for suffix in ["cur", "new", "key", "lock"] {
            if present.contains(&suffix) && (key || suffix != "key") {
                files.remove(suffix)?;
                removed.files.push(suffix);
            }
        }
        Ok(removed)
    }

    /// The names that have a section's files in a directory, sorted, each with the shared-memory object that it
    /// names, if it does.
    pub fn names(dir: &Path) -> std::io::Result<BTreeMap<String, Option<String>>> {
        let mut names = BTreeMap::new();
        for entry in std::fs::read_dir(dir)? {
            let file = entry?.file_name();
            let Some((name, suffix)) = file.to_str().and_then(|file| file.rsplit_once('.')) else {
                continue;
            };
            // A lock file alone may be somebody else's.
            if !matches!(suffix, "cur" | "new" | "key") || names.contains_key(name) {
                continue;
            }
            if let Ok(files) = Files::new(dir, name) {
                names.insert(name.to_owned(), files.current().ok().flatten());
            }
        }
        Ok(names)
    }
}
