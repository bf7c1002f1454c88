//! Running one command: look it up, check what is allowed, run it.

use crate::commands::meter::note_slow;
use crate::commands::{Command, Ctx, Outcome, Reply, Stop, table};
use crate::core::change::KeyEvent;
use crate::core::monitor;
use crate::core::node::NodeRole;
use gs_resp::{Args, Code, Flags, OwnedArgs, Refusal, Spec};

/// Finds the row of a command, its subcommand included.
pub fn find(args: Args<'_>) -> Result<&'static Command, Refusal> {
    let Some(row) = table::find(args.name()) else {
        return Err(Refusal::unknown_command(args.name(), args.skip(1)));
    };
    if !table::has_subcommands(row) {
        return Ok(row);
    }
    let Some(word) = args.get(1) else { return Ok(row) };
    table::find_sub(row, word).ok_or_else(|| Refusal::unknown_subcommand(row.spec.name.as_bytes(), word))
}

/// Runs one command, or queues it. On [`Stop`] nothing was changed and nothing was written.
pub fn execute(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    execute_row(ctx, None, args)
}

/// As [`execute`], where the row was found before.
pub fn execute_row(ctx: &mut Ctx<'_>, row: Option<&'static Command>, args: Args<'_>) -> Outcome {
    let row = match row.map_or_else(|| find(args), Ok) {
        Ok(row) if is_admitted(ctx, row, args) => row,
        Ok(row) => {
            let refusal = why_not(ctx, row, args);
            return refuse(ctx, args, refusal);
        }
        Err(refusal) => return refuse(ctx, args, refusal),
    };
    ctx.conn.row = 1 + table::index(row);
    if let Some(multi) = &mut ctx.conn.multi
        && !is_control(row)
    {
        if row.spec.flags.contains(Flags::NO_MULTI) {
            multi.spoil();
            return Err(Refusal::err("Command not allowed inside a transaction").into());
        }
        return queue(ctx, args);
    }
    let outcome = run(ctx, row, args);
    // Not for having tried: what is a link of the family is not held to what clients are.
    ctx.conn.is_peer |= row.spec.flags.contains(Flags::PEER) && outcome.is_ok();
    if ctx.node.changes.armed() {
        ctx.node.changes.tracking.done(ctx.conn.info.id);
    }
    outcome
}

/// Counts a command that does not run, and says why.
#[cold]
fn refuse(ctx: &mut Ctx<'_>, args: Args<'_>, refusal: Refusal) -> Outcome {
    if let Some(multi) = &mut ctx.conn.multi {
        multi.spoil();
    }
    ctx.node.metrics.refused_commands.add(1);
    ctx.node.metrics.erred(refusal.code);
    if let Ok(row) = find(args) {
        ctx.node.metrics.rejected(row);
    }
    if args.is(0, "exec") {
        // A refused EXEC ends the transaction, or the connection would go on queueing.
        ctx.conn.end_transaction(ctx.node);
        let code = Some(refusal.code).filter(|code| *code != Code::Err);
        let code = code.map_or(String::new(), |code| format!("{} ", code.prefix()));
        let text = format!("Transaction discarded because of: {code}{}", refusal.text);
        return Err(Refusal::new(Code::ExecAbort, text).into());
    }
    Err(refusal.into())
}

/// Runs a row that has been admitted, counts it, and takes its time.
pub fn run(ctx: &mut Ctx<'_>, row: &'static Command, args: Args<'_>) -> Outcome {
    if ctx.node.monitors.is_on() {
        monitor::tell(ctx.node, &ctx.conn.info, ctx.conn.db, row, args);
    }
    let alone = ctx.conn.meter.before(ctx.node, row);
    let mark = ctx.out.len();
    if ctx.conn.tracker.is_some() {
        note_reads(ctx, row, args);
    }
    let outcome = (row.run)(ctx, args);
    match &outcome {
        Ok(_) => {
            if ctx.node.changes.armed() {
                tell_misses(ctx, row, args);
            }
        }
        Err(Stop::Refuse(refusal)) => {
            ctx.out.truncate(mark);
            ctx.node.metrics.failed(row);
            ctx.node.metrics.erred(refusal.code);
        }
        Err(_) => {
            ctx.out.truncate(mark);
            // It will run again: what it took so far is nobody's.
            ctx.conn.meter.settle(ctx.node);
            return outcome;
        }
    }
    match alone {
        None => ctx.conn.meter.after_one_of_many(ctx.node, row),
        Some(began) => {
            let took_ns = ctx.conn.meter.after_alone(ctx.node, row, began);
            if ctx.node.live.is_slow(took_ns) {
                note_slow(ctx, row, args, took_ns);
            }
        }
    }
    outcome
}

/// Notes the keys that a caching client is about to read: before it does, so that no change is missed.
fn note_reads(ctx: &Ctx<'_>, row: &Command, args: Args<'_>) {
    let Some(tracker) = &ctx.conn.tracker else { return };
    let (options, caching) = (&tracker.options, ctx.conn.caching);
    let wanted = !(options.bcast || options.optin && !caching || options.optout && caching);
    if wanted && row.spec.flags.contains(Flags::READONLY) {
        let max = ctx.node.settings.tracked_keys_max;
        for key in row.spec.keys.places(args).filter_map(|place| args.get(place)) {
            ctx.node.changes.tracking.note(tracker.client, key, max);
        }
    }
}

/// Where it is listened for: a `keymiss` for each key that a reading command did not find.
#[cold]
fn tell_misses(ctx: &Ctx<'_>, row: &Command, args: Args<'_>) {
    let spec = &row.spec;
    let looks_quietly = matches!(spec.parent.unwrap_or(spec.name), "object" | "memory");
    let heard = ctx.node.changes.classes().contains(KeyEvent::KEY_MISS.class);
    if !heard || looks_quietly || !spec.flags.contains(Flags::READONLY) {
        return;
    }
    for key in spec.keys.places(args).filter_map(|place| args.get(place)) {
        if matches!(ctx.node.meta(&ctx.conn.scope, ctx.conn.db, key), Ok(None)) {
            ctx.node.happened(ctx.conn.db, key, KeyEvent::KEY_MISS);
        }
    }
}

/// True for a command that may change something for others: what CLIENT PAUSE WRITE holds.
pub fn may_write(row: &Command) -> bool {
    let spec = &row.spec;
    spec.flags.contains(Flags::WRITE)
        || matches!(spec.name, "publish" | "spublish" | "eval" | "evalsha" | "fcall" | "pfcount")
}

/// Commands that act on the transaction itself.
fn is_control(row: &Command) -> bool {
    // A subcommand of the same name, as SLOWLOG RESET, is a command like others.
    row.spec.parent.is_none()
        && matches!(row.spec.name, "multi" | "exec" | "discard" | "watch" | "reset" | "quit")
}

/// Whether a command may run for this connection on this node now; [`why_not`] says what stands against it.
#[inline]
fn is_admitted(ctx: &Ctx<'_>, row: &Command, args: Args<'_>) -> bool {
    let (spec, conn) = (&row.spec, &*ctx.conn);
    spec.arity.accepts(args.len())
        && (conn.authenticated || spec.flags.contains(Flags::NO_AUTH))
        && (!conn.only_peer || is_for_peers(spec))
        && spec.roles.contains(ctx.node.role.bit())
        && (!conn.only_listens() || listens(row))
}

fn is_for_peers(spec: &Spec) -> bool {
    spec.flags.intersects(Flags::PEER.or(Flags::NO_AUTH)) || spec.name == "ping"
}

#[cold]
fn why_not(ctx: &Ctx<'_>, row: &Command, args: Args<'_>) -> Refusal {
    let spec = &row.spec;
    if !spec.arity.accepts(args.len()) {
        return Refusal::wrong_arity(&row.spec.full_name());
    }
    if !ctx.conn.authenticated && !spec.flags.contains(Flags::NO_AUTH) {
        return Refusal::new(Code::NoAuth, "Authentication required.");
    }
    if ctx.conn.only_peer && !is_for_peers(spec) {
        let text =
            "this password is the one of the family's links and serves no clients; log in with requirepass";
        return Refusal::new(Code::NoPerm, text);
    }
    if !spec.roles.contains(ctx.node.role.bit()) {
        return wrong_role(ctx.node.role, row);
    }
    Refusal::in_subscription(&row.spec.full_name())
}

/// Commands a RESP2 connection may send while it listens.
fn listens(row: &Command) -> bool {
    matches!(
        row.spec.name,
        "subscribe"
            | "unsubscribe"
            | "psubscribe"
            | "punsubscribe"
            | "ssubscribe"
            | "sunsubscribe"
            | "ping"
            | "quit"
            | "reset"
    )
}

fn wrong_role(role: NodeRole, row: &Command) -> Refusal {
    let name = row.spec.full_name().to_uppercase();
    if row.spec.flags.contains(Flags::WRITE) {
        return Refusal::new(
            Code::ReadOnly,
            format!("this is a {} node: send {name} to its relay", role.word()),
        );
    }
    let roles = row.spec.roles.words().collect::<Vec<_>>().join(", ");
    Refusal::err(format!("{name} is not served by a {} node; it is by: {roles}", role.word()))
}

fn queue(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let max = ctx.node.settings.query_buffer_bytes;
    let Some(multi) = &mut ctx.conn.multi else {
        return ctx.ok();
    };
    if multi.broken {
        // As in Redis: it is answered, and not kept.
        ctx.reply().simple("QUEUED");
        return Ok(Reply::Done);
    }
    let owned = OwnedArgs::from(args);
    let bytes = multi.bytes + owned.memory_bytes();
    if bytes > max {
        multi.spoil();
        let text = format!(
            "the transaction holds more than {max} bytes of queued commands; send DISCARD and use smaller ones \
             (limits.query_buffer_bytes)"
        );
        return Err(Refusal::err(text).into());
    }
    multi.bytes = bytes;
    multi.queue.push(owned);
    ctx.reply().simple("QUEUED");
    Ok(Reply::Done)
}
