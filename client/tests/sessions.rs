//! The user's API and the agent against a scripted relay: what a front end must never get wrong.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{FakeRelay, until};
use gs_client::error::SessionError;
use gs_client::sessions::{LruConfig, PartitionPolicy, RelayConfig, SessionCacheManager, Source};

struct Host {
    dir: tempfile::TempDir,
    name: String,
}

impl Host {
    fn new() -> Host {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::SeqCst);
        let dir = tempfile::tempdir().unwrap();
        Host {
            dir,
            name: format!("t{}-{n}", std::process::id()),
        }
    }

    fn lru(&self, manage_section: bool) -> LruConfig {
        LruConfig {
            dir: self.dir.path().join("gs"),
            name: self.name.clone(),
            manage_section,
            capacity_bytes: 4 << 20,
            value_bytes_max: 64 << 10,
            ..LruConfig::default()
        }
    }

    async fn open(&self, relay: &FakeRelay) -> SessionCacheManager {
        let sessions = SessionCacheManager::open(self.lru(true), config(relay))
            .await
            .unwrap();
        ready(&sessions).await;
        sessions
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Sections outlive their processes on purpose; a test has to take its own away.
        for entry in std::fs::read_dir(self.dir.path().join("gs"))
            .into_iter()
            .flatten()
            .flatten()
        {
            if let Some(name) = entry.file_name().to_str().and_then(|n| n.strip_suffix(".cur")) {
                let _ = gs_client::cache::Section::remove(&self.dir.path().join("gs"), name);
            }
        }
    }
}

fn config(relay: &FakeRelay) -> RelayConfig {
    RelayConfig {
        relays: vec![relay.addr.to_string()],
        timeout: Duration::from_millis(600),
        lease: Duration::from_millis(400),
        heartbeat: Duration::from_millis(40),
        ..RelayConfig::default()
    }
}

async fn ready(sessions: &SessionCacheManager) {
    tokio::time::timeout(Duration::from_secs(10), sessions.ready())
        .await
        .expect("a lease in time")
        .unwrap();
}

fn is_unavailable<T>(result: Result<T, SessionError>) -> bool {
    matches!(result, Err(SessionError::Unavailable { .. }))
}

/// The point of the library: what one process stored, every process of the machine reads without asking the relay.
#[tokio::test(flavor = "multi_thread")]
async fn a_set_is_read_locally_by_every_process_of_the_machine() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let one = host.open(&relay).await;
    let two = SessionCacheManager::open(host.lru(false), config(&relay))
        .await
        .unwrap();
    let version = one
        .set(b"sess:1", b"alice", Some(Duration::from_secs(60)))
        .await
        .unwrap();
    let session = two.get(b"sess:1").await.unwrap().unwrap();
    assert_eq!(
        (&session.value[..], session.version, session.source),
        (&b"alice"[..], version, Source::Local)
    );
    assert!(session.remaining_ms.unwrap() <= 60_000);
    assert_eq!(relay.gets.load(Ordering::SeqCst), 0);
}

/// A miss asks once; the answer serves the next reader locally. An absent key is the relay's word.
#[tokio::test(flavor = "multi_thread")]
async fn a_miss_is_fetched_once_and_kept() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    relay.set(b"k", b"v");
    let sessions = host.open(&relay).await;
    assert_eq!(sessions.get(b"k").await.unwrap().unwrap().source, Source::Relay);
    assert_eq!(sessions.get(b"k").await.unwrap().unwrap().source, Source::Local);
    assert_eq!(sessions.get(b"absent").await.unwrap(), None);
    assert_eq!(relay.gets.load(Ordering::SeqCst), 2);
}

/// A logout anywhere must end the session here, and a login elsewhere must be seen here.
#[tokio::test(flavor = "multi_thread")]
async fn the_agent_applies_what_other_machines_do() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let sessions = host.open(&relay).await;
    sessions.set(b"k", b"old", None).await.unwrap();
    relay.set(b"k", b"new");
    until("the new value is here", || {
        sessions.get_local(b"k").is_some_and(|s| s.value == b"new")
    })
    .await;
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
    until("the deletion is applied", || {
        sessions.stats().events == applied + 2
    })
    .await;
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

/// Cut off, a machine may answer for the length of the lease and then must fail: it cannot know who logged out.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_relay_reads_fail_once_the_lease_lapsed() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let sessions = host.open(&relay).await;
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

