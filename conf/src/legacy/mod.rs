//! The ancestors' configurations: JSON with comments, read unchanged.
//!
//! `global_session` chose what a process is by a field (`edge_supported_relay`, `half_edge`, `full_edge`), sized its
//! tables by `record_size` and `el_count`, and found peers by `port` and `address`. Each of its fields is in
//! [`FIELDS`]: honoured by an option of ours, or named as having no meaning here. Nothing is refused as unknown.

mod fields;
mod net;
mod out;
mod text;
mod translate;

use std::path::Path;

pub use fields::{FIELDS, Field, Meaning};

use crate::client::ClientConfig;
use crate::defaults::{finish_legacy_client, finish_legacy_node};
use crate::error::Errors;
use crate::load::Loaded;
use crate::options::Config;

/// A file in our keys.
pub(crate) struct Translated {
    pub(crate) pairs: Vec<(String, String)>,
    pub(crate) notes: Vec<String>,
}

/// Loads a server's configuration from its text. A sibling's file that it names is not read ([`crate::load`] of a
/// path with the extension `conf` reads it).
pub fn load(text: &str) -> Result<Loaded<Config>, Errors> {
    finish_legacy_node(translate_node(text, None)?)
}

/// Loads a front end's configuration: the object with `lru` and the message relay.
pub fn load_client(text: &str) -> Result<Loaded<ClientConfig>, Errors> {
    finish_legacy_client(translate_client(text, None)?)
}

/// What only a front end's configuration has.
pub(crate) const CLIENT_KEY: &str = "my_messages";

/// True when the text is a front end's configuration rather than a server's.
#[must_use]
pub fn is_client(text: &str) -> bool {
    text::parse(text).is_ok_and(|(value, _)| value.get(CLIENT_KEY).is_some())
}

pub(crate) fn translate_node(text: &str, directory: Option<&Path>) -> Result<Translated, Errors> {
    let (value, notes) = text::parse(text)?;
    Ok(translate::node(&value, notes, directory))
}

pub(crate) fn translate_client(text: &str, _directory: Option<&Path>) -> Result<Translated, Errors> {
    let (value, notes) = text::parse(text)?;
    Ok(translate::client(&value, notes))
}
