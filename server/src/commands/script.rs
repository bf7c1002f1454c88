//! Scripts: EVAL and its family for the scripts that are known, SCRIPT, and what there is to say of functions.
//!
//! A sandboxed Lua would take the place of [`known::Scripts::load`] and [`native::Run`]: it would recognise any
//! text and call commands through the same `call`.

pub mod function;
pub mod known;
pub mod native;

use crate::commands::introspect::container;
use crate::commands::parse::{integer, truth};
use crate::commands::{Command, Ctx, Outcome, Reply, Stop};
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Code, Flags, Group, Keys, Refusal, Roles, Spec};
use known::{Hash, Known, hex, sha1, unhex};
use native::Run;

/// Digits of a SHA1.
const HASH_DIGITS: usize = 40;

/// How a flush is to be done; it is one step either way.
const MODE: Arg =
    Arg::oneof("async", &[Arg::token_only("async", "ASYNC"), Arg::token_only("sync", "SYNC")]).optional();

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "eval",
            parent: None,
            since: "2.6.0",
            group: Group::Scripting,
            arity: Arity(-3),
            flags: Flags::NOSCRIPT
                .or(Flags::STALE)
                .or(Flags::SKIP_MONITOR)
                .or(Flags::NO_MANDATORY_KEYS)
                .or(Flags::MOVABLEKEYS),
            roles: Roles::RELAY,
            keys: Keys::NumKeys(2),
            args: &[
                Arg::string("script"),
                Arg::integer("numkeys"),
                Arg::key("key").multiple().optional(),
                Arg::string("arg").multiple().optional(),
            ],
            complexity: "Depends on the script that is executed.",
            summary: "Execute a Lua script server side",
            acl: Acl::SLOW.or(Acl::SCRIPTING),
            reply_doc: "what the script answers; only the scripts that session and lock libraries send are known, any other is refused",
        },
        run: eval,
    },
    Command {
        spec: Spec {
            name: "eval_ro",
            parent: None,
            since: "7.0.0",
            group: Group::Scripting,
            arity: Arity(-3),
            flags: Flags::READONLY
                .or(Flags::NOSCRIPT)
                .or(Flags::STALE)
                .or(Flags::SKIP_MONITOR)
                .or(Flags::NO_MANDATORY_KEYS)
                .or(Flags::MOVABLEKEYS),
            roles: Roles::RELAY,
            keys: Keys::NumKeys(2),
            args: &[
                Arg::string("script"),
                Arg::integer("numkeys"),
                Arg::key("key").multiple().optional(),
                Arg::string("arg").multiple().optional(),
            ],
            complexity: "Depends on the script that is executed.",
            summary: "Execute a read-only Lua script server side",
            acl: Acl::SLOW.or(Acl::SCRIPTING),
            reply_doc: "what the script answers; only the scripts that session and lock libraries send are known, any other is refused",
        },
        run: eval_ro,
    },
    Command {
        spec: Spec {
            name: "evalsha",
            parent: None,
            since: "2.6.0",
            group: Group::Scripting,
            arity: Arity(-3),
            flags: Flags::NOSCRIPT
                .or(Flags::STALE)
                .or(Flags::SKIP_MONITOR)
                .or(Flags::NO_MANDATORY_KEYS)
                .or(Flags::MOVABLEKEYS),
            roles: Roles::RELAY,
            keys: Keys::NumKeys(2),
            args: &[
                Arg::string("sha1"),
                Arg::integer("numkeys"),
                Arg::key("key").multiple().optional(),
                Arg::string("arg").multiple().optional(),
            ],
            complexity: "Depends on the script that is executed.",
            summary: "Execute a Lua script server side",
            acl: Acl::SLOW.or(Acl::SCRIPTING),
            reply_doc: "what the script answers; only the scripts that session and lock libraries send are known, any other is refused",
        },
        run: evalsha,
    },
    Command {
        spec: Spec {
            name: "evalsha_ro",
            parent: None,
            since: "7.0.0",
            group: Group::Scripting,
            arity: Arity(-3),
            flags: Flags::READONLY
                .or(Flags::NOSCRIPT)
                .or(Flags::STALE)
                .or(Flags::SKIP_MONITOR)
                .or(Flags::NO_MANDATORY_KEYS)
                .or(Flags::MOVABLEKEYS),
            roles: Roles::RELAY,
            keys: Keys::NumKeys(2),
            args: &[
                Arg::string("sha1"),
                Arg::integer("numkeys"),
                Arg::key("key").multiple().optional(),
                Arg::string("arg").multiple().optional(),
            ],
            complexity: "Depends on the script that is executed.",
            summary: "Execute a read-only Lua script server side",
            acl: Acl::SLOW.or(Acl::SCRIPTING),
            reply_doc: "what the script answers; only the scripts that session and lock libraries send are known, any other is refused",
        },
        run: evalsha_ro,
    },
    Command {
        spec: Spec {
            name: "script",
            parent: None,
            since: "2.6.0",
            group: Group::Scripting,
            arity: Arity(-2),
            flags: Flags::NONE,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "Depends on subcommand.",
            summary: "A container for Lua scripts management commands",
            acl: Acl::SLOW,
            reply_doc: "what the subcommand answers",
        },
        run: container,
    },
    Command {
        spec: Spec {
            name: "exists",
            parent: Some("script"),
            since: "2.6.0",
            group: Group::Scripting,
            arity: Arity(-3),
            flags: Flags::NOSCRIPT,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("sha1").multiple()],
            complexity: "O(N) with N being the number of scripts to check (so checking a single script is an O(1) operation).",
            summary: "Check existence of scripts in the script cache.",
            acl: Acl::SLOW.or(Acl::SCRIPTING),
            reply_doc: "1 or 0 for each",
        },
        run: exists,
    },
    Command {
        spec: Spec {
            name: "flush",
            parent: Some("script"),
            since: "2.6.0",
            group: Group::Scripting,
            arity: Arity(-2),
            flags: Flags::NOSCRIPT,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[MODE],
            complexity: "O(N) with N being the number of scripts in cache",
            summary: "Remove all the scripts from the script cache.",
            acl: Acl::SLOW.or(Acl::SCRIPTING),
            reply_doc: "`OK`",
        },
        run: flush,
    },
    Command {
        spec: Spec {
            name: "kill",
            parent: Some("script"),
            since: "2.6.0",
            group: Group::Scripting,
            arity: Arity(2),
            flags: Flags::NOSCRIPT.or(Flags::ALLOW_BUSY),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Kill the script currently in execution.",
            acl: Acl::SLOW.or(Acl::SCRIPTING),
            reply_doc: "`NOTBUSY`: no script runs long enough to be killed",
        },
        run: kill,
    },
    Command {
        spec: Spec {
            name: "load",
            parent: Some("script"),
            since: "2.6.0",
            group: Group::Scripting,
            arity: Arity(3),
            flags: Flags::NOSCRIPT.or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("script")],
            complexity: "O(N) with N being the length in bytes of the script body.",
            summary: "Load the specified Lua script into the script cache.",
            acl: Acl::SLOW.or(Acl::SCRIPTING),
            reply_doc: "the SHA1 of a script that is known; any other is refused",
        },
        run: load,
    },
];

