//! Hash commands of Redis 8. A hash has one deadline, its key's: a deadline for a single field is refused, because a
//! field that outlives what it was promised to is worse than an error.

use crate::commands::collection::{change, look};
use crate::commands::hash::write::keep;
use crate::commands::parse::integer;
use crate::commands::{Command, Ctx, Outcome, Reply};
use crate::core::change::KeyEvent;
use crate::core::kinds::hash::Hash;
use gs_client::kinds::KIND_HASH;
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec, Writer};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "hgetdel",
            parent: None,
            since: "8.0.0",
            group: Group::Hash,
            arity: Arity(-5),
            flags: Flags::WRITE.or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[
                Arg::key("key"),
                Arg::block(
                    "fields",
                    &[Arg::integer("numfields").token("FIELDS"), Arg::string("field").multiple()],
                ),
            ],
            complexity: "O(N) where N is the number of specified fields",
            summary: "Get the values of fields and delete them from the hash",
            acl: Acl::WRITE.or(Acl::HASH).or(Acl::FAST),
            reply_doc: "the values in order, nil where there was none",
        },
        run: hgetdel,
    },
    Command {
        spec: Spec {
            name: "hgetex",
            parent: None,
            since: "8.0.0",
            group: Group::Hash,
            arity: Arity(-5),
            flags: Flags::WRITE.or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[
                Arg::key("key"),
                Arg::oneof(
                    "expiration",
                    &[
                        Arg::integer("seconds").token("EX"),
                        Arg::integer("milliseconds").token("PX"),
                        Arg::unix_time("unix-time-seconds").token("EXAT"),
                        Arg::unix_time("unix-time-milliseconds").token("PXAT"),
                        Arg::token_only("persist", "PERSIST"),
                    ],
                )
                .optional(),
                Arg::block(
                    "fields",
                    &[Arg::integer("numfields").token("FIELDS"), Arg::string("field").multiple()],
                ),
            ],
            complexity: "O(N) where N is the number of specified fields",
            summary: "Get the values of fields. Fields have no deadlines of their own here: EX, PX, EXAT and PXAT are refused.",
            acl: Acl::WRITE.or(Acl::HASH).or(Acl::FAST),
            reply_doc: "the values in order, nil where there is none",
        },
        run: hgetex,
    },
    Command {
        spec: Spec {
            name: "hsetex",
            parent: None,
            since: "8.0.0",
            group: Group::Hash,
            arity: Arity(-6),
            flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[
                Arg::key("key"),
                Arg::oneof("condition", &[Arg::token_only("fnx", "FNX"), Arg::token_only("fxx", "FXX")])
                    .optional(),
                Arg::oneof(
                    "expiration",
                    &[
                        Arg::integer("seconds").token("EX"),
                        Arg::integer("milliseconds").token("PX"),
                        Arg::unix_time("unix-time-seconds").token("EXAT"),
                        Arg::unix_time("unix-time-milliseconds").token("PXAT"),
                        Arg::token_only("keepttl", "KEEPTTL"),
                    ],
                )
                .optional(),
                Arg::block(
                    "fields",
                    &[
                        Arg::integer("numfields").token("FIELDS"),
                        Arg::block("data", &[Arg::string("field"), Arg::string("value")]).multiple(),
                    ],
                ),
            ],
            complexity: "O(N) where N is the number of fields being set",
            summary: "Set the values of fields, all or none. Fields have no deadlines of their own here: EX, PX, EXAT and PXAT are refused.",
            acl: Acl::WRITE.or(Acl::HASH).or(Acl::FAST),
            reply_doc: "1 if all were set, 0 if none was",
        },
        run: hsetex,
    },
];

/// Names of deadlines for single fields.
const DEADLINES: [&str; 4] = ["ex", "px", "exat", "pxat"];

fn no_deadlines(command: &str) -> Refusal {
    Refusal::err(format!(
        "{command} with EX, PX, EXAT or PXAT: the fields of a hash have no deadlines of their own here; use EXPIRE on the key"
    ))
}

/// The words behind `FIELDS n`, `each` of them for one field.
fn counted<'a>(args: Args<'a>, at: usize, each: usize) -> Result<Args<'a>, Refusal> {
    if !args.is(at, "fields") {
        return Err(Refusal::err("Mandatory argument FIELDS is missing or not at the right position"));
    }
    let word = args.get(at + 1).ok_or_else(Refusal::syntax)?;
    let count = integer(word).ok().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let count = count.ok_or_else(|| Refusal::err("Number of fields must be a positive integer"))?;
    let words = args.skip(at + 2);
    if count.checked_mul(each) != Some(words.len()) {
        return Err(Refusal::err("The `numfields` parameter must match the number of arguments"));
    }
    Ok(words)
}

fn values(mut reply: Writer<'_>, hash: &Hash<'_>, fields: Args<'_>) {
    reply.array(fields.len());
    for field in fields {
        match hash.get(field) {
            Some(value) => reply.bulk(value),
            None => reply.null(),
        }
    }
}

fn hgetdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = args.at(1);
    change(ctx, key, KIND_HASH, |ctx, record, found| {
        let fields = counted(args, 2, 1)?;
        let mut hash = Hash::parse(record)?;
        hash.expect(fields.len());
        values(ctx.reply(), &hash, fields);
        let before = hash.len();
        for field in fields {
            hash.remove(field);
        }
        if hash.len() < before { keep(ctx, key, &hash, found, KeyEvent::hash("hdel")) } else { Ok(()) }
    })?;
    Ok(Reply::Done)
}

fn hgetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if DEADLINES.iter().any(|word| args.is(2, word)) {
        return Err(no_deadlines("HGETEX").into());
    }
    // PERSIST is what every field does.
    let at = if args.is(2, "persist") { 3 } else { 2 };
    look(ctx, args.at(1), KIND_HASH, |ctx, record| {
        let fields = counted(args, at, 1)?;
        let mut hash = Hash::parse(record)?;
        hash.expect(fields.len());
        values(ctx.reply(), &hash, fields);
        Ok(())
    })
}

fn hsetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (mut at, mut absent, mut present) = (2, false, false);
    while at < args.len() && !args.is(at, "fields") {
        match args.at(at).to_ascii_lowercase().as_slice() {
            b"fnx" if !present => absent = true,
            b"fxx" if !absent => present = true,
            b"keepttl" => {}
            word if DEADLINES.iter().any(|known| known.as_bytes() == word) => {
                return Err(no_deadlines("HSETEX").into());
            }
            _ => return Err(Refusal::syntax().into()),
        }
        at += 1;
    }
    let pairs = counted(args, at, 2)?;
    let key = args.at(1);
    let done = change(ctx, key, KIND_HASH, |ctx, record, found| {
        let mut hash = Hash::parse(record)?;
        hash.expect(pairs.len() / 2);
        let mut fields = pairs.iter().step_by(2);
        if absent && fields.clone().any(|field| hash.get(field).is_some())
            || present && !fields.all(|field| hash.get(field).is_some())
        {
            return Ok(false);
        }
        for i in (0..pairs.len()).step_by(2) {
            hash.set(pairs.at(i), pairs.at(i + 1));
        }
        keep(ctx, key, &hash, found, KeyEvent::hash("hset"))?;
        Ok(true)
    })?;
    ctx.int(i64::from(done))
}
