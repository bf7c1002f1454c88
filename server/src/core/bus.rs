//! Channels and their subscribers.
//!
//! Each subscriber has one mailbox for all it subscribed to, bounded in bytes: a client that does not read is
//! cut off, nobody else waits for it. Messages are shared, not copied, among subscribers. Order is kept per
//! publisher.

use bytes::Bytes;
use dashmap::DashMap;
use gs_resp::glob_match;
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use tokio::sync::mpsc;

/// Number of a client connection, unique in the life of a node.
pub type ClientId = u64;

/// A message on its way to one subscriber.
#[derive(Clone, Debug)]
pub struct Message {
    /// The pattern that matched, for a pattern subscription.
    pub pattern: Option<Bytes>,
    /// The channel it was published on.
    pub channel: Bytes,
    /// What was published.
    pub payload: Bytes,
}

impl Message {
    fn size(&self) -> usize {
        self.channel.len() + self.payload.len() + 64
    }
}

/// The sending side of a subscriber's mailbox.
#[derive(Clone, Debug)]
pub struct Mailbox {
    sender: mpsc::UnboundedSender<Message>,
    queued: Arc<AtomicUsize>,
    cut: Arc<AtomicBool>,
    bytes_max: usize,
}

/// The receiving side.
#[derive(Debug)]
pub struct Inbox {
    receiver: mpsc::UnboundedReceiver<Message>,
    queued: Arc<AtomicUsize>,
    cut: Arc<AtomicBool>,
}

/// Makes a mailbox that holds at most `bytes_max` bytes of unread messages.
pub fn mailbox(bytes_max: usize) -> (Mailbox, Inbox) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (queued, cut) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let inbox = Inbox { receiver, queued: queued.clone(), cut: cut.clone() };
    (Mailbox { sender, queued, cut, bytes_max }, inbox)
}

impl Mailbox {
    /// Puts a message in; false when the subscriber is gone or was cut for not reading.
    fn post(&self, message: Message) -> bool {
        if self.cut.load(Ordering::Acquire) {
            return false;
        }
        let size = message.size();
        if self.queued.fetch_add(size, Ordering::AcqRel) + size > self.bytes_max {
            self.cut.store(true, Ordering::Release);
        }
        // The message that overflows still goes in, so that the reader wakes up and sees the cut.
        self.sender.send(message).is_ok()
    }
}

impl Inbox {
    /// The next message; none when the mailbox overflowed and the connection must be closed.
    pub async fn next(&mut self) -> Option<Message> {
        let message = self.receiver.recv().await?;
        self.taken(message)
    }

    /// The next message if one is there.
    pub fn try_next(&mut self) -> Option<Message> {
        let message = self.receiver.try_recv().ok()?;
        self.taken(message)
    }

    fn taken(&mut self, message: Message) -> Option<Message> {
        self.queued.fetch_sub(message.size(), Ordering::AcqRel);
        (!self.is_cut()).then_some(message)
    }

    /// True once the mailbox overflowed.
    pub fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }
}

type Subscribers = Vec<(ClientId, Mailbox)>;

/// The channels of one node.
#[derive(Default)]
pub struct Bus {
    channels: DashMap<Bytes, Subscribers>,
    patterns: RwLock<Vec<(Bytes, Subscribers)>>,
    pattern_count: AtomicUsize,
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
    /// Subscribes; false if the client already was.
    pub fn subscribe(&self, channel: &[u8], client: ClientId, mailbox: &Mailbox) -> bool {
        add(&mut self.channels.entry(Bytes::copy_from_slice(channel)).or_default(), client, mailbox)
    }

    /// Unsubscribes; false if the client was not subscribed.
    pub fn unsubscribe(&self, channel: &[u8], client: ClientId) -> bool {
        let mut was = false;
        if let Some(mut list) = self.channels.get_mut(channel) {
            let before = list.len();
            list.retain(|(id, _)| *id != client);
            was = list.len() != before;
        }
        self.channels.remove_if(channel, |_, list| list.is_empty());
        was
    }

    /// Subscribes to all channels that match; false if the client already was.
    pub fn psubscribe(&self, pattern: &[u8], client: ClientId, mailbox: &Mailbox) -> bool {
        let mut patterns = self.patterns.write();
        let new = match patterns.iter_mut().find(|(p, _)| p == pattern) {
            Some((_, list)) => add(list, client, mailbox),
            None => {
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
        patterns.retain(|(_, list)| !list.is_empty());
        self.pattern_count.store(patterns.len(), Ordering::Release);
        was
    }

    /// True if a message on this channel would reach anybody. Cheap where nobody subscribed at all.
    pub fn is_heard(&self, channel: &[u8]) -> bool {
        if self.channels.is_empty() && self.pattern_count.load(Ordering::Acquire) == 0 {
            return false;
        }
        self.channels.contains_key(channel)
            || self.patterns.read().iter().any(|(pattern, _)| glob_match(pattern, channel))
    }

    /// Publishes and returns how many subscribers got it.
    pub fn publish(&self, channel: &[u8], payload: &[u8]) -> usize {
        if self.channels.is_empty() && self.pattern_count.load(Ordering::Acquire) == 0 {
            return 0;
        }
        let (channel, payload) = (Bytes::copy_from_slice(channel), Bytes::copy_from_slice(payload));
        let mut reached = 0;
        let post = |list: &Subscribers, pattern: Option<&Bytes>| {
            let message =
                Message { pattern: pattern.cloned(), channel: channel.clone(), payload: payload.clone() };
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

    /// Channels with subscribers that match the pattern, or all.
    pub fn channels(&self, pattern: Option<&[u8]>) -> Vec<Bytes> {
        let wanted = |name: &Bytes| pattern.is_none_or(|p| glob_match(p, name));
        self.channels.iter().map(|entry| entry.key().clone()).filter(wanted).collect()
    }

    /// Subscribers of one channel, patterns not counted.
    pub fn subscribers(&self, channel: &[u8]) -> usize {
        self.channels.get(channel).map_or(0, |list| list.len())
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
    use super::*;

    /// A client with a channel and a pattern that both match hears a message twice, as in Redis.
    #[tokio::test]
    async fn channels_and_patterns_deliver_in_order() {
        let bus = Bus::default();
        let (mailbox, mut inbox) = mailbox(10_000);
        assert!(bus.subscribe(b"auths/session", 1, &mailbox));
        assert!(!bus.subscribe(b"auths/session", 1, &mailbox));
        assert!(bus.psubscribe(b"auths/*", 1, &mailbox));
        assert!(bus.is_heard(b"auths/x") && !bus.is_heard(b"other"));
        assert_eq!(bus.publish(b"auths/session", b"one"), 2);
        assert_eq!(inbox.next().await.unwrap().pattern, None);
        assert_eq!(inbox.next().await.unwrap().pattern.unwrap(), "auths/*");
        assert!(bus.unsubscribe(b"auths/session", 1) && bus.punsubscribe(b"auths/*", 1));
        assert_eq!(bus.publish(b"auths/session", b"two"), 0);
        assert!(bus.channels(None).is_empty() && bus.patterns() == 0);
    }

    /// A subscriber that never reads costs a bounded amount of memory and is then cut.
    #[tokio::test]
    async fn a_reader_that_does_not_read_is_cut() {
        let bus = Bus::default();
        let (slow, mut inbox) = mailbox(1_000);
        bus.subscribe(b"c", 1, &slow);
        while bus.publish(b"c", &[0; 100]) == 1 {}
        assert!(inbox.is_cut());
        assert!(inbox.next().await.is_none());
    }
}
