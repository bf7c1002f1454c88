//! The connection itself: who it is, which protocol it speaks, which database it looks at.

pub mod client;
pub mod kill;
pub mod list;
pub mod pause;
pub mod tracking;

use crate::commands::conn::Mute;
use crate::commands::parse::integer;
use crate::commands::{Command, Ctx, Outcome, Reply};
use crate::core::node::DATABASES;
use gs_resp::{
    AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Protocol, Refusal, Roles, Spec, Writer,
};
use std::sync::atomic::Ordering;

/// The version of Redis that HELLO and INFO claim: what clients gate their features by.
pub const REDIS_VERSION: &str = "7.4.0";

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "auth",
            parent: None,
            since: "1.0.0",
            group: Group::Connection,
            arity: Arity(-2),
            flags: Flags::NOSCRIPT
                .or(Flags::LOADING)
                .or(Flags::STALE)
                .or(Flags::FAST)
                .or(Flags::NO_AUTH)
                .or(Flags::ALLOW_BUSY),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("username").since("6.0.0").optional(), Arg::string("password")],
            complexity: "O(N) where N is the number of passwords defined for the user",
            summary: "Authenticate to the server",
            acl: Acl::FAST.or(Acl::CONNECTION),
            reply_doc: "`OK`",
        },
        run: auth,
    },
    Command {
        spec: Spec {
            name: "echo",
            parent: None,
            since: "1.0.0",
            group: Group::Connection,
            arity: Arity(2),
            flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("message")],
            complexity: "O(1)",
            summary: "Echo the given string",
            acl: Acl::FAST.or(Acl::CONNECTION),
            reply_doc: "the message",
        },
        run: echo,
    },
    Command {
        spec: Spec {
            name: "hello",
            parent: None,
            since: "6.0.0",
            group: Group::Connection,
            arity: Arity(-1),
            flags: Flags::NOSCRIPT
                .or(Flags::LOADING)
                .or(Flags::STALE)
                .or(Flags::FAST)
                .or(Flags::NO_AUTH)
                .or(Flags::ALLOW_BUSY),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::block(
                "arguments",
                &[
                    Arg::integer("protover"),
                    Arg::block("username_password", &[Arg::string("username"), Arg::string("password")])
                        .token("AUTH")
                        .optional(),
                    Arg::string("clientname").token("SETNAME").optional(),
                ],
            )
            .optional()],
            complexity: "O(1)",
            summary: "Handshake with Redis",
            acl: Acl::FAST.or(Acl::CONNECTION),
            reply_doc: "a map of what the server is",
        },
        run: hello,
    },
    Command {
        spec: Spec {
            name: "ping",
            parent: None,
            since: "1.0.0",
            group: Group::Connection,
            arity: Arity(-1),
            flags: Flags::FAST,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("message").optional()],
            complexity: "O(1)",
            summary: "Ping the server",
            acl: Acl::FAST.or(Acl::CONNECTION),
            reply_doc: "`PONG`, or the message",
        },
        run: ping,
    },
    Command {
        spec: Spec {
            name: "quit",
            parent: None,
            since: "1.0.0",
            group: Group::Connection,
            arity: Arity(-1),
            flags: Flags::NOSCRIPT
                .or(Flags::LOADING)
                .or(Flags::STALE)
                .or(Flags::FAST)
                .or(Flags::NO_AUTH)
                .or(Flags::ALLOW_BUSY),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Close the connection",
            acl: Acl::FAST.or(Acl::CONNECTION),
            reply_doc: "`OK`, then the connection closes",
        },
        run: quit,
    },
    Command {
        spec: Spec {
            name: "reset",
            parent: None,
            since: "6.2.0",
            group: Group::Connection,
            arity: Arity(1),
            flags: Flags::NOSCRIPT
                .or(Flags::LOADING)
                .or(Flags::STALE)
                .or(Flags::FAST)
                .or(Flags::NO_AUTH)
                .or(Flags::ALLOW_BUSY),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Reset the connection",
            acl: Acl::FAST.or(Acl::CONNECTION),
            reply_doc: "`RESET`",
        },
        run: reset,
    },
    Command {
        spec: Spec {
            name: "select",
            parent: None,
            since: "1.0.0",
            group: Group::Connection,
            arity: Arity(2),
            flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::integer("index")],
            complexity: "O(1)",
            summary: "Change the selected database for the current connection",
            acl: Acl::FAST.or(Acl::CONNECTION),
            reply_doc: "`OK`",
        },
        run: select,
    },
];

/// The one user there is.
const USER: &[u8] = b"default";

