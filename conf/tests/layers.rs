//! Defaults, file, environment, flags: each over the one before.

use gs_conf::{
    Config, Destroy, HTTP_PORT_OFFSET, Inputs, OnFull, Partition, PortChoice, Role, SiblingMode, load,
    load_client, parse_bytes, parse_millis, render, show_bytes, show_millis,
};

fn strings(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn flags(pairs: &[(&str, &str)]) -> Config {
    load(&Inputs { flags: strings(pairs), ..Inputs::default() }).expect("good flags").config
}

#[test]
fn a_higher_layer_wins_key_by_key() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let file = dir.path().join("relay.toml");
    let text = "role = \"relay\"\nport = 1\ncapacity = \"2mb\"\nthreads = 3\n[paths.sess]\nprefix = \"sess:\"\ncopies = 2\n";
    std::fs::write(&file, text).expect("a file can be written");
    let config = load(&Inputs {
        file: Some(file),
        env: strings(&[
            ("GSCACHE__PORT", "2"),
            ("GSCACHE__CAPACITY", "3mb"),
            ("GSCACHE__PATHS__SESS__DESTROY", "wins"),
            ("GS_PORT", "tcp://10.0.0.1:7878"),
            ("GSCLIENT__CAPACITY", "1"),
            ("HOME", "/root"),
        ]),
        flags: strings(&[("capacity", "5mb"), ("capacity", "4mb")]),
    })
    .expect("all good")
    .config;
    assert_eq!((config.threads, config.port, config.capacity), (3, 2, 4 << 20));
    let sess = config.path_of(b"sess:x");
    assert_eq!((sess.destroy, sess.copies, sess.gone_for_ms), (Destroy::Wins, 2, 86_400_000));
}

#[test]
fn text_from_the_environment_stays_text() {
    let env = strings(&[("GSCACHE__REQUIREPASS", "007"), ("GSCACHE__LINK__PASSWORD", "true")]);
    let config = load(&Inputs { env, ..Inputs::default() }).expect("passwords").config;
    assert_eq!((config.requirepass.as_str(), config.link_password()), ("007", "true"));
}

#[test]
fn every_format_says_the_same() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let mut seen = Vec::new();
    for (name, text) in [
        (
            "a.toml",
            "role = \"sibling\"\nport = 1\nhttp_port = -1\n[section]\non_full = \"drop\"\n[paths.s]\nprefix = \"s:\"\n",
        ),
        (
            "a.yaml",
            "role: sibling\nport: 1\nhttp_port: -1\nsection: {on_full: drop}\npaths:\n  s: {prefix: 's:'}\n",
        ),
        (
            "a.json5",
            "{role: 'sibling', port: 1, http_port: 'off', section: {on_full: 'drop'}, paths: {s: {prefix: 's:'}}}",
        ),
    ] {
        let file = dir.path().join(name);
        std::fs::write(&file, text).expect("a file can be written");
        let config =
            load(&Inputs { file: Some(file), ..Inputs::default() }).unwrap_or_else(|e| panic!("{name}: {e}"));
        seen.push(config.config);
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[1], seen[2]);
    assert_eq!((seen[0].role, seen[0].http(), seen[0].section.on_full), (Role::Sibling, None, OnFull::Drop));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let inputs = Inputs { file: Some("/nowhere/relay.toml".into()), ..Inputs::default() };
    let text = load(&inputs).expect_err("not there").to_string();
    assert!(text.starts_with("/nowhere/relay.toml: cannot be read"), "{text}");
}

#[test]
fn sizes_follow_redis_and_times_have_units() {
    for (text, bytes) in [
        ("0", Some(0)),
        ("1024", Some(1024)),
        ("1b", Some(1)),
        ("1k", Some(1000)),
        ("1KB", Some(1024)),
        ("1m", Some(1_000_000)),
        ("256mb", Some(256 << 20)),
        ("1G", Some(1_000_000_000)),
        ("2gb", Some(2 << 30)),
        ("1tb", Some(1 << 40)),
        ("1 gb", Some(1 << 30)),
        ("-1", Some(-1)),
        ("", None),
        ("mb", None),
        ("1.5gb", None),
        ("1xb", None),
        ("9223372036854775807kb", None),
    ] {
        assert_eq!(parse_bytes(text), bytes, "{text}");
    }
    for (text, millis) in [
        ("5", Some(5)),
        ("5ms", Some(5)),
        ("5s", Some(5000)),
        ("1m", Some(60_000)),
        ("2h", Some(7_200_000)),
        ("1d", Some(86_400_000)),
        ("1w", None),
    ] {
        assert_eq!(parse_millis(text), millis, "{text}");
    }
    for n in [0, 1, 1023, 1024, 1 << 20, (1 << 20) + 1, 3 << 30, 60_000, 86_400_000] {
        assert_eq!(parse_bytes(&show_bytes(n)), Some(n));
        assert_eq!(parse_millis(&show_millis(n)), Some(n));
    }
}

