//! Tests of what only a crash at one instant, or garbage, brings about: states made by hand.

use crate::blocks::{Ctl, Slot, State};
use crate::index::tag;
use crate::layout;
use crate::sync::Ordering;
use crate::{KeyId, NewRecord, Section, SectionConfig, Verdict};

fn section() -> Section {
    let cfg = SectionConfig { capacity_bytes: 64 << 10, value_bytes_max: 1_000, ..SectionConfig::default() };
    Section::heap(&cfg, 0).expect("it fits")
}

fn rec(id: KeyId) -> NewRecord<'static> {
    NewRecord { id, db: 0, key: b"k", value: b"v", version: 1, deadline_ms: 0, kind: 0, created_ms: 0 }
}

// Whoever gets the number of a process that died, before anyone reclaimed what it left, looks alive in its
// place: it takes the blocks back itself.
#[test]
fn the_next_holder_of_a_number_cleans_up() {
    let s = section();
    let dying = s.attach_heap().expect("a number is free");
    let me = dying.process_slot();
    let left = dying.allocate(3, 0).expect("it fits");
    assert_eq!(s.mem().load_ctl(left.head).state(), State::Writing);
    drop(dying);
    s.mem().words[layout::PROCS + usize::from(me)].store(1, Ordering::Release);
    let next = s.attach_heap().expect("a number is free");
    assert_eq!(next.process_slot(), me);
    let report = s.check(0).expect("nothing is held by anyone");
    assert_eq!(report.free, u64::from(s.geometry().blocks));
}

// Slots that name an incarnation that is over are free for the taking.
#[test]
fn dangling_slots_are_loose() {
    let s = section();
    let (one, two) = (s.key_id(0, b"1"), s.key_id(0, b"2"));
    let at = s.put(&rec(one), 0).expect("it fits").at;
    let gone = Slot::new(tag(&two), (at.generation() as u16).wrapping_sub(1), at.index);
    for place in s.mem().places(&two) {
        if s.mem().slot_word(place).load(Ordering::Relaxed) == 0 {
            s.mem().slot_word(place).store(gone.0, Ordering::Relaxed);
        }
    }
    assert!(s.put(&rec(two), 0).is_ok());
}

// A slot left from a life of the block 65,536 lives ago looks like a link to the record that is there now: nobody takes
// that record for the key, and the key can be stored beside it.
#[test]
fn a_slot_from_a_generation_that_came_round_leads_nowhere() {
    let s = section();
    let (one, two) = (s.key_id(0, b"1"), s.key_id(0, b"2"));
    let at = s.put(&NewRecord { key: b"2", ..rec(two) }, 0).expect("it fits").at;
    let round = Slot::new(tag(&one), at.generation() as u16, at.index);
    let place = s.mem().places(&one).last().expect("sixteen places");
    s.mem().slot_word(place).store(round.0, Ordering::Relaxed);
    assert!(s.peek(&one, b"1", 0).is_none());
    assert!(s.delete(&one, b"1").found.is_none());
    assert!(s.put(&NewRecord { key: b"1", ..rec(one) }, 0).is_ok());
    assert!(s.peek(&one, b"1", 0).is_some() && s.peek(&two, b"2", 0).is_some());
    assert!(s.delete(&one, b"1").found.is_some());
    assert!(s.peek(&one, b"1", 0).is_none() && s.peek(&two, b"2", 0).is_some());
}

// A put that stopped between its commit and its fence: the hand that finds the older copy beside the newer one
// and takes it out moves the fence itself, for a reader who passed the new slot before it was linked.
#[test]
fn the_fence_moves_before_an_older_copy_goes() {
    let s = section();
    let id = s.key_id(0, b"k");
    s.put(&rec(id), 0).expect("it fits");
    let newer = NewRecord { version: 2, ..rec(id) };
    let chain = s.allocate(1, 0).expect("it fits");
    let pending = s.build(&chain, &newer, 0, 0).expect("nobody else is here");
    s.link(&id, chain.head, pending).expect("slots are free");
    s.claim(s.mem(), chain.head, pending, State::Live).expect("nobody else is here");
    let before = s.fence(&id);
    let mut taken = Vec::new();
    s.sweep(s.geometry().blocks, 0, &mut |_| Verdict::Take, &mut taken);
    assert_eq!(taken.len(), 1, "the older copy is not worth sending");
    assert_ne!(s.fence(&id), before);

    // And so does whoever ends the newest while an older one stands.
    let s = section();
    let (id, newer) = (s.key_id(0, b"k"), NewRecord { id: s.key_id(0, b"k"), ..newer });
    s.put(&NewRecord { version: 3, deadline_ms: 5, ..rec(id) }, 0).expect("it fits");
    let chain = s.allocate(1, 0).expect("it fits");
    let pending = s.build(&chain, &newer, 0, 0).expect("nobody else is here");
    s.link(&id, chain.head, pending).expect("slots are free");
    s.claim(s.mem(), chain.head, pending, State::Live).expect("nobody else is here");
    let before = s.fence(&id);
    s.expire_sweep(0, s.geometry().blocks, 5, &mut |_, _| ());
    assert!(s.peek(&id, b"k", 5).is_none(), "an older copy outlived the newest");
    assert_ne!(s.fence(&id), before);
}

// A list of victims grows old: the block may be another record's continuation by the time it comes to it, with bytes of a
// value where a version was. They are not taken for one, or nothing that comes late would ever be kept again.
#[test]
fn what_ended_before_is_not_taken_at_its_word() {
    let cfg = SectionConfig {
        mode: crate::Mode::Cache,
        capacity_bytes: 64 << 10,
        value_bytes_max: 1_000,
        ..SectionConfig::default()
    };
    let s = Section::heap(&cfg, 0).expect("it fits");
    let (mem, id, next) = (s.mem(), s.key_id(0, b"k"), s.key_id(0, b"n"));
    for id in [id, next] {
        assert_eq!(s.fill(&rec(id), s.ticket(&id), 0), crate::Fill::Cached);
    }
    let (_, victim) = mem.newest(&id, |db| s.min_epoch(db)).expect("just kept");
    // The block that was freed last is taken first, so the victim's becomes the second of the next record.
    assert!(s.invalidate(&id, b"k", None) && s.invalidate(&next, b"n", None));
    let long = NewRecord { value: &[0xff; 400], ..rec(next) };
    assert_eq!(s.fill(&long, s.ticket(&next), 0), crate::Fill::Cached);
    assert_eq!(mem.load_ctl(victim.block).state(), State::Continuation);
    assert!(!s.retire(mem, victim.block, victim.ctl));
    assert_eq!(mem.words[layout::FORGOTTEN].load(Ordering::Relaxed), 1, "a value's bytes are no version");
}

// Blocks of one chain have been through different numbers of lives: none of them ever goes back to one it had.
#[test]
fn generations_only_grow() {
    let s = section();
    let mem = s.mem();
    let was = |block: u32| u64::from(block) * 10 + 5;
    for block in 0..s.geometry().blocks {
        mem.ctl(block).store(Ctl::new(State::Free, 0, was(block)).0, Ordering::Relaxed);
    }
    let value = [1; 900];
    let at = s.put(&NewRecord { value: &value, ..rec(s.key_id(0, b"k")) }, 0).expect("it fits").at;
    let used: Vec<u32> =
        (0..s.geometry().blocks).filter(|b| mem.load_ctl(*b).state() != State::Free).collect();
    assert!(used.len() > 2);
    for block in used {
        assert!(mem.load_ctl(block).generation() > was(block), "block {block} of {at:?} went back");
    }
}
