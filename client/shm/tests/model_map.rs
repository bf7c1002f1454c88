//! Owner mode against a map: any sequence of operations, one thread, invented time.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;

use gs_shm::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Put { key: u8, db: u8, len: usize, version: u64, life: Option<u64> },
    Get { key: u8, db: u8 },
    Delete { key: u8, db: u8 },
    Deadline { key: u8, db: u8, life: Option<u64> },
    Mark,
    Release,
    Abort,
    Expire,
    Flush { db: u8 },
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let key = 0..12u8;
    let db = 0..2u8;
    let life = || proptest::option::of(1..2_000u64);
    prop_oneof![
        6 => (key.clone(), db.clone(), 0..3_000usize, 1..20u64, life())
            .prop_map(|(key, db, len, version, life)| Op::Put { key, db, len, version, life }),
        6 => (key.clone(), db.clone()).prop_map(|(key, db)| Op::Get { key, db }),
        2 => (key.clone(), db.clone()).prop_map(|(key, db)| Op::Delete { key, db }),
        2 => (key, db.clone(), life()).prop_map(|(key, db, life)| Op::Deadline { key, db, life }),
        1 => Just(Op::Mark),
        1 => Just(Op::Release),
        1 => Just(Op::Abort),
        1 => Just(Op::Expire),
        1 => db.prop_map(|db| Op::Flush { db }),
        2 => (1..1_500u64).prop_map(Op::Wait),
    ]
}

#[derive(Clone, Debug, PartialEq)]
struct Known {
    value: Vec<u8>,
    version: u64,
    deadline: u64,
}

struct World {
    s: Section,
    known: HashMap<(u8, u8), Known>,
    /// Hand-offs under way, with what was copied when they were marked.
    away: Vec<(Victim, Meta, Vec<u8>)>,
    now: u64,
}

impl World {
    fn alive(&self, at: (u8, u8)) -> Option<&Known> {
        self.known.get(&at).filter(|k| k.deadline == 0 || k.deadline > self.now)
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Put { key, db, len, version, life } => self.put(key, db, len, version, life),
            Op::Get { key, db } => {
                let mut out = Vec::new();
                let name = [b'k', key];
                let answer =
                    self.s.get(&self.s.key_id(db, &name), &name, self.now, true, &mut out, |_, _| ());
                match (answer, self.alive((db, key))) {
                    (Lookup::Hit(meta), Some(known)) => {
                        assert_eq!(
                            (&out, meta.version, meta.deadline_ms),
                            (&known.value, known.version, known.deadline)
                        );
                    }
                    (Lookup::Miss { .. }, None) => {}
                    other => panic!("{other:?}"),
                }
            }
            Op::Delete { key, db } => {
                let name = [b'k', key];
                let found = self.s.delete(&self.s.key_id(db, &name), &name).found;
                let alive = self.alive((db, key)).map(|k| k.version);
                if let Some(version) = alive {
                    assert_eq!(found.unwrap().version, version);
                }
                self.known.remove(&(db, key));
            }
            Op::Deadline { key, db, life } => {
                let name = [b'k', key];
                let deadline = life.map_or(0, |life| self.now + life);
                let before = self.s.set_deadline(&self.s.key_id(db, &name), &name, deadline, self.now);
                assert_eq!(before.map(|m| m.deadline_ms), self.alive((db, key)).map(|k| k.deadline));
                if before.is_some() {
                    self.known.get_mut(&(db, key)).unwrap().deadline = deadline;
                }
            }
            Op::Mark => {
                let mut victims = Vec::new();
                self.s.sweep(self.s.geometry().blocks / 3, self.now, &mut |_| Verdict::Take, &mut victims);
                for victim in victims {
                    let (mut key, mut value) = (Vec::new(), Vec::new());
                    let meta = self.s.copy_victim(&victim.at, &mut key, &mut value).unwrap();
                    let known = self.alive((meta.db, key[1])).unwrap();
                    assert_eq!((&value, meta.version), (&known.value, known.version));
                    self.away.push((victim, meta, key));
                }
            }
            Op::Release => {
                if let Some((_, meta, key)) = self.away.pop() {
                    let at = (meta.db, key[1]);
                    let known = self.known.get(&at).cloned();
                    match self.s.release(&meta.at) {
                        Release::Freed => {
                            assert_eq!(known.unwrap().version, meta.version);
                            self.known.remove(&at);
                        }
                        Release::Changed => assert_ne!(known.unwrap().deadline, meta.deadline_ms),
                        Release::Gone => {}
                    }
                }
            }
            Op::Abort => {
                if let Some((victim, ..)) = self.away.pop() {
                    self.s.abort(&victim.at);
                }
            }
            Op::Expire => {
                let (s, now, known) = (&self.s, self.now, &mut self.known);
                s.expire_sweep(0, s.geometry().blocks, now, &mut |meta, key| {
                    let gone = known.remove(&(meta.db, key[1])).unwrap();
                    assert!(gone.deadline != 0 && gone.deadline <= now);
                });
            }
            Op::Flush { db } => {
                self.s.flush_db(Some(db), self.now);
                self.known.retain(|at, _| at.0 != db);
            }
            Op::Wait(ms) => self.now += ms,
        }
    }

    fn put(&mut self, key: u8, db: u8, len: usize, version: u64, life: Option<u64>) {
        let name = [b'k', key];
        let value: Vec<u8> =
            (0..len).map(|i| (i as u8).wrapping_mul(key + 3).wrapping_add(version as u8)).collect();
        let deadline_ms = life.map_or(0, |life| self.now + life);
        let id = self.s.key_id(db, &name);
        let rec = NewRecord {
            id,
            db,
            key: &name,
            value: &value,
            version,
            deadline_ms,
            kind: 2,
            created_ms: self.now,
        };
        let alive = self.alive((db, key)).cloned();
        match self.s.put(&rec, self.now) {
            Ok(done) => {
                assert!(alive.as_ref().is_none_or(|k| k.version <= version));
                assert_eq!(done.replaced.map(|m| m.version), alive.map(|k| k.version));
                self.known.insert((db, key), Known { value, version, deadline: deadline_ms });
            }
            Err(PutError::Newer { have }) => assert_eq!(alive.unwrap().version, have),
            Err(PutError::Full { .. }) => assert!(self.s.free_blocks() < 14),
            Err(e) => panic!("{e}"),
        }
    }

    fn end(self) {
        for ((db, key), known) in &self.known {
            if self.alive((*db, *key)).is_some() {
                let name = [b'k', *key];
                let meta = self.s.peek(&self.s.key_id(*db, &name), &name, self.now).unwrap();
                assert_eq!(meta.version, known.version);
            }
        }
        let report = self.s.check(self.now).unwrap();
        assert_eq!((report.orphans, report.duplicates), (0, 0));
        assert_eq!(report.free, self.s.free_blocks());
    }
}

/// Few where miri follows every step (see `operations`).
const CASES: u32 = if cfg!(miri) { 3 } else { 400 };

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    // Whatever is done in whatever order, the section says what a map would say.
    #[test]
    fn behaves_like_a_map(ops in proptest::collection::vec(op(), 1..150)) {
        let cfg = SectionConfig { capacity_bytes: 64 << 10, value_bytes_max: 3_000, ..SectionConfig::default() };
        let s = Section::heap(&cfg, 0).unwrap();
        let mut world = World { s, known: HashMap::new(), away: Vec::new(), now: 1_000_000 };
        for op in &ops {
            world.step(op);
        }
        world.end();
    }
}
