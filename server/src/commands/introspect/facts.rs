//! What COMMAND says of a command beside its row, as Redis 7.0 says it: tips for proxies that split commands over
//! shards, and what is done with each group of keys.

use crate::commands::Command;
use gs_resp::{Args, Flags};

/// A note, and the words for what is done with the keys.
pub(super) type Access = (&'static str, &'static [&'static str]);

struct Facts {
    name: &'static str,
    tips: &'static [&'static str],
    /// One for each group of keys; none where the row's flags say it all.
    access: &'static [Access],
}

const fn facts(name: &'static str, tips: &'static [&'static str], access: &'static [Access]) -> Facts {
    Facts { name, tips, access }
}

/// Sorted by name.
const TABLE: &[Facts] = &[
    facts("append", &[], &[("", &["RW", "insert"])]),
    facts("client|info", &["nondeterministic_output"], &[]),
    facts("client|list", &["nondeterministic_output"], &[]),
    facts("command", &["nondeterministic_output_order"], &[]),
    facts("command|docs", &["nondeterministic_output_order"], &[]),
    facts("command|info", &["nondeterministic_output_order"], &[]),
    facts("command|list", &["nondeterministic_output_order"], &[]),
    facts("config|set", &["request_policy:all_nodes", "response_policy:all_succeeded"], &[]),
    facts("copy", &[], &[("", &["RO", "access"]), ("", &["OW", "update"])]),
    facts("dbsize", &["request_policy:all_shards", "response_policy:agg_sum"], &[]),
    facts("del", &["request_policy:multi_shard", "response_policy:agg_sum"], &[("", &["RM", "delete"])]),
    facts(
        "eval",
        &[],
        &[(
            "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE",
            &["RW", "access", "update"],
        )],
    ),
    facts(
        "eval_ro",
        &[],
        &[(
            "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS",
            &["RO", "access"],
        )],
    ),
    facts("evalsha", &[], &[("", &["RW", "access", "update"])]),
    facts("exists", &["request_policy:multi_shard", "response_policy:agg_sum"], &[("", &["RO"])]),
    facts("expire", &[], &[("", &["RW", "update"])]),
    facts("expireat", &[], &[("", &["RW", "update"])]),
    facts(
        "fcall",
        &[],
        &[(
            "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE",
            &["RW", "access", "update"],
        )],
    ),
    facts(
        "fcall_ro",
        &[],
        &[(
            "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS",
            &["RO", "access"],
        )],
    ),
    facts("flushall", &["request_policy:all_shards", "response_policy:all_succeeded"], &[]),
    facts("flushdb", &["request_policy:all_shards", "response_policy:all_succeeded"], &[]),
    facts("function|flush", &["request_policy:all_shards", "response_policy:all_succeeded"], &[]),
    facts("function|list", &["nondeterministic_output_order"], &[]),
    facts(
        "function|stats",
        &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        &[],
    ),
    facts("getdel", &[], &[("", &["RW", "access", "delete"])]),
    facts("getex", &[], &[("RW and UPDATE because it changes the TTL", &["RW", "access", "update"])]),
    facts("hdel", &[], &[("", &["RW", "delete"])]),
    facts("hexists", &[], &[("", &["RO"])]),
    facts("hgetall", &["nondeterministic_output_order"], &[]),
    facts("hkeys", &["nondeterministic_output_order"], &[]),
    facts("hlen", &[], &[("", &["RO"])]),
    facts("hmset", &[], &[("", &["RW", "update"])]),
    facts("hrandfield", &["nondeterministic_output"], &[]),
    facts("hscan", &["nondeterministic_output"], &[]),
    facts("hset", &[], &[("", &["RW", "update"])]),
    facts("hsetnx", &[], &[("", &["RW", "insert"])]),
    facts("hstrlen", &[], &[("", &["RO"])]),
    facts("hvals", &["nondeterministic_output_order"], &[]),
    facts("info", &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"], &[]),
    facts("keys", &["request_policy:all_shards", "nondeterministic_output_order"], &[]),
    facts(
        "latency|doctor",
        &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
        &[],
    ),
    facts(
        "latency|graph",
        &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
        &[],
    ),
    facts(
        "latency|histogram",
        &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
        &[],
    ),
    facts(
        "latency|history",
        &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
        &[],
    ),
    facts(
        "latency|latest",
        &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
        &[],
    ),
    facts("latency|reset", &["request_policy:all_nodes", "response_policy:all_succeeded"], &[]),
    facts(
        "memory|doctor",
        &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        &[],
    ),
    facts(
        "memory|malloc-stats",
        &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        &[],
    ),
    facts("memory|purge", &["request_policy:all_shards", "response_policy:all_succeeded"], &[]),
    facts(
        "memory|stats",
        &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        &[],
    ),
    facts("memory|usage", &[], &[("", &["RO"])]),
    facts("mget", &["request_policy:multi_shard"], &[]),
    facts("module|list", &["nondeterministic_output_order"], &[]),
    facts(
        "mset",
        &["request_policy:multi_shard", "response_policy:all_succeeded"],
        &[("", &["OW", "update"])],
    ),
    facts("msetnx", &["request_policy:multi_shard", "response_policy:agg_min"], &[("", &["OW", "insert"])]),
    facts("object|encoding", &["nondeterministic_output"], &[("", &["RO"])]),
    facts("object|freq", &["nondeterministic_output"], &[("", &["RO"])]),
    facts("object|idletime", &["nondeterministic_output"], &[("", &["RO"])]),
    facts("object|refcount", &["nondeterministic_output"], &[("", &["RO"])]),
    facts("persist", &[], &[("", &["RW", "update"])]),
    facts("pexpire", &[], &[("", &["RW", "update"])]),
    facts("pexpireat", &[], &[("", &["RW", "update"])]),
    facts("ping", &["request_policy:all_shards", "response_policy:all_succeeded"], &[]),
    facts("psetex", &[], &[("", &["OW", "update"])]),
    facts("pttl", &["nondeterministic_output"], &[]),
    facts("randomkey", &["request_policy:all_shards", "nondeterministic_output"], &[]),
    facts("rename", &[], &[("", &["RW", "access", "delete"]), ("", &["OW", "update"])]),
    facts("renamenx", &[], &[("", &["RW", "access", "delete"]), ("", &["OW", "insert"])]),
    facts("sadd", &[], &[("", &["RW", "insert"])]),
    facts("scan", &["nondeterministic_output", "request_policy:special"], &[]),
    facts("scard", &[], &[("", &["RO"])]),
    facts("script|exists", &["request_policy:all_shards", "response_policy:agg_logical_and"], &[]),
    facts("script|flush", &["request_policy:all_nodes", "response_policy:all_succeeded"], &[]),
    facts("script|kill", &["request_policy:all_shards", "response_policy:one_succeeded"], &[]),
    facts("script|load", &["request_policy:all_nodes", "response_policy:all_succeeded"], &[]),
    facts(
        "set",
        &[],
        &[(
            "RW and ACCESS due to the optional `GET` argument",
            &["RW", "access", "update", "variable_flags"],
        )],
    ),
    facts("setex", &[], &[("", &["OW", "update"])]),
    facts("setnx", &[], &[("", &["OW", "insert"])]),
    facts("setrange", &[], &[("", &["RW", "update"])]),
    facts("sismember", &[], &[("", &["RO"])]),
    facts("slowlog|get", &["request_policy:all_nodes", "nondeterministic_output"], &[]),
    facts(
        "slowlog|len",
        &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
        &[],
    ),
    facts("slowlog|reset", &["request_policy:all_nodes", "response_policy:all_succeeded"], &[]),
    facts("smembers", &["nondeterministic_output_order"], &[]),
    facts("spop", &["nondeterministic_output"], &[("", &["RW", "access", "delete"])]),
    facts("spublish", &[], &[("", &["not_key"])]),
    facts("srandmember", &["nondeterministic_output"], &[]),
    facts("srem", &[], &[("", &["RW", "delete"])]),
    facts("sscan", &["nondeterministic_output"], &[]),
    facts("ssubscribe", &[], &[("", &["not_key"])]),
    facts("strlen", &[], &[("", &["RO"])]),
    facts("sunsubscribe", &[], &[("", &["not_key"])]),
    facts("time", &["nondeterministic_output"], &[]),
    facts("touch", &["request_policy:multi_shard", "response_policy:agg_sum"], &[("", &["RO"])]),
    facts("ttl", &["nondeterministic_output"], &[]),
    facts("type", &[], &[("", &["RO"])]),
    facts("unlink", &["request_policy:multi_shard", "response_policy:agg_sum"], &[("", &["RM", "delete"])]),
    facts("wait", &["request_policy:all_shards", "response_policy:agg_min"], &[]),
    facts("watch", &[], &[("", &["RO"])]),
    facts("zadd", &[], &[("", &["RW", "update"])]),
    facts("zcard", &[], &[("", &["RO"])]),
    facts("zpopmax", &[], &[("", &["RW", "access", "delete"])]),
    facts("zpopmin", &[], &[("", &["RW", "access", "delete"])]),
    facts("zrem", &[], &[("", &["RW", "delete"])]),
    facts("zremrangebyrank", &[], &[("", &["RW", "delete"])]),
    facts("zremrangebyscore", &[], &[("", &["RW", "delete"])]),
    facts("zscan", &["nondeterministic_output"], &[]),
];

fn find(row: &Command) -> Option<&'static Facts> {
    let name = row.spec.full_name();
    TABLE.binary_search_by(|facts| facts.name.cmp(&name)).ok().map(|i| &TABLE[i])
}

/// The tips of a command.
pub(super) fn tips(row: &Command) -> &'static [&'static str] {
    find(row).map_or(&[], |facts| facts.tips)
}

/// What a command does with its keys, one for each group of them.
pub(super) fn access(row: &Command) -> &'static [Access] {
    match find(row).map(|facts| facts.access) {
        Some(access) if !access.is_empty() => access,
        _ if row.spec.flags.contains(Flags::WRITE) => &[("", &["RW", "access", "update"])],
        _ => &[("", &["RO", "access"])],
    }
}

/// What this call does with the `n`th of its keys.
pub(super) fn access_of(row: &Command, args: Args<'_>, n: usize) -> &'static [&'static str] {
    let groups = access(row);
    let (_, words) = groups[n.min(groups.len() - 1)];
    if !words.contains(&"variable_flags") {
        return words;
    }
    // SET reads what was there only where it is asked to.
    if args.skip(3).iter().any(|word| word.eq_ignore_ascii_case(b"get")) {
        &["RW", "access", "update"]
    } else {
        &["OW", "update"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::table;

    /// A name out of order is never found, and one that is no command says nothing to anybody.
    #[test]
    fn the_table_is_sorted_and_about_commands() {
        assert!(TABLE.is_sorted_by(|a, b| a.name < b.name));
        for facts in TABLE {
            let row = table::find_full(facts.name.as_bytes());
            assert!(row.is_some_and(|row| find(row).is_some()), "{}", facts.name);
        }
    }
}
