//! Second copies on their way to some relief.

use gs_client::cache::KeyId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The keys whose second copy is on its way: the version that is copied, and until when (wall clock) it may arrive.
///
/// Every write asks, and nearly always there is none, so their number stands beside the list. It may be read without
/// order: an entry is made and asked for under its key's stripe.
#[derive(Default)]
pub struct Copying {
    list: Mutex<HashMap<KeyId, (u64, u64)>>,
    len: AtomicUsize,
}

impl Copying {
    /// A copy is sent. The caller holds the key's stripe.
    pub fn begin(&self, id: KeyId, version: u64, until_unix_ms: u64) {
        self.change(|list| {
            list.insert(id, (version, until_unix_ms));
        });
    }

    /// True while a copy of the key is on its way. The caller holds the key's stripe.
    pub fn has(&self, id: &KeyId) -> bool {
        self.len.load(Ordering::Relaxed) > 0 && self.list.lock().contains_key(id)
    }

    /// The copy of this version arrived and was listed.
    pub fn arrived(&self, id: &KeyId, version: u64) {
        self.change(|list| {
            if list.get(id).is_some_and(|(sent, _)| *sent == version) {
                list.remove(id);
            }
        });
    }

    /// Forgets what cannot arrive any more.
    pub fn sweep(&self, unix_ms: u64) {
        self.change(|list| list.retain(|_, (_, until)| *until > unix_ms));
    }

    fn change(&self, edit: impl FnOnce(&mut HashMap<KeyId, (u64, u64)>)) {
        let mut list = self.list.lock();
        edit(&mut list);
        self.len.store(list.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A newer copy of a key must not be taken for arrived because an older one was.
    #[test]
    fn only_the_version_that_was_sent_last_arrives() {
        let (copying, id) = (Copying::default(), KeyId { hi: 1, lo: 2 });
        assert!(!copying.has(&id));
        copying.begin(id, 7, 100);
        copying.begin(id, 8, 100);
        copying.arrived(&id, 7);
        assert!(copying.has(&id));
        copying.sweep(99);
        assert!(copying.has(&id));
        copying.sweep(100);
        assert!(!copying.has(&id));
    }
}
