//! COMMAND: the table tells of itself. Also HELP of every container, made from the same rows.

mod docs;
mod facts;
mod info;

use crate::commands::{Command, Ctx, Outcome, Reply, Stop, table};
use gs_resp::{
    AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec, glob_match_nocase,
};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "command",
            parent: None,
            since: "2.8.13",
            group: Group::Server,
            arity: Arity(-1),
            flags: Flags::LOADING.or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(N) where N is the total number of Redis commands",
            summary: "Get array of Redis command details",
            acl: Acl::SLOW.or(Acl::CONNECTION),
            reply_doc: "an entry for each command",
        },
        run: all,
    },
    Command {
        spec: Spec {
            name: "count",
            parent: Some("command"),
            since: "2.8.13",
            group: Group::Server,
            arity: Arity(2),
            flags: Flags::LOADING.or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Get total number of Redis commands",
            acl: Acl::SLOW.or(Acl::CONNECTION),
            reply_doc: "the number of commands",
        },
        run: count,
    },
    Command {
        spec: Spec {
            name: "docs",
            parent: Some("command"),
            since: "7.0.0",
            group: Group::Server,
            arity: Arity(-2),
            flags: Flags::LOADING.or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("command-name").multiple().optional()],
            complexity: "O(N) where N is the number of commands to look up",
            summary: "Get array of specific Redis command documentation",
            acl: Acl::SLOW.or(Acl::CONNECTION),
            reply_doc: "a map by command",
        },
        run: docs,
    },
    Command {
        spec: Spec {
            name: "getkeys",
            parent: Some("command"),
            since: "2.8.13",
            group: Group::Server,
            arity: Arity(-4),
            flags: Flags::LOADING.or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("command"), Arg::string("arg").multiple()],
            complexity: "O(N) where N is the number of arguments to the command",
            summary: "Extract keys given a full Redis command",
            acl: Acl::SLOW.or(Acl::CONNECTION),
            reply_doc: "the keys among the words",
        },
        run: getkeys,
    },
    Command {
        spec: Spec {
            name: "getkeysandflags",
            parent: Some("command"),
            since: "7.0.0",
            group: Group::Server,
            arity: Arity(-4),
            flags: Flags::LOADING.or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("command"), Arg::string("arg").multiple()],
            complexity: "O(N) where N is the number of arguments to the command",
            summary: "Extract keys and access flags given a full Redis command",
            acl: Acl::SLOW.or(Acl::CONNECTION),
            reply_doc: "each key with what is done with it",
        },
        run: getkeysandflags,
    },
    Command {
        spec: Spec {
            name: "info",
            parent: Some("command"),
            since: "2.8.13",
            group: Group::Server,
            arity: Arity(-2),
            flags: Flags::LOADING.or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("command-name").multiple().optional()],
            complexity: "O(N) where N is the number of commands to look up",
            summary: "Get array of specific Redis command details, or all when no argument is given.",
            acl: Acl::SLOW.or(Acl::CONNECTION),
            reply_doc: "an entry for each name, nil for an unknown one",
        },
        run: info,
    },
    Command {
        spec: Spec {
            name: "list",
            parent: Some("command"),
            since: "7.0.0",
            group: Group::Server,
            arity: Arity(-2),
            flags: Flags::LOADING.or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::oneof(
                "filterby",
                &[
                    Arg::string("module-name").token("MODULE"),
                    Arg::string("category").token("ACLCAT"),
                    Arg::pattern("pattern").token("PATTERN"),
                ],
            )
            .token("FILTERBY")
            .optional()],
            complexity: "O(N) where N is the total number of Redis commands",
            summary: "Get an array of Redis command names",
            acl: Acl::SLOW.or(Acl::CONNECTION),
            reply_doc: "the names",
        },
        run: list,
    },
];

/// HELP of each container.
pub const HELP: &[Command] = &[
    help("acl", "6.0.0", Group::Server, Acl::SLOW),
    help("client", "5.0.0", Group::Connection, Acl::CONNECTION),
    help("command", "5.0.0", Group::Server, Acl::CONNECTION),
    help("config", "5.0.0", Group::Server, Acl::SLOW),
    help("latency", "2.8.13", Group::Server, Acl::SLOW),
    help("memory", "4.0.0", Group::Server, Acl::SLOW),
    help("module", "5.0.0", Group::Server, Acl::SLOW),
    help("object", "6.2.0", Group::Generic, Acl::KEYSPACE),
    help("pubsub", "6.2.0", Group::PubSub, Acl::SLOW),
    help("script", "5.0.0", Group::Scripting, Acl::SCRIPTING),
    help("function", "7.0.0", Group::Scripting, Acl::SCRIPTING),
    help("slowlog", "6.2.0", Group::Server, Acl::SLOW),
    help("gs.age", "0.1.0", Group::Gs, Acl::SLOW),
    help("gs.shard", "0.1.0", Group::Gs, Acl::SLOW),
];

