//! What can be wrong with a configuration. Every error names the key's path, where it was said, and the way out.

use std::fmt;

/// Where a value was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file, by its path (or what stands for it).
    File(String),
    /// The environment.
    Environment,
    /// The command line.
    Flags,
    /// `CONFIG SET` or `GS.AGE POLICY`.
    Command,
    /// Nobody said it: the default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path) => f.write_str(path),
            Origin::Environment => f.write_str("environment"),
            Origin::Flags => f.write_str("command line"),
            Origin::Command => f.write_str("command"),
            Origin::Default => f.write_str("defaults"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfError {
    /// The file cannot be read.
    #[error("{path}: cannot be read: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// A node was given the file of a front end.
    #[error(
        "{path}: this is a file of a front end (it has {key}), not of a server; programs load it that use gs-client"
    )]
    ClientFile {
        /// The file.
        path: String,
        /// What only a front end's file has.
        key: String,
    },
    /// The file is not in its format.
    #[error("{origin}: not valid {format}: {reason}")]
    Syntax {
        /// The file.
        origin: Origin,
        /// The format its name asks for.
        format: &'static str,
        /// What the parser said, with the place.
        reason: String,
    },
    /// No option has this name.
    #[error("{origin}: {path}: no such option{}; allowed here: {}", did_you_mean(.nearest), .allowed.join(", "))]
    UnknownKey {
        /// Where it was said.
        origin: Origin,
        /// The key's path.
        path: String,
        /// The option that looks most like it.
        nearest: Option<String>,
        /// Every name that this place allows.
        allowed: Vec<String>,
    },
    /// The value is not of the option's kind.
    #[error("{origin}: {path}: {value} is not possible; give {wanted}")]
    WrongKind {
        /// Where it was said.
        origin: Origin,
        /// The key's path.
        path: String,
        /// The value, as it was given (a secret's is hidden).
        value: String,
        /// What would be possible.
        wanted: String,
    },
    /// The number is out of its range.
    #[error("{origin}: {path}: {value} is out of range; give a value from {min} to {max}")]
    OutOfRange {
        /// Where it was said.
        origin: Origin,
        /// The key's path.
        path: String,
        /// The value, as it was given.
        value: String,
        /// The least possible, as people write it.
        min: String,
        /// The largest possible.
        max: String,
    },
    /// Two options contradict each other.
    #[error("{path}: {reason}")]
    Conflict {
        /// The key to change.
        path: String,
        /// What contradicts what, and the way out.
        reason: String,
    },
    /// The option exists but cannot change while the node runs.
    #[error("{path}: cannot change while the node runs; set it in the file and restart. These can: {}", .settable.join(", "))]
    NotAtRuntime {
        /// The key's path.
        path: String,
        /// The options that can.
        settable: Vec<String>,
    },
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!(" (did you mean {name}?)")).unwrap_or_default()
}

/// Everything that is wrong, not the first thing only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(
    /// At least one.
    pub Vec<ConfError>,
);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

impl From<ConfError> for Errors {
    fn from(error: ConfError) -> Self {
        Errors(vec![error])
    }
}

/// What a parser said, in one line and without the line of the file that it shows: that may hold a password.
pub(crate) fn without_source(said: &str) -> String {
    let kept: Vec<&str> = said
        .lines()
        .filter(|line| !line.contains('|'))
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    kept.join("; ")
}
