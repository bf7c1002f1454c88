//! Every operation that writes to a section, one by one, with what may be read while and after a process is
//! killed or stopped in the middle of it. What crashes and stops are tried on is this one list.
#![allow(dead_code, reason = "each test uses its part")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use gs_shm::*;

use crate::fork;

pub(crate) const NOW: u64 = 1_000_000;
pub(crate) const LATER: u64 = NOW + 1_000;
const SOON: u64 = NOW + 500;
/// Name of the section in its directory.
pub(crate) const NAME: &str = "c";

/// Which of the two records that every scenario begins with may be gone afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loses {
    Nothing,
    Key,
    All,
}

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) mode: Mode,
    pub(crate) loses: Loses,
    /// Version of "key" that the operation stores, if it stores it.
    pub(crate) stores: Option<u64>,
    pub(crate) prepare: fn(&Section, &Path),
    pub(crate) operation: fn(&Section, &Path),
}

/// A directory whose section goes with it, whatever becomes of the test.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Place {
        Place(tempfile::tempdir().expect("a directory"))
    }

    pub(crate) fn dir(&self) -> &Path {
        self.0.path()
    }

    /// The scenario's section as it stands before the operation: every time the very same, because the
    /// secret that says which key goes into which bucket is.
    pub(crate) fn prepared(&self, scenario: &Scenario) -> Section {
        let _ = Section::remove(self.dir(), NAME);
        let key = self.dir().join(format!("{NAME}.key"));
        std::fs::write(&key, *b"always the same.").expect("a secret");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("its mode");
        let made = Section::create_or_adopt(self.dir(), NAME, &scenario.cfg(), NOW);
        let (section, origin) = made.expect("a section");
        assert_eq!(origin, Origin::Fresh);
        base(&section);
        (scenario.prepare)(&section, self.dir());
        section
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = Section::remove(self.dir(), NAME);
    }
}

impl Scenario {
    pub(crate) fn cfg(&self) -> SectionConfig {
        SectionConfig {
            capacity_bytes: 128 << 10,
            value_bytes_max: 2_000,
            // Identities that share a pair of buckets are made up and belong to no key.
            keep_keys: self.mode == Mode::Owner && !self.name.contains("bucket"),
            mode: self.mode,
            ..SectionConfig::default()
        }
    }
}

/// A version's bytes: another length and content each, all of several blocks but "short".
pub(crate) fn bytes(key: &[u8], version: u64) -> Vec<u8> {
    let len = if key == b"short" { 0 } else { 600 + version as usize * 100 };
    vec![version as u8; len]
}

/// Stores as the mode does; false if the section did not take it.
pub(crate) fn store(s: &Section, key: &[u8], version: u64, deadline_ms: u64, now_ms: u64) -> bool {
    let value = bytes(key, version);
    let id = s.key_id(0, key);
    store_id(s, id, key, &value, version, deadline_ms, now_ms)
}

fn store_id(
    s: &Section,
    id: KeyId,
    key: &[u8],
    value: &[u8],
    version: u64,
    deadline_ms: u64,
    now_ms: u64,
) -> bool {
    let rec = NewRecord { id, db: 0, key, value, version, deadline_ms, kind: 0, created_ms: NOW };
    match s.config().mode {
        Mode::Owner => s.put(&rec, now_ms).is_ok(),
        Mode::Cache => {
            let ticket = s.ticket(&id);
            s.fill(&rec, ticket, now_ms) == Fill::Cached
        }
    }
}

/// Deletes as the mode does: everything up to `version`.
pub(crate) fn delete(s: &Section, key: &[u8], version: u64) -> bool {
    let id = s.key_id(0, key);
    match s.config().mode {
        Mode::Owner => s.delete(&id, key).found.is_some(),
        Mode::Cache => s.invalidate(&id, key, Some(version + 1)),
    }
}

/// A key's version, every byte of it right. A contended answer would mean that someone who does not move is
/// in the way.
pub(crate) fn read(s: &Section, key: &[u8]) -> Option<u64> {
    let mut out = Vec::new();
    match s.get(&s.key_id(0, key), key, LATER, true, &mut out, |_, _| ()) {
        Lookup::Hit(meta) => {
            assert_eq!(out, bytes(key, meta.version), "torn: version {}", meta.version);
            Some(meta.version)
        }
        Lookup::Miss { .. } => None,
        Lookup::Contended => panic!("contended by a process that does not move"),
    }
}

