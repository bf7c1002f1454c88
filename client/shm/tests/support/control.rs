//! The control word as the explicit-state models see it.
#![allow(dead_code, reason = "each model takes its part")]

/// States of a block; each model has those that its mode knows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum St {
    Free,
    Writing,
    Pending,
    Live,
    Dead,
    Evicting,
    Leaving,
    Continuation,
}

impl St {
    pub(crate) fn readable(self) -> bool {
        matches!(self, St::Live | St::Evicting | St::Leaving)
    }
}

/// Everything that one CAS of a control word compares.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Ctl {
    pub(crate) st: St,
    pub(crate) owner: u8,
    pub(crate) generation: u8,
}
