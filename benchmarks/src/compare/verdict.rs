//! What is said of a promise: kept, not kept, or nothing, because others used the cores meanwhile.

use std::fmt;

/// What others may use of the cores, in per cent, before a figure is not judged. Runs that are compared take turns, so
/// that the kernel's own few per cent meet all of them; what builds or tests take is another matter.
pub const DISTURBED_PCT: f64 = 5.0;

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Kept.
    Pass,
    /// Not kept.
    NotMet,
    /// Others used so much of the cores, in per cent: neither is known.
    Disturbed(f64),
}

impl Verdict {
    /// Of a value that may be `most` at most, measured while others used `others_pct` of the cores; `None` where that
    /// was not asked.
    pub fn of(value: f64, most: f64, others_pct: Option<f64>) -> Verdict {
        match others_pct {
            Some(others) if others > DISTURBED_PCT => Verdict::Disturbed(others),
            // A value that is no number keeps nothing.
            _ if value <= most => Verdict::Pass,
            _ => Verdict::NotMet,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Pass => f.write_str("pass"),
            Verdict::NotMet => f.write_str("NOT MET"),
            Verdict::Disturbed(others) => {
                write!(f, "disturbed: others {others:.1} % (judged up to {DISTURBED_PCT:.0} %)")
            }
        }
    }
}
