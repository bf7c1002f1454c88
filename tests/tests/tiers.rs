//! Under pressure sessions move, and nobody who asks for one notices: every session that was
//! acknowledged is readable with its exact bytes and its remaining life, and nothing is lost.

use gs_tests::cluster::{Cluster, Plan};
use gs_tests::sessions::{Load, key, next};
use gs_tests::wire::Value;
use gs_tests::{peek, peers, wait};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

/// More than six times what a relay of 16 MB can hold.
const LOAD: Load = Load { count: 200_000, len: 384, ttl_s: 3_600, edition: 1 };

fn count(wire: &mut gs_tests::wire::Wire) -> i64 {
    wire.call(&["DBSIZE"]).int()
}

/// Reads everything back and looks where it is.
fn judge(cluster: &Cluster, began: Instant) {
    let mut wire = cluster.wire();
    assert_eq!(count(&mut wire), LOAD.count as i64, "DBSIZE counts each session once");

    // Before reading, because a read brings a session back.
    let mut tiers = BTreeMap::new();
    for n in (0..LOAD.count).step_by(499) {
        let held = peek::tiers(&mut wire, &key(n));
        assert!(!held.is_empty(), "GS.PEEK names no tier for {}", key(n));
        held.into_iter().for_each(|tier| *tiers.entry(tier).or_insert(0) += 1);
    }
    let known = ["relay", "expansion", "aging"];
    assert!(tiers.keys().all(|t| known.contains(&t.as_str())), "unknown tiers in {tiers:?}");
    assert!(tiers.contains_key("relay") && tiers.len() > 1, "16 MB cannot hold it all, yet {tiers:?}");

    let aged = || began.elapsed().as_secs() + 1;
    LOAD.check(&mut wire, 0..LOAD.count, aged());
    // Reading moved most of them; moving must not have changed them.
    LOAD.check(&mut wire, 0..LOAD.count, aged());
    assert_eq!(count(&mut wire), LOAD.count as i64);
    assert_eq!(cluster.all_metrics().losses(), 0.0, "a metric of loss moved");
}

#[test]
fn a_small_relay_takes_200_000_sessions_by_redis_cli_pipe() {
    let Some(cli) = peers::find("redis-cli") else {
        return;
    };
    let cluster = Plan::relay("16mb").expansion("64mb").aging("256mb").start();
    let began = Instant::now();
    LOAD.write_by_pipe(&cli, &cluster.relay.addr());
    judge(&cluster, began);
    assert!(count(&mut cluster.reliefs[0].wire()) > 0, "nothing young went to the expansion node");
}

#[test]
fn two_aging_nodes_share_the_slots_and_reads_go_on_meanwhile() {
    let cluster = Plan::relay("16mb").aging("192mb").aging("192mb").start();
    let began = Instant::now();
    let acknowledged = AtomicUsize::new(0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            // Whatever was acknowledged is readable at once, wherever it is on its way.
            let (mut wire, mut seed, mut reads) = (cluster.wire(), 7, 0_u64);
            while !done.load(Ordering::Relaxed) {
                let upto = acknowledged.load(Ordering::Acquire) as u64;
                if upto > 0 {
                    let n = (next(&mut seed) % upto) as usize;
                    LOAD.check(&mut wire, n..n + 1, began.elapsed().as_secs() + 1);
                    reads += 1;
                }
            }
            reads
        });
        let mut wire = cluster.wire();
        for from in (0..LOAD.count).step_by(1_000) {
            let refused = LOAD.write(&mut wire, from..from + 1_000);
            assert!(refused.is_empty(), "{} of 1,000 were refused, first: {:?}", refused.len(), refused[0]);
            acknowledged.store(from + 1_000, Ordering::Release);
        }
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().expect("every read was right") > 0, "nothing was read meanwhile");
    });
    judge(&cluster, began);

    let held: Vec<i64> = cluster.reliefs.iter().map(|n| count(&mut n.wire())).collect();
    let all: i64 = held.iter().sum();
    assert!(held.iter().all(|n| *n > all / 4), "the slots are not shared: {held:?}");
}

#[test]
fn an_old_victim_goes_to_the_aging_node_and_a_young_one_to_expansion() {
    let young = Plan::relay("4mb").expansion("64mb").aging("64mb").start();
    let load = Load { count: 30_000, ..LOAD };
    assert_eq!(load.write(&mut young.wire(), 0..load.count), []);
    let (expansion, aging) = (&young.reliefs[0], &young.reliefs[1]);
    wait::until_true("the expansion node holds the young", || count(&mut expansion.wire()) > 0);
    assert_eq!(count(&mut aging.wire()), 0, "nothing is an hour old");
    drop(young);

    // With an age of one millisecond everything is old.
    let old = Plan::relay("4mb").set_all("aging.aged_after_ms", 1).expansion("64mb").aging("64mb").start();
    assert_eq!(load.write(&mut old.wire(), 0..load.count), []);
    wait::until_true("the aging node holds the old", || count(&mut old.reliefs[1].wire()) > 10_000);
    load.check(&mut old.wire(), 0..load.count, 600);
}

