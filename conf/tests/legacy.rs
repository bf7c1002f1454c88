//! The ancestors' files load unchanged, become the role they meant, and no field of theirs is passed over in silence.

use std::path::Path;

use gs_conf::legacy::{FIELDS, Meaning, load, load_client};
use gs_conf::{Checked, ClientAuth, Config, Inputs, PortChoice, Role, SiblingMode, check};

fn shipped(name: &str) -> (Config, Vec<String>) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("legacy").join(name);
    match check(&file).unwrap_or_else(|e| panic!("{name}:\n{e}")) {
        Checked::Node(loaded) => (loaded.config, loaded.notes),
        Checked::Client(_) => panic!("{name} was taken for a client's"),
    }
}

fn noted(notes: &[String], parts: &[&str]) -> bool {
    notes.iter().any(|note| parts.iter().all(|part| note.contains(part)))
}

#[test]
fn the_relay_of_the_readme_becomes_a_relay() {
    let (config, notes) = shipped("ml_relay.conf");
    assert_eq!((config.role, config.port, config.sibling_port), (Role::Relay, 7878, 7880));
    assert_eq!(config.sibling_mode, SiblingMode::Child);
    // "binding address" is the readme's placeholder.
    assert_eq!(config.bind, "127.0.0.1");
    assert!(noted(&notes, &["address", "binding address"]), "{notes:?}");
    assert!(noted(&notes, &["proc_name", "7880"]), "{notes:?}");
    assert_eq!((config.section_name(), config.dir.as_str()), ("ml_relay-9849381", "./gs-data"));
    assert_eq!(config.section.block_bytes, 384 + 128);
    assert!(config.capacity >= 20_000 * 512, "20,000 records of 384 bytes fit: {}", config.capacity);
    assert_eq!(config.default_path().name, "auths");
    // One port, and it spoke TLS.
    assert_eq!((config.tls.port, config.plain_port()), (PortChoice::At(7878), None));
    assert_eq!((config.tls.cert.as_str(), config.tls.key.as_str()), ("keys/ec_crt.crt", "keys/ec_key.pem"));
    assert_eq!(
        (config.tls.client_auth, config.tls.ca.as_str()),
        (ClientAuth::Optional, "keys/cl_ec_crt.crt")
    );
    assert!(config.link.tls && config.link.ca == "keys/ec_crt.crt" && config.link.cert.is_empty());
}

#[test]
fn its_sibling_attaches_to_the_same_section() {
    let (sibling, _) = shipped("sibling.conf");
    let (relay, _) = shipped("ml_relay.conf");
    assert_eq!((sibling.role, sibling.port, sibling.bind.as_str()), (Role::Sibling, 7880, "127.0.0.1"));
    assert_eq!((sibling.section_name(), &sibling.dir), (relay.section_name(), &relay.dir));
    assert_eq!((sibling.section.block_bytes, sibling.capacity), (relay.section.block_bytes, relay.capacity));
    assert_eq!(sibling.section.value_bytes_max, relay.section.value_bytes_max);
}

#[test]
fn reliefs_are_told_apart_by_what_they_keep() {
    let (expansion, _) = shipped("relief-replicating.conf");
    let (aging, notes) = shipped("relief-age-out.conf");
    let (either, default_notes) = shipped("relief.conf");
    assert_eq!((expansion.role, expansion.sibling.as_str()), (Role::ReliefExpansion, "localhost:7880"));
    assert_eq!((aging.role, aging.aging.aged_after_ms), (Role::ReliefAging, 60_000));
    assert_eq!(expansion.aging.aged_after_ms, 600_000);
    assert!(noted(&notes, &["sessions_length", "no meaning here"]), "{notes:?}");
    assert!(noted(&notes, &["evictions_timeout", "no meaning here"]), "{notes:?}");
    assert_eq!(either.role, Role::ReliefAging);
    assert!(noted(&default_notes, &["age_or_replica", "relief-aging"]), "{default_notes:?}");
    assert_eq!(either.section_name(), "relief-aging-9849381");
    // Two reliefs of one box must not share a port, and neither answers in the clear where keys are given.
    assert_ne!(expansion.port, aging.port);
    assert_eq!((expansion.plain_port(), aging.plain_port()), (None, None));
}

#[test]
fn a_client_of_the_readme_becomes_a_client() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("legacy/client.conf");
    let Checked::Client(loaded) = check(&file).expect("client.conf loads") else {
        panic!("taken for a node's")
    };
    assert_eq!(loaded.config.relays, ["localhost:7878"]);
    assert_eq!((loaded.config.auth_path.as_str(), loaded.config.manage_section), ("auths", true));
    assert_eq!(loaded.config.section.name, "front-9849381");
    assert!(loaded.config.link.tls && loaded.config.link.ca == "keys/ec_crt.crt");
    assert!(noted(&loaded.notes, &["true|false"]), "{:?}", loaded.notes);
    assert!(noted(&loaded.notes, &["text around"]), "{:?}", loaded.notes);

    let several = r#"{ lru: { manage_section: false, cache: { el_count: 5000, record_size: 200 } },
        my_messages: [ { address: "a", port: 1 }, { address: "b", port: 2, auth_path: "users" } ] }"#;
    let config = load_client(several).expect("several relays").config;
    assert_eq!((config.relays, config.manage_section), (vec!["a:1".to_owned(), "b:2".to_owned()], false));
    assert_eq!(config.section.block_bytes, 328);
}