#[test]
fn each_role_has_its_own_defaults() {
    let ports: Vec<_> = Role::ALL.iter().map(|role| Config::of_role(*role).port).collect();
    assert_eq!(ports, [7878, 7878, 7880, 7881, 7882]);
    assert_eq!(Config::default().role, Role::Family);
    assert_eq!(Config::default().sibling_mode, SiblingMode::Inside);
    assert_eq!(Config::of_role(Role::Relay).sibling_mode, SiblingMode::Child);
    assert_eq!(Config::default().http(), Some(7878 + HTTP_PORT_OFFSET));
    let path = Config::default().default_path().clone();
    assert_eq!(
        (path.name.as_str(), path.prefix.as_str(), path.destroy, path.external),
        ("auths", "", Destroy::Plain, false)
    );
    assert_eq!(path.partition, Partition::Closed);
}

#[test]
fn a_family_falls_into_parts() {
    let family = flags(&[
        ("port", "1000"),
        ("sibling_port", "1001"),
        ("expansion_port", "1002"),
        ("aging_port", "1003"),
        ("bind", "0.0.0.0"),
        ("name", "shop"),
        ("expansion_capacity", "2mb"),
        ("aging_capacity", "3mb"),
    ]);
    let parts: Vec<_> = [Role::Relay, Role::Sibling, Role::ReliefExpansion, Role::ReliefAging]
        .map(|role| family.part(role))
        .into();
    assert_eq!(parts.iter().map(|p| p.port).collect::<Vec<_>>(), [1000, 1001, 1002, 1003]);
    assert_eq!(parts.iter().map(Config::http).collect::<Vec<_>>(), [Some(3000), None, None, None]);
    assert_eq!(
        parts.iter().map(|p| p.section_name()).collect::<Vec<_>>(),
        ["relay", "relay", "expansion", "aging"]
    );
    assert_eq!((parts[2].capacity, parts[3].capacity), (2 << 20, 3 << 20));
    assert_eq!(parts[3].sibling, "127.0.0.1:1001");
    assert_eq!(parts[1].relay, "127.0.0.1:1000");
    assert_eq!(parts[2].name, "shop-relief-expansion");
    let relay = flags(&[("role", "relay"), ("bind", "::1"), ("sibling_port", "1001")]);
    let child = relay.part(Role::Sibling);
    assert_eq!((child.port, child.http(), child.relay.as_str()), (1001, Some(3001), "[::1]:7878"));
}

#[test]
fn ports_follow_each_other() {
    let free = flags(&[("port", "0")]);
    assert_eq!((free.plain_port(), free.http(), free.tls_port()), (Some(0), Some(0), None));
    let high = flags(&[("port", "65000")]);
    assert_eq!(high.http(), Some(0), "nothing lies 2000 above");
    let only_tls = flags(&[
        ("tls.port", "7878"),
        ("tls.cert", "c"),
        ("tls.key", "k"),
        ("link.tls", "true"),
        ("link.ca", "a"),
    ]);
    assert_eq!((only_tls.plain_port(), only_tls.tls_port()), (None, Some(7878)));
    let aging = only_tls.part(Role::ReliefAging);
    assert_eq!(
        (aging.plain_port(), aging.tls_port()),
        (None, Some(7882)),
        "no part of it answers in the clear"
    );
    let both =
        flags(&[("port", "0"), ("tls.port", "0"), ("tls.cert", "c"), ("tls.key", "k"), ("http_port", "off")]);
    assert_eq!((both.plain_port(), both.tls_port(), both.http()), (Some(0), Some(0), None));
    assert_eq!(both.http_port, PortChoice::Off);
}