fn hello(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut proto = ctx.conn.proto;
    if let Some(word) = args.get(1) {
        proto = match gs_resp::parse_i64(word) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return Err(Refusal::no_proto().into()),
            None => return Err(Refusal::proto_not_integer().into()),
        };
    }
    let mut i = 2;
    while i < args.len() {
        let left = args.len() - 1 - i;
        if args.is(i, "auth") && left >= 2 {
            log_in(ctx, args.at(i + 1), args.at(i + 2))?;
            i += 3;
        } else if args.is(i, "setname") && left >= 1 {
            client::set_name(ctx, args.at(i + 1))?;
            i += 2;
        } else {
            let option = String::from_utf8_lossy(args.at(i));
            return Err(Refusal::err(format!("Syntax error in HELLO option '{option}'")).into());
        }
    }
    if !ctx.conn.authenticated {
        return Err(Refusal::no_auth_hello().into());
    }
    ctx.conn.proto = proto;
    let id = ctx.conn.info.id;
    let mut reply = ctx.reply();
    reply.map(7);
    let text = |reply: &mut Writer<'_>, name, value| {
        reply.bulk_str(name);
        reply.bulk_str(value);
    };
    text(&mut reply, "server", "redis");
    text(&mut reply, "version", REDIS_VERSION);
    reply.bulk_str("proto");
    reply.int(proto.number());
    reply.bulk_str("id");
    reply.uint(id);
    text(&mut reply, "mode", "standalone");
    text(&mut reply, "role", "master");
    reply.bulk_str("modules");
    reply.array(0);
    Ok(Reply::Done)
}

fn auth(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    match (args.get(1), args.get(2), args.len()) {
        (Some(password), None, _) => {
            if !ctx.node.live.asks_password() {
                return Err(Refusal::no_password_set().into());
            }
            log_in(ctx, USER, password)?;
        }
        (Some(user), Some(password), 3) => log_in(ctx, user, password)?,
        _ => return Err(Refusal::syntax().into()),
    }
    ctx.ok()
}

/// Lets the connection in, or refuses without saying whether the name or the password was wrong.
fn log_in(ctx: &mut Ctx<'_>, user: &[u8], password: &[u8]) -> Result<(), Refusal> {
    let node = ctx.node;
    // Without a password any will do, as for Redis's default user.
    let is_client = node.live.is_password(|wanted| same_secret(wanted, password));
    // After CONFIG SET requirepass the family's links go on with the password they were configured with.
    let is_node = || node.links.password.as_ref().is_some_and(|own| same_secret(own.as_bytes(), password));
    if user != USER || !(is_client || is_node()) {
        return Err(Refusal::wrong_pass());
    }
    ctx.conn.authenticated = true;
    ctx.conn.only_peer = !is_client;
    Ok(())
}

/// Compares in a time that depends on the length of `given` alone.
fn same_secret(wanted: &[u8], given: &[u8]) -> bool {
    let mut difference = u8::from(wanted.len() != given.len());
    for (i, byte) in given.iter().enumerate() {
        difference |= byte ^ wanted.get(i % wanted.len().max(1)).copied().unwrap_or_default();
    }
    // Kept opaque, so that the compiler cannot turn the fold into a loop that leaves early.
    std::hint::black_box(difference) == 0
}

fn ping(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.len() > 2 {
        return Err(Refusal::wrong_arity("ping").into());
    }
    let listens = ctx.conn.only_listens();
    let mut reply = ctx.reply();
    match args.get(1) {
        message if listens => {
            reply.array(2);
            reply.bulk_str("pong");
            reply.bulk(message.unwrap_or_default());
        }
        Some(message) => reply.bulk(message),
        None => reply.simple("PONG"),
    }
    Ok(Reply::Done)
}

fn echo(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    ctx.reply().bulk(args.at(1));
    Ok(Reply::Done)
}

fn quit(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.reply().ok();
    Ok(Reply::Close)
}

fn reset(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let node = ctx.node;
    ctx.conn.end_transaction(node);
    ctx.conn.end_tracking(node);
    ctx.conn.end_monitoring(node);
    ctx.conn.unsubscribe_all(node);
    ctx.conn.proto = Protocol::Resp2;
    ctx.conn.authenticated = !node.live.asks_password();
    ctx.conn.only_peer = false;
    ctx.conn.is_peer = false;
    ctx.conn.info.name.lock().clear();
    ctx.conn.mute = Mute::No;
    client::set_no_touch(ctx, false);
    ctx.conn.info.no_evict.store(false, Ordering::Relaxed);
    select_db(ctx, 0);
    ctx.reply().simple("RESET");
    Ok(Reply::Done)
}

fn select(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let n = integer(args.at(1))?;
    if i32::try_from(n).is_err() {
        let text = "value is out of range, value must between -2147483648 and 2147483647";
        return Err(Refusal::err(text).into());
    }
    match u8::try_from(n) {
        Ok(db) if db < DATABASES => select_db(ctx, db),
        _ => return Err(Refusal::db_out_of_range().into()),
    }
    ctx.ok()
}

fn select_db(ctx: &mut Ctx<'_>, db: u8) {
    ctx.conn.db = db;
}

#[cfg(test)]
mod tests {
    use super::same_secret;

    /// A comparison that took a prefix or a repetition for the whole would let strangers in.
    #[test]
    fn only_the_whole_password_is_the_password() {
        assert!(same_secret(b"secret", b"secret") && same_secret(b"", b""));
        for wrong in ["", "s", "secre", "secretsecret", "secret ", "Secret"] {
            assert!(!same_secret(b"secret", wrong.as_bytes()), "{wrong:?}");
        }
        assert!(!same_secret(b"", b"x"));
    }
}
