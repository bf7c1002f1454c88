//! The numbers an operator may turn: in the configuration as `aging.NAME`, at run time by `GS.AGE POLICY name value`.
//!
//! Each is declared once, in [`PARAMS`]; the configuration takes its ranges and defaults from here.

use core::fmt;

use crate::age::AgeParams;
use crate::pressure::PressureParams;

/// One parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name, unit last.
    pub name: &'static str,
    /// Least value allowed.
    pub min: u64,
    /// Largest value allowed.
    pub max: u64,
    /// Value unless configured.
    pub default: u64,
    /// What it is for, in one line.
    pub doc: &'static str,
}

/// Number of parameters.
pub const COUNT: usize = 6;

const HOUR_MS: u64 = 3_600_000;

/// Every parameter, once.
pub const PARAMS: [Param; COUNT] = [
    Param {
        name: "aged_after_ms",
        min: 0,
        max: 365 * 24 * HOUR_MS,
        default: HOUR_MS,
        doc: "A victim at least this old goes to an aging node, a younger one to an expansion node.",
    },
    Param {
        name: "worth_moving_ms",
        min: 0,
        max: HOUR_MS,
        default: 0,
        doc: "A victim with less life left than this is let go instead of moved; 0 moves every one.",
    },
    Param {
        name: "free_target_pct",
        min: 1,
        max: 50,
        default: 3,
        doc: "Room kept free ahead of demand, in percent of the section.",
    },
    Param {
        name: "hand_back_below_pct",
        min: 0,
        max: 95,
        default: 70,
        doc: "An expansion node hands back while the relay's section is filled less than this; 0 never.",
    },
    Param { name: "batch", min: 1, max: 10_000, default: 256, doc: "Records moved in one step at most." },
    Param {
        name: "interval_ms",
        min: 1,
        max: 60_000,
        default: 20,
        doc: "Pause between two steps of moving records while there is nothing urgent.",
    },
];

/// A value for every parameter; always within the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    values: [u64; COUNT],
}

/// Why a parameter was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamError {
    /// No such name.
    Unknown,
    /// The value is outside the limits.
    OutOfRange {
        /// The parameter.
        param: Param,
        /// What was asked for.
        value: u64,
    },
}

impl fmt::Display for ParamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParamError::Unknown => {
                f.write_str("no such parameter; there are:")?;
                PARAMS.iter().try_for_each(|p| write!(f, " {}", p.name))
            }
            ParamError::OutOfRange { param, value } => write!(
                f,
                "{} cannot be {value}: give a number from {} to {}",
                param.name, param.min, param.max
            ),
        }
    }
}

impl core::error::Error for ParamError {}

impl Params {
    /// The defaults of [`PARAMS`].
    pub const DEFAULT: Params = {
        let mut values = [0; COUNT];
        let mut i = 0;
        while i < COUNT {
            values[i] = PARAMS[i].default;
            i += 1;
        }
        Params { values }
    };

    /// The value of a parameter by name (any case).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u64> {
        position(name).map(|i| self.values[i])
    }

    /// Sets a parameter by name (any case), within its limits.
    pub fn set(&mut self, name: &str, value: u64) -> Result<(), ParamError> {
        let i = position(name).ok_or(ParamError::Unknown)?;
        let param = PARAMS[i];
        if value < param.min || value > param.max {
            return Err(ParamError::OutOfRange { param, value });
        }
        self.values[i] = value;
        Ok(())
    }

    /// Name and value of every parameter, in the order of [`PARAMS`].
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        PARAMS.iter().zip(self.values).map(|(p, v)| (p.name, v))
    }

    /// The routing part.
    #[must_use]
    pub fn age(&self) -> AgeParams {
        AgeParams { aged_after_ms: self.values[0], worth_moving_ms: self.values[1] }
    }

    /// The pressure part.
    #[must_use]
    pub fn pressure(&self) -> PressureParams {
        // The limits above keep the percentages and the batch within their types.
        PressureParams {
            free_target_pct: u8::try_from(self.values[2]).unwrap_or(u8::MAX),
            hand_back_below_pct: u8::try_from(self.values[3]).unwrap_or(u8::MAX),
            batch: u32::try_from(self.values[4]).unwrap_or(u32::MAX),
        }
    }

    /// Records moved in one step at most.
    #[must_use]
    pub fn batch(&self) -> u32 {
        self.pressure().batch
    }

    /// Pause between two steps, milliseconds.
    #[must_use]
    pub fn interval_ms(&self) -> u64 {
        self.values[5]
    }
}

impl Default for Params {
    fn default() -> Self {
        Params::DEFAULT
    }
}

fn position(name: &str) -> Option<usize> {
    PARAMS.iter().position(|p| p.name.eq_ignore_ascii_case(name))
}
