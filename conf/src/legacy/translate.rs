//! From the ancestors' fields to our keys.

use std::path::Path;

use serde_json::Value;

use super::Translated;
use super::fields::{Meaning, field_of};
use super::net::{child, dial_tls, endpoint, listen, listen_tls_of_relief};
use super::out::{Out, number, plain, text, truth};
use crate::load::is_path_name;
use crate::words::Role;

/// Tables that hold fields and are none themselves.
const GROUPS: &[&str] =
    &["cache", "lru", "message_relay", "my_messages", "relay", "tls", "eviction_schedule"];

/// What a record carries beside its value: the header, and room for the key.
const RECORD_EXTRA: u64 = 128;

pub(super) fn node(top: &Value, notes: Vec<String>, directory: Option<&Path>) -> Translated {
    let mut out = Out { pairs: Vec::new(), notes };
    let role = role(top, &mut out);
    out.set("role", role);
    let net = match role {
        Role::ReliefExpansion | Role::ReliefAging => top.get("message_relay").unwrap_or(top),
        _ => top,
    };
    let cache = cache(top);
    if role.is_relief() {
        let sibling = endpoint(net, 7880, &mut out);
        out.set("sibling", sibling);
        dial_tls(net, &mut out);
        listen_tls_of_relief(net, role, &mut out);
    } else {
        listen(net, &mut out);
    }
    section(cache, role.word(), &mut out);
    initializer(cache, role, &mut out);
    aging(top, cache, &mut out);
    paths(top, net, &mut out);
    if role == Role::Relay {
        child(top, directory, &mut out);
    }
    unheard(top, "", "", &mut out);
    Translated { pairs: out.pairs, notes: out.notes }
}

pub(super) fn client(top: &Value, notes: Vec<String>) -> Translated {
    let mut out = Out { pairs: Vec::new(), notes };
    let lru = top.get("lru").unwrap_or(top);
    let messages = top.get("my_messages").or_else(|| top.get("message_relay")).unwrap_or(top);
    let relays: Vec<&Value> = match messages {
        Value::Array(several) => several.iter().collect(),
        one => vec![one],
    };
    let addresses: Vec<String> = relays.iter().map(|relay| endpoint(relay, 7878, &mut out)).collect();
    if !addresses.is_empty() {
        out.set("relays", addresses.join(","));
    }
    for relay in relays.iter().take(1) {
        dial_tls(relay, &mut out);
        if let Some(path) =
            text(relay, "auth_path").or_else(|| text(lru, "auth_path")).and_then(|p| path_name(p, &mut out))
        {
            out.set("auth_path", path);
        }
    }
    let cache = cache(top);
    let manages =
        truth(lru.get("manage_section")).or_else(|| truth(cache.and_then(|c| c.get("am_initializer"))));
    if let Some(manages) = manages {
        out.set("manage_section", manages);
    }
    section(cache, "front", &mut out);
    unheard(top, "", "", &mut out);
    Translated { pairs: out.pairs, notes: out.notes }
}

/// What the process is: by the three fields, and for a relief by what it keeps.
fn role(top: &Value, out: &mut Out) -> Role {
    let says = |field: &str| truth(top.get(field)).unwrap_or(false);
    if says("edge_supported_relay") {
        return Role::Relay;
    }
    if says("half_edge") {
        return Role::Sibling;
    }
    let keeps = [Some(top), top.get("message_relay"), top.get("lru"), top.get("cache")]
        .into_iter()
        .flatten()
        .find_map(|part| text(part, "age_or_replica"));
    match keeps {
        Some("replicating") => Role::ReliefExpansion,
        Some("age-out") => Role::ReliefAging,
        Some(other) => {
            out.note(format!(
                "age_or_replica: {other:?} is neither \"replicating\" nor \"age-out\"; role relief-aging it is"
            ));
            Role::ReliefAging
        }
        None => {
            out.note(
                "age_or_replica: not given; role relief-aging it is, the tier that every family needs \
                 (\"replicating\" makes it relief-expansion)",
            );
            Role::ReliefAging
        }
    }
}

/// The first table of cache fields: at the top, below `lru`, or below a path.
fn cache(top: &Value) -> Option<&Value> {
    let below_path = || {
        let paths = top.get("path_types")?.as_object()?;
        paths.values().find_map(|path| path.get("cache"))
    };
    top.get("cache").or_else(|| top.get("lru").and_then(|lru| lru.get("cache"))).or_else(below_path)
}

