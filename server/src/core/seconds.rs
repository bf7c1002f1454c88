//! Second copies: what a write to a path with `copies = 2`, or with `COPIES 2`, owes before it is answered.
//!
//! A write only notes the copy, because handlers do not wait; the connection that wrote holds the reply back until a
//! relief has it. Another deadline stores nothing: its copy is tried for as well, but where none can be had it is answered
//! as ever and counted, and the session has one copy until its next write or extension. Where nobody writes such copies, one counter is read for each command.

use crate::core::bus::ClientId;
use crate::core::keyspace::Write;
use crate::core::node::{Node, Relay};
use crate::core::outbox::{Mode, Order};
use crate::roles::wire::{self, Parcel};
use gs_client::cache::KeyId;
use gs_resp::{Code, Refusal};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A second copy whose fate is not known may arrive for this long; links give up far earlier.
const COPY_ARRIVES_MS: u64 = 60_000;

/// A copy that a connection owes.
pub struct Owed {
    parcel: Parcel,
    /// True where the command fails without it: it stored a value.
    must: bool,
}

/// The copies that connections owe for the command that they run.
#[derive(Default)]
pub struct Seconds {
    by_client: Mutex<HashMap<ClientId, Vec<Owed>>>,
    /// How many connections. A connection notes and takes its own copies on one thread: no order is needed.
    clients: AtomicUsize,
}

impl Seconds {
    /// True where no connection owes anything.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.clients.load(Ordering::Relaxed) == 0
    }

    /// What a connection owes since it was asked last.
    pub fn take(&self, client: ClientId) -> Vec<Owed> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut list = self.by_client.lock();
        let owed = list.remove(&client).unwrap_or_default();
        self.clients.store(list.len(), Ordering::Relaxed);
        owed
    }

    fn note(&self, client: ClientId, parcel: Parcel, mut must: bool) {
        let mut list = self.by_client.lock();
        let owed = list.entry(client).or_default();
        // Of a key that a transaction writes twice, the last value is the one to be kept.
        owed.retain(|known| {
            let same = known.parcel.db == parcel.db && known.parcel.key == parcel.key;
            // Extended by the transaction that stored it, it is stored no less.
            must |= same && known.must;
            !same
        });
        owed.push(Owed { parcel, must });
        self.clients.store(list.len(), Ordering::Relaxed);
    }
}

/// Refuses a write that owes a second copy where no node could take it.
pub fn possible(relay: &Relay) -> Result<(), Refusal> {
    if !relay.members.list().is_empty() {
        return Ok(());
    }
    let text = "COPIES 2 needs a relief and none has joined: start one (gs-server --role relief-expansion --sibling \
                HOST:PORT), or write with COPIES 1";
    Err(Refusal::new(Code::Unavailable, text))
}

/// Notes that a write owes its second copy. The caller holds the key's stripe: before anyone else can change the
/// key, a change from now on follows the copy wherever it arrives.
pub fn owe(node: &Node, relay: &Relay, write: &Write<'_>, id: KeyId, version: u64, must: bool) {
    relay.copying.begin(id, version, node.clock.unix_ms() + COPY_ARRIVES_MS);
    let parcel = Parcel {
        db: write.db,
        key: write.key.to_vec(),
        version,
        pttl: node.pttl(write.deadline_ms),
        kind: write.kind,
        age_ms: 0,
        value: write.value.to_vec(),
    };
    relay.seconds.note(write.by, parcel, must);
}

/// Has copies put on reliefs; an error where one is missing that must be there. They go on their way together, and whoever waits for them may end meanwhile.
pub async fn place(node: Arc<Node>, owed: Vec<Owed>) -> Result<(), Refusal> {
    let one = |Owed { parcel, must }| {
        let node = node.clone();
        tokio::spawn(async move {
            let placed = place_one(&node, &parcel).await;
            if placed.is_err() && !must {
                node.metrics.second_copies_missed.add(1);
                return Ok(());
            }
            placed
        })
    };
    let tasks: Vec<_> = owed.into_iter().map(one).collect();
    let mut done = Ok(());
    for task in tasks {
        done = done.and(task.await.unwrap_or_else(|_| Err(missing("its task failed"))));
    }
    done
}

fn missing(why: &str) -> Refusal {
    let text = format!("the session is stored once, but its second copy is not: {why}; write it again");
    Refusal::new(Code::Unavailable, text)
}

/// Has one copy put on a relief, and lists it there.
async fn place_one(node: &Node, parcel: &Parcel) -> Result<(), Refusal> {
    let relay = node.relay().ok_or_else(|| missing("this node has no reliefs"))?;
    let link = relay.downstream().ok_or_else(|| missing("the sibling is not there"))?;
    let mut out = Vec::new();
    gs_resp::encode_command_head(&mut out, 1 + wire::PUT_WORDS);
    gs_resp::encode_arg(&mut out, b"GS.COPY");
    parcel.encode(&mut out);
    let reply = link.call_encoded(out, 1).await.map_err(|_| missing("the sibling does not answer"))?;
    let list = reply.first().and_then(wire::integers);
    let Some([index, copy]) = list.as_deref() else {
        return Err(missing("no relief could take it"));
    };
    let id = node.id(parcel.db, &parcel.key);
    let _lock = node.stripes.lock(&id);
    let here = node.cache.section().peek(&id, &parcel.key, node.now_ms());
    let (index, copy) = (*index as u16, *copy as u64);
    if here.is_some_and(|meta| meta.version == parcel.version) && !relay.is_lost(index) {
        relay.directory.insert_second(&id, parcel.db, index, parcel.version, copy);
        relay.copying.arrived(&id, parcel.version);
    } else {
        // The session changed meanwhile: nobody reads this copy.
        relay.condemned.lock().insert((index, copy), node.clock.unix_ms());
        let (mode, db, key) = (Mode::Drop(copy), parcel.db, parcel.key.as_slice().into());
        relay.outbox.push(index, Order { mode, db, key, id, copy });
    }
    Ok(())
}
