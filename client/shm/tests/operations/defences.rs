//! Defences that no ordinary run comes to need: keys that look alike, generations, what is hidden or equal.

use std::collections::HashSet;

use super::{NOW, cfg, get, owner, quiet, rec, sized};
use gs_shm::*;

/// Two keys with the same tag in the same buckets: only the other bits of the identity tell them apart.
const TWINS: [KeyId; 2] = [KeyId { hi: 1, lo: 1 }, KeyId { hi: 1, lo: 2 }];

// Identities that share tag and buckets are two keys, to readers and to deletes.
#[test]
fn keys_that_look_alike_stay_apart() {
    let s = Section::heap(&SectionConfig { keep_keys: false, ..cfg() }, NOW).unwrap();
    s.put(&NewRecord { id: TWINS[0], ..rec(&s, b"", b"one", 1) }, NOW).unwrap();
    assert!(s.peek(&TWINS[1], b"", NOW).is_none());
    let mut out = Vec::new();
    assert!(matches!(s.get(&TWINS[1], b"", NOW, true, &mut out, |_, _| ()), Lookup::Miss { .. }));
    assert!(s.delete(&TWINS[1], b"").found.is_none());
    assert!(s.peek(&TWINS[0], b"", NOW).is_some(), "deleted under another name");
    quiet(&s);
}

// Where keys are kept, an identity that collides in all 128 bits is still another key.
#[test]
fn the_key_itself_is_compared() {
    let s = owner();
    s.put(&NewRecord { id: TWINS[0], ..rec(&s, b"key", b"v", 1) }, NOW).unwrap();
    let mut out = Vec::new();
    let other = s.get(&TWINS[0], b"yek", NOW, true, &mut out, |_, _| ());
    assert!(matches!(other, Lookup::Miss { .. }) && out.is_empty());
    assert!(matches!(s.get(&TWINS[0], b"key", NOW, true, &mut out, |_, _| ()), Lookup::Hit(_)));
}

// Block and generation name one incarnation for ever, whatever parts blocks have played in chains.
#[test]
fn generations_never_repeat() {
    let cfg = SectionConfig { capacity_bytes: 32 << 10, value_bytes_max: 2_000, ..cfg() };
    let s = Section::heap(&cfg, NOW).unwrap();
    let mut seen = HashSet::new();
    for round in 0..sized(500, 40) as u64 {
        let key = [b'k', (round % 5) as u8];
        let len = (round * 7919 % 2_000) as usize;
        if let Ok(done) = s.put(&rec(&s, &key, &vec![1; len], round + 1), NOW) {
            assert!(seen.insert((done.at.index, done.at.generation())), "round {round}: {:?}", done.at);
        }
        if round % 3 == 0 {
            s.delete(&s.key_id(0, &key), &key);
        }
    }
    quiet(&s);
}

// A version that is seen again kills nothing; a newer one leaves no older copy behind it.
#[test]
fn observing_kills_the_strictly_older() {
    let s = Section::heap(&SectionConfig { mode: Mode::Cache, keep_keys: false, ..cfg() }, NOW).unwrap();
    let id = s.key_id(0, b"k");
    let fill = |version| s.fill(&rec(&s, b"k", b"v", version), s.ticket(&id), NOW);
    assert_eq!(fill(1), Fill::Cached);
    s.observe(&id, b"k", 1);
    assert_eq!(fill(1), Fill::NotCached(NotCached::Present));
    assert!(get(&s, 0, b"k", NOW).is_some(), "two fills of one version killed each other");
    assert_eq!(fill(2), Fill::Cached);
    let report = quiet(&s);
    assert_eq!((report.live, report.duplicates), (1, 0), "an older copy stands behind the newer one");
}

// A key whose first bucket had no room is found, replaced and deleted in its second.
#[test]
fn the_second_bucket_counts() {
    let s = Section::heap(&SectionConfig { keep_keys: false, ..cfg() }, NOW).unwrap();
    // One first bucket for all, a second of its own for each.
    let ids: Vec<KeyId> = (1..=12).map(|n| KeyId { hi: n << 59 | n, lo: n }).collect();
    for version in [1, 2] {
        for id in &ids {
            s.put(&NewRecord { id: *id, ..rec(&s, b"", b"v", version) }, NOW).unwrap();
        }
        let report = quiet(&s);
        assert_eq!((report.live, report.duplicates), (12, 0), "an older copy stands in the other bucket");
        for id in &ids {
            assert_eq!(s.peek(id, b"", NOW).map(|meta| meta.version), Some(version));
        }
    }
    for id in &ids {
        assert!(s.delete(id, b"").found.is_some());
        assert!(s.peek(id, b"", NOW).is_none());
    }
    quiet(&s);
}

// Slots and deadline words bear 16 bits of a block's generation, and a block that is reused 65,536 times bears them
// again. Whatever was kept of it from then, a hand-off or its name in a slot, is still not the new record.
#[test]
#[cfg_attr(
    miri,
    ignore = "65,536 lives of a block of which miri learns no more than from a few; `cargo test` does them"
)]
fn generations_of_16_bits_come_round() {
    let cfg = SectionConfig { capacity_bytes: 32 << 10, value_bytes_max: 1_000, ..cfg() };
    let s = Section::heap(&cfg, NOW).unwrap();
    let short = || rec(&s, b"short", b"v", 1);
    let old = s.put(&short(), NOW).unwrap().at;
    s.delete(&s.key_id(0, b"short"), b"short");
    let again = |at: &BlockRef| at.index == old.index && at.generation() as u16 == old.generation() as u16;
    let new = (0..2_000_000)
        .find_map(|_| {
            let at = s.put(&rec(&s, b"long", b"other", 1), NOW).unwrap().at;
            (again(&at) && at.generation() != old.generation()).then_some(at)
        })
        .expect("its 16 bits come round");
    assert_eq!((new.generation() - old.generation()) & 0xffff, 0);
    assert_eq!(new.w4, old.w4, "nor does the deadline word differ");
    let mut victims = Vec::new();
    s.sweep(s.geometry().blocks, NOW, &mut |_| Verdict::Take, &mut victims);
    assert_eq!(victims.len(), 1);
    assert!(s.copy_victim(&old, &mut Vec::new(), &mut Vec::new()).is_none());
    assert!(!s.abort(&old) && !s.close_expired(&old, NOW) && s.release(&old) == Release::Gone);
    assert_eq!(get(&s, 0, b"long", NOW).map(|(_, value)| value), Some(b"other".to_vec()));
    assert!(s.abort(&victims[0].at));
    assert_eq!(quiet(&s).live, 1);
}
