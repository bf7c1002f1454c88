//! What a connection holds, told to the node's books when it changed.

use super::Serving;
use crate::core::holdings::{relieve, whole_pages};
use crate::io::pipe::Stream;
use std::sync::atomic::Ordering;

impl<S: Stream> Serving<S> {
    /// Tells how much this connection holds if that changed; `input` are the bytes of its input buffer, wherever that
    /// is now. False when the connection has to end, because all hold too much and it holds most.
    #[inline]
    pub(super) fn tell_holdings(&mut self, input: usize) -> bool {
        (self.held(input) == self.told && self.session.node.holdings.is_calm()) || self.tell_anew(input)
    }

    #[inline]
    fn held(&self, input: usize) -> usize {
        let conn = &self.session.conn;
        if conn.is_peer || conn.follow.is_some() {
            // The links of the family are few and have bounds of their own.
            return 0;
        }
        let multi = conn.multi.as_ref().map_or(0, |multi| multi.bytes);
        whole_pages(input + self.pipe.out.capacity() + conn.scratch.capacity() + multi)
    }

    #[cold]
    fn tell_anew(&mut self, mut input: usize) -> bool {
        let node = self.session.node.clone();
        self.note(input);
        if self.told > 0 && !node.holdings.is_calm() {
            // What a buffer could take and does not hold is not what anybody should be closed for.
            let own = self.pipe.input.capacity();
            self.pipe.shrink();
            self.session.conn.scratch = Vec::new();
            input -= own - self.pipe.input.capacity();
            self.note(input);
        }
        relieve(&node);
        !self.killed()
    }

    fn note(&mut self, input: usize) {
        let held = self.held(input);
        if held != self.told {
            let info = &self.session.conn.info;
            self.told = held;
            self.session.node.holdings.tell(&info.held, held);
            info.input_room.store(input.saturating_sub(self.pipe.input.len()), Ordering::Relaxed);
            info.facts.out_room.store(self.pipe.out.capacity(), Ordering::Relaxed);
        }
    }
}
