//! Writing strings: SET and its family.

use crate::commands::keyspace::{destroy_as, write};
use crate::commands::parse::{Form, Options, OptionsOf, When};
use crate::commands::string::{scratch_value, string_meta, value};
use crate::commands::{Command, Ctx, Outcome, Reply, Stop};
use crate::core::change::{Change, KeyEvent};
use crate::core::keyspace::TOGETHER;
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "append",
            parent: None,
            since: "2.0.0",
            group: Group::String,
            arity: Arity(3),
            flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::string("value")],
            complexity: "O(1). The amortized time complexity is O(1) assuming the appended value is small and the already present value is of any size, since the dynamic string library used by Redis will double the free space available on every reallocation.",
            summary: "Append a value to a key",
            acl: Acl::WRITE.or(Acl::STRING).or(Acl::FAST),
            reply_doc: "the new length",
        },
        run: append,
    },
    Command {
        spec: Spec {
            name: "getset",
            parent: None,
            since: "1.0.0",
            group: Group::String,
            arity: Arity(3),
            flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::string("value")],
            complexity: "O(1)",
            summary: "Set the string value of a key and return its old value",
            acl: Acl::WRITE.or(Acl::STRING).or(Acl::FAST),
            reply_doc: "the old value, or nil",
        },
        run: getset,
    },
    Command {
        spec: Spec {
            name: "mset",
            parent: None,
            since: "1.0.1",
            group: Group::String,
            arity: Arity(-3),
            flags: Flags::WRITE.or(Flags::DENYOOM),
            roles: Roles::RELAY,
            keys: Keys::PAIRS,
            args: &[Arg::block("key_value", &[Arg::key("key"), Arg::string("value")]).multiple()],
            complexity: "O(N) where N is the number of keys to set.",
            summary: "Set multiple keys to multiple values",
            acl: Acl::WRITE.or(Acl::STRING).or(Acl::SLOW),
            reply_doc: "`OK`",
        },
        run: mset,
    },
    Command {
        spec: Spec {
            name: "msetnx",
            parent: None,
            since: "1.0.1",
            group: Group::String,
            arity: Arity(-3),
            flags: Flags::WRITE.or(Flags::DENYOOM),
            roles: Roles::RELAY,
            keys: Keys::PAIRS,
            args: &[Arg::block("key_value", &[Arg::key("key"), Arg::string("value")]).multiple()],
            complexity: "O(N) where N is the number of keys to set.",
            summary: "Set multiple keys to multiple values, only if none of the keys exist",
            acl: Acl::WRITE.or(Acl::STRING).or(Acl::SLOW),
            reply_doc: "1 if all were set, 0 if none was",
        },
        run: msetnx,
    },
    Command {
        spec: Spec {
            name: "psetex",
            parent: None,
            since: "2.6.0",
            group: Group::String,
            arity: Arity(4),
            flags: Flags::WRITE.or(Flags::DENYOOM),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::integer("milliseconds"), Arg::string("value")],
            complexity: "O(1)",
            summary: "Set the value and expiration in milliseconds of a key",
            acl: Acl::WRITE.or(Acl::STRING).or(Acl::SLOW),
            reply_doc: "`OK`",
        },
        run: psetex,
    },
    Command {
        spec: Spec {
            name: "set",
            parent: None,
            since: "1.0.0",
            group: Group::String,
            arity: Arity(-3),
            flags: Flags::WRITE.or(Flags::DENYOOM),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[
                Arg::key("key"),
                Arg::string("value"),
                Arg::oneof("condition", &[Arg::token_only("nx", "NX"), Arg::token_only("xx", "XX")])
                    .since("2.6.12")
                    .optional(),
                Arg::token_only("get", "GET").since("6.2.0").optional(),
                Arg::oneof(
                    "expiration",
                    &[
                        Arg::integer("seconds").token("EX").since("2.6.12"),
                        Arg::integer("milliseconds").token("PX").since("2.6.12"),
                        Arg::unix_time("unix-time-seconds").token("EXAT").since("6.2.0"),
                        Arg::unix_time("unix-time-milliseconds").token("PXAT").since("6.2.0"),
                        Arg::token_only("keepttl", "KEEPTTL").since("6.0.0"),
                    ],
                )
                .optional(),
            ],
            complexity: "O(1)",
            summary: "Set the string value of a key",
            acl: Acl::WRITE.or(Acl::STRING).or(Acl::SLOW),
            reply_doc: "`OK`; nil where a condition did not hold; with GET the old value or nil",
        },
        run: set,
    },
    Command {
        spec: Spec {
            name: "setex",
            parent: None,
            since: "2.0.0",
            group: Group::String,
            arity: Arity(4),
            flags: Flags::WRITE.or(Flags::DENYOOM),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::integer("seconds"), Arg::string("value")],
            complexity: "O(1)",
            summary: "Set the value and expiration of a key",
            acl: Acl::WRITE.or(Acl::STRING).or(Acl::SLOW),
            reply_doc: "`OK`",
        },
        run: setex,
    },
    Command {
        spec: Spec {
            name: "setnx",
            parent: None,
            since: "1.0.0",
            group: Group::String,
            arity: Arity(3),
            flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::string("value")],
            complexity: "O(1)",
            summary: "Set the value of a key, only if the key does not exist",
            acl: Acl::WRITE.or(Acl::STRING).or(Acl::FAST),
            reply_doc: "1 if it was set, else 0",
        },
        run: setnx,
    },
];

