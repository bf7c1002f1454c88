//! What tools ask of a server beside its options and figures: its role, its modules, its end.

use crate::commands::introspect::container;
use crate::commands::parse::integer;
use crate::commands::{Command, Ctx, Outcome, Reply};
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "lolwut",
            parent: None,
            since: "5.0.0",
            group: Group::Server,
            arity: Arity(-1),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::integer("version").token("VERSION").optional()],
            complexity: "O(1)",
            summary: "Display some computer art and the Redis version",
            acl: Acl::READ.or(Acl::FAST),
            reply_doc: "the version",
        },
        run: lolwut,
    },
    Command {
        spec: Spec {
            name: "module",
            parent: None,
            since: "4.0.0",
            group: Group::Server,
            arity: Arity(-2),
            flags: Flags::NONE,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "Depends on subcommand.",
            summary: "A container for module commands",
            acl: Acl::SLOW,
            reply_doc: "what the subcommand answers",
        },
        run: container,
    },
    Command {
        spec: Spec {
            name: "list",
            parent: Some("module"),
            since: "4.0.0",
            group: Group::Server,
            arity: Arity(2),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(N) where N is the number of loaded modules.",
            summary: "List all modules loaded by the server",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "an empty array",
        },
        run: module_list,
    },
    Command {
        spec: Spec {
            name: "monitor",
            parent: None,
            since: "1.0.0",
            group: Group::Server,
            arity: Arity(1),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Listen for all requests received by the server in real time",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "`OK`, then a line for each command, its arguments by their lengths alone; an error where `watch.monitor` is off",
        },
        run: monitor,
    },
    Command {
        spec: Spec {
            name: "replicaof",
            parent: None,
            since: "5.0.0",
            group: Group::Server,
            arity: Arity(3),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("host"), Arg::string("port")],
            complexity: "O(1)",
            summary: "Make the server a replica of another instance, or promote it as master.",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "`OK` to NO ONE, else an error: nodes of gs replicate nobody",
        },
        run: replicaof,
    },
    Command {
        spec: Spec {
            name: "slaveof",
            parent: None,
            since: "1.0.0",
            group: Group::Server,
            arity: Arity(3),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("host"), Arg::string("port")],
            complexity: "O(1)",
            summary: "Make the server a replica of another instance, or promote it as master.",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "as REPLICAOF",
        },
        run: replicaof,
    },
    Command {
        spec: Spec {
            name: "role",
            parent: None,
            since: "2.8.12",
            group: Group::Server,
            arity: Arity(1),
            flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Return the role of the instance in the context of replication",
            acl: Acl::ADMIN.or(Acl::FAST).or(Acl::DANGEROUS),
            reply_doc: "`master`, 0 and no replicas",
        },
        run: role,
    },
    Command {
        spec: Spec {
            name: "shutdown",
            parent: None,
            since: "1.0.0",
            group: Group::Server,
            arity: Arity(-1),
            flags: Flags::ADMIN
                .or(Flags::NOSCRIPT)
                .or(Flags::LOADING)
                .or(Flags::STALE)
                .or(Flags::NO_MULTI)
                .or(Flags::ALLOW_BUSY),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[
                Arg::oneof(
                    "nosave_save",
                    &[Arg::token_only("nosave", "NOSAVE"), Arg::token_only("save", "SAVE")],
                )
                .optional(),
                Arg::token_only("now", "NOW").since("7.0.0").optional(),
                Arg::token_only("force", "FORCE").since("7.0.0").optional(),
                Arg::token_only("abort", "ABORT").since("7.0.0").optional(),
            ],
            complexity: "O(1)",
            summary: "Synchronously save the dataset to disk and then shut down the server",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "nothing: the connection closes; the section stays for the next start",
        },
        run: shutdown,
    },
];

fn lolwut(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.is(1, "version")
        && let Some(version) = args.get(2)
    {
        // Redis draws in versions 5 and 6, and reads how many columns and rows it shall draw.
        let numbers = match integer(version)? {
            5 => 3,
            6 => 2,
            _ => 0,
        };
        for word in args.skip(3).iter().take(numbers) {
            integer(word)?;
        }
    }
    let text =
        format!("Redis ver. {}, as gs {} speaks it\n", super::REDIS_VERSION, env!("CARGO_PKG_VERSION"));
    ctx.reply().verbatim(*b"txt", text.as_bytes());
    Ok(Reply::Done)
}

fn module_list(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.reply().array(0);
    Ok(Reply::Done)
}

fn replicaof(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.is(1, "no") && args.is(2, "one") {
        return ctx.ok();
    }
    let text = "a node of gs is nobody's replica; a family keeps second copies itself (paths.*.copies)";
    Err(Refusal::err(text).into())
}

fn role(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let mut reply = ctx.reply();
    reply.array(3);
    reply.bulk_str("master");
    reply.int(0);
    reply.array(0);
    Ok(Reply::Done)
}

/// Stops the process as SIGTERM does: what was read is answered, the section stays as it is for the next start.
fn shutdown(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let said =
        |word: &str| args.skip(1).iter().filter(|arg| arg.eq_ignore_ascii_case(word.as_bytes())).count();
    let known: usize = ["nosave", "save", "now", "force", "abort"].iter().map(|word| said(word)).sum();
    let others = said("nosave") + said("save") + said("now") + said("force");
    let contradicts = (said("nosave") > 0 && said("save") > 0) || (said("abort") > 0 && others > 0);
    if known != args.len() - 1 || contradicts {
        return Err(Refusal::syntax().into());
    }
    if said("abort") > 0 {
        // A stop that was begun serves nobody any more who could end it.
        return Err(Refusal::err("No shutdown in progress.").into());
    }
    tracing::info!(client = ctx.conn.info.id, "SHUTDOWN");
    ctx.node.stop.send_replace(true);
    Ok(Reply::Close)
}

fn monitor(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let node = ctx.node;
    if !node.live.monitor() {
        let text = "MONITOR is off here; an operator may switch it on: CONFIG SET watch.monitor true";
        return Err(Refusal::err(text).into());
    }
    ctx.ok()?;
    let mailbox = ctx.conn.mailbox(&node.mailroom);
    node.monitors.begin(&ctx.conn.info, mailbox);
    Ok(Reply::Done)
}
