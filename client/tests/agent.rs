//! The agent against a scripted relay: a stream that is late, torn, or gone, and an agent that dies.

#![allow(clippy::unwrap_used)]

mod common;

use common::{FakeRelay, Host, forgetful, until};
use gs_client::error::SessionError;
use gs_client::sessions::{PartitionPolicy, RelayConfig, SessionCacheManager, Source};
use std::sync::atomic::Ordering;

fn is_unavailable<T>(result: Result<T, SessionError>) -> bool {
    matches!(result, Err(SessionError::Unavailable { .. }))
}

/// A logout anywhere must end the session here, and a login elsewhere must be seen here.
#[tokio::test(flavor = "multi_thread")]
async fn the_agent_applies_what_other_machines_do() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let sessions = host.open(&relay).await;
    sessions.set(b"k", b"old", None).await.unwrap();
    relay.set(b"k", b"new");
    until("the new value is here", || sessions.get_local(b"k").is_some_and(|s| s.value == b"new")).await;
    relay.delete(b"k");
    until("the deletion is here", || sessions.get_local(b"k").is_none()).await;
    assert_eq!(sessions.get(b"k").await.unwrap(), None);
}

/// The race this library exists to win: the stream is behind, its old put arrives after the deletion returned here.
#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_is_still_in_the_stream_does_not_undo_a_deletion() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let sessions = host.open(&relay).await;
    relay.hold_stream();
    let applied = sessions.stats().events;
    // Another machine logs the user in; this one logs the user out.
    relay.set(b"k", b"theirs");
    let put = relay.last();
    assert!(sessions.delete(b"k").await.unwrap());
    relay.let_stream_on_to(put);
    until("the put is applied", || sessions.stats().events == applied + 1).await;
    assert_eq!(sessions.get_local(b"k"), None);
    relay.let_stream_on_to(u64::MAX);
    until("the deletion is applied", || sessions.stats().events == applied + 2).await;
    assert_eq!(sessions.get_local(b"k"), None);
}

/// The same for a value that this machine set or read: an older one from the stream must not replace it, not even
/// where the newer one could not be kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_is_still_in_the_stream_does_not_replace_a_newer_one() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let sessions = host.open(&relay).await;
    relay.hold_stream();
    let applied = sessions.stats().events;
    for key in [b"kept".as_slice(), b"large", b"read"] {
        relay.set(key, b"theirs");
    }
    let puts = relay.last();
    let large = vec![7; 100 << 10];
    let mine = sessions.set(b"kept", b"mine", None).await.unwrap();
    sessions.set(b"large", &large, None).await.unwrap();
    relay.set(b"read", &large);
    assert_eq!(sessions.get(b"read").await.unwrap().unwrap().value, large);
    relay.let_stream_on_to(puts);
    until("the puts are applied", || sessions.stats().events == applied + 3).await;
    assert!(sessions.get_local(b"kept").is_none_or(|s| s.version == mine));
    assert_eq!(sessions.get_local(b"large"), None);
    assert_eq!(sessions.get_local(b"read"), None);
    relay.let_stream_on_to(u64::MAX);
    assert_eq!(sessions.get(b"large").await.unwrap().unwrap().value, large);
}

/// A session that this machine has seen to be gone, by its own question, is not there again because the stream is behind:
/// neither a plain one nor one that is only kept as a hash.
#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_is_still_in_the_stream_does_not_undo_what_was_read() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let sessions = host.open(&relay).await;
    relay.hold_stream();
    let applied = sessions.stats().events;
    // Another machine logs two users in and out again.
    relay.set(b"k", b"theirs");
    relay.seal(b"h", b"theirs");
    let puts = relay.last();
    relay.delete(b"k");
    relay.delete(b"h");
    assert_eq!(sessions.get(b"k").await.unwrap(), None);
    assert_eq!(sessions.check_hash(b"h", b"theirs").await.unwrap(), None);
    relay.let_stream_on_to(puts);
    until("the puts are applied", || sessions.stats().events == applied + 2).await;
    assert_eq!(sessions.get_local(b"k"), None);
    let asked = relay.gets.load(Ordering::SeqCst);
    assert_eq!(sessions.check_hash(b"h", b"theirs").await.unwrap(), None);
    assert_eq!(relay.gets.load(Ordering::SeqCst), asked + 1, "no copy answered");
    // It is no obstacle to the next login.
    relay.let_stream_on_to(u64::MAX);
    relay.set(b"k", b"again");
    until("the next one is here", || sessions.get_local(b"k").is_some_and(|s| s.value == b"again")).await;
}

