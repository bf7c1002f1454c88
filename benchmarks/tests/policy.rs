//! The simulator can be trusted, and the default policy meets its bar: no worse than LRU anywhere, no worse than ARC
//! on session traces. Small versions of the traces of `benchmarks/results/policy.md`, seconds in all.

use benchmarks::sim::adaptive::{Arc, S3Fifo};
use benchmarks::sim::family::{self, Order, Orders};
use benchmarks::sim::oracle::Belady;
use benchmarks::sim::queues::{Clock, Fifo, Lru, Sieve};
use benchmarks::sim::report::{SEED, SHARES, row, sized, traces};
use benchmarks::sim::sessions::{MIXES, TWO_LIVES, make, smaller};
use benchmarks::sim::trace::{Op, Request, Trace, zipf};
use benchmarks::sim::{Model, replay};

/// A trace of single letters, a millisecond apart; a capital is a delete.
fn letters(text: &str) -> Trace {
    let request = |(at, byte): (usize, u8)| Request {
        at_ms: at as u64,
        key: u32::from(byte.to_ascii_lowercase() - b'a'),
        op: if byte.is_ascii_uppercase() { Op::Delete } else { Op::Get },
        ttl_ms: 0,
    };
    let requests = text.bytes().enumerate().map(request).collect();
    Trace { name: "letters", sessions: false, keys: 26, requests }
}

/// Which requests hit, as a string of h and m.
fn hits(model: &mut dyn Model, text: &str) -> String {
    let trace = letters(text);
    let each = trace.requests.iter().enumerate().filter_map(|(at, request)| match request.op {
        Op::Get => Some(if model.request(at, request) { 'h' } else { 'm' }),
        Op::Delete => {
            model.remove(request);
            None
        }
    });
    each.collect()
}

/// Worked by hand from the definitions, three places each: a reference that is wrong makes every comparison wrong.
#[test]
fn the_reference_policies_do_what_their_definitions_say() {
    // d displaces a (FIFO), b (LRU and, a being spared, CLOCK and SIEVE).
    assert_eq!(hits(&mut Fifo::new(26, 3), "abcadab"), "mmmhmmm");
    assert_eq!(hits(&mut Lru::new(26, 3), "abcadab"), "mmmhmhm");
    assert_eq!(hits(&mut Clock::new(26, 3), "abcadab"), "mmmhmhm");
    assert_eq!(hits(&mut Sieve::new(26, 3), "abcadab"), "mmmhmhm");
    // CLOCK moved a behind d, so a outlives c and goes with f after d; SIEVE's hand passed a once and for all.
    assert_eq!(hits(&mut Clock::new(26, 3), "abcadefga"), "mmmhmmmmm");
    assert_eq!(hits(&mut Sieve::new(26, 3), "abcadefga"), "mmmhmmmmh");
    // The optimum keeps what comes first, and a deleted key comes never.
    assert_eq!(hits(&mut Belady::new(&letters("abcdabd"), 3), "abcdabd"), "mmmmhhh");
    assert_eq!(hits(&mut Belady::new(&letters("abcAdbca"), 3), "abcAdbca"), "mmmmhhm");
    // Deleted is gone, and its place is free.
    for model in [&mut Fifo::new(26, 3) as &mut dyn Model, &mut Lru::new(26, 3), &mut Arc::new(26, 3)] {
        assert_eq!(hits(model, "abcBdacb"), "mmmmhhm");
    }
}

/// LRU by its other definition: a request hits if fewer than `room` other keys came since the last for its key.
#[test]
fn lru_agrees_with_stack_distances() {
    let trace = zipf("zipf", 300, 5_000, 0.8, 7);
    for room in [1, 10, 100] {
        let mut by_distance = 0;
        let mut stack: Vec<u32> = Vec::new();
        for request in &trace.requests {
            let depth = stack.iter().rev().position(|key| *key == request.key);
            if let Some(depth) = depth {
                by_distance += u64::from(depth < room);
                stack.remove(stack.len() - 1 - depth);
            }
            stack.push(request.key);
        }
        assert_eq!(replay(&mut Lru::new(trace.keys, room), &trace).hits, by_distance, "room {room}");
    }
}

/// What ARC and S3-FIFO are for: a scan longer than the cache leaves what was read often where it is. And ARC's border
/// follows its ghosts.
#[test]
fn adaptive_policies_resist_a_scan() {
    let mut keys: Vec<u32> = (0..50).chain(0..50).chain(0..50).collect();
    keys.extend(1000..1400);
    keys.extend(0..50);
    let as_request =
        |(at, key): (usize, &u32)| Request { at_ms: at as u64, key: *key, op: Op::Get, ttl_ms: 0 };
    let requests = keys.iter().enumerate().map(as_request).collect();
    let trace = Trace { name: "scan", sessions: false, keys: 2000, requests };
    let score = |model: &mut dyn Model| replay(model, &trace).hits;
    assert_eq!(score(&mut Lru::new(2000, 100)), 100, "the scan washed everything out");
    assert_eq!(score(&mut Arc::new(2000, 100)), 150);
    assert_eq!(score(&mut S3Fifo::new(2000, 100)), 150);
    let mut arc = Arc::new(26, 4);
    hits(&mut arc, "aabbcdefcd");
    assert!(arc.target() > 0, "hits on ghosts of newcomers ask for room for newcomers");
}

