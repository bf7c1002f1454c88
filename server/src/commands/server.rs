//! The node: INFO, CONFIG, TIME, and what Redis has that gs answers without having it.

mod figures;
mod info;
pub mod quiet;

use crate::commands::introspect::container;
use crate::commands::parse::{integer, integer_in, pattern};
use crate::commands::{Command, Ctx, Outcome, Reply};
use gs_resp::{
    AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec, glob_match_nocase,
};

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
            name: "config",
            parent: None,
            since: "2.0.0",
            group: Group::Server,
            arity: Arity(-2),
            flags: Flags::NONE,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "Depends on subcommand.",
            summary: "A container for server configuration commands",
            acl: Acl::SLOW,
            reply_doc: "what the subcommand answers",
        },
        run: container,
    },
    Command {
        spec: Spec {
            name: "get",
            parent: Some("config"),
            since: "2.0.0",
            group: Group::Server,
            arity: Arity(-3),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::block("parameter", &[Arg::string("parameter")]).multiple()],
            complexity: "O(N) when N is the number of configuration parameters provided",
            summary: "Get the values of configuration parameters",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "a map from name to value",
        },
        run: get,
    },
    Command {
        spec: Spec {
            name: "resetstat",
            parent: Some("config"),
            since: "2.0.0",
            group: Group::Server,
            arity: Arity(2),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Reset the stats returned by INFO",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "`OK`",
        },
        run: resetstat,
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
    let text = info::text(ctx.node, args.skip(1));
    ctx.reply().verbatim(*b"txt", text.as_bytes());
    Ok(Reply::Done)
}

fn get(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut patterns = Vec::new();
    for word in args.skip(2) {
        patterns.push(pattern(word)?);
    }
    let node = ctx.node;
    let wanted = |name: &str| patterns.iter().any(|p| glob_match_nocase(p, name.as_bytes()));
    let found: Vec<_> = node.config.iter().filter(|(name, _)| wanted(name)).collect();
    let mut reply = ctx.reply();
    reply.map(found.len());
    for (name, value) in found {
        reply.bulk_str(name);
        reply.bulk_str(value);
    }
    Ok(Reply::Done)
}

fn resetstat(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    figures::reset(ctx.node);
    ctx.ok()
}

fn time(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let unix_ms = ctx.node.clock.unix_ms();
    let mut reply = ctx.reply();
    reply.array(2);
    reply.bulk_uint(unix_ms / 1000);
    reply.bulk_uint(unix_ms % 1000 * 1000);
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
