//! CONFIG: the options of this node under Redis's names and ours, read, changed at once, written back.

use crate::commands::introspect::container;
use crate::commands::parse::pattern;
use crate::commands::{Command, Ctx, Outcome, Reply};
use crate::core::change::Classes;
use crate::core::node::Node;
use crate::logging;
use gs_conf::Config;
use gs_conf::render::config_all;
use gs_resp::glob_match_nocase;
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
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
            reply_doc: "a map from name to value; secrets are never shown",
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
            name: "rewrite",
            parent: Some("config"),
            since: "2.8.0",
            group: Group::Server,
            arity: Arity(2),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Rewrite the configuration file with the in memory configuration",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "`OK`, or why the file stays as it is",
        },
        run: rewrite,
    },
    Command {
        spec: Spec {
            name: "set",
            parent: Some("config"),
            since: "2.0.0",
            group: Group::Server,
            arity: Arity(-4),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[
                Arg::block("parameter_value", &[Arg::string("parameter"), Arg::string("value")]).multiple()
            ],
            complexity: "O(N) when N is the number of configuration parameters provided",
            summary: "Set configuration parameters to the given values",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "`OK`, when all of them changed",
        },
        run: set,
    },
];

fn is_glob(word: &[u8]) -> bool {
    word.iter().any(|byte| b"*?[\\".contains(byte))
}

fn get(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let all = shown(ctx.node);
    let mut found: Vec<(String, &str)> = Vec::new();
    for word in args.skip(2) {
        let wanted = pattern(word)?;
        for (name, value) in all.iter().filter(|(name, _)| glob_match_nocase(wanted, name.as_bytes())) {
            // A name that is asked for by itself is answered as it was written.
            let exact = !is_glob(word);
            let shown = if exact { String::from_utf8_lossy(word).into_owned() } else { name.clone() };
            if found.iter().all(|(known, _)| !known.eq_ignore_ascii_case(name)) {
                found.push((shown, value));
            }
        }
    }
    let mut reply = ctx.reply();
    reply.map(found.len());
    for (name, value) in found {
        reply.bulk_str(&name);
        reply.bulk_str(value);
    }
    Ok(Reply::Done)
}

fn shown(node: &Node) -> Vec<(String, String)> {
    let mut all = config_all(&node.live.config.read());
    let events = all.iter_mut().filter(|(name, _)| name.starts_with("notify") && name.contains("events"));
    for (_, value) in events {
        // In Redis's order of the letters.
        *value = node.changes.classes().to_string();
    }
    all
}

fn resetstat(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.node.figures.reset(ctx.node);
    ctx.ok()
}

fn set(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if !args.len().is_multiple_of(2) {
        return Err(Refusal::syntax().into());
    }
    let text = |i| String::from_utf8_lossy(args.at(i)).into_owned();
    let pairs: Vec<_> = (2..args.len()).step_by(2).map(|i| (text(i), text(i + 1))).collect();
    let node = ctx.node;
    // Held throughout, so that of two changes at once one is whole before the other.
    let mut config = node.live.config.write();
    let (changed, rows) =
        gs_conf::set_all(&config, &pairs).map_err(|error| Refusal::err(error.to_string()))?;
    if config.requirepass.is_empty() && !changed.requirepass.is_empty() && node.links.password.is_none() {
        let text = "CONFIG SET failed (possibly related to argument 'requirepass') - the links of this family log in \
                    without a password; give all its nodes a link.password and start them again";
        return Err(Refusal::err(text).into());
    }
    node.live.act(&changed);
    act(node, &config, &changed);
    *config = changed;
    node.live.changed.lock().extend(rows.iter().map(|row| row.name));
    drop(config);
    ctx.ok()
}

/// What does not only wait to be read.
fn act(node: &Node, before: &Config, now: &Config) {
    node.slow.shorten(now.watch.slow_entries_max as usize);
    if !now.watch.monitor {
        node.monitors.end_all();
    }
    node.holdings.set_bytes_max(now.limits.clients_buffer_bytes.bytes(now.capacity));
    node.mailroom.act(&now.limits);
    if before.log.level != now.log.level {
        logging::set_level(now.log.level);
    }
    if before.notify_keyspace_events != now.notify_keyspace_events && node.relay().is_some() {
        node.set_event_classes(Classes::parse(&now.notify_keyspace_events).unwrap_or_default());
    }
}

fn rewrite(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let node = ctx.node;
    let Some(file) = &node.config_file else {
        return Err(Refusal::err("The server is running without a config file").into());
    };
    let config = node.live.config.read();
    let changed = node.live.changed.lock().clone();
    let rows: Vec<_> = gs_conf::rows().filter(|row| changed.contains(row.name)).collect();
    if let Err(error) = gs_conf::rewrite(file, &config, &rows) {
        tracing::warn!(file = %file.display(), %error, "the configuration file was not rewritten");
        return Err(Refusal::err(format!("Rewriting config file: {error}")).into());
    }
    tracing::info!(file = %file.display(), options = rows.len(), "the configuration file was rewritten");
    drop(config);
    ctx.ok()
}
