//! Named sections: made, adopted, attached to, refused. Every test unlinks what it made.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use gs_shm::*;
use tempfile::TempDir;

const NOW: u64 = 1_000_000;

struct Place(TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }
    fn dir(&self) -> &Path {
        self.0.path()
    }
    fn shm(&self) -> PathBuf {
        let name = fs::read_to_string(self.dir().join("t.cur")).unwrap();
        Path::new("/dev/shm").join(name.trim())
    }
    fn open(&self) -> (Section, Origin) {
        Section::create_or_adopt(self.dir(), "t", &cfg(), NOW).unwrap()
    }
    fn attach(&self) -> Result<Section, OpenError> {
        Section::attach(self.dir(), "t", None)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = Section::remove(self.dir(), "t");
    }
}

fn cfg() -> SectionConfig {
    SectionConfig {
        capacity_bytes: 1 << 20,
        value_bytes_max: 10_000,
        policy_fingerprint: 7,
        ..SectionConfig::default()
    }
}

fn put(s: &Section, key: &[u8], value: &[u8], version: u64) {
    let id = s.key_id(0, key);
    let rec = NewRecord { id, db: 0, key, value, version, deadline_ms: 0, kind: 0, created_ms: NOW };
    s.put(&rec, NOW).unwrap();
}

fn get(s: &Section, key: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match s.get(&s.key_id(0, key), key, NOW, true, &mut out, |_, _| ()) {
        Lookup::Hit(_) => Some(out),
        _ => None,
    }
}

// One makes it, others attach and see the same records; names, modes and files are as promised.
#[test]
fn create_attach_share() {
    let place = Place::new();
    assert!(matches!(place.attach(), Err(OpenError::Absent { .. })));
    let (first, origin) = place.open();
    assert_eq!(origin, Origin::Fresh);
    let meta = fs::metadata(place.shm()).unwrap();
    assert_eq!((meta.mode() & 0o777, meta.len()), (0o600, first.geometry().total_len));
    assert!(meta.blocks() * 512 >= meta.len(), "every page is there: no SIGBUS later");
    assert!(place.shm().file_name().unwrap().to_str().unwrap().starts_with("gs-"));
    put(&first, b"k", &[1; 5000], 1);
    let second = place.attach().unwrap();
    let third = Section::attach(place.dir(), "t", Some(&cfg())).unwrap();
    assert_eq!(get(&second, b"k").unwrap(), [1; 5000]);
    put(&third, b"j", b"x", 1);
    assert_eq!(get(&first, b"j").unwrap(), b"x");
    assert_eq!((first.nonce(), second.config()), (second.nonce(), first.config()));
    let mut slots = [first.process_slot(), second.process_slot(), third.process_slot()];
    slots.sort_unstable();
    assert!(slots[0] > 0 && slots[0] < slots[1] && slots[1] < slots[2]);
    assert_eq!(first.check(NOW).unwrap().live, 2);
}

// A restart finds its records; so does one whose predecessor's hand-offs were under way.
#[test]
fn restart_is_warm() {
    let place = Place::new();
    let (s, _) = place.open();
    let nonce = s.nonce();
    put(&s, b"k", b"v", 1);
    put(&s, b"gone", b"v", 1);
    let mut victims = Vec::new();
    s.sweep(s.geometry().blocks, NOW, &mut |_| Verdict::Take, &mut victims);
    assert_eq!(victims.len(), 2);
    drop(s);
    let (s, origin) = place.open();
    assert_eq!((origin, s.nonce(), s.live_count(0)), (Origin::Adopted, nonce, 2));
    assert_eq!(get(&s, b"k").unwrap(), b"v");
    let mut adopted = Vec::new();
    s.adopt_evicting(&mut adopted, 10);
    assert_eq!(adopted.len(), 2);
    for victim in &adopted {
        assert!(s.abort(&victim.at));
    }
    assert_eq!(s.check(NOW).unwrap().live, 2);
}

