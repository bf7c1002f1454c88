//! Making, adopting and attaching to named sections.
//!
//! ```text
//! DIR/NAME.lock   byte 0: create lock; byte n: process slot n
//! DIR/NAME.key    the secret of the key hash, 16 bytes
//! DIR/NAME.cur    the shared-memory name, one line: renamed into place when the section is READY
//! DIR/NAME.new    the same while it is being made: what a killed creator leaves to be removed
//! /dev/shm/gs-…   the section
//! ```

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;

use crate::files::{CreateLock, Files, PAUSE};
use crate::header::{self, Echo};
use crate::layout::{self, Geometry};
use crate::map::{Mapping, SHM_DIR};
use crate::process::Presence;
use crate::region::Region;
use crate::section::{Section, random_words, secret_check, write_identity};
use crate::sync::{Ordering, mutant};
use crate::types::Origin;
use crate::{OpenError, SectionConfig};

/// Attempts to attach while the section is being replaced.
const ATTACH_TRIES: usize = 20;
/// Shared memory left over beside a new section, for others.
const SPARE_BYTES: u64 = 1 << 20;

/// The secret of a name in a directory; made with the first section of that name.
pub(crate) fn lasting_secret(dir: &Path, name: &str) -> Result<[u64; 2], OpenError> {
    let files = Files::new(dir, name)?;
    files.prepare_dir()?;
    let _creating = CreateLock::take(&files)?;
    files.secret_or_new()
}

impl Section {
    /// Takes over the section of that name if it is sound and was made with this configuration, else makes
    /// a new one and retires the old. `dir` is made with mode 0700 if absent. For the one process that
    /// manages the section; others [`Section::attach`].
    pub fn create_or_adopt(
        dir: &Path,
        name: &str,
        cfg: &SectionConfig,
        now_ms: u64,
    ) -> Result<(Section, Origin), OpenError> {
        let geometry = Geometry::of(cfg)?;
        let files = Files::new(dir, name)?;
        files.prepare_dir()?;
        let _creating = CreateLock::take(&files)?;
        let secret = files.secret_or_new()?;
        files.remove_half_made();
        if let Some(old) = files.current()? {
            match header::adoptable(&old, &geometry, cfg, secret) {
                Ok(mapping) => {
                    let section = files.join(mapping, geometry, cfg.clone(), secret, old)?;
                    section.settle();
                    section.recount();
                    return Ok((section, Origin::Adopted));
                }
                Err(_) => files.retire(&old),
            }
        }
        let section = files.make(geometry, cfg, secret, now_ms)?;
        Ok((section, Origin::Fresh))
    }

    /// Attaches to a section that another process manages. Without `cfg` the section's own configuration is
    /// taken (and the layout that follows from it must be the section's); with it, everything must agree.
    pub fn attach(dir: &Path, name: &str, cfg: Option<&SectionConfig>) -> Result<Section, OpenError> {
        let files = Files::new(dir, name)?;
        let absent = || OpenError::Absent { dir: dir.into(), name: name.into() };
        let mut last = absent();
        for attempt in 0..ATTACH_TRIES {
            if attempt > 0 {
                sleep(PAUSE);
            }
            let Some(current) = files.current()? else {
                return Err(absent());
            };
            match files.attach_to(&current, cfg) {
                Ok(section) => return Ok(section),
                // Replaced between reading its name and opening it: the name will have changed.
                Err(e @ (OpenError::Retired(_) | OpenError::Absent { .. })) => last = e,
                Err(e) => return Err(e),
            }
        }
        Err(last)
    }

    /// Retires and unlinks the section of that name, and its files but the lock. Attached processes keep
    /// their memory and see [`Section::retired`].
    pub fn remove(dir: &Path, name: &str) -> Result<(), OpenError> {
        let files = Files::new(dir, name)?;
        if let Some(current) = files.current()? {
            files.retire(&current);
        }
        files.remove_half_made();
        ["cur", "new", "key"].into_iter().try_for_each(|suffix| files.remove(suffix))
    }

