//! MEMORY: what the section holds, under Redis's names. MEMORY USAGE stands beside OBJECT.

use crate::commands::server::figures::used_bytes;
use crate::commands::server::machine;
use crate::commands::{Command, Ctx, Outcome, Reply};
use crate::core::node::DATABASES;
use gs_resp::{AclCategories as Acl, Args, Arity, Flags, Group, Keys, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "doctor",
            parent: Some("memory"),
            since: "4.0.0",
            group: Group::Server,
            arity: Arity(2),
            flags: Flags::NONE,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Outputs memory problems report",
            acl: Acl::SLOW,
            reply_doc: "a report",
        },
        run: memory_doctor,
    },
    Command {
        spec: Spec {
            name: "malloc-stats",
            parent: Some("memory"),
            since: "4.0.0",
            group: Group::Server,
            arity: Arity(2),
            flags: Flags::NONE,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "Depends on how much memory is allocated, could be slow",
            summary: "Show allocator internal stats",
            acl: Acl::SLOW,
            reply_doc: "a sentence: sessions are not kept by an allocator",
        },
        run: malloc_stats,
    },
    Command {
        spec: Spec {
            name: "purge",
            parent: Some("memory"),
            since: "4.0.0",
            group: Group::Server,
            arity: Arity(2),
            flags: Flags::NONE,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "Depends on how much memory is allocated, could be slow",
            summary: "Ask the allocator to release memory",
            acl: Acl::SLOW,
            reply_doc: "`OK`; the section is of a fixed size",
        },
        run: memory_purge,
    },
    Command {
        spec: Spec {
            name: "stats",
            parent: Some("memory"),
            since: "4.0.0",
            group: Group::Server,
            arity: Arity(2),
            flags: Flags::NONE,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Show memory usage details",
            acl: Acl::SLOW,
            reply_doc: "a map",
        },
        run: memory_stats,
    },
];

fn memory_doctor(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let stats = ctx.node.cache.section().stats();
    let free = stats.free_blocks as f64 * 100.0 / stats.blocks.max(1) as f64;
    let text = match (free < 1.0, stats.corrupt) {
        (_, n) if n > 0 => format!(
            "{n} records did not match their checksum and were taken out: check the memory of this machine.\n"
        ),
        (true, _) => {
            "Less than 1% of the section is free: writes may have to wait. Raise capacity, or add a relief.\n"
                .to_owned()
        }
        (false, _) => format!("{free:.0}% of the section is free, and every record matched its checksum.\n"),
    };
    ctx.reply().verbatim(*b"txt", text.as_bytes());
    Ok(Reply::Done)
}

fn malloc_stats(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let text = "Sessions are kept in the blocks of a section of fixed size; MEMORY STATS tells of them.";
    ctx.reply().verbatim(*b"txt", text.as_bytes());
    Ok(Reply::Done)
}

fn memory_purge(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.ok()
}

/// The fields of Redis that mean something here, under its names.
fn memory_stats(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let node = ctx.node;
    let stats = node.cache.section().stats();
    let (used, peak, resident) = (used_bytes(node), node.figures.peak_bytes(node), machine::resident_bytes());
    let overhead = stats.total_bytes.saturating_sub(stats.blocks * stats.block_bytes);
    let keys: u64 = (0..DATABASES).map(|db| node.cache.section().live_count(db)).sum();
    let numbers = [
        ("peak.allocated", peak),
        ("total.allocated", used),
        ("startup.allocated", 0),
        ("replication.backlog", 0),
        ("clients.slaves", 0),
        ("clients.normal", node.holdings.total() as u64),
        ("cluster.links", 0),
        ("aof.buffer", 0),
        ("overhead.total", overhead),
        ("keys.count", keys),
        ("keys.bytes-per-key", used / keys.max(1)),
        ("dataset.bytes", used),
        ("allocator.resident", resident),
    ];
    let mut reply = ctx.reply();
    reply.map(numbers.len() + 2);
    for (name, value) in numbers {
        reply.bulk_str(name);
        reply.uint(value);
    }
    reply.bulk_str("peak.percentage");
    reply.double(used as f64 * 100.0 / peak.max(1) as f64);
    reply.bulk_str("fragmentation");
    reply.double(resident as f64 / used.max(1) as f64);
    Ok(Reply::Done)
}