/// A figure of INFO.
fn figure(wire: &mut gs_tests::wire::Wire, name: &str) -> u64 {
    let said = wire.call(&["INFO", "everything"]).text();
    let value = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("INFO has no {name}"))
}

/// What was found: at all, at the aging node, and what climbed.
fn climbs(wire: &mut gs_tests::wire::Wire) -> [u64; 4] {
    ["keyspace_hits", "keyspace_misses", "gs_hits_aging", "gs_promoted"].map(|name| figure(wire, name))
}

/// How many questions for copies a relief was asked.
fn questions(relief: &mut gs_tests::wire::Wire) -> u64 {
    let stats = relief.call(&["INFO", "commandstats"]).text();
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_gs.fetch:calls="));
    line.and_then(|rest| rest.split(',').next()?.parse().ok()).unwrap_or(0)
}

#[test]
fn a_pipeline_of_misses_and_a_command_with_many_keys_ask_a_relief_once() {
    let load = Load { count: 30_000, ..LOAD };
    let cluster = Plan::relay("4mb").aging("64mb").start();
    let (mut wire, mut relief) = (cluster.wire(), cluster.reliefs[0].wire());
    assert_eq!(load.write(&mut wire, 0..load.count), []);
    let mut below = (0..load.count).filter(|n| peek::tiers(&mut cluster.wire(), &key(*n)) == ["aging"]);
    let mut some = |count| below.by_ref().take(count).map(key).collect::<Vec<String>>();
    let (single, piped, shown, many) = (some(1), some(64), some(64), some(64));
    assert_eq!(many.len(), 64, "there is nothing below to be asked for");

    let told = |keys: &[String], command: &str| -> Vec<Vec<String>> {
        keys.iter().map(|key| vec![command.to_owned(), key.clone()]).collect()
    };
    let whole = |values: &[Value]| values.iter().all(|value| value.bytes().len() == load.len);
    let (before, found) = (questions(&mut relief), climbs(&mut wire));
    assert!(whole(&wire.pipeline(&told(&single, "GET"))));
    assert_eq!(questions(&mut relief), before + 1);
    // A few, because a connection's first reads are small.
    assert!(whole(&wire.pipeline(&told(&piped, "GET"))));
    let after = questions(&mut relief);
    assert!(after <= before + 9, "64 misses in a row made {} questions", after - before);
    assert!(wire.pipeline(&told(&shown, "GS.GET")).iter().all(|it| it.must("tier").text() == "aging"));
    let after = questions(&mut relief);
    let mget: Vec<String> = ["MGET".to_owned()].into_iter().chain(many).collect();
    assert!(whole(wire.call(&mget).items()));
    assert_eq!(questions(&mut relief), after + 1);
    // Each counts as found, and as found below, once: whether it was asked for alone or came up with another.
    let climbed = 1 + 3 * 64;
    let [hits, misses, below, promoted] = found;
    assert_eq!(climbs(&mut wire), [hits + climbed, misses, below + climbed, promoted + climbed]);
    assert_eq!(count(&mut wire), load.count as i64);
}

#[test]
fn two_copies_are_kept_where_they_are_asked_for_or_refused() {
    let mut cluster = Plan::relay("16mb").expansion("16mb").aging("16mb").start();
    let mut wire = cluster.wire();
    assert!(matches!(wire.call(&["GS.SET", "two", "value", "PX", "60000", "COPIES", "2"]), Value::Int(_)));
    // The second copy was there before the reply.
    assert_eq!(cluster.reliefs[0].wire().call(&["GET", "two"]), Value::bulk("value"));
    assert_eq!(peek::tiers(&mut wire, "two"), ["relay", "expansion"]);
    assert_eq!(count(&mut wire), 1, "two copies are one session");
    // Whoever extends its life does not know how it was stored.
    for (touch, pttl) in
        [(vec!["GS.TOUCH", "two", "PX", "90000"], 60_000), (vec!["EXPIRE", "two", "200"], 90_000)]
    {
        assert_eq!(wire.call(&touch), Value::Int(1));
        assert_eq!(peek::tiers(&mut wire, "two"), ["relay", "expansion"], "after {touch:?}");
        assert!(cluster.reliefs[0].wire().call(&["PTTL", "two"]).int() > pttl, "after {touch:?}");
    }

    // When no relief takes the copy, what reads or extends it answers as ever: the session is here. And it is told.
    cluster.reliefs[0].kill();
    cluster.reliefs[1].kill();
    let touches = [
        (vec!["GETEX", "two", "EX", "300"], Value::bulk("value")),
        (vec!["EXPIRE", "two", "400"], Value::Int(1)),
        (vec!["GS.TOUCH", "two", "PX", "500000"], Value::Int(1)),
        (vec!["GETEX", "two", "EX", "100"], Value::bulk("value")),
    ];
    for (touch, answer) in touches {
        assert_eq!(wire.call(&touch), answer, "{touch:?}");
    }
    assert!(wire.call(&["PTTL", "two"]).int() > 90_000);
    assert_eq!(wire.call(&["GETEX", "two", "PERSIST"]), Value::bulk("value"));
    let missed = || cluster.metrics().sum(|name, _| name == "gs_second_copies_missed_total");
    wait::until_true("each is counted", || missed() == 5.0);
    wire.pipeline(&[vec!["MULTI"], vec!["GS.SET", "two", "w", "COPIES", "2"], vec!["EXPIRE", "two", "60"]]);
    let stored = wire.call(&["EXEC"]);
    assert!(
        stored.is_error("UNAVAILABLE the session is stored once"),
        "a write is not an extension: {stored:?}"
    );

    let alone = Plan::relay("16mb").start();
    let refused = alone.wire().call(&["GS.SET", "two", "value", "COPIES", "2"]);
    assert!(matches!(refused, Value::Error(_)), "no node could take the second copy, yet {refused:?}");
}

