//! The invariants of a quiet section, all of them.

use std::collections::HashMap;

use crate::blocks::{Ctl, Mem, Slot, State};
use crate::index::tag;
use crate::layout::CONT_WORDS;
use crate::read::PayloadWords;
use crate::record::{self, Head};
use crate::section::Section;
use crate::sync::Ordering;
use crate::types::{CheckReport, KeyId};

/// Complaints kept; more say nothing new.
const COMPLAINTS: usize = 50;

struct Check<'a> {
    section: &'a Section,
    mem: Mem<'a>,
    report: CheckReport,
    complaints: Vec<String>,
    /// Which head each continuation was reached from.
    member_of: HashMap<u32, u32>,
    /// Slots that name each head.
    linked: HashMap<u32, u32>,
    versions: HashMap<KeyId, Vec<u64>>,
}

impl Section {
    /// Proves every invariant of a section in which nobody is at work: blocks are in one state and one chain,
    /// every readable record is linked exactly once, in a bucket of its key, with its bytes intact; what
    /// crashes may leave behind is counted, not complained of.
    pub fn check(&self, now_ms: u64) -> Result<CheckReport, Vec<String>> {
        let mut check = Check {
            section: self,
            mem: self.mem(),
            report: CheckReport::default(),
            complaints: Vec::new(),
            member_of: HashMap::new(),
            linked: HashMap::new(),
            versions: HashMap::new(),
        };
        check.slots();
        for block in 0..self.geometry.blocks {
            check.head(block, now_ms);
        }
        for block in 0..self.geometry.blocks {
            check.rest(block);
        }
        check.copies();
        if check.complaints.is_empty() { Ok(check.report) } else { Err(check.complaints) }
    }
}

impl Check<'_> {
    fn complain(&mut self, text: String) {
        if self.complaints.len() < COMPLAINTS {
            self.complaints.push(text);
        }
    }

    fn slots(&mut self) {
        for bucket in 0..self.section.geometry.buckets {
            for word in self.mem.bucket(bucket) {
                let slot = Slot(word.load(Ordering::Acquire));
                if slot == Slot::EMPTY {
                    continue;
                }
                let Some(block) = slot.block(&self.section.geometry) else {
                    self.complain(format!("bucket {bucket}: slot {:#x} names no block", slot.0));
                    continue;
                };
                let ctl = self.mem.load_ctl(block);
                if ctl.gen16() != slot.gen16() || !ctl.state().readable() {
                    self.report.dangling += 1;
                    continue;
                }
                let id = self.mem.id_words(block);
                if !self.mem.buckets_of(&id).contains(&bucket) || slot.tag() != tag(&id) {
                    self.complain(format!(
                        "block {block}: linked in bucket {bucket}, which is not its key's"
                    ));
                }
                *self.linked.entry(block).or_default() += 1;
            }
        }
    }

    fn head(&mut self, block: u32, now_ms: u64) {
        let ctl = self.mem.load_ctl(block);
        match ctl.state() {
            State::Live => self.report.live += 1,
            State::Evicting | State::Leaving => self.report.evicting += 1,
            _ => return,
        }
        let head = self.mem.head(block, ctl);
        match self.linked.get(&block) {
            Some(1) => {}
            n => {
                self.complain(format!("block {block}: readable and linked {} times", n.copied().unwrap_or(0)))
            }
        }
        if head.shape.epoch() != self.section.min_epoch(head.shape.db()) || head.deadline.expired(now_ms) {
            self.report.stale += 1;
        } else {
            self.versions.entry(head.id).or_default().push(head.version);
        }
        if ctl.state() == State::Leaving {
            self.abandoned(block, ctl);
        }
        if !self.section.plausible(&head) {
            self.complain(format!("block {block}: header makes no sense: {head:?}"));
            return;
        }
        self.chain(block, &head);
        self.bytes(block, &head);
    }

    fn chain(&mut self, block: u32, head: &Head) {
        let shape = head.shape;
        let expected = self.section.geometry.record_blocks(shape.key_len(), shape.value_len()) - 1;
        let mut next = head.chain.first();
        for at in 0..expected {
            let Some(member) = self.mem.checked(next) else {
                self.complain(format!("block {block}: chain ends after {at} of {expected}"));
                return;
            };
            let ctl = self.mem.load_ctl(member);
            let link = self.mem.block(member)[1].load(Ordering::Relaxed);
            let ours = ctl.state() == State::Continuation && ctl.generation() == head.ctl.generation();
            if !ours || (link >> 32) as u32 != block {
                self.complain(format!("block {block}: continuation {member} is not its own: {ctl:?}"));
                return;
            }
            if let Some(other) = self.member_of.insert(member, block) {
                self.complain(format!("block {member}: in the chains of {other} and {block}"));
                return;
            }
            next = link as u32;
        }
        if next != 0 {
            self.complain(format!("block {block}: chain goes on after {expected}"));
        }
    }

    fn bytes(&mut self, block: u32, head: &Head) {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        let mut words = PayloadWords::new(self.mem, head);
        let whole =
            words.copy(head.shape.key_len(), &mut key) && words.copy(head.shape.value_len(), &mut value);
        if !whole || record::checksum(&head.id, head.version, head.shape, &value) != head.checksum {
            self.complain(format!("block {block}: checksum"));
        }
        if self.section.cfg.keep_keys && self.section.key_id(head.shape.db() as u8, &key) != head.id {
            self.complain(format!("block {block}: key does not have the id"));
        }
    }

    fn rest(&mut self, block: u32) {
        let ctl = self.mem.load_ctl(block);
        match ctl.state() {
            State::Free => {
                self.report.free += 1;
                if self.mem.block(block)[1..].iter().any(|word| word.load(Ordering::Relaxed) != 0) {
                    self.complain(format!("block {block}: free and not scrubbed"));
                }
            }
            State::Continuation if self.member_of.contains_key(&block) => self.report.continuations += 1,
            State::Continuation => self.report.orphans += 1,
            State::Writing | State::Pending | State::Dead => self.abandoned(block, ctl),
            State::Garbage => self.complain(format!("block {block}: no such state: {ctl:?}")),
            State::Live | State::Evicting | State::Leaving => {}
        }
        debug_assert!(CONT_WORDS < self.section.geometry.block_words);
    }

    /// A block in passing: fine if its owner died, a leak if it lives (nobody is at work).
    fn abandoned(&mut self, block: u32, ctl: Ctl) {
        self.report.orphans += 1;
        if self.section.presence.alive(ctl.owner(), None) {
            self.complain(format!("block {block}: {:?} by {}, who is alive", ctl.state(), ctl.owner()));
        }
    }

    fn copies(&mut self) {
        let mut complaints = Vec::new();
        for (id, versions) in &mut self.versions {
            versions.sort_unstable();
            let before = versions.len();
            versions.dedup();
            self.report.duplicates += before as u64 - 1;
            if versions.len() != before && self.section.cfg.mode == crate::Mode::Owner && false_twins(before)
            {
                complaints.push(format!("{id:?}: {before} copies, some of one version"));
            }
        }
        for text in complaints {
            self.complain(text);
        }
    }
}

/// A restamp (equal version stored anew) that crashed before it retired the old copy leaves twins; more than
/// two of a key would need two crashes on one key without any write between.
fn false_twins(copies: usize) -> bool {
    copies > 3
}
