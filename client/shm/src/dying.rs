//! Deaths for the model checkers, which cannot kill a process: what it would leave behind.

use crate::blocks::Ctl;
use crate::layout;
use crate::section::Section;
use crate::sync::Ordering;
use crate::types::{BlockRef, NewRecord};

impl Section {
    /// Ends this attachment half way through storing a record: its blocks stay PENDING, `linked` or not.
    pub fn die_storing(self, rec: &NewRecord<'_>, linked: bool, now_ms: u64) {
        let needed = self.geometry.record_blocks(0, rec.value.len());
        if let Some(chain) = self.allocate(needed, now_ms)
            && let Some(pending) = self.build(&chain, rec, self.min_epoch(0), now_ms)
            && linked
        {
            let _ = self.link(&rec.id, chain.head, pending);
        }
        let (region, word) = (self.region.clone(), layout::PROCS + usize::from(self.me));
        drop(self);
        // A drop tidies up, a death does not.
        region.words()[word].store(1, Ordering::Release);
    }

    /// What `make_room` does with a record that it chose a while ago: lets go exactly that one.
    pub fn evict_chosen(&self, at: &BlockRef) {
        self.retire(self.mem(), at.index, Ctl(at.ctl));
    }
}
