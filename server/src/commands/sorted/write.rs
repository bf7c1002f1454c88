//! Sorted sets: members in, members out.

use crate::commands::collection::{change, end, save};
use crate::commands::parse::count;
use crate::commands::{Command, Ctx, Outcome, Reply, Stop};
use crate::core::change::KeyEvent;
use crate::core::kinds::sorted::Sorted;
use gs_client::cache::Meta;
use gs_client::kinds::KIND_SORTED_SET;
use gs_resp::{
    AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Protocol, Refusal, Roles, Spec, parse_f64,
};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "zadd",
            parent: None,
            since: "1.2.0",
            group: Group::SortedSet,
            arity: Arity(-4),
            flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[
                Arg::key("key"),
                Arg::oneof("condition", &[Arg::token_only("nx", "NX"), Arg::token_only("xx", "XX")])
                    .since("3.0.2")
                    .optional(),
                Arg::oneof("comparison", &[Arg::token_only("gt", "GT"), Arg::token_only("lt", "LT")])
                    .since("6.2.0")
                    .optional(),
                Arg::token_only("change", "CH").since("3.0.2").optional(),
                Arg::token_only("increment", "INCR").since("3.0.2").optional(),
                Arg::block("score_member", &[Arg::double("score"), Arg::string("member")]).multiple(),
            ],
            complexity: "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
            summary: "Add one or more members to a sorted set, or update its score if it already exists",
            acl: Acl::WRITE.or(Acl::SORTEDSET).or(Acl::FAST),
            reply_doc: "how many members are new, with CH how many changed; with INCR the new score, or nil",
        },
        run: zadd,
    },
    Command {
        spec: Spec {
            name: "zincrby",
            parent: None,
            since: "1.2.0",
            group: Group::SortedSet,
            arity: Arity(4),
            flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::integer("increment"), Arg::string("member")],
            complexity: "O(log(N)) where N is the number of elements in the sorted set.",
            summary: "Increment the score of a member in a sorted set",
            acl: Acl::WRITE.or(Acl::SORTEDSET).or(Acl::FAST),
            reply_doc: "the new score",
        },
        run: zincrby,
    },
    Command {
        spec: Spec {
            name: "zpopmax",
            parent: None,
            since: "5.0.0",
            group: Group::SortedSet,
            arity: Arity(-2),
            flags: Flags::WRITE.or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::integer("count").optional()],
            complexity: "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements popped.",
            summary: "Remove and return members with the highest scores in a sorted set",
            acl: Acl::WRITE.or(Acl::SORTEDSET).or(Acl::FAST),
            reply_doc: "members and their scores, the highest first",
        },
        run: zpopmax,
    },
    Command {
        spec: Spec {
            name: "zpopmin",
            parent: None,
            since: "5.0.0",
            group: Group::SortedSet,
            arity: Arity(-2),
            flags: Flags::WRITE.or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::integer("count").optional()],
            complexity: "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements popped.",
            summary: "Remove and return members with the lowest scores in a sorted set",
            acl: Acl::WRITE.or(Acl::SORTEDSET).or(Acl::FAST),
            reply_doc: "members and their scores, the lowest first",
        },
        run: zpopmin,
    },
    Command {
        spec: Spec {
            name: "zrem",
            parent: None,
            since: "1.2.0",
            group: Group::SortedSet,
            arity: Arity(-3),
            flags: Flags::WRITE.or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::string("member").multiple()],
            complexity: "O(M*log(N)) with N being the number of elements in the sorted set and M the number of elements to be removed.",
            summary: "Remove one or more members from a sorted set",
            acl: Acl::WRITE.or(Acl::SORTEDSET).or(Acl::FAST),
            reply_doc: "how many members were removed",
        },
        run: zrem,
    },
];

/// Writes a sorted set back, or ends its key where nothing is left of it.
pub(super) fn keep(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    sorted: &Sorted<'_>,
    found: Option<Meta>,
    event: KeyEvent,
) -> Result<(), Stop> {
    if sorted.is_empty() {
        return end(ctx, key, event);
    }
    save(ctx, key, KIND_SORTED_SET, &sorted.record(), found, event)
}

/// The options of ZADD.
#[derive(Default)]
struct Adding {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
    changed: bool,
    incr: bool,
}

impl Adding {
    /// Reads the options; the place of the first score.
    fn parse(args: Args<'_>) -> Result<(Adding, usize), Refusal> {
        let (mut adding, mut at) = (Adding::default(), 2);
        while let Some(word) = args.get(at) {
            match word.to_ascii_lowercase().as_slice() {
                b"nx" => adding.nx = true,
                b"xx" => adding.xx = true,
                b"gt" => adding.gt = true,
                b"lt" => adding.lt = true,
                b"ch" => adding.changed = true,
                b"incr" => adding.incr = true,
                _ => break,
            }
            at += 1;
        }
        let words = args.len() - at;
        if words == 0 || words % 2 == 1 {
            return Err(Refusal::syntax());
        }
        if adding.nx && adding.xx {
            return Err(Refusal::err("XX and NX options at the same time are not compatible"));
        }
        if [adding.nx, adding.gt, adding.lt].iter().filter(|given| **given).count() > 1 {
            return Err(Refusal::err("GT, LT, and/or NX options at the same time are not compatible"));
        }
        if adding.incr && words > 2 {
            return Err(Refusal::err("INCR option supports a single increment-element pair"));
        }
        Ok((adding, at))
    }

