//! Attaching to what is not what it should be: every field of the head, every file of a section. Refused with
//! the field, what was found and what was expected, never a crash; and left as it was.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use fastrand::Rng;
use gs_shm::*;

const NOW: u64 = 1_000_000;
const SEED: u64 = 5;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        drop(place.create(&cfg()).unwrap());
        place
    }
    fn create(&self, cfg: &SectionConfig) -> Result<(Section, Origin), OpenError> {
        Section::create_or_adopt(self.0.path(), "t", cfg, NOW)
    }
    fn attach(&self, cfg: Option<&SectionConfig>) -> Result<Section, OpenError> {
        Section::attach(self.0.path(), "t", cfg)
    }
    fn file(&self, suffix: &str) -> PathBuf {
        self.0.path().join(format!("t.{suffix}"))
    }
    fn shm(&self) -> PathBuf {
        Path::new("/dev/shm").join(fs::read_to_string(self.file("cur")).unwrap().trim())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::set_permissions(self.0.path(), Permissions::from_mode(0o700));
        let _ = Section::remove(self.0.path(), "t");
    }
}

fn cfg() -> SectionConfig {
    SectionConfig {
        capacity_bytes: 1 << 20,
        value_bytes_max: 10_000,
        policy_fingerprint: 7,
        block_bytes: 256,
        ..SectionConfig::default()
    }
}

fn text(result: Result<Section, OpenError>) -> String {
    result.err().expect("refused").to_string()
}

/// Fields of the head by word, as messages call them; the rest of its first 18 words identify nothing that
/// two processes could differ in.
const FIELDS: [(u64, &str); 15] = [
    (0, "magic"),
    (1, "layout version"),
    (2, "minimum reader"),
    (3, "architecture"),
    (4, "features"),
    (5, "length"),
    (6, "capacity"),
    (7, "block_bytes"),
    (8, "value_bytes_max"),
    (9, "keep_keys"),
    (10, "mode"),
    (11, "policy fingerprint"),
    (12, "layout hash"),
    (15, "secret"),
    (64, "state"),
];

// Each field at 0, 1, MAX, its neighbours and anything: an attacher names it, with both values; the creator
// makes a new section instead.
#[test]
fn every_field_of_the_head() {
    let place = Place::new();
    let file = OpenOptions::new().read(true).write(true).open(place.shm()).unwrap();
    let mut random = Rng::with_seed(SEED);
    for (word, field) in FIELDS {
        let mut was = [0; 8];
        file.read_exact_at(&mut was, word * 8).unwrap();
        let old = u64::from_le_bytes(was);
        let values = [0, 1, u64::MAX, old ^ 1, old.wrapping_add(1), old ^ 1 << 63, !old, random.u64(..)];
        for value in values.into_iter().filter(|value| *value != old) {
            file.write_all_at(&value.to_le_bytes(), word * 8).unwrap();
            let text = text(place.attach(Some(&cfg())));
            let both = match field {
                "secret" => "secret is another one there and the one in the .key file here".to_owned(),
                "state" => "state is not ready there and ready here".to_owned(),
                _ => format!("{field} is {value} there and "),
            };
            assert!(text.contains(&both), "word {word} = {value:#x}: {text}");
            // Without a configuration to compare with, it is refused all the same.
            assert!(place.attach(None).is_err(), "word {word} = {value:#x}");
        }
        file.write_all_at(&was, word * 8).unwrap();
        assert!(place.attach(Some(&cfg())).is_ok(), "{field} as it was");
    }
}

// The creator of a section whose head is wrong in any field starts anew and never with what is there.
#[test]
fn a_wrong_head_is_not_adopted() {
    for (word, field) in FIELDS {
        let place = Place::new();
        let old = place.shm();
        let file = OpenOptions::new().write(true).open(&old).unwrap();
        file.write_all_at(&[0xa5; 8], word * 8).unwrap();
        assert_eq!(place.create(&cfg()).unwrap().1, Origin::Fresh, "{field}");
        assert!(!old.exists(), "{field}: the old one is left behind");
        assert!(place.attach(Some(&cfg())).is_ok());
    }
}

