//! CLIENT PAUSE and UNPAUSE: an operator's quiet moment.

use crate::commands::parse::integer_in;
use crate::commands::{Command, Ctx, Outcome};
use crate::core::pause::Held;
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "pause",
            parent: Some("client"),
            since: "3.0.0",
            group: Group::Connection,
            arity: Arity(-3),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[
                Arg::integer("timeout"),
                Arg::oneof("mode", &[Arg::token_only("write", "WRITE"), Arg::token_only("all", "ALL")])
                    .since("6.2.0")
                    .optional(),
            ],
            complexity: "O(1)",
            summary: "Stop processing commands from clients for some time",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS).or(Acl::CONNECTION),
            reply_doc: "`OK`; the other nodes of the family are not held",
        },
        run: pause,
    },
    Command {
        spec: Spec {
            name: "unpause",
            parent: Some("client"),
            since: "6.2.0",
            group: Group::Connection,
            arity: Arity(2),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(N) Where N is the number of paused clients",
            summary: "Resume processing of clients that were paused",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS).or(Acl::CONNECTION),
            reply_doc: "`OK`",
        },
        run: unpause,
    },
];

fn pause(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.len() > 4 {
        return Err(Refusal::subcommand_syntax(b"client", args.at(1)).into());
    }
    let held = match args.get(3) {
        None => Held::All,
        Some(_) if args.is(3, "all") => Held::All,
        Some(_) if args.is(3, "write") => Held::Writes,
        Some(_) => return Err(Refusal::err("CLIENT PAUSE mode must be WRITE or ALL").into()),
    };
    let timeout = integer_in(args.at(2), i64::MIN..=i64::MAX, "timeout is not an integer or out of range")?;
    let timeout = u64::try_from(timeout).map_err(|_| Refusal::err("timeout is negative"))?;
    ctx.node.pause.begin(held, ctx.node.now_ms().saturating_add(timeout));
    ctx.ok()
}

fn unpause(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.node.pause.end();
    ctx.ok()
}
