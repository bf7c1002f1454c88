//! CLIENT LIST and CLIENT INFO: what an operator sees of connections, in Redis's words where it has the same.

use crate::commands::parse::integer_in;
use crate::commands::{Command, Ctx, Outcome, Reply, table};
use crate::core::change::tracking::Tracker;
use crate::core::clients::ClientInfo;
use crate::core::node::Node;
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec};
use std::fmt::Write;
use std::sync::atomic::Ordering;

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "info",
            parent: Some("client"),
            since: "6.2.0",
            group: Group::Connection,
            arity: Arity(2),
            flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Returns information about the current client connection.",
            acl: Acl::SLOW.or(Acl::CONNECTION),
            reply_doc: "one line about this connection",
        },
        run: info,
    },
    Command {
        spec: Spec {
            name: "list",
            parent: Some("client"),
            since: "2.4.0",
            group: Group::Connection,
            arity: Arity(-2),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[
                Arg::oneof(
                    "normal_master_replica_pubsub",
                    &[
                        Arg::token_only("normal", "NORMAL"),
                        Arg::token_only("master", "MASTER"),
                        Arg::token_only("replica", "REPLICA"),
                        Arg::token_only("pubsub", "PUBSUB"),
                    ],
                )
                .token("TYPE")
                .since("5.0.0")
                .optional(),
                Arg::block("id", &[Arg::integer("client-id").multiple()])
                    .token("ID")
                    .since("6.2.0")
                    .optional(),
            ],
            complexity: "O(N) where N is the number of client connections",
            summary: "Get the list of client connections",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS).or(Acl::CONNECTION),
            reply_doc: "one line for each connection",
        },
        run: list,
    },
];

fn info(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    ctx.publish();
    let line = describe(ctx.node, &ctx.conn.info, own_bytes(ctx, args));
    ctx.reply().verbatim(*b"txt", line.as_bytes());
    Ok(Reply::Done)
}

/// Bytes of the words of the running command; of other connections nobody knows what they run.
fn own_bytes(ctx: &Ctx<'_>, args: Args<'_>) -> (u64, usize) {
    (ctx.conn.info.id, args.payload_bytes())
}

/// Kinds of clients; gs has no replicas, and its peers are ordinary clients.
pub(super) fn is_of_kind(info: &ClientInfo, kind: &[u8]) -> Result<bool, Refusal> {
    let facts = info.facts.load();
    let listens = facts.sub + facts.psub + facts.ssub > 0;
    match kind.to_ascii_lowercase().as_slice() {
        b"normal" => Ok(!listens),
        b"pubsub" => Ok(listens),
        b"master" | b"replica" | b"slave" => Ok(false),
        _ => Err(Refusal::err(format!("Unknown client type '{}'", String::from_utf8_lossy(kind)))),
    }
}

fn list(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    ctx.publish();
    let mut clients = ctx.node.clients.list();
    if args.len() == 4 && args.is(2, "type") {
        let mut kept = Vec::new();
        for info in clients {
            if is_of_kind(&info, args.at(3))? {
                kept.push(info);
            }
        }
        clients = kept;
    } else if args.len() > 3 && args.is(2, "id") {
        let mut ids = Vec::new();
        for word in args.skip(3) {
            ids.push(integer_in(word, i64::MIN..=i64::MAX, "Invalid client ID")?);
        }
        clients.retain(|info| ids.contains(&(info.id as i64)));
    } else if args.len() != 2 {
        return Err(Refusal::syntax().into());
    }
    let own = own_bytes(ctx, args);
    let text: String = clients.iter().map(|info| describe(ctx.node, info, own)).collect();
    ctx.reply().verbatim(*b"txt", text.as_bytes());
    Ok(Reply::Done)
}

/// The letters of `flags=`.
fn flags(info: &ClientInfo, tracker: Option<&Tracker>, is_subscriber: bool, is_queueing: bool) -> String {
    let set = |flag: &std::sync::atomic::AtomicBool| flag.load(Ordering::Relaxed);
    let letters = [
        (set(&info.monitors), 'O'),
        (is_subscriber, 'P'),
        (is_queueing, 'x'),
        (set(&info.paused), 'b'),
        (tracker.is_some(), 't'),
        (tracker.is_some_and(Tracker::is_broken), 'R'),
        (tracker.is_some_and(Tracker::broadcasts), 'B'),
        (set(&info.kill), 'A'),
        (set(&info.no_evict), 'e'),
        (set(&info.no_touch), 'T'),
    ];
    let text: String = letters.iter().filter(|(set, _)| *set).map(|(_, letter)| letter).collect();
    if text.is_empty() { "N".to_owned() } else { text }
}

/// One line about a connection. Replies are kept in one buffer, so there is no list of them (`oll`, `omem`).
fn describe(node: &Node, info: &ClientInfo, own: (u64, usize)) -> String {
    let now_ms = node.now_ms();
    let seconds = |since: u64| now_ms.saturating_sub(since) / 1000;
    let facts = info.facts.load();
    let tracker = node.changes.tracking.of(info.id);
    let library = info.library.lock().clone();
    let (input, input_room) = (info.input.load(Ordering::Relaxed), info.input_room.load(Ordering::Relaxed));
    let argv = if own.0 == info.id { own.1 } else { 0 };
    let total = size_of::<ClientInfo>() + input + input_room + facts.out_room + facts.multi_mem + argv;
    let total = total + info.letterbox.queued();
    let command = facts.row.checked_sub(1).and_then(|row| table::COMMANDS.get(row));
    let mut line = String::with_capacity(320);
    // Writing to a String cannot fail.
    let _ = write!(
        line,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={}",
        info.id,
        info.addr,
        info.laddr,
        info.fd,
        info.name.lock(),
        seconds(info.since_ms),
        seconds(info.active_ms.load(Ordering::Relaxed)),
        flags(info, tracker.as_deref(), facts.sub + facts.psub + facts.ssub > 0, facts.multi > 0),
        facts.db,
        facts.sub,
        facts.psub,
        facts.ssub,
        facts.multi as i64 - 1,
    );
    let _ = write!(
        line,
        " qbuf={input} qbuf-free={input_room} argv-mem={argv} multi-mem={} rbs={} rbp={} obl={} oll=0 omem=0",
        facts.multi_mem, facts.out_room, facts.out, facts.out,
    );
    let _ = writeln!(
        line,
        " tot-mem={total} events={} cmd={} user=default redir={} resp={} lib-name={} lib-ver={} tls={}",
        if facts.out > 0 { "rw" } else { "r" },
        command.map_or_else(|| "NULL".to_owned(), |row| row.spec.full_name()),
        tracker.map_or(-1, |tracker| tracker.options.redirect as i64),
        facts.resp.max(2),
        library.0,
        library.1,
        u8::from(info.tls),
    );
    line
}
