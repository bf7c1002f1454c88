//! Keys whatever they hold: DEL, EXISTS, TYPE, the size of a database and its end.

pub mod object;
pub mod rename;

use crate::commands::parse::truth;
use crate::commands::{Answer, Command, Ctx, Outcome, Reply, Stop};
use crate::core::change::KeyEvent;
use crate::core::iterate;
use crate::core::keyspace::{Destroy, Write};
use foldhash::fast::RandomState;
use gs_client::kinds::{KIND_STRING, type_word};
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec, Writer};
use std::hash::BuildHasher;

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "dbsize",
            parent: None,
            since: "1.0.0",
            group: Group::Server,
            arity: Arity(1),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Return the number of keys in the selected database",
            acl: Acl::KEYSPACE.or(Acl::READ).or(Acl::FAST),
            reply_doc: "the number of keys",
        },
        run: dbsize,
    },
    Command {
        spec: Spec {
            name: "del",
            parent: None,
            since: "1.0.0",
            group: Group::Generic,
            arity: Arity(-2),
            flags: Flags::WRITE,
            roles: Roles::RELAY,
            keys: Keys::ALL,
            args: &[Arg::key("key").multiple()],
            complexity: "O(N) where N is the number of keys that will be removed. When a key to remove holds a value other than a string, the individual complexity for this key is O(M) where M is the number of elements in the list, set, sorted set or hash. Removing a single key that holds a string value is O(1).",
            summary: "Delete a key",
            acl: Acl::KEYSPACE.or(Acl::WRITE).or(Acl::SLOW),
            reply_doc: "how many existed",
        },
        run: del,
    },
    Command {
        spec: Spec {
            name: "exists",
            parent: None,
            since: "1.0.0",
            group: Group::Generic,
            arity: Arity(-2),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::ALL,
            args: &[Arg::key("key").multiple()],
            complexity: "O(N) where N is the number of keys to check.",
            summary: "Determine if a key exists",
            acl: Acl::KEYSPACE.or(Acl::READ).or(Acl::FAST),
            reply_doc: "how many exist, each as often as it is named",
        },
        run: exists,
    },
    Command {
        spec: Spec {
            name: "flushall",
            parent: None,
            since: "1.0.0",
            group: Group::Server,
            arity: Arity(-1),
            flags: Flags::WRITE,
            roles: Roles::RELAY,
            keys: Keys::None,
            args: &[Arg::oneof(
                "async",
                &[
                    Arg::token_only("async", "ASYNC").since("4.0.0"),
                    Arg::token_only("sync", "SYNC").since("6.2.0"),
                ],
            )
            .optional()],
            complexity: "O(N) where N is the total number of keys in all databases",
            summary: "Remove all keys from all databases",
            acl: Acl::KEYSPACE.or(Acl::WRITE).or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "`OK`",
        },
        run: flushall,
    },
    Command {
        spec: Spec {
            name: "flushdb",
            parent: None,
            since: "1.0.0",
            group: Group::Server,
            arity: Arity(-1),
            flags: Flags::WRITE,
            roles: Roles::RELAY,
            keys: Keys::None,
            args: &[Arg::oneof(
                "async",
                &[
                    Arg::token_only("async", "ASYNC").since("4.0.0"),
                    Arg::token_only("sync", "SYNC").since("6.2.0"),
                ],
            )
            .optional()],
            complexity: "O(N) where N is the number of keys in the selected database",
            summary: "Remove all keys from the current database",
            acl: Acl::KEYSPACE.or(Acl::WRITE).or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "`OK`",
        },
        run: flushdb,
    },
    Command {
        spec: Spec {
            name: "randomkey",
            parent: None,
            since: "1.0.0",
            group: Group::Generic,
            arity: Arity(1),
            flags: Flags::READONLY,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Return a random key from the keyspace",
            acl: Acl::KEYSPACE.or(Acl::READ).or(Acl::SLOW),
            reply_doc: "a key, or nil",
        },
        run: randomkey,
    },
    Command {
        spec: Spec {
            name: "touch",
            parent: None,
            since: "3.2.1",
            group: Group::Generic,
            arity: Arity(-2),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::ALL,
            args: &[Arg::key("key").multiple()],
            complexity: "O(N) where N is the number of keys that will be touched.",
            summary: "Alters the last access time of a key(s). Returns the number of existing keys specified.",
            acl: Acl::KEYSPACE.or(Acl::READ).or(Acl::FAST),
            reply_doc: "how many exist",
        },
        run: touch,
    },
    Command {
        spec: Spec {
            name: "type",
            parent: None,
            since: "1.0.0",
            group: Group::Generic,
            arity: Arity(2),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key")],
            complexity: "O(1)",
            summary: "Determine the type stored at key",
            acl: Acl::KEYSPACE.or(Acl::READ).or(Acl::FAST),
            reply_doc: "the type, or `none`",
        },
        run: type_of,
    },
    Command {
        spec: Spec {
            name: "unlink",
            parent: None,
            since: "4.0.0",
            group: Group::Generic,
            arity: Arity(-2),
            flags: Flags::WRITE.or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ALL,
            args: &[Arg::key("key").multiple()],
            complexity: "O(1) for each key removed regardless of its size. Then the command does O(N) work in a different thread in order to reclaim memory, where N is the number of allocations the deleted objects where composed of.",
            summary: "Delete a key asynchronously in another thread. Otherwise it is just as DEL, but non blocking.",
            acl: Acl::KEYSPACE.or(Acl::WRITE).or(Acl::FAST),
            reply_doc: "how many existed",
        },
        run: del,
    },
];

