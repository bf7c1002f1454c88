//! Judging a section that is there already, before a byte of it is believed.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::layout::{self, Geometry, ident};
use crate::map::Mapping;
use crate::section::secret_check;
use crate::sync::{Ordering, mutant};
use crate::{Mode, OpenError, SectionConfig};

/// The words of the identity part as they were read, once.
pub(crate) struct Echo {
    pub(crate) words: [u64; 18],
    pub(crate) secret_check: u64,
}

/// Bytes that the identity part needs: less cannot be a section.
const IDENTITY_BYTES: u64 = 4096;

pub(crate) fn mismatch(
    shm: &str,
    field: &'static str,
    found: impl ToString,
    expected: impl ToString,
) -> OpenError {
    OpenError::Mismatch { name: shm.into(), field, found: found.to_string(), expected: expected.to_string() }
}

/// Refuses files that are not regular, not ours, writable by others, or linked elsewhere.
pub(crate) fn judge_file(path: &Path, meta: &Metadata) -> Result<(), OpenError> {
    let ours = rustix::process::geteuid().as_raw();
    let why = if mutant("any-file") {
        return Ok(());
    } else if !meta.is_file() {
        "not a regular file".to_owned()
    } else if meta.uid() != ours {
        format!("owner {} (we are {ours})", meta.uid())
    } else if meta.mode() & 0o022 != 0 {
        format!("mode {:o}", meta.mode() & 0o7777)
    } else if meta.nlink() > 1 {
        format!("{} links", meta.nlink())
    } else {
        return Ok(());
    };
    Err(OpenError::Unsafe { path: path.into(), why })
}

/// How an object of a name, a length, and so many words and touch words is mapped: [`Mapping::open`] or
/// [`Mapping::look`].
pub(crate) type Access = fn(&str, usize, usize, usize) -> io::Result<Mapping>;

/// Opens an object of whatever length, as words alone.
pub(crate) fn open_any(shm: &str, access: Access) -> Result<(Mapping, u64), OpenError> {
    let path = Mapping::path(shm);
    let io_error = |doing, source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => OpenError::Absent { dir: layout_dir(), name: shm.into() },
        _ => OpenError::Io { doing, path: Mapping::path(shm), source },
    };
    let meta = fs::symlink_metadata(&path).map_err(|e| io_error("looking at", e))?;
    judge_file(&path, &meta)?;
    let len = meta.len();
    if len < IDENTITY_BYTES || !len.is_multiple_of(8) || usize::try_from(len).is_err() {
        return Err(mismatch(shm, "length", len, format!("at least {IDENTITY_BYTES}, a multiple of 8")));
    }
    let mapping = access(shm, len as usize, IDENTITY_BYTES as usize / 8, 0)
        .map_err(|e| io_error("mapping", if path.exists() { e } else { io::ErrorKind::NotFound.into() }))?;
    Ok((mapping, len))
}

fn layout_dir() -> std::path::PathBuf {
    crate::map::SHM_DIR.into()
}

/// Maps a section whose geometry has been agreed on.
pub(crate) fn map(shm: &str, geometry: &Geometry, access: Access) -> Result<Mapping, OpenError> {
    access(shm, geometry.total_len as usize, geometry.words, geometry.blocks as usize)
        .map_err(|source| OpenError::Io { doing: "mapping", path: Mapping::path(shm), source })
}

/// The old section, if it may be used as it stands.
pub(crate) fn adoptable(
    shm: &str,
    geometry: &Geometry,
    cfg: &SectionConfig,
    secret: [u64; 2],
) -> Result<Mapping, OpenError> {
    let (probe, len) = open_any(shm, Mapping::open)?;
    let echo = Echo::read(&probe);
    echo.compare(shm, cfg, geometry, len)?;
    if probe.words()[layout::STATE].load(Ordering::Acquire) != layout::STATE_READY {
        return Err(mismatch(shm, "state", "not ready", "ready"));
    }
    if echo.secret_check != secret_check(secret) && !mutant("adopt-any-secret") {
        return Err(mismatch(shm, "secret", "another one", "the one in the .key file"));
    }
    map(shm, geometry, Mapping::open)
}

impl Echo {
    pub(crate) fn read(mapping: &Mapping) -> Echo {
        let words = std::array::from_fn(|at| mapping.words()[at].load(Ordering::Relaxed));
        Echo { words, secret_check: words[ident::SECRET_CHECK] }
    }

    /// The configuration that the section says it was made with; whether it is true is for
    /// [`Echo::compare`] to say.
    pub(crate) fn config(&self, shm: &str, len: u64) -> Result<SectionConfig, OpenError> {
        self.compare_format(shm)?;
        let w = &self.words;
        if w[ident::CAPACITY] > len.saturating_mul(2) {
            return Err(mismatch(shm, "capacity", w[ident::CAPACITY], format!("about {len}")));
        }
        let narrow =
            |field, word: u64| u32::try_from(word).map_err(|_| mismatch(shm, field, word, "a 32-bit number"));
        Ok(SectionConfig {
            capacity_bytes: w[ident::CAPACITY],
            block_bytes: narrow("block_bytes", w[ident::BLOCK_BYTES])?,
            value_bytes_max: narrow("value_bytes_max", w[ident::VALUE_BYTES_MAX])?,
            keep_keys: w[ident::KEEP_KEYS] == 1,
            mode: if w[ident::MODE] == Mode::Cache as u64 { Mode::Cache } else { Mode::Owner },
            policy_fingerprint: w[ident::POLICY],
        })
    }

