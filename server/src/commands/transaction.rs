//! MULTI, EXEC and DISCARD.
//!
//! EXEC brings up every key of the queue first, takes the stripes of all of them and of the watched keys (of
//! everything, where it flushes), looks again, and then runs the queue without yielding: nobody sees or makes a
//! change in between, and no key moves.

pub mod watch;

use crate::commands::conn::Multi;
use crate::commands::keyspace::rename::elsewhere;
use crate::commands::{Command, Ctx, Outcome, Reply, Stop, exec as run_one};
use gs_client::cache::KeyId;
use gs_resp::{
    AclCategories as Acl, Args, Arity, Code, Flags, Group, Keys, OwnedArgs, Refusal, Roles, Spec, parse_u64,
};
use parking_lot::MutexGuard;

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "discard",
            parent: None,
            since: "2.0.0",
            group: Group::Transactions,
            arity: Arity(1),
            flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST).or(Flags::ALLOW_BUSY),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(N), when N is the number of queued commands",
            summary: "Discard all commands issued after MULTI",
            acl: Acl::FAST.or(Acl::TRANSACTION),
            reply_doc: "`OK`",
        },
        run: discard,
    },
    Command {
        spec: Spec {
            name: "exec",
            parent: None,
            since: "1.2.0",
            group: Group::Transactions,
            arity: Arity(1),
            flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::SKIP_SLOWLOG),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "Depends on commands in the transaction",
            summary: "Execute all commands issued after MULTI",
            acl: Acl::SLOW.or(Acl::TRANSACTION),
            reply_doc: "the answers of the queued commands in order",
        },
        run: exec,
    },
    Command {
        spec: Spec {
            name: "multi",
            parent: None,
            since: "1.2.0",
            group: Group::Transactions,
            arity: Arity(1),
            flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST).or(Flags::ALLOW_BUSY),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Mark the start of a transaction block",
            acl: Acl::FAST.or(Acl::TRANSACTION),
            reply_doc: "`OK`",
        },
        run: multi,
    },
];

fn multi(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    if ctx.conn.multi.is_some() {
        return Err(Refusal::nested_multi().into());
    }
    ctx.conn.multi = Some(Multi::default());
    ctx.ok()
}

fn discard(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    if ctx.conn.multi.is_none() {
        return Err(Refusal::discard_without_multi().into());
    }
    ctx.conn.end_transaction(ctx.node);
    ctx.ok()
}

fn exec(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let Some(multi) = ctx.conn.multi.take() else {
        return Err(Refusal::exec_without_multi().into());
    };
    if multi.broken {
        ctx.conn.end_transaction(ctx.node);
        return Err(Refusal::exec_abort().into());
    }
    let outcome = run_all(ctx, &multi);
    ctx.conn.scope.held = false;
    if matches!(outcome, Err(Stop::Below(_) | Stop::Full)) {
        // Nothing ran: EXEC will be sent through again once what it needs is there, if nothing changed by then.
        ctx.conn.multi = Some(multi);
    } else {
        ctx.conn.end_transaction(ctx.node);
    }
    outcome
}

/// One command of the queue with what it is.
struct Step<'a> {
    row: &'static Command,
    args: Args<'a>,
    /// The database it will look at.
    db: u8,
}

impl<'a> Step<'a> {
    fn keys(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let args = self.args;
        self.row.spec.keys.places(args).filter_map(move |place| args.get(place))
    }

    /// The keys with their databases. MOVE and COPY may have one in another database.
    fn places(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        let db = self.db;
        self.keys().map(move |key| (db, key)).chain(elsewhere(self.row, self.args))
    }

    fn changes(&self) -> bool {
        self.row.spec.flags.contains(Flags::WRITE)
    }

    /// True for a change that stores something: what only destroys must pass through a full section.
    fn stores(&self) -> bool {
        let anew =
            ["expire", "expireat", "getex", "move", "persist", "pexpire", "pexpireat", "rename", "renamenx"];
        self.row.spec.flags.contains(Flags::DENYOOM) || anew.contains(&self.row.spec.name)
    }

    /// A flush changes everything, and whoever begins to cache must be seen by every writer.
    fn is_about_all(&self) -> bool {
        let spec = &self.row.spec;
        matches!((spec.parent, spec.name), (None, "flushall" | "flushdb") | (Some("client"), "tracking"))
    }
}

/// The queue as steps. A SELECT in it moves the database of those behind it.
fn steps(queue: &[OwnedArgs], mut db: u8) -> Result<Vec<Step<'_>>, Refusal> {
    let mut steps = Vec::with_capacity(queue.len());
    for owned in queue {
        let args = owned.as_args();
        let row = run_one::find(args)?;
        steps.push(Step { row, args, db });
        if row.spec.name == "select" {
            let word = args.get(1).and_then(parse_u64).and_then(|n| u8::try_from(n).ok());
            db = word.filter(|n| *n < crate::core::node::DATABASES).unwrap_or(db);
        }
    }
    Ok(steps)
}

