//! Channels and their subscribers.
//!
//! Each subscriber has one mailbox for all it subscribed to, bounded in bytes: a client that does not read is
//! cut off, nobody else waits for it. Messages are shared, not copied, among subscribers. Order is kept per
//! publisher.

mod mailbox;

pub use mailbox::{Cut, Inbox, Letterbox, Mailbox, Mailroom, Message, mailbox};

use bytes::Bytes;
use dashmap::{DashMap, Entry};
use gs_resp::glob_match;
use parking_lot::RwLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Number of a client connection, unique in the life of a node.
pub type ClientId = u64;

type Subscribers = Vec<(ClientId, Mailbox)>;

/// The channels of one node.
#[derive(Default)]
pub struct Bus {
    channels: DashMap<Bytes, Subscribers>,
    /// Shard channels have names of their own, and no patterns.
    shards: DashMap<Bytes, Subscribers>,
    patterns: RwLock<Vec<(Bytes, Subscribers)>>,
    pattern_count: AtomicUsize,
    /// Channels with subscribers and patterns: never fewer than there are.
    listened: AtomicUsize,
    delivered: AtomicU64,
}

fn add(list: &mut Subscribers, client: ClientId, mailbox: &Mailbox) -> bool {
    let new = list.iter().all(|(id, _)| *id != client);
    if new {
        list.push((client, mailbox.clone()));
    }
    new
}

impl Bus {
    fn of(&self, shard: bool) -> &DashMap<Bytes, Subscribers> {
        if shard { &self.shards } else { &self.channels }
    }

    /// Subscribes to a channel or a shard channel; false if the client already was.
    pub fn subscribe(&self, shard: bool, channel: &[u8], client: ClientId, mailbox: &Mailbox) -> bool {
        let mut list = match self.of(shard).entry(Bytes::copy_from_slice(channel)) {
            Entry::Occupied(there) => there.into_ref(),
            Entry::Vacant(room) => {
                self.listened.fetch_add(usize::from(!shard), Ordering::AcqRel);
                room.insert(Subscribers::new())
            }
        };
        add(&mut list, client, mailbox)
    }

    /// Unsubscribes; false if the client was not subscribed.
    pub fn unsubscribe(&self, shard: bool, channel: &[u8], client: ClientId) -> bool {
        let mut was = false;
        if let Some(mut list) = self.of(shard).get_mut(channel) {
            let before = list.len();
            list.retain(|(id, _)| *id != client);
            was = list.len() != before;
        }
        if self.of(shard).remove_if(channel, |_, list| list.is_empty()).is_some() {
            self.listened.fetch_sub(usize::from(!shard), Ordering::AcqRel);
        }
        was
    }

    /// Subscribes to all channels that match; false if the client already was.
    pub fn psubscribe(&self, pattern: &[u8], client: ClientId, mailbox: &Mailbox) -> bool {
        let mut patterns = self.patterns.write();
        let new = match patterns.iter_mut().find(|(p, _)| p == pattern) {
            Some((_, list)) => add(list, client, mailbox),
            None => {
                self.listened.fetch_add(1, Ordering::AcqRel);
                patterns.push((Bytes::copy_from_slice(pattern), vec![(client, mailbox.clone())]));
                true
            }
        };
        self.pattern_count.store(patterns.len(), Ordering::Release);
        new
    }

    /// Ends a pattern subscription; false if there was none.
    pub fn punsubscribe(&self, pattern: &[u8], client: ClientId) -> bool {
        let mut patterns = self.patterns.write();
        let mut was = false;
        if let Some((_, list)) = patterns.iter_mut().find(|(p, _)| p == pattern) {
            let before = list.len();
            list.retain(|(id, _)| *id != client);
            was = list.len() != before;
        }
        let before = patterns.len();
        patterns.retain(|(_, list)| !list.is_empty());
        self.listened.fetch_sub(before - patterns.len(), Ordering::AcqRel);
        self.pattern_count.store(patterns.len(), Ordering::Release);
        was
    }

    /// True while anybody listens to any channel or pattern: one load.
    pub fn has_listeners(&self) -> bool {
        self.listened.load(Ordering::Acquire) > 0
    }

    /// True if a message on this channel would reach anybody. Cheap where nobody subscribed at all.
    pub fn is_heard(&self, channel: &[u8]) -> bool {
        if !self.has_listeners() {
            return false;
        }
        self.channels.contains_key(channel)
            || self.patterns.read().iter().any(|(pattern, _)| glob_match(pattern, channel))
    }