// Another configuration makes a new section; whoever holds the old one sees that it is retired.
#[test]
fn another_configuration_retires() {
    let place = Place::new();
    let (old, _) = place.open();
    put(&old, b"k", b"v", 1);
    let old_shm = place.shm();
    let other = SectionConfig { value_bytes_max: 9_000, ..cfg() };
    let (new, origin) = Section::create_or_adopt(place.dir(), "t", &other, NOW).unwrap();
    assert_eq!(origin, Origin::Fresh);
    assert!(old.retired() && !new.retired());
    assert!(!old_shm.exists() && place.shm().exists());
    assert!(get(&new, b"k").is_none());
    let mut out = Vec::new();
    assert_eq!(old.get(&old.key_id(0, b"k"), b"k", NOW, true, &mut out, |_, _| ()), Lookup::Contended);
    let id = old.key_id(0, b"x");
    let rec =
        NewRecord { id, db: 0, key: b"x", value: b"", version: 1, deadline_ms: 0, kind: 0, created_ms: 0 };
    assert_eq!(old.put(&rec, NOW), Err(PutError::Detached));
    let text = Section::attach(place.dir(), "t", Some(&cfg())).err().unwrap().to_string();
    assert!(text.contains("value_bytes_max is 9000 there and 10000 here"), "{text}");
    assert!(place.attach().is_ok());
}

// Every word of the header at 0, 1 and MAX: attach refuses or succeeds, never panics, and a section with a
// wrong identity is replaced by its creator.
#[test]
fn attach_matrix() {
    let place = Place::new();
    let (s, _) = place.open();
    put(&s, b"k", b"v", 1);
    drop(s);
    let file = fs::OpenOptions::new().read(true).write(true).open(place.shm()).unwrap();
    let mut refused = 0;
    for at in (0..512u64).chain([512, 1536]) {
        let mut was = [0u8; 8];
        file.read_exact_at(&mut was, at * 8).unwrap();
        for word in [0, 1, u64::MAX, 1 << 63] {
            file.write_all_at(&u64::to_le_bytes(word), at * 8).unwrap();
            match place.attach() {
                Err(e) => {
                    refused += 1;
                    assert!(!e.to_string().is_empty());
                    assert!(at < 13 || at == 15 || at == 64, "word {at} = {word:#x}: {e}");
                }
                Ok(s) => {
                    let _ = get(&s, b"k");
                    let _ = s.stats();
                    assert!(at != 64 || u64::from_le_bytes(was) == word, "not ready and attached to");
                    assert!(at > 12 || u64::from_le_bytes(was) == word, "word {at} = {word:#x} was accepted");
                }
            }
        }
        file.write_all_at(&was, at * 8).unwrap();
    }
    assert!(refused > 40, "{refused}");
    assert_eq!(get(&place.attach().unwrap(), b"k").unwrap(), b"v");
    file.write_all_at(&[0xff; 8], 0).unwrap();
    assert_eq!(place.open().1, Origin::Fresh);
}

// Files of a wrong length or kind are refused by attachers and replaced by the creator.
#[test]
fn odd_files() {
    for len in [0u64, 1, 8, 4095, 4096, 4104, (1 << 20) - 4096, 2 << 20] {
        let place = Place::new();
        drop(place.open());
        let file = fs::OpenOptions::new().write(true).open(place.shm()).unwrap();
        if file.metadata().unwrap().len() == len {
            continue;
        }
        file.set_len(len).unwrap();
        assert!(place.attach().is_err(), "{len}");
        let (s, origin) = place.open();
        assert_eq!(origin, Origin::Fresh, "{len}");
        put(&s, b"k", b"v", 1);
    }
    let place = Place::new();
    drop(place.open());
    fs::remove_file(place.shm()).unwrap();
    assert!(matches!(place.attach(), Err(OpenError::Absent { .. })));
    assert_eq!(place.open().1, Origin::Fresh);
    for text in ["", "\n", "gs-", "../../etc/passwd", "gs-zz", &"gs-0".repeat(500)] {
        let _ = Section::remove(place.dir(), "t");
        fs::write(place.dir().join("t.cur"), text).unwrap();
        assert!(matches!(place.attach(), Err(OpenError::Absent { .. })), "{text:?}");
        assert_eq!(place.open().1, Origin::Fresh);
    }
    // A random head behind a good name.
    let shm = place.shm();
    let noise: Vec<u8> = (0..1 << 20).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    fs::write(&shm, noise).unwrap();
    assert!(place.attach().is_err());
    assert_eq!(place.open().1, Origin::Fresh);
}

