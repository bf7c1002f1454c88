//! ACL: the one user there is, and the categories of commands.

use crate::commands::introspect::container;
use crate::commands::{Command, Ctx, Outcome, Reply, table};
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "acl",
            parent: None,
            since: "6.0.0",
            group: Group::Server,
            arity: Arity(-2),
            flags: Flags::NONE,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "Depends on subcommand.",
            summary: "A container for Access List Control commands",
            acl: Acl::SLOW,
            reply_doc: "what the subcommand answers",
        },
        run: container,
    },
    Command {
        spec: Spec {
            name: "cat",
            parent: Some("acl"),
            since: "6.0.0",
            group: Group::Server,
            arity: Arity(-2),
            flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("categoryname").optional()],
            complexity: "O(1) since the categories and commands are a fixed set.",
            summary: "List the ACL categories or the commands inside a category",
            acl: Acl::SLOW,
            reply_doc: "names",
        },
        run: acl_cat,
    },
    Command {
        spec: Spec {
            name: "getuser",
            parent: Some("acl"),
            since: "6.0.0",
            group: Group::Server,
            arity: Arity(3),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("username")],
            complexity: "O(N). Where N is the number of password, command and pattern rules that the user has.",
            summary: "Get the rules for a specific ACL user",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "a map of the one user's rules, or nil",
        },
        run: acl_getuser,
    },
    Command {
        spec: Spec {
            name: "list",
            parent: Some("acl"),
            since: "6.0.0",
            group: Group::Server,
            arity: Arity(2),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(N). Where N is the number of configured users.",
            summary: "List the current ACL rules in ACL config file format",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "one line: there is one user",
        },
        run: acl_list,
    },
    Command {
        spec: Spec {
            name: "users",
            parent: Some("acl"),
            since: "6.0.0",
            group: Group::Server,
            arity: Arity(2),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(N). Where N is the number of configured users.",
            summary: "List the username of all the configured ACL rules",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "`default`",
        },
        run: acl_users,
    },
    Command {
        spec: Spec {
            name: "whoami",
            parent: Some("acl"),
            since: "6.0.0",
            group: Group::Server,
            arity: Arity(2),
            flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Return the name of the user associated to the current connection",
            acl: Acl::SLOW,
            reply_doc: "`default`",
        },
        run: acl_whoami,
    },
];

fn acl_whoami(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.reply().bulk_str("default");
    Ok(Reply::Done)
}

fn acl_users(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.reply().array(1);
    ctx.reply().bulk_str("default");
    Ok(Reply::Done)
}

fn acl_list(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    // A digest of the password would be something to try passwords on.
    let password = if ctx.node.live.asks_password() { "(hidden)" } else { "nopass" };
    let line = format!("user default on {password} ~* &* +@all");
    ctx.reply().array(1);
    ctx.reply().bulk_str(&line);
    Ok(Reply::Done)
}

fn acl_getuser(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let asks_password = ctx.node.live.asks_password();
    let mut reply = ctx.reply();
    if args.at(2) != b"default" {
        reply.null();
        return Ok(Reply::Done);
    }
    reply.map(6);
    reply.bulk_str("flags");
    reply.set(if asks_password { 1 } else { 2 });
    reply.bulk_str("on");
    if !asks_password {
        reply.bulk_str("nopass");
    }
    reply.bulk_str("passwords");
    reply.array(0);
    for (name, rule) in [("commands", "+@all"), ("keys", "~*"), ("channels", "&*")] {
        reply.bulk_str(name);
        reply.bulk_str(rule);
    }
    reply.bulk_str("selectors");
    reply.array(0);
    Ok(Reply::Done)
}

fn acl_cat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let names: Vec<String> = match args.get(2) {
        None => Acl::ALL.iter().map(|(_, word)| (*word).to_owned()).collect(),
        Some(_) if args.len() > 3 => {
            return Err(Refusal::subcommand_syntax(b"acl", args.at(1)).into());
        }
        Some(word) => {
            let unknown = || Refusal::err(format!("Unknown category '{}'", String::from_utf8_lossy(word)));
            let category = Acl::named(word).ok_or_else(unknown)?;
            let rows = table::all().filter(|row| !row.spec.flags.contains(Flags::PEER));
            let rows = rows.filter(|row| row.spec.acl.contains(category));
            rows.map(|row| row.spec.full_name()).collect()
        }
    };
    let mut reply = ctx.reply();
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk_str(name));
    Ok(Reply::Done)
}