/// What every scenario begins with: two records, an empty one, and one that was deleted.
pub(crate) fn base(s: &Section) {
    for key in [&b"key"[..], b"other", b"short", b"gone"] {
        assert!(store(s, key, 1, 0, NOW));
    }
    assert!(delete(s, b"gone", 1));
}

fn nothing(_: &Section, _: &Path) {}

fn id_of(n: u64) -> KeyId {
    KeyId { hi: n, lo: n }
}

/// Sixteen records of one pair of buckets; number 5 is past its deadline if that is wanted.
fn crowd(s: &Section, expires: bool) {
    for n in 1..=16 {
        let deadline = if n == 5 && expires { SOON } else { 0 };
        store_id(s, id_of(n), b"crowd", b"x", 1, deadline, NOW);
    }
}

fn one_more(s: &Section) {
    store_id(s, id_of(17), b"crowd", b"x", 1, 0, LATER);
}

/// Sets a key with a deadline beside the others.
fn short_lived(s: &Section, _: &Path) {
    assert!(store(s, b"soon", 1, SOON, NOW));
}

fn fill_up(s: &Section, _: &Path) {
    for n in 0..1_000 {
        if s.free_blocks() < 8 || !store(s, format!("filler{n}").as_bytes(), 3, 0, NOW) {
            return;
        }
    }
}

/// One process dies in the middle of a store and another in the middle of a delete: blocks of every kind are
/// left behind.
fn someone_died(s: &Section, dir: &Path) {
    assert!(store(s, b"doomed", 2, 0, NOW));
    let die_at = |n, operation: fn(&Section)| {
        let end = fork::spawn(|| {
            let child = Section::attach(dir, NAME, None).expect("attach");
            crash::arm(n);
            operation(&child);
            crash::disarm();
            0
        });
        assert_eq!(end.wait(), fork::End::Code(77), "it was to die at write {n}");
    };
    die_at(118, |s| {
        store(s, b"dead", 2, 0, NOW);
    });
    die_at(30, |s| {
        delete(s, b"doomed", 2);
    });
    let left = s.check(NOW).expect("only what crashes leave").orphans;
    assert!(left > 2, "{left} orphans");
}

fn someone_died_handing_off(s: &Section, dir: &Path) {
    let end = fork::spawn(|| {
        let child = Section::attach(dir, NAME, None).expect("attach");
        take_all(&child);
        std::mem::forget(child);
        0
    });
    assert_eq!(end.wait(), fork::End::Code(0));
    let _ = s;
}

pub(crate) fn take_all(s: &Section) -> Vec<Victim> {
    let mut victims = Vec::new();
    s.sweep(s.geometry().blocks, LATER, &mut |_| Verdict::Take, &mut victims);
    victims
}

fn go_round(s: &Section, _: &Path) {
    s.sweep(s.geometry().blocks, LATER, &mut |_| Verdict::Demerit, &mut Vec::new());
}

fn expire(s: &Section, _: &Path) {
    s.expire_sweep(0, s.geometry().blocks, LATER, &mut |_, _| ());
}

fn flush(s: &Section, _: &Path) {
    s.flush_db(None, LATER);
    // The blocks of what was flushed, too.
    s.expire_sweep(0, s.geometry().blocks, LATER, &mut |_, _| ());
}

fn adopt_section(s: &Section, dir: &Path) {
    let made = Section::create_or_adopt(dir, NAME, s.config(), LATER).expect("adopt");
    assert_eq!(made.1, Origin::Adopted);
    std::mem::forget(made);
}

/// A ticket that is no good any more.
fn late_fill(s: &Section, _: &Path) {
    let (id, value) = (s.key_id(0, b"key"), bytes(b"key", 2));
    let rec = NewRecord {
        id,
        db: 0,
        key: b"key",
        value: &value,
        version: 2,
        deadline_ms: 0,
        kind: 0,
        created_ms: NOW,
    };
    let ticket = s.ticket(&id);
    s.bump_fence(&id);
    assert_eq!(s.fill(&rec, ticket, NOW), Fill::NotCached(NotCached::Raced));
}

