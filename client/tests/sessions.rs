//! The user's API against a scripted relay: what a front end must never get wrong.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{FakeRelay, Host, PATIENCE, config, forgetful, until};
use gs_client::clock::Clock;
use gs_client::error::SessionError;
use gs_client::sessions::{Owners, RelayConfig, SessionCacheManager, Source, patience_ms};

/// The point of the library: what one process stored, every process of the machine reads without asking the relay.
#[tokio::test(flavor = "multi_thread")]
async fn a_set_is_read_locally_by_every_process_of_the_machine() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let one = host.open(&relay).await;
    let two = SessionCacheManager::open(host.lru(false), config(&relay)).await.unwrap();
    let version = one.set(b"sess:1", b"alice", Some(Duration::from_secs(60))).await.unwrap();
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

/// A set that failed must not leave the old value readable as if nothing had happened, nor the new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_set_is_not_a_local_success() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let brief = RelayConfig { timeout: Duration::from_secs(3), ..config(&relay) };
    let sessions = host.open_with(brief).await;
    sessions.set(b"k", b"v", None).await.unwrap();
    relay.silent.store(true, Ordering::SeqCst);
    let result = sessions.set(b"k", b"w", None).await;
    assert!(matches!(result, Err(SessionError::Unavailable { maybe_done: true, .. })), "{result:?}");
    assert_eq!(sessions.get_local(b"k"), None);
}

/// A save by a request that began before the logout must not bring the session back.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_save_is_refused() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    relay.wins(b"sess:");
    let sessions = host.open(&relay).await;
    let version = sessions.set(b"sess:1", b"a", None).await.unwrap();
    let newer = sessions.set_if_version(b"sess:1", b"b", None, version).await.unwrap().unwrap();
    assert_eq!(sessions.set_if_version(b"sess:1", b"c", None, version).await.unwrap(), None);
    assert_eq!(sessions.get(b"sess:1").await.unwrap().unwrap().version, newer);
    assert!(sessions.delete_everywhere(b"sess:1").await.unwrap());
    assert!(matches!(sessions.set(b"sess:1", b"d", None).await, Err(SessionError::Gone(_))));
    assert_eq!(sessions.get(b"sess:1").await.unwrap(), None);
}

/// A touch prolongs the local copy too, or every touched session would be fetched again; it never shortens.
#[tokio::test(flavor = "multi_thread")]
async fn a_touch_prolongs_and_never_shortens_or_creates() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let sessions = host.open(&relay).await;
    sessions.set(b"k", b"v", Some(Duration::from_secs(50))).await.unwrap();
    assert!(sessions.touch(b"k", Duration::from_secs(500)).await.unwrap());
    let remaining = || sessions.get_local(b"k").unwrap().remaining_ms.unwrap();
    assert!(remaining() > 400_000, "{}", remaining());
    assert!(sessions.touch(b"k", Duration::from_secs(5)).await.unwrap());
    assert!(remaining() > 400_000, "{}", remaining());
    assert!(!sessions.touch(b"absent", Duration::from_secs(5)).await.unwrap());
}

/// An application that touches with every request must not cost the relay a command each; yet the relay hears the last
/// of them in time, also when nobody comes again.
#[tokio::test(flavor = "multi_thread")]
async fn touches_are_told_once_for_many() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let sessions = host.open(&relay).await;
    let ttl = Duration::from_secs(4);
    sessions.set(b"k", b"v", Some(ttl)).await.unwrap();
    let told = || relay.touches.load(Ordering::SeqCst);
    let (clock, mut before_last) = (Clock::real(), 0);
    let began_ms = clock.now_ms();
    for _ in 0..50 {
        before_last = told();
        assert!(sessions.touch(b"k", ttl).await.unwrap());
        // Requests come some time apart; a touch within the same millisecond would gain nothing.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let at_once = told();
    // One that waits and one that does not in each second, which is the patience of such a life.
    let most = 2 + 2 * ((clock.now_ms() - began_ms) / patience_ms(4_000));
    assert!(at_once <= most, "{at_once} of 50 touches went to the relay, {most} may");
    if at_once == before_last {
        until("the relay heard of them", || told() > at_once).await;
    }
    // A gain beyond the patience goes at once.
    let before = told();
    assert!(sessions.touch(b"k", Duration::from_secs(4000)).await.unwrap());
    assert!(told() > before);
}

