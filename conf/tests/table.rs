//! The table of options polices itself: what one row promises holds for its field, its default and its names.

use std::collections::BTreeSet;

use gs_conf::{Config, Inputs, Kind, Role, Row, client_rows, load, load_client, render, rows};

fn flags(pairs: &[(&str, String)]) -> Inputs {
    Inputs { flags: pairs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect(), ..Inputs::default() }
}

/// The shown value of an option, by its own name.
fn shown(config: &Config, name: &str) -> String {
    let all = render::config_get(config, &name.replace('*', "auths"));
    all.first().map(|(_, value)| value.clone()).unwrap_or_else(|| panic!("{name} is not shown"))
}

/// Both ends of a number's range.
fn ends(row: &Row) -> Option<(i64, i64)> {
    match row.kind {
        Kind::Integer { min, max } | Kind::Millis { min, max } | Kind::Bytes { min, max } => Some((min, max)),
        Kind::Share { max } => Some((0, max)),
        Kind::Port => Some((0, 65_535)),
        _ => None,
    }
}

#[test]
fn names_are_unique_and_every_row_says_what_it_is_for() {
    for table in [rows().collect::<Vec<_>>(), client_rows().collect()] {
        let names: BTreeSet<_> = table.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), table.len());
        let flags: Vec<_> = table.iter().filter_map(|row| row.flag).collect();
        assert_eq!(flags.iter().collect::<BTreeSet<_>>().len(), flags.len());
        let aliases: Vec<_> = table.iter().filter_map(|row| row.redis).map(|alias| alias.name).collect();
        assert_eq!(aliases.iter().collect::<BTreeSet<_>>().len(), aliases.len());
        for row in table {
            let doc = row.doc.trim();
            assert!(doc.len() > 10 && doc.ends_with('.'), "{}: {doc:?}", row.name);
            let unit_last = match row.kind {
                Kind::Millis { .. } => row.name.ends_with("_ms"),
                _ => true,
            };
            assert!(unit_last, "{}: a time without its unit", row.name);
        }
    }
}

#[test]
fn every_default_of_every_role_is_one_that_could_be_written() {
    for role in Role::ALL {
        for row in rows().filter(|row| row.name != "role") {
            let name = row.name.replace('*', "auths");
            let given = [("role", role.to_string()), (name.as_str(), row.default.of(*role).to_owned())];
            let loaded = load(&flags(&given)).unwrap_or_else(|e| panic!("{role} {name}: {e}")).config;
            assert_eq!(
                shown(&loaded, row.name),
                shown(&Config::of_role(*role), row.name),
                "{role} {name}: the default said aloud is another"
            );
        }
    }
    for row in client_rows() {
        let given = [(row.name, row.default.of(Role::Family).to_owned())];
        load_client(&flags(&given)).unwrap_or_else(|e| panic!("{}: {e}", row.name));
    }
}

#[test]
fn both_ends_of_every_range_arrive_in_the_field() {
    // A range that does not fit its field's type would arrive as another number.
    for row in rows() {
        let Some((min, max)) = ends(row) else { continue };
        for value in [min, max] {
            let mut pairs = vec![(row.name.replace('*', "auths"), value.to_string())];
            // Rules between options are not what is tried here.
            match row.name {
                "lease_ms" => pairs.push(("heartbeat_ms".into(), "10".into())),
                "heartbeat_ms" => pairs.push(("lease_ms".into(), "600000".into())),
                "section.value_bytes_max" => {
                    for key in ["capacity", "expansion_capacity", "aging_capacity"] {
                        pairs.push((key.into(), "1gb".into()));
                    }
                }
                _ => {}
            }
            let inputs = Inputs { flags: pairs, ..Inputs::default() };
            let config = load(&inputs).unwrap_or_else(|e| panic!("{} = {value}: {e}", row.name)).config;
            assert_eq!(shown(&config, row.name), value.to_string(), "{}", row.name);
        }
    }
}