#[test]
fn environment_and_flags_lie_above_an_ancestors_file_too() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("legacy/sibling.conf");
    let env = vec![("GSCACHE__PORT".to_owned(), "7000".to_owned())];
    let flags = vec![("bind".to_owned(), "::1".to_owned()), ("tls.port".to_owned(), "off".to_owned())];
    let config = gs_conf::load(&Inputs { file: Some(file), env, flags }).expect("good").config;
    assert_eq!((config.port, config.bind.as_str(), config.tls_port()), (7000, "::1", None));
}

#[test]
fn odd_formatting_is_read() {
    for text in [
        "{\"half_edge\" : true, \"port\":7880}",
        "// a comment {\n{ \"half_edge\":true, /* } */ \"port\" : 7880, }\n\n  and some text after it }",
        "conf = { half_edge: true,\n\n port : '7880' // } not the end\n };",
        "\u{feff}{ \"half_edge\" : \"true\", \"port\"\t:\t7880, \"x//y\": \"a { b // c\" }",
        "{ 'half_edge' : true|false, 'port' : 7880.0 }",
        "/**/{ half_edge: true /*/ still { a comment */, port: 7880 }",
    ] {
        let loaded = load(text).unwrap_or_else(|e| panic!("{text}\n{e}"));
        assert_eq!((loaded.config.role, loaded.config.port), (Role::Sibling, 7880), "{text}");
    }
    for text in ["", "// nothing", "{", "{ \"half_edge\" : }", "[1]", "{ \"a\": \"", &"{a:".repeat(10_000)] {
        load(text).expect_err(text);
    }
}

