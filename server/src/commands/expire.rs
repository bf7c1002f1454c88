//! Deadlines: EXPIRE and its family.

pub mod read;

use crate::commands::keyspace::destroy;
use crate::commands::parse::{Form, When};
use crate::commands::{Command, Ctx, Outcome};
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "expire",
            parent: None,
            since: "1.0.0",
            group: Group::Generic,
            arity: Arity(-3),
            flags: Flags::WRITE.or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[
                Arg::key("key"),
                Arg::integer("seconds"),
                Arg::oneof(
                    "condition",
                    &[
                        Arg::token_only("nx", "NX"),
                        Arg::token_only("xx", "XX"),
                        Arg::token_only("gt", "GT"),
                        Arg::token_only("lt", "LT"),
                    ],
                )
                .since("7.0.0")
                .optional(),
            ],
            complexity: "O(1)",
            summary: "Set a key's time to live in seconds",
            acl: Acl::KEYSPACE.or(Acl::WRITE).or(Acl::FAST),
            reply_doc: "1 if the deadline was set, else 0",
        },
        run: expire,
    },
    Command {
        spec: Spec {
            name: "expireat",
            parent: None,
            since: "1.2.0",
            group: Group::Generic,
            arity: Arity(-3),
            flags: Flags::WRITE.or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[
                Arg::key("key"),
                Arg::unix_time("unix-time-seconds"),
                Arg::oneof(
                    "condition",
                    &[
                        Arg::token_only("nx", "NX"),
                        Arg::token_only("xx", "XX"),
                        Arg::token_only("gt", "GT"),
                        Arg::token_only("lt", "LT"),
                    ],
                )
                .since("7.0.0")
                .optional(),
            ],
            complexity: "O(1)",
            summary: "Set the expiration for a key as a UNIX timestamp",
            acl: Acl::KEYSPACE.or(Acl::WRITE).or(Acl::FAST),
            reply_doc: "1 if the deadline was set, else 0",
        },
        run: expireat,
    },
    Command {
        spec: Spec {
            name: "persist",
            parent: None,
            since: "2.2.0",
            group: Group::Generic,
            arity: Arity(2),
            flags: Flags::WRITE.or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key")],
            complexity: "O(1)",
            summary: "Remove the expiration from a key",
            acl: Acl::KEYSPACE.or(Acl::WRITE).or(Acl::FAST),
            reply_doc: "1 if a deadline was removed, else 0",
        },
        run: persist,
    },
    Command {
        spec: Spec {
            name: "pexpire",
            parent: None,
            since: "2.6.0",
            group: Group::Generic,
            arity: Arity(-3),
            flags: Flags::WRITE.or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[
                Arg::key("key"),
                Arg::integer("milliseconds"),
                Arg::oneof(
                    "condition",
                    &[
                        Arg::token_only("nx", "NX"),
                        Arg::token_only("xx", "XX"),
                        Arg::token_only("gt", "GT"),
                        Arg::token_only("lt", "LT"),
                    ],
                )
                .since("7.0.0")
                .optional(),
            ],
            complexity: "O(1)",
            summary: "Set a key's time to live in milliseconds",
            acl: Acl::KEYSPACE.or(Acl::WRITE).or(Acl::FAST),
            reply_doc: "1 if the deadline was set, else 0",
        },
        run: pexpire,
    },
    Command {
        spec: Spec {
            name: "pexpireat",
            parent: None,
            since: "2.6.0",
            group: Group::Generic,
            arity: Arity(-3),
            flags: Flags::WRITE.or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[
                Arg::key("key"),
                Arg::unix_time("unix-time-milliseconds"),
                Arg::oneof(
                    "condition",
                    &[
                        Arg::token_only("nx", "NX"),
                        Arg::token_only("xx", "XX"),
                        Arg::token_only("gt", "GT"),
                        Arg::token_only("lt", "LT"),
                    ],
                )
                .since("7.0.0")
                .optional(),
            ],
            complexity: "O(1)",
            summary: "Set the expiration for a key as a UNIX timestamp specified in milliseconds",
            acl: Acl::KEYSPACE.or(Acl::WRITE).or(Acl::FAST),
            reply_doc: "1 if the deadline was set, else 0",
        },
        run: pexpireat,
    },
];

