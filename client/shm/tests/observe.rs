//! Looking at a section from outside: everything can be seen, nothing moves, and removal asks first.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use gs_shm::*;

const NOW: u64 = 1_000_000;

fn cfg() -> SectionConfig {
    SectionConfig { capacity_bytes: 1 << 20, value_bytes_max: 10_000, ..SectionConfig::default() }
}

fn made(dir: &Path) -> Section {
    let (section, _) = Section::create_or_adopt(dir, "t", &cfg(), NOW).unwrap();
    for n in 0..50u32 {
        let key = format!("key-{n:03}").into_bytes();
        let value = vec![n as u8; 40 * n as usize];
        let id = section.key_id(0, &key);
        let deadline_ms = if n == 7 { NOW - 1 } else { 0 };
        let rec = NewRecord {
            id,
            db: 0,
            key: &key,
            value: &value,
            version: 1,
            deadline_ms,
            kind: 1,
            created_ms: NOW,
        };
        section.put(&rec, NOW).unwrap();
    }
    section
}

fn shm(dir: &Path) -> std::path::PathBuf {
    Path::new("/dev/shm").join(std::fs::read_to_string(dir.join("t.cur")).unwrap().trim())
}

// Every record is seen once, with its bytes; the section is the same to the last byte, and nobody is attached
// more than before. A store through the observer's mapping would end this process.
#[test]
fn sees_everything_and_moves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let section = made(dir.path());
    let before = std::fs::read(shm(dir.path())).unwrap();
    let observer = Observer::open(dir.path(), "t").unwrap();
    assert_eq!((observer.config(), observer.geometry()), (section.config(), section.geometry()));
    let mut seen = Vec::new();
    let occupancy = observer.survey(NOW, &mut |record| seen.push(*record));
    assert_eq!((occupancy.live, seen.len()), (50, 50));
    let total = occupancy.free + occupancy.live + occupancy.continuations;
    assert_eq!(total, u64::from(section.geometry().blocks), "{occupancy:?}");
    assert_eq!(seen.iter().filter(|record| record.expired).count(), 1);
    let (mut key, mut value) = (Vec::new(), Vec::new());
    for record in &seen {
        assert!(observer.bytes(record, &mut key, &mut value));
        let n: u8 = std::str::from_utf8(&key[4..]).unwrap().parse().unwrap();
        assert_eq!(value, vec![n; 40 * usize::from(n)]);
    }
    assert!(observer.check(NOW).is_ok());
    assert_eq!(observer.attached().unwrap(), [section.process_slot()]);
    drop(observer);
    assert!(std::fs::read(shm(dir.path())).unwrap() == before, "the section was changed by a look");
    let gone = seen[9];
    let name = format!("key-{:03}", 9).into_bytes();
    section.delete(&section.key_id(0, &name), &name);
    let observer = Observer::open(dir.path(), "t").unwrap();
    assert!(!observer.bytes(&gone, &mut key, &mut value), "a record that is gone has no bytes");
    Section::remove(dir.path(), "t").unwrap();
}

// Removal asks who is there; what it leaves is the key, by which tombstones on disk are told.
#[test]
fn removal_asks_first() {
    let dir = tempfile::tempdir().unwrap();
    let section = made(dir.path());
    let refused = Section::remove_unused(dir.path(), "t", false, false).unwrap_err();
    assert!(matches!(refused, OpenError::InUse { attached: 1, .. }), "{refused}");
    assert!(shm(dir.path()).exists() && !section.retired());
    let object = shm(dir.path());
    let secret = std::fs::read(dir.path().join("t.key")).unwrap();
    let removed = Section::remove_unused(dir.path(), "t", true, false).unwrap();
    assert_eq!((removed.attached, removed.files.as_slice()), (1, &["cur", "lock"][..]));
    assert!(section.retired() && !object.exists());
    drop(section);
    assert!(matches!(Observer::open(dir.path(), "t"), Err(OpenError::Absent { .. })));
    let again = Section::remove_unused(dir.path(), "t", false, false);
    assert!(matches!(again, Err(OpenError::Absent { .. })), "{again:?}");
    let next = made(dir.path());
    assert_eq!(std::fs::read(dir.path().join("t.key")).unwrap(), secret);
    drop(next);
    Section::remove_unused(dir.path(), "t", false, true).unwrap();
    assert_eq!(Section::names(dir.path()).unwrap().len(), 0);
}
