//! CLIENT TRACKING and its family: clients that cache what they read and are told when it changes.

use crate::commands::parse::{integer, truth};
use crate::commands::{Command, Ctx, Outcome, Reply};
use crate::core::change::tracking::{Options, Tracker};
use bytes::Bytes;
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec};
use std::sync::Arc;

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "caching",
            parent: Some("client"),
            since: "6.0.0",
            group: Group::Connection,
            arity: Arity(3),
            flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::oneof("mode", &[Arg::token_only("yes", "YES"), Arg::token_only("no", "NO")])],
            complexity: "O(1)",
            summary: "Instruct the server about tracking or not keys in the next request",
            acl: Acl::SLOW.or(Acl::CONNECTION),
            reply_doc: "`OK`",
        },
        run: caching,
    },
    Command {
        spec: Spec {
            name: "getredir",
            parent: Some("client"),
            since: "6.0.0",
            group: Group::Connection,
            arity: Arity(2),
            flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Get tracking notifications redirection client ID if any",
            acl: Acl::SLOW.or(Acl::CONNECTION),
            reply_doc: "the id of the connection that is told instead; 0 for none, -1 without tracking",
        },
        run: getredir,
    },
    Command {
        spec: Spec {
            name: "tracking",
            parent: Some("client"),
            since: "6.0.0",
            group: Group::Connection,
            arity: Arity(-3),
            flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::RELAY,
            keys: Keys::None,
            args: &[
                Arg::oneof("status", &[Arg::token_only("on", "ON"), Arg::token_only("off", "OFF")]),
                Arg::integer("client-id").token("REDIRECT").optional(),
                Arg::string("prefix").token("PREFIX").optional().multiple().multiple_token(),
                Arg::token_only("bcast", "BCAST").optional(),
                Arg::token_only("optin", "OPTIN").optional(),
                Arg::token_only("optout", "OPTOUT").optional(),
                Arg::token_only("noloop", "NOLOOP").optional(),
            ],
            complexity: "O(1). Some options may introduce additional complexity.",
            summary: "Enable or disable server assisted client side caching support",
            acl: Acl::SLOW.or(Acl::CONNECTION),
            reply_doc: "`OK`",
        },
        run: tracking,
    },
    Command {
        spec: Spec {
            name: "trackinginfo",
            parent: Some("client"),
            since: "6.2.0",
            group: Group::Connection,
            arity: Arity(2),
            flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Return information about server assisted client side caching for the current connection",
            acl: Acl::SLOW.or(Acl::CONNECTION),
            reply_doc: "a map: flags, redirect, prefixes",
        },
        run: trackinginfo,
    },
];

/// Prefixes of one client: every write is held against all that there are.
const PREFIXES_MAX: usize = 128;

/// Reads the options behind ON or OFF; whether they go together is another question.
fn options(ctx: &Ctx<'_>, args: Args<'_>) -> Result<(Options, Vec<Bytes>), Refusal> {
    let (mut options, mut prefixes) = (Options::default(), Vec::new());
    let mut i = 3;
    while i < args.len() {
        let more = i + 1 < args.len();
        if args.is(i, "redirect") && more {
            i += 1;
            if options.redirect != 0 {
                return Err(Refusal::err("A client can only redirect to a single other client"));
            }
            let id = integer(args.at(i))?;
            options.redirect = u64::try_from(id).unwrap_or_default();
            if ctx.node.clients.get(options.redirect).is_none() {
                return Err(Refusal::err("The client ID you want redirect to does not exist"));
            }
        } else if args.is(i, "bcast") {
            options.bcast = true;
        } else if args.is(i, "optin") {
            options.optin = true;
        } else if args.is(i, "optout") {
            options.optout = true;
        } else if args.is(i, "noloop") {
            options.noloop = true;
        } else if args.is(i, "prefix") && more {
            i += 1;
            prefixes.push(Bytes::copy_from_slice(args.at(i)));
        } else {
            return Err(Refusal::syntax());
        }
        i += 1;
    }
    Ok((options, prefixes))
}

fn tracking(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (mut options, prefixes) = options(ctx, args)?;
    if !truth(args.at(2), "on", "off")? {
        ctx.conn.end_tracking(ctx.node);
        return ctx.ok();
    }
    let before = ctx.conn.tracker.clone();
    agrees(&options, &prefixes, before.as_deref())?;
    if options.bcast {
        // What is broadcast already goes on.
        options.prefixes = before.map(|tracker| tracker.options.prefixes.clone()).unwrap_or_default();
        let everything = prefixes.is_empty().then(Bytes::new);
        options.prefixes.extend(prefixes.into_iter().chain(everything));
        if options.prefixes.len() > PREFIXES_MAX {
            let text = format!("a client may have {PREFIXES_MAX} prefixes; use shorter ones");
            return Err(Refusal::err(text).into());
        }
    }
    let room = &ctx.node.mailroom;
    let target = ctx.node.clients.get(options.redirect).map(|info| info.letterbox.mailbox(room));
    let own = ctx.conn.mailbox(room);
    let tracker = Arc::new(Tracker::new(ctx.conn.info.id, options, own, target));
    ctx.node.begin_tracking(&tracker, ctx.conn.scope.held);
    ctx.conn.tracker = Some(tracker);
    ctx.ok()
}

