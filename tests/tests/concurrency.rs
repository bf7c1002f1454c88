//! Fifty connections change the same keys at once: a count, a field, a text and a first claim lose nothing, neither
//! on one relay nor while the keys move between the tiers.

use gs_tests::cluster::{Cluster, Plan};
use gs_tests::sessions::{Load, next};
use gs_tests::wait;
use gs_tests::wire::{Value, Wire, encode};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

const THREADS: usize = 10;
const CONNECTIONS: usize = 5;
/// Places that each kind of change is spread over.
const SPREAD: usize = 8;

/// What one connection was told: its claims that won.
type Claims = Vec<String>;

/// The changes of one round of one connection, as one pipeline. Every name says who and when.
fn round(out: &mut Vec<u8>, who: usize, nth: usize) -> [String; 2] {
    let place = (who * 31 + nth * 7) % SPREAD;
    let token = format!("{who}-{nth};");
    // Five connections claim the same name in the same round.
    let claim = format!("claim:{}:{nth}", who / CONNECTIONS);
    let calls: [&[&str]; 7] = [
        &["INCR", &format!("count:{place}")],
        &["HINCRBY", &format!("hash:{place}"), "field", "1"],
        &["HSET", &format!("hash:{place}"), &token, "x"],
        &["APPEND", &format!("text:{place}"), &token],
        &["SADD", &format!("set:{place}"), &token],
        &["ZINCRBY", &format!("sorted:{place}"), "1", "member"],
        &["SET", &claim, &token, "NX"],
    ];
    calls.iter().for_each(|call| encode(out, call));
    [claim, token]
}

fn storm(cluster: &Cluster, rounds: usize) {
    let worker = |thread: usize| {
        let mut wires: Vec<Wire> = (0..CONNECTIONS).map(|_| cluster.wire()).collect();
        let mut claims = Claims::new();
        for nth in 0..rounds {
            let mut asked = Vec::new();
            for (connection, wire) in wires.iter_mut().enumerate() {
                let mut out = Vec::new();
                asked.push(round(&mut out, thread * CONNECTIONS + connection, nth));
                wire.send(&out);
            }
            for (wire, [claim, token]) in wires.iter_mut().zip(asked) {
                for _ in 0..6 {
                    let reply = wire.must_reply();
                    assert!(!matches!(reply, Value::Error(_)), "{reply:?}");
                }
                if wire.must_reply() == Value::ok() {
                    claims.push(format!("{claim}={token}"));
                }
            }
        }
        claims
    };
    let claims: Claims = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || worker(thread))).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no change was refused")).collect()
    });
    judge(&mut cluster.wire(), &claims, rounds);
}

fn judge(wire: &mut Wire, claims: &Claims, rounds: usize) {
    let (mut count, mut field, mut score) = (0, 0, 0);
    let (mut fields, mut members, mut texts) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for place in 0..SPREAD {
        let name = |kind: &str| format!("{kind}:{place}");
        count += wire.call(&["GET", &name("count")]).text().parse::<usize>().expect("a number");
        field += wire.call(&["HGET", &name("hash"), "field"]).text().parse::<usize>().expect("a number");
        score += wire.call(&["ZSCORE", &name("sorted"), "member"]).text().parse::<usize>().expect("a number");
        fields.extend(wire.call(&["HKEYS", &name("hash")]).items().iter().map(Value::text));
        members.extend(wire.call(&["SMEMBERS", &name("set")]).items().iter().map(Value::text));
        let text = wire.call(&["GET", &name("text")]).text();
        texts.extend(text.split_inclusive(';').map(str::to_owned));
    }
    let all = THREADS * CONNECTIONS * rounds;
    assert_eq!((count, field, score), (all, all, all), "INCR, HINCRBY, ZINCRBY");
    let tokens: BTreeSet<String> = (0..THREADS * CONNECTIONS)
        .flat_map(|who| (0..rounds).map(move |nth| format!("{who}-{nth};")))
        .collect();
    assert_eq!(members, tokens, "SADD");
    fields.remove("field");
    assert_eq!(fields, tokens, "HSET");
    texts.sort();
    assert_eq!(texts, tokens.iter().cloned().collect::<Vec<_>>(), "APPEND");
    assert_eq!(claims.len(), THREADS * rounds, "one of five claims wins each time");
    for claim in claims {
        let (name, winner) = claim.split_once('=').expect("it was put together so");
        assert_eq!(wire.call(&["GET", name]).text(), winner);
    }
}

#[test]
fn nothing_is_lost_between_fifty_connections() {
    storm(&Plan::relay("16mb").start(), 40);
}

/// Sessions are written and read meanwhile that do not fit: what is changed is pushed down and brought up again
/// between one change and the next.
#[test]
fn nothing_is_lost_while_the_keys_move() {
    const LOAD: Load = Load { count: 12_000, len: 384, ttl_s: 3_600, edition: 1 };
    let cluster = Plan::relay("2mb").expansion("4mb").aging("64mb").start();
    assert_eq!(LOAD.write(&mut cluster.wire(), 0..LOAD.count), []);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let movers: Vec<_> = (0..2_u64)
            .map(|seed| {
                let (done, cluster) = (&done, &cluster);
                scope.spawn(move || {
                    let (mut wire, mut seed) = (cluster.wire(), seed);
                    while !done.load(Ordering::Relaxed) {
                        let n = (next(&mut seed) % LOAD.count as u64) as usize;
                        LOAD.check(&mut wire, n..n + 1, 600);
                    }
                })
            })
            .collect();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            storm(&cluster, 200);
            // However fast the storm was: the readers go on until enough has moved.
            let promoted = || cluster.metrics().sum(|name, _| name == "gs_promoted_total");
            wait::until_true("keys were seen to come up again", || promoted() > 1_000.0);
        }));
        done.store(true, Ordering::Relaxed);
        movers.into_iter().for_each(|mover| mover.join().expect("every read was right"));
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
    assert_eq!(cluster.all_metrics().losses(), 0.0, "a metric of loss moved");
}
