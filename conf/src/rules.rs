//! What single ranges cannot say: options that must agree with each other.

use gs_shm::{Geometry, Mode, SectionConfig};

use crate::client::ClientConfig;
use crate::error::ConfError;
use crate::options::{Config, Link, Tls};
use crate::value::{is_endpoint, is_name};
use crate::words::{ClientAuth, Partition, PortChoice, Role};

/// Collects conflicts. A rule about a key that was itself refused is not judged: its value is not what was meant.
struct Judge<'a> {
    refused: &'a dyn Fn(&str) -> bool,
    found: Vec<ConfError>,
}

impl Judge<'_> {
    /// `keys[0]` is the one to change.
    fn hold(&mut self, keys: &[&str], holds: bool, reason: impl FnOnce() -> String) {
        let told = |error: &ConfError| matches!(error, ConfError::Conflict { path, .. } if path == keys[0]);
        // One word about a key is enough: what else is wrong with it shows once that is mended.
        if !holds && !keys.iter().any(|key| (self.refused)(key)) && !self.found.iter().any(told) {
            self.found.push(ConfError::Conflict { path: keys[0].to_owned(), reason: reason() });
        }
    }
}

/// The letters of `notify-keyspace-events`.
pub(crate) const EVENT_LETTERS: &str = "Ag$lshzxeKEtmdn";

pub(crate) fn node(config: &Config, refused: &dyn Fn(&str) -> bool) -> Vec<ConfError> {
    let mut judge = Judge { refused, found: Vec::new() };
    times(&mut judge, config.lease_ms, config.heartbeat_ms);
    for capacity_bytes in config.capacities() {
        let asked = SectionConfig { capacity_bytes, ..config.section_config() };
        section(&mut judge, &asked);
    }
    let name = &config.section.name;
    judge.hold(&["section.name"], name.is_empty() || is_name(name), || {
        format!("{name:?} cannot be part of a file name; use 1 to 48 letters, digits, - and _")
    });
    judge.hold(&["announce"], config.announce.is_empty() || is_endpoint(&config.announce), || {
        format!("{:?} is no address that others could dial; give HOST:PORT", config.announce)
    });
    judge.hold(&["name"], !config.name.contains(char::is_whitespace), || {
        format!("{:?} has a blank; a node's name is one word", config.name)
    });
    let letters = &config.notify_keyspace_events;
    judge.hold(&["notify_keyspace_events"], letters.chars().all(|c| EVENT_LETTERS.contains(c)), || {
        format!("{letters:?} has a letter that is no class of events; the letters are {EVENT_LETTERS}")
    });
    ports(&mut judge, config);
    tls(&mut judge, &config.tls);
    link(&mut judge, &config.link);
    let dials_itself = matches!(config.role, Role::Family | Role::Relay);
    judge.hold(&["link.tls", "tls.port"], !dials_itself || config.plain_port().is_some() || config.link.tls, || {
        "the port speaks TLS only, and so must the sibling's link to it; say link.tls = true and name link.ca".to_owned()
    });
    paths(&mut judge, config);
    judge.found
}

pub(crate) fn client(config: &ClientConfig, refused: &dyn Fn(&str) -> bool) -> Vec<ConfError> {
    let mut judge = Judge { refused, found: Vec::new() };
    times(&mut judge, config.lease_ms, config.heartbeat_ms);
    let asked = SectionConfig {
        capacity_bytes: config.capacity,
        block_bytes: config.section.block_bytes,
        value_bytes_max: config.section.value_bytes_max,
        keep_keys: false,
        mode: Mode::Cache,
        policy_fingerprint: 0,
    };
    section(&mut judge, &asked);
    link(&mut judge, &config.link);
    judge.hold(
        &["stale_ms", "partition"],
        config.partition == Partition::Closed || config.stale_ms > 0,
        || {
            "partition is stale for 0 ms, which is closed; give a time or say partition = \"closed\""
                .to_owned()
        },
    );
    judge.found
}

fn times(judge: &mut Judge<'_>, lease_ms: u64, heartbeat_ms: u64) {
    judge.hold(&["heartbeat_ms", "lease_ms"], heartbeat_ms.saturating_mul(2) <= lease_ms, || {
        format!(
            "{heartbeat_ms} ms leaves no second chance within a lease of {lease_ms} ms; \
             lower it to {} ms or raise lease_ms to {} ms",
            lease_ms / 2,
            heartbeat_ms.saturating_mul(2)
        )
    });
}

