//! Configurations without a file: the defaults, and texts of the ancestors given directly.

use crate::client::ClientConfig;
use crate::error::{Errors, Origin};
use crate::layers;
use crate::legacy;
use crate::load::{DEFAULT_PATH, Loaded, build_client, build_node, finish, judge};
use crate::options::{Config, PathConfig};
use crate::table::Table;
use crate::value::Values;
use crate::words::Role;

/// The path of all keys, as it is when nothing is configured.
pub(crate) fn default_path() -> PathConfig {
    let defaults = Table::node().defaults(Role::Family);
    PathConfig::build(&Values(&defaults), DEFAULT_PATH.to_owned())
}

impl Default for Config {
    /// The family, as `gs-server` without arguments runs it.
    fn default() -> Config {
        Config::of_role(Role::Family)
    }
}

impl Config {
    /// A role with nothing configured.
    #[must_use]
    pub fn of_role(role: Role) -> Config {
        let said = [("role".to_owned(), role.word().to_owned())];
        let table = Table::node();
        let mut errors = Vec::new();
        let judged = judge(&table, &layers::pairs(&said, &Origin::Default), &mut errors);
        build_node(&table, &judged, &mut errors)
    }
}

impl Default for ClientConfig {
    fn default() -> ClientConfig {
        let (table, mut errors) = (Table::client(), Vec::new());
        let judged = judge(&table, &[], &mut errors);
        build_client(&table, &judged, &mut errors)
    }
}

/// A translated ancestor's configuration, with nothing over it.
pub(crate) fn finish_legacy_node(translated: legacy::Translated) -> Result<Loaded, Errors> {
    let (table, mut errors) = (Table::node(), Vec::new());
    let judged = judge(&table, &layers::pairs(&translated.pairs, &legacy_origin()), &mut errors);
    let config = build_node(&table, &judged, &mut errors);
    finish(config, translated.notes, errors)
}

/// The same for a front end's.
pub(crate) fn finish_legacy_client(translated: legacy::Translated) -> Result<Loaded<ClientConfig>, Errors> {
    let (table, mut errors) = (Table::client(), Vec::new());
    let judged = judge(&table, &layers::pairs(&translated.pairs, &legacy_origin()), &mut errors);
    let config = build_client(&table, &judged, &mut errors);
    finish(config, translated.notes, errors)
}

fn legacy_origin() -> Origin {
    Origin::File("the configuration".to_owned())
}
