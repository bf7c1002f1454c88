//! MONITOR: connections that see which commands run. Arguments are told by their lengths alone, and a watcher that
//! does not read is cut off like any other.

use crate::commands::Command;
use crate::core::bus::{ClientId, Mailbox, Message};
use crate::core::clients::ClientInfo;
use crate::core::node::Node;
use crate::core::slow::redacted;
use bytes::Bytes;
use gs_resp::{Args, Flags};
use parking_lot::Mutex;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The watchers of one node.
#[derive(Debug, Default)]
pub struct Monitors {
    /// True while there is one: what the way of every command passes.
    on: AtomicBool,
    list: Mutex<Vec<(Arc<ClientInfo>, Mailbox)>>,
}

impl Monitors {
    /// True while somebody watches.
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Somebody begins to watch; once is enough.
    pub fn begin(&self, client: &Arc<ClientInfo>, mailbox: Mailbox) {
        let mut list = self.list.lock();
        if !client.monitors.swap(true, Ordering::Relaxed) {
            list.push((client.clone(), mailbox));
        }
        self.on.store(true, Ordering::Relaxed);
    }

    /// Somebody stops watching.
    pub fn end(&self, client: ClientId) {
        self.keep(|watcher, _| watcher.id != client);
    }

    /// Nobody watches any more.
    pub fn end_all(&self) {
        self.keep(|_, _| false);
    }

    fn keep(&self, stays: impl Fn(&ClientInfo, &Mailbox) -> bool) {
        let mut list = self.list.lock();
        list.retain(|(client, mailbox)| {
            let stays = stays(client, mailbox);
            // What is on its way to one that no longer watches is not delivered.
            client.monitors.store(stays, Ordering::Relaxed);
            stays
        });
        self.on.store(!list.is_empty(), Ordering::Relaxed);
    }
}

/// Tells the watchers what is about to run. Commands of operators are not shown, as in Redis.
#[cold]
pub fn tell(node: &Node, info: &ClientInfo, db: u8, row: &Command, args: Args<'_>) {
    if row.spec.flags.intersects(Flags::ADMIN.or(Flags::SKIP_MONITOR)) {
        return;
    }
    let unix_us = node.clock.unix_us();
    let mut line = format!("{}.{:06} [{db} {}]", unix_us / 1_000_000, unix_us % 1_000_000, info.addr);
    for word in redacted(row, args) {
        // Writing to a String cannot fail.
        let _ = write!(line, " {word:?}");
    }
    let line = Bytes::from(line);
    node.monitors.keep(|_, mailbox| mailbox.post(Message::Ran(line.clone())));
}
