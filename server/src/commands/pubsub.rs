//! Channels: subscribing, publishing, and who listens.

pub mod shard;

use crate::commands::introspect::container;
use crate::commands::parse::pattern;
use crate::commands::{Command, Ctx, Outcome, Reply};
use crate::core::{asked, resolve};
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "psubscribe",
            parent: None,
            since: "2.0.0",
            group: Group::PubSub,
            arity: Arity(-2),
            flags: Flags::PUBSUB.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::block("pattern", &[Arg::pattern("pattern")]).multiple()],
            complexity: "O(N) where N is the number of patterns the client is already subscribed to.",
            summary: "Listen for messages published to channels matching the given patterns",
            acl: Acl::PUBSUB.or(Acl::SLOW),
            reply_doc: "one confirmation for each pattern",
        },
        run: psubscribe,
    },
    Command {
        spec: Spec {
            name: "publish",
            parent: None,
            since: "2.0.0",
            group: Group::PubSub,
            arity: Arity(3),
            flags: Flags::PUBSUB.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("channel"), Arg::string("message")],
            complexity: "O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total number of subscribed patterns (by any client).",
            summary: "Post a message to a channel",
            acl: Acl::PUBSUB.or(Acl::FAST),
            reply_doc: "how many subscribers it reached",
        },
        run: publish,
    },
    Command {
        spec: Spec {
            name: "pubsub",
            parent: None,
            since: "2.8.0",
            group: Group::PubSub,
            arity: Arity(-2),
            flags: Flags::NONE,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "Depends on subcommand.",
            summary: "A container for Pub/Sub commands",
            acl: Acl::SLOW,
            reply_doc: "what the subcommand answers",
        },
        run: container,
    },
    Command {
        spec: Spec {
            name: "channels",
            parent: Some("pubsub"),
            since: "2.8.0",
            group: Group::PubSub,
            arity: Arity(-2),
            flags: Flags::PUBSUB.or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::pattern("pattern").optional()],
            complexity: "O(N) where N is the number of active channels, and assuming constant time pattern matching (relatively short channels and patterns)",
            summary: "List active channels",
            acl: Acl::PUBSUB.or(Acl::SLOW),
            reply_doc: "the channels",
        },
        run: channels,
    },
    Command {
        spec: Spec {
            name: "numpat",
            parent: Some("pubsub"),
            since: "2.8.0",
            group: Group::PubSub,
            arity: Arity(2),
            flags: Flags::PUBSUB.or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Get the count of unique patterns pattern subscriptions",
            acl: Acl::PUBSUB.or(Acl::SLOW),
            reply_doc: "how many patterns",
        },
        run: numpat,
    },
    Command {
        spec: Spec {
            name: "numsub",
            parent: Some("pubsub"),
            since: "2.8.0",
            group: Group::PubSub,
            arity: Arity(-2),
            flags: Flags::PUBSUB.or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("channel").multiple().optional()],
            complexity: "O(N) for the NUMSUB subcommand, where N is the number of requested channels",
            summary: "Get the count of subscribers for channels",
            acl: Acl::PUBSUB.or(Acl::SLOW),
            reply_doc: "each channel and its number of subscribers",
        },
        run: numsub,
    },
    Command {
        spec: Spec {
            name: "punsubscribe",
            parent: None,
            since: "2.0.0",
            group: Group::PubSub,
            arity: Arity(-1),
            flags: Flags::PUBSUB.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::pattern("pattern").multiple().optional()],
            complexity: "O(N+M) where N is the number of patterns the client is already subscribed and M is the number of total patterns subscribed in the system (by any client).",
            summary: "Stop listening for messages posted to channels matching the given patterns",
            acl: Acl::PUBSUB.or(Acl::SLOW),
            reply_doc: "one confirmation for each pattern",
        },
        run: punsubscribe,
    },
    Command {
        spec: Spec {
            name: "subscribe",
            parent: None,
            since: "2.0.0",
            group: Group::PubSub,
            arity: Arity(-2),
            flags: Flags::PUBSUB.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("channel").multiple()],
            complexity: "O(N) where N is the number of channels to subscribe to.",
            summary: "Listen for messages published to the given channels",
            acl: Acl::PUBSUB.or(Acl::SLOW),
            reply_doc: "one confirmation for each channel",
        },
        run: subscribe,
    },
    Command {
        spec: Spec {
            name: "unsubscribe",
            parent: None,
            since: "2.0.0",
            group: Group::PubSub,
            arity: Arity(-1),
            flags: Flags::PUBSUB.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("channel").multiple().optional()],
            complexity: "O(N) where N is the number of clients already subscribed to a channel.",
            summary: "Stop listening for messages posted to the given channels",
            acl: Acl::PUBSUB.or(Acl::SLOW),
            reply_doc: "one confirmation for each channel",
        },
        run: unsubscribe,
    },
];

