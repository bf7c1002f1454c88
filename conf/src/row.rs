//! What the table of options says about one option, and the macro that declares options and fields in one place.

use crate::Role;

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its dotted name. `*` stands for a name the user chooses (`paths.*.prefix`).
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Its value unless configured, as one would write it.
    pub default: Defaults,
    /// The command-line flag that sets it, if one does (`--set NAME=VALUE` always can).
    pub flag: Option<&'static str>,
    /// Whether `CONFIG SET` may change it in a running node.
    pub runtime: bool,
    /// The Redis name under which `CONFIG GET` shows it as well.
    pub redis: Option<Alias>,
    /// A secret: its value is never shown, logged or echoed in an error.
    pub secret: bool,
    /// What it is for.
    pub doc: &'static str,
}

/// What an option takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any text.
    Text,
    /// Text that must not be empty, without blanks: a host, an address, a name.
    Word,
    /// A name that becomes part of file names: letters, digits, `-` and `_`, 1 to 48 characters.
    Name,
    /// `HOST:PORT`.
    Endpoint,
    /// Several `HOST:PORT`, as an array or separated by commas.
    Endpoints,
    /// true or false.
    Bool,
    /// A whole number.
    Integer {
        /// Least.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// A number of milliseconds; the units ms, s, m, h, d may be written.
    Millis {
        /// Least.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// A number of bytes; Redis's units may be written (1k = 1000, 1kb = 1024, ...).
    Bytes {
        /// Least.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// A number of bytes as in [`Kind::Bytes`], or a share of the capacity as in `5%`.
    Share {
        /// Most bytes.
        max: i64,
    },
    /// A port, 0 for a free one.
    Port,
    /// A port, or a word: `off`, and where `auto` is true also `auto`.
    PortOr {
        /// Whether `auto` may be written.
        auto: bool,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl Kind {
    /// The unit of its number, for people; empty where there is none.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        match self {
            Kind::Millis { .. } => "ms",
            Kind::Bytes { .. } => "bytes",
            _ => "",
        }
    }
}

/// The default per role.
#[derive(Clone, Copy, Debug)]
pub struct Defaults([&'static str; Role::COUNT]);

impl Defaults {
    /// The same for every role.
    #[must_use]
    pub const fn all(value: &'static str) -> Defaults {
        Defaults([value; Role::COUNT])
    }

    /// Per role: family, relay, sibling, relief-expansion, relief-aging.
    #[must_use]
    pub const fn per(values: [&'static str; Role::COUNT]) -> Defaults {
        Defaults(values)
    }

    /// The default of a role.
    #[must_use]
    pub fn of(&self, role: Role) -> &'static str {
        self.0[role as usize]
    }

    /// The one default of all roles, if they agree.
    #[must_use]
    pub fn common(&self) -> Option<&'static str> {
        self.0.iter().all(|v| *v == self.0[0]).then_some(self.0[0])
    }
}

/// A Redis name for an option, and how the value is written under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alias {
    /// Redis's name.
    pub name: &'static str,
    /// How Redis writes the value.
    pub form: Form,
}

/// How Redis writes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Same,
    /// In seconds where we have milliseconds.
    Seconds,
    /// `noeviction` or `allkeys-lru` for what a full section does.
    Eviction,
    /// Never shown; `""` when unset.
    Secret,
    /// A port; 0 when off.
    Port,
    /// `yes` or `no`.
    YesNo,
    /// Redis's own words for how much is logged.
    LogLevel,
}

/// An alias with the value as it is.
pub(crate) const fn alias(name: &'static str) -> Option<Alias> {
    alias_as(name, Form::Same)
}

/// An alias with another form of the value.
pub(crate) const fn alias_as(name: &'static str, form: Form) -> Option<Alias> {
    Some(Alias { name, form })
}

/// What most rows have.
pub(crate) const fn row(kind: Kind, default: &'static str) -> Row {
    row_per(kind, [default; Role::COUNT])
}

/// A row whose default differs by role.
pub(crate) const fn row_per(kind: Kind, default: [&'static str; Role::COUNT]) -> Row {
    Row {
        name: "",
        kind,
        default: Defaults::per(default),
        flag: None,
        runtime: false,
        redis: None,
        secret: false,
        doc: "",
    }
}

impl Row {
    pub(crate) const fn flag(self, flag: &'static str) -> Row {
        Row { flag: Some(flag), ..self }
    }
    pub(crate) const fn runtime(self) -> Row {
        Row { runtime: true, ..self }
    }
    pub(crate) const fn redis(self, redis: Option<Alias>) -> Row {
        Row { redis, ..self }
    }
    pub(crate) const fn secret(self) -> Row {
        Row { secret: true, ..self }
    }
    pub(crate) const fn named(self, name: &'static str, doc: &'static str) -> Row {
        Row { name, doc, ..self }
    }

    /// The environment variable that sets it. `<NAME>` stands for a name the user chooses.
    #[must_use]
    pub fn env(&self, prefix: &str) -> String {
        format!("{prefix}__{}", self.name.replace('*', "<NAME>").replace('.', "__").to_uppercase())
    }
}

/// Declares a group of options: from each field with its doc comment and its row follow the public field, the line
/// of the table, the decoding, and the showing. An option cannot have one without the others.
macro_rules! group {
    (
        $(#[doc = $group_doc:literal])*
        pub struct $group:ident in $prefix:literal {
            $( $(#[doc = $doc:literal])+ $field:ident : $type:ty = $row:expr; )*
        }
        $( with { $( $(#[doc = $part_doc:literal])+ $part:ident : $part_type:ty, )* } )?
    ) => {
        $(#[doc = $group_doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $group {
            $( $(#[doc = $doc])+ pub $field: $type, )*
            $( $( $(#[doc = $part_doc])+ pub $part: $part_type, )* )?
        }

        impl std::fmt::Debug for $group {
            /// By hand, because a configuration is what one logs when something is odd, and it holds passwords.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut values = Vec::new();
                self.show(&mut values);
                let mut shown = f.debug_struct(stringify!($group));
                for (row, value) in Self::ROWS.iter().zip(&values) {
                    let name = row.name.rsplit('.').next().unwrap_or(row.name);
                    let text = if row.secret { $crate::render::hide(value) } else { value.show() };
                    shown.field(name, &format_args!("{text}"));
                }
                $( $( shown.field(stringify!($part), &self.$part); )* )?
                shown.finish()
            }
        }

        impl $group {
            /// The options declared here.
            pub(crate) const ROWS: &'static [$crate::row::Row] = &[
                $( $row.named(concat!($prefix, stringify!($field)), concat!($($doc),+)), )*
            ];

            /// Decodes the fields from values that the table has judged; parts come already built.
            #[allow(clippy::too_many_arguments)]
            pub(crate) fn build(
                values: &$crate::value::Values<'_>
                $( $(, $part: $part_type)* )?
            ) -> $group {
                $group {
                    $( $field: values.decode(concat!($prefix, stringify!($field))), )*
                    $( $( $part, )* )?
                }
            }

            /// The value of every field, in the order of the table.
            pub(crate) fn show(&self, out: &mut Vec<$crate::value::Value>) {
                $( out.push($crate::value::Encode::encode(&self.$field)); )*
            }

            /// Assigns one field by its dotted name; false when no field has it. (A group may have none that changes.)
            #[allow(dead_code)]
            pub(crate) fn assign(&mut self, name: &str, value: &$crate::value::Value) -> bool {
                match name {
                    $( concat!($prefix, stringify!($field)) => {
                        self.$field = $crate::value::Decode::decode(value);
                        true
                    } )*
                    _ => false,
                }
            }
        }
    };
}
pub(crate) use group;

/// Declares a type with a fixed set of words.
macro_rules! choice {
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident { $( $(#[doc = $case_doc:literal])+ $case:ident = $word:literal, )+ }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $( $(#[doc = $case_doc])+ $case, )+ }

        impl $name {
            /// The words, in the order of the cases.
            pub const WORDS: &'static [&'static str] = &[$($word),+];
            /// The cases.
            pub const ALL: &'static [$name] = &[$($name::$case),+];
            /// The word for this case.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $( $name::$case => $word, )+ }
            }
            /// The case for a word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<$name> {
                match word { $( $word => Some($name::$case), )+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }

        impl $crate::value::Decode for $name {
            fn decode(value: &$crate::value::Value) -> $name {
                // Judged by the table before: the first case stands in for what cannot be.
                $name::from_word(value.text()).unwrap_or($name::ALL[0])
            }
        }

        impl $crate::value::Encode for $name {
            fn encode(&self) -> $crate::value::Value {
                $crate::value::Value::Text(self.word().to_owned())
            }
        }
    };
}
pub(crate) use choice;
