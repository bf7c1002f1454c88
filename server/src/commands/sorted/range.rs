//! Sorted sets: ranges by place, by score and by bytes.

use crate::commands::collection::{change, look};
use crate::commands::parse::integer;
use crate::commands::sorted::span::{By, Scores, Span};
use crate::commands::sorted::write::keep;
use crate::commands::{Command, Ctx, Outcome};
use crate::core::change::KeyEvent;
use crate::core::kinds::sorted::Sorted;
use gs_client::kinds::KIND_SORTED_SET;
use gs_resp::{
    AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Protocol, Refusal, Roles, Spec, Writer,
};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "zrange",
            parent: None,
            since: "1.2.0",
            group: Group::SortedSet,
            arity: Arity(-4),
            flags: Flags::READONLY,
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[
                Arg::key("key"),
                Arg::string("start"),
                Arg::string("stop"),
                Arg::oneof(
                    "sortby",
                    &[Arg::token_only("byscore", "BYSCORE"), Arg::token_only("bylex", "BYLEX")],
                )
                .since("6.2.0")
                .optional(),
                Arg::token_only("rev", "REV").since("6.2.0").optional(),
                Arg::block("offset_count", &[Arg::integer("offset"), Arg::integer("count")])
                    .token("LIMIT")
                    .since("6.2.0")
                    .optional(),
                Arg::token_only("withscores", "WITHSCORES").optional(),
            ],
            complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned.",
            summary: "Return a range of members in a sorted set",
            acl: Acl::READ.or(Acl::SORTEDSET).or(Acl::SLOW),
            reply_doc: "the members, with WITHSCORES and their scores",
        },
        run: zrange,
    },
    Command {
        spec: Spec {
            name: "zrangebyscore",
            parent: None,
            since: "1.0.5",
            group: Group::SortedSet,
            arity: Arity(-4),
            flags: Flags::READONLY,
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[
                Arg::key("key"),
                Arg::double("min"),
                Arg::double("max"),
                Arg::token_only("withscores", "WITHSCORES").since("2.0.0").optional(),
                Arg::block("offset_count", &[Arg::integer("offset"), Arg::integer("count")])
                    .token("LIMIT")
                    .optional(),
            ],
            complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).",
            summary: "Return a range of members in a sorted set, by score",
            acl: Acl::READ.or(Acl::SORTEDSET).or(Acl::SLOW),
            reply_doc: "the members, with WITHSCORES and their scores",
        },
        run: zrangebyscore,
    },
    Command {
        spec: Spec {
            name: "zremrangebyrank",
            parent: None,
            since: "2.0.0",
            group: Group::SortedSet,
            arity: Arity(4),
            flags: Flags::WRITE,
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::integer("start"), Arg::integer("stop")],
            complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.",
            summary: "Remove all members in a sorted set within the given indexes",
            acl: Acl::WRITE.or(Acl::SORTEDSET).or(Acl::SLOW),
            reply_doc: "how many members were removed",
        },
        run: zremrangebyrank,
    },
    Command {
        spec: Spec {
            name: "zremrangebyscore",
            parent: None,
            since: "1.2.0",
            group: Group::SortedSet,
            arity: Arity(4),
            flags: Flags::WRITE,
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::double("min"), Arg::double("max")],
            complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.",
            summary: "Remove all members in a sorted set within the given scores",
            acl: Acl::WRITE.or(Acl::SORTEDSET).or(Acl::SLOW),
            reply_doc: "how many members were removed",
        },
        run: zremrangebyscore,
    },
    Command {
        spec: Spec {
            name: "zrevrange",
            parent: None,
            since: "1.2.0",
            group: Group::SortedSet,
            arity: Arity(-4),
            flags: Flags::READONLY,
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[
                Arg::key("key"),
                Arg::integer("start"),
                Arg::integer("stop"),
                Arg::token_only("withscores", "WITHSCORES").optional(),
            ],
            complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned.",
            summary: "Return a range of members in a sorted set, by index, with scores ordered from high to low",
            acl: Acl::READ.or(Acl::SORTEDSET).or(Acl::SLOW),
            reply_doc: "the members, with WITHSCORES and their scores",
        },
        run: zrevrange,
    },
    Command {
        spec: Spec {
            name: "zrevrangebyscore",
            parent: None,
            since: "2.2.0",
            group: Group::SortedSet,
            arity: Arity(-4),
            flags: Flags::READONLY,
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[
                Arg::key("key"),
                Arg::double("max"),
                Arg::double("min"),
                Arg::token_only("withscores", "WITHSCORES").optional(),
                Arg::block("offset_count", &[Arg::integer("offset"), Arg::integer("count")])
                    .token("LIMIT")
                    .optional(),
            ],
            complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).",
            summary: "Return a range of members in a sorted set, by score, with scores ordered from high to low",
            acl: Acl::READ.or(Acl::SORTEDSET).or(Acl::SLOW),
            reply_doc: "the members, with WITHSCORES and their scores",
        },
        run: zrevrangebyscore,
    },
];