/// A secret that is only checked must not be readable through the library, from whichever tier.
#[tokio::test(flavor = "multi_thread")]
async fn a_hashed_value_can_be_checked_and_not_read() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let sessions = host.open(&relay).await;
    sessions.hash_set(b"pw", b"secret", None).await.unwrap();
    assert!(matches!(sessions.get(b"pw").await, Err(SessionError::Hashed)));
    let asked = || sessions.stats().asked;
    let becomes_local = async {
        loop {
            let before = asked();
            assert_eq!(sessions.check_hash(b"pw", b"secret").await.unwrap(), Some(true));
            assert_eq!(sessions.check_hash(b"pw", b"guess").await.unwrap(), Some(false));
            // Once the stream brought the sealed value, the check is local.
            if asked() == before {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, becomes_local).await.expect("the check becomes local");
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
    sessions.on_key(b"k", move |session| told.send(session.value).unwrap()).unwrap();
    relay.set(b"k", b"alice");
    let value = tokio::time::timeout(PATIENCE, telling.recv()).await.unwrap();
    assert_eq!(value.unwrap(), b"alice");
    assert_eq!(telling.recv().await, None, "the callback is gone after its one call");
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
    assert_eq!((&message.topic[..], &message.payload[..]), (&b"auths/session_gone"[..], &b"{1}"[..]));
    relay.hang_up();
    assert!(topics.next().await.is_err());
    let again = tokio::time::timeout(PATIENCE, async {
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
    let both = RelayConfig { relays: vec![one.addr.to_string(), two.addr.to_string()], ..forgetful(&one) };
    let owners = Owners::of(&both.relays);
    let of_first = |key: &String| owners.of_key(key.as_bytes()) == 0;
    let sessions = host.open_with(both).await;
    for n in 0..50 {
        sessions.set(format!("k{n}").as_bytes(), b"v", None).await.unwrap();
    }
    one.go_away();
    let keys: Vec<String> = (0..50).map(|n| format!("k{n}")).collect();
    let lost = keys.iter().find(|key| of_first(key)).unwrap();
    until("the first relay's lease lapsed", || sessions.get_local(lost.as_bytes()).is_none()).await;
    let mut reachable = 0;
    for key in &keys {
        let found = sessions.get(key.as_bytes()).await.is_ok();
        assert_eq!(found, !of_first(key), "{key} belongs to one relay, and to that one");
        reachable += u32::from(found);
    }
    // Seven standard deviations of chance: the addresses are others each time.
    assert!((1..50).contains(&reachable), "{reachable} of 50 keys belong to the other relay");
}

/// Programs without tokio get the same answers.
#[test]
fn the_blocking_face_works_without_a_runtime() {
    let (relay, host) = (FakeRelay::start(), Host::new());
    let sessions = gs_client::blocking::Sessions::open(host.lru(true), config(&relay)).unwrap();
    assert!(sessions.ready_within(PATIENCE).unwrap());
    let version = sessions.set(b"k", b"v", None).unwrap();
    assert_eq!(sessions.get(b"k").unwrap().unwrap().version, version);
    assert!(sessions.delete(b"k").unwrap());
    assert_eq!(sessions.get(b"k").unwrap(), None);
    let mut messages = sessions.subscribe("session");
    relay.publish(b"auths/session", b"{}");
    assert_eq!(&messages.next().unwrap().unwrap().payload[..], b"{}");
}