/// Whether the options go with each other and with what the client has switched on already.
fn agrees(options: &Options, prefixes: &[Bytes], before: Option<&Tracker>) -> Result<(), Refusal> {
    let mode_text = |what: &str| {
        format!(
            "You can't switch {what} mode{} before disabling tracking for this client, and then re-enabling it \
             with a different mode.",
            if what == "BCAST" { " on/off" } else { "" }
        )
    };
    let before = before.map(|tracker| &tracker.options);
    if !options.bcast && !prefixes.is_empty() {
        return Err(Refusal::err("PREFIX option requires BCAST mode to be enabled"));
    }
    if before.is_some_and(|before| before.bcast != options.bcast) {
        return Err(Refusal::err(mode_text("BCAST")));
    }
    if options.bcast && (options.optin || options.optout) {
        return Err(Refusal::err("OPTIN and OPTOUT are not compatible with BCAST"));
    }
    if options.optin && options.optout {
        return Err(Refusal::err("You can't specify both OPTIN mode and OPTOUT mode"));
    }
    if before.is_some_and(|b| options.optin && b.optout || options.optout && b.optin) {
        return Err(Refusal::err(mode_text("OPTIN/OPTOUT")));
    }
    let overlap = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
    let refusal = |prefix: &[u8], what: &str, other: &[u8]| {
        let text = String::from_utf8_lossy;
        Refusal::err(format!(
            "Prefix '{}' overlaps with {what} prefix '{}'. Prefixes for a single client must not overlap.",
            text(prefix),
            text(other)
        ))
    };
    for (i, prefix) in prefixes.iter().enumerate() {
        if let Some(other) = before.and_then(|b| b.prefixes.iter().find(|other| overlap(prefix, other))) {
            return Err(refusal(prefix, "an existing", other));
        }
        if let Some(other) = prefixes[i + 1..].iter().find(|other| overlap(prefix, other)) {
            return Err(refusal(prefix, "another provided", other));
        }
    }
    Ok(())
}

fn caching(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let Some(tracker) = &ctx.conn.tracker else {
        let text = "CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled";
        return Err(Refusal::err(text).into());
    };
    let yes = truth(args.at(2), "yes", "no")?;
    if yes && !tracker.options.optin {
        let text = "CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.";
        return Err(Refusal::err(text).into());
    }
    if !yes && !tracker.options.optout {
        let text = "CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.";
        return Err(Refusal::err(text).into());
    }
    ctx.conn.caching = true;
    ctx.ok()
}

fn getredir(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let redirect = ctx.conn.tracker.as_ref().map_or(-1, |tracker| tracker.options.redirect as i64);
    ctx.int(redirect)
}

fn trackinginfo(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let (tracker, caching) = (ctx.conn.tracker.clone(), ctx.conn.caching);
    let on = |is: fn(&Options) -> bool| tracker.as_ref().is_some_and(|tracker| is(&tracker.options));
    let (optin, optout) = (on(|o| o.optin), on(|o| o.optout));
    let words = [
        (tracker.is_none(), "off"),
        (tracker.is_some(), "on"),
        (on(|o| o.bcast), "bcast"),
        (optin, "optin"),
        (optin && caching, "caching-yes"),
        (optout, "optout"),
        (optout && caching, "caching-no"),
        (on(|o| o.noloop), "noloop"),
        (tracker.as_ref().is_some_and(|tracker| tracker.is_broken()), "broken_redirect"),
    ];
    let flags: Vec<&str> = words.iter().filter(|(set, _)| *set).map(|(_, word)| *word).collect();
    let mut reply = ctx.reply();
    reply.map(3);
    reply.bulk_str("flags");
    reply.set(flags.len());
    flags.iter().for_each(|word| reply.bulk_str(word));
    reply.bulk_str("redirect");
    reply.int(tracker.as_ref().map_or(-1, |tracker| tracker.options.redirect as i64));
    reply.bulk_str("prefixes");
    let prefixes = tracker.map(|tracker| tracker.options.prefixes.clone()).unwrap_or_default();
    reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| reply.bulk(prefix));
    Ok(Reply::Done)
}
