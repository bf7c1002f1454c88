//! Sorted sets: scores and ranks.

pub mod range;
pub mod span;
pub mod write;

use crate::commands::collection::{Walk, look};
use crate::commands::scan::cursor;
use crate::commands::sorted::span::Scores;
use crate::commands::{Command, Ctx, Outcome, Stop};
use crate::core::kinds::sorted::{Sorted, push_score};
use gs_client::kinds::KIND_SORTED_SET;
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "zcard",
            parent: None,
            since: "1.2.0",
            group: Group::SortedSet,
            arity: Arity(2),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key")],
            complexity: "O(1)",
            summary: "Get the number of members in a sorted set",
            acl: Acl::READ.or(Acl::SORTEDSET).or(Acl::FAST),
            reply_doc: "how many members there are",
        },
        run: zcard,
    },
    Command {
        spec: Spec {
            name: "zcount",
            parent: None,
            since: "2.0.0",
            group: Group::SortedSet,
            arity: Arity(4),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::double("min"), Arg::double("max")],
            complexity: "O(log(N)) with N being the number of elements in the sorted set.",
            summary: "Count the members in a sorted set with scores within the given values",
            acl: Acl::READ.or(Acl::SORTEDSET).or(Acl::FAST),
            reply_doc: "how many members have such a score",
        },
        run: zcount,
    },
    Command {
        spec: Spec {
            name: "zmscore",
            parent: None,
            since: "6.2.0",
            group: Group::SortedSet,
            arity: Arity(-3),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::string("member").multiple()],
            complexity: "O(N) where N is the number of members being requested.",
            summary: "Get the score associated with the given members in a sorted set",
            acl: Acl::READ.or(Acl::SORTEDSET).or(Acl::FAST),
            reply_doc: "the scores in order, nil where there is no such member",
        },
        run: zmscore,
    },
    Command {
        spec: Spec {
            name: "zrank",
            parent: None,
            since: "2.0.0",
            group: Group::SortedSet,
            arity: Arity(3),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::string("member")],
            complexity: "O(log(N))",
            summary: "Determine the index of a member in a sorted set",
            acl: Acl::READ.or(Acl::SORTEDSET).or(Acl::FAST),
            reply_doc: "the place from the lowest score on, from 0, or nil",
        },
        run: zrank,
    },
    Command {
        spec: Spec {
            name: "zrevrank",
            parent: None,
            since: "2.0.0",
            group: Group::SortedSet,
            arity: Arity(3),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::string("member")],
            complexity: "O(log(N))",
            summary: "Determine the index of a member in a sorted set, with scores ordered from high to low",
            acl: Acl::READ.or(Acl::SORTEDSET).or(Acl::FAST),
            reply_doc: "the place from the highest score on, from 0, or nil",
        },
        run: zrevrank,
    },
    Command {
        spec: Spec {
            name: "zscan",
            parent: None,
            since: "2.8.0",
            group: Group::SortedSet,
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
            summary: "Incrementally iterate sorted sets elements and associated scores",
            acl: Acl::READ.or(Acl::SORTEDSET).or(Acl::SLOW),
            reply_doc: "the next cursor and some members and scores",
        },
        run: zscan,
    },
    Command {
        spec: Spec {
            name: "zscore",
            parent: None,
            since: "1.2.0",
            group: Group::SortedSet,
            arity: Arity(3),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::string("member")],
            complexity: "O(1)",
            summary: "Get the score associated with the given member in a sorted set",
            acl: Acl::READ.or(Acl::SORTEDSET).or(Acl::FAST),
            reply_doc: "the score, or nil",
        },
        run: zscore,
    },
];

fn zcard(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    look(ctx, args.at(1), KIND_SORTED_SET, |ctx, record| {
        let len = Sorted::parse(record)?.len();
        ctx.reply().uint(len as u64);
        Ok(())
    })
}

fn zcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let scores = Scores::parse(args.at(2), args.at(3))?;
    look(ctx, args.at(1), KIND_SORTED_SET, |ctx, record| {
        let count = Sorted::parse(record)?.iter().filter(|(_, score)| scores.contains(*score)).count();
        ctx.reply().uint(count as u64);
        Ok(())
    })
}

fn zscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    look(ctx, args.at(1), KIND_SORTED_SET, |ctx, record| {
        match Sorted::parse(record)?.score(args.at(2)) {
            Some(score) => ctx.reply().double(score),
            None => ctx.reply().null(),
        }
        Ok(())
    })
}

fn zmscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    look(ctx, args.at(1), KIND_SORTED_SET, |ctx, record| {
        let mut sorted = Sorted::parse(record)?;
        let members = args.skip(2);
        sorted.expect(members.len());
        let mut reply = ctx.reply();
        reply.array(members.len());
        for member in members {
            match sorted.score(member) {
                Some(score) => reply.double(score),
                None => reply.null(),
            }
        }
        Ok(())
    })
}

fn zrank(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    rank(ctx, args, |place, _| place)
}

fn zrevrank(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    rank(ctx, args, |place, len| len - 1 - place)
}

fn rank(ctx: &mut Ctx<'_>, args: Args<'_>, of: fn(usize, usize) -> usize) -> Outcome {
    look(ctx, args.at(1), KIND_SORTED_SET, |ctx, record| {
        let sorted = Sorted::parse(record)?;
        match sorted.iter().position(|(member, _)| member == args.at(2)) {
            Some(place) => ctx.reply().uint(of(place, sorted.len()) as u64),
            None => ctx.reply().null(),
        }
        Ok(())
    })
}

fn zscan(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let from = cursor(args.at(2))?;
    look(ctx, args.at(1), KIND_SORTED_SET, |ctx, record| {
        let sorted = Sorted::parse(record)?;
        let (next, page) = match sorted.is_empty() {
            true => (0, Vec::new()),
            false => Walk::parse(from, args, false)?.page(sorted.is_big(), sorted.iter().collect()),
        };
        let mut text = Vec::new();
        let mut reply = ctx.reply();
        reply.array(2);
        reply.bulk_uint(next);
        reply.array(page.len() * 2);
        for (member, score) in page {
            reply.bulk(member);
            text.clear();
            push_score(&mut text, score, sorted.is_big());
            reply.bulk(&text);
        }
        Ok::<(), Stop>(())
    })
}
