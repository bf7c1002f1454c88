//! The node: INFO, TIME, and what Redis has that gs answers without having it.

pub mod acl;
pub mod config;
pub mod figures;
mod info;
pub mod latency;
mod machine;
pub mod memory;
pub mod slowlog;
pub mod tools;

use crate::commands::connection::REDIS_VERSION;
use crate::commands::parse::{integer, integer_in};
use crate::commands::{Answer, Command, Ctx, Outcome, Reply};
use crate::core::{census, huge};
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec, Writer};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "cluster",
            parent: None,
            since: "3.0.0",
            group: Group::Cluster,
            arity: Arity(-2),
            flags: Flags::NONE,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("subcommand"), Arg::string("argument").optional().multiple()],
            complexity: "O(1)",
            summary: "Answer that there is no Redis Cluster here",
            acl: Acl::SLOW,
            reply_doc: "an error: gs places by slot itself and clients see one node",
        },
        run: cluster,
    },
    Command {
        spec: Spec {
            name: "info",
            parent: None,
            since: "1.0.0",
            group: Group::Server,
            arity: Arity(-1),
            flags: Flags::LOADING.or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("section").multiple().optional()],
            complexity: "O(1)",
            summary: "Get information and statistics about the server",
            acl: Acl::SLOW.or(Acl::DANGEROUS),
            reply_doc: "text in sections",
        },
        run: info,
    },
    Command {
        spec: Spec {
            name: "time",
            parent: None,
            since: "2.6.0",
            group: Group::Server,
            arity: Arity(1),
            flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Return the current server time",
            acl: Acl::FAST,
            reply_doc: "seconds since 1970 and microseconds",
        },
        run: time,
    },
    Command {
        spec: Spec {
            name: "wait",
            parent: None,
            since: "3.0.0",
            group: Group::Generic,
            arity: Arity(3),
            flags: Flags::NOSCRIPT,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::integer("numreplicas"), Arg::integer("timeout")],
            complexity: "O(1)",
            summary: "Wait for the synchronous replication of all the write commands sent in the context of the current connection",
            acl: Acl::SLOW.or(Acl::CONNECTION),
            reply_doc: "0",
        },
        run: wait,
    },
];

fn info(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    ctx.publish();
    let words: Vec<Vec<u8>> = args.skip(1).iter().map(<[u8]>::to_vec).collect();
    let counts = info::counts_keys(args.skip(1)) && !census::count_at_once(ctx.node);
    let looks =
        info::tells_of_pages(args.skip(1)) && !ctx.node.huge.is_fresh(ctx.node.now_ms(), huge::ASKED_MS);
    // Inside a transaction nothing can be waited for: the last count will do.
    if (counts || looks) && !ctx.conn.scope.held {
        let node = ctx.node.clone();
        return ctx.later(async move {
            if counts {
                census::count_beside(node.clone()).await;
            }
            if looks {
                huge::look_beside(node.clone(), huge::ASKED_MS).await;
            }
            let text = info::text(&node, &words);
            Ok(Box::new(move |w: &mut Writer<'_>| w.verbatim(*b"txt", text.as_bytes())) as Answer)
        });
    }
    let text = info::text(ctx.node, &words);
    ctx.reply().verbatim(*b"txt", text.as_bytes());
    Ok(Reply::Done)
}

fn time(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let unix_us = ctx.node.clock.unix_us();
    let mut reply = ctx.reply();
    reply.array(2);
    reply.bulk_uint(unix_us / 1_000_000);
    reply.bulk_uint(unix_us % 1_000_000);
    Ok(Reply::Done)
}

/// No replicas follow this node: none acknowledged anything.
fn wait(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let timeout = integer_in(args.at(2), i64::MIN..=i64::MAX, "timeout is not an integer or out of range")?;
    if timeout < 0 {
        return Err(Refusal::err("timeout is negative").into());
    }
    integer(args.at(1))?;
    ctx.int(0)
}

fn cluster(_: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    Err(Refusal::cluster_disabled().into())
}