fn agent(s: &Section, _: &Path) {
    if let Some(epoch) = s.take_agent(s.lease(), LATER + 1_000) {
        s.renew(epoch, LATER + 2_000);
    }
    s.set_applied_seq(7);
    s.set_agent_line(8);
}

fn take_and_give_back(s: &Section, _: &Path) {
    for victim in take_all(s) {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        let _ = s.copy_victim(&victim.at, &mut key, &mut value);
        s.abort(&victim.at);
    }
}

fn take_and_release(s: &Section, _: &Path) {
    for victim in take_all(s) {
        s.release(&victim.at);
    }
}

/// A touch comes between the copy and the release, which then does not fit.
fn release_a_touched_one(s: &Section, _: &Path) {
    for victim in take_all(s) {
        let id = s.key_id(0, b"key");
        s.set_deadline(&id, b"key", LATER + 60_000, LATER);
        s.release(&victim.at);
        s.abort(&victim.at);
    }
}

fn adopt_hand_offs(s: &Section, _: &Path) {
    let mut victims = Vec::new();
    s.adopt_evicting(&mut victims, usize::MAX);
    for victim in &victims {
        s.abort(&victim.at);
    }
}

fn touch(s: &Section, _: &Path) {
    s.set_deadline(&s.key_id(0, b"key"), b"key", LATER + 60_000, LATER);
}

fn touch_by_reading(s: &Section, _: &Path) {
    for key in [&b"key"[..], b"other", b"soon"] {
        let _ = s.get(&s.key_id(0, key), key, LATER, true, &mut Vec::new(), |_, _| ());
    }
}

fn close_one(s: &Section, _: &Path) {
    if let Some(meta) = s.peek(&s.key_id(0, b"soon"), b"soon", NOW) {
        s.close_expired(&meta.at, LATER);
    }
}

fn crowd_victim(s: &Section, _: &Path) {
    let mut victims = Vec::new();
    s.bucket_victims(&id_of(17), LATER, &mut victims);
    for victim in victims {
        s.release(&victim.at);
    }
}

macro_rules! scenario {
    ($mode:ident, $name:literal, $loses:ident, $stores:expr, $prepare:expr, $operation:expr) => {
        Scenario {
            name: $name,
            mode: Mode::$mode,
            loses: Loses::$loses,
            stores: $stores,
            prepare: $prepare,
            operation: $operation,
        }
    };
}

