//! From layers to a typed configuration, with everything that is wrong told at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::client::{ClientConfig, ClientSection};
use crate::error::{ConfError, Errors, Origin};
use crate::layers::{self, Said};
use crate::legacy;
use crate::options::{Aging, Config, Journal, Limits, Link, Log, PathConfig, Section, Stream, Tls, Watch};
use crate::rules;
use crate::table::{ENV_PREFIX, Table, wildcard};
use crate::value::{Fault, Raw, Value, Values};
use crate::words::Role;

/// Where a configuration comes from, beside the defaults. Later ones win: file, environment, flags.
#[derive(Clone, Default)]
pub struct Inputs {
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    /// Environment variables; those without the prefix are ignored.
    pub env: Vec<(String, String)>,
    /// Keys and texts from the command line; the last one of a key wins.
    pub flags: Vec<(String, String)>,
}

impl std::fmt::Debug for Inputs {
    /// Names only: values may be passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names =
            |pairs: &[(String, String)]| pairs.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        f.debug_struct("Inputs")
            .field("file", &self.file)
            .field("env", &names(&self.env))
            .field("flags", &names(&self.flags))
            .finish()
    }
}

impl Inputs {
    /// This process's environment, those variables that are ours. Names and values that are not Unicode become
    /// readable replacements, which no option accepts.
    #[must_use]
    pub fn process_env() -> Vec<(String, String)> {
        std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .filter(|(name, _)| {
                let name = name.to_ascii_uppercase();
                name.starts_with(ENV_PREFIX) || name.starts_with(crate::table::CLIENT_ENV_PREFIX)
            })
            .collect()
    }
}

/// A configuration, and what its reader should know about how it was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded<T = Config> {
    /// The configuration.
    pub config: T,
    /// One line each: what an ancestor's file says that means something else here, or nothing.
    pub notes: Vec<String>,
}

/// What `check` found a file to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// A node's configuration.
    Node(Box<Loaded<Config>>),
    /// A configuration of the client library.
    Client(Box<Loaded<ClientConfig>>),
}

impl Checked {
    /// The notes of either.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        match self {
            Checked::Node(loaded) => &loaded.notes,
            Checked::Client(loaded) => &loaded.notes,
        }
    }
}

/// Loads a node's configuration.
pub fn load(inputs: &Inputs) -> Result<Loaded, Errors> {
    // Else each of its options is one that nobody knows, or, in an ancestor's file, one that means a relief.
    if let Some((path, key)) = inputs.file.as_deref().and_then(|path| Some((path, client_mark(path)?))) {
        return Err(Errors(vec![ConfError::ClientFile { path: path.display().to_string(), key }]));
    }
    let table = Table::node();
    let (said, notes, mut errors) = collect(inputs, &table, legacy::translate_node);
    let judged = judge(&table, &said, &mut errors);
    let config = build_node(&table, &judged, &mut errors);
    finish(config, notes, errors)
}

/// Loads a configuration of the client library.
pub fn load_client(inputs: &Inputs) -> Result<Loaded<ClientConfig>, Errors> {
    let table = Table::client();
    let (said, notes, mut errors) = collect(inputs, &table, legacy::translate_client);
    let judged = judge(&table, &said, &mut errors);
    let config = build_client(&table, &judged, &mut errors);
    finish(config, notes, errors)
}

/// Judges one file by itself, without environment and flags: every error at once. Files that it names and that
/// cannot be read here are noted, not refused: the machine that checks need not be the one that runs.
pub fn check(path: &Path) -> Result<Checked, Errors> {
    let inputs = Inputs { file: Some(path.to_owned()), ..Inputs::default() };
    if client_mark(path).is_some() {
        let mut loaded = load_client(&inputs)?;
        loaded.notes.extend(unreadable(&loaded.config.link.files("link")));
        return Ok(Checked::Client(Box::new(loaded)));
    }
    let mut loaded = load(&inputs)?;
    let mut files = loaded.config.tls.files();
    files.extend(loaded.config.link.files("link"));
    loaded.notes.extend(unreadable(&files));
    Ok(Checked::Node(Box::new(loaded)))
}

pub(crate) fn finish<T>(config: T, notes: Vec<String>, errors: Vec<ConfError>) -> Result<Loaded<T>, Errors> {
    if errors.is_empty() { Ok(Loaded { config, notes }) } else { Err(Errors(errors)) }
}

