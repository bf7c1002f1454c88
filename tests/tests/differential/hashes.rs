//! The calls on hashes.

use super::Script;
use super::cases::{scripts, with_numbers};

/// Every command on hashes: what it answers, on nothing, on the wrong type, with wrong words.
pub(crate) fn cases() -> Vec<Script> {
    let mut all = scripts(&[
        "HSET h a 1 b 2; HSET h a 3 c 4; HGET h a; HGET h nope; HGET nope a; HGETALL h; HKEYS h; HVALS h; HLEN h",
        "HGETALL nope; HKEYS nope; HVALS nope; HLEN nope; HMGET nope a b; HEXISTS nope a; HSTRLEN nope a; HDEL nope a",
        "HMSET h a 1 b 2; HMGET h a nope b a; HMSET h a; HMSET h a 1 b; HMSET h; HSET h a; HSET h a 1 b; HSET h; HMGET h; HMGET",
        "HSETNX h a 1; HSETNX h a 2; HGET h a; HSETNX h b 2; HSETNX h a; HSETNX h a 1 b 2",
        r#"HSET h "" x; HGET h ""; HSET h \0\xff\r\n \0\r\n; HGET h \0\xff\r\n; HSTRLEN h \0\xff\r\n; HSTRLEN h ""; HSTRLEN h nope; HGETALL h"#,
        "HSET h a 1 b 2 c 3; HDEL h a nope a; HDEL h b c; EXISTS h; TYPE h; HDEL h a; HDEL h; HDEL",
        "HSET h a 1; EXPIRE h 100; HSET h b 2; TTL h; HDEL h b; TTL h; HINCRBY h a 5; TTL h; HSET h a 1; TTL h; PERSIST h; TTL h",
        "HSET h a 1; HEXISTS h a; HEXISTS h b; HEXISTS h; HLEN; HLEN h x; HGET h; HGET h a b; HGETALL; HGETALL h x; HKEYS; HVALS; HSTRLEN h",
        "HINCRBY h a 5; HINCRBY h a -7; HSET h b x; HINCRBY h b 1; HINCRBY h a abc; HINCRBY h a 1.5; HINCRBY h; HINCRBY h a; HGETALL h",
        "HSET h a 9223372036854775807; HINCRBY h a 1; HINCRBY h a -1; HSET h b -9223372036854775808; HINCRBY h b -1; HSET h c \" 1\"; HINCRBY h c 1",
        "HINCRBYFLOAT h a 1.5; HINCRBYFLOAT h a 0.1; HINCRBYFLOAT h a -1e3; HINCRBYFLOAT h a 5.0e-3; HSET h b x; HINCRBYFLOAT h b 1; HINCRBYFLOAT h a x; HGETALL h",
        "HINCRBYFLOAT h a inf; HINCRBYFLOAT h a nan; HSET h b inf; HINCRBYFLOAT h b 1; HINCRBYFLOAT h a; HSET h c \"1 \"; HINCRBYFLOAT h c 1",
        "HSET h a 1; HRANDFIELD h; HRANDFIELD h 5; HRANDFIELD h -3; HRANDFIELD h 0; HRANDFIELD h 1 WITHVALUES; HRANDFIELD h -2 withvalues",
        "HRANDFIELD nope; HRANDFIELD nope 1; HRANDFIELD nope -1 WITHVALUES; HRANDFIELD h x; HRANDFIELD h 1 x; HRANDFIELD h 1 WITHVALUES x; HRANDFIELD",
        "HSET h a 1 b 2 c 3; HRANDFIELD h; HRANDFIELD h 2; HRANDFIELD h 3; HRANDFIELD h 4 WITHVALUES; HRANDFIELD h -7 WITHVALUES",
        "HRANDFIELD h -9223372036854775808; HRANDFIELD h 9223372036854775807 WITHVALUES; HRANDFIELD h 9223372036854775808",
        "HSET h a 1 b 2; HSCAN h 0; HSCAN h 0 MATCH a*; HSCAN h 0 COUNT 1; HSCAN h 5; HSCAN nope 0; HSCAN h 0 MATCH nope; HSCAN h 0 COUNT 0",
        "HSET h a 1; HSCAN h; HSCAN h x; HSCAN h 0 COUNT; HSCAN h 0 COUNT x; HSCAN h 0 MATCH; HSCAN h 0 NONSENSE; HSCAN nope x; HSCAN nope 0 NONSENSE",
        // The wrong type, for every command, and hashes where strings are wanted.
        "SET s x; HSET s a 1; HSETNX s a 1; HMSET s a 1; HGET s a; HMGET s a; HGETALL s; HKEYS s; HVALS s; HLEN s; HSTRLEN s a; HEXISTS s a; HDEL s a",
        "SET s x; HINCRBY s a 1; HINCRBYFLOAT s a 1; HRANDFIELD s; HRANDFIELD s 1; HSCAN s 0; HINCRBY s a x; HINCRBYFLOAT s a x; HSCAN s x; GET s",
        "HSET h a 1; GET h; INCR h; APPEND h x; STRLEN h; GETSET h x; GETDEL h; GETEX h; GETEX h EX 10; SETNX h x; MGET h nope; TYPE h; SET h x GET; GETRANGE h 0 1; SETRANGE h 0 x; INCRBYFLOAT h 1; HGETALL h",
        "HSET h a 1; SADD h x; ZADD h 1 x; SMEMBERS h; ZSCORE h x; SET h x; TYPE h; GET h; HGET h a",
        "HSET h a 1; TYPE h; SCAN 0 TYPE hash; SCAN 0 TYPE string; SCAN 0 TYPE HASH; EXISTS h; TTL h; TOUCH h; OBJECT REFCOUNT h; DBSIZE; DEL h; DBSIZE",
        "MULTI; HSET h a 1; HINCRBY h a 1; HGETALL h; HGET h a; HDEL h a; EXISTS h; HGETALL h; EXEC",
        "HSET h a x; SET h y; GET h; HSET h a x; DEL h; HSET h b y; HGETALL h; FLUSHALL; HGETALL h",
        "hSeT h A 1; hGETALL h; HGET h a; HGET h A",
    ]);
    all.extend(with_numbers(&[
        "HSET h a N; HINCRBY h a 1; HINCRBYFLOAT h a 1; HINCRBY h b N; HINCRBYFLOAT h c N; HGETALL h",
        "HSET h a 1 b 2; HRANDFIELD h N",
        "HSET h a 1 b 2; HSCAN h 0 COUNT N",
        "HSET h a 1; HSCAN h N",
    ]));
    all.retain(|script| !long_answers(script));
    all.extend(encodings());
    all
}