    /// Publishes and returns how many subscribers got it.
    pub fn publish(&self, channel: &[u8], payload: &[u8]) -> usize {
        if !self.has_listeners() {
            return 0;
        }
        let (channel, payload) = (Bytes::copy_from_slice(channel), Bytes::copy_from_slice(payload));
        let mut reached = 0;
        let post = |list: &Subscribers, pattern: Option<&Bytes>| {
            let (pattern, channel, payload) = (pattern.cloned(), channel.clone(), payload.clone());
            let message = Message::Published { pattern, channel, payload, shard: false };
            list.iter().filter(|(_, mailbox)| mailbox.post(message.clone())).count()
        };
        if let Some(list) = self.channels.get(&channel) {
            reached += post(&list, None);
        }
        for (pattern, list) in self.patterns.read().iter() {
            if glob_match(pattern, &channel) {
                reached += post(list, Some(pattern));
            }
        }
        self.delivered.fetch_add(reached as u64, Ordering::Relaxed);
        reached
    }

    /// Publishes on a shard channel and returns how many subscribers got it.
    pub fn publish_shard(&self, channel: &[u8], payload: &[u8]) -> usize {
        let Some(list) = self.shards.get(channel) else {
            return 0;
        };
        let (channel, payload) = (list.key().clone(), Bytes::copy_from_slice(payload));
        let message = Message::Published { pattern: None, channel, payload, shard: true };
        let reached = list.iter().filter(|(_, mailbox)| mailbox.post(message.clone())).count();
        self.delivered.fetch_add(reached as u64, Ordering::Relaxed);
        reached
    }

    /// Channels, or shard channels, with subscribers that match the pattern, or all.
    pub fn channels(&self, shard: bool, pattern: Option<&[u8]>) -> Vec<Bytes> {
        let wanted = |name: &Bytes| pattern.is_none_or(|p| glob_match(p, name));
        self.of(shard).iter().map(|entry| entry.key().clone()).filter(wanted).collect()
    }

    /// Subscribers of one channel or shard channel, patterns not counted.
    pub fn subscribers(&self, shard: bool, channel: &[u8]) -> usize {
        self.of(shard).get(channel).map_or(0, |list| list.len())
    }

    /// Distinct patterns subscribed to.
    pub fn patterns(&self) -> usize {
        self.pattern_count.load(Ordering::Acquire)
    }

    /// Messages delivered since the start.
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::mailbox::tests::room;
    use super::*;

    /// A client with a channel and a pattern that both match hears a message twice, as in Redis.
    #[tokio::test]
    async fn channels_and_patterns_deliver_in_order() {
        let bus = Bus::default();
        let (mailbox, mut inbox) = mailbox(&room(10_000, 0, 0).0);
        assert!(bus.subscribe(false, b"auths/session", 1, &mailbox));
        assert!(!bus.subscribe(false, b"auths/session", 1, &mailbox));
        assert!(bus.psubscribe(b"auths/*", 1, &mailbox));
        assert!(bus.is_heard(b"auths/x") && !bus.is_heard(b"other"));
        assert_eq!(bus.publish(b"auths/session", b"one"), 2);
        assert!(matches!(inbox.next().await, Some(Message::Published { pattern: None, .. })));
        assert!(
            matches!(inbox.next().await, Some(Message::Published { pattern: Some(p), .. }) if p == "auths/*")
        );
        assert!(bus.unsubscribe(false, b"auths/session", 1) && bus.punsubscribe(b"auths/*", 1));
        assert_eq!(bus.publish(b"auths/session", b"two"), 0);
        assert!(bus.channels(false, None).is_empty() && bus.patterns() == 0);
        assert!(!bus.has_listeners());
    }

    /// A shard channel and a channel of the same name are two; patterns do not see shard channels.
    #[tokio::test]
    async fn shard_channels_are_apart() {
        let bus = Bus::default();
        let (mailbox, mut inbox) = mailbox(&room(10_000, 0, 0).0);
        assert!(bus.subscribe(true, b"c", 1, &mailbox) && bus.psubscribe(b"*", 1, &mailbox));
        assert_eq!((bus.publish_shard(b"c", b"m"), bus.publish_shard(b"d", b"m")), (1, 0));
        assert!(matches!(inbox.next().await, Some(Message::Published { shard: true, .. })));
        assert_eq!((bus.subscribers(true, b"c"), bus.subscribers(false, b"c")), (1, 0));
        assert!(bus.unsubscribe(true, b"c", 1) && bus.channels(true, None).is_empty());
        assert!(bus.has_listeners() && bus.punsubscribe(b"*", 1) && !bus.has_listeners());
    }

    /// A subscriber that never reads costs a bounded amount of memory and is then cut.
    #[tokio::test]
    async fn a_reader_that_does_not_read_is_cut() {
        let bus = Bus::default();
        let (slow, mut inbox) = mailbox(&room(1_000, 0, 0).0);
        bus.subscribe(false, b"c", 1, &slow);
        while bus.publish(b"c", &[0; 100]) == 1 {}
        assert_eq!(inbox.cut(), Some(Cut::Full));
        assert!(inbox.next().await.is_none());
    }
}
