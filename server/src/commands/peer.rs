//! The commands that nodes send each other: batches of put-if-newer, orders to drop, what moved, what was lost.
//! All of them are idempotent: a message may arrive twice, or late. Here are the rows, and what reliefs answer.

mod relay;
mod sibling;

use crate::commands::{Command, Ctx, Outcome, Reply, Stop};
use crate::core::iterate;
use crate::core::keyspace::TOGETHER;
use crate::core::node::Node;
use crate::roles::relief;
use crate::roles::wire::{self, ParcelRef};
use foldhash::fast::RandomState;
use gs_client::cache::Lookup;
use gs_resp::{AclCategories, Arg, Args, Arity, Code, Flags, Group, Keys, Refusal, Roles, Spec, Writer};
use std::hash::BuildHasher;

/// Bytes of copies that one answer holds; keys beyond are asked for again.
const FETCH_BYTES: usize = 1024 * 1024;

/// The row of a command between nodes.
const fn row(
    name: &'static str,
    arity: i16,
    roles: Roles,
    args: &'static [Arg],
    summary: &'static str,
) -> Spec {
    Spec {
        name,
        parent: None,
        since: "0.1.0",
        group: Group::Gs,
        arity: Arity(arity),
        flags: Flags::PEER.or(Flags::ADMIN).or(Flags::NO_MULTI).or(Flags::NOSCRIPT),
        roles,
        keys: Keys::None,
        args,
        complexity: "O(N) with N the number of items",
        summary,
        acl: AclCategories::ADMIN.or(AclCategories::DANGEROUS),
        reply_doc: "One integer for each item, or OK.",
    }
}

const COUNT: Arg = Arg::integer("count");
const NODE: Arg = Arg::integer("node");
const DB: Arg = Arg::integer("db");
const WORDS: Arg = Arg::string("item").multiple();

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: row(
            "gs.put",
            -9,
            Roles::RELIEFS,
            &[COUNT, WORDS],
            "Stores copies that are newer than what this relief has.",
        ),
        run: put,
    },
    Command {
        spec: row(
            "gs.iam",
            2,
            Roles::RELIEFS,
            &[Arg::string("incarnation")],
            "Asks a relief whether it still has the contents it joined with.",
        ),
        run: iam,
    },
    Command {
        spec: row(
            "gs.fetch",
            -3,
            Roles::RELIEFS.or(Roles::SIBLING),
            &[NODE.optional(), DB, Arg::key("key").multiple()],
            "Reads copies from a relief without counting it as a use; of several keys maybe only the first ones.",
        ),
        run: fetch,
    },
    Command {
        spec: row(
            "gs.tomb",
            -6,
            Roles::RELIEFS.or(Roles::SIBLING),
            &[NODE.optional(), COUNT, WORDS],
            "Orders a relief to drop copies and to refuse older versions.",
        ),
        run: tomb,
    },
    Command {
        spec: row(
            "gs.flush",
            -3,
            Roles::RELIEFS.or(Roles::SIBLING),
            &[NODE.optional(), DB, Arg::integer("version")],
            "Forgets everything of a database below a version.",
        ),
        run: flush,
    },
    Command {
        spec: row(
            "gs.keys",
            -4,
            Roles::RELIEFS.or(Roles::SIBLING),
            &[NODE.optional(), Arg::integer("cursor"), COUNT, DB],
            "A page of the copies a relief holds in a database, or * for all: db, key, version, copy, remaining life, kind.",
        ),
        run: keys,
    },
    Command {
        spec: row(
            "gs.handoff",
            -11,
            Roles::SIBLING,
            &[Arg::string("node"), COUNT, WORDS],
            "An expansion node passes sessions on to the aging node of their slot.",
        ),
        run: sibling::handoff,
    },
    Command {
        spec: row(
            "gs.dropped",
            -8,
            Roles::SIBLING.or(Roles::RELAY),
            &[Arg::string("node"), COUNT, WORDS],
            "A relief tells which copies expired or were lost.",
        ),
        run: sibling::dropped,
    },
    Command {
        spec: row(
            "gs.copy",
            8,
            Roles::SIBLING,
            &[
                DB,
                Arg::key("key"),
                Arg::integer("version"),
                Arg::integer("pttl"),
                Arg::integer("kind"),
                Arg::integer("age"),
                Arg::string("value"),
            ],
            "Puts a second copy of a session on the expansion node of its slot.",
        ),
        run: sibling::copy,
    },
    Command {
        spec: row(
            "gs.relieve",
            -1,
            Roles::SIBLING,
            &[DB.optional(), Arg::key("key").optional()],
            "Asks the demoter to make room at once, in a key's buckets if one is named.",
        ),
        run: sibling::relieve,
    },
    Command {
        spec: row(
            "gs.moved",
            -10,
            Roles::RELAY,
            &[NODE, COUNT, WORDS],
            "Sessions that a relief has taken: they are listed there and freed here.",
        ),
        run: relay::moved,
    },
    Command {
        spec: row(
            "gs.relocate",
            -9,
            Roles::RELAY,
            &[NODE, Arg::integer("to"), COUNT, WORDS],
            "Sessions that one relief passed on to another.",
        ),
        run: relay::relocate,
    },
    Command {
        spec: row(
            "gs.report",
            -7,
            Roles::RELAY,
            &[NODE, COUNT, WORDS],
            "What a relief holds, page by page after it joined.",
        ),
        run: relay::report,
    },
    Command {
        spec: row(
            "gs.promote",
            -4,
            Roles::RELAY,
            &[DB, COUNT, Arg::key("key").multiple()],
            "Brings sessions back up.",
        ),
        run: relay::promote,
    },
    Command {
        spec: row(
            "gs.member",
            -2,
            Roles::RELAY,
            &[Arg::string("what"), WORDS],
            "The sibling tells of a relief that joined, reported, went silent, is in doubt or left.",
        ),
        run: relay::member,
    },
    Command {
        spec: row(
            "gs.sibling",
            4,
            Roles::RELAY,
            &[Arg::string("hello"), Arg::string("address"), Arg::integer("pid")],
            "A sibling says where it is; the answer is the identity of this life of the relay.",
        ),
        run: relay::hello,
    },
];