/// The section's own judgement of its measures: it must hold at least one value of the largest size.
fn section(judge: &mut Judge<'_>, asked: &SectionConfig) {
    let SectionConfig { capacity_bytes, block_bytes, value_bytes_max, .. } = *asked;
    let whole_words = block_bytes.is_multiple_of(8);
    judge.hold(&["section.block_bytes"], whole_words, || {
        format!("{block_bytes} is not a multiple of 8; {} is", block_bytes.next_multiple_of(8))
    });
    let most = capacity_bytes / 2;
    judge.hold(&["section.value_bytes_max", "capacity"], u64::from(value_bytes_max) <= most, || {
        format!(
            "a value of {value_bytes_max} bytes would take more than half of a section of {capacity_bytes} bytes; \
             lower it to {most} or raise capacity"
        )
    });
    if whole_words
        && u64::from(value_bytes_max) <= most
        && let Err(error) = Geometry::of(asked)
    {
        judge.hold(&["capacity", "section.block_bytes", "section.value_bytes_max"], false, || {
            error.to_string()
        });
    }
}

/// Two listeners of one process cannot have one port. 0 is another one each time.
fn ports(judge: &mut Judge<'_>, config: &Config) {
    let mut taken: Vec<(&str, u16)> = vec![("port", config.port)];
    if matches!(config.role, Role::Family | Role::Relay) {
        taken.push(("sibling_port", config.sibling_port));
    }
    if config.role == Role::Family {
        taken.push(("expansion_port", config.expansion_port));
        taken.push(("aging_port", config.aging_port));
    }
    if let PortChoice::At(port) = config.tls.port {
        // The RESP port itself may speak TLS only.
        if port != config.port {
            taken.push(("tls.port", port));
        }
    }
    if let Some(port) = config.http() {
        taken.push(("http_port", port));
    }
    for (i, (key, port)) in taken.iter().enumerate() {
        if let Some((other, _)) = taken[..i].iter().find(|(_, earlier)| earlier == port && *port != 0) {
            judge
                .hold(&[key, other], false, || format!("{port} is the {other} already; give it another one"));
        }
    }
}

fn tls(judge: &mut Judge<'_>, tls: &Tls) {
    let on = tls.port != PortChoice::Off;
    for (key, file) in [("tls.cert", &tls.cert), ("tls.key", &tls.key)] {
        judge.hold(&[key, "tls.port"], !on || !file.is_empty(), || {
            "a TLS port needs a certificate and its key; name a PEM file, or say tls.port = \"off\""
                .to_owned()
        });
    }
    judge.hold(
        &["tls.ca", "tls.client_auth"],
        tls.client_auth == ClientAuth::No || !tls.ca.is_empty(),
        || "client certificates are asked for but nobody is named who signs them; name a PEM file".to_owned(),
    );
}

fn link(judge: &mut Judge<'_>, link: &Link) {
    judge.hold(&["link.key", "link.cert"], link.cert.is_empty() == link.key.is_empty(), || {
        "a link presents a certificate only with its key; name both link.cert and link.key, or neither"
            .to_owned()
    });
    judge.hold(&["link.ca", "link.tls"], !link.tls || !link.ca.is_empty(), || {
        "links use TLS but nobody is named who signs the other nodes' certificates; name a PEM file"
            .to_owned()
    });
}

fn paths(judge: &mut Judge<'_>, config: &Config) {
    let paths = &config.paths;
    judge.hold(&["paths"], paths.iter().any(|path| path.prefix.is_empty()), || {
        "no path takes the keys that match no prefix; give one path prefix = \"\"".to_owned()
    });
    for (i, path) in paths.iter().enumerate() {
        let key = format!("paths.{}.prefix", path.name);
        if let Some(other) = paths[..i].iter().find(|other| other.prefix == path.prefix) {
            judge.hold(&[&key], false, || {
                format!(
                    "{:?} is the prefix of path {} already; give each path its own",
                    path.prefix, other.name
                )
            });
        }
        let key = format!("paths.{}.stale_ms", path.name);
        judge.hold(&[&key], path.partition == Partition::Closed || path.stale_ms > 0, || {
            "partition is stale for 0 ms, which is closed; give a time or say partition = \"closed\""
                .to_owned()
        });
    }
}

impl Tls {
    /// The files it names, each with its key.
    pub(crate) fn files(&self) -> Vec<(String, String)> {
        named("tls", &[("cert", &self.cert), ("key", &self.key), ("ca", &self.ca)])
    }
}

impl Link {
    /// The files it names, each with its key.
    pub(crate) fn files(&self, group: &str) -> Vec<(String, String)> {
        named(group, &[("cert", &self.cert), ("key", &self.key), ("ca", &self.ca)])
    }
}

fn named(group: &str, files: &[(&str, &String)]) -> Vec<(String, String)> {
    files
        .iter()
        .filter(|(_, file)| !file.is_empty())
        .map(|(key, file)| (format!("{group}.{key}"), (*file).clone()))
        .collect()
}