    /// Bytes of the section that the kernel backs with huge pages; reads /proc/self/smaps, so it is slow.
    pub fn huge_bytes(&self) -> u64 {
        #[cfg(miri)]
        return 0;
        #[cfg(not(miri))]
        {
            let Region::Mapped(mapping) = &self.region;
            header::huge_bytes(mapping.address(), self.geometry().total_len)
        }
    }

    /// Name of the shared-memory object, if the section has one.
    pub fn shm_name(&self) -> Option<&str> {
        self.shm_name.as_deref()
    }
}

/// A section that may be used.
pub(crate) struct Judged {
    pub(crate) mapping: Mapping,
    pub(crate) geometry: Geometry,
    pub(crate) cfg: SectionConfig,
    pub(crate) secret: [u64; 2],
}

impl Files {
    fn make(
        &self,
        geometry: Geometry,
        cfg: &SectionConfig,
        secret: [u64; 2],
        now_ms: u64,
    ) -> Result<Section, OpenError> {
        check_space(geometry.total_len)?;
        let nonce = random_words(0x6e6f6e63);
        let shm = format!("gs-{:016x}{:016x}", nonce[0], nonce[1]);
        // Named on disk before it exists, so that it can be found and removed if we die in between.
        self.publish("new", format!("{shm}\n").as_bytes())?;
        let made = self.fill_in(&shm, geometry, cfg, secret, nonce, now_ms);
        if made.is_err() {
            let _ = fs::remove_file(Mapping::path(&shm));
            let _ = fs::remove_file(self.path("new"));
        }
        made
    }

    fn fill_in(
        &self,
        shm: &str,
        geometry: Geometry,
        cfg: &SectionConfig,
        secret: [u64; 2],
        nonce: [u64; 2],
        now_ms: u64,
    ) -> Result<Section, OpenError> {
        let shm_io = |doing, source| OpenError::Io { doing, path: Mapping::path(shm), source };
        let len = geometry.total_len as usize;
        let mapping = Mapping::create(shm, len, geometry.words, geometry.blocks as usize)
            .map_err(|e| shm_io("creating", e))?;
        if mutant("not-populated") {
            // SIGBUS later instead of an error now.
        } else if let Err(e) = mapping.populate() {
            populate_by_path(shm, geometry.total_len)
                .map_err(|second| no_space_or(shm_io("populating", second), &e))?;
        }
        let region = Region::Mapped(Arc::new(mapping));
        if mutant("published-early") {
            let _ = fs::rename(self.path("new"), self.path("cur"));
            let _ = self.publish("new", b"");
        }
        write_identity(&region, &geometry, cfg, secret, nonce, now_ms);
        // SYNC POINT: READY last; whoever sees it sees the identity.
        region.words()[layout::STATE].store(layout::STATE_READY, Ordering::Release);
        let section = self.section(region, geometry, cfg.clone(), secret, shm.to_owned())?;
        fs::rename(self.path("new"), self.path("cur")).map_err(|e| self.io("publishing", "cur", e))?;
        Ok(section)
    }

    fn attach_to(&self, shm: &str, cfg: Option<&SectionConfig>) -> Result<Section, OpenError> {
        let Judged { mapping, geometry, cfg, secret } = self.judge(shm, cfg, Mapping::open)?;
        self.join(mapping, geometry, cfg, secret, shm.to_owned())
    }