/// A client's file says who the relays are, or whether the section is its own; no node's file does. The first key that
/// tells, where the file is a client's.
fn client_mark(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let extension = extension(path);
    if extension == "conf" {
        return legacy::is_client(&text).then(|| legacy::CLIENT_KEY.to_owned());
    }
    let said = layers::file(&text, &extension, &Origin::Default).unwrap_or_default();
    let (node, client) = (Table::node(), Table::client());
    let only = |key: &str, mine: &Table, other: &Table| mine.row(key).is_some() && other.row(key).is_none();
    if said.iter().any(|s| s.key == "role" || only(&s.key, &node, &client)) {
        return None;
    }
    said.into_iter().map(|s| s.key).find(|key| only(key, &client, &node))
}

fn unreadable(files: &[(String, String)]) -> Vec<String> {
    files
        .iter()
        .filter_map(|(key, file)| {
            let error = std::fs::File::open(file).err()?;
            Some(format!("{key}: {file} cannot be read here: {error}"))
        })
        .collect()
}

fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

type Translate = fn(&str, Option<&Path>) -> Result<legacy::Translated, Errors>;

/// Everything that the layers say, lowest first.
fn collect(inputs: &Inputs, table: &Table, translate: Translate) -> (Vec<Said>, Vec<String>, Vec<ConfError>) {
    let (mut said, mut notes, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(path) = &inputs.file {
        let origin = Origin::File(path.display().to_string());
        match std::fs::read_to_string(path) {
            Err(error) => errors
                .push(ConfError::Unreadable { path: path.display().to_string(), reason: error.to_string() }),
            Ok(text) if extension(path) == "conf" => match translate(&text, path.parent()) {
                Ok(translated) => {
                    said.extend(layers::pairs(&translated.pairs, &origin));
                    notes.extend(translated.notes);
                }
                Err(found) => errors.extend(found.0),
            },
            Ok(text) => match layers::file(&text, &extension(path), &origin) {
                Ok(found) => said.extend(found),
                Err(error) => errors.push(error),
            },
        }
    }
    said.extend(layers::environment(&inputs.env, table.env_prefix));
    said.extend(layers::pairs(&inputs.flags, &Origin::Flags));
    (said, notes, errors)
}

/// What is left after judging: one value per key, and the keys that were refused.
pub(crate) struct Judged {
    values: BTreeMap<String, Value>,
    pub(crate) refused: BTreeSet<String>,
}

pub(crate) fn judge(table: &Table, said: &[Said], errors: &mut Vec<ConfError>) -> Judged {
    let mut judged = Judged { values: BTreeMap::new(), refused: BTreeSet::new() };
    for one in said {
        match judge_one(table, one) {
            Ok(Some(value)) => {
                judged.values.insert(one.key.clone(), value);
            }
            Ok(None) => {}
            Err(error) => {
                judged.refused.insert(one.key.clone());
                errors.push(error);
            }
        }
    }
    judged
}

/// Judges one key; `None` for an empty group, which says nothing.
pub(crate) fn judge_one(table: &Table, said: &Said) -> Result<Option<Value>, ConfError> {
    let (key, origin) = (said.key.as_str(), said.origin.clone());
    let Some(row) = table.row(key) else {
        if table.is_group(key) {
            return match said.raw {
                Raw::Table => Ok(None),
                _ => Err(ConfError::WrongKind {
                    origin,
                    path: key.to_owned(),
                    value: said.raw.show(),
                    wanted: format!("a table with {}", table.allowed(&format!("{key}.")).join(", ")),
                }),
            };
        }
        return Err(ConfError::UnknownKey {
            origin,
            path: key.to_owned(),
            nearest: table.nearest(key),
            allowed: table.allowed(key),
        });
    };
    if let Some(name) = path_name(key).filter(|name| !is_path_name(name)) {
        return Err(ConfError::WrongKind {
            origin,
            path: key.to_owned(),
            value: format!("the path name {name:?}"),
            wanted: "a name of 1 to 48 lower-case letters, digits, - and single _ between them".to_owned(),
        });
    }
    let shown = || {
        if row.secret { "(hidden)".to_owned() } else { said.raw.show() }
    };
    let path = key.to_owned();
    row.kind.judge(&said.raw).map(Some).map_err(|fault| match fault {
        Fault::Kind(wanted) => ConfError::WrongKind { origin, path, value: shown(), wanted },
        Fault::Range { min, max } => ConfError::OutOfRange { origin, path, value: shown(), min, max },
    })
}

fn path_name(key: &str) -> Option<&str> {
    key.strip_prefix("paths.")?.split_once('.').map(|(name, _)| name)
}

pub(crate) fn is_path_name(name: &str) -> bool {
    // An environment variable must be able to say it: it has no case, and __ stands for the dot.
    crate::value::is_name(name)
        && !name.bytes().any(|b| b.is_ascii_uppercase())
        && !name.contains("__")
        && !name.starts_with('_')
        && !name.ends_with('_')
}

/// Defaults below what was said.
fn resolve(table: &Table, role: Role, judged: &Judged) -> BTreeMap<&'static str, Value> {
    let mut values = table.defaults(role);
    for (key, value) in judged.values.iter().filter(|(key, _)| path_name(key).is_none()) {
        if let Some(row) = table.row(key) {
            values.insert(row.name, value.clone());
        }
    }
    values
}