/// A set that failed must not leave the old value readable as if nothing had happened, nor the new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_set_is_not_a_local_success() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let sessions = host.open(&relay).await;
    sessions.set(b"k", b"v", None).await.unwrap();
    relay.silent.store(true, Ordering::SeqCst);
    let result = sessions.set(b"k", b"w", None).await;
    assert!(
        matches!(result, Err(SessionError::Unavailable { maybe_done: true, .. })),
        "{result:?}"
    );
    assert_eq!(sessions.get_local(b"k"), None);
}

/// A path that prefers an old answer to none gets it, marked as such, and no longer than it asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_stale_path_is_served_a_while_longer() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let lenient = RelayConfig {
        partition_by_prefix: vec![(b"page:".to_vec(), PartitionPolicy::Stale { for_ms: 60_000 })],
        ..config(&relay)
    };
    let sessions = SessionCacheManager::open(host.lru(true), lenient).await.unwrap();
    ready(&sessions).await;
    sessions.set(b"page:1", b"text", None).await.unwrap();
    sessions.set(b"sess:1", b"alice", None).await.unwrap();
    relay.go_away();
    until("the lease lapsed", || sessions.get_local(b"page:1").is_none()).await;
    let page = sessions.get(b"page:1").await.unwrap().unwrap();
    assert_eq!((&page.value[..], page.source), (&b"text"[..], Source::Stale));
    assert!(is_unavailable(sessions.get(b"sess:1").await));
    assert!(
        is_unavailable(sessions.get(b"page:unknown").await),
        "unknown is not absent"
    );
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
        until("the gap was noticed", || {
            sessions.stats().gaps > gaps && sessions.stats().leased
        })
        .await;
        assert_eq!(sessions.get_local(b"k"), None);
        assert_eq!(sessions.get(b"k").await.unwrap(), None);
    }
}

/// The agent dies with its process; another one of the machine must take over, and follow as it did.
#[tokio::test(flavor = "multi_thread")]
async fn another_process_takes_over_from_a_dead_agent() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let agent = host.open(&relay).await;
    let standby = SessionCacheManager::open(host.lru(false), config(&relay))
        .await
        .unwrap();
    agent.set(b"k", b"v", None).await.unwrap();
    assert_eq!((agent.stats().terms, standby.stats().terms), (1, 0));
    drop(agent);
    until("the standby is the agent", || {
        standby.stats().terms == 1 && standby.stats().leased
    })
    .await;
    relay.delete(b"k");
    until("the deletion is here", || standby.get_local(b"k").is_none()).await;
    assert_eq!(standby.stats().gaps, 0, "it went on where the other had stopped");
}

/// A save by a request that began before the logout must not bring the session back.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_save_is_refused() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    relay.wins(b"sess:");
    let sessions = host.open(&relay).await;
    let version = sessions.set(b"sess:1", b"a", None).await.unwrap();
    let newer = sessions
        .set_if_version(b"sess:1", b"b", None, version)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        sessions
            .set_if_version(b"sess:1", b"c", None, version)
            .await
            .unwrap(),
        None
    );
    assert_eq!(sessions.get(b"sess:1").await.unwrap().unwrap().version, newer);
    assert!(sessions.delete_everywhere(b"sess:1").await.unwrap());
    assert!(matches!(
        sessions.set(b"sess:1", b"d", None).await,
        Err(SessionError::Gone(_))
    ));
    assert_eq!(sessions.get(b"sess:1").await.unwrap(), None);
}

/// A touch prolongs the local copy too, or every touched session would be fetched again; it never shortens.
#[tokio::test(flavor = "multi_thread")]
async fn a_touch_prolongs_and_never_shortens_or_creates() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let sessions = host.open(&relay).await;
    sessions
        .set(b"k", b"v", Some(Duration::from_secs(5)))
        .await
        .unwrap();
    assert!(sessions.touch(b"k", Duration::from_secs(500)).await.unwrap());
    let remaining = || sessions.get_local(b"k").unwrap().remaining_ms.unwrap();
    assert!(remaining() > 400_000, "{}", remaining());
    assert!(sessions.touch(b"k", Duration::from_secs(5)).await.unwrap());
    assert!(remaining() > 400_000, "{}", remaining());
    assert!(!sessions.touch(b"absent", Duration::from_secs(5)).await.unwrap());
}