#[test]
fn the_longest_prefix_wins() {
    let config =
        flags(&[("paths.short.prefix", "s"), ("paths.long.prefix", "sess:"), ("paths.rest.prefix", "")]);
    let of = |key: &[u8]| config.path_of(key).name.clone();
    assert_eq!(
        (of(b"sess:1"), of(b"se"), of(b"x"), of(b"")),
        ("long".into(), "short".into(), "rest".into(), "rest".into())
    );
    assert_eq!(config.paths.len(), 3, "auths is not added beside another path of all keys");
}

#[test]
fn a_small_section_lowers_the_largest_value() {
    assert_eq!(flags(&[("role", "relay"), ("capacity", "1mb")]).section.value_bytes_max, 256 << 10);
    assert_eq!(flags(&[("aging_capacity", "2mb")]).section.value_bytes_max, 512 << 10);
    assert_eq!(flags(&[]).section.value_bytes_max, 1 << 20);
}

#[test]
fn config_get_speaks_redis_and_keeps_secrets() {
    let config =
        flags(&[("requirepass", "hush"), ("link.password", "hush"), ("limits.idle_timeout_ms", "30s")]);
    let get = |pattern: &str| render::config_get(&config, pattern);
    let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    assert_eq!(get("maxmemory"), pair("maxmemory", "268435456"));
    assert_eq!(get("MAXMEMORY-POLICY"), pair("maxmemory-policy", "noeviction"));
    assert_eq!(get("timeout"), pair("timeout", "30"));
    assert_eq!(get("databases"), pair("databases", "16"));
    assert_eq!(get("save"), pair("save", ""));
    assert_eq!(get("appendonly"), pair("appendonly", "no"));
    assert_eq!(get("port"), pair("port", "7878"));
    assert_eq!(get("tls-port"), pair("tls-port", "0"));
    assert_eq!(get("requirepass"), pair("requirepass", "(hidden)"));
    assert_eq!(get("maxclients"), pair("maxclients", "10000"));
    assert_eq!(get("limits.maxclients"), pair("limits.maxclients", "10000"));
    assert_eq!(get("paths.auths.destroy"), pair("paths.auths.destroy", "plain"));
    assert_eq!(get("m[a-b]xmem\\ory"), pair("maxmemory", "268435456"));
    assert_eq!(get("nothing"), Vec::new());
    let all = get("*");
    assert!(all.iter().all(|(_, value)| !value.contains("hush")));
    assert!(all.windows(2).all(|w| w[0].0 < w[1].0), "sorted, each name once");
    assert_eq!(get(&"*a".repeat(500)).len(), 0, "a hostile pattern ends");
}

#[test]
fn the_client_library_has_layers_of_its_own() {
    let env = strings(&[
        ("GSCLIENT__CAPACITY", "8mb"),
        ("GSCACHE__PORT", "1"),
        ("GSCLIENT__LINK__PASSWORD", "007"),
    ]);
    let flags = strings(&[("relays", "a:1, b:2")]);
    let config = load_client(&Inputs { env, flags, ..Inputs::default() }).expect("good").config;
    assert_eq!(config.relays, ["a:1", "b:2"]);
    assert_eq!((config.capacity, config.link.password.as_str()), (8 << 20, "007"));
    assert_eq!(config.section.name, "front");
}

#[test]
fn every_default_section_can_be_laid_out() {
    for role in Role::ALL {
        let config = Config::of_role(*role);
        let geometry =
            gs_shm::Geometry::of(&config.section_config()).unwrap_or_else(|e| panic!("{role}: {e}"));
        assert!(geometry.total_len <= config.capacity);
        // One default, whoever makes the section.
        assert_eq!(config.section.block_bytes, gs_shm::BLOCK_BYTES_DEFAULT);
    }
    assert_eq!(gs_conf::ClientConfig::default().section.block_bytes, gs_shm::BLOCK_BYTES_DEFAULT);
    let small = flags(&[("role", "relay"), ("capacity", "1mb"), ("section.block_bytes", "4096")]);
    gs_shm::Geometry::of(&small.section_config()).expect("the least section with the largest blocks");
}
