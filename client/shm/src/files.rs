//! The files beside a section: its lock, its key, its name; see `open` for what each is.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use crate::OpenError;
use crate::header;
use crate::layout;
use crate::map::{self, Mapping};
use crate::section::random_words;
use crate::sync::{Ordering, mutant};

/// How long a creator waits for another one.
const CREATE_WAIT_MS: u64 = 10_000;
/// The pause between two attempts at what another process is doing.
pub(crate) const PAUSE: Duration = Duration::from_millis(10);
/// The files that a name may have.
const SUFFIXES: [&str; 4] = ["cur", "new", "key", "lock"];

/// The files of one section name.
pub(crate) struct Files {
    dir: PathBuf,
    name: String,
}

impl Files {
    pub(crate) fn new(dir: &Path, name: &str) -> Result<Files, OpenError> {
        let fine = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(fine) {
            return Err(OpenError::Name(name.into()));
        }
        Ok(Files { dir: dir.into(), name: name.into() })
    }

    pub(crate) fn path(&self, suffix: &str) -> PathBuf {
        self.dir.join(format!("{}.{suffix}", self.name))
    }

    pub(crate) fn io(&self, doing: &'static str, suffix: &str, source: io::Error) -> OpenError {
        OpenError::Io { doing, path: self.path(suffix), source }
    }

    pub(crate) fn prepare_dir(&self) -> Result<(), OpenError> {
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

    fn open(&self, suffix: &str, options: &mut OpenOptions) -> Result<File, OpenError> {
        let file = options
            .read(true)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
            .open(self.path(suffix))
            .map_err(|e| self.io("opening", suffix, e))?;
        let meta = file.metadata().map_err(|e| self.io("looking at", suffix, e))?;
        header::judge_file(&self.path(suffix), &meta)?;
        Ok(file)
    }

    /// A file that is only looked at; `None` if it is not there.
    fn open_to_read(&self, suffix: &str) -> Result<Option<File>, OpenError> {
        match self.open(suffix, &mut OpenOptions::new()) {
            Ok(file) => Ok(Some(file)),
            Err(OpenError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    pub(crate) fn lock(&self, create: bool) -> Result<File, OpenError> {
        self.open("lock", OpenOptions::new().write(true).create(create).truncate(false))
    }

    /// The lock file, to ask who holds its bytes.
    pub(crate) fn lock_to_read(&self) -> Result<Option<File>, OpenError> {
        self.open_to_read("lock")
    }

    /// Which of the files are there.
    pub(crate) fn present(&self) -> Vec<&'static str> {
        SUFFIXES.into_iter().filter(|suffix| self.path(suffix).symlink_metadata().is_ok()).collect()
    }

    pub(crate) fn remove(&self, suffix: &str) -> Result<(), OpenError> {
        match fs::remove_file(self.path(suffix)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(self.io("removing", suffix, e)),
            _ => Ok(()),
        }
    }

    pub(crate) fn absent(&self) -> OpenError {
        OpenError::Absent { dir: self.dir.clone(), name: self.name.clone() }
    }

    /// The shared-memory name in `.cur`, if there is one that could be ours.
    pub(crate) fn current(&self) -> Result<Option<String>, OpenError> {
        self.named("cur")
    }

    pub(crate) fn named(&self, suffix: &str) -> Result<Option<String>, OpenError> {
        let Some(mut file) = self.open_to_read(suffix)? else {
            return Ok(None);
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

    pub(crate) fn secret(&self) -> Result<Option<[u64; 2]>, OpenError> {
        let Some(mut file) = self.open_to_read("key")? else {
            return Ok(None);
        };
        let mut bytes = [0u8; 16];
        if file.read_exact(&mut bytes).is_err() {
            return Ok(None);
        }
        let (halves, _) = bytes.as_chunks::<8>();
        Ok(Some([u64::from_le_bytes(halves[0]), u64::from_le_bytes(halves[1])]))
    }

    pub(crate) fn secret_or_new(&self) -> Result<[u64; 2], OpenError> {
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
    pub(crate) fn publish(&self, suffix: &str, bytes: &[u8]) -> Result<(), OpenError> {
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
    pub(crate) fn remove_half_made(&self) {
        if let Ok(Some(name)) = self.named("new")
            && !mutant("half-made-left")
        {
            let _ = fs::remove_file(Mapping::path(&name));
            let _ = fs::remove_file(self.path("new"));
        }
    }

    /// Marks a section that is not to be used any more, if its head is ours at all, and unlinks it. Its name
    /// in `.cur` then leads nowhere, which attachers take for "not made yet".
    pub(crate) fn retire(&self, shm: &str) {
        if let Ok((mapping, _)) = header::open_any(shm, Mapping::open)
            && !mutant("not-marked-retired")
            && mapping.words()[layout::ident::MAGIC].load(Ordering::Relaxed) == layout::MAGIC
        {
            mapping.words()[layout::STATE].store(layout::STATE_RETIRED, Ordering::Release);
        }
        let _ = fs::remove_file(Mapping::path(shm));
    }
}

/// The create byte, given back on drop.
pub(crate) struct CreateLock(pub(crate) File);

impl CreateLock {
    /// Waits for it. The file may be removed while we wait: then whoever comes next locks another one, so what
    /// counts is the file that has the name once the byte is ours.
    pub(crate) fn take(files: &Files) -> Result<CreateLock, OpenError> {
        let mut waited_ms = 0;
        loop {
            let file = files.lock(true)?;
            while !map::lock_byte(file.as_fd(), 0).map_err(|e| files.io("locking", "lock", e))? {
                if waited_ms >= CREATE_WAIT_MS {
                    return Err(OpenError::Busy { path: files.path("lock"), waited_ms });
                }
                sleep(PAUSE);
                waited_ms += PAUSE.as_millis() as u64;
            }
            let ours = file.metadata().map_err(|e| files.io("looking at", "lock", e))?;
            let named = files.path("lock").symlink_metadata();
            if named.is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino())) {
                return Ok(CreateLock(file));
            }
        }
    }
}

impl Drop for CreateLock {
    fn drop(&mut self) {
        map::unlock_byte(self.0.as_fd(), 0);
    }
}