/// Writes a string in the connection's database, under the event's name. The caller holds the key's stripe.
pub(super) fn write(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    value: &[u8],
    deadline_ms: u64,
    event: KeyEvent,
) -> Result<(), Stop> {
    write_kind(ctx, key, value, KIND_STRING, deadline_ms, event)
}

/// As [`write`], for a record of any kind.
pub(super) fn write_kind(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    value: &[u8],
    kind: u8,
    deadline_ms: u64,
    event: KeyEvent,
) -> Result<(), Stop> {
    let (db, id, by) = (ctx.conn.db, ctx.id(key), ctx.conn.info.id);
    ctx.node.write(&Write { db, key, id, value, kind, deadline_ms, event, by, copies: None })?;
    forget(ctx, db, key);
    Ok(())
}

/// Destroys a key of the connection's database; true if it existed. The caller holds the key's stripe.
pub(super) fn destroy(ctx: &mut Ctx<'_>, key: &[u8], reason: &str) -> Result<bool, Stop> {
    destroy_as(ctx, key, reason, KeyEvent::DEL)
}

/// As [`destroy`], where the event has another name than `del`.
pub(super) fn destroy_as(ctx: &mut Ctx<'_>, key: &[u8], reason: &str, event: KeyEvent) -> Result<bool, Stop> {
    let (db, id, by) = (ctx.conn.db, ctx.id(key), ctx.conn.info.id);
    let destroyed = ctx.node.destroy(&Destroy { db, key, id, reason, sync: false, event, by })?;
    forget(ctx, db, key);
    if let Some(destroyed) = &destroyed {
        ctx.durable_after(destroyed.journaled);
    }
    Ok(destroyed.is_some())
}

/// Drops what the command fetched of a key before it changed it: later commands of a transaction must see
/// the change.
pub(super) fn forget(ctx: &mut Ctx<'_>, db: u8, key: &[u8]) {
    if !ctx.conn.scope.fetched.is_empty() {
        ctx.conn.scope.fetched.retain(|fetched| fetched.db != db || *fetched.key != *key);
    }
}

fn del(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let node = ctx.node;
    let mut count = 0;
    for key in args.skip(1) {
        let _order = node.lock_key(&ctx.conn.scope, &ctx.id(key));
        count += i64::from(destroy(ctx, key, "deleted")?);
    }
    ctx.int(count)
}

