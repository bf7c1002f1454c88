//! OBJECT and MEMORY: what a key costs and how it is kept.

use crate::commands::collection::open;
use crate::commands::introspect::container;
use crate::commands::parse::integer;
use crate::commands::{Command, Ctx, Outcome, Reply, Stop};
use crate::core::kinds::is_big;
use gs_client::cache::Meta;
use gs_client::kinds::{KIND_HASH, KIND_SET, KIND_SORTED_SET, KIND_STRING};
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "memory",
            parent: None,
            since: "4.0.0",
            group: Group::Server,
            arity: Arity(-2),
            flags: Flags::NONE,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "Depends on subcommand.",
            summary: "A container for memory diagnostics commands",
            acl: Acl::SLOW,
            reply_doc: "what the subcommand answers",
        },
        run: container,
    },
    Command {
        spec: Spec {
            name: "usage",
            parent: Some("memory"),
            since: "4.0.0",
            group: Group::Server,
            arity: Arity(-3),
            flags: Flags::READONLY,
            roles: Roles::EVERY,
            keys: Keys::Range { first: 2, last: 2, step: 1 },
            args: &[Arg::key("key"), Arg::integer("count").token("SAMPLES").optional()],
            complexity: "O(N) where N is the number of samples.",
            summary: "Estimate the memory usage of a key",
            acl: Acl::READ.or(Acl::SLOW),
            reply_doc: "bytes, or nil",
        },
        run: usage,
    },
    Command {
        spec: Spec {
            name: "object",
            parent: None,
            since: "2.2.3",
            group: Group::Generic,
            arity: Arity(-2),
            flags: Flags::NONE,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "Depends on subcommand.",
            summary: "A container for object introspection commands",
            acl: Acl::SLOW,
            reply_doc: "what the subcommand answers",
        },
        run: container,
    },
    Command {
        spec: Spec {
            name: "encoding",
            parent: Some("object"),
            since: "2.2.3",
            group: Group::Generic,
            arity: Arity(3),
            flags: Flags::READONLY,
            roles: Roles::EVERY,
            keys: Keys::Range { first: 2, last: 2, step: 1 },
            args: &[Arg::key("key")],
            complexity: "O(1)",
            summary: "Inspect the internal encoding of a Redis object",
            acl: Acl::KEYSPACE.or(Acl::READ).or(Acl::SLOW),
            reply_doc: "the encoding, or nil",
        },
        run: encoding,
    },
    Command {
        spec: Spec {
            name: "freq",
            parent: Some("object"),
            since: "4.0.0",
            group: Group::Generic,
            arity: Arity(3),
            flags: Flags::READONLY,
            roles: Roles::EVERY,
            keys: Keys::Range { first: 2, last: 2, step: 1 },
            args: &[Arg::key("key")],
            complexity: "O(1)",
            summary: "Get the logarithmic access frequency counter of a Redis object",
            acl: Acl::KEYSPACE.or(Acl::READ).or(Acl::SLOW),
            reply_doc: "an error: no frequencies are kept",
        },
        run: freq,
    },
    Command {
        spec: Spec {
            name: "idletime",
            parent: Some("object"),
            since: "2.2.3",
            group: Group::Generic,
            arity: Arity(3),
            flags: Flags::READONLY,
            roles: Roles::EVERY,
            keys: Keys::Range { first: 2, last: 2, step: 1 },
            args: &[Arg::key("key")],
            complexity: "O(1)",
            summary: "Get the time since a Redis object was last accessed",
            acl: Acl::KEYSPACE.or(Acl::READ).or(Acl::SLOW),
            reply_doc: "seconds since the last use, or nil",
        },
        run: idletime,
    },
    Command {
        spec: Spec {
            name: "refcount",
            parent: Some("object"),
            since: "2.2.3",
            group: Group::Generic,
            arity: Arity(3),
            flags: Flags::READONLY,
            roles: Roles::EVERY,
            keys: Keys::Range { first: 2, last: 2, step: 1 },
            args: &[Arg::key("key")],
            complexity: "O(1)",
            summary: "Get the number of references to the value of the key",
            acl: Acl::KEYSPACE.or(Acl::READ).or(Acl::SLOW),
            reply_doc: "1, or nil",
        },
        run: refcount,
    },
];

/// Longest string that Redis calls `embstr`.
const EMBSTR_BYTES_MAX: u32 = 44;

/// Longest text of an integer.
const INTEGER_BYTES_MAX: u32 = 20;

fn object(ctx: &Ctx<'_>, args: Args<'_>) -> Result<Option<Meta>, Stop> {
    ctx.node.sought(&ctx.conn.scope, ctx.conn.db, args.at(2))
}

/// Answers what `of` says of the key, or null.
fn about(
    ctx: &mut Ctx<'_>,
    found: Option<Meta>,
    of: impl FnOnce(&mut Ctx<'_>, &Meta) -> Result<i64, Stop>,
) -> Outcome {
    match found {
        Some(meta) => {
            let n = of(ctx, &meta)?;
            ctx.int(n)
        }
        None => {
            ctx.reply().null();
            Ok(Reply::Done)
        }
    }
}

fn usage(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut i = 3;
    while i < args.len() {
        let samples = args.get(i + 1).filter(|_| args.is(i, "samples")).ok_or_else(Refusal::syntax)?;
        if integer(samples)? < 0 {
            return Err(Refusal::syntax().into());
        }
        i += 2;
    }
    // Redis counts no read here, unlike for OBJECT.
    let found = ctx.node.meta(&ctx.conn.scope, ctx.conn.db, args.at(2))?;
    about(ctx, found, |ctx, meta| {
        let section = ctx.node.cache.section();
        let blocks = section.geometry().record_blocks(meta.key_len as usize, meta.value_len as usize);
        Ok(i64::from(blocks) * section.stats().block_bytes as i64)
    })
}

fn refcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let found = object(ctx, args)?;
    about(ctx, found, |_, _| Ok(1))
}

fn idletime(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let found = object(ctx, args)?;
    about(ctx, found, |_, meta| Ok((meta.idle_ms / 1000) as i64))
}

fn freq(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let found = object(ctx, args)?;
    about(ctx, found, |_, _| {
        let text = "An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
                    switching between policies at runtime LRU and LFU data will take some time to adjust.";
        Err(Refusal::err(text).into())
    })
}

/// gs keeps bytes as they came; the words are what Redis 7.0 would choose for them.
fn encoding(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = args.at(2);
    let Some(meta) = object(ctx, args)? else {
        ctx.reply().null();
        return Ok(Reply::Done);
    };
    let word = match meta.kind {
        KIND_HASH | KIND_SET | KIND_SORTED_SET => {
            let big = open(ctx, key, meta.kind, |_, record, _| Ok(is_big(record)))?;
            match (meta.kind, big) {
                (KIND_HASH, false) | (KIND_SORTED_SET, false) => "listpack",
                (KIND_SET, false) => "intset",
                (KIND_SORTED_SET, true) => "skiplist",
                _ => "hashtable",
            }
        }
        KIND_STRING if meta.value_len <= INTEGER_BYTES_MAX && holds_integer(ctx, key)? => "int",
        _ if meta.value_len <= EMBSTR_BYTES_MAX => "embstr",
        _ => "raw",
    };
    ctx.reply().bulk_str(word);
    Ok(Reply::Done)
}

fn holds_integer(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<bool, Stop> {
    open(ctx, key, KIND_STRING, |_, text, found| Ok(found.is_some() && integer(text).is_ok()))
}
