//! What reliefs still have to be told: drop this copy, refuse below that version.
//!
//! Orders are kept per node until the node acknowledges them; a node that is away gets them when it comes
//! back. They are what makes a delete final everywhere, so they are never dropped while the node may return.

use gs_client::cache::KeyId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// What a holder must do with its copies of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Drop and refuse this version and all below.
    Tomb(u64),
    /// Drop and refuse all versions below this one.
    Floor(u64),
    /// Drop this one copy, named by the holder's own number of it.
    Drop(u64),
}

impl Mode {
    /// The word on the wire.
    pub fn word(&self) -> &'static str {
        match self {
            Mode::Tomb(_) => "tomb",
            Mode::Floor(_) => "floor",
            Mode::Drop(_) => "drop",
        }
    }

    /// The number on the wire.
    pub fn argument(&self) -> u64 {
        match self {
            Mode::Tomb(n) | Mode::Floor(n) | Mode::Drop(n) => *n,
        }
    }
}

/// One order to one node.
#[derive(Clone, Debug)]
pub struct Order {
    /// What to do.
    pub mode: Mode,
    /// Logical database.
    pub db: u8,
    /// The key.
    pub key: Box<[u8]>,
    /// Its identity in the relay's section.
    pub id: KeyId,
    /// The copy that the relay believes is there; 0 when it only may be.
    pub copy: u64,
}

/// The orders of one relay, per node.
#[derive(Default)]
pub struct Outbox {
    queues: Mutex<HashMap<u16, Vec<Order>>>,
    wake: Notify,
    waiting: AtomicU64,
}

impl Outbox {
    /// Queues an order.
    pub fn push(&self, node: u16, order: Order) {
        self.queues.lock().entry(node).or_default().push(order);
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.wake.notify_one();
    }

    /// True if there is something for a node.
    pub fn has(&self, node: u16) -> bool {
        self.queues.lock().get(&node).is_some_and(|queue| !queue.is_empty())
    }

    /// Takes up to `max` orders for a node.
    pub fn take(&self, node: u16, max: usize) -> Vec<Order> {
        let mut queues = self.queues.lock();
        let Some(queue) = queues.get_mut(&node) else { return Vec::new() };
        queue.drain(..queue.len().min(max)).collect()
    }

    /// Puts orders back that could not be delivered, in front, and keeps their order.
    pub fn put_back(&self, node: u16, mut batch: Vec<Order>) {
        let mut queues = self.queues.lock();
        let queue = queues.entry(node).or_default();
        batch.append(queue);
        *queue = batch;
    }

    /// Counts orders as done.
    pub fn done(&self, count: usize) {
        self.waiting.fetch_sub(count as u64, Ordering::AcqRel);
    }

    /// Forgets all orders for a node that will not come back; returns them.
    pub fn forget(&self, node: u16) -> Vec<Order> {
        let orders = self.queues.lock().remove(&node).unwrap_or_default();
        self.done(orders.len());
        orders
    }

    /// Orders not yet acknowledged.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Acquire)
    }

    /// Waits until there may be something to deliver.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Wakes whoever delivers: a node came back.
    pub fn wake(&self) {
        self.wake.notify_one();
    }
}
