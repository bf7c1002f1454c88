//! What happens to a site while it is at work.

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A front end's machine is gone; its users are sent to the others.
    FrontLost {
        /// Which.
        front: usize,
    },
    /// A relay does not answer for a while and comes back with its section.
    RelayAway {
        /// Which.
        relay: usize,
        /// How long.
        for_ms: u64,
    },
    /// A relay's machine is replaced by an empty one of the same name; its reliefs report what they hold.
    RelayReplaced {
        /// Which.
        relay: usize,
        /// Until the new one answers.
        for_ms: u64,
    },
    /// A relay and its reliefs are taken off every list.
    RelayUnlisted {
        /// Which.
        relay: usize,
    },
    /// A relay with reliefs of its own is put on every list.
    RelayAdded,
    /// A relief does not answer for a while and comes back with its section.
    ReliefAway {
        /// Its relay.
        relay: usize,
        /// Its place in the family.
        relief: usize,
        /// How long.
        for_ms: u64,
    },
    /// A relief is gone for good and given up.
    ReliefLost {
        /// Its relay.
        relay: usize,
        /// Its place in the family.
        relief: usize,
    },
    /// Another aging node joins.
    ReliefAdded {
        /// Its relay.
        relay: usize,
    },
    /// A front end's machine is added; new users come to it, too.
    FrontAdded,
}