/// What a SET found and did.
struct Stored {
    /// True if the value was written.
    done: bool,
}

/// The one way to set a string. With `options.get` the old value, or null, has been answered.
fn store(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    value_bytes: &[u8],
    options: &Options<'_>,
    when: Option<When>,
) -> Result<Stored, Stop> {
    let node = ctx.node;
    let _order = node.lock_key(&ctx.conn.scope, &ctx.id(key));
    // Nothing is read for a plain SET: what lives downstream is superseded without being brought up.
    let found = if options.get {
        let found = value(ctx, key)?;
        if found.is_none() {
            node.happened(ctx.conn.db, key, KeyEvent::KEY_MISS);
        }
        found
    } else if options.nx || options.xx || options.keep_ttl {
        node.meta(&ctx.conn.scope, ctx.conn.db, key)?
    } else {
        None
    };
    if (options.nx && found.is_some()) || (options.xx && found.is_none()) {
        return Ok(Stored { done: false });
    }
    let deadline_ms = match when {
        None if options.keep_ttl => found.map_or(0, |meta| meta.deadline_ms),
        None => 0,
        Some(when) => match when.deadline(node) {
            Some(deadline_ms) => deadline_ms,
            // The value would be gone before anybody could read it: only its predecessor's end is to be done.
            None => {
                destroy_as(ctx, key, "expired", KeyEvent::SILENT)?;
                let (db, by) = (ctx.conn.db, ctx.conn.info.id);
                node.changed(&Change { db, key, id: &ctx.id(key), event: KeyEvent::SET, by });
                node.happened(db, key, KeyEvent::EXPIRE);
                node.happened(db, key, KeyEvent::EXPIRED);
                return Ok(Stored { done: true });
            }
        },
    };
    write(ctx, key, value_bytes, deadline_ms, KeyEvent::SET)?;
    if when.is_some() {
        node.happened(ctx.conn.db, key, KeyEvent::EXPIRE);
    }
    Ok(Stored { done: true })
}

fn set(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let options = Options::parse(args, 3, OptionsOf::Set)?;
    let node = ctx.node;
    let when = options.expire.map(|(form, word)| When::strict(node, word, form, "set")).transpose()?;
    let stored = store(ctx, args.at(1), args.at(2), &options, when)?;
    match (options.get, stored.done) {
        (true, _) => {}
        (false, true) => ctx.reply().ok(),
        (false, false) => ctx.reply().null(),
    }
    Ok(Reply::Done)
}

fn setex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let when = When::strict(ctx.node, args.at(2), Form::Seconds, "setex")?;
    store(ctx, args.at(1), args.at(3), &Options::default(), Some(when))?;
    ctx.ok()
}