// Two programs with another idea of the layout or of the policies: refused, both named, in each direction.
#[test]
fn two_builds_that_differ() {
    let place = Place::new();
    let there = cfg();
    for (field, found, expected, mine) in [
        ("policy fingerprint", "7", "8", SectionConfig { policy_fingerprint: 8, ..there.clone() }),
        ("block_bytes", "256", "512", SectionConfig { block_bytes: 512, ..there.clone() }),
        ("value_bytes_max", "10000", "10001", SectionConfig { value_bytes_max: 10_001, ..there.clone() }),
        ("capacity", "1048576", "2097152", SectionConfig { capacity_bytes: 2 << 20, ..there.clone() }),
        ("keep_keys", "1", "0", SectionConfig { keep_keys: false, ..there.clone() }),
        ("mode", "1", "0", SectionConfig { mode: Mode::Cache, ..there.clone() }),
    ] {
        let text = text(place.attach(Some(&mine)));
        assert!(text.contains(&format!("{field} is {found} there and {expected} here")), "{text}");
        assert!(text.contains("start all its processes with the same version and configuration"), "{text}");
    }
    assert!(place.attach(Some(&there)).is_ok(), "it is as it was");
}

// Files that are something else: links, pipes, directories, other people's, writable by all.
#[test]
fn every_file_as_something_else() {
    type Change = fn(&Path);
    let elsewhere: Change = |path| {
        let away = path.with_extension("away");
        fs::rename(path, &away).unwrap();
        symlink(&away, path).unwrap();
    };
    let directory: Change = |path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    };
    let linked: Change = |path| fs::hard_link(path, path.with_extension("away")).unwrap();
    let open_to_all: Change = |path| fs::set_permissions(path, Permissions::from_mode(0o622)).unwrap();
    let given_away: Change = |path| chown(path, Some(65_534), None).unwrap();
    let mut changes = vec![
        ("a link", elsewhere),
        ("a directory", directory),
        ("two links", linked),
        ("mode 622", open_to_all),
    ];
    if rustix::process::geteuid().is_root() {
        changes.push(("another owner's", given_away));
    }
    for (what, change) in changes {
        for which in ["lock", "key", "cur", "shm"] {
            let place = Place::new();
            let object = place.shm();
            let path = if which == "shm" { object.clone() } else { place.file(which) };
            change(&path);
            let text = text(place.attach(None));
            assert!(!text.is_empty() && !text.contains("Section"), "{which} is {what}: {text}");
            let away = path.with_extension("away");
            let _ = fs::remove_file(&away);
            // A directory in place of the object is nothing that `remove` may remove.
            let _ = fs::remove_dir(&path).or_else(|_| fs::remove_file(&path));
            // Where it was the name that is gone, nobody finds the object any more.
            let _ = fs::remove_file(&object);
        }
    }
}

// A key file that was cut, or holds another secret: the identities in the section would not be found.
#[test]
fn a_secret_that_does_not_fit() {
    for bytes in [&b""[..], b"short", &[9; 16], &[9; 17]] {
        let place = Place::new();
        fs::write(place.file("key"), bytes).unwrap();
        let text = text(place.attach(Some(&cfg())));
        assert!(text.contains("secret"), "{bytes:?}: {text}");
        assert_eq!(place.create(&cfg()).unwrap().1, Origin::Fresh, "{bytes:?}");
    }
}

// Any length, cut or grown by bytes or pages: refused with both lengths, before a byte past the end is read.
#[test]
fn every_odd_length() {
    let whole = fs::metadata(Place::new().shm()).unwrap().len();
    let cut = [0, 1, 7, 8, 511, 4095, 4096, 4097, 4104, whole / 2, whole - 4096, whole - 8, whole - 1];
    for len in cut.into_iter().chain([whole + 1, whole + 8, whole + 4096, whole * 2]) {
        let place = Place::new();
        OpenOptions::new().write(true).open(place.shm()).unwrap().set_len(len).unwrap();
        let text = text(place.attach(Some(&cfg())));
        let named = [format!("length is {len} there and "), format!("there and about {len} here")];
        assert!(named.iter().any(|name| text.contains(name)), "{len}: {text}");
        assert!(place.attach(None).is_err(), "{len}");
        assert_eq!(place.create(&cfg()).unwrap().1, Origin::Fresh, "{len}");
    }
}
