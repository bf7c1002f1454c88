//! One peer, reached over one connection that is kept up: calls are pipelined, answers come in order.
//!
//! A [`Link`] is a handle to a task that owns the socket. Handles are cheap, `Send` and `Sync`; any number of tasks
//! on any runtime may call through one at the same time, and what they send in one turn leaves in one write. The task
//! reconnects for ever with a backoff and ends with the last handle.
//!
//! Why a task and not a pool: the peers are few and long-lived, one connection per peer keeps their order, and a
//! pipelined connection carries more than a pool of waiting ones.

mod subscribe;
mod task;
mod wire;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gs_resp::{Reply, encode_command};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

pub use subscribe::{Message, Subscription, Topics};
pub(crate) use wire::Wire;

/// Waits. For the modules that leave the runtime to this one.
pub(crate) async fn pause(length: Duration) {
    tokio::time::sleep(length).await;
}

/// Where the peer is and how to talk to it.
#[derive(Clone)]
pub struct LinkConfig {
    /// `HOST:PORT`; an IPv6 address in brackets.
    pub addr: String,
    /// TLS, where the peer speaks it; see [`crate::tls::client_config`].
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// The name the peer's certificate must have, where it is not the host of `addr`.
    pub server_name: Option<String>,
    /// Sent with `AUTH` first on every connection.
    pub password: Option<String>,
    /// Commands sent on every connection, after `AUTH` and before any call. If the peer answers one of them with an
    /// error, the connection counts as failed.
    pub hello: Vec<Vec<Vec<u8>>>,
    /// How long to wait for a connection with TLS, `AUTH` and hello done.
    pub connect_timeout: Duration,
    /// How long a call may take in all, waiting for the connection included.
    pub call_timeout: Duration,
    /// The pause after a first failed attempt to connect; it doubles from there.
    pub reconnect_min: Duration,
    /// The longest pause between attempts.
    pub reconnect_max: Duration,
    /// Calls that may be under way at once; the next one is refused with [`LinkError::Overflow`].
    pub pending_max: usize,
    /// Set while the peers are expected to end: that they do is no warning then.
    pub quiet: Arc<AtomicBool>,
    /// The longest reply accepted in bytes; a longer one breaks the connection.
    pub reply_bytes_max: usize,
}

impl LinkConfig {
    /// A plain TCP link to `addr` with the default bounds.
    pub fn new(addr: impl Into<String>) -> Self {
        Self {
            addr: addr.into(),
            tls: None,
            server_name: None,
            password: None,
            hello: Vec::new(),
            connect_timeout: Duration::from_secs(2),
            call_timeout: Duration::from_secs(2),
            reconnect_min: Duration::from_millis(50),
            reconnect_max: Duration::from_secs(2),
            pending_max: 65_536,
            quiet: Arc::default(),
            reply_bytes_max: 256 << 20,
        }
    }
}

impl fmt::Debug for LinkConfig {
    // By hand: the password and what hello carries must not reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkConfig")
            .field("addr", &self.addr)
            .field("tls", &self.tls.is_some())
            .field("password", &self.password.is_some())
            .field("call_timeout", &self.call_timeout)
            .finish_non_exhaustive()
    }
}

/// Why a call has no answer. An error *reply* of the peer is an answer: `Ok(Reply::Error(..))`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// There is no connection and the last attempt failed. The call was not sent; retrying later is safe.
    #[error("the peer is not connected; the call was not sent")]
    Down,
    /// The connection broke after the call may have been sent: it may or may not have been carried out.
    #[error("the connection broke before the answer; the call may or may not have been carried out")]
    Lost,
    /// No answer in time: the call may or may not be carried out.
    #[error("no answer in time; the call may or may not be carried out")]
    Timeout,
    /// The link was closed by its owner.
    #[error("the link was closed")]
    Closed,
    /// The peer sent what is no reply, or refused the connection's first commands.
    #[error("protocol: {0}")]
    Protocol(String),
    /// Too many calls are under way (`pending_max`); the call was not sent.
    #[error("too many calls are waiting for this peer; the call was not sent")]
    Overflow,
}

impl LinkError {
    /// Whether the call certainly never reached the peer.
    pub fn not_sent(&self) -> bool {
        matches!(self, LinkError::Down | LinkError::Overflow)
    }
}

/// A handle to the connection with one peer.
#[derive(Clone)]
pub struct Link {
    calls: mpsc::UnboundedSender<ToTask>,
    shared: Arc<Shared>,
    up: watch::Receiver<bool>,
}

/// What handles and the task have in common.
struct Shared {
    config: LinkConfig,
    state: AtomicU8,
    connections: AtomicU64,
    pending: AtomicUsize,
    last_error: Mutex<Option<String>>,
}

/// Connecting, or about to for the first time since the connection broke: calls wait.
const CONNECTING: u8 = 0;
const UP: u8 = 1;
/// The last attempt failed: calls are refused until the next one succeeds.
const DOWN: u8 = 2;
const CLOSED: u8 = 3;

enum ToTask {
    Call(Call),
    Close,
}

/// What a call gathers.
enum Got {
    /// So many replies.
    Replies(Vec<Reply>, usize),
    /// One reply as it came; none so far.
    Whole(Bytes),
}

/// One call on its way: bytes of one or more commands, and as many replies to gather.
struct Call {
    bytes: Vec<u8>,
    got: Got,
    answer: oneshot::Sender<Result<Got, LinkError>>,
    limit: Duration,
    _place: Place,
}