/// Where the section is, and how large.
fn section(cache: Option<&Value>, plain_name: &str, out: &mut Out) {
    let Some(cache) = cache else { return };
    let token = text(cache, "token_path").map(Path::new);
    let stem = token.and_then(|path| path.file_stem()).map(|stem| stem.to_string_lossy().into_owned());
    let seed = cache.get("seed").filter(|seed| !seed.is_null()).map(plain);
    if stem.is_some() || seed.is_some() {
        let base = stem.unwrap_or_else(|| plain_name.to_owned());
        let whole = seed.map_or_else(|| base.clone(), |seed| format!("{base}-{seed}"));
        out.set("section.name", file_name(&whole));
    }
    if let Some(parent) = token.and_then(Path::parent) {
        // The ancestors' section was found by a file; ours keeps files of its own, so it gets a directory beside it.
        out.set("dir", parent.join("gs-data").to_string_lossy());
    }
    let record = number(cache, "record_size");
    let block = record.map(|bytes| bytes.saturating_add(RECORD_EXTRA).next_multiple_of(8).clamp(128, 4096));
    if let Some(block) = block {
        out.set("section.block_bytes", block);
    }
    if let Some(count) = number(cache, "el_count") {
        // A quarter more for index and touch bytes, and the fences' fixed share.
        let record = record.map_or(256, |bytes| bytes.saturating_add(RECORD_EXTRA).max(block.unwrap_or(0)));
        let bytes = count.saturating_mul(record).saturating_mul(5) / 4;
        let bytes = bytes.saturating_add(2 << 20);
        out.set_within("el_count", "capacity", bytes, 4 << 20, 1 << 40);
    }
}

fn initializer(cache: Option<&Value>, role: Role, out: &mut Out) {
    match (truth(cache.and_then(|c| c.get("am_initializer"))), role) {
        (Some(true), Role::Sibling) => {
            out.note("am_initializer: a sibling attaches to its relay's section and never creates one");
        }
        (Some(false), Role::Relay) => {
            out.note("am_initializer: a relay creates its section, or finds the one that it had");
        }
        (Some(false), Role::ReliefExpansion | Role::ReliefAging) => {
            out.note("am_initializer: a relief creates its section, or finds the one that it had");
        }
        _ => {}
    }
}

fn aging(top: &Value, cache: Option<&Value>, out: &mut Out) {
    let schedule = top
        .get("lru")
        .and_then(|lru| lru.get("eviction_schedule"))
        .or_else(|| top.get("eviction_schedule"))
        .or_else(|| cache.and_then(|c| c.get("eviction_schedule")));
    let in_cache = |field: &str| cache.and_then(|c| number(c, field));
    let scheduled =
        |fields: [&str; 2]| schedule.and_then(|s| fields.iter().find_map(|field| number(s, field)));
    let year_ms = 365 * 86_400_000;
    if let Some(seconds) = in_cache("aged_out_secs") {
        out.set_within("aged_out_secs", "aging.aged_after_ms", seconds.saturating_mul(1000), 0, year_ms);
    } else if let Some(shift) = scheduled(["time_sfhit", "time_shift"]).filter(|shift| *shift > 0) {
        out.set_within("time_sfhit", "aging.aged_after_ms", shift, 0, year_ms);
    }
    if let Some(most) = in_cache("max_evictions") {
        out.set_within("max_evictions", "aging.batch", most, 1, 10_000);
    } else if let Some(most) = scheduled(["max_evicts", "max_evictions"]) {
        out.set_within("max_evicts", "aging.batch", most, 1, 10_000);
    }
    if let Some(interval) = scheduled(["intrerval", "interval"]) {
        out.set_within("intrerval", "aging.interval_ms", interval, 1, 60_000);
    }
}

/// The path of the sessions takes every key; other path types get a prefix of their name.
fn paths(top: &Value, net: &Value, out: &mut Out) {
    let main =
        [Some(net), Some(top), top.get("lru")].into_iter().flatten().find_map(|part| text(part, "auth_path"));
    let main = main.and_then(|name| path_name(name, out));
    if let Some(name) = &main {
        out.set(&format!("paths.{name}.prefix"), "");
    }
    let others = top.get("path_types").and_then(Value::as_object).into_iter().flat_map(|paths| paths.keys());
    for name in others {
        let Some(name) = path_name(name, out) else {
            continue;
        };
        if main.as_ref() != Some(&name) && main.is_some() {
            out.note(format!("path_types.{name}: takes the keys that begin with {name}:"));
            out.set(&format!("paths.{name}.prefix"), format!("{name}:"));
        }
    }
}

fn path_name(name: &str, out: &mut Out) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    if is_path_name(&lower) {
        return Some(lower);
    }
    out.note(format!(
        "{name:?} cannot name a path: use letters, digits, - and _; its keys belong to the default path"
    ));
    None
}

/// One line for every field that is there and means nothing here, and for every name that no ancestor knew.
fn unheard(value: &Value, path: &str, parent: &str, out: &mut Out) {
    if let Value::Array(items) = value {
        for item in items {
            unheard(item, path, parent, out);
        }
    }
    let Some(fields) = value.as_object() else { return };
    for (name, below) in fields {
        let here = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        // Below path_types the names are the user's.
        if parent == "path_types"
            || (GROUPS.contains(&name.as_str()) && (below.is_object() || below.is_array()))
        {
            unheard(below, &here, name, out);
            continue;
        }
        match field_of(name, parent).map(|field| field.meaning) {
            Some(Meaning::Honoured(_)) if name == "path_types" => unheard(below, &here, name, out),
            Some(Meaning::Honoured(_)) => {}
            Some(Meaning::NoMeaning(reason)) => out.note(format!("{here}: no meaning here: {reason}")),
            None => out.note(format!("{here}: not a field of the ancestors, ignored")),
        }
    }
}

/// A text made fit for a file name.
fn file_name(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' })
        .take(48)
        .collect()
}