fn confirm(ctx: &mut Ctx<'_>, kind: &str, name: Option<&[u8]>) {
    let count = ctx.conn.subs.count();
    confirm_of(ctx, kind, name, count);
}

/// One confirmation: a push in RESP3, an array in RESP2.
fn confirm_of(ctx: &mut Ctx<'_>, kind: &str, name: Option<&[u8]>, count: usize) {
    let mut reply = ctx.reply();
    reply.push(3);
    reply.bulk_str(kind);
    match name {
        Some(name) => reply.bulk(name),
        None => reply.null(),
    }
    reply.uint(count as u64);
}

fn subscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (node, client) = (ctx.node, ctx.conn.info.id);
    let mailbox = ctx.conn.mailbox(&node.mailroom);
    for channel in args.skip(1) {
        if ctx.conn.subs.channels.insert(channel.to_vec()) {
            node.bus.subscribe(false, channel, client, &mailbox);
        }
        confirm(ctx, "subscribe", Some(channel));
    }
    Ok(Reply::Done)
}

fn psubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (node, client) = (ctx.node, ctx.conn.info.id);
    for word in args.skip(1) {
        pattern(word)?;
    }
    let mailbox = ctx.conn.mailbox(&node.mailroom);
    for word in args.skip(1) {
        if ctx.conn.subs.patterns.insert(word.to_vec()) {
            node.bus.psubscribe(word, client, &mailbox);
        }
        confirm(ctx, "psubscribe", Some(word));
    }
    Ok(Reply::Done)
}

fn unsubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let all: Vec<Vec<u8>>;
    let names: Vec<&[u8]> = if args.len() > 1 {
        args.iter().skip(1).collect()
    } else {
        all = ctx.conn.subs.channels.iter().cloned().collect();
        all.iter().map(Vec::as_slice).collect()
    };
    let (node, client) = (ctx.node, ctx.conn.info.id);
    for channel in &names {
        if ctx.conn.subs.channels.remove(*channel) {
            node.bus.unsubscribe(false, channel, client);
        }
        confirm(ctx, "unsubscribe", Some(channel));
    }
    if names.is_empty() {
        confirm(ctx, "unsubscribe", None);
    }
    Ok(Reply::Done)
}

fn punsubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let all: Vec<Vec<u8>>;
    let names: Vec<&[u8]> = if args.len() > 1 {
        args.iter().skip(1).collect()
    } else {
        all = ctx.conn.subs.patterns.iter().cloned().collect();
        all.iter().map(Vec::as_slice).collect()
    };
    let (node, client) = (ctx.node, ctx.conn.info.id);
    for word in &names {
        if ctx.conn.subs.patterns.remove(*word) {
            node.bus.punsubscribe(word, client);
        }
        confirm(ctx, "punsubscribe", Some(word));
    }
    if names.is_empty() {
        confirm(ctx, "punsubscribe", None);
    }
    Ok(Reply::Done)
}

fn publish(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (channel, payload) = (args.at(1), args.at(2));
    resolve::external_answer(ctx.node, channel, payload);
    let reached = ctx.node.bus.publish(channel, payload);
    asked::answer(ctx.node, channel, payload);
    ctx.reply().uint(reached as u64);
    Ok(Reply::Done)
}

fn channels(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.len() > 3 {
        return Err(Refusal::subcommand_syntax(b"pubsub", args.at(1)).into());
    }
    let wanted = args.get(2).map(pattern).transpose()?;
    let mut channels = ctx.node.bus.channels(false, wanted);
    channels.sort_unstable();
    let mut reply = ctx.reply();
    reply.array(channels.len());
    for channel in &channels {
        reply.bulk(channel);
    }
    Ok(Reply::Done)
}

fn numsub(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let names = args.skip(2);
    let node = ctx.node;
    let mut reply = ctx.reply();
    reply.array(names.len() * 2);
    for channel in names {
        reply.bulk(channel);
        reply.uint(node.bus.subscribers(false, channel) as u64);
    }
    Ok(Reply::Done)
}

fn numpat(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let count = ctx.node.bus.patterns();
    ctx.reply().uint(count as u64);
    Ok(Reply::Done)
}
