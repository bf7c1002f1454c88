//! The calls on parts of strings, on strings as numbers, and on keys under other names.

use super::Script;
use super::cases::{scripts, with_numbers};

/// GETRANGE, SETRANGE, INCRBYFLOAT, MSETNX, LCS, and what GETEX and the like do.
pub(crate) fn parts() -> Vec<Script> {
    let mut all = scripts(&[
        "SET a Hello; GETRANGE a 0 -1; GETRANGE a 1 3; GETRANGE a -3 -1; GETRANGE a 3 1; GETRANGE a -1 -3; GETRANGE a 5 10; GETRANGE a -100 100; GETRANGE a -100 -50; GETRANGE nope 0 -1; SUBSTR a 1 2",
        "GETRANGE a; GETRANGE a 0; GETRANGE a x 1; GETRANGE a 0 x; GETRANGE a 0 1 2; SUBSTR a; SET a 1234; GETRANGE a 1 2; SET e \"\"; GETRANGE e 0 -1",
        "SETRANGE a 5 x; GET a; SETRANGE a 0 Hello; GET a; SETRANGE a 2 \"\"; SETRANGE nope 5 \"\"; EXISTS nope; SETRANGE a -1 x; SETRANGE a x x; SETRANGE a; SETRANGE a 1; SETRANGE a 536870912 x",
        "SET a 123 EX 100; SETRANGE a 1 x; GET a; TTL a; APPEND a yz; TTL a; INCRBYFLOAT a 1; SET a 5 EX 100; INCRBYFLOAT a 1.5; TTL a; INCR a; TTL a",
        "MSETNX a 1 b 2; MSETNX b 3 c 4; MGET a b c; MSETNX c 1 c 2; GET c; MSETNX; MSETNX a; MSETNX a 1 b; MSETNX d 1; GET d",
        "INCRBYFLOAT a 1.5; INCRBYFLOAT a 0.1; INCRBYFLOAT a -1; INCRBYFLOAT a 5.0e3; GET a; INCRBYFLOAT a x; SET s x; INCRBYFLOAT s 1; INCRBYFLOAT a; INCRBYFLOAT a 1 2",
        "SET a 3.0e3; INCRBYFLOAT a 200; SET a 10.50; INCRBYFLOAT a 0.1; INCRBYFLOAT a -5; SET a \" 1\"; INCRBYFLOAT a 1; SET a 1\\0; INCRBYFLOAT a 1; SET a \"\"; INCRBYFLOAT a 1",
        "INCRBYFLOAT a 1e4932; INCRBYFLOAT a 1e4932; GET a; INCRBYFLOAT b 1e-4950; INCRBYFLOAT b 1e-4960; INCRBYFLOAT c 1e5000; INCRBYFLOAT d inf; INCRBYFLOAT d -inf; INCRBYFLOAT d nan",
        "INCRBYFLOAT a 3.14159265358979323846; INCRBYFLOAT a 2.71828182845904523536; INCRBYFLOAT a 1e15; INCRBYFLOAT a 0.3; INCRBYFLOAT a -1e15; INCRBYFLOAT b 0.1; INCRBYFLOAT b 0.2; INCRBYFLOAT b -0.3",
        "INCRBYFLOAT a 18446744073709551615; INCRBYFLOAT a 1; INCRBYFLOAT a 1; INCRBYFLOAT a 0.5; INCRBYFLOAT b 9007199254740993; INCRBYFLOAT b 0.00000000000000001; INCRBYFLOAT b -0.000000000000000005",
        "INCRBYFLOAT a 0x1p-3; INCRBYFLOAT a 0x.8; INCRBYFLOAT a 0xg; INCRBYFLOAT a 0x; INCRBYFLOAT a 1e; INCRBYFLOAT a .; INCRBYFLOAT a .5; INCRBYFLOAT a 5.; INCRBYFLOAT a 1_0",
        "SET a ohmytext; SET b mynewtext; LCS a b; LCS a b LEN; LCS a b IDX; LCS a b IDX MINMATCHLEN 4; LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN; LCS a b IDX WITHMATCHLEN; LCS a b withmatchlen; lcs a b len minmatchlen 100",
        "LCS a b; LCS a b LEN; LCS a b IDX; SET a x; LCS a b; LCS a a; LCS a; LCS a b LEN IDX; LCS a b NONSENSE; LCS a b MINMATCHLEN; LCS a b MINMATCHLEN x; LCS a b IDX MINMATCHLEN -3; HSET h f v; LCS a h; LCS h a LEN",
        "SET a aabbaabb; SET b abababab; LCS a b; LCS a b IDX WITHMATCHLEN; LCS b a IDX WITHMATCHLEN; SET a xxabcxxdefxx; SET b abcdef; LCS a b IDX; LCS b a IDX MINMATCHLEN 3",
        "SET a x; GETEX a EX 100; TTL a; GETEX a PERSIST; TTL a; GETEX a PX 100000; GETEX a EXAT 3400000000; GETEX a PXAT 1; EXISTS a; GETEX nope EX 10; GETEX nope",
        "GETEX a EX; GETEX a EX 0; GETEX a EX -1; GETEX a EX x; GETEX a PERSIST EX 1; GETEX a KEEPTTL; GETEX a NX; SET a x; GETEX a EX 0; GETEX a EX x; GETEX a NONSENSE; GETEX; GET a",
        "SET a x; GETDEL a; EXISTS a; GETDEL a; GETDEL; GETDEL a b; GETSET a 1; GETSET a 2; GET a; SET a 1 EX 100; GETSET a 2; TTL a",
        "HSET h f v; GETDEL h; GETEX h; GETEX h EX 10; GETSET h x; SET h x GET; SET h x NX GET; SET h x XX GET; TYPE h; APPEND h x; STRLEN h; INCR h; INCRBY h x; DECR h; INCRBYFLOAT h x; MSETNX h 1 i 2; SETNX h 1; TTL h; SET h x XX; GET h",
        "APPEND a x; APPEND a y; GET a; STRLEN a; APPEND a \"\"; APPEND nope \"\"; EXISTS nope; APPEND a; INCR n; DECR n; DECRBY n 5; INCRBY n 10; GET n; DECRBY n x; DECRBY n -9223372036854775808",
        "SET a 1; OBJECT ENCODING a; SET a x; OBJECT ENCODING a; SET a 01; OBJECT ENCODING a; SET a -5; OBJECT ENCODING a; SET a 12345678901234567890; OBJECT ENCODING a; OBJECT ENCODING nope; OBJECT REFCOUNT nope; OBJECT IDLETIME a; OBJECT FREQ a; OBJECT FREQ nope; OBJECT; OBJECT NONSENSE a; OBJECT ENCODING",
        "SET a aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; OBJECT ENCODING a; SET a aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; OBJECT ENCODING a; OBJECT HELP; MEMORY USAGE nope; MEMORY USAGE nope SAMPLES 5; MEMORY USAGE nope SAMPLES; MEMORY USAGE nope SAMPLES -1; MEMORY USAGE; MEMORY NONSENSE",
    ]);
    all.extend(with_numbers(&[
        "SET a Hello; GETRANGE a N -1; GETRANGE a 0 N; GETRANGE a N N",
        "INCRBYFLOAT a N; SET b N; INCRBYFLOAT b 1; INCRBYFLOAT b N",
        "SET a 5; INCRBY a N; DECRBY a N; GET a",
        "SET a x; GETEX a EX N; TTL a; EXISTS a",
    ]));
    all
}

