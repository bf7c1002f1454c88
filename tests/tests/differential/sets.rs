//! The calls on sets.

use super::Script;
use super::cases::{scripts, with_numbers};

/// Every command on sets: what it answers, on nothing, on the wrong type, with wrong words.
pub(crate) fn cases() -> Vec<Script> {
    let mut all = scripts(&[
        "SADD s a; SADD s a b a; SMEMBERS s; SCARD s; SISMEMBER s a; SISMEMBER s nope; SMISMEMBER s a nope b; SREM s a nope; SMEMBERS s",
        "SMEMBERS nope; SCARD nope; SISMEMBER nope a; SMISMEMBER nope a b; SREM nope a; SPOP nope; SPOP nope 2; SRANDMEMBER nope; SRANDMEMBER nope 2",
        "SADD s 3 1 2 -5 10; SMEMBERS s; SADD s 4; SMEMBERS s; OBJECT ENCODING s; SADD s x; OBJECT ENCODING s; SREM s x; OBJECT ENCODING s; SMEMBERS s",
        r#"SADD s "" \0\xff\r\n; SISMEMBER s ""; SISMEMBER s \0\xff\r\n; SCARD s; SREM s ""; SMEMBERS s"#,
        "SADD s 1 01 +1 -0 1.0 \" 1\"; SCARD s; SMEMBERS s; OBJECT ENCODING s",
        "SADD s 9223372036854775807 -9223372036854775808; OBJECT ENCODING s; SMEMBERS s; SADD s 9223372036854775808; OBJECT ENCODING s",
        "SADD s a; SREM s a; EXISTS s; TYPE s; SADD s a b; EXPIRE s 100; SADD s c; TTL s; SREM s a; TTL s; SPOP s; TTL s; DEL s",
        "SADD s; SADD; SREM s; SCARD; SCARD s x; SISMEMBER s; SISMEMBER s a b; SMISMEMBER s; SMEMBERS; SMEMBERS s x; SPOP; SPOP s 1 2; SRANDMEMBER; SRANDMEMBER s 1 2",
        "SADD s a; SPOP s; EXISTS s; SPOP s; SADD s a; SPOP s 5; EXISTS s; SADD s 3 1 2; SPOP s 3; EXISTS s; SADD s 3 1 2; SPOP s 0; SCARD s",
        "SADD s a; SPOP s -1; SPOP s x; SPOP s 1.5; SPOP nope -1; SRANDMEMBER s x; SRANDMEMBER s 0; SRANDMEMBER s 1; SRANDMEMBER s -3; SRANDMEMBER s",
        "SADD s 1 2 3; SRANDMEMBER s; SRANDMEMBER s 2; SRANDMEMBER s 3; SRANDMEMBER s 10; SRANDMEMBER s -5; SPOP s 2; SCARD s; DEL s",
        "SRANDMEMBER s -9223372036854775808; SRANDMEMBER s 9223372036854775808; SADD s a; SRANDMEMBER s 9223372036854775807; SRANDMEMBER s -9223372036854775808",
        "SADD s 1 2; SSCAN s 0; SSCAN s 0 MATCH 1*; SSCAN s 0 COUNT 1; SSCAN nope 0; SSCAN s 0 MATCH nope; SADD t a b; SSCAN t 0 COUNT 100; SSCAN t 0 MATCH a COUNT 100",
        "SADD s a; SSCAN s; SSCAN s x; SSCAN s 0 COUNT; SSCAN s 0 COUNT 0; SSCAN s 0 COUNT x; SSCAN s 0 MATCH; SSCAN s 0 NONSENSE; SSCAN s 0 NOVALUES; SSCAN nope x",
        "SET k x; SADD k a; SREM k a; SCARD k; SISMEMBER k a; SMISMEMBER k a; SMEMBERS k; SPOP k; SPOP k 1; SRANDMEMBER k; SRANDMEMBER k 1; SSCAN k 0; GET k",
        "SADD s a; GET s; HSET s a 1; HGETALL s; ZADD s 1 a; INCR s; STRLEN s; TYPE s; SCAN 0 TYPE set; SCAN 0 TYPE string; DEL s",
        "MULTI; SADD s 1 2; SREM s 1; SMEMBERS s; SCARD s; SPOP s; EXISTS s; SADD s x; EXEC; SMEMBERS s",
    ]);
    all.extend(with_numbers(&[
        "SADD s N; OBJECT ENCODING s; SMEMBERS s",
        "SADD s a b c; SPOP s N; SCARD s; DEL s",
        "SADD s 1; SSCAN s N; SSCAN s 0 COUNT N",
    ]));
    let integers = |n: i32| (0..n).map(|i| format!(" {}", i * 7 % n)).collect::<String>();
    all.extend(scripts(&[
        &format!("SADD s{}; OBJECT ENCODING s; SMEMBERS s; SADD s 1000; OBJECT ENCODING s; SCARD s; SREM s 1000; OBJECT ENCODING s", integers(512)),
        &format!("SADD s x{}; SSCAN s 0 COUNT 1000; SISMEMBER s 9; SMISMEMBER s 0 1 2 3 4 5 nope", integers(300)),
    ]));
    all
}