#[test]
fn nothing_is_refused_as_unknown_but_everything_is_mentioned() {
    let loaded = load(r#"{ "full_edge": true, "age_or_replica": "age-out", "my_own": 1, "message_relay": {"port": 1, "odd": 2} }"#)
        .expect("unknown names are noted");
    assert!(
        noted(&loaded.notes, &["my_own", "ignored"])
            && noted(&loaded.notes, &["message_relay.odd", "ignored"])
    );
    assert_eq!(loaded.config.sibling, "127.0.0.1:1");
}

#[test]
fn a_value_that_is_impossible_here_is_refused_or_brought_into_range_aloud() {
    let loaded = load(r#"{ "half_edge": true, "cache": { "max_evictions": 99999, "el_count": 3 } }"#)
        .expect("clamped");
    assert_eq!(loaded.config.aging.batch, 10_000);
    assert!(noted(&loaded.notes, &["max_evictions", "99999", "10000"]), "{:?}", loaded.notes);
    let text = load(r#"{ "half_edge": true, "port": 70000 }"#).expect_err("no such port").to_string();
    assert!(text.contains("port: \"70000\" is out of range"), "{text}");
    // Half of the TLS files must not end in a plain port.
    let text =
        load(r#"{ "half_edge": true, "tls": { "server_cert": "c" } }"#).expect_err("no key").to_string();
    assert!(text.contains("tls.key: "), "{text}");
}

#[test]
fn the_schedule_with_its_misspellings_is_honoured() {
    let loaded = load(
        r#"{ "half_edge": true, "lru": { "eviction_schedule": { "time_sfhit": 5000, "max_evicts": 7, "intrerval": 30 } },
             "path_types": { "auths": {}, "Users": {} }, "auth_path": "auths" }"#,
    )
    .expect("a schedule");
    let aging = &loaded.config.aging;
    assert_eq!((aging.aged_after_ms, aging.batch, aging.interval_ms), (5000, 7, 30));
    assert_eq!(loaded.config.path_of(b"users:1").name, "users");
}

/// Every field that the ancestors' code reads, by the part of the configuration where it stands.
const ALL: &[(&str, &[&str])] = &[
    (
        "cache",
        &[
            "token_path",
            "am_initializer",
            "seed",
            "record_size",
            "el_count",
            "hop_scotch_scale",
            "max_evictions",
            "aged_out_secs",
            "sessions_length",
            "evictions_timeout",
            "immediate_evictions",
            "stop_child",
            "hasher",
            "custom_lru",
            "master_of_ceremonies",
            "proc_names",
        ],
    ),
    (
        "lru",
        &[
            "manage_section",
            "auth_path",
            "module_path",
            "evictor",
            "eviction_schedule.time_sfhit",
            "eviction_schedule.max_evicts",
            "eviction_schedule.intrerval",
        ],
    ),
    (
        "message_relay",
        &[
            "port",
            "address",
            "uds_path",
            "uds_path_count",
            "tls.server_key",
            "tls.server_cert",
            "tls.client_cert",
            "tls.client_key",
            "tls.preloaded",
            "default_tls",
            "extended_tls_options",
            "attempt_reconnect",
            "max_reconnect",
            "reconnect_wait",
            "max_pending_messages",
            "files_only",
            "file_per_message",
            "file_shunting",
            "output_dir",
            "output_file",
            "wrap_limit",
            "send_on_reconnect",
            "response_vector",
            "max_message_wait_time",
            "balance_strategy",
            "time_out_period",
            "no_keeps",
            "use_broadcast",
            "multicast_addr",
            "multicast_port_map",
            "path_types",
            "path_handler_factory",
        ],
    ),
];

#[test]
fn every_field_of_the_ancestors_is_honoured_or_named_in_one_line() {
    for (group, fields) in ALL {
        for field in *fields {
            let known = FIELDS
                .iter()
                .find(|known| known.name == *field)
                .unwrap_or_else(|| panic!("{field} is missing"));
            let value = match *field {
                "path_types" => "{}".to_owned(),
                "am_initializer" | "manage_section" => "true".to_owned(),
                "token_path" | "auth_path" | "address" => "\"x\"".to_owned(),
                text if text.starts_with("tls.") => "\"x\"".to_owned(),
                _ => "1000".to_owned(),
            };
            let body = match field.split_once('.') {
                Some((table, inner)) => format!("{table}: {{ {inner}: {value} }}"),
                None => format!("{field}: {value}"),
            };
            let text = format!("{{ full_edge: true, age_or_replica: 'age-out', {group}: {{ {body} }} }}");
            // A link with half of its certificate is refused; that is another story than an unknown field.
            let Ok(loaded) = load(&text) else {
                assert!(field.starts_with("tls."), "{field} is refused");
                continue;
            };
            let mentioned = loaded.notes.iter().any(|note| note.contains("no meaning here"));
            assert_eq!(
                mentioned,
                matches!(known.meaning, Meaning::NoMeaning(_)),
                "{field}: {:?}",
                loaded.notes
            );
            assert!(!noted(&loaded.notes, &["ignored"]), "{field}: {:?}", loaded.notes);
        }
    }
    let names: std::collections::BTreeSet<_> = FIELDS.iter().map(|field| field.name).collect();
    assert_eq!(names.len(), FIELDS.len(), "a field is listed twice");
}

#[test]
fn an_honoured_field_changes_something() {
    // A field that says "honoured" and is not read would be a lie: give it, and the configuration must differ.
    let plain = |group: &str| format!("{{ full_edge: true, age_or_replica: 'age-out', {group}: {{ }} }}");
    for (group, field, value) in [
        ("cache", "token_path", "'./a/b.conf'"),
        ("cache", "seed", "12"),
        ("cache", "record_size", "900"),
        ("cache", "el_count", "90000"),
        ("cache", "max_evictions", "12"),
        ("cache", "aged_out_secs", "12"),
        ("message_relay", "auth_path", "'users'"),
        ("message_relay", "port", "12"),
        ("message_relay", "address", "'b'"),
        ("message_relay", "tls", "{ server_cert: 'c', server_key: 'k', client_cert: 'd', client_key: 'e' }"),
    ] {
        let with =
            format!("{{ full_edge: true, age_or_replica: 'age-out', {group}: {{ {field}: {value} }} }}");
        let (with, without) = (load(&with).expect(field).config, load(&plain(group)).expect("plain").config);
        assert_ne!(with, without, "{field}");
    }
}

/// An operator's file is outside bytes, too: whatever stands in it, the answer is an error, not a panic.
#[test]
fn garbage_ends_in_an_error_or_a_configuration() {
    for value in [
        "'\\uD800'",
        "'\\uDC00\\uD800'",
        "'\\u12'",
        "'\\x4'",
        "0xFFFFFFFFFFFFFFFFFFFFFF",
        "1e999",
        "-1e999",
        "NaN",
        "-Infinity",
        "+1",
        "99999999999999999999999",
        "-1",
        "0x",
        "'\\",
        "\"\u{0}\"",
        "null",
        "[[[]]]",
        "'\\\u{2028}'",
        "{}",
        "[]",
        "true",
        "''",
    ] {
        for field in [
            "port",
            "address",
            "tls",
            "cache",
            "auth_path",
            "path_types",
            "relay",
            "half_edge",
            "lru",
            "\u{e9}\u{1f600}",
        ] {
            let text = format!(
                "{{ half_edge: true, {field}: {value}, cache: {{ seed: {value}, el_count: {value}, token_path: {value} }} }}"
            );
            let _ = load(&text);
            let _ = load_client(&text);
            let _ = load(&format!(
                "{{ {field}: {{ {field}: [{value}, {{ {field}: {value} }}] }}, edge_supported_relay: true }}"
            ));
        }
    }
    // Every prefix of a real file, cut at any character.
    let whole = include_str!("../legacy/ml_relay.conf");
    for (at, _) in whole.char_indices() {
        let _ = load(&whole[..at]);
        let _ = load(&whole[at..]);
    }
}
