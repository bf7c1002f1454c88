//! LATENCY: spikes by kind of event, and how long commands take.
//!
//! Events are `command` and `fast-command` (one that ran long), `fetch` (a key was brought up from a relief), `room`
//! (a write waited for the demoter) and `journal` (a reply waited for the disk).

use crate::commands::introspect::container;
use crate::commands::{Command, Ctx, Outcome, Reply, table};
use crate::core::slow::Event;
use gs_resp::{AclCategories as Acl, Arg, Args, Arity, Flags, Group, Keys, Refusal, Roles, Spec};
use std::fmt::Write;

/// The rows of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        spec: Spec {
            name: "latency",
            parent: None,
            since: "2.8.13",
            group: Group::Server,
            arity: Arity(-2),
            flags: Flags::NONE,
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "Depends on subcommand.",
            summary: "A container for latency diagnostics commands",
            acl: Acl::SLOW,
            reply_doc: "what the subcommand answers",
        },
        run: container,
    },
    Command {
        spec: Spec {
            name: "doctor",
            parent: Some("latency"),
            since: "2.8.13",
            group: Group::Server,
            arity: Arity(2),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Return a human readable latency analysis report.",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "a report",
        },
        run: doctor,
    },
    Command {
        spec: Spec {
            name: "graph",
            parent: Some("latency"),
            since: "2.8.13",
            group: Group::Server,
            arity: Arity(3),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("event")],
            complexity: "O(1)",
            summary: "Return a latency graph for the event.",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "a graph in characters",
        },
        run: graph,
    },
    Command {
        spec: Spec {
            name: "histogram",
            parent: Some("latency"),
            since: "7.0.0",
            group: Group::Server,
            arity: Arity(-2),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("COMMAND").multiple().optional()],
            complexity: "O(N) where N is the number of commands with latency information being retrieved.",
            summary: "Return the cumulative distribution of latencies of a subset of commands or all.",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "a map by command",
        },
        run: histogram,
    },
    Command {
        spec: Spec {
            name: "history",
            parent: Some("latency"),
            since: "2.8.13",
            group: Group::Server,
            arity: Arity(3),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("event")],
            complexity: "O(1)",
            summary: "Return timestamp-latency samples for the event.",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "pairs of time and milliseconds",
        },
        run: history,
    },
    Command {
        spec: Spec {
            name: "latest",
            parent: Some("latency"),
            since: "2.8.13",
            group: Group::Server,
            arity: Arity(2),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[],
            complexity: "O(1)",
            summary: "Return the latest latency samples for all events.",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "name, time, milliseconds and the most ever of each event",
        },
        run: latest,
    },
    Command {
        spec: Spec {
            name: "reset",
            parent: Some("latency"),
            since: "2.8.13",
            group: Group::Server,
            arity: Arity(-2),
            flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
            roles: Roles::EVERY,
            keys: Keys::None,
            args: &[Arg::string("event").multiple().optional()],
            complexity: "O(1)",
            summary: "Reset latency data for one or more events.",
            acl: Acl::ADMIN.or(Acl::SLOW).or(Acl::DANGEROUS),
            reply_doc: "how many events were forgotten",
        },
        run: reset,
    },
];

fn latest(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let events = ctx.node.slow.events();
    let mut reply = ctx.reply();
    reply.array(events.len());
    for (name, event) in events {
        let last = event.samples.back();
        reply.array(4);
        reply.bulk_str(name);
        reply.uint(last.map_or(0, |sample| sample.unix_s));
        reply.uint(last.map_or(0, |sample| sample.ms));
        reply.uint(event.max_ms);
    }
    Ok(Reply::Done)
}

fn history(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let samples = ctx.node.slow.event(args.at(2)).map(|(_, event)| event.samples).unwrap_or_default();
    let mut reply = ctx.reply();
    reply.array(samples.len());
    for sample in samples {
        reply.array(2);
        reply.uint(sample.unix_s);
        reply.uint(sample.ms);
    }
    Ok(Reply::Done)
}

fn reset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let names = args.skip(2);
    let named = |event: &str| names.iter().any(|name| name.eq_ignore_ascii_case(event.as_bytes()));
    let forgotten = ctx.node.slow.forget(|event| names.is_empty() || named(event));
    ctx.int(forgotten as i64)
}