/// The list.
#[rustfmt::skip]
pub(crate) fn all() -> Vec<Scenario> {
    vec![
        scenario!(Cache, "fill", Nothing, None, nothing, |s, _| { store(s, b"fresh", 2, 0, LATER); }),
        scenario!(Cache, "fill of no bytes", Nothing, None, nothing, |s, _| { store(s, b"short", 2, 0, LATER); }),
        scenario!(Cache, "fill over an older one", Key, Some(2), nothing, |s, _| { store(s, b"key", 2, 0, LATER); }),
        scenario!(Cache, "fill that lost its ticket", Key, None, nothing, late_fill),
        scenario!(Cache, "fill of a full section", All, None, fill_up, |s, _| { store(s, b"fresh", 2, 0, LATER); }),
        scenario!(Cache, "fill of full buckets", All, None, |s, _| crowd(s, false), |s, _| one_more(s)),
        scenario!(Cache, "invalidate", Key, None, nothing, |s, _| { delete(s, b"key", 1); }),
        scenario!(Cache, "observe", Key, None, nothing, |s, _| s.observe(&s.key_id(0, b"key"), b"key", 2)),
        scenario!(Cache, "flush", All, None, nothing, flush),
        scenario!(Cache, "hand", Nothing, None, short_lived, go_round),
        scenario!(Cache, "hand after a death", Nothing, None, someone_died, go_round),
        scenario!(Cache, "touch by reading", Nothing, None, short_lived, touch_by_reading),
        scenario!(Cache, "agent", Nothing, None, nothing, agent),
        scenario!(Cache, "attach again", Nothing, None, someone_died, |_, dir| std::mem::forget(Section::attach(dir, NAME, None))),
        scenario!(Cache, "adopt the section", Nothing, None, someone_died, adopt_section),
        scenario!(Owner, "put", Nothing, None, nothing, |s, _| { store(s, b"fresh", 2, 0, LATER); }),
        scenario!(Owner, "put of no bytes", Nothing, None, nothing, |s, _| { store(s, b"short", 2, 0, LATER); }),
        scenario!(Owner, "put over an older one", Nothing, Some(2), nothing, |s, _| { store(s, b"key", 2, 0, LATER); }),
        scenario!(Owner, "put of the same version", Nothing, Some(1), nothing, |s, _| { store(s, b"key", 1, 0, LATER); }),
        scenario!(Owner, "put below an expired one", Nothing, None, |s, d| { short_lived(s, d); store(s, b"soon", 2, SOON, NOW); }, |s, _| { store(s, b"soon", 1, 0, LATER); }),
        scenario!(Owner, "put into buckets with an expired one", Nothing, None, |s, _| crowd(s, true), |s, _| one_more(s)),
        scenario!(Owner, "put after a death", Nothing, None, someone_died, |s, _| { store(s, b"dead", 2, 0, LATER); }),
        scenario!(Owner, "put of a full section", Nothing, None, |s, d| { short_lived(s, d); fill_up(s, d); }, |s, _| { store(s, b"fresh", 2, 0, LATER); }),
        scenario!(Owner, "delete", Key, None, nothing, |s, _| { delete(s, b"key", 1); }),
        scenario!(Owner, "touch", Nothing, None, nothing, touch),
        scenario!(Owner, "touch by reading", Nothing, None, short_lived, touch_by_reading),
        scenario!(Owner, "close an expired one", Nothing, None, short_lived, close_one),
        scenario!(Owner, "sweep, copy, abort", Nothing, None, nothing, take_and_give_back),
        scenario!(Owner, "sweep, release", All, None, nothing, take_and_release),
        scenario!(Owner, "release of a touched one", All, None, nothing, release_a_touched_one),
        scenario!(Owner, "release from a full bucket", Nothing, None, |s, _| crowd(s, false), crowd_victim),
        scenario!(Owner, "adopt hand-offs", Nothing, None, someone_died_handing_off, adopt_hand_offs),
        scenario!(Owner, "expire", Nothing, None, short_lived, expire),
        scenario!(Owner, "flush", All, None, nothing, flush),
        scenario!(Owner, "hand after a death", Nothing, None, someone_died, go_round),
        scenario!(Owner, "adopt the section", Nothing, None, someone_died, adopt_section),
    ]
}

impl Scenario {
    /// What may be read while a process stands in the middle of the operation, or died there.
    pub(crate) fn verify(&self, s: &Section, at: &str) {
        assert_eq!(read(s, b"gone"), None, "{at}: back from the dead");
        match read(s, b"other") {
            Some(1) => {}
            None if self.loses == Loses::All => {}
            found => panic!("{at}: other is {found:?}"),
        }
        match read(s, b"key") {
            Some(version) if version == 1 || Some(version) == self.stores => {}
            None if self.loses != Loses::Nothing => {}
            found => panic!("{at}: key is {found:?}"),
        }
        for key in [&b"fresh"[..], b"dead", b"soon", b"short"] {
            let _ = read(s, key);
        }
    }
}

/// One turn of re-adoption and of the hand leaves a section that is clean, with every block accounted for.
pub(crate) fn recovered(s: &Section, at: &str) {
    let mut victims = Vec::new();
    s.adopt_evicting(&mut victims, usize::MAX);
    for victim in victims {
        assert!(s.abort(&victim.at), "{at}: adopted is ours");
    }
    for _ in 0..2 {
        s.sweep(s.geometry().blocks, LATER, &mut |_| Verdict::Keep, &mut Vec::new());
    }
    let report = s.check(LATER).unwrap_or_else(|e| panic!("{at}: {e:#?}"));
    assert_eq!(report.orphans, 0, "{at}");
    let all = report.free + report.live + report.evicting + report.continuations;
    assert_eq!(all, u64::from(s.geometry().blocks), "{at}: blocks leaked");
}