/// Cut off, a machine may answer for the length of the lease and then must fail: it cannot know who logged out.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_relay_reads_fail_once_the_lease_lapsed() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let sessions = host.open_with(forgetful(&relay)).await;
    sessions.set(b"k", b"v", None).await.unwrap();
    relay.go_away();
    until("the lease lapsed", || sessions.get_local(b"k").is_none()).await;
    assert!(is_unavailable(sessions.get(b"k").await));
    assert!(is_unavailable(sessions.set(b"k", b"w", None).await));
    assert!(is_unavailable(sessions.delete(b"k").await));
    // While it was away, somebody logged out; the log reaches back, so the rest of the section is kept.
    relay.set(b"other", b"x");
    relay.delete(b"k");
    relay.come_back();
    until("the lease is back", || sessions.stats().leased).await;
    assert_eq!(sessions.get(b"k").await.unwrap(), None);
    assert_eq!(sessions.stats().gaps, 1, "only the first contact flushed");
}

/// A path that prefers an old answer to none gets it, marked as such, and no longer than it asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_stale_path_is_served_a_while_longer() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let lenient = RelayConfig {
        partition_by_prefix: vec![(b"page:".to_vec(), PartitionPolicy::Stale { for_ms: 60_000 })],
        ..forgetful(&relay)
    };
    let sessions = host.open_with(lenient).await;
    sessions.set(b"page:1", b"text", None).await.unwrap();
    sessions.set(b"sess:1", b"alice", None).await.unwrap();
    relay.go_away();
    until("the lease lapsed", || sessions.get_local(b"page:1").is_none()).await;
    let page = sessions.get(b"page:1").await.unwrap().unwrap();
    assert_eq!((&page.value[..], page.source), (&b"text"[..], Source::Stale));
    assert!(is_unavailable(sessions.get(b"sess:1").await));
    assert!(is_unavailable(sessions.get(b"page:unknown").await), "unknown is not absent");
    assert_eq!(sessions.stats().stale, 1);
}

/// A log that no longer reaches back, or another life of the relay: deletions may have been missed, so all goes.
#[tokio::test(flavor = "multi_thread")]
async fn a_gap_flushes_the_section() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let sessions = host.open(&relay).await;
    for restart in [false, true] {
        sessions.set(b"k", b"v", None).await.unwrap();
        relay.go_away();
        relay.delete(b"k");
        if restart {
            relay.new_life()
        } else {
            relay.forget_log()
        }
        let gaps = sessions.stats().gaps;
        relay.come_back();
        until("the gap was noticed", || sessions.stats().gaps > gaps && sessions.stats().leased).await;
        assert_eq!(sessions.get_local(b"k"), None);
        assert_eq!(sessions.get(b"k").await.unwrap(), None);
    }
}

/// The agent dies with its process; another one of the machine must take over, and follow as it did.
#[tokio::test(flavor = "multi_thread")]
async fn another_process_takes_over_from_a_dead_agent() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let agent = host.open_with(forgetful(&relay)).await;
    let standby = SessionCacheManager::open(host.lru(false), forgetful(&relay)).await.unwrap();
    agent.set(b"k", b"v", None).await.unwrap();
    assert_eq!((agent.stats().terms, standby.stats().terms), (1, 0));
    drop(agent);
    until("the standby is the agent", || standby.stats().terms == 1 && standby.stats().leased).await;
    relay.delete(b"k");
    until("the deletion is here", || standby.get_local(b"k").is_none()).await;
    assert_eq!(standby.stats().gaps, 0, "it went on where the other had stopped");
}
