//! Keys under other names: RENAME, COPY, MOVE.

use crate::commands::keyspace::{destroy_as, forget};
use crate::commands::parse::integer;
use crate::commands::{Command, Ctx, Outcome, Stop};
use crate::core::change::KeyEvent;
use crate::core::keyspace::Write;
use crate::core::node::DATABASES;
use gs_client::cache::KeyId;
use gs_client::cache::Meta;
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec};

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "copy",
            parent: None,
            since: "6.2.0",
            group: Group::Generic,
            arity: Arity(-3),
            flags: Flags::WRITE.or(Flags::DENYOOM),
            roles: Roles::RELAY,
            keys: Keys::TWO,
            args: &[
                Arg::key("source"),
                Arg::key("destination"),
                Arg::integer("destination-db").token("DB").optional(),
                Arg::token_only("replace", "REPLACE").optional(),
            ],
            complexity: "O(N) worst case for collections, where N is the number of nested items. O(1) for string values.",
            summary: "Copy a key",
            acl: Acl::KEYSPACE.or(Acl::WRITE).or(Acl::SLOW),
            reply_doc: "1 if it was copied, else 0",
        },
        run: copy,
    },
    Command {
        spec: Spec {
            name: "move",
            parent: None,
            since: "1.0.0",
            group: Group::Generic,
            arity: Arity(3),
            flags: Flags::WRITE.or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::ONE,
            args: &[Arg::key("key"), Arg::integer("db")],
            complexity: "O(1)",
            summary: "Move a key to another database",
            acl: Acl::KEYSPACE.or(Acl::WRITE).or(Acl::FAST),
            reply_doc: "1 if it was moved, else 0",
        },
        run: move_key,
    },
    Command {
        spec: Spec {
            name: "rename",
            parent: None,
            since: "1.0.0",
            group: Group::Generic,
            arity: Arity(3),
            flags: Flags::WRITE,
            roles: Roles::RELAY,
            keys: Keys::TWO,
            args: &[Arg::key("key"), Arg::key("newkey")],
            complexity: "O(1)",
            summary: "Rename a key",
            acl: Acl::KEYSPACE.or(Acl::WRITE).or(Acl::SLOW),
            reply_doc: "`OK`",
        },
        run: rename,
    },
    Command {
        spec: Spec {
            name: "renamenx",
            parent: None,
            since: "1.0.0",
            group: Group::Generic,
            arity: Arity(3),
            flags: Flags::WRITE.or(Flags::FAST),
            roles: Roles::RELAY,
            keys: Keys::TWO,
            args: &[Arg::key("key"), Arg::key("newkey")],
            complexity: "O(1)",
            summary: "Rename a key, only if the new key does not exist",
            acl: Acl::KEYSPACE.or(Acl::WRITE).or(Acl::FAST),
            reply_doc: "1 if it was renamed, 0 if the new name exists",
        },
        run: renamenx,
    },
];

/// A key in a database.
#[derive(Clone, Copy)]
struct Place<'a> {
    db: u8,
    key: &'a [u8],
}

impl Place<'_> {
    fn id(self, ctx: &Ctx<'_>) -> KeyId {
        ctx.node.id(self.db, self.key)
    }
}

/// Reads the number of a database.
fn database(word: &[u8]) -> Result<u8, Refusal> {
    let n = integer(word)?;
    if i32::try_from(n).is_err() {
        return Err(Refusal::err("value is out of range, value must between -2147483648 and 2147483647"));
    }
    u8::try_from(n).ok().filter(|db| *db < DATABASES).ok_or_else(Refusal::db_out_of_range)
}

/// The key of a command that its row does not name, because it is in another database: a transaction has to hold it.
pub(in crate::commands) fn elsewhere<'a>(row: &Command, args: Args<'a>) -> Option<(u8, &'a [u8])> {
    let (word, key) = match row.spec.name {
        "move" => (args.get(2)?, args.get(1)?),
        "copy" => {
            ((3..args.len()).rev().find(|i| args.is(*i, "db")).and_then(|i| args.get(i + 1))?, args.get(2)?)
        }
        _ => return None,
    };
    Some((database(word).ok()?, key))
}

fn meta(ctx: &Ctx<'_>, at: Place<'_>) -> Result<Option<Meta>, Stop> {
    ctx.node.meta(&ctx.conn.scope, at.db, at.key)
}

/// What shall happen at the place where a key is brought to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    /// It is overwritten.
    Any,
    /// It must be free.
    Free,
}