    /// Maps a section after everything about it has been found to be in order.
    pub(crate) fn judge(
        &self,
        shm: &str,
        cfg: Option<&SectionConfig>,
        access: header::Access,
    ) -> Result<Judged, OpenError> {
        let (probe, len) = header::open_any(shm, access)?;
        let echo = Echo::read(&probe);
        let state = probe.words()[layout::STATE].load(Ordering::Acquire);
        drop(probe);
        if state == layout::STATE_RETIRED {
            return Err(OpenError::Retired(shm.into()));
        }
        let theirs = echo.config(shm, len)?;
        // Compared with what this process wants: what differs is then named, possible or not.
        let wanted = cfg.unwrap_or(&theirs);
        let geometry = match Geometry::of(wanted) {
            Err(e) if cfg.is_none() => {
                return Err(header::mismatch(shm, "configuration", e, "a possible one"));
            }
            made => made?,
        };
        echo.compare(shm, wanted, &geometry, len)?;
        if state != layout::STATE_READY && !mutant("attach-unready") {
            return Err(header::mismatch(shm, "state", "not ready", "ready"));
        }
        let secret = self
            .secret()?
            .ok_or_else(|| header::mismatch(shm, "secret", "its file is missing", "16 bytes"))?;
        if echo.secret_check != secret_check(secret) {
            return Err(header::mismatch(shm, "secret", "another one", "the one in the .key file"));
        }
        let mapping = header::map(shm, &geometry, access)?;
        Ok(Judged { mapping, geometry, cfg: theirs, secret })
    }

    /// Takes a process slot in an existing section.
    fn join(
        &self,
        mapping: Mapping,
        geometry: Geometry,
        cfg: SectionConfig,
        secret: [u64; 2],
        shm: String,
    ) -> Result<Section, OpenError> {
        self.section(Region::Mapped(Arc::new(mapping)), geometry, cfg, secret, shm)
    }

    fn section(
        &self,
        region: Region,
        geometry: Geometry,
        cfg: SectionConfig,
        secret: [u64; 2],
        shm: String,
    ) -> Result<Section, OpenError> {
        let file = self.lock(false)?;
        let clean = |slot: usize| region.words()[layout::PROCS + slot].load(Ordering::Acquire) == 0;
        let presence = Presence::locked(file, random_words(0x736c6f74)[0], clean)
            .map_err(|e| self.io("locking a byte of", "lock", e))?
            .ok_or_else(|| OpenError::NoSlot {
                path: self.path("lock"),
                max: (layout::PROC_SLOTS - 1) as u16,
            })?;
        let section = Section::assemble(region, geometry, cfg, secret, presence, None, Some(shm));
        section.recover_own();
        Ok(section)
    }
}

fn free_bytes() -> Option<u64> {
    let fs = rustix::fs::statvfs(SHM_DIR).ok()?;
    // A tmpfs without a limit says 0 blocks in all.
    (fs.f_blocks != 0).then(|| fs.f_bavail.saturating_mul(fs.f_frsize))
}

/// Says what is missing before anything is made.
fn check_space(needed: u64) -> Result<(), OpenError> {
    match free_bytes() {
        Some(free) if free < needed.saturating_add(SPARE_BYTES) => Err(no_space(free, needed + SPARE_BYTES)),
        _ => Ok(()),
    }
}

fn no_space(free: u64, needed: u64) -> OpenError {
    let (free_mib, needed_mib) = (free >> 20, needed.div_ceil(1 << 20));
    OpenError::NoSpace {
        path: SHM_DIR.into(),
        free_mib,
        needed_mib,
        missing_mib: needed_mib - free_mib.min(needed_mib),
    }
}

/// Kernels before 5.14 cannot populate a mapping; they can allocate by path.
fn populate_by_path(shm: &str, len: u64) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(Mapping::path(shm))?;
    Ok(rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, len)?)
}

fn no_space_or(error: OpenError, populating: &io::Error) -> OpenError {
    let OpenError::Io { path, source, .. } = &error else {
        return error;
    };
    let full =
        |e: &io::Error| e.raw_os_error() == Some(libc::ENOSPC) || e.raw_os_error() == Some(libc::ENOMEM);
    if !full(source) && !full(populating) {
        return error;
    }
    // What we have taken so far counts as free: it goes back with the half-made section.
    let len = fs::metadata(path).map(|m| m.len()).unwrap_or(0);
    let held = fs::metadata(path).map(|m| m.blocks() * 512).unwrap_or(0);
    no_space(free_bytes().unwrap_or(0) + held, len)
}
