//! CLIENT: what a connection says of itself and how it wants to be answered.

use crate::commands::conn::Mute;
use crate::commands::introspect::container;
use crate::commands::parse::{integer, truth};
use crate::commands::{Command, Ctx, Outcome, Reply};
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec};
use std::sync::atomic::Ordering;

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "client",
            parent: None,
            since: "2.4.0",
            group: Group::Connection,
            arity: Arity(-2),
            flags: Flags::NONE,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "Depends on subcommand.",
            summary: "A container for client connection commands",
            acl: Acl::SLOW,
            reply_doc: "what the subcommand answers",
        },
        run: container,
    },
    Command {
        spec: Spec {
            name: "getname",
            parent: Some("client"),
            since: "2.6.9",
            group: Group::Connection,
            arity: Arity(2),
            flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Get the current connection name",
            acl: Acl::SLOW.or(Acl::CONNECTION),
            reply_doc: "the name, or nil",
        },
        run: getname,
    },
    Command {
        spec: Spec {
            name: "id",
            parent: Some("client"),
            since: "5.0.0",
            group: Group::Connection,
            arity: Arity(2),
            flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Returns the client ID for the current connection",
            acl: Acl::SLOW.or(Acl::CONNECTION),
            reply_doc: "the number of the connection",
        },
        run: id,
    },
    Command {
        spec: Spec {
            name: "no-evict",
            parent: Some("client"),
            since: "7.0.0",
            group: Group::Connection,
            arity: Arity(3),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::oneof("enabled", &[Arg::token_only("on", "ON"), Arg::token_only("off", "OFF")])],
            complexity: "O(1)",
            summary: "Set client eviction mode for the current connection",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS).or(Acl::CONNECTION),
            reply_doc: "`OK`",
        },
        run: no_evict,
    },
    Command {
        spec: Spec {
            name: "no-touch",
            parent: Some("client"),
            since: "7.2.0",
            group: Group::Connection,
            arity: Arity(3),
            flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::oneof("enabled", &[Arg::token_only("on", "ON"), Arg::token_only("off", "OFF")])],
            complexity: "O(1)",
            summary: "Control whether the commands of this connection count as uses of keys",
            acl: Acl::SLOW.or(Acl::CONNECTION),
            reply_doc: "`OK`",
        },
        run: no_touch,
    },
    Command {
        spec: Spec {
            name: "reply",
            parent: Some("client"),
            since: "3.2.0",
            group: Group::Connection,
            arity: Arity(3),
            flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::oneof(
                "on_off_skip",
                &[
                    Arg::token_only("on", "ON"),
                    Arg::token_only("off", "OFF"),
                    Arg::token_only("skip", "SKIP"),
                ],
            )],
            complexity: "O(1)",
            summary: "Instruct the server whether to reply to commands",
            acl: Acl::SLOW.or(Acl::CONNECTION),
            reply_doc: "`OK` to ON, nothing else",
        },
        run: reply,
    },
    Command {
        spec: Spec {
            name: "setinfo",
            parent: Some("client"),
            since: "7.2.0",
            group: Group::Connection,
            arity: Arity(4),
            flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::oneof(
                "attr",
                &[Arg::string("libname").token("LIB-NAME"), Arg::string("libver").token("LIB-VER")],
            )],
            complexity: "O(1)",
            summary: "Set what is known of the client's library",
            acl: Acl::SLOW.or(Acl::CONNECTION),
            reply_doc: "`OK`",
        },
        run: setinfo,
    },
    Command {
        spec: Spec {
            name: "setname",
            parent: Some("client"),
            since: "2.6.9",
            group: Group::Connection,
            arity: Arity(3),
            flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("connection-name")],
            complexity: "O(1)",
            summary: "Set the current connection name",
            acl: Acl::SLOW.or(Acl::CONNECTION),
            reply_doc: "`OK`",
        },
        run: setname,
    },
    Command {
        spec: Spec {
            name: "unblock",
            parent: Some("client"),
            since: "5.0.0",
            group: Group::Connection,
            arity: Arity(-3),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[
                Arg::integer("client-id"),
                Arg::oneof(
                    "timeout_error",
                    &[Arg::token_only("timeout", "TIMEOUT"), Arg::token_only("error", "ERROR")],
                )
                .optional(),
            ],
            complexity: "O(log N) where N is the number of client connections",
            summary: "Unblock a client blocked in a blocking command from a different connection",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS).or(Acl::CONNECTION),
            reply_doc: "0: no command blocks for want of data",
        },
        run: unblock,
    },
];

