//! Scripts of session and lock libraries: what Redis's Lua answers, our programs answer.

use super::{Call, Script};

const COMPARE: &str =
    r#"if redis.call("get",KEYS[1]) == ARGV[1] then return redis.call("del",KEYS[1]) else return 0 end"#;
const REFRESH: &str = r#"if redis.call("get",KEYS[1]) == ARGV[1] then
    return redis.call("expire",KEYS[1],ARGV[2])
else
    return 0
end"#;
const ADD: &str = "return redis.call('exists',KEYS[1])<1 and redis.call('setex',KEYS[1],ARGV[2],ARGV[1])";
const FIELDS: &str = r"
                redis.call('HSET', KEYS[1], 'absexp', ARGV[1], 'sldexp', ARGV[2], 'data', ARGV[4])
                if ARGV[3] ~= '-1' then
                  redis.call('EXPIRE', KEYS[1], ARGV[3])
                end
                return 1";
const INCREMENT: &str = r"
 local exists = redis.call('EXISTS', KEYS[1])
 if (exists == 1) then
   return redis.call('INCRBY', KEYS[1], ARGV[1])
 else return false end
";
const TWO: &str = "redis.call('get',KEYS[1]) redis.call('get',KEYS[2])";
/// SHA1 of [`COMPARE`], which phpredis sends first.
const COMPARE_HASH: &str = "b70c2384248f88e6b75b9f89241a180f856ad852";

fn script(calls: &[&[&str]]) -> Script {
    let words = |call: &&[&str]| Call::Words(call.iter().map(|word| word.as_bytes().to_vec()).collect());
    Script { calls: calls.iter().map(words).collect() }
}

/// Every script on every state of its keys.
pub(crate) fn all() -> Vec<Script> {
    vec![
        script(&[
            &["EVAL", COMPARE, "1", "lock", "mine"],
            &["SET", "lock", "theirs"],
            &["EVAL", COMPARE, "1", "lock", "mine"],
            &["EVALSHA", COMPARE_HASH, "1", "lock", "theirs"],
            &["EVALSHA", &COMPARE_HASH.to_uppercase(), "1", "lock", "theirs"],
            &["GET", "lock"],
            &["EVAL", COMPARE, "0", "x"],
            &["EVAL", COMPARE, "1", "lock"],
            &["EVAL", COMPARE, "-1"],
            &["EVAL", COMPARE, "x"],
            &["EVAL", COMPARE, "2", "lock"],
            &["EVAL", COMPARE],
            &["EVAL_RO", COMPARE, "1", "lock", "mine"],
            &["EVALSHA", "0000000000000000000000000000000000000000", "0"],
            &["EVALSHA", "abc", "0"],
            &["EVALSHA_RO", "abc", "0"],
        ]),
        script(&[
            &["SET", "lock", "mine"],
            &["EVAL", REFRESH, "1", "lock", "mine", "100"],
            &["TTL", "lock"],
            &["EVAL", REFRESH, "1", "lock", "theirs", "200"],
            &["EVAL", REFRESH, "1", "lock", "mine", "never"],
            &["EVAL", REFRESH, "1", "lock", "mine"],
            &["EVAL", REFRESH, "1", "lock", "mine", "-1"],
            &["EXISTS", "lock"],
        ]),
        script(&[
            &["EVAL", ADD, "1", "k", "v", "100"],
            &["EVAL", ADD, "1", "k", "w", "100"],
            &["GET", "k"],
            &["EVAL", ADD, "1", "l", "v", "none"],
            &["EVAL", ADD, "1", "l", "v"],
            &["EVAL", ADD, "1", "l", "v", "0"],
        ]),
        script(&[
            &["EVAL", FIELDS, "1", "item", "-1", "600", "600", "bytes"],
            &["TTL", "item"],
            &["HMGET", "item", "absexp", "sldexp", "data"],
            &["EVAL", FIELDS, "1", "forever", "-1", "-1", "-1", "bytes"],
            &["TTL", "forever"],
            &["SET", "text", "v"],
            &["EVAL", FIELDS, "1", "text", "-1", "-1", "-1", "bytes"],
        ]),
        script(&[
            &["EVAL", INCREMENT, "1", "n", "5"],
            &["SET", "n", "7"],
            &["EVAL", INCREMENT, "1", "n", "5"],
            &["EVAL", INCREMENT, "1", "n", "many"],
            &["SET", "n", "text"],
            &["EVAL", INCREMENT, "1", "n", "5"],
            &["EVAL", TWO, "2", "n", "m"],
            &["EVAL", TWO, "1", "n"],
            &["EVAL_RO", "return 1", "0"],
        ]),
        script(&[
            &["SCRIPT", "LOAD", COMPARE],
            &["SCRIPT", "LOAD", "return 1"],
            &["SCRIPT", "EXISTS", COMPARE_HASH, "0000000000000000000000000000000000000000", "x"],
            &["EVALSHA", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "0"],
            &["SCRIPT", "KILL"],
            &["SCRIPT", "LOAD"],
            &["SCRIPT", "EXISTS"],
            &["SCRIPT", "FLUSH", "never"],
            &["SCRIPT", "FLUSH", "SYNC", "x"],
            &["SCRIPT", "FLUSH", "ASYNC"],
            &["SCRIPT", "NOTHING"],
            &["FUNCTION", "LIST"],
            &["FUNCTION", "LIST", "LIBRARYNAME", "*", "WITHCODE"],
            &["FUNCTION", "LIST", "LIBRARYNAME"],
            &["FUNCTION", "LIST", "x"],
            &["FUNCTION", "FLUSH"],
            &["FUNCTION", "FLUSH", "never"],
            &["FUNCTION", "FLUSH", "SYNC", "extra"],
            &["function", "flUsh", "a", "b"],
            &["FCALL", "none", "0"],
            &["FCALL_RO", "none", "0"],
        ]),
        script(&[
            &["SET", "lock", "mine"],
            &["MULTI"],
            &["EVAL", COMPARE, "1", "lock", "mine"],
            &["EVAL", ADD, "1", "lock", "again", "100"],
            &["GET", "lock"],
            &["EXEC"],
        ]),
    ]
}
