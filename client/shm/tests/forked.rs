//! A process that forks after it attached: the child reads on, stores nothing under its parent's number, and
//! attaches anew; neither's end takes anything from the other.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/fork.rs"]
mod fork;

use std::os::unix::net::UnixStream;
use std::{io::Read, io::Write};

use fork::End;
use gs_shm::*;

const NOW: u64 = 1_000_000;
const NAME: &str = "f";

struct Place(tempfile::TempDir);

impl Place {
    fn new(mode: Mode) -> (Place, Section) {
        let place = Place(tempfile::tempdir().unwrap());
        let cfg = SectionConfig {
            capacity_bytes: 1 << 20,
            value_bytes_max: 10_000,
            mode,
            ..SectionConfig::default()
        };
        let (section, _) = Section::create_or_adopt(place.0.path(), NAME, &cfg, NOW).unwrap();
        (place, section)
    }
    fn attach(&self) -> Section {
        Section::attach(self.0.path(), NAME, None).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = Section::remove(self.0.path(), NAME);
    }
}

fn rec<'a>(s: &Section, key: &'a [u8], value: &'a [u8], version: u64) -> NewRecord<'a> {
    let id = s.key_id(0, key);
    NewRecord { id, db: 0, key, value, version, deadline_ms: 0, kind: 0, created_ms: NOW }
}

fn read(s: &Section, key: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let hit = matches!(s.get(&s.key_id(0, key), key, NOW, true, &mut out, |_, _| ()), Lookup::Hit(_));
    hit.then_some(out)
}

fn take_all(s: &Section) -> Vec<Victim> {
    let mut victims = Vec::new();
    s.sweep(s.geometry().blocks, NOW, &mut |_| Verdict::Take, &mut victims);
    victims
}

fn adopt_all(s: &Section) -> usize {
    let mut victims = Vec::new();
    s.adopt_evicting(&mut victims, usize::MAX);
    victims.len()
}

// The child must not take blocks under a number that its parent also uses; a delete it must be able to do.
#[test]
fn a_fork_reads_and_deletes_and_stores_nothing() {
    let (_place, s) = Place::new(Mode::Owner);
    for key in [&b"stays"[..], b"goes"] {
        let _ = s.put(&rec(&s, key, &[1; 2_000], 1), NOW).unwrap();
    }
    let end = fork::spawn(|| {
        assert!(s.forked());
        assert_eq!(read(&s, b"stays").unwrap(), [1; 2_000]);
        assert_eq!(s.put(&rec(&s, b"stays", b"x", 2), NOW), Err(PutError::Detached));
        assert!(take_all(&s).is_empty());
        assert!(s.delete(&s.key_id(0, b"goes"), b"goes").found.is_some());
        0
    });
    assert_eq!(end.wait(), End::Code(0));
    assert!(!s.forked());
    assert_eq!((read(&s, b"stays"), read(&s, b"goes")), (Some(vec![1; 2_000]), None));
    let _ = s.put(&rec(&s, b"stays", b"x", 2), NOW).unwrap();
    assert_eq!(s.check(NOW).unwrap().live, 1);
}

// A cache says the same by not keeping what it is given.
#[test]
fn a_fork_fills_nothing() {
    let (_place, s) = Place::new(Mode::Cache);
    let end = fork::spawn(|| {
        let rec = rec(&s, b"k", b"v", 1);
        assert_eq!(s.fill(&rec, s.ticket(&rec.id), NOW), Fill::NotCached(NotCached::Detached));
        assert!(read(&s, b"k").is_none());
        0
    });
    assert_eq!(end.wait(), End::Code(0));
    let rec = rec(&s, b"k", b"v", 1);
    assert_eq!(s.fill(&rec, s.ticket(&rec.id), NOW), Fill::Cached);
    assert_eq!(s.check(NOW).unwrap().live, 1);
}

// What the child drops was never its own: the section keeps its name, its parent its number and its marks.
#[test]
fn a_fork_that_drops_takes_nothing_along() {
    let (place, s) = Place::new(Mode::Owner);
    let _ = s.put(&rec(&s, b"k", b"v", 1), NOW).unwrap();
    let marked = take_all(&s);
    let shm = std::path::Path::new("/dev/shm").join(s.shm_name().unwrap());
    let mine = s.process_slot();
    let mut held = Some(s);
    let end = fork::spawn(|| {
        drop(held.take());
        0
    });
    assert_eq!(end.wait(), End::Code(0));
    let s = held.take().unwrap();
    assert!(shm.exists() && place.0.path().join("f.cur").exists());
    let others: Vec<Section> = (0..20).map(|_| place.attach()).collect();
    assert!(others.iter().all(|other| other.process_slot() != mine), "its number was given away");
    assert_eq!(adopt_all(&others[0]), 0, "its marks were taken for a dead process's");
    assert_eq!(s.release(&marked[0].at), Release::Freed);
    let _ = s.put(&rec(&s, b"k", b"w", 2), NOW).unwrap();
    drop(others);
    assert_eq!(s.check(NOW).unwrap().live, 1);
}

/// Starts a process that attaches, marks everything and forks; `again` says whether its fork attaches anew and
/// marks for itself. It ends, its fork lives until the returned stream is closed.
fn orphan(place: &Place, again: bool) -> UnixStream {
    let (here, mut there) = UnixStream::pair().unwrap();
    let mut here = Some(here);
    let end = fork::spawn(|| {
        // Only the test's own copy of this end is to keep the fork alive.
        drop(here.take());
        let s = place.attach();
        if !again {
            assert!(!take_all(&s).is_empty());
        }
        let mut started = there.try_clone().unwrap();
        let _fork = fork::spawn(|| {
            let anew = again.then(|| place.attach());
            if let Some(anew) = &anew {
                assert!(!anew.forked() && anew.process_slot() != s.process_slot());
                assert!(!take_all(anew).is_empty());
            }
            started.write_all(b"!").unwrap();
            // Until the test lets go.
            let _ = there.read(&mut [0; 8]);
            std::mem::forget((s.process_slot(), anew));
            0
        });
        0
    });
    assert_eq!(end.wait(), End::Code(0));
    let mut here = here.take().unwrap();
    here.read_exact(&mut [0; 1]).unwrap();
    here
}

// The child's own number lives as long as the child, whatever becomes of its parent.
#[test]
fn a_fork_that_attached_outlives_its_parent() {
    let (place, s) = Place::new(Mode::Owner);
    let _ = s.put(&rec(&s, b"k", b"v", 1), NOW).unwrap();
    let _held = orphan(&place, true);
    assert_eq!(adopt_all(&s), 0, "the child lives");
    assert_eq!(read(&s, b"k").unwrap(), b"v");
}

// A child that never attached keeps its parent's number: that errs to "alive", which costs blocks at worst.
#[test]
fn a_fork_that_did_not_attach_keeps_the_number() {
    let (place, s) = Place::new(Mode::Owner);
    let _ = s.put(&rec(&s, b"k", b"v", 1), NOW).unwrap();
    let _held = orphan(&place, false);
    assert_eq!(adopt_all(&s), 0, "its fork holds its lock");
    assert_eq!(read(&s, b"k").unwrap(), b"v");
}