fn id(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let id = ctx.conn.info.id;
    ctx.reply().uint(id);
    Ok(Reply::Done)
}

fn getname(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let name = ctx.conn.info.name.lock().clone();
    match name.as_str() {
        "" => ctx.reply().null(),
        name => ctx.reply().bulk_str(name),
    }
    Ok(Reply::Done)
}

fn setname(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set_name(ctx, args.at(2))?;
    ctx.ok()
}

/// Names the connection, here and for HELLO; an empty name removes it.
pub(super) fn set_name(ctx: &mut Ctx<'_>, name: &[u8]) -> Result<(), Refusal> {
    let text = visible(name)
        .ok_or_else(|| Refusal::err("Client names cannot contain spaces, newlines or special characters."))?;
    *ctx.conn.info.name.lock() = text.to_owned();
    Ok(())
}

/// The text, if all of it is printable ASCII without spaces: CLIENT LIST stays one line per client.
fn visible(word: &[u8]) -> Option<&str> {
    std::str::from_utf8(word).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))
}

fn setinfo(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let is_name = args.is(2, "lib-name");
    let option = String::from_utf8_lossy(args.at(2));
    if !is_name && !args.is(2, "lib-ver") {
        return Err(Refusal::err(format!("Unrecognized option '{option}'")).into());
    }
    let value = visible(args.at(3)).ok_or_else(|| {
        Refusal::err(format!("{option} cannot contain spaces, newlines or special characters."))
    })?;
    let mut library = ctx.conn.info.library.lock();
    *(if is_name { &mut library.0 } else { &mut library.1 }) = value.to_owned();
    drop(library);
    ctx.ok()
}

fn no_evict(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let on = truth(args.at(2), "on", "off")?;
    // gs never evicts a client for what it holds: the word is kept and shown.
    ctx.conn.info.no_evict.store(on, Ordering::Relaxed);
    ctx.ok()
}

fn no_touch(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let on = truth(args.at(2), "on", "off")?;
    set_no_touch(ctx, on);
    ctx.ok()
}

/// Whether reads of this connection leave the order of eviction as it is.
pub(super) fn set_no_touch(ctx: &mut Ctx<'_>, on: bool) {
    ctx.conn.scope.no_touch = on;
    ctx.conn.info.no_touch.store(on, Ordering::Relaxed);
}

fn reply(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.is(2, "on") {
        ctx.conn.mute = Mute::No;
        return ctx.ok();
    }
    if args.is(2, "off") {
        ctx.conn.mute = Mute::All;
    } else if !args.is(2, "skip") {
        return Err(Refusal::syntax().into());
    } else if ctx.conn.mute != Mute::All {
        ctx.conn.mute = Mute::Next;
    }
    Ok(Reply::Done)
}

/// No command of gs blocks for want of data, so there is never anybody to unblock.
fn unblock(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.len() > 4 {
        return Err(Refusal::subcommand_syntax(b"client", args.at(1)).into());
    }
    if args.len() == 4 && !args.is(3, "timeout") && !args.is(3, "error") {
        return Err(Refusal::err("CLIENT UNBLOCK reason should be TIMEOUT or ERROR").into());
    }
    integer(args.at(2))?;
    ctx.int(0)
}