fn exists(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let keys = args.skip(1);
    ctx.node.require(&ctx.conn.scope, ctx.conn.db, keys.iter())?;
    let mut count = 0;
    for key in keys {
        count += i64::from(ctx.node.sought(&ctx.conn.scope, ctx.conn.db, key)?.is_some());
    }
    ctx.int(count)
}

fn touch(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let keys = args.skip(1);
    ctx.node.require(&ctx.conn.scope, ctx.conn.db, keys.iter())?;
    let mut count = 0;
    for key in keys {
        // A use is counted by reading; the value itself is not wanted.
        let mark = ctx.out.len();
        let found = ctx.node.read(&ctx.conn.scope, ctx.conn.db, key, true, ctx.out, |_, _| ());
        ctx.out.truncate(mark);
        let found = found?.is_some();
        ctx.node.metrics.sought(found);
        count += i64::from(found);
    }
    ctx.int(count)
}

fn type_of(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let found = ctx.node.sought(&ctx.conn.scope, ctx.conn.db, args.at(1))?;
    ctx.reply().simple(found.map_or("none", |meta| type_word(meta.kind)));
    Ok(Reply::Done)
}

fn dbsize(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let count = ctx.node.count(ctx.conn.db);
    ctx.reply().uint(count);
    Ok(Reply::Done)
}

fn flushdb(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let db = ctx.conn.db;
    flush(ctx, args, Some(db))
}

fn flushall(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    flush(ctx, args, None)
}

/// A flush is one step whatever it removes, so ASYNC and SYNC are the same.
fn flush(ctx: &mut Ctx<'_>, args: Args<'_>, db: Option<u8>) -> Outcome {
    match args.get(1) {
        Some(word) if args.len() == 2 => drop(truth(word, "async", "sync")?),
        Some(_) => return Err(Refusal::syntax().into()),
        None => {}
    }
    let journaled = ctx.node.flush(&ctx.conn.scope, db)?;
    ctx.conn.scope.fetched.clear();
    ctx.durable_after(journaled);
    ctx.ok()
}

/// How many pages RANDOMKEY looks at before it believes that what it counted is gone.
const RANDOM_PAGES_MAX: usize = 1024;

/// Keys of one page of that search.
const RANDOM_PAGE: usize = 64;

fn randomkey(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let (node, db) = (ctx.node, ctx.conn.db);
    let random = RandomState::default().hash_one((node.clock.unix_ms(), node.metrics.bytes_in.get()));
    // Each tier has its turn as often as it has sessions.
    let (here, all) = (node.cache.section().live_count(db), node.count(db));
    let stays = all == 0 || random % all < here || ctx.conn.scope.held;
    let resident = || node.cache.section().random_key(db, random, node.now_ms());
    if let Some(key) = resident().filter(|_| stays) {
        ctx.reply().bulk(&key);
        return Ok(Reply::Done);
    }
    if all == 0 {
        ctx.reply().null();
        return Ok(Reply::Done);
    }
    let node = node.clone();
    ctx.later(async move {
        let resident =
            || node.cache.section().random_key(db, random, node.now_ms()).map(Vec::into_boxed_slice);
        if let Some(key) = iterate::random_below(&node, db, random).await.or_else(resident) {
            return Ok(Box::new(move |reply: &mut Writer<'_>| reply.bulk(&key)) as Answer);
        }
        // Few and far between: the first that a scan meets.
        let mut cursor = 0;
        for _ in 0..RANDOM_PAGES_MAX {
            let (next, keys) = iterate::scan_page(&node, db, cursor, RANDOM_PAGE).await?;
            if let Some(found) = keys.into_iter().next() {
                return Ok(Box::new(move |reply: &mut Writer<'_>| reply.bulk(&found.key)) as Answer);
            }
            if next == 0 {
                break;
            }
            cursor = next;
        }
        Ok(Box::new(|reply: &mut Writer<'_>| reply.null()) as Answer)
    })
}