/// Keys renamed, copied and moved, with what they hold and when they end.
pub(crate) fn names() -> Vec<Script> {
    let mut all = scripts(&[
        "SET a 1; RENAME a b; GET a; GET b; RENAME a b; RENAME nope nope; RENAME b b; GET b; RENAME b; RENAME; RENAME a b c",
        "SET a 1 EX 100; SET b 2; RENAME a b; GET b; TTL b; SET a 1; RENAME a b; TTL b; HSET h f v; RENAME h b; TYPE b; HGETALL b; EXISTS h",
        "SET a 1; SET b 2; RENAMENX a b; RENAMENX a c; GET c; RENAMENX nope a; RENAMENX nope nope; RENAMENX c c; RENAMENX c; MGET a b c",
        "SET a 1 EX 100; COPY a b; TTL b; GET b; COPY a b; SET a 2; COPY a b; GET b; COPY a b REPLACE; GET b; COPY nope b; COPY nope b REPLACE; GET b; COPY a a; COPY a",
        "SET a 1; COPY a a DB 1; SELECT 1; GET a; SET a 2; COPY a a DB 0; COPY a a DB 0 REPLACE; SELECT 0; GET a; COPY a b DB 1 REPLACE; COPY a a DB 0; COPY nope nope DB 1",
        "SET a 1; COPY a b DB; COPY a b DB x; COPY a b DB 16; COPY a b DB -1; COPY a b DB 99999999999; COPY a b NONSENSE; COPY a b REPLACE DB 1; COPY a b replace replace; EXISTS b",
        "SADD s 1 2 x; COPY s t; SADD t 3; SCARD s; SCARD t; OBJECT ENCODING t; ZADD z 1 a; COPY z y; ZSCORE y a; HSET h f v; COPY h z; COPY h z REPLACE; TYPE z",
        "SET a 1 EX 100; MOVE a 1; EXISTS a; SELECT 1; GET a; TTL a; SELECT 0; MOVE a 1; SET a 2; MOVE a 1; GET a; MOVE a 0; MOVE a 16; MOVE a -1; MOVE a x; MOVE a 99999999999; MOVE a; MOVE nope 1",
        "HSET h f v; MOVE h 1; TYPE h; SELECT 1; HGETALL h; RENAME h i; HGETALL i; MOVE i 0; SELECT 0; HGETALL i; DBSIZE",
        "MULTI; SET a 1; RENAME a b; COPY b c; COPY b d DB 1; MOVE c 1; RENAMENX b e; EXEC; MGET a b c d e; SELECT 1; MGET c d",
        "SET a 1; MULTI; KEYS *; SCAN 0; SCAN 0 MATCH a TYPE string; SCAN 0 TYPE hash; RANDOMKEY; DBSIZE; EXEC",
        "SET a 1; TOUCH a a nope; TOUCH nope; TOUCH; EXISTS a a nope; SET b x; TOUCH a b; UNLINK a b nope; TYPE a",
        "RANDOMKEY; SET a 1; RANDOMKEY; RANDOMKEY x",
        "HSET h f v EX; EXPIRE nope 5 NX; HSET h f v; EXPIRE h 100 XX; EXPIRE h 100 GT; EXPIRE h 100 LT; TTL h; EXPIRE h 50 GT; EXPIRE h 200 GT; TTL h; EXPIREAT h 3400000000 NX; PEXPIREAT h 3400000000000 GT; EXPIRETIME h; PEXPIRETIME h; EXPIRE h 0; EXISTS h",
    ]);
    all.extend(with_numbers(&["SET a 1; MOVE a N; EXISTS a", "SET a 1; COPY a b DB N; EXISTS b"]));
    all
}

/// What clients and proxies are told of the commands on data: words, flags, categories, keys.
pub(crate) fn rows() -> Vec<Script> {
    let names = "append copy decr decrby del exists expire expireat expiretime get getdel getex getrange getset hdel \
                 hexists hget hgetall hincrby hincrbyfloat hkeys hlen hmget hmset hrandfield hscan hset hsetnx hstrlen \
                 hvals incr incrby incrbyfloat lcs mget move mset msetnx persist pexpire psetex pttl rename renamenx sadd \
                 scard set setex setnx setrange sismember smembers smismember spop srandmember srem sscan strlen substr \
                 touch ttl type unlink zadd zcard zcount zincrby zmscore zpopmax zpopmin zrange zrangebyscore zrank zrem \
                 zremrangebyrank zremrangebyscore zrevrange zrevrangebyscore zrevrank zscan zscore";
    let each = |name: &str| format!("COMMAND INFO {name}; COMMAND GETKEYS {name} a b c d");
    scripts(
        &names
            .split_whitespace()
            .map(each)
            .collect::<Vec<_>>()
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
    )
}
