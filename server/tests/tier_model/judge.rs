//! What must be true of every state, and of one in which nothing is on its way.

use super::{Entry, World};

impl World {
    /// What is wrong with this state, if anything is.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let held = |e: &Entry| self.reliefs[e.node].copy;
        let below =
            |version| self.live().any(|e| e.version == version && held(&e).is_some_and(|c| c.0 == version));
        match self.truth {
            None if self.here.is_some() => return Some("a destroyed session is here"),
            None if self.live().next().is_some() => return Some("a destroyed session is listed"),
            Some(version) if self.here.is_some_and(|here| here.version != version) => {
                return Some("an old version is here");
            }
            Some(version) if self.judges_loss && self.here.is_none() && !below(version) => {
                return Some("a session is lost");
            }
            _ => {}
        }
        if self.here.is_some() && self.live().next().is_some() {
            return Some("a session counts twice");
        }
        if !self.flying.is_empty()
            || self.reports.iter().any(|queue| !queue.is_empty())
            || self.orders.iter().any(|queue| !queue.is_empty())
        {
            return None;
        }
        if self.listed.iter().any(|e| held(e) != Some((e.version, e.copy))) {
            return Some("what is listed is not there");
        }
        let known = |n: usize, copy| self.live().any(|e| (e.node, Some((e.version, e.copy))) == (n, copy));
        if (0..2).any(|n| self.reliefs[n].copy.is_some() && !known(n, self.reliefs[n].copy)) {
            return Some("a copy is held that nobody lists");
        }
        None
    }
}
