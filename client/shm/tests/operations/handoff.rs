//! The way out: hand-offs, releases, and what a section does when it is full.

use super::{NOW, cfg, get, owner, put, quiet, rec, take_all};
use gs_shm::*;

// The way out: marked, readable, copied with its key, freed by its exact incarnation, once.
#[test]
fn hand_off() {
    let s = owner();
    let sibling = s.attach_heap().unwrap();
    assert_ne!(s.process_slot(), sibling.process_slot());
    let value = vec![9; 3333];
    s.put(&NewRecord { deadline_ms: NOW + 5000, ..rec(&s, b"key", &value, 8) }, NOW).unwrap();
    let victims = take_all(&sibling);
    assert_eq!(victims.len(), 1);
    assert!(take_all(&sibling).is_empty(), "marked is marked");
    let (meta, bytes) = get(&s, 0, b"key", NOW).unwrap();
    assert_eq!((meta.state, bytes.len()), (RecordState::Evicting, 3333));
    let (mut key, mut copy) = (b"prefix".to_vec(), Vec::new());
    let sent = sibling.copy_victim(&victims[0].at, &mut key, &mut copy).unwrap();
    assert_eq!((&key[..], &copy), (&b"prefixkey"[..], &value));
    assert_eq!((sent.version, sent.at), (8, victims[0].at));

    // A touch between copy and acknowledgement: send again.
    assert!(s.set_deadline(&s.key_id(0, b"key"), b"key", NOW + 9000, NOW).is_some());
    assert_eq!(s.release(&sent.at), Release::Changed);
    let sent = sibling.copy_victim(&sent.at, &mut key, &mut copy).unwrap();
    assert_eq!(sent.deadline_ms, NOW + 9000);
    assert_eq!(s.release(&sent.at), Release::Freed);
    assert_eq!(s.release(&sent.at), Release::Gone);
    assert!(sibling.copy_victim(&sent.at, &mut key, &mut copy).is_none());
    assert!(get(&s, 0, b"key", NOW).is_none());

    // Taken back: live as before, and the late release is refused.
    put(&s, b"key", &value, 9);
    let victims = take_all(&sibling);
    assert!(sibling.abort(&victims[0].at));
    assert_eq!(s.release(&victims[0].at), Release::Gone);
    assert_eq!(get(&s, 0, b"key", NOW).unwrap().0.state, RecordState::Live);
    // Overwritten while away: the late release must not touch the new one.
    let victims = take_all(&sibling);
    put(&s, b"key", b"new", 10);
    assert_eq!(s.release(&victims[0].at), Release::Gone);
    assert_eq!(get(&s, 0, b"key", NOW).unwrap().1, b"new");
    quiet(&s);
}

// A release that comes late, when its hand-off was given up and the record marked again under the very same
// control word, must not free it: the copy that it names may have been dropped.
#[test]
fn late_release_of_an_earlier_hand_off() {
    let s = owner();
    let sibling = s.attach_heap().unwrap();
    put(&s, b"k", b"v", 8);
    let first = take_all(&sibling)[0];
    assert!(sibling.abort(&first.at));
    let second = take_all(&sibling)[0];
    assert_eq!((first.at.index, first.at.ctl), (second.at.index, second.at.ctl));
    assert_eq!(s.release(&first.at), Release::Changed);
    assert!(get(&s, 0, b"k", NOW).is_some());
    assert_eq!(s.release(&second.at), Release::Freed);
    quiet(&s);
}

// An expired record on its way out can still be released: its deadline was closed, not changed.
#[test]
fn release_of_an_expired_record_ends() {
    let s = owner();
    s.put(&NewRecord { deadline_ms: NOW + 5, ..rec(&s, b"k", b"v", 8) }, NOW).unwrap();
    let victims = take_all(&s);
    assert!(get(&s, 0, b"k", NOW + 5).is_none());
    assert_eq!(s.release(&victims[0].at), Release::Freed);
    quiet(&s);
}

