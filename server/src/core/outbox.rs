//! What reliefs still have to be told: drop this copy, refuse below that version.
//!
//! Orders are kept per node until the node acknowledges them; a node that is away gets them when it comes
//! back. They are what makes a delete final everywhere, so they are never dropped while the node may return.
//!
//! An order to drop one copy waits a moment for others: that copy is a shadow already, which nobody reads, and a
//! session that climbs should not cost a message of its own for what it left behind. What was superseded or destroyed
//! goes at once.

use gs_client::cache::KeyId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Orders sent to one relief in one message.
pub const ORDERS: usize = 512;
/// How long an order that may wait does.
const GATHER: Duration = Duration::from_millis(2);

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

/// What one node is owed.
#[derive(Default)]
struct Queue {
    orders: Vec<Order>,
    /// True if one of them must not wait.
    urgent: bool,
}

impl Queue {
    fn is_due(&self) -> bool {
        self.urgent || self.orders.len() >= ORDERS
    }
}

/// The orders of one relay, per node.
#[derive(Default)]
pub struct Outbox {
    queues: Mutex<HashMap<u16, Queue>>,
    wake: Notify,
    gathering: Notify,
    waiting: AtomicU64,
}

impl Outbox {
    /// Queues an order.
    pub fn push(&self, node: u16, order: Order) {
        let mut queues = self.queues.lock();
        let queue = queues.entry(node).or_default();
        queue.urgent |= !matches!(order.mode, Mode::Drop(_));
        queue.orders.push(order);
        self.waiting.fetch_add(1, Ordering::AcqRel);
        if queue.is_due() { self.wake.notify_one() } else { self.gathering.notify_one() }
    }

    /// True if there is something for a node.
    pub fn has(&self, node: u16) -> bool {
        self.queues.lock().get(&node).is_some_and(|queue| !queue.orders.is_empty())
    }

    /// True if there is something for a node that must not wait, or so much that it need not.
    pub fn is_due(&self, node: u16) -> bool {
        self.queues.lock().get(&node).is_some_and(Queue::is_due)
    }

    /// Takes up to `max` orders for a node.
    pub fn take(&self, node: u16, max: usize) -> Vec<Order> {
        let mut queues = self.queues.lock();
        let Some(queue) = queues.get_mut(&node) else { return Vec::new() };
        let taken: Vec<Order> = queue.orders.drain(..queue.orders.len().min(max)).collect();
        // Of what is left it is not looked up whether it could wait: it goes with the next message anyway.
        queue.urgent &= !queue.orders.is_empty();
        taken
    }

    /// Puts orders back that could not be delivered, in front, and keeps their order.
    pub fn put_back(&self, node: u16, mut batch: Vec<Order>) {
        let mut queues = self.queues.lock();
        let queue = queues.entry(node).or_default();
        batch.append(&mut queue.orders);
        *queue = Queue { orders: batch, urgent: true };
    }

    /// Counts orders as done.
    pub fn done(&self, count: usize) {
        self.waiting.fetch_sub(count as u64, Ordering::AcqRel);
    }

    /// Forgets all orders for a node that will not come back; returns them.
    pub fn forget(&self, node: u16) -> Vec<Order> {
        let orders = self.queues.lock().remove(&node).unwrap_or_default().orders;
        self.done(orders.len());
        orders
    }

    /// Orders not yet acknowledged.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Acquire)
    }

    /// Waits until there may be something to deliver.
    pub async fn woken(&self) {
        tokio::select! {
            () = self.wake.notified() => {}
            () = async {
                self.gathering.notified().await;
                tokio::time::sleep(GATHER).await;
            } => {}
        }
    }

    /// Wakes whoever delivers: a node came back.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Wakes whoever delivers as soon as there is something to deliver to a node.
    pub fn wake_for(&self, node: u16) {
        let queues = self.queues.lock();
        match queues.get(&node) {
            Some(queue) if queue.is_due() => self.wake.notify_one(),
            Some(queue) if !queue.orders.is_empty() => self.gathering.notify_one(),
            _ => {}
        }
    }
}