/// What a range command asks for.
struct Wanted<'a> {
    span: Span<'a>,
    reverse: bool,
    offset: i64,
    /// Below zero: all.
    limit: i64,
    with_scores: bool,
}

impl<'a> Wanted<'a> {
    /// Reads the bounds at words 2 and 3 and the options behind them. What a command's name says is in `by` and
    /// `reverse`; where it says neither (ZRANGE), options do.
    fn parse(args: Args<'a>, by: Option<By>, reverse: Option<bool>) -> Result<Wanted<'a>, Refusal> {
        let (mut chosen, mut reversed) = (by, reverse);
        let (mut limit, mut with_scores) = (None, false);
        let mut i = 4;
        while i < args.len() {
            if args.is(i, "withscores") {
                with_scores = true;
            } else if args.is(i, "limit") && i + 2 < args.len() {
                limit = Some((integer(args.at(i + 1))?, integer(args.at(i + 2))?));
                i += 2;
            } else if reversed.is_none() && args.is(i, "rev") {
                reversed = Some(true);
            } else if chosen.is_none() && args.is(i, "byscore") {
                chosen = Some(By::Score);
            } else if chosen.is_none() && args.is(i, "bylex") {
                chosen = Some(By::Bytes);
            } else {
                return Err(Refusal::syntax());
            }
            i += 1;
        }
        let (by, reverse) = (chosen.unwrap_or(By::Place), reversed.unwrap_or(false));
        if limit.is_some_and(|(_, n)| n != -1) && by == By::Place {
            let text = "syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX";
            return Err(Refusal::err(text));
        }
        if with_scores && by == By::Bytes {
            return Err(Refusal::err("syntax error, WITHSCORES not supported in combination with BYLEX"));
        }
        // Read from its end, a range is named from its end too, unless places name it.
        let swapped = reverse && by != By::Place;
        let (min, max) = if swapped { (3, 2) } else { (2, 3) };
        let span = Span::parse(by, args.at(min), args.at(max))?;
        // A limit of -1 is let through above and then not looked at, its offset included, as in Redis.
        let (offset, limit) = limit.filter(|_| by != By::Place).unwrap_or((0, -1));
        Ok(Wanted { span, reverse, offset, limit, with_scores })
    }

    /// The members asked for, in their order.
    fn of<'r>(&self, sorted: &Sorted<'r>) -> Vec<(&'r [u8], f64)> {
        let mut all: Vec<_> = sorted.iter().collect();
        if self.reverse {
            all.reverse();
        }
        let mut members = self.span.of(all);
        if self.offset != 0 {
            // Below zero nothing is ever reached.
            let offset = usize::try_from(self.offset).unwrap_or(usize::MAX).min(members.len());
            members.drain(..offset);
        }
        if let Ok(limit) = usize::try_from(self.limit) {
            members.truncate(limit);
        }
        members
    }
}

fn write(mut reply: Writer<'_>, members: &[(&[u8], f64)], with_scores: bool) {
    let pairs = with_scores && reply.proto == Protocol::Resp3;
    reply.array(members.len() * if with_scores && !pairs { 2 } else { 1 });
    for (member, score) in members {
        if pairs {
            reply.array(2);
        }
        reply.bulk(member);
        if with_scores {
            reply.double(*score);
        }
    }
}

fn range(ctx: &mut Ctx<'_>, args: Args<'_>, by: Option<By>, reverse: Option<bool>) -> Outcome {
    let wanted = Wanted::parse(args, by, reverse)?;
    look(ctx, args.at(1), KIND_SORTED_SET, |ctx, record| {
        let members = wanted.of(&Sorted::parse(record)?);
        write(ctx.reply(), &members, wanted.with_scores);
        Ok(())
    })
}

fn zrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    range(ctx, args, None, None)
}

fn zrevrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    range(ctx, args, Some(By::Place), Some(true))
}

fn zrangebyscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    range(ctx, args, Some(By::Score), Some(false))
}

fn zrevrangebyscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    range(ctx, args, Some(By::Score), Some(true))
}

fn zremrangebyscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let scores = Scores::parse(args.at(2), args.at(3))?;
    remove(ctx, args.at(1), &Span::Scores(scores), "zremrangebyscore")
}

fn zremrangebyrank(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    remove(ctx, args.at(1), &Span::parse(By::Place, args.at(2), args.at(3))?, "zremrangebyrank")
}

fn remove(ctx: &mut Ctx<'_>, key: &[u8], span: &Span<'_>, event: &'static str) -> Outcome {
    let removed = change(ctx, key, KIND_SORTED_SET, |ctx, record, found| {
        let mut sorted = Sorted::parse(record)?;
        let members = span.of(sorted.iter().collect());
        if members.is_empty() {
            return Ok(0);
        }
        sorted.expect(members.len());
        for (member, _) in &members {
            sorted.remove(member);
        }
        keep(ctx, key, &sorted, found, KeyEvent::zset(event))?;
        Ok(members.len())
    })?;
    ctx.int(removed as i64)
}