    /// The score a member gets; none where it keeps what it has, or stays away.
    fn score(&self, before: Option<f64>, given: f64) -> Result<Option<f64>, Refusal> {
        let Some(before) = before else {
            return Ok((!self.xx).then_some(given));
        };
        if self.nx {
            return Ok(None);
        }
        let score = if self.incr { before + given } else { given };
        if score.is_nan() {
            return Err(Refusal::err("resulting score is not a number (NaN)"));
        }
        Ok(if (self.lt && score >= before) || (self.gt && score <= before) { None } else { Some(score) })
    }
}

/// What an adding did.
#[derive(Default)]
struct Added {
    new: i64,
    updated: i64,
    /// The score given last.
    score: Option<f64>,
}

/// Adds pairs of score and member, the first score at `at`.
fn add(ctx: &mut Ctx<'_>, args: Args<'_>, adding: &Adding, at: usize) -> Result<Added, Stop> {
    let pairs = args.skip(at);
    let scores = pairs.iter().step_by(2).map(|word| parse_f64(word).ok_or_else(Refusal::not_float));
    let scores = scores.collect::<Result<Vec<_>, _>>()?;
    let key = args.at(1);
    change(ctx, key, KIND_SORTED_SET, |ctx, record, found| {
        let mut sorted = Sorted::parse(record)?;
        sorted.expect(scores.len());
        let mut added = Added::default();
        for (member, given) in pairs.iter().skip(1).step_by(2).zip(&scores) {
            let before = sorted.score(member);
            let Some(score) = adding.score(before, *given)? else { continue };
            if before != Some(score) {
                sorted.set(member, score);
                *(if before.is_none() { &mut added.new } else { &mut added.updated }) += 1;
            }
            added.score = Some(score);
        }
        if added.new + added.updated > 0 {
            keep(ctx, key, &sorted, found, KeyEvent::zset(if adding.incr { "zincr" } else { "zadd" }))?;
        }
        Ok(added)
    })
}

fn zadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (adding, at) = Adding::parse(args)?;
    let added = add(ctx, args, &adding, at)?;
    match (adding.incr, added.score) {
        (true, Some(score)) => ctx.reply().double(score),
        (true, None) => ctx.reply().null(),
        (false, _) => ctx.reply().int(added.new + if adding.changed { added.updated } else { 0 }),
    }
    Ok(Reply::Done)
}

fn zincrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let adding = Adding { incr: true, ..Adding::default() };
    let added = add(ctx, args, &adding, 2)?;
    ctx.reply().double(added.score.unwrap_or_default());
    Ok(Reply::Done)
}

fn zrem(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = args.at(1);
    let removed = change(ctx, key, KIND_SORTED_SET, |ctx, record, found| {
        let mut sorted = Sorted::parse(record)?;
        let members = args.skip(2);
        sorted.expect(members.len());
        let removed = members.iter().filter(|member| sorted.remove(member).is_some()).count();
        if removed > 0 {
            keep(ctx, key, &sorted, found, KeyEvent::zset("zrem"))?;
        }
        Ok(removed)
    })?;
    ctx.int(removed as i64)
}

fn zpopmin(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    pop(ctx, args, false)
}

fn zpopmax(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    pop(ctx, args, true)
}

fn pop(ctx: &mut Ctx<'_>, args: Args<'_>, highest: bool) -> Outcome {
    if args.len() > 3 {
        return Err(Refusal::syntax().into());
    }
    let wanted = args.get(2).map(count).transpose()?;
    let key = args.at(1);
    change(ctx, key, KIND_SORTED_SET, |ctx, record, found| {
        let mut sorted = Sorted::parse(record)?;
        let mut members: Vec<_> = sorted.iter().collect();
        if highest {
            members.reverse();
        }
        members.truncate(wanted.unwrap_or(1));
        let mut reply = ctx.reply();
        // With a count RESP3 pairs each member with its score; without, there is only one.
        let pairs = reply.proto == Protocol::Resp3 && wanted.is_some();
        reply.array(members.len() * if pairs { 1 } else { 2 });
        for (member, score) in &members {
            if pairs {
                reply.array(2);
            }
            reply.bulk(member);
            reply.double(*score);
        }
        if members.is_empty() {
            return Ok(());
        }
        sorted.expect(members.len());
        for (member, _) in members {
            sorted.remove(member);
        }
        keep(ctx, key, &sorted, found, KeyEvent::zset(if highest { "zpopmax" } else { "zpopmin" }))
    })?;
    Ok(Reply::Done)
}