// What others could write is not used.
#[test]
fn unsafe_places_are_refused() {
    let place = Place::new();
    drop(place.open());
    fs::set_permissions(place.dir().join("t.key"), fs::Permissions::from_mode(0o666)).unwrap();
    assert!(matches!(place.attach(), Err(OpenError::Unsafe { .. })));
    fs::set_permissions(place.dir().join("t.key"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::hard_link(place.shm(), "/dev/shm/gs-test-second-link").unwrap();
    let linked = place.attach();
    fs::remove_file("/dev/shm/gs-test-second-link").unwrap();
    assert!(matches!(linked, Err(OpenError::Unsafe { .. })));
    fs::set_permissions(place.dir(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(Section::create_or_adopt(place.dir(), "t", &cfg(), NOW), Err(OpenError::Unsafe { .. })));
    fs::set_permissions(place.dir(), fs::Permissions::from_mode(0o700)).unwrap();
    for name in ["", "a/b", "..", "a b", &"x".repeat(65)] {
        assert!(matches!(Section::attach(place.dir(), name, None), Err(OpenError::Name(_))));
    }
}

// Another secret means other identities: the old records cannot be found, so the section is not adopted.
#[test]
fn lost_secret() {
    let place = Place::new();
    drop(place.open());
    fs::remove_file(place.dir().join("t.key")).unwrap();
    assert!(place.attach().is_err());
    assert_eq!(place.open().1, Origin::Fresh);
}

// What does not fit into /dev/shm is refused before anything is made, with the amount that is missing.
#[test]
fn too_large_for_the_file_system() {
    let place = Place::new();
    let cfg = SectionConfig { capacity_bytes: 1 << 39, block_bytes: 4096, ..cfg() };
    let text = Section::create_or_adopt(place.dir(), "t", &cfg, NOW).err().unwrap().to_string();
    assert!(text.contains("MiB are missing"), "{text}");
    assert!(!place.dir().join("t.cur").exists() && !place.dir().join("t.new").exists());
}

// A creator that was killed half way leaves a name behind; the next one removes what hangs on it.
#[test]
fn half_made_is_removed() {
    let place = Place::new();
    let name = "gs-0123456789abcdef0123456789abcdef";
    let orphan = Path::new("/dev/shm").join(name);
    fs::write(&orphan, [0; 100]).unwrap();
    fs::write(place.dir().join("t.new"), name).unwrap();
    fs::set_permissions(place.dir().join("t.new"), fs::Permissions::from_mode(0o600)).unwrap();
    drop(place.open());
    let left = orphan.exists();
    let _ = fs::remove_file(&orphan);
    assert!(!left);
}

// Many attachments, each with its own slot, given back when dropped.
#[test]
fn slots_are_given_back() {
    let place = Place::new();
    let (first, _) = place.open();
    for _ in 0..30 {
        let some: Vec<Section> = (0..20).map(|_| place.attach().unwrap()).collect();
        let mut slots: Vec<u16> = some.iter().map(Section::process_slot).collect();
        slots.push(first.process_slot());
        slots.sort_unstable();
        slots.dedup();
        assert_eq!(slots.len(), 21);
    }
}

/// A tombstone on disk names a key by its identity: a restart in private memory must not change identities.
#[test]
fn a_private_section_of_a_name_keeps_its_key_identities() {
    let dir = tempfile::tempdir().unwrap();
    let cfg = SectionConfig { capacity_bytes: 4 << 20, ..SectionConfig::default() };
    let open = || Section::heap_in(dir.path(), "relay", &cfg, 1).unwrap().key_id(0, b"s:1");
    assert_eq!(open(), open());
    assert_ne!(open(), Section::heap(&cfg, 1).unwrap().key_id(0, b"s:1"));
}