/// Rows of a graph.
const GRAPH_ROWS: u64 = 4;

fn graph(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let Some((name, event)) = ctx.node.slow.event(args.at(2)) else {
        let text = format!("No samples available for event '{}'", String::from_utf8_lossy(args.at(2)));
        return Err(Refusal::err(text).into());
    };
    let text = drawn(name, &event);
    ctx.reply().verbatim(*b"txt", text.as_bytes());
    Ok(Reply::Done)
}

/// One column for each of the newest samples, higher for longer.
fn drawn(name: &str, event: &Event) -> String {
    const COLUMNS: usize = 80;
    let newest: Vec<u64> = event.samples.iter().rev().take(COLUMNS).rev().map(|sample| sample.ms).collect();
    let (low, high) = (newest.iter().min().copied().unwrap_or(0), newest.iter().max().copied().unwrap_or(0));
    let mut text = format!("{name} - high {high} ms, low {low} ms (all time high {} ms)\n", event.max_ms);
    text.push_str(&"-".repeat(COLUMNS));
    text.push('\n');
    for level in (1..=GRAPH_ROWS).rev() {
        let reaches = |ms: &u64| (ms - low) * GRAPH_ROWS >= (high - low) * (level - 1);
        let line: String = newest.iter().map(|ms| if reaches(ms) { '#' } else { ' ' }).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn doctor(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let node = ctx.node;
    let events = node.slow.events();
    let mut text = String::new();
    if node.live.latency_ms() == 0 && events.is_empty() {
        text.push_str(
            "I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this Redis instance. You may use \
             \"CONFIG SET latency-monitor-threshold <milliseconds>.\" in order to enable it. If we weren't in a deep \
             space mission I'd suggest to take a look at https://redis.io/topics/latency-monitor.\n",
        );
    } else if events.is_empty() {
        text.push_str(
            "Dave, no latency spike was observed during the lifetime of this Redis instance, not in the slightest bit. \
             I honestly think you ought to sit down calmly, take a stress pill, and think things over.\n",
        );
    }
    for (name, event) in &events {
        let sum: u64 = event.samples.iter().map(|sample| sample.ms).sum();
        let average = sum / event.samples.len().max(1) as u64;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{name}: {} spikes, {average} ms on average, {} ms at most. {}",
            event.samples.len(),
            event.max_ms,
            advice(name)
        );
    }
    ctx.reply().verbatim(*b"txt", text.as_bytes());
    Ok(Reply::Done)
}

fn advice(event: &str) -> &'static str {
    match event {
        "fetch" => "Sessions are often asked for that live on a relief: give the relay a larger capacity.",
        "room" => "Writes wait until the demoter made room: raise aging.free_target_pct, or add a relief.",
        "journal" => {
            "The disk is slow to keep deletions: give dir a faster one, or say journal.mode = \"async\"."
        }
        "command" => "SLOWLOG GET tells which commands; KEYS and large pages of SCAN are the usual ones.",
        _ => "The machine held the process up: look for swapping, a busy processor, a noisy neighbour.",
    }
}

fn histogram(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let names = args.skip(2);
    let mut rows = Vec::new();
    if names.is_empty() {
        rows.extend(table::all());
    }
    for row in names.iter().filter_map(table::find_full) {
        rows.push(row);
        rows.extend(table::subcommands(row));
    }
    let seen = rows.into_iter().map(|row| (row, ctx.node.metrics.since_reset(row).1));
    let seen: Vec<_> = seen.filter(|(_, times)| times.calls() > 0).collect();
    let mut reply = ctx.reply();
    reply.map(seen.len());
    for (row, times) in seen {
        reply.bulk_str(&row.spec.full_name());
        reply.map(2);
        reply.bulk_str("calls");
        reply.uint(times.calls());
        reply.bulk_str("histogram_usec");
        let ends = times.cumulative();
        reply.map(ends.len());
        for (usec, calls) in ends {
            reply.uint(usec);
            reply.uint(calls);
        }
    }
    Ok(Reply::Done)
}
