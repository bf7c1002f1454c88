//! A typo never passes: not in a file, not in the environment, not in a flag; and all of them are told at once.

use gs_conf::{ConfError, Errors, Inputs, client_rows, load, load_client, rows};

fn from_file(extension: &str, text: &str) -> Result<gs_conf::Config, Errors> {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let file = dir.path().join(format!("node.{extension}"));
    std::fs::write(&file, text).expect("a file can be written");
    load(&Inputs { file: Some(file), ..Inputs::default() }).map(|loaded| loaded.config)
}

fn from_flags(pairs: &[(&str, &str)]) -> Result<gs_conf::Config, Errors> {
    let flags = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    load(&Inputs { flags, ..Inputs::default() }).map(|loaded| loaded.config)
}

/// Every way in which one letter goes wrong.
fn typos(name: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (at, c) in name.char_indices().filter(|(_, c)| *c != '.') {
        all.push(format!("{}{}", &name[..at], &name[at + c.len_utf8()..]));
        all.push(format!("{}q{}", &name[..at], &name[at + c.len_utf8()..]));
        all.push(format!("{}{c}{}", &name[..at], &name[at..]));
    }
    all
}

#[test]
fn every_typo_of_every_key_is_refused_with_its_path_and_the_allowed_names() {
    let known: Vec<&str> = rows().map(|row| row.name).collect();
    for row in rows() {
        let name = row.name.replace('*', "auths");
        for typo in typos(&name) {
            // Another name of a path is no typo that anyone could see, and neither is another option.
            if typo.starts_with("paths.") && typo.ends_with(&name["paths.auths".len()..])
                || known.contains(&typo.as_str())
            {
                continue;
            }
            let errors = from_flags(&[(&typo, "1")]).expect_err(&typo);
            let [ConfError::UnknownKey { path, allowed, .. }] = errors.0.as_slice() else {
                panic!("{typo}: {errors}")
            };
            assert_eq!(path, &typo);
            assert!(!allowed.is_empty(), "{typo}");
            let last = name.rsplit('.').next().unwrap_or_default();
            let group = name.strip_suffix(last).unwrap_or_default();
            if typo.starts_with(group) {
                assert!(allowed.contains(&name), "{typo}: {name} is not among {allowed:?}");
            }
        }
    }
    for row in client_rows() {
        let typo = format!("{}x", row.name);
        let flags = vec![(typo.clone(), "1".to_owned())];
        let text = load_client(&Inputs { flags, ..Inputs::default() }).expect_err(&typo).to_string();
        assert!(text.contains(&typo) && text.contains(row.name), "{text}");
    }
}

