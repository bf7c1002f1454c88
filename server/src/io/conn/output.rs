//! What a connection has to say leaves: behind the disk where it promises something, and at its client's speed.

use super::Serving;
use crate::io::pipe::{Stream, Turn};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// After this long without a byte taken by the client, its further commands run into the buffer.
const STALL: Duration = Duration::from_millis(100);
/// After a protocol error this much more is read and forgotten, at most this long, so that the error arrives.
const LINGER_BYTES: usize = 1024 * 1024;
const LINGER: Duration = Duration::from_millis(500);

/// What ended a wait for the socket to take bytes.
enum Told {
    Turned(std::io::Result<Turn>),
    Stalled,
    Signal,
}

impl<S: Stream> Serving<S> {
    /// Writes what there is. False when the connection has to end. Where the client does not take it, the rest is
    /// left for later, unless `all` is asked for.
    pub(super) async fn flush(&mut self, all: bool) -> std::io::Result<bool> {
        if !self.durable().await {
            return Ok(false);
        }
        let patience = if all { self.bounds.patience } else { STALL };
        // Runs from the last byte taken; a word of the listener in between does not start it anew.
        let mut timer: Option<Pin<Box<tokio::time::Sleep>>> = None;
        while !self.pipe.is_flushed() {
            let told = {
                let mut turn = pin!(self.pipe.turn(false, 0));
                // Nearly always the socket takes everything at once, and no timer is made.
                match poll_once(turn.as_mut()).await {
                    Some(turned) => Told::Turned(turned),
                    None if self.stalled && !all => Told::Stalled,
                    None => {
                        let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
                        tokio::select! {
                            biased;
                            turned = turn => Told::Turned(turned),
                            () = timer.as_mut() => Told::Stalled,
                            () = self.signal.changed() => Told::Signal,
                        }
                    }
                }
            };
            match told {
                Told::Turned(turned) => {
                    turned?;
                    timer = None;
                    self.progressed();
                }
                Told::Signal => {
                    self.heed();
                    if self.killed() {
                        return Ok(false);
                    }
                }
                Told::Stalled if all => return Ok(false),
                Told::Stalled => {
                    self.stalled = true;
                    break;
                }
            }
        }
        let written = self.pipe.take_written();
        if written > 0 {
            self.session.node.metrics.bytes_out.add(written);
            self.session.node.metrics.socket_writes.add(1);
        }
        self.session.conn.info.facts.out.store(self.pipe.pending(), Ordering::Relaxed);
        Ok(true)
    }

    /// Waits until what the replies promise is on disk. False when it cannot be: then they must not leave.
    async fn durable(&mut self) -> bool {
        let number = std::mem::take(&mut self.session.conn.durable);
        let Some(relay) = self.session.node.relay().filter(|_| number > 0) else {
            return true;
        };
        let began_ms = self.session.node.now_ms();
        let synced = relay.journal.synced(number).await;
        let node = &self.session.node;
        node.slow.sample(node, "journal", node.now_ms().saturating_sub(began_ms));
        let Err(error) = synced else {
            return true;
        };
        self.session.node.metrics.journal_failures.add(1);
        tracing::error!(client = self.session.conn.info.id, %error, "closed without a reply");
        false
    }

    pub(super) async fn close(&mut self, linger: bool) -> std::io::Result<()> {
        if !self.flush(true).await? {
            return Ok(());
        }
        self.pipe.shutdown().await?;
        if linger {
            // Closing with unread input resets the connection, and the peer may never see the error.
            let _ = tokio::time::timeout(LINGER, self.pipe.discard(LINGER_BYTES)).await;
        }
        Ok(())
    }
}

/// Polls once.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match future.as_mut().poll(cx) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