/// When a deadline may be set.
#[derive(Clone, Copy, Default)]
struct Condition {
    /// Only where there is none.
    nx: bool,
    /// Only where there is one.
    xx: bool,
    /// Only to a later one; no deadline counts as the latest.
    gt: bool,
    /// Only to an earlier one.
    lt: bool,
}

impl Condition {
    fn parse(words: Args<'_>) -> Result<Condition, Refusal> {
        let mut condition = Condition::default();
        for word in words {
            match word.to_ascii_lowercase().as_slice() {
                b"nx" => condition.nx = true,
                b"xx" => condition.xx = true,
                b"gt" => condition.gt = true,
                b"lt" => condition.lt = true,
                _ => {
                    let text = format!("Unsupported option {}", String::from_utf8_lossy(word));
                    return Err(Refusal::err(text));
                }
            }
        }
        if condition.nx && (condition.xx || condition.gt || condition.lt) {
            return Err(Refusal::err("NX and XX, GT or LT options at the same time are not compatible"));
        }
        if condition.gt && condition.lt {
            return Err(Refusal::err("GT and LT options at the same time are not compatible"));
        }
        Ok(condition)
    }

    /// Whether the deadline may go from `current` (0 for none) to `new` (none for the past).
    fn allows(self, current: u64, new: Option<u64>) -> bool {
        let new = new.unwrap_or(0);
        let has = current != 0;
        !(self.nx && has
            || self.xx && !has
            || self.gt && (!has || new <= current)
            || self.lt && has && new >= current)
    }
}

fn set(ctx: &mut Ctx<'_>, args: Args<'_>, form: Form, command: &str) -> Outcome {
    let condition = Condition::parse(args.skip(3))?;
    let node = ctx.node;
    let when = When::lenient(node, args.at(2), form, command)?;
    let (key, db) = (args.at(1), ctx.conn.db);
    let _order = node.lock_key(&ctx.conn.scope, &ctx.id(key));
    let Some(meta) = node.meta(&ctx.conn.scope, db, key)? else {
        return ctx.int(0);
    };
    let deadline_ms = when.deadline(node);
    if !condition.allows(meta.deadline_ms, deadline_ms) {
        return ctx.int(0);
    }
    let done = match deadline_ms {
        Some(deadline_ms) => node.set_deadline(&ctx.conn.scope, (db, key), &meta, deadline_ms)?,
        None => destroy(ctx, key, "expired")?,
    };
    ctx.int(i64::from(done))
}

fn expire(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set(ctx, args, Form::Seconds, "expire")
}

fn pexpire(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set(ctx, args, Form::Millis, "pexpire")
}

fn expireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set(ctx, args, Form::UnixSeconds, "expireat")
}

fn pexpireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set(ctx, args, Form::UnixMillis, "pexpireat")
}

fn persist(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (node, key, db) = (ctx.node, args.at(1), ctx.conn.db);
    let _order = node.lock_key(&ctx.conn.scope, &ctx.id(key));
    let found = node.meta(&ctx.conn.scope, db, key)?.filter(|meta| meta.deadline_ms != 0);
    let done = match found {
        Some(meta) => node.set_deadline(&ctx.conn.scope, (db, key), &meta, 0)?,
        None => false,
    };
    ctx.int(i64::from(done))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use gs_resp::OwnedArgs;

    fn condition(line: &str) -> Result<Condition, Refusal> {
        Condition::parse(OwnedArgs::from_iter(line.split(' ')).as_args())
    }

    /// A key without a deadline lives for ever: GT cannot make it later, LT always makes it earlier.
    #[test]
    fn conditions_compare_with_for_ever() {
        let gt = condition("gt").unwrap();
        assert!(
            !gt.allows(0, Some(10))
                && gt.allows(5, Some(10))
                && !gt.allows(10, Some(10))
                && !gt.allows(10, None)
        );
        let lt = condition("LT").unwrap();
        assert!(
            lt.allows(0, Some(10))
                && !lt.allows(5, Some(10))
                && lt.allows(20, Some(10))
                && lt.allows(20, None)
        );
        let (nx, xx) = (condition("nx").unwrap(), condition("XX").unwrap());
        assert!(
            nx.allows(0, Some(1))
                && !nx.allows(1, Some(1))
                && !xx.allows(0, Some(1))
                && xx.allows(1, Some(1))
        );
        assert!(condition("xx gt").is_ok() && condition("nx lt").is_err() && condition("gt lt").is_err());
    }
}
