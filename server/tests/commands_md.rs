//! COMMANDS.md is made from the command table: `UPDATE=1 cargo test -p gs-server --test commands_md` writes it,
//! without `UPDATE` the test fails where it is out of date.

use gs_resp::{Flags, Group, Roles};
use gs_server::commands::{Command, table};
use std::fmt::Write;
use std::path::PathBuf;

/// The groups in the order of the document, with what stands above each.
const GROUPS: &[(Group, &str, &str)] = &[
    (Group::Gs, "Sessions, tiers and shards", "What only gs has."),
    (Group::String, "Strings", "As in Redis 7."),
    (
        Group::Hash,
        "Hashes",
        "As in Redis 7. A hash is kept in one record of at most `section.value_bytes_max` bytes and is read and \
         written whole; its fields have no deadlines of their own.",
    ),
    (Group::Set, "Sets", "As in Redis 7. A set is kept in one record, as a hash is."),
    (Group::SortedSet, "Sorted sets", "As in Redis 7. A sorted set is kept in one record, as a hash is."),
    (Group::Generic, "Keys", "As in Redis 7; on a relay they speak for the whole family."),
    (Group::Connection, "The connection", "As in Redis 7."),
    (
        Group::Transactions,
        "Transactions",
        "As in Redis 7. That a key moves between tiers is no change to WATCH.",
    ),
    (
        Group::Scripting,
        "Scripts",
        "The scripts of session and lock libraries, without a Lua: see README, Scripts.",
    ),
    (Group::PubSub, "Channels", "As in Redis 7. The topics of a session path are channels `<path>/...`."),
    (Group::Server, "The node", "As in Redis 7, over what gs has."),
    (Group::Cluster, "Cluster", "Clients that look for a Redis Cluster are told that there is none."),
];

#[test]
fn commands_md_is_what_the_table_says() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../COMMANDS.md");
    let wanted = document();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &wanted).expect("COMMANDS.md can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "COMMANDS.md is out of date; write it with: UPDATE=1 cargo test -p gs-server --test commands_md"
    );
}

/// A group that the document forgets would hide its commands.
#[test]
fn every_command_is_in_the_document() {
    let text = document();
    for row in table::all() {
        let title = row.spec.full_name().to_uppercase().replace('|', " ");
        assert!(text.contains(&format!("`{title}")), "{title} is missing");
    }
}

fn document() -> String {
    let mut text = String::from(
        "# Commands\n\n\
         Made from the command table by `UPDATE=1 cargo test -p gs-server --test commands_md`; do not edit.\n\n\
         Words in capitals are literal, the others stand for values; `[ ]` may be left out, `|` separates \
         alternatives, `...` repeats. *Nodes* says who serves the command: every node where nothing is said. \
         A write that is sent to a relief or a sibling answers `-READONLY`. The same is told by `COMMAND DOCS` \
         and by the hints of `redis-cli`.\n",
    );
    for (group, title, about) in GROUPS {
        let rows = sorted(|row| row.spec.group == *group && !is_peer(row));
        if !rows.is_empty() {
            let _ = write!(text, "\n## {title}\n\n{about}\n");
            rows.iter().for_each(|row| entry(&mut text, row));
        }
    }
    text.push_str(
        "\n## Between nodes\n\nSpoken on the links of a family; not for clients, not in `COMMAND`.\n",
    );
    sorted(is_peer).iter().for_each(|row| entry(&mut text, row));
    text
}

fn is_peer(row: &Command) -> bool {
    row.spec.flags.contains(Flags::PEER)
}

/// Rows by name; containers are left out, as their subcommands stand for them.
fn sorted(wanted: impl Fn(&Command) -> bool) -> Vec<&'static Command> {
    let mut rows: Vec<_> = table::all().filter(|row| wanted(row)).collect();
    rows.sort_by_key(|row| row.spec.full_name());
    rows
}

fn entry(text: &mut String, row: &Command) {
    let spec = &row.spec;
    let mut line = spec.full_name().to_uppercase().replace('|', " ");
    if table::all().any(|sub| sub.spec.parent == Some(spec.name))
        && spec.parent.is_none()
        && spec.args.is_empty()
    {
        line.push_str(" <subcommand>");
    }
    for arg in spec.args {
        line.push(' ');
        arg.describe(&mut line);
    }
    let sentence = |words: &str| {
        let words = words.trim().trim_end_matches('.');
        let mut letters = words.chars();
        let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
        format!("{first}{}.", letters.as_str())
    };
    let _ = write!(text, "\n### `{line}`\n\n{}", sentence(spec.summary));
    if !spec.reply_doc.is_empty() {
        let _ = write!(text, " Answers {}.", in_a_sentence(spec.reply_doc.trim().trim_end_matches('.')));
    }
    let _ = write!(text, "\n\nSince {}", spec.since);
    if !spec.complexity.is_empty() {
        let _ = write!(text, " · {}", spec.complexity.trim_end_matches('.'));
    }
    if spec.roles != Roles::EVERY {
        let nodes: Vec<_> = spec.roles.words().collect();
        let _ = write!(text, " · Nodes: {}", nodes.join(", "));
    }
    text.push('\n');
}

/// A sentence's first word in the middle of another; `OK` stays as it is.
fn in_a_sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().unwrap_or_default();
    match letters.as_str().starts_with(|next: char| next.is_uppercase()) {
        true => words.to_owned(),
        false => format!("{}{}", first.to_lowercase(), letters.as_str()),
    }
}
