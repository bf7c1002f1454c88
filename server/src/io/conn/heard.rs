//! The listener's word to its connections, which is not asked for each time that a connection waits.

use super::Signal;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::sync::watch;

/// What a connection hears from its listener.
///
/// A connection waits for it beside every read, and it comes once in a while. To register for it and to take that back
/// again is a lock each and 400 instructions in all, a fifteenth of a lone GET; so the task registers once for each word
/// and until then looks at a number only.
pub(super) struct Heard {
    signal: watch::Receiver<Signal>,
    registered: Option<Registered>,
}

/// Whom the next word wakes, and what keeps it registered.
struct Registered {
    waker: Waker,
    _change: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Heard {
    pub(super) fn new(signal: watch::Receiver<Signal>) -> Heard {
        Heard { signal, registered: None }
    }

    /// The last word, which from now on is an old one.
    pub(super) fn take(&mut self) -> Signal {
        self.registered = None;
        *self.signal.borrow_and_update()
    }

    /// Waits for a word that was not taken yet. Cancelling it loses nothing.
    pub(super) async fn changed(&mut self) {
        std::future::poll_fn(|cx| self.poll_changed(cx)).await;
    }

    fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // That there is no listener any more is a word as well.
        if !matches!(self.signal.has_changed(), Ok(false)) {
            return Poll::Ready(());
        }
        if self.registered.as_ref().is_some_and(|made| made.waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        let mut signal = self.signal.clone();
        let mut change: Pin<Box<dyn Future<Output = ()> + Send>> =
            // Not by the task's budget: a wait that is put off for that is not registered.
            Box::pin(tokio::task::unconstrained(async move { drop(signal.changed().await) }));
        // Looks at the number itself before it registers: a word in between is not missed.
        let polled = change.as_mut().poll(cx);
        self.registered = Some(Registered { waker: cx.waker().clone(), _change: change });
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A task that has spent its budget is put off by whatever it waits for; it is registered all the same.
    #[tokio::test]
    async fn a_word_is_heard_by_a_task_that_was_busy() {
        let sender = watch::Sender::<Signal>::default();
        let mut heard = Heard::new(sender.subscribe());
        let (waits, wait) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            let mut waits = Some(waits);
            std::future::poll_fn(|cx| {
                if waits.is_some() {
                    while std::pin::pin!(tokio::task::consume_budget()).poll(cx).is_ready() {}
                }
                let polled = heard.poll_changed(cx);
                // Told with the second poll, when nothing is left that would wake this task for another reason.
                if let Some(waits) = waits.take_if(|_| !tokio::task::coop::has_budget_remaining()) {
                    cx.waker().wake_by_ref();
                    let _heard = waits.send(());
                }
                polled
            })
            .await;
        });
        wait.await.expect("the task tells");
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        sender.send_modify(|signal| signal.round += 1);
        tokio::time::timeout(std::time::Duration::from_secs(60), task)
            .await
            .expect("heard")
            .expect("no panic");
    }

    /// A connection that misses a word never stops with its node: each is heard once, whether it came before the waiting,
    /// during it, or while nobody waited, and by the task that waits now.
    #[test]
    fn every_word_is_heard_by_who_waits_now() {
        let sender = watch::Sender::<Signal>::default();
        let mut heard = Heard::new(sender.subscribe());
        let (one, other) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
        let poll = |heard: &mut Heard, woken: &Arc<Woken>| {
            heard.poll_changed(&mut Context::from_waker(&Waker::from(woken.clone()))).is_ready()
        };
        let speak = || sender.send_modify(|signal| signal.round += 1);
        let times = |woken: &Arc<Woken>| woken.0.load(Ordering::SeqCst);

        // Asked many times, registered once.
        assert!((0..3).all(|_| !poll(&mut heard, &one)));
        speak();
        assert_eq!(times(&one), 1);
        assert!(poll(&mut heard, &one) && poll(&mut heard, &one), "it is there until it is taken");
        assert_eq!(heard.take().round, 1);
        assert!(!poll(&mut heard, &one));

        // Another task waits from here on.
        assert!(!poll(&mut heard, &other));
        speak();
        assert_eq!((times(&one), times(&other)), (1, 1));
        assert_eq!(heard.take().round, 2);

        // Nobody waits; then somebody does.
        speak();
        assert!(poll(&mut heard, &one));
        assert_eq!(heard.take().round, 3);
        assert!(!poll(&mut heard, &one));
        drop(sender);
        assert_eq!(times(&one), 2);
        assert!(poll(&mut heard, &one), "the listener is gone");
    }
}
