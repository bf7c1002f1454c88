//! The background of a manager: one process per machine is the *agent* of a section, the others stand by.
//!
//! The agent follows the relay's stream, applies it to the section and renews the section's lease. The role is the
//! lease word itself, `(agent epoch, until)`: whoever sees it lapsed may take it by a CAS that raises the epoch. A
//! file lock would not do, since a stopped process keeps its locks. An agent that was stopped and thaws finds the
//! epoch raised: its renewals fail, and what it had half applied is refused by the tickets it took before it looked
//! at the epoch.

mod election;
mod follow;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use election::{Election, Judgement};
use follow::{Ended, Follower};
use tokio::sync::watch;

use crate::cache::Lease;
use crate::sessions::Inner;
use crate::sessions::shard::Shard;

/// A successor waits this much at most after the lease lapsed; at random, so that one of many comes first.
const TAKEOVER_JITTER_MS: u64 = 50;
/// How often a section is looked at while nothing else is to be done.
const LOOK_MS_MAX: u64 = 100;
/// Pauses of an agent between attempts to follow its relay.
const RETRY_MS: (u64, u64) = (20, 500);
/// How often keys that somebody waits for are looked up.
const WANTS_PAUSE: Duration = Duration::from_millis(50);

/// How often it is looked whether a touch has waited long enough.
const TOUCHES_PAUSE: Duration = Duration::from_millis(100);

/// Ends the background tasks when dropped.
pub(crate) struct Background(#[allow(dead_code, reason = "held for its drop")] watch::Sender<()>);

/// Starts the tasks: one per section, one for the keys that are waited for, one for touches that wait.
pub(crate) fn start(shards: &[Arc<Shard>], inner: Weak<Inner>) -> Background {
    let (sender, closing) = watch::channel(());
    for shard in shards {
        let shard = shard.clone();
        tokio::spawn(until_closed(closing.clone(), async move { serve(&shard).await }));
    }
    tokio::spawn(until_closed(closing.clone(), tell_touches(inner.clone())));
    tokio::spawn(until_closed(closing, look_for_wants(inner)));
    Background(sender)
}

async fn until_closed(mut closing: watch::Receiver<()>, work: impl Future<Output = ()>) {
    tokio::select! {
        // Nothing is ever sent: an error, since the sender is gone, is the signal.
        _ = closing.changed() => {}
        () = work => {}
    }
}

/// Stands by, becomes the agent when there is none, stands by again when superseded; for ever.
async fn serve(shard: &Shard) {
    let mut election = Election::new(shard.lease.as_millis() as u64);
    loop {
        shard.follow_replacement();
        let cache = shard.cache();
        let lease = cache.section().lease();
        let jitter_ms = rand::random_range(0..=TAKEOVER_JITTER_MS);
        match election.judge(lease, cache.now_ms(), jitter_ms) {
            // A candidate that cannot reach the relay itself would only be in the way of one that can.
            Judgement::Take if shard.link.is_up() => {
                if let Some(epoch) = take(shard, lease) {
                    act(shard, epoch).await;
                }
            }
            Judgement::Take => tokio::time::sleep(Duration::from_millis(5)).await,
            Judgement::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms.clamp(1, LOOK_MS_MAX))).await,
        }
    }
}

/// Takes the role, without a lease yet: nobody may be served before the stream was caught up with.
fn take(shard: &Shard, seen: Lease) -> Option<u16> {
    let epoch = shard.cache().section().take_agent(seen, seen.until_ms)?;
    shard.counters.terms.fetch_add(1, Ordering::Relaxed);
    tracing::info!(relay = shard.link.addr(), epoch, "this process is the agent now");
    Some(epoch)
}

/// A term as agent: follows the relay until superseded.
async fn act(shard: &Shard, epoch: u16) {
    let mut follower = Follower::new(shard, shard.cache(), epoch);
    let mut pause_ms = RETRY_MS.0;
    loop {
        match follower.follow().await {
            Ended::Superseded => {
                tracing::info!(relay = shard.link.addr(), epoch, "another process is the agent now");
                return;
            }
            Ended::Broken { reason, renewed } => {
                tracing::warn!(relay = shard.link.addr(), "the stream broke: {reason}");
                pause_ms = if renewed { RETRY_MS.0 } else { (pause_ms * 2).min(RETRY_MS.1) };
            }
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(pause_ms / 2..=pause_ms))).await;
        if !follower.is_agent() {
            return;
        }
    }
}

/// Tells the relay of touches that waited.
async fn tell_touches(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(TOUCHES_PAUSE).await;
        let Some(inner) = inner.upgrade() else { return };
        inner.tell_touches().await;
    }
}

/// Looks for the keys that somebody waits for. All processes of a machine see in the section what the agent put
/// there, so this works without a stream of their own; the relay is asked too, rarely.
async fn look_for_wants(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(WANTS_PAUSE).await;
        let Some(inner) = inner.upgrade() else { return };
        if inner.wants.is_empty() {
            continue;
        }
        let now_ms = inner.shards[0].cache().now_ms();
        for wanted in inner.wants.due(now_ms) {
            if let Some(session) = inner.look_for(&wanted.key, wanted.ask).await {
                for callback in inner.wants.take(&wanted.key) {
                    callback(session.clone());
                }
            }
        }
    }
}