fn run_all(ctx: &mut Ctx<'_>, multi: &Multi) -> Outcome {
    let node = ctx.node;
    let steps = steps(&multi.queue, ctx.conn.db)?;
    let dirty = |ctx: &Ctx<'_>| ctx.conn.watching.is_dirty(node.now_ms());
    // What is brought up for nothing would only push something else down.
    if !dirty(ctx) {
        require(ctx, &steps)?;
    }
    let order = hold(ctx, &steps);
    if dirty(ctx) {
        ctx.reply().null_array();
        return Ok(Reply::Done);
    }
    // Between the look and the locks a key may have moved down again.
    require(ctx, &steps)?;
    if !has_room(ctx, &steps) {
        return Err(Stop::Full);
    }

    let mark = ctx.out.len();
    ctx.reply().array(steps.len());
    let (mut changed, mut close) = (false, false);
    for step in &steps {
        let outcome = run_one::run(ctx, step.row, step.args);
        match outcome {
            Ok(Reply::Done) => {}
            Ok(Reply::Close) => close = true,
            Ok(Reply::Wait(_)) => {
                let name = step.row.spec.full_name().to_uppercase();
                let text = format!("{name} asks other nodes and cannot run inside a transaction");
                ctx.reply().error(&Refusal::err(text));
            }
            Err(Stop::Refuse(refusal)) => ctx.reply().error(&refusal),
            // Before the first change the whole transaction can still wait for room.
            Err(Stop::Full) if !changed => {
                ctx.out.truncate(mark);
                return Err(Stop::Full);
            }
            Err(Stop::Full) => {
                node.metrics.oom.add(1);
                ctx.reply().error(&Refusal::oom());
            }
            Err(Stop::Below(_)) => {
                let text = "the key moved to a relief while the transaction ran; send the command again";
                ctx.reply().error(&Refusal::new(Code::TryAgain, text));
            }
        }
        // What is not a mere read may have been seen by others already.
        changed |=
            step.changes() || step.row.spec.flags.contains(Flags::PUBSUB) || step.row.spec.name == "select";
    }
    drop(order);
    Ok(if close { Reply::Close } else { Reply::Done })
}

/// Blocks that a transaction leaves to the writers beside it.
const SPARE_BLOCKS: u64 = 64;

/// Whether all changes of a transaction should find room: one that runs out of it half way cannot be undone,
/// one that has not begun can wait. A single store needs no such care.
fn has_room(ctx: &Ctx<'_>, steps: &[Step<'_>]) -> bool {
    if steps.iter().filter(|step| step.stores()).count() < 2 {
        return true;
    }
    let (section, now_ms) = (ctx.node.cache.section(), ctx.node.now_ms());
    let blocks = |key_len, value_len| u64::from(section.geometry().record_blocks(key_len, value_len));
    // What a step brings along, and each of its keys as it is: APPEND and EXPIRE store the value anew.
    let old = |db, key: &[u8]| {
        let found = section.peek(&ctx.node.id(db, key), key, now_ms);
        found.map_or(0, |meta| blocks(key.len(), meta.value_len as usize))
    };
    let needed: u64 = steps
        .iter()
        .filter(|step| step.stores())
        .map(|step| {
            blocks(0, step.args.payload_bytes()) + step.keys().map(|key| old(step.db, key)).sum::<u64>()
        })
        .sum();
    section.free_blocks() >= needed + SPARE_BLOCKS
}

fn hold<'n>(ctx: &mut Ctx<'n>, steps: &[Step<'_>]) -> Vec<MutexGuard<'n, ()>> {
    let node = ctx.node;
    let order = if steps.iter().any(Step::is_about_all) {
        node.stripes.lock_all()
    } else {
        let queued = steps.iter().flat_map(Step::places).map(|(db, key)| node.id(db, key));
        let ids: Vec<KeyId> = queued.chain(ctx.conn.watching.ids()).collect();
        node.stripes.lock_many(&ids)
    };
    ctx.conn.scope.held = true;
    order
}

/// Stops with all keys that have to be brought up, in whichever database.
fn require(ctx: &Ctx<'_>, steps: &[Step<'_>]) -> Result<(), Stop> {
    let mut below = Vec::new();
    for step in steps {
        for (db, key) in step.places() {
            match ctx.node.meta(&ctx.conn.scope, db, key) {
                Err(Stop::Below(mut more)) => below.append(&mut more),
                other => drop(other?),
            }
        }
    }
    if below.is_empty() { Ok(()) } else { Err(Stop::Below(below)) }
}