/// More of the same than anybody wants to be sent.
fn long_answers(script: &Script) -> bool {
    script.calls.iter().any(|call| {
        matches!(call, super::Call::Words(w) if w[0] == b"HRANDFIELD" && w.len() > 2 && w[2].starts_with(b"-9"))
    }) && script.calls.len() < 3
}

/// Where Redis goes over to a hash table, and that it never comes back.
fn encodings() -> Vec<Script> {
    let at = |n: usize| "x".repeat(n);
    let fields = |n: usize| (0..n).map(|i| format!(" f{i} {i}")).collect::<String>();
    scripts(&[
        "HSET h a 1; OBJECT ENCODING h",
        &format!(
            "HSET h a {}; OBJECT ENCODING h; HSET h b {}; OBJECT ENCODING h; HDEL h b; OBJECT ENCODING h; HGETALL h",
            at(64),
            at(65)
        ),
        &format!("HSET h {} 1; OBJECT ENCODING h; HSETNX h {} 1; OBJECT ENCODING h", at(64), at(65)),
        &format!("HINCRBY h {} 1; OBJECT ENCODING h; HINCRBYFLOAT i {} 1; OBJECT ENCODING i", at(65), at(65)),
        &format!(
            "HSET h{}; HSET h{}; OBJECT ENCODING h; HSET h new 1; OBJECT ENCODING h; HLEN h; HDEL h new; OBJECT ENCODING h; HSCAN h 0 COUNT 1000",
            fields(500),
            fields(512)
        ),
    ])
}