#[test]
fn every_number_beyond_its_range_is_refused_naming_value_limit_and_path() {
    for row in rows() {
        let Some((min, max)) = ends(row) else { continue };
        for value in [min.checked_sub(1), max.checked_add(1)].into_iter().flatten() {
            let name = row.name.replace('*', "auths");
            let text = load(&flags(&[(&name, value.to_string())])).expect_err(row.name).to_string();
            assert!(text.contains(&name) && text.contains(&value.to_string()), "{text}");
            assert!(text.contains("from ") && text.contains(" to "), "no way out: {text}");
        }
    }
}

#[test]
fn every_word_of_every_choice_is_taken_and_others_are_not() {
    for row in rows() {
        let Kind::Choice(words) = row.kind else { continue };
        let name = row.name.replace('*', "auths");
        for word in words {
            let mut given = vec![(name.as_str(), (*word).to_owned())];
            if name == "tls.client_auth" {
                given.push(("tls.ca", "ca.pem".to_owned()));
            }
            let config = load(&flags(&given)).unwrap_or_else(|e| panic!("{name} = {word}: {e}")).config;
            assert_eq!(shown(&config, row.name), *word);
        }
        let text = load(&flags(&[(&name, "perhaps".to_owned())])).expect_err("no such word").to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
}

#[test]
fn aging_has_the_ranges_and_defaults_of_the_policies() {
    let config = Config::default();
    assert_eq!(config.params(), gs_policies::Params::default());
    for param in gs_policies::params::PARAMS {
        let name = format!("aging.{}", param.name);
        let row = rows().find(|row| row.name == name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(ends(row).map(|(a, b)| (a as u64, b as u64)), Some((param.min, param.max)), "{name}");
        assert!(row.runtime, "{name}: GS.AGE POLICY sets it at run time");
    }
}

#[test]
fn what_may_change_at_run_time_changes_and_the_rest_says_so() {
    for row in rows() {
        let mut config = Config::default();
        let given = match ends(row) {
            Some((min, _)) => min.to_string(),
            None => row.default.of(Role::Family).to_owned(),
        };
        match config.set(row.name, &given) {
            Ok(()) => {
                assert!(row.runtime, "{}", row.name);
                assert_eq!(shown(&config, row.name), given, "{}", row.name);
            }
            Err(error) => assert!(!row.runtime && error.to_string().contains(row.name), "{error}"),
        }
    }
    let mut config = Config::default();
    config.set("AGING.BATCH", "30").expect("any case");
    assert_eq!(config.aging.batch, 30);
    for (name, value) in [
        ("aging.batch", "0"),
        ("maxclients", "0"),
        ("databases", "5"),
        ("aging.interval_ms", ""),
        ("nonsense", "1"),
    ] {
        let before = config.clone();
        config.set(name, value).expect_err(name);
        assert_eq!(config, before, "{name}: a refused change changed something");
    }
}

/// A bound that is a share of the capacity follows the capacity; what is no share is refused in Redis's words.
#[test]
fn a_share_of_the_capacity_is_bytes_or_percent() {
    let mut config = Config::default();
    for (text, shown_as, bytes) in
        [("5%", "5%", 50), ("100%", "100%", 1000), ("0%", "0%", 0), ("0", "0", 0), ("64kb", "65536", 65_536)]
    {
        config.set("maxmemory-clients", text).expect(text);
        assert_eq!(shown(&config, "maxmemory-clients"), shown_as);
        assert_eq!(config.limits.clients_buffer_bytes.bytes(1000), bytes, "{text}");
    }
    for (text, words) in [
        ("101%", "percentage argument must be less or equal to 100"),
        ("much", "argument must be a memory or percent value"),
        ("-1", "argument must be a memory or percent value"),
    ] {
        let pairs = [("maxmemory-clients".to_owned(), text.to_owned())];
        let error = gs_conf::set_all(&config, &pairs).expect_err(text).to_string();
        assert!(error.contains(words), "{error}");
    }
    for text in ["%", "+5%", "-5%", "5.5%", "5 %x"] {
        load(&flags(&[("limits.clients_buffer_bytes", text.to_owned())])).expect_err(text);
    }
}
