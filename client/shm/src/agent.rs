//! The agent's words: the lease under which hits may be served, and how far the stream was applied.

use crate::layout;
use crate::section::Section;
use crate::sync::{Ordering, mutant};
use crate::types::Lease;

const UNTIL_MASK: u64 = (1 << 48) - 1;

fn pack(lease: Lease) -> u64 {
    u64::from(lease.agent_epoch) << 48 | lease.until_ms.min(UNTIL_MASK)
}

fn unpack(word: u64) -> Lease {
    Lease { agent_epoch: (word >> 48) as u16, until_ms: word & UNTIL_MASK }
}

impl Section {
    /// The lease as it stands.
    #[inline]
    pub fn lease(&self) -> Lease {
        unpack(self.region.words()[layout::LEASE].load(Ordering::Acquire))
    }

    /// Takes the agent's role over from the lease that was `seen` to have lapsed; the epoch that this agent
    /// then has, or `None` if another was quicker. The old agent's renewals fail from here on.
    pub fn take_agent(&self, seen: Lease, until_ms: u64) -> Option<u16> {
        // 0 means "none yet"; the epoch goes round past it.
        let agent_epoch = seen.agent_epoch.checked_add(1).unwrap_or(1);
        let word = &self.region.words()[layout::LEASE];
        let taken = pack(Lease { agent_epoch, until_ms });
        let seen = if mutant("agent-not-exact") { self.lease() } else { seen };
        word.compare_exchange(pack(seen), taken, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
            .then_some(agent_epoch)
    }

    /// Extends (or with an earlier time revokes) this agent's lease; false if it was superseded.
    pub fn renew(&self, my_epoch: u16, until_ms: u64) -> bool {
        let word = &self.region.words()[layout::LEASE];
        let seen = word.load(Ordering::Acquire);
        // Once is enough: only another agent can have moved it, and then the role is lost.
        (unpack(seen).agent_epoch == my_epoch || mutant("renewed-superseded"))
            && word
                .compare_exchange(
                    seen,
                    pack(Lease { agent_epoch: my_epoch, until_ms }),
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                )
                .is_ok()
    }

    /// Sequence number up to which the relay's stream was applied.
    pub fn applied_seq(&self) -> u64 {
        self.region.words()[layout::APPLIED_SEQ].load(Ordering::Acquire)
    }

    /// Notes how far the stream was applied; only the agent that holds the lease does.
    pub fn set_applied_seq(&self, seq: u64) {
        self.region.words()[layout::APPLIED_SEQ].store(seq, Ordering::Release);
    }

    /// Which relay the stream came from (its uuid folded to a word); 0 before the first.
    pub fn agent_line(&self) -> u64 {
        self.region.words()[layout::AGENT_RELAY].load(Ordering::Acquire)
    }

    /// Notes which relay the stream comes from.
    pub fn set_agent_line(&self, relay: u64) {
        self.region.words()[layout::AGENT_RELAY].store(relay, Ordering::Release);
    }
}
