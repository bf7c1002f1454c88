//! Hashes: reading fields.

pub mod newer;
pub mod number;
pub mod walk;
pub mod write;

use crate::commands::collection::look;
use crate::commands::{Command, Ctx, Outcome};
use crate::core::kinds::hash::Hash;
use gs_client::kinds::KIND_HASH;
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "hexists",
            parent: None,
            since: "2.0.0",
            group: Group::Hash,
            arity: Arity(3),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::string("field")],
            complexity: "O(1)",
            summary: "Determine if a hash field exists",
            acl: Acl::READ.or(Acl::HASH).or(Acl::FAST),
            reply_doc: "1 if the field is there, else 0",
        },
        run: hexists,
    },
    Command {
        spec: Spec {
            name: "hget",
            parent: None,
            since: "2.0.0",
            group: Group::Hash,
            arity: Arity(3),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::string("field")],
            complexity: "O(1)",
            summary: "Get the value of a hash field",
            acl: Acl::READ.or(Acl::HASH).or(Acl::FAST),
            reply_doc: "the value, or nil",
        },
        run: hget,
    },
    Command {
        spec: Spec {
            name: "hgetall",
            parent: None,
            since: "2.0.0",
            group: Group::Hash,
            arity: Arity(2),
            flags: Flags::READONLY,
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key")],
            complexity: "O(N) where N is the size of the hash.",
            summary: "Get all the fields and values in a hash",
            acl: Acl::READ.or(Acl::HASH).or(Acl::SLOW),
            reply_doc: "a map of fields and values",
        },
        run: hgetall,
    },
    Command {
        spec: Spec {
            name: "hkeys",
            parent: None,
            since: "2.0.0",
            group: Group::Hash,
            arity: Arity(2),
            flags: Flags::READONLY,
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key")],
            complexity: "O(N) where N is the size of the hash.",
            summary: "Get all the fields in a hash",
            acl: Acl::READ.or(Acl::HASH).or(Acl::SLOW),
            reply_doc: "the fields",
        },
        run: hkeys,
    },
    Command {
        spec: Spec {
            name: "hlen",
            parent: None,
            since: "2.0.0",
            group: Group::Hash,
            arity: Arity(2),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key")],
            complexity: "O(1)",
            summary: "Get the number of fields in a hash",
            acl: Acl::READ.or(Acl::HASH).or(Acl::FAST),
            reply_doc: "how many fields there are",
        },
        run: hlen,
    },
    Command {
        spec: Spec {
            name: "hmget",
            parent: None,
            since: "2.0.0",
            group: Group::Hash,
            arity: Arity(-3),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::string("field").multiple()],
            complexity: "O(N) where N is the number of fields being requested.",
            summary: "Get the values of all the given hash fields",
            acl: Acl::READ.or(Acl::HASH).or(Acl::FAST),
            reply_doc: "the values in order, nil where there is none",
        },
        run: hmget,
    },
    Command {
        spec: Spec {
            name: "hstrlen",
            parent: None,
            since: "3.2.0",
            group: Group::Hash,
            arity: Arity(3),
            flags: Flags::READONLY.or(Flags::FAST),
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::string("field")],
            complexity: "O(1)",
            summary: "Get the length of the value of a hash field",
            acl: Acl::READ.or(Acl::HASH).or(Acl::FAST),
            reply_doc: "the length in bytes, 0 without the field",
        },
        run: hstrlen,
    },
    Command {
        spec: Spec {
            name: "hvals",
            parent: None,
            since: "2.0.0",
            group: Group::Hash,
            arity: Arity(2),
            flags: Flags::READONLY,
            roles: Roles::EVERY,
            keys: Keys::ONE,
            args: &[Arg::key("key")],
            complexity: "O(N) where N is the size of the hash.",
            summary: "Get all the values in a hash",
            acl: Acl::READ.or(Acl::HASH).or(Acl::SLOW),
            reply_doc: "the values",
        },
        run: hvals,
    },
];

fn hget(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    look(ctx, args.at(1), KIND_HASH, |ctx, record| {
        match Hash::look_up(record, args.at(2))? {
            Some(value) => ctx.reply().bulk(value),
            None => ctx.reply().null(),
        }
        Ok(())
    })
}

fn hexists(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    look(ctx, args.at(1), KIND_HASH, |ctx, record| {
        let found = Hash::look_up(record, args.at(2))?.is_some();
        ctx.reply().int(i64::from(found));
        Ok(())
    })
}

fn hstrlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    look(ctx, args.at(1), KIND_HASH, |ctx, record| {
        let len = Hash::look_up(record, args.at(2))?.map_or(0, <[u8]>::len);
        ctx.reply().uint(len as u64);
        Ok(())
    })
}

fn hmget(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    look(ctx, args.at(1), KIND_HASH, |ctx, record| {
        let mut hash = Hash::parse(record)?;
        let fields = args.skip(2);
        hash.expect(fields.len());
        let mut reply = ctx.reply();
        reply.array(fields.len());
        for field in fields {
            match hash.get(field) {
                Some(value) => reply.bulk(value),
                None => reply.null(),
            }
        }
        Ok(())
    })
}

fn hlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    look(ctx, args.at(1), KIND_HASH, |ctx, record| {
        let len = Hash::parse(record)?.len();
        ctx.reply().uint(len as u64);
        Ok(())
    })
}

fn hgetall(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    look(ctx, args.at(1), KIND_HASH, |ctx, record| {
        let hash = Hash::parse(record)?;
        let mut reply = ctx.reply();
        reply.map(hash.len());
        for (field, value) in hash.iter() {
            reply.bulk(field);
            reply.bulk(value);
        }
        Ok(())
    })
}

fn hkeys(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    look(ctx, args.at(1), KIND_HASH, |ctx, record| {
        let hash = Hash::parse(record)?;
        let mut reply = ctx.reply();
        reply.array(hash.len());
        hash.iter().for_each(|(field, _)| reply.bulk(field));
        Ok(())
    })
}

fn hvals(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    look(ctx, args.at(1), KIND_HASH, |ctx, record| {
        let hash = Hash::parse(record)?;
        let mut reply = ctx.reply();
        reply.array(hash.len());
        hash.iter().for_each(|(_, value)| reply.bulk(value));
        Ok(())
    })
}