#[test]
fn a_typo_in_a_file_or_the_environment_is_refused_alike() {
    for (extension, text) in [
        ("toml", "role = \"relay\"\n[section]\nblock_byte = 256\n"),
        ("yaml", "role: relay\nsection:\n  block_byte: 256\n"),
        ("json5", "{role: 'relay', section: {block_byte: 256}}"),
    ] {
        let text = from_file(extension, text).expect_err(extension).to_string();
        assert!(text.contains("node.") && text.contains("section.block_byte:"), "{text}");
        assert!(
            text.contains("did you mean section.block_bytes?") && text.contains("section.value_bytes_max"),
            "{text}"
        );
    }
    let env = vec![("GSCACHE__SECTION__BLOCK_BYTE".to_owned(), "256".to_owned())];
    let text = load(&Inputs { env, ..Inputs::default() }).expect_err("a typo").to_string();
    assert!(text.starts_with("environment: section.block_byte"), "{text}");
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let errors = from_file(
        "toml",
        "role = \"relay\"\ndatabases = 99\nprot = 1\nlease_ms = 100\nheartbeat_ms = 90\n\
         [tls]\nport = 7000\n[paths.a]\nprefix = \"a\"\n[paths.b]\nprefix = \"a\"\ncopies = 3\n",
    )
    .expect_err("a heap of mistakes");
    let text = errors.to_string();
    for part in
        ["databases", "prot", "heartbeat_ms", "tls.cert", "tls.key", "paths.b.prefix", "paths.b.copies"]
    {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    assert_eq!(text.lines().count(), errors.0.len(), "one line each");
}

#[test]
fn a_rule_about_a_refused_value_is_not_judged() {
    // The reader should mend the value first; a conflict with a default that nobody wrote would mislead.
    let errors = from_flags(&[("lease_ms", "1"), ("heartbeat_ms", "20000")]).expect_err("out of range");
    assert!(matches!(errors.0.as_slice(), [ConfError::OutOfRange { .. }]), "{errors}");
}

#[test]
fn nothing_is_coerced_in_silence() {
    for (line, key) in [
        ("port = 7878.5", "port"),
        ("port = true", "port"),
        ("port = [7878]", "port"),
        ("bind = 127", "bind"),
        ("requirepass = 7", "requirepass"),
        ("section = 5", "section"),
        ("paths = 5", "paths"),
        ("link = { tls = \"yes\" }", "link.tls"),
        ("link = { tls = 1 }", "link.tls"),
        ("capacity = \"256 parsecs\"", "capacity"),
        ("capacity = 99999999999999999", "capacity"),
        ("capacity = \"9999999999999999999999tb\"", "capacity"),
        ("sibling = \"nowhere\"", "sibling"),
        ("sibling = \"a b:1\"", "sibling"),
        ("sibling = \"::1:7880\"", "sibling"),
        ("http_port = \"on\"", "http_port"),
        ("port = {}", "port"),
    ] {
        let text = from_file("toml", line).expect_err(line).to_string();
        assert!(text.contains(&format!("{key}: ")), "{line}: {text}");
    }
    from_file("toml", "port = ").expect_err("not TOML");
    from_file("yaml", "requirepass: ~").expect_err("nothing is not a password");
}

#[test]
fn a_secret_is_not_in_the_error_about_it() {
    let text = from_file("toml", "requirepass = 71717171\n[link]\npassword = [42424242]")
        .expect_err("numbers")
        .to_string();
    assert!(!text.contains("71717171") && !text.contains("42424242"), "{text}");
    assert!(text.contains("requirepass: (hidden)") && text.contains("link.password: (hidden)"), "{text}");
}

#[test]
fn a_secret_is_neither_in_a_debug_print_nor_in_a_syntax_error() {
    let config = from_flags(&[("requirepass", "hush-1"), ("link.password", "hush-2")]).expect("passwords");
    let text = format!("{config:?} {config:#?}");
    assert!(!text.contains("hush") && text.contains("requirepass: (hidden)"), "{text}");
    let flags = vec![("requirepass".to_owned(), "hush".to_owned())];
    let text = format!("{:?}", Inputs { env: flags.clone(), flags, file: None });
    assert!(!text.contains("hush"), "{text}");
    for (extension, text) in [
        ("toml", "port = 1\nrequirepass = \"hush\n"),
        ("toml", "requirepass = hush"),
        ("json5", "{ requirepass: 'hush }"),
        ("yaml", "requirepass: 'hush\n  x: [}"),
        ("conf", "{ \"half_edge\": true, \"token_path\": \"hush\" \"x\" }"),
    ] {
        let said = from_file(extension, text).expect_err(text).to_string();
        assert!(!said.contains("hush") && said.contains("not valid"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn options_must_agree_with_each_other() {
    for (pairs, key) in [
        (vec![("sibling_port", "7878")], "sibling_port"),
        (vec![("http_port", "7880")], "http_port"),
        (vec![("tls.client_auth", "required")], "tls.ca"),
        (vec![("tls.port", "0"), ("tls.cert", "a")], "tls.key"),
        (vec![("link.tls", "true")], "link.ca"),
        (vec![("link.cert", "a")], "link.key"),
        (vec![("section.block_bytes", "130")], "section.block_bytes"),
        (vec![("capacity", "1mb"), ("section.value_bytes_max", "1mb")], "section.value_bytes_max"),
        (vec![("paths.auths.prefix", "auth:")], "paths"),
        (vec![("paths.x.prefix", ""), ("paths.auths.prefix", "")], "paths.x.prefix"),
        (
            vec![("paths.x.partition", "stale"), ("paths.x.stale_ms", "0"), ("paths.x.prefix", "x")],
            "paths.x.stale_ms",
        ),
        (vec![("tls.port", "7878"), ("tls.cert", "c"), ("tls.key", "k")], "link.tls"),
        (vec![("role", "relay"), ("capacity", "1tb"), ("section.block_bytes", "128")], "capacity"),
        (vec![("paths.a__b.prefix", "a")], "paths.a__b.prefix"),
        (vec![("paths.a_.prefix", "a")], "paths.a_.prefix"),
        (vec![("section.name", "../x")], "section.name"),
        (vec![("announce", "here")], "announce"),
        (vec![("paths.Upper.prefix", "u")], "paths.Upper.prefix"),
    ] {
        let errors = from_flags(&pairs).expect_err(key);
        assert!(errors.to_string().contains(&format!("{key}: ")), "{pairs:?}: {errors}");
        assert_eq!(errors.0.len(), 1, "{errors}");
    }
    // Ports that are free to choose never collide, and a role's listeners are its own only.
    from_flags(&[("port", "0"), ("sibling_port", "0"), ("expansion_port", "0"), ("aging_port", "0")])
        .expect("free ones");
    from_flags(&[("role", "relief-aging"), ("port", "7880")]).expect("it has no sibling's port");
}

#[test]
fn a_front_ends_file_starts_no_server() {
    // It would start something else than was meant, or complain of options that are none.
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, mark) in [("client.toml", "auth_path"), ("legacy/client.conf", "my_messages")] {
        let inputs = Inputs { file: Some(here.join(name)), ..Inputs::default() };
        let text = load(&inputs).expect_err("it is no node's").to_string();
        assert!(text.contains(name) && text.contains("front end") && text.contains(mark), "{text}");
        load_client(&inputs).unwrap_or_else(|errors| panic!("{name}: {errors}"));
    }
}
