//! The calls on sorted sets.

use super::Script;
use super::cases::{scripts, with_numbers};

/// Every command on sorted sets: what it answers, on nothing, on the wrong type, with wrong words.
pub(crate) fn cases() -> Vec<Script> {
    let mut all = scripts(&[
        "ZADD z 1 a 2 b; ZADD z 3 a 2 b 5 c; ZRANGE z 0 -1; ZRANGE z 0 -1 WITHSCORES; ZCARD z; ZSCORE z a; ZSCORE z nope; ZMSCORE z a nope b; ZRANK z a; ZREVRANK z a; ZRANK z nope; ZREVRANK z nope",
        "ZCARD nope; ZSCORE nope a; ZMSCORE nope a b; ZRANK nope a; ZREVRANK nope a; ZREM nope a; ZCOUNT nope 0 1; ZRANGE nope 0 -1; ZRANGEBYSCORE nope 0 1; ZPOPMIN nope; ZPOPMAX nope 3; ZREMRANGEBYRANK nope 0 1; ZREMRANGEBYSCORE nope 0 1; ZINCRBY nope 1 a",
        "ZADD z NX 1 a; ZADD z NX 2 a; ZSCORE z a; ZADD z XX 3 a; ZADD z XX 3 b; ZCARD z; ZADD z XX CH 4 a; ZADD z CH 4 a 5 b; ZADD z ch 4 a 6 b",
        "ZADD z 5 a; ZADD z GT 3 a; ZADD z GT CH 7 a; ZADD z LT 9 a; ZADD z LT CH 2 a; ZADD z GT 1 b; ZADD z LT 1 c; ZADD z GT XX 1 d; ZRANGE z 0 -1 WITHSCORES",
        "ZADD z INCR 1 a; ZADD z INCR 1.5 a; ZADD z NX INCR 1 a; ZADD z XX INCR 1 b; ZADD z GT INCR -1 a; ZADD z LT INCR -1 a; ZADD z INCR 1 a 2 b; ZRANGE z 0 -1 WITHSCORES",
        "ZADD z NX XX 1 a; ZADD z NX GT 1 a; ZADD z GT LT 1 a; ZADD z NX LT 1 a; ZADD z; ZADD z 1; ZADD z a 1; ZADD z 1 a 2; ZADD z NX; ZADD z NX 1; ZADD z 1 a x b; EXISTS z",
        "ZADD z inf a -inf b +inf c Infinity d; ZRANGE z 0 -1 WITHSCORES; ZINCRBY z -inf a; ZADD z INCR inf b; ZADD z nan e; ZINCRBY z nan a; ZSCORE z a",
        "ZADD z -0 a 0 b; ZSCORE z a; ZADD z 1e17 c 0.1 d 1.5 e 3 f 1e-5 g 123456789.123456789 h; ZRANGE z 0 -1 WITHSCORES; ZSCAN z 0; ZMSCORE z c d g h",
        "ZINCRBY z 1.1 a; ZINCRBY z 1.1 a; ZINCRBY z 1.1 a; ZINCRBY z x a; ZINCRBY z 1; ZINCRBY z 1 a b; ZSCORE z a",
        "ZADD z 1 a 2 b 3 c 4 d 5 e; ZRANGE z 1 3; ZRANGE z -2 -1; ZRANGE z 3 1; ZRANGE z 0 100; ZRANGE z -100 1; ZRANGE z 5 10; ZRANGE z 1 3 REV; ZRANGE z 0 0 REV WITHSCORES; ZREVRANGE z 1 3; ZREVRANGE z 0 1 WITHSCORES",
        "ZADD z 1 a 2 b 3 c 4 d 5 e; ZRANGE z 2 4 BYSCORE; ZRANGE z (2 (4 BYSCORE; ZRANGE z -inf +inf BYSCORE LIMIT 1 2; ZRANGE z 4 2 BYSCORE REV; ZRANGE z 2 4 BYSCORE REV; ZRANGE z +inf -inf BYSCORE REV LIMIT 1 2 WITHSCORES; ZRANGE z 2 4 LIMIT 0 1; ZRANGE z 0 -1 LIMIT 0 -1; ZRANGE z 0 -1 LIMIT 2 -1; ZRANGE z 0 -1 REV LIMIT -1 -1 WITHSCORES",
        "ZADD z 1 a 2 b 3 c 4 d 5 e; ZRANGEBYSCORE z 2 4; ZRANGEBYSCORE z (2 4 WITHSCORES; ZRANGEBYSCORE z -inf inf LIMIT 0 2; ZRANGEBYSCORE z -inf inf LIMIT -1 2; ZRANGEBYSCORE z -inf inf LIMIT 1 -1; ZRANGEBYSCORE z -inf inf LIMIT 10 2; ZRANGEBYSCORE z -inf inf LIMIT 2 0; ZRANGEBYSCORE z 4 2",
        "ZADD z 1 a 2 b 3 c 4 d 5 e; ZREVRANGEBYSCORE z 4 2; ZREVRANGEBYSCORE z 4 (2 WITHSCORES; ZREVRANGEBYSCORE z +inf -inf LIMIT 1 2; ZREVRANGEBYSCORE z 2 4; ZREVRANGEBYSCORE z inf -inf WITHSCORES LIMIT 0 1; ZREVRANGEBYSCORE z 4 2 REV; ZRANGEBYSCORE z 4 2 BYSCORE",
        "ZADD z 0 a 0 b 0 c 0 d 0 aa; ZRANGE z [a [c BYLEX; ZRANGE z (a (c BYLEX; ZRANGE z - + BYLEX; ZRANGE z + - BYLEX; ZRANGE z [c [a BYLEX REV; ZRANGE z + - BYLEX REV LIMIT 1 2; ZRANGE z - + BYLEX LIMIT 1 2; ZRANGE z a c BYLEX; ZRANGE z [a [c BYLEX WITHSCORES; ZRANGE z [ [z BYLEX",
        "ZADD z 1 a; ZRANGE z x 1; ZRANGE z 0 x; ZRANGE z 0 1.5; ZRANGE z x 1 BYSCORE; ZRANGE z (x 1 BYSCORE; ZRANGE z nan 1 BYSCORE; ZRANGE z \"\" 1 BYSCORE; ZRANGE z ( 1 BYSCORE; ZRANGE z 0 \" 5\" BYSCORE; ZRANGE z 0 \"5 \" BYSCORE; ZRANGE z 0 1e400 BYSCORE; ZRANGE z 0 0x10 BYSCORE",
        "ZADD z 1 a; ZRANGE z 0 1 LIMIT; ZRANGE z 0 1 BYSCORE LIMIT 0; ZRANGE z 0 1 BYSCORE LIMIT x 1; ZRANGE z 0 1 BYSCORE LIMIT 0 x; ZRANGE z 0 1 NONSENSE; ZRANGE z; ZRANGE z 0; ZREVRANGE z 0; ZREVRANGE z 0 1 BYSCORE; ZREVRANGE z 0 1 LIMIT 0 1; ZRANGEBYSCORE z 0; ZRANGE z 0 1 BYSCORE BYLEX",
        "ZADD z 1 a 2 b 3 c; ZCOUNT z 1 2; ZCOUNT z (1 3; ZCOUNT z -inf +inf; ZCOUNT z 3 1; ZCOUNT z x 1; ZCOUNT z 1; ZCOUNT z 1 2 3",
        "ZADD z 1 a 2 b 3 c 4 d; ZREMRANGEBYSCORE z 2 3; ZRANGE z 0 -1; ZREMRANGEBYSCORE z (1 (4; ZREMRANGEBYSCORE z -inf inf; EXISTS z; ZREMRANGEBYSCORE z x 1; ZREMRANGEBYSCORE z 1",
        "ZADD z 1 a 2 b 3 c 4 d; ZREMRANGEBYRANK z 1 2; ZRANGE z 0 -1; ZREMRANGEBYRANK z 5 9; ZREMRANGEBYRANK z -1 -1; ZREMRANGEBYRANK z 0 -1; EXISTS z; ZREMRANGEBYRANK z x 1; ZREMRANGEBYRANK z 1",
        "ZADD z 1 a 2 b 3 c 4 d; ZPOPMIN z; ZPOPMAX z; ZPOPMIN z 0; ZPOPMIN z -1; ZPOPMIN z x; ZPOPMAX z 5; EXISTS z; ZPOPMIN z 1 2; ZPOPMIN; ZPOPMAX",
        "ZADD z 1 a 2 b; ZPOPMIN z 1; ZADD z 1 a 1 b 1 c; ZPOPMAX z 2; ZPOPMAX z 1; EXISTS z",
        "ZADD z 1 a 2 b; ZREM z a nope; ZREM z b; EXISTS z; TYPE z; ZREM z; ZCARD; ZSCORE z; ZMSCORE z; ZRANK z; ZRANK z a b c; ZSCORE z a b; ZADD z 1 a; EXPIRE z 100; ZADD z 2 b; TTL z; ZREM z a; TTL z",
        "ZADD z 1 a 2 b; ZSCAN z 0; ZSCAN z 0 MATCH a*; ZSCAN z 0 COUNT 1; ZSCAN nope 0; ZSCAN z x; ZSCAN z 0 COUNT 0; ZSCAN z 0 NONSENSE; ZSCAN z; ZSCAN z 0 NOVALUES",
        "SET k x; ZADD k 1 a; ZADD k XX 1 a; ZINCRBY k 1 a; ZREM k a; ZCARD k; ZSCORE k a; ZMSCORE k a; ZRANK k a; ZREVRANK k a; ZCOUNT k 0 1; ZRANGE k 0 -1; ZREVRANGE k 0 -1; ZRANGEBYSCORE k 0 1; ZREVRANGEBYSCORE k 1 0; ZPOPMIN k; ZPOPMAX k 1; ZREMRANGEBYSCORE k 0 1; ZREMRANGEBYRANK k 0 1; ZSCAN k 0; ZADD k x a; GET k",
        "ZADD z 1 a; GET z; HGETALL z; SMEMBERS z; TYPE z; SCAN 0 TYPE zset; SCAN 0 TYPE set; STRLEN z; DEL z",
        "MULTI; ZADD z 1 a 2 b; ZINCRBY z 5 a; ZRANGE z 0 -1 WITHSCORES; ZPOPMIN z; ZREM z a; EXISTS z; EXEC",
        r#"ZADD z 1 "" 1 \0\xff\r\n; ZRANGE z 0 -1; ZSCORE z ""; ZRANK z \0\xff\r\n"#,
    ]);
    all.extend(with_numbers(&[
        "ZADD z N a; ZSCORE z a; ZINCRBY z N a; ZINCRBY z N b; ZSCAN z 0",
        "ZADD z 1 a 2 b 3 c; ZRANGE z N -1; ZRANGE z 0 N; ZREVRANGE z N 1; ZREMRANGEBYRANK z N N; ZCARD z",
        "ZADD z 1 a 2 b 100 c; ZRANGEBYSCORE z N inf; ZRANGEBYSCORE z -inf (N; ZCOUNT z N N; ZRANGE z N 200 BYSCORE; ZRANGEBYSCORE z -inf inf LIMIT N 2; ZRANGEBYSCORE z -inf inf LIMIT 1 N",
        "ZADD z 1 a 2 b 3 c; ZPOPMIN z N; ZCARD z",
        "ZADD z 1 a; ZSCAN z N; ZSCAN z 0 COUNT N",
    ]));
    let members = |n: i32| (0..n).map(|i| format!(" {} m{i}", i * 7 % n)).collect::<String>();
    let long = |n: usize| "x".repeat(n);
    all.extend(scripts(&[
        &format!("ZADD z 1 {}; OBJECT ENCODING z; ZADD z 1 {}; OBJECT ENCODING z; ZREM z {}; OBJECT ENCODING z", long(64), long(65), long(65)),
        &format!("ZADD z 1 {}; OBJECT ENCODING z; ZADD z -0 a; ZSCORE z a; ZADD z 1e17 b; ZSCAN z 0 COUNT 1000", long(65)),
        &format!("ZADD z{}; OBJECT ENCODING z; ZADD z -0 new; OBJECT ENCODING z; ZSCORE z new; ZRANGE z 0 -1 WITHSCORES; ZSCAN z 0 COUNT 1000; ZREMRANGEBYRANK z 0 50; OBJECT ENCODING z; ZRANK z m100", members(128)),
    ]));
    all
}
