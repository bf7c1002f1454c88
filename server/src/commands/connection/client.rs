//! CLIENT: what a connection says of itself and what an operator sees.

use crate::commands::introspect::container;
use crate::commands::parse::{integer_in, truth};
use crate::commands::{Command, Ctx, Outcome, Reply};
use crate::core::clients::ClientInfo;
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec};
use std::fmt::Write;
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
            name: "info",
            parent: Some("client"),
            since: "6.2.0",
            group: Group::Connection,
            arity: Arity(2),
            flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Returns information about the current client connection.",
            acl: Acl::SLOW.or(Acl::CONNECTION),
            reply_doc: "one line about this connection",
        },
        run: info,
    },
    Command {
        spec: Spec {
            name: "list",
            parent: Some("client"),
            since: "2.4.0",
            group: Group::Connection,
            arity: Arity(-2),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[
                Arg::oneof(
                    "normal_master_replica_pubsub",
                    &[
                        Arg::token_only("normal", "NORMAL"),
                        Arg::token_only("master", "MASTER"),
                        Arg::token_only("replica", "REPLICA"),
                        Arg::token_only("pubsub", "PUBSUB"),
                    ],
                )
                .token("TYPE")
                .since("5.0.0")
                .optional(),
                Arg::block("id", &[Arg::integer("client-id").multiple()])
                    .token("ID")
                    .since("6.2.0")
                    .optional(),
            ],
            complexity: "O(N) where N is the number of client connections",
            summary: "Get the list of client connections",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS).or(Acl::CONNECTION),
            reply_doc: "one line for each connection",
        },
        run: list,
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
        run: on_off,
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
        run: on_off,
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

/// NO-EVICT and NO-TOUCH: gs never evicts a client for what it holds, and reads of operators are too few to
/// disturb the order of eviction, so both only take their word.
fn on_off(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    truth(args.at(2), "on", "off")?;
    ctx.ok()
}

fn info(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let line = describe(&ctx.conn.info, ctx.node.now_ms());
    ctx.reply().verbatim(*b"txt", line.as_bytes());
    Ok(Reply::Done)
}

/// Kinds of clients; gs has no replicas, and its peers are ordinary clients.
pub(super) fn is_of_kind(ctx: &Ctx<'_>, info: &ClientInfo, kind: &[u8]) -> Result<bool, Refusal> {
    let listens = info.id == ctx.conn.info.id && ctx.conn.subs.count() > 0;
    match kind.to_ascii_lowercase().as_slice() {
        b"normal" => Ok(!listens),
        b"pubsub" => Ok(listens),
        b"master" | b"replica" | b"slave" => Ok(false),
        _ => Err(Refusal::err(format!("Unknown client type '{}'", String::from_utf8_lossy(kind)))),
    }
}

fn list(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut clients = ctx.node.clients.list();
    if args.len() == 4 && args.is(2, "type") {
        let mut kept = Vec::new();
        for info in clients {
            if is_of_kind(ctx, &info, args.at(3))? {
                kept.push(info);
            }
        }
        clients = kept;
    } else if args.len() > 3 && args.is(2, "id") {
        let mut ids = Vec::new();
        for word in args.skip(3) {
            ids.push(integer_in(word, i64::MIN..=i64::MAX, "Invalid client ID")?);
        }
        clients.retain(|info| ids.contains(&(info.id as i64)));
    } else if args.len() != 2 {
        return Err(Refusal::syntax().into());
    }
    let now_ms = ctx.node.now_ms();
    let text: String = clients.iter().map(|info| describe(info, now_ms)).collect();
    ctx.reply().verbatim(*b"txt", text.as_bytes());
    Ok(Reply::Done)
}

/// One line about a connection, in Redis's words where it has the same.
fn describe(info: &ClientInfo, now_ms: u64) -> String {
    let seconds = |since: u64| now_ms.saturating_sub(since) / 1000;
    let library = info.library.lock().clone();
    let mut line = String::with_capacity(160);
    // Writing to a String cannot fail.
    let _ = writeln!(
        line,
        "id={} addr={} name={} age={} idle={} flags=N db={} tls={} user=default lib-name={} lib-ver={}",
        info.id,
        info.addr,
        info.name.lock(),
        seconds(info.since_ms),
        seconds(info.active_ms.load(Ordering::Relaxed)),
        info.db.load(Ordering::Relaxed),
        u8::from(info.tls),
        library.0,
        library.1,
    );
    line
}
