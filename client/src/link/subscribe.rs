//! A subscription to topics: a connection of its own, since a subscribed connection carries nothing else.

use std::time::Duration;

use bytes::Bytes;
use gs_resp::Reply;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{LinkConfig, LinkError, Wire};

/// Silence after which the peer is asked whether it is still there; as long again, and the connection is given up.
const IDLE_MAX: Duration = Duration::from_secs(15);

/// What was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The topic it was published on.
    pub topic: Bytes,
    /// Its payload.
    pub payload: Bytes,
}

/// A stream of the messages on some topics; at most once, as all of Redis' pub/sub.
///
/// It reads only while [`Subscription::next`] is awaited: a subscriber that is too slow fills the peer's buffer for
/// it and is cut off there, which shows here as an error.
pub struct Subscription {
    config: LinkConfig,
    wire: Option<Wire>,
    pause: Duration,
}

impl Subscription {
    /// Prepares a subscription to `topics` (exact names). It connects at the first [`Subscription::next`], or at
    /// [`Subscription::connect`].
    pub fn new<T: AsRef<[u8]>>(mut config: LinkConfig, topics: &[T]) -> Self {
        for topic in topics {
            // One command per topic: each then has exactly one confirmation, as the hello wants it.
            config.hello.push(vec![b"SUBSCRIBE".to_vec(), topic.as_ref().to_vec()]);
        }
        let pause = config.reconnect_min;
        Self { config, wire: None, pause }
    }

    /// Connects if it is not connected; when it returns, messages published from then on will be seen.
    pub async fn connect(&mut self) -> Result<(), LinkError> {
        if self.wire.is_none() {
            let (wire, _) = Wire::connect(&self.config).await?;
            self.wire = Some(wire);
            self.pause = self.config.reconnect_min;
        }
        Ok(())
    }

    /// The next message. An error says that the connection broke or could not be made, so messages may have been
    /// missed; calling again reconnects, after a pause that grows while attempts fail.
    pub async fn next(&mut self) -> Result<Message, LinkError> {
        if let Err(error) = self.connect().await {
            tokio::time::sleep(self.pause).await;
            self.pause = (self.pause * 2).min(self.config.reconnect_max);
            return Err(error);
        }
        let result = match &mut self.wire {
            Some(wire) => next_message(wire).await,
            None => Err(LinkError::Down),
        };
        if result.is_err() {
            self.wire = None;
        }
        result
    }
}

/// Messages that may wait in a [`Topics`] for its reader.
const TOPICS_QUEUE: usize = 1024;

/// The messages of several relays as one stream. A task per relay reads; when the reader is slow, they stop reading,
/// and the relay cuts the connection once its own buffer is full.
pub struct Topics {
    inbox: mpsc::Receiver<Result<Message, LinkError>>,
}

impl Topics {
    /// Subscribes to `topics` at each of `peers`; returns once each of them has been tried. An attempt that failed is
    /// the first thing the stream tells, and is repeated for ever.
    pub async fn open<T: AsRef<[u8]>>(peers: Vec<LinkConfig>, topics: &[T]) -> Topics {
        let (outbox, inbox) = mpsc::channel(TOPICS_QUEUE);
        for peer in peers {
            let mut subscription = Subscription::new(peer, topics);
            let first = subscription.connect().await;
            let outbox = outbox.clone();
            tokio::spawn(async move {
                let mut told = match first {
                    Ok(()) => Ok(()),
                    Err(error) => outbox.send(Err(error)).await,
                };
                while told.is_ok() {
                    let next = tokio::select! {
                        next = subscription.next() => next,
                        () = outbox.closed() => return,
                    };
                    told = outbox.send(next).await;
                }
            });
        }
        Topics { inbox }
    }

    /// The next message, or word of a break after which messages may have been missed. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Result<Message, LinkError> {
        self.inbox.recv().await.unwrap_or(Err(LinkError::Closed))
    }
}

async fn next_message(wire: &mut Wire) -> Result<Message, LinkError> {
    let mut asked = false;
    loop {
        match timeout(IDLE_MAX, wire.next()).await {
            Ok(reply) => {
                asked = false;
                if let Some(message) = message(reply?) {
                    return Ok(message);
                }
            }
            Err(_) if asked => return Err(LinkError::Timeout),
            Err(_) => {
                asked = true;
                wire.send_command(&[b"PING"]);
            }
        }
    }
}

/// The message in a reply; confirmations and pongs are none.
fn message(reply: Reply) -> Option<Message> {
    let mut parts = reply.into_array()?.into_iter();
    if parts.next()?.as_bytes()? != b"message" {
        return None;
    }
    Some(Message { topic: parts.next()?.into_bulk()?, payload: parts.next()?.into_bulk()? })
}
