//! How much of the section the kernel keeps in huge pages, for INFO and the metrics. Whoever asks the kernel makes it walk
//! through all pages of the process, so that is done on a thread beside the data threads, and its answer is good for
//! longer the longer it took.

use crate::core::node::Node;
use parking_lot::Mutex;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How long an answer is good for whoever asks.
pub const ASKED_MS: u64 = 1_000;
/// How long it is good while nobody asks.
pub const UNASKED_MS: u64 = 60_000;
/// An answer is good for so many times as long as it took, within bounds: on a busy machine most of that was waiting.
const TIMES: u64 = 20;
/// And for no longer than this on that account.
const DEAR_MS: u64 = 10_000;

/// What the kernel last said.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Bytes of the section in huge pages, as far as this process has touched them.
    pub bytes: u64,
    /// How they were asked for, and what the system makes of that.
    pub asked: String,
    /// When that was, boot-time milliseconds, and how long it took; nothing before the first time.
    when_ms: Option<(u64, u64)>,
}

/// What is known of a node's huge pages.
#[derive(Debug, Default)]
pub struct Huge {
    seen: Mutex<Seen>,
    looking: AtomicBool,
}

impl Huge {
    /// What the kernel last said, however old.
    pub fn last(&self) -> Seen {
        self.seen.lock().clone()
    }

    /// True if the last answer is younger than `good_for_ms`, or so dear that it has to do for longer.
    pub fn is_fresh(&self, now_ms: u64, good_for_ms: u64) -> bool {
        let fresh = |(when, took): (u64, u64)| {
            now_ms.saturating_sub(when) < good_for_ms.max((took * TIMES).min(DEAR_MS))
        };
        self.seen.lock().when_ms.is_some_and(fresh)
    }
}

/// Asks the kernel on a thread of its own, unless its last answer is good. Whoever comes while somebody asks is content
/// with the last one.
pub async fn look_beside(node: Arc<Node>, good_for_ms: u64) {
    // A look that failed leaves the last one.
    let _ = tokio::task::spawn_blocking(move || {
        if !node.huge.is_fresh(node.now_ms(), good_for_ms) && !node.huge.looking.swap(true, Ordering::AcqRel)
        {
            look(&node);
            node.huge.looking.store(false, Ordering::Release);
        }
    })
    .await;
}

fn look(node: &Node) {
    let (section, began_ms) = (node.cache.section(), node.now_ms());
    let bytes = section.huge_bytes();
    let asked = match section.shm_name() {
        Some(_) => format!("MADV_HUGEPAGE, /dev/shm mounted huge={}", mount_option()),
        None => format!("MADV_HUGEPAGE, transparent_hugepage={}", system_choice()),
    };
    let now_ms = node.now_ms();
    let when_ms = Some((now_ms, now_ms.saturating_sub(began_ms)));
    *node.huge.seen.lock() = Seen { bytes, asked, when_ms };
}

/// How the file system of shared memory hands out huge pages: its `huge=` option, `never` if it has none.
pub fn mount_option() -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let options = mounts.lines().rev().find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        (fields.next() == Some("/dev/shm")).then(|| fields.nth(1)).flatten()
    });
    let option =
        options.and_then(|options| options.split(',').find_map(|option| option.strip_prefix("huge=")));
    option.unwrap_or("never").to_owned()
}

/// How the system hands them out for private memory: the word in brackets.
fn system_choice() -> String {
    let choices = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    let chosen = choices.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    chosen.map_or_else(|| "never".to_owned(), |(chosen, _)| chosen.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each look makes the kernel walk through the memory of the process: many who ask make few looks, and a large
    /// section is looked at less often than a small one.
    #[test]
    fn an_answer_that_was_dear_is_good_for_longer() {
        let huge = Huge::default();
        assert!(!huge.is_fresh(5, ASKED_MS), "nobody has looked yet");
        for (took, until) in [(0, 1_000), (10, 1_000), (300, 6_000), (3_000, 10_000)] {
            huge.seen.lock().when_ms = Some((1_000, took));
            assert!(huge.is_fresh(1_000 + until - 1, ASKED_MS), "{took}");
            assert!(!huge.is_fresh(1_000 + until, ASKED_MS), "{took}");
        }
    }
}