/// What the two halves are called: what happens to the source, if it ends, and to the target.
type Events = (Option<&'static str>, &'static str);

/// Stores the record of one place at another, with its kind and deadline, as one step with the end of the
/// source, if it ends. None where there is no source, false where the target is not free.
fn bring(
    ctx: &mut Ctx<'_>,
    from: Place<'_>,
    to: Place<'_>,
    target: Target,
    (gone, come): Events,
) -> Result<Option<bool>, Stop> {
    let node = ctx.node;
    let ids = [from.id(ctx), to.id(ctx)];
    let _order = (!ctx.conn.scope.held).then(|| node.stripes.lock_many(&ids));
    let mut value = Vec::new();
    let Some(found) = node.read(&ctx.conn.scope, from.db, from.key, false, &mut value, |_, _| ())? else {
        return Ok(None);
    };
    if target == Target::Free && meta(ctx, to)?.is_some() {
        return Ok(Some(false));
    }
    // Written before the source goes: a write may have to wait for room, and then nothing has changed.
    let (kind, deadline_ms) = (found.kind, found.deadline_ms);
    let (event, by) = (KeyEvent::SILENT, ctx.conn.info.id);
    let replaces = target == Target::Any && meta(ctx, to)?.is_some();
    node.write(&Write {
        db: to.db,
        key: to.key,
        id: ids[1],
        value: &value,
        kind,
        deadline_ms,
        event,
        by,
        copies: None,
    })?;
    forget(ctx, to.db, to.key);
    if replaces {
        // For Redis the old one ends without a word, and another key comes to be.
        node.happened(to.db, to.key, KeyEvent::NEW);
    }
    if let Some(gone) = gone {
        destroy_as(ctx, from.key, "renamed", KeyEvent::SILENT)?;
        node.happened(from.db, from.key, KeyEvent::generic(gone));
    }
    node.happened(to.db, to.key, KeyEvent::generic(come));
    Ok(Some(true))
}

/// What RENAME is called.
const RENAMED: Events = (Some("rename_from"), "rename_to");

fn rename(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let db = ctx.conn.db;
    let (from, to) = (Place { db, key: args.at(1) }, Place { db, key: args.at(2) });
    if from.key == to.key {
        return match meta(ctx, from)? {
            Some(_) => ctx.ok(),
            None => Err(Refusal::no_such_key().into()),
        };
    }
    match bring(ctx, from, to, Target::Any, RENAMED)? {
        Some(_) => ctx.ok(),
        None => Err(Refusal::no_such_key().into()),
    }
}

fn renamenx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let db = ctx.conn.db;
    let (from, to) = (Place { db, key: args.at(1) }, Place { db, key: args.at(2) });
    if from.key == to.key {
        return match meta(ctx, from)? {
            Some(_) => ctx.int(0),
            None => Err(Refusal::no_such_key().into()),
        };
    }
    ctx.node.require(&ctx.conn.scope, db, [from.key, to.key].into_iter())?;
    match bring(ctx, from, to, Target::Free, RENAMED)? {
        Some(done) => ctx.int(i64::from(done)),
        None => Err(Refusal::no_such_key().into()),
    }
}

fn move_key(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let from = Place { db: ctx.conn.db, key: args.at(1) };
    let to = Place { db: database(args.at(2))?, key: args.at(1) };
    if from.db == to.db {
        return Err(Refusal::err("source and destination objects are the same").into());
    }
    let moved = bring(ctx, from, to, Target::Free, (Some("move_from"), "move_to"))?;
    ctx.int(i64::from(moved == Some(true)))
}

fn copy(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (mut db, mut target, mut i) = (ctx.conn.db, Target::Free, 3);
    while i < args.len() {
        if args.is(i, "replace") {
            target = Target::Any;
        } else if args.is(i, "db") && i + 1 < args.len() {
            i += 1;
            db = database(args.at(i))?;
        } else {
            return Err(Refusal::syntax().into());
        }
        i += 1;
    }
    let (from, to) = (Place { db: ctx.conn.db, key: args.at(1) }, Place { db, key: args.at(2) });
    if from.db == to.db && from.key == to.key {
        return Err(Refusal::err("source and destination objects are the same").into());
    }
    let copied = bring(ctx, from, to, target, (None, "copy_to"))?;
    ctx.node.metrics.sought(copied.is_some());
    ctx.int(i64::from(copied == Some(true)))
}
