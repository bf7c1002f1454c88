//! What there is, and what is on its way.

/// What is still to happen of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    pub(crate) sets: u8,
    pub(crate) deletes: u8,
    pub(crate) demotions: u8,
    pub(crate) passes: u8,
    pub(crate) lookups: u8,
    /// Copies that a relief loses by itself, as by expiry; with them nothing is judged lost.
    pub(crate) drops: u8,
}

/// Defences taken away, to see that they are needed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Without {
    /// `GS.RELOCATE` says of a copy it never heard of that nobody reads it.
    pub(crate) doubt_of_the_unheard: bool,
    /// `GS.DROPPED` of a copy that is not listed is not remembered.
    pub(crate) memory_of_the_dropped: bool,
    /// A copy that is found is kept without asking whether it still is the one to be read.
    pub(crate) second_look_at_the_found: bool,
    /// What a relief took is told in any order, not as it was stored.
    pub(crate) order_of_reports: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Here {
    pub(super) version: u64,
    /// Which incarnation of the record: a hand-off frees exactly the one it took.
    pub(super) turn: u64,
    pub(super) evicting: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Relief {
    /// Version and number of its copy.
    pub(super) copy: Option<(u64, u64)>,
    pub(super) numbers: u64,
    /// Versions below are refused.
    pub(super) floor: u64,
}

impl Relief {
    /// `relief::put`: the number of the copy, if it was taken.
    pub(super) fn put(&mut self, version: u64) -> Option<u64> {
        if version < self.floor || self.copy.is_some_and(|(held, _)| held > version) {
            return None;
        }
        self.numbers += 1;
        self.copy = Some((version, self.numbers));
        Some(self.numbers)
    }

    pub(super) fn drop_copy(&mut self, number: u64) {
        self.copy = self.copy.filter(|(_, held)| *held != number);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Order {
    /// A tombstone or a floor: older versions go and are refused.
    Below(u64),
    Drop(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Message {
    Put { to: usize, version: u64, turn: u64 },
    Moved { to: usize, version: u64, copy: u64, turn: u64 },
    Withdraw { to: usize, copy: u64, turn: u64 },
    Abort { turn: u64 },
    Pass { version: u64, old: u64 },
    Relocate { version: u64, old: u64, new: u64 },
    Unpass { old: u64, new: u64, answer: i64 },
    Passed { old: u64, answer: i64 },
    Fetch { from: usize, listed: u64, fence: u64 },
    Fetched { from: usize, listed: u64, fence: u64, found: Option<(u64, u64)> },
    Dropped { from: usize, copy: u64 },
    Obeyed { by: usize, listed: u64 },
}

/// A copy as the directory lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) node: usize,
    pub(super) version: u64,
    pub(super) copy: u64,
    pub(super) shadow: bool,
}