fn eval(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    by_text(ctx, args, false)
}

fn eval_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    by_text(ctx, args, true)
}

fn evalsha(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    by_hash(ctx, args, false)
}

fn evalsha_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    by_hash(ctx, args, true)
}

fn by_text(ctx: &mut Ctx<'_>, args: Args<'_>, reads_only: bool) -> Outcome {
    let (keys, argv) = words_of(args)?;
    let (hash, known) = ctx.node.scripts.load(args.at(1)).ok_or_else(|| unknown(args.at(1)))?;
    run(ctx, known, &hash, keys, argv, reads_only)
}

fn by_hash(ctx: &mut Ctx<'_>, args: Args<'_>, reads_only: bool) -> Outcome {
    let no_script = || Refusal::new(Code::NoScript, "No matching script. Please use EVAL.");
    if args.at(1).len() != HASH_DIGITS {
        return Err(no_script().into());
    }
    let (keys, argv) = words_of(args)?;
    let found = unhex(args.at(1)).and_then(|hash| Some((hash, ctx.node.scripts.find(&hash)?)));
    let (hash, known) = found.ok_or_else(no_script)?;
    run(ctx, known, &hash, keys, argv, reads_only)
}

/// The keys and the arguments of a script.
fn words_of(args: Args<'_>) -> Result<(Args<'_>, Args<'_>), Refusal> {
    let count = integer(args.at(2))?;
    let words = args.skip(3);
    match usize::try_from(count) {
        Err(_) => Err(Refusal::err("Number of keys can't be negative")),
        Ok(count) if count > words.len() => {
            Err(Refusal::err("Number of keys can't be greater than number of args"))
        }
        Ok(count) => Ok((words.take(count), words.skip(count))),
    }
}