fn ints(ctx: &mut Ctx<'_>, list: &[i64]) -> Outcome {
    let mut w = ctx.reply();
    w.array(list.len());
    list.iter().for_each(|n| w.int(*n));
    Ok(Reply::Done)
}

/// Sends a command on to a relief, without the word that named it, and its reply back.
fn pass(ctx: &mut Ctx<'_>, name: &str, index: u64, words: Args<'_>) -> Outcome {
    let Some(sibling) = ctx.node.sibling() else {
        return Err(Refusal::syntax().into());
    };
    let link = sibling.link(index as u16)?;
    let mut all: Vec<&[u8]> = vec![name.as_bytes()];
    all.extend(words.iter());
    ctx.pass_on(link, &all, "the relief does not answer; try again later")
}

fn iam(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if relief::incarnation(ctx.node).as_bytes() == args.at(1) {
        return ctx.ok();
    }
    Err(Refusal::err("this relief has other contents than it joined with; it joins again").into())
}

fn put(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut copies = Vec::new();
    for item in wire::items(args, 1, wire::PUT_WORDS)? {
        copies.push(relief::put(ctx.node, &ParcelRef::parse(item)?)?);
    }
    ints(ctx, &copies)
}

fn fetch(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if ctx.node.sibling().is_some() {
        return pass(ctx, "GS.FETCH", wire::number(args, 1)?, args.skip(2));
    }
    let (db, keys) = (wire::database(args, 1)?, args.skip(2));
    if keys.len() == 1 {
        return read_copy(ctx.node, db, keys.at(0), &mut ctx.reply()).map(|()| Reply::Done);
    }
    // How many there are is known when they have been read.
    let (proto, mut copies, mut read) = (ctx.conn.proto, Vec::new(), 0);
    let mut w = Writer { out: &mut copies, proto };
    let mut asked = keys.iter();
    for (at, key) in keys.iter().enumerate() {
        if at % TOGETHER == 0 {
            let ids: Vec<_> = asked.by_ref().take(TOGETHER).map(|key| ctx.node.id(db, key)).collect();
            ctx.node.ask_ahead(&ids);
        }
        if w.out.len() > FETCH_BYTES || read_copy(ctx.node, db, key, &mut w).is_err() {
            break;
        }
        read += 1;
    }
    ctx.reply().array(read);
    ctx.out.extend_from_slice(&copies);
    Ok(Reply::Done)
}