/// Bar P9, on small versions of every trace. `SLACK` is for the blocks that the section keeps free ahead of demand.
#[test]
fn the_default_policy_meets_its_bar() {
    const SLACK: f64 = 0.10;
    // Where it does not reach ARC, and by how much: a cache far smaller than what is in use at one time, which would take
    // ghosts in shared memory (see benchmarks/results/policy.md), and a sweep through a cache as small as these.
    let known_gap = |trace: &str, share: u32| match (trace, share) {
        ("rolling TTL", 1) => 1.0,
        ("sweeps", 10) => 0.5,
        _ => 0.0,
    };
    let wanted = |name: &str| ["gs, the section", "gs, the model", "LRU", "ARC", "Belady"].contains(&name);
    for trace in traces(15) {
        for share in SHARES {
            let row = row(&trace, share, &wanted);
            let (ours, lru, arc) = (row.of("gs, the section"), row.of("LRU"), row.of("ARC"));
            let place = format!("{} at {share} %: {ours:.2}, LRU {lru:.2}, ARC {arc:.2}", trace.name);
            assert!(ours >= lru - SLACK, "{place}");
            assert!(!trace.sessions || ours >= arc - SLACK - known_gap(trace.name, share), "{place}");
            assert!(row.percent.iter().all(|p| p.is_nan() || *p <= row.of("Belady") + 1e-9), "{place}");
            // The model stands for the section.
            assert!((ours - row.of("gs, the model")).abs() <= 0.5, "{place}, model {:?}", row.percent);
        }
    }
}

/// Records of several blocks leave as records; a model that forgot it would promise room that is not there.
#[test]
fn long_records_count_for_what_they_take() {
    let all = traces(15);
    let trace = all.iter().find(|trace| trace.name == "sessions").expect("it is in the list");
    let [section, model, lru, fifo] = sized(trace, 10);
    assert!((section - model).abs() <= 0.5, "section {section}, model {model}");
    assert!(section >= lru - 0.2 && lru > fifo, "section {section}, LRU {lru}, FIFO {fifo}");
}

/// The same seed, the same figures: the results in the repository can be checked.
#[test]
fn traces_are_made_of_their_seed_alone() {
    let print = |trace: &Trace| {
        trace.requests.iter().fold(u64::from(trace.keys), |sum, request| {
            let word = request.at_ms ^ u64::from(request.key) << 32 ^ u64::from(request.op == Op::Delete);
            (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        })
    };
    let (one, two) = (traces(60), traces(60));
    assert_eq!(one.iter().map(print).collect::<Vec<_>>(), two.iter().map(print).collect::<Vec<_>>());
    for trace in &one {
        assert!(trace.requests.is_sorted_by_key(|request| request.at_ms), "{}", trace.name);
        assert!(trace.requests.iter().all(|request| request.key < trace.keys), "{}", trace.name);
    }
}

/// The family loses nothing that it has room for, counts each request once, and its default orders are those that the
/// numbers speak for: at the relay recency moves less than age does, and aging loses fewer hits by remaining life.
#[test]
fn the_family_keeps_what_it_has_room_for() {
    let [lives, rolling] = [TWO_LIVES, MIXES[2]].map(|mix| make(&smaller(&mix, 15), SEED));
    let all = family::run(&lives, [lives.share(5), lives.share(100), 1, 1], family::DEFAULT);
    assert_eq!((all.lost, all.demoted, all.promoted), (0, 0, 0), "{all:?}");
    let tight = |trace: &Trace, orders| {
        let counts = family::run(trace, [3, 3, 3, 4].map(|share| trace.share(share)), orders);
        let answered = counts.hits.iter().sum::<u64>() + counts.first + counts.lost;
        assert_eq!(answered, counts.requests, "{counts:?}");
        counts
    };
    let default = tight(&lives, family::DEFAULT);
    assert!(default.hits.iter().all(|hits| *hits > 0) && default.evicted > 0, "{default:?}");
    for aging in [Order::Oldest, Order::Arrival] {
        let other = tight(&lives, Orders { aging, ..family::DEFAULT });
        assert!(default.lost < other.lost, "{aging:?}: {other:?}, least life: {default:?}");
    }
    let by_age = tight(&rolling, Orders { relay: Order::Oldest, ..family::DEFAULT });
    assert!(tight(&rolling, family::DEFAULT).promoted < by_age.promoted);
}