/// An application that knows no GS commands gets what the path promises: every write is on two nodes when it is
/// answered, in a pipeline and in a transaction too; and where it cannot be, the reply says so.
#[test]
fn a_path_with_two_copies_has_them_of_every_write() {
    let plan = Plan::relay("16mb").set("paths.twice.prefix", "t:").set("paths.twice.copies", 2);
    let cluster = plan.expansion("16mb").start();
    let (mut wire, mut relief) = (cluster.wire(), cluster.reliefs[0].wire());
    let mut both = |calls: &[&str], key: &str, value: &str| {
        let calls: Vec<Vec<&str>> = calls.iter().map(|call| call.split(' ').collect()).collect();
        let replies = wire.pipeline(&calls);
        let below = relief.call(&["GET", key]);
        assert_eq!(below, Value::bulk(value), "the second copy after {calls:?}, which answered {replies:?}");
        assert_eq!(peek::tiers(&mut wire, key), ["relay", "expansion"]);
    };
    both(&["SET t:1 v EX 60"], "t:1", "v");
    both(&["SETEX t:1 60 w"], "t:1", "w");
    both(&["APPEND t:1 x"], "t:1", "wx");
    both(&["EXPIRE t:1 100"], "t:1", "wx");
    both(&["SET t:2 a", "SET t:2 b", "MSET t:3 c t:2 d"], "t:2", "d");
    both(&["MULTI", "SET t:4 a", "INCR n", "SET t:4 b", "EXEC"], "t:4", "b");
    both(&["RENAME t:4 t:5"], "t:5", "b");
    both(&["GS.SET t:6 v"], "t:6", "v");
    wire.call(&["HSET", "t:h", "f", "v"]);
    assert_eq!(relief.call(&["HGET", "t:h", "f"]), Value::bulk("v"));
    // One copy, where that is asked for or nothing is.
    assert!(matches!(wire.call(&["GS.SET", "t:7", "v", "COPIES", "1"]), Value::Int(_)));
    assert_eq!(wire.call(&["SET", "once", "v"]), Value::ok());
    for key in ["t:7", "once"] {
        assert_eq!(peek::tiers(&mut wire, key), ["relay"], "{key}");
    }
    assert_eq!(wire.call(&["DEL", "t:1"]), Value::Int(1));
    wait::until_true("the second copy is gone, too", || relief.call(&["GET", "t:1"]) == Value::Null);

    let alone = Plan::relay("16mb").set("paths.twice.prefix", "t:").set("paths.twice.copies", 2).start();
    let mut wire = alone.wire();
    assert!(wire.call(&["SET", "t:1", "v"]).is_error("UNAVAILABLE COPIES 2 needs a relief"));
    assert_eq!(wire.call(&["GET", "t:1"]), Value::Null, "nothing was stored once in silence");
    assert_eq!(wire.call(&["SET", "once", "v"]), Value::ok());
}

#[test]
fn a_full_relay_without_reliefs_says_so_or_drops_as_it_was_told() {
    let load = Load { count: 12_000, ..LOAD };
    let relief = Plan::relay("4mb").set("section.on_full", "relief").set("section.full_wait_ms", 1).start();
    let refused = load.write(&mut relief.wire(), 0..load.count);
    assert!(!refused.is_empty(), "4 MB took 12,000 sessions of 384 B");
    assert!(refused.iter().all(|(_, e)| e.is_error("OOM")), "refused with {:?}", refused[0]);
    // What was acknowledged is there.
    let lost: std::collections::BTreeSet<usize> = refused.iter().map(|(n, _)| *n).collect();
    let mut wire = relief.wire();
    for n in (0..load.count).filter(|n| !lost.contains(n)).step_by(97) {
        load.check(&mut wire, n..n + 1, 600);
    }

    let drops = Plan::relay("4mb").set("section.on_full", "drop").start();
    assert_eq!(load.write(&mut drops.wire(), 0..load.count), []);
    let newest = load.count - 1;
    load.check(&mut drops.wire(), newest..newest + 1, 600);
    wait::until_true("evictions are counted", || drops.metrics().sum(|name, _| name.contains("evict")) > 0.0);
}