pub(crate) fn build_node(table: &Table, judged: &Judged, errors: &mut Vec<ConfError>) -> Config {
    let role = judged.values.get("role").and_then(|v| Role::from_word(v.text())).unwrap_or(Role::Family);
    let resolved = resolve(table, role, judged);
    let values = Values(&resolved);
    let paths = build_paths(&resolved, judged);
    let mut config = Config::build(
        &values,
        Section::build(&values),
        Aging::build(&values),
        Journal::build(&values),
        Stream::build(&values),
        Limits::build(&values),
        Tls::build(&values),
        Link::build(&values),
        Log::build(&values),
        Watch::build(&values),
        paths,
    );
    if !judged.values.contains_key("section.value_bytes_max") {
        let fits = config.capacities().into_iter().min().unwrap_or(config.capacity) / 4;
        lower(&mut config.section.value_bytes_max, fits);
    }
    errors.extend(rules::node(&config, &|key| judged.refused.contains(key)));
    config
}

pub(crate) fn build_client(table: &Table, judged: &Judged, errors: &mut Vec<ConfError>) -> ClientConfig {
    let resolved = resolve(table, Role::Family, judged);
    let values = Values(&resolved);
    let mut config = ClientConfig::build(&values, ClientSection::build(&values), Link::build(&values));
    if !judged.values.contains_key("section.value_bytes_max") {
        lower(&mut config.section.value_bytes_max, config.capacity / 4);
    }
    errors.extend(rules::client(&config, &|key| judged.refused.contains(key)));
    config
}

/// A small section lowers the default of the largest value; one that was asked for is judged instead.
fn lower(value_bytes_max: &mut u32, fits: u64) {
    *value_bytes_max = u32::try_from(fits).map_or(*value_bytes_max, |fits| fits.min(*value_bytes_max));
}

/// Every path that was named, each over the defaults of a path, and `auths` for the rest of the keys unless another
/// path takes them.
fn build_paths(defaults: &BTreeMap<&'static str, Value>, judged: &Judged) -> Vec<PathConfig> {
    let mut named: BTreeMap<String, BTreeMap<&'static str, Value>> = BTreeMap::new();
    for (key, value) in &judged.values {
        let Some((name, row_name)) = path_name(key).zip(wildcard(key)) else {
            continue;
        };
        let values = named.entry(name.to_owned()).or_insert_with(|| defaults.clone());
        if let Some(slot) = values.iter_mut().find(|(known, _)| **known == row_name) {
            *slot.1 = value.clone();
        }
    }
    let mut paths: Vec<PathConfig> =
        named.into_iter().map(|(name, values)| PathConfig::build(&Values(&values), name)).collect();
    if !paths.iter().any(|path| path.prefix.is_empty() || path.name == DEFAULT_PATH) {
        paths.push(PathConfig::build(&Values(defaults), DEFAULT_PATH.to_owned()));
    }
    paths.sort_by(|a, b| b.prefix.len().cmp(&a.prefix.len()).then(a.name.cmp(&b.name)));
    paths
}

/// The name of the path of keys that no other path takes, unless the configuration names another.
pub(crate) const DEFAULT_PATH: &str = "auths";