/// Writes a key's copy, or nil where there is none.
fn read_copy(node: &Node, db: u8, key: &[u8], w: &mut Writer<'_>) -> Result<(), Stop> {
    let id = node.id(db, key);
    let mut value = Vec::new();
    for _ in 0..64 {
        match node.cache.section().get(&id, key, node.now_ms(), false, &mut value, |_, _| ()) {
            Lookup::Hit(meta) => {
                let age_ms = node.now_ms().saturating_sub(meta.created_ms);
                let pttl = node.pttl(meta.deadline_ms);
                w.array(7);
                w.uint(meta.version);
                w.int(pttl);
                w.uint(u64::from(meta.kind));
                w.uint(age_ms);
                w.uint(meta.idle_ms);
                w.uint(relief::copy_of(&meta.at));
                w.bulk(&value);
                return Ok(());
            }
            Lookup::Miss { .. } => {
                w.null();
                return Ok(());
            }
            Lookup::Contended => {}
        }
    }
    // Never nil when nothing is known.
    Err(Refusal::new(Code::TryAgain, "the key is being changed; ask again").into())
}

fn tomb(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if ctx.node.sibling().is_some() {
        return pass(ctx, "GS.TOMB", wire::number(args, 1)?, args.skip(2));
    }
    let mut orders = Vec::new();
    for item in wire::items(args, 1, wire::TOMB_WORDS)? {
        orders.push(wire::parse_order(item)?);
    }
    let mut killed = Vec::with_capacity(orders.len());
    for some in orders.chunks(TOGETHER) {
        let ids: Vec<_> = some.iter().map(|(_, db, key)| ctx.node.id(*db, key)).collect();
        ctx.node.ask_ahead(&ids);
        killed.extend(some.iter().map(|(mode, db, key)| relief::obey(ctx.node, *mode, *db, key) as i64));
    }
    ints(ctx, &killed)
}

fn flush(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if ctx.node.sibling().is_some() {
        return pass(ctx, "GS.FLUSH", wire::number(args, 1)?, args.skip(2));
    }
    let db = if args.is(1, "*") { None } else { Some(wire::database(args, 1)?) };
    relief::flush(ctx.node, db, wire::number(args, 2)?);
    ctx.ok()
}

/// A bucket by chance.
fn anywhere_in(node: &Node) -> u64 {
    let buckets = node.cache.section().geometry().buckets.max(1);
    RandomState::default().hash_one((node.clock.unix_ms(), node.metrics.bytes_in.get())) % buckets
}

fn keys(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if ctx.node.sibling().is_some() {
        return pass(ctx, "GS.KEYS", wire::number(args, 1)?, args.skip(2));
    }
    let anywhere = args.is(1, iterate::ANYWHERE);
    let cursor = if anywhere { anywhere_in(ctx.node) } else { wire::number(args, 1)? };
    let count = wire::number(args, 2)?.clamp(1, 4_096) as usize;
    let wanted = if args.is(3, "*") { None } else { Some(wire::database(args, 3)?) };
    let mut found: Vec<(u8, Vec<u8>, u64, u64, i64, u8)> = Vec::new();
    let (mut next, mut wrapped) = (Some(cursor), false);
    // Empty stretches are passed here, up to a bound, rather than by a call each.
    for _ in 0..2_048 {
        let Some(from) = next.filter(|_| found.len() < count) else {
            break;
        };
        let buckets = (count / 4 + 1) as u32;
        next = ctx.node.cache.section().scan_buckets(from, buckets, ctx.node.now_ms(), &mut |meta, key| {
            if wanted.is_none_or(|db| db == meta.db) {
                let pttl = ctx.node.pttl(meta.deadline_ms);
                found.push((meta.db, key.to_vec(), meta.version, relief::copy_of(&meta.at), pttl, meta.kind));
            }
        });
        // Who asks for any key is not at the end where the buckets are.
        if anywhere && next.is_none() && !wrapped {
            (next, wrapped) = (Some(0), true);
        }
    }
    let mut w = ctx.reply();
    w.array(2);
    w.bulk_uint(next.unwrap_or(0));
    w.array(found.len() * wire::KEYS_WORDS);
    for (db, key, version, copy, pttl, kind) in &found {
        w.uint(u64::from(*db));
        w.bulk(key);
        w.uint(*version);
        w.uint(*copy);
        w.int(*pttl);
        w.uint(u64::from(*kind));
    }
    Ok(Reply::Done)
}
