//! Shard channels: in a Redis Cluster they stay on the shard of their name; here on the node, as channels that
//! patterns do not see.

use super::confirm_of;
use crate::commands::parse::pattern;
use crate::commands::{Command, Ctx, Outcome, Reply};
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "ssubscribe",
            parent: None,
            since: "7.0.0",
            group: Group::PubSub,
            arity: Arity(-2),
            flags: Flags::PUBSUB.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("shardchannel").multiple()],
            complexity: "O(N) where N is the number of shard channels to subscribe to.",
            summary: "Listen for messages published to the given shard channels",
            acl: Acl::PUBSUB.or(Acl::SLOW),
            reply_doc: "one confirmation for each channel",
        },
        run: ssubscribe,
    },
    Command {
        spec: Spec {
            name: "sunsubscribe",
            parent: None,
            since: "7.0.0",
            group: Group::PubSub,
            arity: Arity(-1),
            flags: Flags::PUBSUB.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("shardchannel").multiple().optional()],
            complexity: "O(N) where N is the number of clients already subscribed to a shard channel.",
            summary: "Stop listening for messages posted to the given shard channels",
            acl: Acl::PUBSUB.or(Acl::SLOW),
            reply_doc: "one confirmation for each channel",
        },
        run: sunsubscribe,
    },
    Command {
        spec: Spec {
            name: "spublish",
            parent: None,
            since: "7.0.0",
            group: Group::PubSub,
            arity: Arity(3),
            flags: Flags::PUBSUB.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("shardchannel"), Arg::string("message")],
            complexity: "O(N) where N is the number of clients subscribed to the receiving shard channel.",
            summary: "Post a message to a shard channel",
            acl: Acl::PUBSUB.or(Acl::FAST),
            reply_doc: "how many subscribers it reached",
        },
        run: spublish,
    },
    Command {
        spec: Spec {
            name: "shardchannels",
            parent: Some("pubsub"),
            since: "7.0.0",
            group: Group::PubSub,
            arity: Arity(-2),
            flags: Flags::PUBSUB.or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::pattern("pattern").optional()],
            complexity: "O(N) where N is the number of active shard channels, and assuming constant time pattern matching (relatively short shard channels).",
            summary: "List active shard channels",
            acl: Acl::PUBSUB.or(Acl::SLOW),
            reply_doc: "the shard channels",
        },
        run: shardchannels,
    },
    Command {
        spec: Spec {
            name: "shardnumsub",
            parent: Some("pubsub"),
            since: "7.0.0",
            group: Group::PubSub,
            arity: Arity(-2),
            flags: Flags::PUBSUB.or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("shardchannel").multiple().optional()],
            complexity: "O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels",
            summary: "Get the count of subscribers for shard channels",
            acl: Acl::PUBSUB.or(Acl::SLOW),
            reply_doc: "each shard channel and its number of subscribers",
        },
        run: shardnumsub,
    },
];

fn ssubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if ctx.conn.scope.held {
        // In Redis's words: the cluster could take the channel away, and nothing may interrupt a transaction.
        return Err(Refusal::err("SSUBSCRIBE isn't allowed for a DENY BLOCKING client").into());
    }
    let (node, client) = (ctx.node, ctx.conn.info.id);
    let mailbox = ctx.conn.mailbox(&node.mailroom);
    for channel in args.skip(1) {
        if ctx.conn.subs.shards.insert(channel.to_vec()) {
            node.bus.subscribe(true, channel, client, &mailbox);
        }
        let count = ctx.conn.subs.shards.len();
        confirm_of(ctx, "ssubscribe", Some(channel), count);
    }
    Ok(Reply::Done)
}

fn sunsubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut names: Vec<Vec<u8>> = args.iter().skip(1).map(<[u8]>::to_vec).collect();
    if names.is_empty() {
        names = ctx.conn.subs.shards.iter().cloned().collect();
    }
    let (node, client) = (ctx.node, ctx.conn.info.id);
    for channel in &names {
        if ctx.conn.subs.shards.remove(channel) {
            node.bus.unsubscribe(true, channel, client);
        }
        let count = ctx.conn.subs.shards.len();
        confirm_of(ctx, "sunsubscribe", Some(channel), count);
    }
    if names.is_empty() {
        confirm_of(ctx, "sunsubscribe", None, 0);
    }
    Ok(Reply::Done)
}

fn spublish(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let reached = ctx.node.bus.publish_shard(args.at(1), args.at(2));
    ctx.reply().uint(reached as u64);
    Ok(Reply::Done)
}

fn shardchannels(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.len() > 3 {
        return Err(Refusal::subcommand_syntax(b"pubsub", args.at(1)).into());
    }
    let wanted = args.get(2).map(pattern).transpose()?;
    let mut channels = ctx.node.bus.channels(true, wanted);
    channels.sort_unstable();
    let mut reply = ctx.reply();
    reply.array(channels.len());
    channels.iter().for_each(|channel| reply.bulk(channel));
    Ok(Reply::Done)
}

fn shardnumsub(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (node, names) = (ctx.node, args.skip(2));
    let mut reply = ctx.reply();
    reply.array(names.len() * 2);
    for channel in names {
        reply.bulk(channel);
        reply.uint(node.bus.subscribers(true, channel) as u64);
    }
    Ok(Reply::Done)
}
