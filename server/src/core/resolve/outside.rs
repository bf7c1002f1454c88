//! Questions to external validators, for keys that no tier has.

use crate::core::change::KeyEvent;
use crate::core::keyspace::Write;
use crate::core::node::Node;
use crate::core::resolve::Found;
use crate::core::topics::{self, Notice};
use dashmap::DashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::oneshot;

/// Asks external validators for a key that no tier has, where the path allows it and somebody listens.
pub(super) async fn ask_outside(node: &Arc<Node>, db: u8, key: &[u8]) -> Found {
    let path = node.paths.of(key);
    let (Some(wait), true) = (path.external_wait, node.is_validated_outside(key)) else {
        return Found::Absent;
    };
    let number = node.outside.asked.fetch_add(1, Ordering::Relaxed);
    // The life's random identity keeps an answer to an earlier life from being taken for one to this.
    let requester = format!("{:.12}-{number:x}", node.run_id);
    node.metrics.external_asked.add(1);
    let answer = node.outside.expect(&requester);
    let notice = Notice { db, key, requester: Some(&requester), reason: "miss", ..Notice::default() };
    topics::publish(&node.bus, &path.name, "need_session", &notice);
    let answer = tokio::time::timeout(wait, answer).await.ok().and_then(Result::ok);
    node.outside.forget(&requester);
    let Some(answer) = answer.filter(|answer| answer.key == key) else {
        return Found::Absent;
    };
    let Some(value) = answer.value else {
        return Found::Absent;
    };
    let deadline_ms = answer.pttl.map_or(0, |ms| node.now_ms() + ms.max(1));
    let id = node.id(db, key);
    let _lock = node.stripes.lock(&id);
    if node.cache.section().peek(&id, key, node.now_ms()).is_none() {
        let write = Write {
            db,
            key,
            id,
            value: &value,
            kind: 0,
            deadline_ms,
            event: KeyEvent::SET,
            by: 0,
            copies: None,
        };
        if node.write(&write).is_err() {
            return Found::Absent;
        }
        node.metrics.external_answered.add(1);
    }
    Found::Here(None)
}

/// A message on a `session_known-<requester>` channel: the answer somebody here may wait for.
pub fn external_answer(node: &Node, channel: &[u8], payload: &[u8]) {
    let Some(at) = channel.windows(15).position(|w| w == b"/session_known-") else {
        return;
    };
    let Ok(requester) = std::str::from_utf8(&channel[at + 15..]) else {
        return;
    };
    if let Some(answer) = topics::parse_answer(payload) {
        node.outside.answer(requester, answer);
    }
}

/// Questions to external validators that are under way.
#[derive(Default)]
pub struct Outside {
    waiting: DashMap<String, oneshot::Sender<topics::Answer>>,
    asked: AtomicU64,
}

impl Outside {
    fn expect(&self, requester: &str) -> oneshot::Receiver<topics::Answer> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.insert(requester.to_string(), sender);
        receiver
    }

    fn forget(&self, requester: &str) {
        self.waiting.remove(requester);
    }

    fn answer(&self, requester: &str, answer: topics::Answer) {
        if let Some((_, sender)) = self.waiting.remove(requester) {
            // The asker may have given up at this moment.
            let _ = sender.send(answer);
        }
    }
}
