//! What a relief took is told to the relay in the order in which it was stored.
//!
//! A relief that is given a version again stores it anew, under a new number, and has only that copy. Were the
//! relay told of the two the other way round, it would list a number that is gone: the relief's word that it
//! lost the copy, or passes it on, would name one that nobody knows.

use gs_client::link::Link;
use gs_resp::Reply;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use tokio::sync::watch;

/// The order of batches to one relief.
pub struct Lane {
    given: Mutex<u64>,
    /// Turns that ended before those ahead of them.
    early: Mutex<BTreeSet<u64>>,
    /// Whose turn it is.
    told: watch::Sender<u64>,
}

impl Default for Lane {
    fn default() -> Self {
        Lane { given: Mutex::new(0), early: Mutex::default(), told: watch::Sender::new(0) }
    }
}

impl Lane {
    /// Gives the relief a batch. Its answer, and the turn in which to tell of it; `None` if it did not answer.
    pub async fn give(&self, link: &Link, batch: Vec<u8>) -> Option<(Reply, Turn<'_>)> {
        let (turn, pending) = {
            let mut given = self.given.lock();
            let turn = Turn { lane: self, number: *given };
            *given += 1;
            (turn, link.start(batch, 1, link.call_timeout()))
        };
        let reply = pending.ok()?.await.ok()?.pop()?;
        Some((reply, turn))
    }
}

/// A place in the order; dropped, it lets the next one tell.
pub struct Turn<'a> {
    lane: &'a Lane,
    number: u64,
}

impl Turn<'_> {
    /// Tells the relay, when everything given to this relief before was told; the relay's answer.
    pub async fn tell(self, relay: &Link, message: Vec<u8>) -> Option<Reply> {
        let mut told = self.lane.told.subscribe();
        told.wait_for(|told| *told == self.number).await.ok()?;
        let pending = relay.start(message, 1, relay.call_timeout());
        drop(self);
        pending.ok()?.await.ok()?.pop()
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut early = self.lane.early.lock();
        early.insert(self.number);
        self.lane.told.send_modify(|told| {
            while early.remove(told) {
                *told += 1;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch that fails, or that nobody waits for any more, holds up none behind it, and lets none pass.
    #[test]
    fn a_turn_given_up_keeps_the_order() {
        let lane = Lane::default();
        let [first, second, third] = [0, 1, 2].map(|number| Turn { lane: &lane, number });
        drop(second);
        assert_eq!(*lane.told.borrow(), 0, "the first has not told yet");
        drop(first);
        assert_eq!(*lane.told.borrow(), 2, "the third is next");
        drop(third);
        assert_eq!(*lane.told.borrow(), 3);
    }
}
