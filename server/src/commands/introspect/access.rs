//! What a command does with its keys, as Redis 7.0 says it in COMMAND INFO: a proxy routes and a client caches by it.

/// Reads and writes what is there.
const RW: &str = "RW";
/// Only reads.
const RO: &str = "RO";
/// Overwrites without looking.
const OW: &str = "OW";
/// Removes.
const RM: &str = "RM";

/// The flags of each group of keys of a command, by its full name; where a command has several groups (RENAME),
/// each is one key, the first at word 1. None for what follows from the command's own flags.
pub(super) fn of(name: &str) -> Option<&'static [&'static [&'static str]]> {
    Some(match name {
        "append" | "hsetnx" | "sadd" => &[&[RW, "insert"]],
        "copy" => &[&[RO, "access"], &[OW, "update"]],
        "del" | "unlink" => &[&[RM, "delete"]],
        "eval" | "evalsha" | "fcall" => &[&[RW, "access", "update"]],
        "exists" | "hexists" | "hlen" | "hstrlen" | "memory|usage" | "object|encoding" | "object|freq"
        | "object|idletime" | "object|refcount" | "scard" | "sismember" | "strlen" | "touch" | "type"
        | "watch" | "zcard" => &[&[RO]],
        "expire" | "expireat" | "hmset" | "hset" | "persist" | "pexpire" | "pexpireat" | "setrange"
        | "zadd" => &[&[RW, "update"]],
        "getdel" | "spop" | "zpopmax" | "zpopmin" => &[&[RW, "access", "delete"]],
        "hdel" | "srem" | "zrem" | "zremrangebyrank" | "zremrangebyscore" => &[&[RW, "delete"]],
        "mset" | "psetex" | "setex" => &[&[OW, "update"]],
        "msetnx" | "setnx" => &[&[OW, "insert"]],
        "rename" => &[&[RW, "access", "delete"], &[OW, "update"]],
        "renamenx" => &[&[RW, "access", "delete"], &[OW, "insert"]],
        "set" => &[&[RW, "access", "update", "variable_flags"]],
        "spublish" | "ssubscribe" | "sunsubscribe" => &[&["not_key"]],
        _ => return None,
    })
}
