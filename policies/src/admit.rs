//! What may come in, and what happens to a write that finds no room.

/// Whether a value of this size may be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// It may.
    Accept,
    /// It is larger than a value may be; it is refused with both numbers, never cut short.
    TooLarge {
        /// Bytes offered.
        len: u64,
        /// Bytes allowed.
        max: u64,
    },
}

/// Judges a value's length against the limit.
#[must_use]
pub fn admit(len: u64, max: u64) -> Admit {
    if len <= max { Admit::Accept } else { Admit::TooLarge { len, max } }
}

/// What a full owner does (`section.on_full`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFull {
    /// `Relief` where a relief has joined, else `Drop`: a lone relay behaves as a cache with an eviction policy.
    #[default]
    Auto,
    /// Records leave only by hand-off; a write that finds no room waits, then is refused.
    Relief,
    /// Records may be dropped to make room; every drop is counted.
    Drop,
}

/// What a writer that found no room does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// Wait this long at most for the demoter, then ask again.
    Wait {
        /// Milliseconds of the bound that are left.
        left_ms: u64,
    },
    /// Drop the worst records and count them.
    Drop,
    /// Answer out of memory.
    Refuse,
}

/// The full decision: who is there to take victims, how long the writer has waited, how long it may.
#[must_use]
pub fn on_full(mode: OnFull, relief_joined: bool, waited_ms: u64, wait_ms_max: u64) -> Full {
    let drop = match mode {
        OnFull::Drop => true,
        OnFull::Auto => !relief_joined,
        OnFull::Relief => false,
    };
    if drop {
        return Full::Drop;
    }
    // Without a relief nobody will make room however long one waits, except deletes and expiry.
    match wait_ms_max.saturating_sub(waited_ms) {
        0 => Full::Refuse,
        _ if !relief_joined => Full::Refuse,
        left_ms => Full::Wait { left_ms },
    }
}
