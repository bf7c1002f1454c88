//! The CLOCK hand over the blocks: it shows records to a policy and marks what the policy gives up.

use crate::blocks::{Ctl, Mem, Slot, State};
use crate::config::Mode;
use crate::layout;
use crate::record::Head;
use crate::section::Section;
use crate::sync::{Ordering, mutant};
use crate::types::{KeyId, Verdict, Victim, View};

/// Blocks that one turn of the shared hand word hands out, so that sweepers do not meet on each block.
pub(crate) const HAND_STEP: u64 = 32;

impl Section {
    /// Moves the shared hand over `probes` blocks. Each live record is shown to `decide`; what it says to
    /// take is marked EVICTING(me) and pushed to `victims`. Expired, flushed and abandoned blocks met on the
    /// way are reclaimed; hand-offs in progress are passed over.
    pub fn sweep(
        &self,
        probes: u32,
        now_ms: u64,
        decide: &mut dyn FnMut(&View) -> Verdict,
        victims: &mut Vec<Victim>,
    ) {
        if self.detached() {
            return;
        }
        let mem = self.mem();
        let blocks = u64::from(self.geometry.blocks);
        let mut left = u64::from(probes);
        while left > 0 {
            let step = left.min(HAND_STEP);
            left -= step;
            let from = mem.words[layout::HAND].fetch_add(step, Ordering::Relaxed);
            for at in 0..step {
                let block = (from.wrapping_add(at) % blocks) as u32;
                self.sweep_one(mem, block, now_ms, decide, victims);
            }
        }
    }

    fn sweep_one(
        &self,
        mem: Mem<'_>,
        block: u32,
        now_ms: u64,
        decide: &mut dyn FnMut(&View) -> Verdict,
        victims: &mut Vec<Victim>,
    ) {
        let ctl = mem.load_ctl(block);
        if ctl.state() != State::Live {
            self.reclaim(mem, block, ctl, now_ms, self.cfg.mode == Mode::Cache);
            return;
        }
        let Some(head) = mem.proven_head(block, ctl) else {
            return;
        };
        if !self.plausible(&head) {
            self.retire_corrupt(mem, block, ctl);
            return;
        }
        let flushed = head.shape.epoch() != self.min_epoch(head.shape.db());
        if flushed || head.deadline.expired(now_ms) {
            // An owner's expired records are left to `expire_sweep`, which tells each.
            self.reclaim(mem, block, ctl, now_ms, self.cfg.mode == Mode::Cache);
            return;
        }
        match decide(&self.view(mem, &head, now_ms)) {
            Verdict::Keep => mem.age(block, now_ms, false),
            Verdict::Demerit => mem.age(block, now_ms, true),
            Verdict::Take => {
                victims.extend(self.mark(mem, &head));
            }
        }
    }

    fn view(&self, mem: Mem<'_>, head: &Head, now_ms: u64) -> View {
        let (refs, idle_ms) = mem.refs_idle(head.block, now_ms);
        let shape = head.shape;
        let blocks = self.geometry.record_blocks(shape.key_len(), shape.value_len());
        View {
            refs,
            age_ms: now_ms.saturating_sub(head.chain.created_ms()),
            idle_ms,
            remaining_ms: (head.deadline.ms() != 0).then(|| head.deadline.ms().saturating_sub(now_ms)),
            bytes: u64::from(blocks) * u64::from(self.geometry.block_bytes),
            kind: shape.kind(),
            db: shape.db() as u8,
        }
    }

    /// LIVE to EVICTING(me). An older copy that a crash left beside a newer one is not worth sending: it goes.
    pub(crate) fn mark(&self, mem: Mem<'_>, head: &Head) -> Option<Victim> {
        let newest = mem.newest(&head.id, |db| self.min_epoch(db));
        if newest.is_some_and(|(_, newest)| newest.version > head.version && !mutant("older-sent")) {
            // As in `kill_older`: the fence moves before the old copy goes, whoever takes it.
            if !mutant("hand-no-fence") {
                self.bump(&head.id);
            }
            self.retire(mem, head.block, head.ctl);
            return None;
        }
        let ctl = self.claim(mem, head.block, head.ctl, State::Evicting)?;
        Some(Victim { at: self.block_ref(mem, head.block, ctl) })
    }

    /// After [`crate::PutError::BucketFull`]: marks the coldest live record of the key's two buckets EVICTING,
    /// for the caller to hand off (or release). False when none could be marked; some may be on their way
    /// out already, or slots have come free: try the put again.
    pub fn bucket_victims(&self, id: &KeyId, now_ms: u64, victims: &mut Vec<Victim>) -> bool {
        if self.detached() || self.clear_buckets(id, now_ms) {
            return false;
        }
        let mem = self.mem();
        let Some(head) = self.coldest(mem, id, now_ms) else {
            return false;
        };
        let marked = self.mark(mem, &head);
        victims.extend(marked);
        marked.is_some()
    }

    /// The live record in a key's buckets that was least and longest ago read. Never one that is PENDING,
    /// nor one of this very key.
    pub(crate) fn coldest(&self, mem: Mem<'_>, id: &KeyId, now_ms: u64) -> Option<Head> {
        let mut coldest: Option<(u8, u64, Head)> = None;
        for place in mem.places(id) {
            let slot = Slot(mem.slot_word(place).load(Ordering::Acquire));
            let Some(block) = slot.block(&self.geometry) else {
                continue;
            };
            let ctl: Ctl = mem.load_ctl(block);
            if ctl.state() != State::Live || ctl.gen16() != slot.gen16() {
                continue;
            }
            let Some(head) = mem.proven_head(block, ctl) else {
                continue;
            };
            let (refs, idle) = mem.refs_idle(block, now_ms);
            let colder =
                coldest.as_ref().is_none_or(|(r, i, _)| (refs, u64::MAX - idle) < (*r, u64::MAX - i));
            if head.id != *id && colder {
                coldest = Some((refs, idle, head));
            }
        }
        coldest.map(|(.., head)| head)
    }
}
