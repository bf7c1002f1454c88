//! What a connection is told by others, written between its own replies.

use super::{CHUNK_BYTES, Flow, Serving, Unread};
use crate::core::bus::Message;
use crate::io::pipe::Stream;
use bytes::Bytes;
use gs_resp::{Protocol, Writer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

/// The channel that stands for invalidations where RESP2 has no other word for them.
const INVALIDATE: &[u8] = b"__redis__:invalidate";

/// Broadcast keys, by prefix and by whether another connection had them sent here: one push for each.
type Gathered = BTreeMap<(Bytes, bool), BTreeSet<Bytes>>;

impl<S: Stream> Serving<S> {
    /// Takes the messages that are there, behind one that is at hand.
    pub(super) fn messages(&mut self, mut first: Option<Message>) -> Flow {
        self.session.conn.open_mail();
        if self.session.conn.inbox.is_none() {
            return Flow::On;
        }
        let (mut gathered, mut bytes) = (Gathered::new(), 0);
        while self.pipe.pending() + bytes < CHUNK_BYTES {
            let Some(inbox) = &mut self.session.conn.inbox else { break };
            match first.take().or_else(|| inbox.try_next()) {
                Some(Message::Broadcast { prefix, keys, redirected }) => {
                    bytes += keys.iter().map(|key| key.len() + 16).sum::<usize>();
                    gathered.entry((prefix, redirected)).or_default().extend(keys.iter().cloned());
                }
                Some(message) => {
                    // Only a flush has an order with keys; a publication in between does not break up their push.
                    if matches!(message, Message::AllInvalid { .. }) {
                        self.broadcasts(std::mem::take(&mut gathered));
                    }
                    self.deliver(&message);
                }
                None => {
                    if let Some(cut) = inbox.cut() {
                        self.cut(Unread::Messages(cut));
                        return Flow::Drop;
                    }
                    break;
                }
            }
        }
        self.broadcasts(gathered);
        Flow::On
    }

    fn broadcasts(&mut self, gathered: Gathered) {
        for ((_, redirected), keys) in gathered {
            self.invalidate(redirected, |w| {
                w.array(keys.len());
                keys.iter().for_each(|key| w.bulk(key));
            });
        }
    }

    fn deliver(&mut self, message: &Message) {
        match message {
            Message::Published { pattern, channel, payload, shard } => {
                self.published(pattern.as_ref(), channel, payload, *shard)
            }
            Message::Invalid { key, redirected, .. } => self.invalidate(*redirected, |w| {
                w.array(1);
                w.bulk(key);
            }),
            // What was on its way when it stopped watching is not delivered behind the word that it stopped.
            Message::Ran(_) if !self.session.conn.info.monitors.load(Ordering::Relaxed) => {}
            Message::Ran(line) => {
                let text = String::from_utf8_lossy(line);
                self.writer().simple(&text);
            }
            Message::AllInvalid { redirected } => self.invalidate(*redirected, |w| w.null()),
            Message::RedirectBroken(id) if self.session.conn.proto == Protocol::Resp3 => {
                let mut w = self.told();
                w.push(2);
                w.bulk(b"tracking-redir-broken");
                w.uint(*id);
            }
            // A broadcast was gathered before.
            Message::Broadcast { .. } | Message::RedirectBroken(_) => {}
        }
    }

    fn told(&mut self) -> Writer<'_> {
        Writer { out: &mut self.pipe.out, proto: self.session.conn.proto }
    }

    fn published(&mut self, pattern: Option<&Bytes>, channel: &Bytes, payload: &Bytes, shard: bool) {
        let conn = &self.session.conn;
        let mut w = Writer { out: &mut self.pipe.out, proto: conn.proto };
        // What was on its way when the client unsubscribed is not delivered after it was told so.
        match pattern {
            Some(pattern) if conn.subs.patterns.contains(&pattern[..]) => {
                w.push(4);
                w.bulk(b"pmessage");
                w.bulk(pattern);
            }
            None if shard && conn.subs.shards.contains(&channel[..]) => {
                w.push(3);
                w.bulk(b"smessage");
            }
            None if !shard && conn.subs.channels.contains(&channel[..]) => {
                w.push(3);
                w.bulk(b"message");
            }
            _ => return,
        }
        w.bulk(channel);
        w.bulk(payload);
    }

    /// Says that something is no longer what it was: a push, or in RESP2 a message, where it was sent here from
    /// another connection and this one listens to anything.
    fn invalidate(&mut self, redirected: bool, what: impl FnOnce(&mut Writer<'_>)) {
        let conn = &self.session.conn;
        if !redirected && conn.tracker.is_none() {
            // It was on its way when the client stopped.
            return;
        }
        let (push, listens) = (conn.proto == Protocol::Resp3, !conn.subs.is_empty());
        let mut w = self.told();
        if push {
            w.push(2);
            w.bulk(b"invalidate");
        } else if redirected && listens {
            w.push(3);
            w.bulk(b"message");
            w.bulk(INVALIDATE);
        } else {
            return;
        }
        what(&mut w);
    }
}
