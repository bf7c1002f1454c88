//! Questions from outside: somebody publishes `<path>/need_session` and listens on
//! `<path>/session_known-<requester>`. Where the family has the session, it answers there.

use crate::commands::Stop;
use crate::core::keyspace::Scope;
use crate::core::node::Node;
use crate::core::resolve::{Waited, clear_the_way};
use crate::core::topics::{self, Notice};
use gs_client::hashed::KIND_STRING;
use std::sync::Arc;

/// Looks a session up for whoever asked on the topic; silent where no tier has it.
pub fn answer(node: &Arc<Node>, channel: &[u8], payload: &[u8]) {
    let asked = channel.strip_suffix(b"/need_session").and_then(|path| std::str::from_utf8(path).ok());
    let (Some(path), Some(_)) = (asked, node.relay()) else { return };
    let Some((key, requester)) = topics::parse_question(payload) else { return };
    tokio::spawn(look_up(node.clone(), path.to_owned(), key, requester));
}

async fn look_up(node: Arc<Node>, path: String, key: Vec<u8>, requester: String) {
    let (db, mut scope, mut waited, mut value) = (0, Scope::default(), Waited::default(), Vec::new());
    // A key of another path is not this topic's to tell.
    if node.paths.of(&key).name != path {
        return;
    }
    for _ in 0..8 {
        match node.read(&scope, db, &key, false, &mut value, |_, _| ()) {
            Ok(Some(meta)) if meta.kind == KIND_STRING => {
                let pttl = u64::try_from(node.pttl(meta.deadline_ms)).ok();
                let (version, value) = (Some(meta.version), Some(value.as_slice()));
                let notice = Notice { key: &key, version, pttl, value, reason: "known", ..Notice::default() };
                topics::publish(&node.bus, &path, &format!("session_known-{requester}"), &notice);
                return;
            }
            Err(stop @ Stop::Below(_)) => {
                if clear_the_way(&node, stop, Vec::new(), &mut scope, &mut waited).await.is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}