/// A secret that is only checked must not be readable through the library, from whichever tier.
#[tokio::test(flavor = "multi_thread")]
async fn a_hashed_value_can_be_checked_and_not_read() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let sessions = host.open(&relay).await;
    sessions.hash_set(b"pw", b"secret", None).await.unwrap();
    assert!(matches!(sessions.get(b"pw").await, Err(SessionError::Hashed)));
    let asked = || sessions.stats().asked;
    let mut local = false;
    for _ in 0..400 {
        let before = asked();
        assert_eq!(sessions.check_hash(b"pw", b"secret").await.unwrap(), Some(true));
        assert_eq!(sessions.check_hash(b"pw", b"guess").await.unwrap(), Some(false));
        // Once the stream brought the sealed value, the check is local.
        local = asked() == before;
        if local {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(local, "the check never became local");
    assert_eq!(sessions.get_local(b"pw"), None);
    assert!(matches!(sessions.get(b"pw").await, Err(SessionError::Hashed)));
    assert_eq!(sessions.check_hash(b"absent", b"x").await.unwrap(), None);
}

/// A page that waits for a login is told when it happens, on another machine too; once.
#[tokio::test(flavor = "multi_thread")]
async fn a_wanted_key_is_announced_when_it_arrives() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let sessions = host.open(&relay).await;
    let (told, mut telling) = tokio::sync::mpsc::unbounded_channel();
    sessions
        .on_key(b"k", move |session| told.send(session.value).unwrap())
        .unwrap();
    relay.set(b"k", b"alice");
    let value = tokio::time::timeout(Duration::from_secs(10), telling.recv())
        .await
        .unwrap();
    assert_eq!(value.unwrap(), b"alice");
    assert_eq!(
        telling.recv().await,
        None,
        "the callback is gone after its one call"
    );
}

/// Topics reach the subscriber, and a break is told, since messages may have been missed.
#[tokio::test(flavor = "multi_thread")]
async fn topics_are_streamed_and_breaks_are_told() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let sessions = host.open(&relay).await;
    let mut topics = sessions.subscribe("session_gone").await;
    relay.publish(b"auths/session", b"not for us");
    relay.publish(b"auths/session_gone", b"{1}");
    let message = topics.next().await.unwrap();
    assert_eq!(
        (&message.topic[..], &message.payload[..]),
        (&b"auths/session_gone"[..], &b"{1}"[..])
    );
    relay.hang_up();
    assert!(topics.next().await.is_err());
    let again = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            relay.publish(b"auths/session_gone", b"{2}");
            match tokio::time::timeout(Duration::from_millis(50), topics.next()).await {
                Ok(Ok(message)) => return message,
                _ => continue,
            }
        }
    });
    assert_eq!(&again.await.unwrap().payload[..], b"{2}");
}

/// With several relays each key has one owner; its section answers for no other relay's keys.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_spread_over_several_relays() {
    let (one, two, host) = (FakeRelay::start(), FakeRelay::start(), Host::new());
    let both = RelayConfig {
        relays: vec![one.addr.to_string(), two.addr.to_string()],
        ..config(&one)
    };
    let sessions = SessionCacheManager::open(host.lru(true), both).await.unwrap();
    ready(&sessions).await;
    for n in 0..50 {
        sessions
            .set(format!("k{n}").as_bytes(), b"v", None)
            .await
            .unwrap();
    }
    one.go_away();
    let of_first = (0..50)
        .map(|n| format!("k{n}"))
        .find(|k| gs_resp::slot_of(k.as_bytes()) < 8192)
        .unwrap();
    until("the first relay's lease lapsed", || {
        sessions.get_local(of_first.as_bytes()).is_none()
    })
    .await;
    let mut reachable = 0;
    for n in 0..50 {
        reachable += u32::from(sessions.get(format!("k{n}").as_bytes()).await.is_ok());
    }
    assert!(
        (10..=40).contains(&reachable),
        "{reachable} of 50 keys belong to the other relay"
    );
}

/// Programs without tokio get the same answers.
#[test]
fn the_blocking_face_works_without_a_runtime() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let sessions = gs_client::blocking::Sessions::open(host.lru(true), config(&relay)).unwrap();
    assert!(sessions.ready_within(Duration::from_secs(10)).unwrap());
    let version = sessions.set(b"k", b"v", None).unwrap();
    assert_eq!(sessions.get(b"k").unwrap().unwrap().version, version);
    assert!(sessions.delete(b"k").unwrap());
    assert_eq!(sessions.get(b"k").unwrap(), None);
    let mut messages = sessions.subscribe("session");
    relay.publish(b"auths/session", b"{}");
    assert_eq!(&messages.next().unwrap().unwrap().payload[..], b"{}");
}
