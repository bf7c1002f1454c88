//! CLIENT KILL: an operator ends connections.

use crate::commands::connection::list::is_of_kind;
use crate::commands::parse::{integer_in, truth};
use crate::commands::{Command, Ctx, Outcome, Reply};
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec};
use std::net::SocketAddr;

/// The rows of this file.
pub const COMMANDS: &[Command] = &[Command {
    spec: Spec {
        name: "kill",
        parent: Some("client"),
        since: "2.4.0",
        group: Group::Connection,
        arity: Arity(-3),
        flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
        roles: Roles::EVERY,
        keys: Keys::None,
        args: &[Arg::oneof(
            "filter",
            &[
                Arg::string("ip:port"),
                Arg::oneof(
                    "new-format",
                    &[
                        Arg::integer("client-id").token("ID").since("2.8.12").optional(),
                        Arg::oneof(
                            "normal_master_slave_pubsub",
                            &[
                                Arg::token_only("normal", "NORMAL"),
                                Arg::token_only("master", "MASTER").since("3.2.0"),
                                Arg::token_only("slave", "SLAVE"),
                                Arg::token_only("replica", "REPLICA").since("5.0.0"),
                                Arg::token_only("pubsub", "PUBSUB"),
                            ],
                        )
                        .token("TYPE")
                        .since("2.8.12")
                        .optional(),
                        Arg::string("username").token("USER").optional(),
                        Arg::string("ip:port").token("ADDR").optional(),
                        Arg::string("ip:port").token("LADDR").since("6.2.0").optional(),
                        Arg::string("yes/no").token("SKIPME").optional(),
                    ],
                )
                .multiple(),
            ],
        )],
        complexity: "O(N) where N is the number of client connections",
        summary: "Kill the connection of a client",
        acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS).or(Acl::CONNECTION),
        reply_doc: "how many were closed; `OK` in the old form",
    },
    run: kill,
}];

/// What CLIENT KILL selects by.
#[derive(Default)]
struct Filter<'a> {
    id: Option<u64>,
    addr: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
    laddr: Option<&'a [u8]>,
    own_too: bool,
}

impl<'a> Filter<'a> {
    fn parse(args: Args<'a>) -> Result<Filter<'a>, Refusal> {
        let mut filter = Filter::default();
        let mut i = 2;
        while let (Some(name), Some(value)) = (args.get(i), args.get(i + 1)) {
            match name.to_ascii_lowercase().as_slice() {
                b"id" => {
                    let id = integer_in(value, 1..=i64::MAX, "client-id should be greater than 0")?;
                    filter.id = Some(id.unsigned_abs());
                }
                b"addr" => filter.addr = Some(value),
                b"type" => filter.kind = Some(value),
                b"user" if value == b"default" => {}
                b"user" => {
                    let text = format!("No such user '{}'", String::from_utf8_lossy(value));
                    return Err(Refusal::err(text));
                }
                b"skipme" => filter.own_too = !truth(value, "yes", "no")?,
                b"laddr" => filter.laddr = Some(value),
                _ => return Err(Refusal::syntax()),
            }
            i += 2;
        }
        if i == args.len() { Ok(filter) } else { Err(Refusal::syntax()) }
    }
}

fn kill(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let old_form = args.len() == 3;
    let filter = match old_form {
        true => Filter { addr: args.get(2), own_too: true, ..Filter::default() },
        false => Filter::parse(args)?,
    };
    ctx.publish();
    let (mut killed, mut own) = (0, false);
    for info in ctx.node.clients.list() {
        let is = |wanted: Option<&[u8]>, addr: SocketAddr| {
            wanted.is_none_or(|wanted| wanted == addr.to_string().as_bytes())
        };
        let mut wanted = filter.id.is_none_or(|id| id == info.id);
        wanted &= is(filter.addr, info.addr) && is(filter.laddr, info.laddr);
        if let Some(kind) = filter.kind {
            wanted &= is_of_kind(&info, kind)?;
        }
        let is_own = info.id == ctx.conn.info.id;
        if wanted && (!is_own || filter.own_too) {
            killed += 1;
            own |= is_own;
            if !is_own {
                info.end();
            }
        }
    }
    match (old_form, killed) {
        (true, 0) => return Err(Refusal::err("No such client").into()),
        (true, _) => ctx.reply().ok(),
        (false, n) => ctx.reply().int(n),
    }
    Ok(if own { Reply::Close } else { Reply::Done })
}