// A sibling that dies leaves its hand-offs; its successor takes them over and the dead one's names are void.
#[test]
fn successor_adopts_hand_offs() {
    let s = owner();
    for i in 0..20 {
        put(&s, format!("k{i}").as_bytes(), &[1; 500], 1);
    }
    let sibling = s.attach_heap().unwrap();
    let old = take_all(&sibling);
    assert_eq!(old.len(), 20);
    let mut adopted = Vec::new();
    s.adopt_evicting(&mut adopted, 100);
    assert!(adopted.is_empty(), "its owner lives");
    drop(sibling);
    let successor = s.attach_heap().unwrap();
    successor.adopt_evicting(&mut adopted, 15);
    successor.adopt_evicting(&mut adopted, 15);
    assert_eq!(adopted.len(), 20);
    for victim in &adopted {
        let (mut k, mut v) = (Vec::new(), Vec::new());
        assert!(successor.copy_victim(&victim.at, &mut k, &mut v).is_some());
        assert_eq!(s.release(&victim.at), Release::Freed);
    }
    for victim in &old {
        assert_eq!(s.release(&victim.at), Release::Gone);
    }
    assert_eq!(quiet(&s).free, u64::from(s.geometry().blocks));
}

// A full owner's section refuses, keeps every record, and takes new ones once some were handed off.
#[test]
fn full_refuses_and_drops_nothing() {
    let s = owner();
    let value = vec![5; 2000];
    let mut stored = 0u32;
    loop {
        match s.put(&rec(&s, format!("k{stored}").as_bytes(), &value, 1), NOW) {
            Ok(_) => stored += 1,
            Err(PutError::Full { needed }) => {
                assert_eq!(needed, s.geometry().record_blocks(5, 2000));
                break;
            }
            Err(e) => panic!("{e}"),
        }
    }
    assert!(s.free_blocks() < 9);
    for i in 0..stored {
        assert_eq!(get(&s, 0, format!("k{i}").as_bytes(), NOW).unwrap().1, value);
    }
    let mut victims = Vec::new();
    let mut left = 3;
    s.sweep(
        s.geometry().blocks,
        NOW,
        &mut |view| {
            assert!(view.bytes >= 2000 && view.refs == 1 && view.remaining_ms.is_none());
            left -= 1;
            if left >= 0 { Verdict::Take } else { Verdict::Demerit }
        },
        &mut victims,
    );
    for victim in &victims {
        assert_eq!(s.release(&victim.at), Release::Freed);
    }
    put(&s, b"new", &value, 1);
    // Expired ones make room by themselves.
    let id = s.key_id(0, b"new");
    assert!(s.set_deadline(&id, b"new", NOW + 1, NOW).is_some());
    for i in 0..4 {
        s.put(&rec(&s, format!("n{i}").as_bytes(), &value, 1), NOW + 2).unwrap_or_else(|_| {
            assert!(i >= 3, "three released and one expired");
            Put { replaced: None, rebucketed: true, at: BlockRef { index: 0, ctl: 0, w4: 0 } }
        });
    }
    quiet(&s);
}

// Sixteen slots are all a key has: when they are full of live records the caller is told, may hand one of
// them off, and then the put succeeds.
#[test]
fn full_buckets_name_a_victim() {
    let cfg = SectionConfig { capacity_bytes: 40_000, value_bytes_max: 64, keep_keys: false, ..cfg() };
    let s = Section::heap(&cfg, NOW).unwrap();
    let probe = KeyId { hi: 0, lo: 0 };
    // The same high bits choose the same buckets; the low ones tell the keys apart.
    let put = |n: u64| {
        let id = KeyId { hi: n, lo: n };
        s.put(&NewRecord { id, ..rec(&s, b"", &n.to_le_bytes(), 1) }, NOW)
    };
    for n in 1..=16 {
        put(n).unwrap();
    }
    assert_eq!(put(17), Err(PutError::BucketFull));
    let mut out = Vec::new();
    for n in 1..=16u64 {
        let id = KeyId { hi: n, lo: n };
        assert!(matches!(s.get(&id, b"", NOW, n != 5, &mut out, |_, _| ()), Lookup::Hit(_)));
    }
    let mut victims = Vec::new();
    assert!(s.bucket_victims(&probe, NOW, &mut victims));
    let meta = s.peek(&KeyId { hi: 5, lo: 5 }, b"", NOW).unwrap();
    assert_eq!(meta.at.index, victims[0].at.index, "the one that was never read");
    assert_eq!(s.release(&victims[0].at), Release::Freed);
    put(17).unwrap();
    assert_eq!(s.stats().bucket_full, 1);
}
