//! When may a process take the agent's role? Numbers in, answer out.

use crate::cache::Lease;

/// What to do about the lease as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Nobody holds it: take it.
    Take,
    /// Look again after this many milliseconds.
    Wait(u64),
}

/// Watches one section's lease word.
///
/// A lapsed lease alone is no reason: a process that has just taken the role has no lease until it caught up with the
/// stream. It is given as long as a lease from the moment its epoch was first seen, whereas the successor of an agent
/// that was seen at work comes right after the lapse.
#[derive(Debug)]
pub(super) struct Election {
    grace_ms: u64,
    seen: Option<(u16, u64)>,
}

impl Election {
    pub(super) fn new(grace_ms: u64) -> Self {
        Self { grace_ms, seen: None }
    }

    pub(super) fn judge(&mut self, lease: Lease, now_ms: u64, jitter_ms: u64) -> Judgement {
        let since_ms = match self.seen {
            Some((epoch, since_ms)) if epoch == lease.agent_epoch => since_ms,
            _ => {
                self.seen = Some((lease.agent_epoch, now_ms));
                now_ms
            }
        };
        if lease.until_ms == 0 && lease.agent_epoch == 0 {
            // A new section: nobody can be on the way.
            return Judgement::Take;
        }
        let free_at_ms = (lease.until_ms + jitter_ms).max(since_ms + self.grace_ms);
        if now_ms >= free_at_ms { Judgement::Take } else { Judgement::Wait(free_at_ms - now_ms) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(agent_epoch: u16, until_ms: u64) -> Lease {
        Lease { agent_epoch, until_ms }
    }

    /// While the agent renews nobody may interfere; once it is dead, its successor must come soon after the lease.
    #[test]
    fn a_watched_agent_is_succeeded_right_after_its_lease() {
        let mut election = Election::new(1000);
        for now in (0..10_000).step_by(100) {
            assert!(matches!(election.judge(lease(3, now + 900), now, 0), Judgement::Wait(_)));
        }
        assert_eq!(election.judge(lease(3, 10_800), 10_790, 20), Judgement::Wait(30));
        assert_eq!(election.judge(lease(3, 10_800), 10_820, 20), Judgement::Take);
    }

    /// Two candidates that kept taking the role from each other would leave the machine without a lease.
    #[test]
    fn a_new_candidate_is_given_time_to_catch_up() {
        let mut election = Election::new(1000);
        assert!(matches!(election.judge(lease(3, 5000), 4900, 0), Judgement::Wait(_)));
        // Somebody else was faster: epoch 4, with the lapsed lease of epoch 3.
        assert_eq!(election.judge(lease(4, 5000), 5001, 0), Judgement::Wait(1000));
        assert!(matches!(election.judge(lease(4, 5000), 6000, 0), Judgement::Wait(1)));
        assert_eq!(election.judge(lease(4, 5000), 6001, 0), Judgement::Take);
    }

    /// The first process on a machine has nobody to wait for.
    #[test]
    fn a_new_section_is_taken_at_once() {
        assert_eq!(Election::new(1000).judge(lease(0, 0), 77, 50), Judgement::Take);
    }
}
