//! The configuration of gs: every option declared once, loaded in layers, rendered to help and reference.
//!
//! A configuration comes from four layers, each over the one before: the defaults of the role, a file (TOML; YAML
//! and JSON5 by extension; `.conf` is the ancestors' JSON with comments), the environment
//! (`GSCACHE__SECTION__KEY`), and the command line (`--set key=value`, and flags that stand for one key). Every
//! layer is judged by the same table: an unknown key is refused with the names that would be allowed, a value out
//! of its range with the range. All that is wrong is told at once.
//!
//! ```
//! let flags = [("role".to_owned(), "relay".to_owned()), ("capacity".to_owned(), "64mb".to_owned())];
//! let config = gs_conf::load(&gs_conf::Inputs { file: None, env: Vec::new(), flags: flags.to_vec() })?.config;
//! assert_eq!((config.port, config.capacity), (7878, 64 << 20));
//! # Ok::<(), gs_conf::Errors>(())
//! ```
#![forbid(unsafe_code)]

mod client;
mod defaults;
mod derive;
mod error;
mod layers;
pub mod legacy;
mod load;
mod options;
mod redis;
pub mod render;
mod rewrite;
mod row;
mod rules;
mod runtime;
mod size;
mod table;
mod value;
mod words;

pub use client::{ClientConfig, ClientSection};
pub use derive::HTTP_PORT_OFFSET;
pub use error::{ConfError, Errors, Origin};
pub use load::{Checked, Inputs, Loaded, check, load, load_client};
pub use options::{Aging, Config, Journal, Limits, Link, Log, PathConfig, Section, Stream, Tls, Watch};
pub use redis::{SetError, set_all};
pub use rewrite::rewrite;
pub use row::{Alias, Defaults, Form, Kind, Row};
pub use size::{parse_bytes, parse_millis, show_bytes, show_millis};
pub use table::{CLIENT_ENV_PREFIX, ENV_PREFIX, client_rows, rows};
pub use value::Value;
pub use words::{
    Accept, Backing, ClientAuth, Destroy, JournalMode, LogFormat, LogLevel, OnFull, Partition, PortChoice,
    Push, Role, Share, SiblingMode,
};