/// A place among the `pending_max`; freed when the call is dropped, wherever that is.
struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Link {
    /// Starts connecting. Must be called inside a tokio runtime with IO and time enabled, whose task it becomes.
    pub fn open(config: LinkConfig) -> Link {
        let (calls, inbox) = mpsc::unbounded_channel();
        let (up_tx, up) = watch::channel(false);
        let shared = Arc::new(Shared {
            config,
            state: AtomicU8::new(CONNECTING),
            connections: AtomicU64::new(0),
            pending: AtomicUsize::new(0),
            last_error: Mutex::new(None),
        });
        tokio::spawn(task::run(shared.clone(), inbox, up_tx));
        Link { calls, shared, up }
    }

    /// Sends one command and waits for its reply.
    pub async fn call(&self, args: &[&[u8]]) -> Result<Reply, LinkError> {
        self.call_within(args, self.shared.config.call_timeout).await
    }

    /// [`Link::call`] with a time limit of its own.
    pub async fn call_within(&self, args: &[&[u8]], limit: Duration) -> Result<Reply, LinkError> {
        let mut bytes = Vec::new();
        encode_command(&mut bytes, args);
        let mut replies = self.start(bytes, 1, limit)?.await?;
        replies.pop().ok_or(LinkError::Lost)
    }

    /// Sends the commands encoded in `bytes` and waits for their `replies` replies, in order. Nothing of another
    /// caller comes between them.
    pub async fn call_encoded(&self, bytes: Vec<u8>, replies: usize) -> Result<Vec<Reply>, LinkError> {
        self.start(bytes, replies, self.shared.config.call_timeout)?.await
    }

    /// Like [`Link::call_encoded`], but the call has taken its place in the order when this returns, before the
    /// future is first polled. Dropping the future forgets the answer, not the call.
    pub fn start(
        &self,
        bytes: Vec<u8>,
        replies: usize,
        limit: Duration,
    ) -> Result<impl Future<Output = Result<Vec<Reply>, LinkError>> + Send + use<>, LinkError> {
        let got = Got::Replies(Vec::with_capacity(replies.min(1024)), replies);
        let answer = self.begin(bytes, got, limit)?;
        Ok(async move {
            match answer.await? {
                Got::Replies(replies, _) => Ok(replies),
                Got::Whole(_) => Err(LinkError::Lost),
            }
        })
    }

    /// Sends one encoded command and waits for its reply, which is not taken apart: for whoever only passes it on.
    pub async fn call_whole(&self, bytes: Vec<u8>) -> Result<Bytes, LinkError> {
        match self.begin(bytes, Got::Whole(Bytes::new()), self.shared.config.call_timeout)?.await? {
            Got::Whole(reply) => Ok(reply),
            Got::Replies(..) => Err(LinkError::Lost),
        }
    }

    fn begin(
        &self,
        bytes: Vec<u8>,
        got: Got,
        limit: Duration,
    ) -> Result<impl Future<Output = Result<Got, LinkError>> + Send + use<>, LinkError> {
        match self.shared.state.load(Ordering::Acquire) {
            DOWN => return Err(LinkError::Down),
            CLOSED => return Err(LinkError::Closed),
            _ => {}
        }
        let before = self.shared.pending.fetch_add(1, Ordering::Relaxed);
        let place = Place(self.shared.clone());
        if before >= self.shared.config.pending_max {
            return Err(LinkError::Overflow);
        }
        let (answer, answered) = oneshot::channel();
        let call = Call { bytes, got, answer, limit, _place: place };
        self.calls.send(ToTask::Call(call)).map_err(|_| LinkError::Closed)?;
        Ok(async move {
            match tokio::time::timeout(limit, answered).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(LinkError::Closed),
                Err(_) => Err(LinkError::Timeout),
            }
        })
    }

    /// How long a call without a limit of its own waits for its answer.
    pub fn call_timeout(&self) -> Duration {
        self.shared.config.call_timeout
    }

    /// Whether the connection stands and its hello is done.
    pub fn is_up(&self) -> bool {
        self.shared.state.load(Ordering::Acquire) == UP
    }

    /// Whether the last attempt to connect failed, or the link was closed: calls are refused until the next attempt
    /// succeeds. While the first attempt is still under way, calls wait for it.
    pub fn is_down(&self) -> bool {
        matches!(self.shared.state.load(Ordering::Acquire), DOWN | CLOSED)
    }

    /// Waits until the connection stands; for ever, if it never does.
    pub async fn up(&self) -> Result<(), LinkError> {
        self.up.clone().wait_for(|up| *up).await.map(drop).map_err(|_| LinkError::Closed)
    }

    /// Waits until the connection is gone; at once if there is none.
    pub async fn down(&self) {
        // An error means that the task ended, which is as down as can be.
        let _ = self.up.clone().wait_for(|up| !*up).await;
    }

    /// How often a connection was made: a caller that keeps state at the peer notices by it that the peer may
    /// have forgotten.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Acquire)
    }

    /// Calls under way.
    pub fn pending(&self) -> usize {
        self.shared.pending.load(Ordering::Relaxed)
    }

    /// Why the last attempt or connection ended, in words fit for a log.
    pub fn last_error(&self) -> Option<String> {
        self.shared.last_error.lock().clone()
    }

    /// The peer's address as configured.
    pub fn addr(&self) -> &str {
        &self.shared.config.addr
    }

    /// Ends the connection for all handles; calls under way answer [`LinkError::Closed`].
    pub fn close(&self) {
        self.shared.state.store(CLOSED, Ordering::Release);
        // The task may have ended already.
        let _ = self.calls.send(ToTask::Close);
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("addr", &self.addr()).field("up", &self.is_up()).finish_non_exhaustive()
    }
}