    fn compare_format(&self, shm: &str) -> Result<(), OpenError> {
        for (field, at, expected) in [
            ("magic", ident::MAGIC, layout::MAGIC),
            ("architecture", ident::ARCH, layout::ARCH),
            ("layout version", ident::LAYOUT_VERSION, layout::LAYOUT_VERSION),
            ("minimum reader", ident::MIN_READER, layout::MIN_READER),
            ("features", ident::FEATURES, layout::FEATURES),
        ] {
            if self.words[at] != expected && !mutant("attach-any-format") {
                return Err(mismatch(shm, field, self.words[at], expected));
            }
        }
        Ok(())
    }

    /// Everything that two processes must agree on, field by field, so that the message can name it.
    pub(crate) fn compare(
        &self,
        shm: &str,
        cfg: &SectionConfig,
        geometry: &Geometry,
        len: u64,
    ) -> Result<(), OpenError> {
        self.compare_format(shm)?;
        for (field, at, expected) in [
            ("capacity", ident::CAPACITY, cfg.capacity_bytes),
            ("block_bytes", ident::BLOCK_BYTES, u64::from(cfg.block_bytes)),
            ("value_bytes_max", ident::VALUE_BYTES_MAX, u64::from(cfg.value_bytes_max)),
            ("keep_keys", ident::KEEP_KEYS, u64::from(cfg.keep_keys)),
            ("mode", ident::MODE, cfg.mode as u64),
            ("policy fingerprint", ident::POLICY, cfg.policy_fingerprint),
            ("length", ident::TOTAL_LEN, geometry.total_len),
            ("layout hash", ident::LAYOUT_HASH, geometry.layout_hash(cfg)),
        ] {
            let unjudged = mutant("attach-any-layout") && at == ident::LAYOUT_HASH
                || mutant("attach-any-config") && at != ident::LAYOUT_HASH;
            if self.words[at] != expected && !unjudged {
                return Err(mismatch(shm, field, self.words[at], expected));
            }
        }
        if len != geometry.total_len {
            return Err(mismatch(shm, "file length", len, geometry.total_len));
        }
        Ok(())
    }
}

/// Bytes on huge pages of the `len` bytes of memory from `address` on.
pub(crate) fn huge_bytes(address: usize, len: u64) -> u64 {
    let start = address as u64;
    fs::read_to_string("/proc/self/smaps").map_or(0, |smaps| huge_of(&smaps, start..start + len))
}

/// The kernel joins private mappings that lie side by side and may cut one in two: each counts for the share of it that
/// is `wanted`.
fn huge_of(smaps: &str, wanted: std::ops::Range<u64>) -> u64 {
    let (mut bytes, mut share) = (0.0, 0.0);
    for line in smaps.lines() {
        // A mapping's first line begins with its address range, its figures with a capital letter.
        if line.starts_with(|c: char| c.is_ascii_hexdigit() && !c.is_ascii_uppercase()) {
            share = share_of(line, &wanted).unwrap_or(0.0);
        } else if ["ShmemPmdMapped:", "AnonHugePages:"].iter().any(|field| line.starts_with(field)) {
            let kib = line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
            bytes += share * (kib << 10) as f64;
        }
    }
    bytes as u64
}

fn share_of(line: &str, wanted: &std::ops::Range<u64>) -> Option<f64> {
    let (from, to) = line.split_whitespace().next()?.split_once('-')?;
    let (from, to) = (u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?);
    let both = to.min(wanted.end).saturating_sub(from.max(wanted.start));
    Some(both as f64 / to.saturating_sub(from).max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::huge_of;

    /// A section's figure is its own: neither a neighbour's, nor nothing because the kernel drew the borders elsewhere.
    #[test]
    fn huge_pages_are_those_of_the_memory_asked_for() {
        let smaps = "10000000-20000000 rw-p 00000000 00:00 0\nRss: 5 kB\nAnonHugePages:  131072 kB\n\
                     20000000-28000000 rw-s 00000000 00:1a 6 /dev/shm/gs-a\nShmemPmdMapped:  2048 kB\n\
                     28000000-30000000 rw-s 08000000 00:1a 6 /dev/shm/gs-a\nShmemPmdMapped:  4096 kB\n\
                     VmFlags: rd wr\n";
        assert_eq!(huge_of(smaps, 0x2000_0000..0x3000_0000), 6 << 20, "cut in two");
        assert_eq!(huge_of(smaps, 0x1000_0000..0x1800_0000), 64 << 20, "half of what was joined");
        assert_eq!(huge_of(smaps, 0x4000_0000..0x5000_0000), 0);
    }
}
