//! Changing a running node's options: `GS.AGE POLICY` and `CONFIG SET`.

use crate::error::{ConfError, Origin};
use crate::layers::Said;
use crate::load::judge_one;
use crate::options::{Aging, Config, Limits, Log, Watch};
use crate::row::{Form, Row};
use crate::table::{Table, rows};
use crate::value::{Raw, Value};

impl Config {
    /// Changes one option that may change while the node runs, by its name or its Redis name (any case).
    ///
    /// The caller acts on the new configuration; nothing here is in force by itself.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), ConfError> {
        let (row, form) = find(name)?;
        if !row.runtime {
            return Err(ConfError::NotAtRuntime {
                path: name.to_owned(),
                settable: rows().filter(|row| row.runtime).map(|row| row.name.to_owned()).collect(),
            });
        }
        // Redis's name may have Redis's unit; an empty text then falls through and is refused as what it is.
        let text = match form {
            Form::YesNo => if text == "yes" { "true" } else { "false" }.to_owned(),
            Form::LogLevel => crate::redis::own_log_level(text).to_owned(),
            Form::Seconds if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() => {
                format!("{text}s")
            }
            _ => text.to_owned(),
        };
        let said = Said { key: row.name.to_owned(), raw: Raw::Text(text), origin: Origin::Command };
        if let Some(value) = judge_one(&Table::node(), &said)? {
            self.assign_anywhere(row.name, &value);
        }
        Ok(())
    }

    /// Only groups with an option that may change at run time are asked (a test tries every such option).
    fn assign_anywhere(&mut self, name: &str, value: &Value) -> bool {
        self.assign(name, value)
            || Aging::assign(&mut self.aging, name, value)
            || Limits::assign(&mut self.limits, name, value)
            || Log::assign(&mut self.log, name, value)
            || Watch::assign(&mut self.watch, name, value)
    }
}

/// A row by its own or its Redis name, and how the value is written under that name.
pub(crate) fn find(name: &str) -> Result<(&'static Row, Form), ConfError> {
    for row in rows() {
        if row.name.eq_ignore_ascii_case(name) {
            return Ok((row, Form::Same));
        }
        if let Some(alias) = row.redis.filter(|alias| alias.name.eq_ignore_ascii_case(name)) {
            return Ok((row, alias.form));
        }
    }
    let table = Table::node();
    Err(ConfError::UnknownKey {
        origin: Origin::Command,
        path: name.to_owned(),
        nearest: table.nearest(&name.to_ascii_lowercase()),
        allowed: table.allowed(&name.to_ascii_lowercase()),
    })
}