const fn help(parent: &'static str, since: &'static str, group: Group, acl: Acl) -> Command {
    Command {
        spec: Spec {
            name: "help",
            parent: Some(parent),
            since,
            group,
            arity: Arity(2),
            flags: Flags::LOADING.or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Show helpful text about the different subcommands",
            acl: Acl::SLOW.or(acl),
            reply_doc: "lines of text",
        },
        run: show_help,
    }
}

/// What a container runs: nothing, as its subcommands are looked up before and its arity asks for one.
pub fn container(_: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let sub = args.get(1).unwrap_or_default();
    Err(Stop::Refuse(Refusal::unknown_subcommand(args.name(), sub)))
}

fn show_help(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let Some(row) = table::find(args.name()) else {
        return container(ctx, args);
    };
    let name = row.spec.name.to_uppercase();
    let mut lines = vec![format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")];
    for sub in table::subcommands(row).filter(|sub| sub.spec.name != "help") {
        let mut line = sub.spec.name.to_uppercase();
        for arg in sub.spec.args {
            line.push(' ');
            arg.describe(&mut line);
        }
        lines.push(line);
        lines.push(format!("    {}.", sub.spec.summary.trim_end_matches('.')));
    }
    lines.push("HELP".into());
    lines.push("    Prints this help.".into());
    let mut reply = ctx.reply();
    reply.array(lines.len());
    for line in &lines {
        reply.simple(line);
    }
    Ok(Reply::Done)
}

fn all(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let mut reply = ctx.reply();
    reply.array(table::shown().count());
    for row in table::shown() {
        info::write(&mut reply, row);
    }
    Ok(Reply::Done)
}

fn count(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.int(table::shown().count() as i64)
}

fn info(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let names = args.skip(2);
    if names.is_empty() {
        return all(ctx, args);
    }
    let mut reply = ctx.reply();
    reply.array(names.len());
    for name in names {
        match table::find_full(name) {
            Some(row) if !row.spec.flags.contains(Flags::PEER) => info::write(&mut reply, row),
            _ => reply.null(),
        }
    }
    Ok(Reply::Done)
}

fn docs(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let names = args.skip(2);
    let rows: Vec<_> = if names.is_empty() {
        table::shown().collect()
    } else {
        let known = names.iter().filter_map(table::find_full);
        known.filter(|row| !row.spec.flags.contains(Flags::PEER)).collect()
    };
    let mut reply = ctx.reply();
    reply.map(rows.len());
    for row in rows {
        docs::write(&mut reply, row);
    }
    Ok(Reply::Done)
}

fn list(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut rows: Vec<&'static Command> = table::shown().collect();
    if args.len() == 5 && args.is(2, "filterby") {
        // A filter looks at subcommands too, the whole list does not: as in Redis.
        rows = table::all().filter(|row| !row.spec.flags.contains(Flags::PEER)).collect();
        let value = args.at(4);
        if args.is(3, "module") {
            rows.clear();
        } else if args.is(3, "aclcat") {
            let category = Acl::named(value);
            rows.retain(|row| category.is_some_and(|category| row.spec.acl.contains(category)));
        } else if args.is(3, "pattern") {
            rows.retain(|row| glob_match_nocase(value, row.spec.full_name().as_bytes()));
        } else {
            return Err(Refusal::syntax().into());
        }
    } else if args.len() != 2 {
        return Err(Refusal::syntax().into());
    }
    let mut reply = ctx.reply();
    reply.array(rows.len());
    for row in rows {
        reply.bulk_str(&row.spec.full_name());
    }
    Ok(Reply::Done)
}

/// The command that the words behind the subcommand make, and the places of its keys.
fn keys_of(words: Args<'_>) -> Result<(&'static Command, Vec<usize>), Refusal> {
    let mut row = table::find(words.name()).ok_or_else(|| Refusal::err("Invalid command specified"))?;
    if table::has_subcommands(row) {
        let sub = words.get(1).and_then(|word| table::find_sub(row, word));
        row = sub.ok_or_else(|| Refusal::err("Invalid command specified"))?;
    }
    if row.spec.keys == Keys::None {
        return Err(Refusal::err("The command has no key arguments"));
    }
    if !row.spec.arity.accepts(words.len()) {
        return Err(Refusal::err("Invalid number of arguments specified for command"));
    }
    let places: Vec<usize> = row.spec.keys.places(words).collect();
    if places.is_empty() && !row.spec.flags.contains(Flags::NO_MANDATORY_KEYS) {
        return Err(Refusal::err("Invalid arguments specified for command"));
    }
    Ok((row, places))
}

fn getkeys(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let words = args.skip(2);
    let (_, places) = keys_of(words)?;
    let mut reply = ctx.reply();
    reply.array(places.len());
    for place in places {
        reply.bulk(words.get(place).unwrap_or_default());
    }
    Ok(Reply::Done)
}

fn getkeysandflags(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let words = args.skip(2);
    let (row, places) = keys_of(words)?;
    let mut reply = ctx.reply();
    reply.array(places.len());
    for (n, place) in places.into_iter().enumerate() {
        reply.array(2);
        reply.bulk(words.get(place).unwrap_or_default());
        let access = facts::access_of(row, words, n);
        reply.set(access.len());
        access.iter().for_each(|word| reply.simple(word));
    }
    Ok(Reply::Done)
}
