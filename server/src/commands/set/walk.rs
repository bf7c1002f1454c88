//! Sets: members by chance, and page by page.

use super::keep;
use crate::commands::collection::{Choice, Random, Walk, change, look};
use crate::commands::parse::count;
use crate::commands::scan::cursor;
use crate::commands::{Command, Ctx, Outcome, Reply};
use crate::core::change::KeyEvent;
use crate::core::kinds::set::Set;
use gs_client::kinds::KIND_SET;
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "spop",
            parent: None,
            since: "1.0.0",
            group: Group::Set,
            arity: Arity(-2),
            flags: Flags::WRITE.or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::integer("count").since("3.2.0").optional()],
            complexity: "Without the count argument O(1), otherwise O(N) where N is the value of the passed count.",
            summary: "Remove and return one or multiple random members from a set",
            acl: Acl::WRITE.or(Acl::SET).or(Acl::FAST),
            reply_doc: "the member or nil; with a count the set of members",
        },
        run: spop,
    },
    Command {
        spec: Spec {
            name: "srandmember",
            parent: None,
            since: "1.0.0",
            group: Group::Set,
            arity: Arity(-2),
            flags: Flags::READONLY,
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::integer("count").since("2.6.0").optional()],
            complexity: "Without the count argument O(1), otherwise O(N) where N is the absolute value of the passed count.",
            summary: "Get one or multiple random members from a set",
            acl: Acl::READ.or(Acl::SET).or(Acl::SLOW),
            reply_doc: "a member or nil; with a count an array of members",
        },
        run: srandmember,
    },
    Command {
        spec: Spec {
            name: "sscan",
            parent: None,
            since: "2.8.0",
            group: Group::Set,
            arity: Arity(-3),
            flags: Flags::READONLY,
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[
                Arg::key("key"),
                Arg::integer("cursor"),
                Arg::pattern("pattern").token("MATCH").optional(),
                Arg::integer("count").token("COUNT").optional(),
            ],
            complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection..",
            summary: "Incrementally iterate Set elements",
            acl: Acl::READ.or(Acl::SET).or(Acl::SLOW),
            reply_doc: "the next cursor and some members",
        },
        run: sscan,
    },
];

fn spop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.len() > 3 {
        return Err(Refusal::syntax().into());
    }
    let wanted = args.get(2).map(count).transpose()?;
    let key = args.at(1);
    change(ctx, key, KIND_SET, |ctx, record, found| {
        let mut set = Set::parse(record)?;
        let mut members: Vec<_> = set.iter().collect();
        // All of them come in their order, as from SMEMBERS.
        let chosen = match wanted {
            Some(count) if count >= members.len() => members.len(),
            _ => Random::new(ctx.node).different(&mut members, wanted.unwrap_or(1)),
        };
        set.expect(chosen);
        members.truncate(chosen);
        let mut reply = ctx.reply();
        match (wanted, members.first()) {
            (None, None) => reply.null(),
            (None, Some(member)) => reply.bulk(member),
            (Some(_), _) => {
                reply.set(members.len());
                members.iter().for_each(|member| reply.bulk(member));
            }
        }
        if members.is_empty() {
            return Ok(());
        }
        for member in members {
            set.remove(member);
        }
        keep(ctx, key, &set, found, KeyEvent::set("spop"))
    })?;
    Ok(Reply::Done)
}

fn srandmember(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.len() > 3 {
        return Err(Refusal::syntax().into());
    }
    let choice = args.get(2).map(Choice::parse).transpose()?;
    look(ctx, args.at(1), KIND_SET, |ctx, record| {
        let members: Vec<_> = Set::parse(record)?.iter().collect();
        let chosen = match members.is_empty() {
            true => members,
            false => choice.unwrap_or(Choice::Repeating(1)).choose(ctx.node, members, |m| m.len())?,
        };
        let mut reply = ctx.reply();
        match (choice, chosen.first()) {
            (None, None) => reply.null(),
            (None, Some(member)) => reply.bulk(member),
            (Some(_), _) => {
                reply.array(chosen.len());
                chosen.iter().for_each(|member| reply.bulk(member));
            }
        }
        Ok(())
    })
}

fn sscan(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let from = cursor(args.at(2))?;
    look(ctx, args.at(1), KIND_SET, |ctx, record| {
        let set = Set::parse(record)?;
        let (next, page) = match set.is_empty() {
            true => (0, Vec::new()),
            false => {
                let walk = Walk::parse(from, args, false)?;
                walk.page(set.is_big(), set.iter().map(|member| (member, ())).collect())
            }
        };
        let mut reply = ctx.reply();
        reply.array(2);
        reply.bulk_uint(next);
        reply.array(page.len());
        page.iter().for_each(|(member, ())| reply.bulk(member));
        Ok(())
    })
}
