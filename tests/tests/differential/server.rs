//! CONFIG, INFO, SLOWLOG, LATENCY, MEMORY, ACL and the rest of what operators and exporters ask of a server.

use super::Script;
use super::cases::{scripts, with_numbers};

pub(crate) fn all() -> Vec<Script> {
    let mut all = scripts(&[
        "CONFIG; CONFIG NONSENSE; CONFIG HELP; CONFIG HELP x; CONFIG GET; CONFIG GET timeout; CONFIG GET TimeOut; CONFIG GET save appendonly; CONFIG GET nosuch nosuch; CONFIG GET save save SAVE; CONFIG GET timeou[t]",
        "CONFIG SET; CONFIG SET x; CONFIG SET foo bar; CONFIG SET timeout; CONFIG SET timeout 1 foo; CONFIG SET timeout 5 foo 1; CONFIG SET foo 1 timeout x; CONFIG GET timeout",
        "CONFIG SET timeout 5 timeout 6; CONFIG SET timeout 5 TIMEOUT 6; CONFIG SET timeout 7 maxclients x; CONFIG GET timeout; CONFIG SET timeout 7 tcp-keepalive 60; CONFIG GET timeout; CONFIG GET tcp-keepalive; CONFIG SET timeout 0 tcp-keepalive 300",
        "CONFIG SET maxclients x; CONFIG SET timeout x; CONFIG SET timeout 1.5; CONFIG SET slowlog-log-slower-than x; CONFIG SET slowlog-max-len x; CONFIG SET latency-monitor-threshold x; CONFIG SET tcp-keepalive abc",
        "CONFIG SET databases 3; CONFIG SET daemonize yes; CONFIG SET cluster-enabled yes; CONFIG SET latency-tracking x; CONFIG SET latency-tracking no; CONFIG GET latency-tracking; CONFIG SET latency-tracking YES; CONFIG GET latency-tracking",
        "CONFIG SET slowlog-log-slower-than -1 slowlog-max-len 5 latency-monitor-threshold 100; CONFIG GET slowlog-log-slower-than; CONFIG GET slowlog-max-len; CONFIG GET latency-monitor-threshold; CONFIG SET slowlog-log-slower-than 10000 slowlog-max-len 128 latency-monitor-threshold 0",
        "CONFIG SET notify-keyspace-events Egx; CONFIG GET notify-keyspace-events; CONFIG SET notify-keyspace-events foo; CONFIG SET notify-keyspace-events KEA; CONFIG GET notify-keyspace-events; CONFIG SET notify-keyspace-events \"\"; CONFIG GET notify-keyspace-events",
        "CONFIG SET save \"\"; CONFIG SET appendonly no; CONFIG GET appendonly; CONFIG SET loglevel notice; CONFIG GET loglevel; CONFIG SET loglevel WARNING; CONFIG GET loglevel; CONFIG SET loglevel notice; CONFIG SET requirepass \"\"",
        "CONFIG REWRITE; CONFIG REWRITE x; CONFIG RESETSTAT x; CONFIG RESETSTAT",
        "SLOWLOG; SLOWLOG NONSENSE; SLOWLOG HELP; SLOWLOG GET x; SLOWLOG GET -2; SLOWLOG GET 1 2; SLOWLOG LEN x; SLOWLOG RESET x; CONFIG SET slowlog-log-slower-than -1; SLOWLOG RESET; SLOWLOG LEN; SLOWLOG GET; CONFIG SET slowlog-log-slower-than 10000",
        "LATENCY; LATENCY NONSENSE; LATENCY HELP; LATENCY LATEST; LATENCY LATEST x; LATENCY HISTORY; LATENCY HISTORY foo; LATENCY HISTORY a b; LATENCY RESET; LATENCY RESET foo bar; LATENCY GRAPH; LATENCY GRAPH foo; LATENCY DOCTOR x; LATENCY DOCTOR; LATENCY HISTOGRAM nosuch; SET a 1; LATENCY HISTOGRAM set",
        "CONFIG SET latency-monitor-threshold 1000000; LATENCY DOCTOR; CONFIG SET latency-monitor-threshold 0; LATENCY DOCTOR",
        "MEMORY; MEMORY NONSENSE; MEMORY HELP; MEMORY USAGE; SET a 1; MEMORY USAGE a; MEMORY USAGE a SAMPLES; MEMORY USAGE a SAMPLES x; MEMORY USAGE a SAMPLES -1; MEMORY USAGE a SAMPLES 0; MEMORY USAGE a foo 1; MEMORY USAGE nope; MEMORY DOCTOR; MEMORY DOCTOR x; MEMORY PURGE x; MEMORY STATS; MEMORY STATS x; MEMORY MALLOC-STATS x",
        "MODULE; MODULE LIST; MODULE LIST x; MODULE NONSENSE; MODULE HELP; OBJECT; OBJECT HELP; OBJECT HELP x; OBJECT NONSENSE",
        "ACL; ACL WHOAMI; ACL WHOAMI x; ACL LIST; ACL LIST x; ACL USERS; ACL GETUSER; ACL GETUSER default; ACL GETUSER nosuch; ACL CAT; ACL CAT foo; ACL CAT a b; ACL CAT connection; ACL NONSENSE; ACL HELP",
        "COMMAND NONSENSE; COMMAND COUNT x; COMMAND INFO nosuch; COMMAND DOCS nosuch; COMMAND LIST foo; COMMAND LIST FILTERBY; COMMAND LIST FILTERBY foo x; COMMAND LIST FILTERBY MODULE x; COMMAND LIST FILTERBY ACLCAT foo; COMMAND LIST FILTERBY PATTERN client|lis*; COMMAND LIST FILTERBY pattern nosuch*",
        "COMMAND GETKEYS; COMMAND GETKEYS get; COMMAND GETKEYS foo x; COMMAND GETKEYS get a; COMMAND GETKEYS ping x; COMMAND GETKEYS mset a; COMMAND GETKEYS mset a 1 b 2; COMMAND GETKEYS eval x 0; COMMAND GETKEYS object freq a; COMMAND GETKEYS client kill",
        "COMMAND GETKEYSANDFLAGS; COMMAND GETKEYSANDFLAGS ping x; COMMAND GETKEYSANDFLAGS nosuch a; COMMAND GETKEYSANDFLAGS get a; COMMAND GETKEYSANDFLAGS set a b; COMMAND GETKEYSANDFLAGS set a b GET; COMMAND GETKEYSANDFLAGS mset a 1 b 2; COMMAND GETKEYSANDFLAGS del a b; COMMAND GETKEYSANDFLAGS rename a b; COMMAND GETKEYSANDFLAGS copy a b; COMMAND GETKEYSANDFLAGS getex a; COMMAND GETKEYSANDFLAGS incr a; COMMAND GETKEYSANDFLAGS hset a b c",
        "COMMAND INFO get set mget mset del unlink exists expire ttl getex getdel append strlen incr setex copy rename renamenx type scan keys randomkey touch persist dbsize flushall flushdb hset hget hgetall hdel hlen sadd srem smembers zadd zrem zcard",
        "COMMAND INFO ping echo quit reset hello auth select time role wait multi exec discard watch unwatch publish subscribe unsubscribe psubscribe punsubscribe info shutdown lolwut eval evalsha",
        "COMMAND INFO client|list client|kill client|pause client|unpause client|reply client|id client|info client|getname client|setname client|unblock client|no-evict config|get config|set config|rewrite config|resetstat slowlog|get slowlog|len slowlog|reset",
        "COMMAND INFO latency|latest latency|history latency|reset latency|graph latency|doctor latency|histogram memory|usage memory|stats memory|doctor memory|purge memory|malloc-stats module|list acl|cat acl|list acl|users acl|getuser acl|whoami object|freq object|encoding command|count command|docs command|info command|list command|getkeys command|getkeysandflags",
        "WAIT 0 0; WAIT x 0; WAIT 0 x; WAIT 0 -1; WAIT 0; TIME; TIME x; ROLE; ROLE x; LOLWUT; LOLWUT VERSION x; LOLWUT VERSION 5 x; LOLWUT VERSION 5 1 2 x; LOLWUT VERSION 6 1 x; LOLWUT VERSION 7 x; LOLWUT foo; REPLICAOF no one; SLAVEOF NO ONE; REPLICAOF x",
        "SHUTDOWN foo; SHUTDOWN ABORT; SHUTDOWN SAVE NOSAVE; SHUTDOWN ABORT NOW; SHUTDOWN NOW x; CLUSTER; CLUSTER INFO; CLUSTER HELP",
        "INFO nosuch; INFO commandstats errorstats; INFO everything; INFO all; INFO default; INFO LATENCYSTATS",
    ]);
    all.extend(with_numbers(&["SLOWLOG GET N"]));
    all
}
