//! Functions: there are none, and that is what these commands say.

use crate::commands::introspect::container;
use crate::commands::parse::truth;
use crate::commands::{Command, Ctx, Outcome, Reply};
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "fcall",
            parent: None,
            since: "7.0.0",
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
                Arg::string("function"),
                Arg::integer("numkeys"),
                Arg::key("key").multiple().optional(),
                Arg::string("arg").multiple().optional(),
            ],
            complexity: "Depends on the function that is executed.",
            summary: "Invoke a function",
            acl: Acl::SLOW.or(Acl::SCRIPTING),
            reply_doc: "an error: there are no functions",
        },
        run: fcall,
    },
    Command {
        spec: Spec {
            name: "fcall_ro",
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
                Arg::string("function"),
                Arg::integer("numkeys"),
                Arg::key("key").multiple().optional(),
                Arg::string("arg").multiple().optional(),
            ],
            complexity: "Depends on the function that is executed.",
            summary: "Invoke a read-only function",
            acl: Acl::SLOW.or(Acl::SCRIPTING),
            reply_doc: "an error: there are no functions",
        },
        run: fcall,
    },
    Command {
        spec: Spec {
            name: "function",
            parent: None,
            since: "7.0.0",
            group: Group::Scripting,
            arity: Arity(-2),
            flags: Flags::NONE,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "Depends on subcommand.",
            summary: "A container for function commands",
            acl: Acl::SLOW,
            reply_doc: "what the subcommand answers",
        },
        run: container,
    },
    Command {
        spec: Spec {
            name: "flush",
            parent: Some("function"),
            since: "7.0.0",
            group: Group::Scripting,
            arity: Arity(-2),
            flags: Flags::WRITE.or(Flags::NOSCRIPT),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[super::MODE],
            complexity: "O(N) where N is the number of functions deleted",
            summary: "Deleting all functions",
            acl: Acl::WRITE.or(Acl::SLOW).or(Acl::SCRIPTING),
            reply_doc: "`OK`",
        },
        run: flush,
    },
    Command {
        spec: Spec {
            name: "list",
            parent: Some("function"),
            since: "7.0.0",
            group: Group::Scripting,
            arity: Arity(-2),
            flags: Flags::NOSCRIPT,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[
                Arg::string("library-name-pattern").token("LIBRARYNAME").optional(),
                Arg::token_only("withcode", "WITHCODE").optional(),
            ],
            complexity: "O(N) where N is the number of functions",
            summary: "List information about all the functions",
            acl: Acl::SLOW.or(Acl::SCRIPTING),
            reply_doc: "an empty array",
        },
        run: list,
    },
    Command {
        spec: Spec {
            name: "stats",
            parent: Some("function"),
            since: "7.0.0",
            group: Group::Scripting,
            arity: Arity(2),
            flags: Flags::NOSCRIPT.or(Flags::ALLOW_BUSY),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Return information about the function currently running (name, description, duration)",
            acl: Acl::SLOW.or(Acl::SCRIPTING),
            reply_doc: "no running script and no engine",
        },
        run: stats,
    },
];

fn fcall(_: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    Err(Refusal::err("Function not found").into())
}

fn flush(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.len() > 3 {
        return Err(Refusal::subcommand_syntax(args.name(), args.get(1).unwrap_or_default()).into());
    }
    let mode = args.get(2).map(|word| truth(word, "async", "sync"));
    if matches!(mode, Some(Err(_))) {
        return Err(Refusal::err("FUNCTION FLUSH only supports SYNC|ASYNC option").into());
    }
    ctx.ok()
}

fn list(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut words = args.skip(2).iter();
    let (mut with_code, mut named) = (false, false);
    while let Some(word) = words.next() {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        if is("withcode") && !with_code {
            with_code = true;
        } else if is("libraryname") && !named {
            named = true;
            words.next().ok_or_else(|| Refusal::err("library name argument was not given"))?;
        } else {
            let text = format!("Unknown argument {}", String::from_utf8_lossy(word));
            return Err(Refusal::err(text).into());
        }
    }
    ctx.reply().array(0);
    Ok(Reply::Done)
}

fn stats(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let mut reply = ctx.reply();
    reply.map(2);
    reply.bulk_str("running_script");
    reply.null();
    reply.bulk_str("engines");
    reply.map(0);
    Ok(Reply::Done)
}
