//! Making, adopting and attaching to named sections.
//!
//! ```text
//! DIR/NAME.lock   byte 0: create lock; byte n: process slot n
//! DIR/NAME.key    the secret of the key hash, 16 bytes
//! DIR/NAME.cur    the shared-memory name, one line: renamed into place when the section is READY
//! DIR/NAME.new    the same while it is being made: what a killed creator leaves to be removed
//! /dev/shm/gs-…   the section
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use crate::header::{self, Echo};
use crate::layout::{self, Geometry};
use crate::map::{self, Mapping, SHM_DIR};
use crate::process::Presence;
use crate::region::Region;
use crate::section::{Section, random_words, secret_check, write_identity};
use crate::sync::{Ordering, mutant};
use crate::types::Origin;
use crate::{OpenError, SectionConfig};

/// How long a creator waits for another one.
const CREATE_WAIT_MS: u64 = 10_000;
/// Attempts to attach while the section is being replaced, and the pause between them.
const ATTACH_TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(10);
/// Shared memory left over beside a new section, for others.
const SPARE_BYTES: u64 = 1 << 20;

/// The secret of a name in a directory; made with the first section of that name.
pub(crate) fn lasting_secret(dir: &Path, name: &str) -> Result<[u64; 2], OpenError> {
    let files = Files::new(dir, name)?;
    files.prepare_dir()?;
    let lock = files.lock(true)?;
    let _creating = CreateLock::take(&lock, &files)?;
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
        let lock = files.lock(true)?;
        let _creating = CreateLock::take(&lock, &files)?;
        let secret = files.secret_or_new()?;
        files.remove_half_made();
        if let Some(old) = files.current()? {
            match header::adoptable(&old, &geometry, cfg, secret) {
                Ok(mapping) => {
                    let section = files.join(mapping, geometry, cfg.clone(), secret, old)?;
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
        for suffix in ["cur", "new", "key"] {
            match fs::remove_file(files.path(suffix)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(files.io("removing", suffix, e)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Bytes of the section that the kernel backs with huge pages; reads /proc/self/smaps, so it is slow.
    pub fn huge_bytes(&self) -> u64 {
        #[cfg(miri)]
        return 0;
        #[cfg(not(miri))]
        {
            let Region::Mapped(mapping) = &self.region;
            header::huge_bytes(mapping.address())
        }
    }

    /// Name of the shared-memory object, if the section has one.
    pub fn shm_name(&self) -> Option<&str> {
        self.shm_name.as_deref()
    }
}

/// The files of one section name.
struct Files {
    dir: PathBuf,
    name: String,
}

impl Files {
    fn new(dir: &Path, name: &str) -> Result<Files, OpenError> {
        let fine = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(fine) {
            return Err(OpenError::Name(name.into()));
        }
        Ok(Files { dir: dir.into(), name: name.into() })
    }

    fn path(&self, suffix: &str) -> PathBuf {
        self.dir.join(format!("{}.{suffix}", self.name))
    }

    fn io(&self, doing: &'static str, suffix: &str, source: io::Error) -> OpenError {
        OpenError::Io { doing, path: self.path(suffix), source }
    }

    fn prepare_dir(&self) -> Result<(), OpenError> {
        let io_error = |source| OpenError::Io { doing: "making directory", path: self.dir.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).map_err(io_error)?;
        let meta = fs::metadata(&self.dir).map_err(io_error)?;
        let ours = rustix::process::geteuid().as_raw();
        if meta.uid() != ours || meta.mode() & 0o022 != 0 {
            let why = format!("owner {} (we are {ours}), mode {:o}", meta.uid(), meta.mode() & 0o7777);
            return Err(OpenError::Unsafe { path: self.dir.clone(), why });
        }
        Ok(())
    }

    fn open(&self, suffix: &str, create: bool) -> Result<File, OpenError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(create)
            .truncate(false)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
            .open(self.path(suffix))
            .map_err(|e| self.io("opening", suffix, e))?;
        let meta = file.metadata().map_err(|e| self.io("looking at", suffix, e))?;
        header::judge_file(&self.path(suffix), &meta)?;
        Ok(file)
    }

    fn lock(&self, create: bool) -> Result<File, OpenError> {
        self.open("lock", create)
    }

    /// The shared-memory name in `.cur`, if there is one that could be ours.
    fn current(&self) -> Result<Option<String>, OpenError> {
        self.named("cur")
    }

    fn named(&self, suffix: &str) -> Result<Option<String>, OpenError> {
        let mut file = match self.open(suffix, false) {
            Ok(file) => file,
            Err(OpenError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let mut text = Vec::new();
        (&mut file).take(256).read_to_end(&mut text).map_err(|e| self.io("reading", suffix, e))?;
        let text = String::from_utf8_lossy(&text);
        let name = text.trim_end();
        let hex = name
            .strip_prefix("gs-")
            .is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|c| c.is_ascii_hexdigit()));
        Ok(hex.then(|| name.to_owned()))
    }

    fn secret(&self) -> Result<Option<[u64; 2]>, OpenError> {
        let mut file = match self.open("key", false) {
            Ok(file) => file,
            Err(OpenError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let mut bytes = [0u8; 16];
        if file.read_exact(&mut bytes).is_err() {
            return Ok(None);
        }
        let (halves, _) = bytes.as_chunks::<8>();
        Ok(Some([u64::from_le_bytes(halves[0]), u64::from_le_bytes(halves[1])]))
    }

    fn secret_or_new(&self) -> Result<[u64; 2], OpenError> {
        if let Some(secret) = self.secret()? {
            return Ok(secret);
        }
        let secret = random_words(0x6b6579);
        let mut bytes = secret[0].to_le_bytes().to_vec();
        bytes.extend_from_slice(&secret[1].to_le_bytes());
        self.publish("key", &bytes)?;
        Ok(secret)
    }

    /// Writes a file under another name and renames it: readers see all of it or none.
    fn publish(&self, suffix: &str, bytes: &[u8]) -> Result<(), OpenError> {
        let tmp = self.path(&format!("{suffix}.tmp"));
        let _ = fs::remove_file(&tmp);
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&tmp)?;
            file.write_all(bytes)?;
            fs::rename(&tmp, self.path(suffix))
        };
        write().map_err(|e| self.io("writing", suffix, e))
    }

    /// Removes what a creator that was killed half way left in shared memory.
    fn remove_half_made(&self) {
        if let Ok(Some(name)) = self.named("new")
            && !mutant("half-made-left")
        {
            let _ = fs::remove_file(Mapping::path(&name));
            let _ = fs::remove_file(self.path("new"));
        }
    }

    /// Marks a section that is not to be used any more, if its head is ours at all, and unlinks it. Its name
    /// in `.cur` then leads nowhere, which attachers take for "not made yet".
    fn retire(&self, shm: &str) {
        if let Ok((mapping, _)) = header::open_any(shm)
            && !mutant("not-marked-retired")
            && mapping.words()[layout::ident::MAGIC].load(Ordering::Relaxed) == layout::MAGIC
        {
            mapping.words()[layout::STATE].store(layout::STATE_RETIRED, Ordering::Release);
        }
        let _ = fs::remove_file(Mapping::path(shm));
    }

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
        let (probe, len) = header::open_any(shm)?;
        let echo = Echo::read(&probe);
        let state = probe.words()[layout::STATE].load(Ordering::Acquire);
        drop(probe);
        if state == layout::STATE_RETIRED {
            return Err(OpenError::Retired(shm.into()));
        }
        let theirs = echo.config(shm, len)?;
        let geometry = Geometry::of(&theirs)?;
        echo.compare(shm, cfg.unwrap_or(&theirs), &geometry, len)?;
        if state != layout::STATE_READY && !mutant("attach-unready") {
            return Err(header::mismatch(shm, "state", "not ready", "ready"));
        }
        let secret = self
            .secret()?
            .ok_or_else(|| header::mismatch(shm, "secret", "its file is missing", "16 bytes"))?;
        if echo.secret_check != secret_check(secret) {
            return Err(header::mismatch(shm, "secret", "another one", "the one in the .key file"));
        }
        let mapping = header::map(shm, &geometry)?;
        self.join(mapping, geometry, theirs, secret, shm.to_owned())
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

/// The create byte, given back on drop.
struct CreateLock<'a>(&'a File);

impl<'a> CreateLock<'a> {
    fn take(file: &'a File, files: &Files) -> Result<CreateLock<'a>, OpenError> {
        let mut waited_ms = 0;
        while !map::lock_byte(file.as_fd(), 0).map_err(|e| files.io("locking", "lock", e))? {
            if waited_ms >= CREATE_WAIT_MS {
                return Err(OpenError::Busy { path: files.path("lock"), waited_ms });
            }
            sleep(PAUSE);
            waited_ms += PAUSE.as_millis() as u64;
        }
        Ok(CreateLock(file))
    }
}

impl Drop for CreateLock<'_> {
    fn drop(&mut self) {
        map::unlock_byte(self.0.as_fd(), 0);
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