fn unknown(text: &[u8]) -> Refusal {
    Refusal::err(format!(
        "this server runs no Lua and the script {} is none that it knows: those of session and lock libraries \
         (README, Scripts); nothing of it ran",
        hex(&sha1(text))
    ))
}

/// Runs a known script in one step: all its keys are brought up, then held.
fn run(
    ctx: &mut Ctx<'_>,
    known: &Known,
    hash: &Hash,
    keys: Args<'_>,
    argv: Args<'_>,
    reads_only: bool,
) -> Outcome {
    let named = |refusal: Refusal| {
        let text = format!("{} script: {}, on @user_script:1.", refusal.text, hex(hash));
        Stop::Refuse(Refusal::new(refusal.code, text))
    };
    let (node, db) = (ctx.node, ctx.conn.db);
    // Inside a transaction the stripes are held already.
    let held = ctx.conn.scope.held;
    node.require(&ctx.conn.scope, db, keys.iter())?;
    let ids: Vec<_> = keys.iter().map(|key| node.id(db, key)).collect();
    let order = (!held).then(|| node.stripes.lock_many(&ids));
    ctx.conn.scope.held = true;
    // Between the look and the locks a key may have moved down again.
    let outcome = node
        .require(&ctx.conn.scope, db, keys.iter())
        .and_then(|()| (known.run)(&mut Run::new(ctx, keys, argv, reads_only)));
    ctx.conn.scope.held = held;
    drop(order);
    match outcome {
        Ok(value) => {
            native::write(&mut ctx.reply(), &value);
            Ok(Reply::Done)
        }
        Err(Stop::Refuse(refusal)) => Err(named(refusal)),
        Err(stop) => Err(stop),
    }
}

fn load(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (hash, _) = ctx.node.scripts.load(args.at(2)).ok_or_else(|| unknown(args.at(2)))?;
    ctx.reply().bulk_str(&hex(&hash));
    Ok(Reply::Done)
}

fn exists(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let node = ctx.node;
    let hashes = args.skip(2);
    let mut reply = ctx.reply();
    reply.array(hashes.len());
    for hash in hashes {
        reply.int(i64::from(unhex(hash).is_some_and(|hash| node.scripts.find(&hash).is_some())));
    }
    Ok(Reply::Done)
}

fn flush(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mode = args.get(2).map(|word| truth(word, "async", "sync"));
    if args.len() > 3 || matches!(mode, Some(Err(_))) {
        return Err(Refusal::err("SCRIPT FLUSH only support SYNC|ASYNC option").into());
    }
    ctx.node.scripts.flush();
    ctx.ok()
}

fn kill(_: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    Err(Refusal::new(Code::NotBusy, "No scripts in execution right now.").into())
}
