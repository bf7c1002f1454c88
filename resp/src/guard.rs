//! Where a peer's reply ends, found without recursion, within bounds, without reading a byte twice.
//!
//! A peer is another process and may be broken or hostile: nothing it sends is decoded before it has passed
//! here. Values of RESP2 and of RESP3 are understood; RESP3's streamed forms (`$?`, `*?`) are refused.

use crate::scan::{Aggregate, Item, item};

/// The deepest nesting any bound may allow: the guard's memory.
const DEPTH_CAP: usize = 32;

/// Bounds on one reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardLimits {
    /// Aggregates inside each other; above 32 means 32.
    pub depth_max: usize,
    /// Values in the whole reply, those inside aggregates included.
    pub elements_max: usize,
    /// The longest string in bytes.
    pub bulk_bytes_max: usize,
    /// The whole reply in bytes.
    pub reply_bytes_max: usize,
}

impl GuardLimits {
    /// What one node believes of another.
    pub const DEFAULT: GuardLimits = GuardLimits {
        depth_max: DEPTH_CAP,
        elements_max: 1 << 20,
        bulk_bytes_max: 512 << 20,
        reply_bytes_max: 1 << 30,
    };
}

impl Default for GuardLimits {
    fn default() -> Self {
        GuardLimits::DEFAULT
    }
}

/// Why bytes are no reply. The stream has lost its place: close the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// No type starts with this byte, or only a streamed one.
    #[error("the peer sent a reply of unknown type 0x{0:02x}")]
    UnknownType(u8),
    /// A length or count is no number, or negative where it may not be.
    #[error("the peer sent a reply with an invalid length")]
    Length,
    /// CR LF is missing where the length says it must be.
    #[error("the peer sent a reply without its line end")]
    Terminator,
    /// A line without an end.
    #[error("the peer sent a reply line over the limit")]
    LineTooLong,
    /// A string over the limit.
    #[error("the peer sent a string over the limit")]
    BulkTooLong,
    /// The reply as a whole is over the limit.
    #[error("the peer sent a reply over the limit")]
    ReplyTooLong,
    /// Too many values.
    #[error("the peer sent a reply with too many values")]
    TooManyElements,
    /// Aggregates too deep inside each other.
    #[error("the peer sent a reply nested too deep")]
    TooDeep,
}

/// Finds the end of one reply after another in a growing buffer.
#[derive(Clone, Debug)]
pub struct ReplyGuard {
    limits: GuardLimits,
    pos: usize,
    scanned: usize,
    /// Values seen or promised by a head.
    elements: usize,
    /// For each open aggregate, how many values it still needs.
    open: [u32; DEPTH_CAP],
    depth: usize,
    done: bool,
}

impl Default for ReplyGuard {
    fn default() -> Self {
        ReplyGuard::new()
    }
}

impl ReplyGuard {
    /// With [`GuardLimits::DEFAULT`].
    pub fn new() -> Self {
        ReplyGuard::with_limits(GuardLimits::DEFAULT)
    }

    /// With other bounds.
    pub fn with_limits(limits: GuardLimits) -> Self {
        ReplyGuard { limits, pos: 0, scanned: 0, elements: 0, open: [0; DEPTH_CAP], depth: 0, done: false }
    }

    /// Looks for the end of the reply that starts at `buf[0]`, going on where the last call stopped. Returns
    /// its length once it is all there; then cut it and call again for the next. Until then the buffer may only grow.
    ///
    /// # Errors
    /// A [`GuardError`] ends the stream; calling again afterwards starts over at `buf[0]`.
    pub fn advance(&mut self, buf: &[u8]) -> Result<Option<usize>, GuardError> {
        if self.done {
            *self = ReplyGuard::with_limits(self.limits);
        }
        let found = self.step(buf);
        self.done = !matches!(found, Ok(None));
        found
    }

    fn step(&mut self, buf: &[u8]) -> Result<Option<usize>, GuardError> {
        loop {
            let Some(item) = item(buf, self.pos, &mut self.scanned, &self.limits)? else {
                let too_long = buf.len() > self.limits.reply_bytes_max;
                return if too_long { Err(GuardError::ReplyTooLong) } else { Ok(None) };
            };
            match item {
                Item::Scalar { end } => {
                    self.pos = end;
                    self.close_full();
                }
                Item::Aggregate { kind, children, end } => {
                    self.pos = end;
                    self.open(kind, children)?;
                }
            }
            if self.pos > self.limits.reply_bytes_max {
                return Err(GuardError::ReplyTooLong);
            }
            if self.depth == 0 {
                return Ok(Some(self.pos));
            }
        }
    }

    fn open(&mut self, kind: Aggregate, children: usize) -> Result<(), GuardError> {
        // An attribute stands before a value and does not take its place: it needs that value as well.
        let children = children.saturating_add(usize::from(kind == Aggregate::Attribute));
        self.elements = self.elements.saturating_add(children);
        if self.elements > self.limits.elements_max {
            return Err(GuardError::TooManyElements);
        }
        if children == 0 {
            self.close_full();
            return Ok(());
        }
        if self.depth == self.limits.depth_max.min(DEPTH_CAP) {
            return Err(GuardError::TooDeep);
        }
        self.open[self.depth] = u32::try_from(children).map_err(|_| GuardError::TooManyElements)?;
        self.depth += 1;
        Ok(())
    }

    /// A value is complete: so may be the aggregates that it was the last of.
    fn close_full(&mut self) {
        while let Some(innermost) = self.depth.checked_sub(1) {
            self.open[innermost] -= 1;
            if self.open[innermost] > 0 {
                return;
            }
            self.depth = innermost;
        }
    }
}
