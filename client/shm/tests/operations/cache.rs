//! Cache mode: fills under a ticket, eviction, leases.

use super::{LONGEST, NOW, cfg, get, quiet, rec, sized};
use gs_shm::*;

fn cache() -> Section {
    Section::heap(&SectionConfig { mode: Mode::Cache, keep_keys: false, ..cfg() }, NOW).unwrap()
}

fn fill(s: &Section, key: &[u8], value: &[u8], version: u64) -> Fill {
    let ticket = s.ticket(&s.key_id(0, key));
    s.fill(&rec(s, key, value, version), ticket, NOW)
}

// The observe rule at rest: newer wins, equal stays, a fence moved since the ticket forbids.
#[test]
fn fill_obeys_the_ticket() {
    let s = cache();
    let id = s.key_id(0, b"k");
    assert_eq!(fill(&s, b"k", b"one", 1), Fill::Cached);
    assert_eq!(fill(&s, b"k", b"one", 1), Fill::NotCached(NotCached::Present));
    assert_eq!(fill(&s, b"k", b"two", 2), Fill::Cached);
    assert_eq!(get(&s, 0, b"k", NOW).unwrap().1, b"two");
    assert_eq!(fill(&s, b"k", b"one", 1), Fill::NotCached(NotCached::Newer));
    let ticket = s.ticket(&id);
    assert!(s.invalidate(&id, b"k", None));
    assert_eq!(s.fill(&rec(&s, b"k", b"stale", 3), ticket, NOW), Fill::NotCached(NotCached::Raced));
    assert!(get(&s, 0, b"k", NOW).is_none());
    // A loser kills what is older all the same.
    assert_eq!(fill(&s, b"k", b"four", 4), Fill::Cached);
    assert_eq!(s.fill(&rec(&s, b"k", b"five", 5), ticket, NOW), Fill::NotCached(NotCached::Raced));
    assert!(get(&s, 0, b"k", NOW).is_none());
    // A flush stops what was asked for before it.
    let ticket = s.ticket(&id);
    s.flush_db(None, NOW);
    assert_eq!(s.fill(&rec(&s, b"k", b"six", 6), ticket, NOW), Fill::NotCached(NotCached::Raced));
    // Invalidation below a version spares the rest.
    assert_eq!(fill(&s, b"k", b"seven", 7), Fill::Cached);
    assert!(!s.invalidate(&id, b"k", Some(7)));
    assert!(s.invalidate(&id, b"k", Some(8)));
    quiet(&s);
}

// A delete is remembered by a record, and a cache may let any record go. What arrives unasked and is no newer than what
// was let go is not believed, whatever way that went: the deleted session would come back. What was asked for is.
#[test]
fn what_was_let_go_stops_what_comes_late() {
    fn late(s: &Section, key: &[u8], version: u64) -> Fill {
        let ticket = s.ticket(&s.key_id(0, key));
        s.fill_late(&rec(s, key, b"late", version), ticket, NOW)
    }
    let s = cache();
    assert_eq!(late(&s, b"k", 4), Fill::Cached);
    assert_eq!(fill(&s, b"k", b"newer", 9), Fill::Cached);
    assert_eq!(late(&s, b"k", 8), Fill::NotCached(NotCached::Newer));
    assert!(s.invalidate(&s.key_id(0, b"k"), b"k", None));
    for (key, version) in [(b"k", 8), (b"k", 9), (b"o", 9)] {
        assert_eq!(late(&s, key, version), Fill::NotCached(NotCached::Forgotten));
        assert!(get(&s, 0, key, NOW).is_none());
    }
    assert_eq!(late(&s, b"o", 10), Fill::Cached);
    assert_eq!(fill(&s, b"k", b"asked for", 8), Fill::Cached);
    // Evicted by others, of whatever age.
    assert_eq!(fill(&s, b"gone", b"", 50), Fill::Cached);
    let mut others = 0u64;
    while s.peek(&s.key_id(0, b"gone"), b"gone", NOW).is_some() {
        others += 1;
        assert_eq!(fill(&s, format!("k{others}").as_bytes(), &[1; 1000], 1), Fill::Cached);
        assert!(others < 100_000, "nothing is ever evicted");
    }
    assert_eq!(late(&s, b"gone", 49), Fill::NotCached(NotCached::Forgotten));
    assert!(get(&s, 0, b"gone", NOW).is_none());
    // What there was no room for at all.
    s.forgotten(70);
    assert_eq!(late(&s, b"gone", 70), Fill::NotCached(NotCached::Forgotten));
    assert_eq!(late(&s, b"gone", 71), Fill::Cached);
    quiet(&s);
}

