//! Sets: members in, members out.

pub mod walk;

use crate::commands::collection::{change, end, look, save};
use crate::commands::{Command, Ctx, Outcome, Stop};
use crate::core::change::KeyEvent;
use crate::core::kinds::set::Set;
use gs_client::cache::Meta;
use gs_client::kinds::KIND_SET;
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "sadd",
            parent: None,
            since: "1.0.0",
            group: Group::Set,
            arity: Arity(-3),
            flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::string("member").multiple()],
            complexity: "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
            summary: "Add one or more members to a set",
            acl: Acl::WRITE.or(Acl::SET).or(Acl::FAST),
            reply_doc: "how many members are new",
        },
        run: sadd,
    },
    Command {
        spec: Spec {
            name: "scard",
            parent: None,
            since: "1.0.0",
            group: Group::Set,
            arity: Arity(2),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key")],
            complexity: "O(1)",
            summary: "Get the number of members in a set",
            acl: Acl::READ.or(Acl::SET).or(Acl::FAST),
            reply_doc: "how many members there are",
        },
        run: scard,
    },
    Command {
        spec: Spec {
            name: "sismember",
            parent: None,
            since: "1.0.0",
            group: Group::Set,
            arity: Arity(3),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::string("member")],
            complexity: "O(1)",
            summary: "Determine if a given value is a member of a set",
            acl: Acl::READ.or(Acl::SET).or(Acl::FAST),
            reply_doc: "1 if it is a member, else 0",
        },
        run: sismember,
    },
    Command {
        spec: Spec {
            name: "smembers",
            parent: None,
            since: "1.0.0",
            group: Group::Set,
            arity: Arity(2),
            flags: Flags::READONLY,
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key")],
            complexity: "O(N) where N is the set cardinality.",
            summary: "Get all the members in a set",
            acl: Acl::READ.or(Acl::SET).or(Acl::SLOW),
            reply_doc: "the set of members",
        },
        run: smembers,
    },
    Command {
        spec: Spec {
            name: "smismember",
            parent: None,
            since: "6.2.0",
            group: Group::Set,
            arity: Arity(-3),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::string("member").multiple()],
            complexity: "O(N) where N is the number of elements being checked for membership",
            summary: "Returns the membership associated with the given elements for a set",
            acl: Acl::READ.or(Acl::SET).or(Acl::FAST),
            reply_doc: "1 for each that is a member, 0 for each other",
        },
        run: smismember,
    },
    Command {
        spec: Spec {
            name: "srem",
            parent: None,
            since: "1.0.0",
            group: Group::Set,
            arity: Arity(-3),
            flags: Flags::WRITE.or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::string("member").multiple()],
            complexity: "O(N) where N is the number of members to be removed.",
            summary: "Remove one or more members from a set",
            acl: Acl::WRITE.or(Acl::SET).or(Acl::FAST),
            reply_doc: "how many members were removed",
        },
        run: srem,
    },
];

/// Writes a set back, or ends its key where nothing is left of it.
fn keep(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    set: &Set<'_>,
    found: Option<Meta>,
    event: KeyEvent,
) -> Result<(), Stop> {
    if set.is_empty() {
        return end(ctx, key, event);
    }
    save(ctx, key, KIND_SET, &set.record(), found, event)
}

fn sadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = args.at(1);
    let added = change(ctx, key, KIND_SET, |ctx, record, found| {
        let mut set = Set::parse(record)?;
        let members = args.skip(2);
        set.expect(members.len());
        let added = members.iter().filter(|member| set.add(member)).count();
        if added > 0 {
            keep(ctx, key, &set, found, KeyEvent::set("sadd"))?;
        }
        Ok(added)
    })?;
    ctx.int(added as i64)
}

fn srem(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = args.at(1);
    let removed = change(ctx, key, KIND_SET, |ctx, record, found| {
        let mut set = Set::parse(record)?;
        let members = args.skip(2);
        set.expect(members.len());
        let removed = members.iter().filter(|member| set.remove(member)).count();
        if removed > 0 {
            keep(ctx, key, &set, found, KeyEvent::set("srem"))?;
        }
        Ok(removed)
    })?;
    ctx.int(removed as i64)
}

fn scard(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    look(ctx, args.at(1), KIND_SET, |ctx, record| {
        let len = Set::parse(record)?.len();
        ctx.reply().uint(len as u64);
        Ok(())
    })
}

fn sismember(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    look(ctx, args.at(1), KIND_SET, |ctx, record| {
        let is_member = Set::look_up(record, args.at(2))?;
        ctx.reply().int(i64::from(is_member));
        Ok(())
    })
}

fn smismember(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    look(ctx, args.at(1), KIND_SET, |ctx, record| {
        let mut set = Set::parse(record)?;
        let members = args.skip(2);
        set.expect(members.len());
        let mut reply = ctx.reply();
        reply.array(members.len());
        members.iter().for_each(|member| reply.int(i64::from(set.contains(member))));
        Ok(())
    })
}

fn smembers(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    look(ctx, args.at(1), KIND_SET, |ctx, record| {
        let set = Set::parse(record)?;
        let mut reply = ctx.reply();
        reply.set(set.len());
        set.iter().for_each(|member| reply.bulk(member));
        Ok(())
    })
}