fn psetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let when = When::strict(ctx.node, args.at(2), Form::Millis, "psetex")?;
    store(ctx, args.at(1), args.at(3), &Options::default(), Some(when))?;
    ctx.ok()
}

fn setnx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let options = Options { nx: true, ..Options::default() };
    let stored = store(ctx, args.at(1), args.at(2), &options, None)?;
    ctx.int(i64::from(stored.done))
}

fn getset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let options = Options { get: true, ..Options::default() };
    store(ctx, args.at(1), args.at(2), &options, None)?;
    Ok(Reply::Done)
}

fn mset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.len().is_multiple_of(2) {
        return Err(Refusal::wrong_arity("mset").into());
    }
    let (node, db) = (ctx.node, ctx.conn.db);
    let ids: Vec<_> = args.iter().skip(1).step_by(2).map(|key| node.id(db, key)).collect();
    // All stripes at once: nobody sees half of it through a transaction. Should room run out in the middle,
    // the command runs again from its start, which writes the same.
    let _order = (!ctx.conn.scope.held).then(|| node.stripes.lock_many(&ids));
    for place in (1..args.len()).step_by(2) {
        if place % (2 * TOGETHER) == 1 {
            let at = place / 2;
            node.ask_ahead(&ids[at..ids.len().min(at + TOGETHER)]);
        }
        write(ctx, args.at(place), args.at(place + 1), 0, KeyEvent::SET)?;
    }
    ctx.ok()
}

fn msetnx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.len().is_multiple_of(2) {
        return Err(Refusal::wrong_arity("msetnx").into());
    }
    let (node, db) = (ctx.node, ctx.conn.db);
    let keys = || args.iter().skip(1).step_by(2);
    let ids: Vec<_> = keys().map(|key| node.id(db, key)).collect();
    node.require(&ctx.conn.scope, db, keys())?;
    let _order = (!ctx.conn.scope.held).then(|| node.stripes.lock_many(&ids));
    // Run again because room ran out half way, it would find its own keys.
    if !ctx.conn.scope.begun {
        for key in keys() {
            if node.meta(&ctx.conn.scope, db, key)?.is_some() {
                return ctx.int(0);
            }
        }
        let section = node.cache.section();
        let blocks = |i: usize| section.geometry().record_blocks(args.at(i).len(), args.at(i + 1).len());
        let needed: u64 = (1..args.len()).step_by(2).map(|i| u64::from(blocks(i))).sum();
        if section.free_blocks() < needed {
            return Err(Stop::Full);
        }
    }
    for place in (1..args.len()).step_by(2) {
        match write(ctx, args.at(place), args.at(place + 1), 0, KeyEvent::SET) {
            // A transaction runs again from its own beginning, where this would be forgotten.
            Err(Stop::Full) if place > 1 && ctx.conn.scope.held => return Err(Refusal::oom().into()),
            done => done?,
        }
        ctx.conn.scope.begun = !ctx.conn.scope.held;
    }
    ctx.int(1)
}

fn append(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = args.at(1);
    let node = ctx.node;
    let _order = node.lock_key(&ctx.conn.scope, &ctx.id(key));
    if args.at(2).is_empty() && string_meta(ctx, key)?.is_some() {
        let len = string_meta(ctx, key)?.map_or(0, |meta| meta.value_len);
        // Nothing new is stored, but Redis counts it as a change.
        let (db, by) = (ctx.conn.db, ctx.conn.info.id);
        node.changed(&Change { db, key, id: &ctx.id(key), event: KeyEvent::string("append"), by });
        return ctx.int(i64::from(len));
    }
    let (mut text, found) = scratch_value(ctx, key)?;
    text.extend_from_slice(args.at(2));
    let deadline_ms = found.map_or(0, |meta| meta.deadline_ms);
    let done = write(ctx, key, &text, deadline_ms, KeyEvent::string("append"));
    let len = text.len() as i64;
    ctx.conn.scratch = text;
    done?;
    ctx.int(len)
}