// A cache takes what it is given for ever, of any size, and keeps what is read.
#[test]
fn cache_evicts_the_cold() {
    let s = cache();
    let hot = vec![7; 300];
    assert_eq!(fill(&s, b"hot", &hot, 1), Fill::Cached);
    let mut kept = 0;
    let fills = sized(20_000, 120) as u64;
    for i in 0..fills {
        let value = vec![1; (i * 37 % 3000) as usize];
        kept += u64::from(fill(&s, format!("k{i}").as_bytes(), &value, 1) == Fill::Cached);
        if i % 50 == 0 {
            assert!(get(&s, 0, b"hot", NOW).is_some(), "read often, evicted at {i}");
        }
    }
    assert_eq!(kept, fills);
    assert!(s.stats().evicted > fills / 2);
    let big = vec![3; LONGEST];
    assert_eq!(fill(&s, b"big", &big, 1), Fill::Cached);
    assert_eq!(get(&s, 0, b"big", NOW).unwrap().1, big);
    quiet(&s);
}

// A fill whose buckets are full takes the coldest record's place.
#[test]
fn cache_steals_the_coldest_slot() {
    let cfg = SectionConfig {
        capacity_bytes: 40_000,
        value_bytes_max: 64,
        keep_keys: false,
        mode: Mode::Cache,
        ..cfg()
    };
    let s = Section::heap(&cfg, NOW).unwrap();
    let mut out = Vec::new();
    for n in 1..=40u64 {
        let id = KeyId { hi: n, lo: n };
        let ticket = s.ticket(&id);
        assert_eq!(s.fill(&NewRecord { id, ..rec(&s, b"", &n.to_le_bytes(), 1) }, ticket, NOW), Fill::Cached);
        let one = KeyId { hi: 1, lo: 1 };
        assert!(matches!(s.get(&one, b"", NOW, true, &mut out, |_, _| ()), Lookup::Hit(_)), "{n}");
    }
    assert_eq!(s.stats().evicted, 24);
    quiet(&s);
}

// One agent at a time: a lapsed lease is taken by CAS, and the thawed predecessor's renewals fail.
#[test]
fn leases() {
    let s = cache();
    fill(&s, b"k", b"v", 1);
    let id = s.key_id(0, b"k");
    let read = |now: u64| {
        let mut out = Vec::new();
        s.get_leased(&id, b"k", || now, true, &mut out, |_, _| ())
    };
    assert_eq!(read(NOW), Leased::NoLease);
    let none = s.lease();
    let first = s.take_agent(none, NOW + 100).unwrap();
    assert!(s.take_agent(none, NOW + 100).is_none());
    assert!(matches!(read(NOW + 99), Leased::Hit(_)));
    assert_eq!(read(NOW + 100), Leased::NoLease);
    assert!(s.renew(first, NOW + 200));
    let second = s.take_agent(s.lease(), NOW + 300).unwrap();
    assert_ne!(first, second);
    assert!(!s.renew(first, NOW + 900));
    assert!(s.renew(second, NOW + 400));
    // Lapsing during the copy counts as lapsed.
    let clock = std::cell::Cell::new(NOW + 399);
    let mut out = Vec::new();
    let ticking = || clock.replace(clock.get() + 1);
    assert_eq!(s.get_leased(&id, b"k", ticking, true, &mut out, |_, _| ()), Leased::NoLease);
    assert!(out.is_empty());
    s.set_applied_seq(42);
    s.set_agent_line(43);
    assert_eq!((s.applied_seq(), s.agent_line()), (42, 43));
}

// An owner behind caches sees touches and no reads: if they did not count, the busiest sessions would be evicted first.
#[test]
fn a_touch_is_a_use() {
    let s = cache();
    let id = s.key_id(0, b"k");
    assert_eq!(fill(&s, b"k", b"v", 1), Fill::Cached);
    let later = NOW + 50_000;
    assert!(s.set_deadline(&id, b"k", NOW + 90_000, later).is_some());
    let meta = s.peek(&id, b"k", later).unwrap();
    assert_eq!((meta.refs, meta.idle_ms), (1, 0));
    assert_eq!(meta.deadline_ms, NOW + 90_000);
}

// A choice among neighbours is the caller's: what it puts first goes, and nothing else.
#[test]
fn the_hand_evicts_what_was_chosen() {
    fn the_most_read(met: &mut [Met], wanted: usize) -> usize {
        met.sort_by_key(|met| std::cmp::Reverse(met.refs));
        wanted
    }
    let mut s = cache();
    s.set_choose(the_most_read);
    assert_eq!(fill(&s, b"hot", b"v", 1), Fill::Cached);
    for i in 0..sized(20_000, 150) {
        get(&s, 0, b"hot", NOW);
        assert_eq!(fill(&s, format!("k{i}").as_bytes(), b"v", 1), Fill::Cached);
    }
    assert!(get(&s, 0, b"hot", NOW).is_none(), "read most, so chosen first");
    quiet(&s);
}
