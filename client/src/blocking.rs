//! The face of the library for programs without tokio: the same calls, waiting for their answer.
//!
//! A runtime on a thread of its own carries the links and, if this process is the agent, the stream. Lookups that the
//! section answers never touch it.

use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::SessionError;
use crate::link::{LinkError, Message, Topics};
use crate::sessions::{LruConfig, RelayConfig, Session, SessionCacheManager, SessionStats};

/// Sessions for blocking programs; see [`SessionCacheManager`] for what each call means.
///
/// Must not be used from inside an asynchronous runtime: waiting there would stop it, and panics.
pub struct Sessions {
    manager: SessionCacheManager,
    handle: Handle,
    /// Held for its threads; taken when dropped.
    runtime: Option<Runtime>,
}

impl Sessions {
    /// See [`SessionCacheManager::open`].
    pub fn open(lru: LruConfig, relay: RelayConfig) -> Result<Sessions, SessionError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("gs-client")
            .enable_io()
            .enable_time()
            .build()
            .map_err(SessionError::Runtime)?;
        let manager = runtime.block_on(SessionCacheManager::open(lru, relay))?;
        let handle = runtime.handle().clone();
        Ok(Sessions { manager, handle, runtime: Some(runtime) })
    }

    /// The manager, for calls that need no waiting.
    pub fn manager(&self) -> &SessionCacheManager {
        &self.manager
    }

    /// See [`SessionCacheManager::get_local`].
    pub fn get_local(&self, key: &[u8]) -> Option<Session> {
        self.manager.get_local(key)
    }

    /// See [`SessionCacheManager::get`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Session>, SessionError> {
        // The common case without entering the runtime.
        match self.manager.get_local(key) {
            Some(session) => Ok(Some(session)),
            None => self.wait(self.manager.get(key)),
        }
    }

    /// See [`SessionCacheManager::set`].
    pub fn set(&self, key: &[u8], value: &[u8], ttl: Option<Duration>) -> Result<u64, SessionError> {
        self.wait(self.manager.set(key, value, ttl))
    }

    /// See [`SessionCacheManager::set_if_version`].
    pub fn set_if_version(
        &self,
        key: &[u8],
        value: &[u8],
        ttl: Option<Duration>,
        version: u64,
    ) -> Result<Option<u64>, SessionError> {
        self.wait(self.manager.set_if_version(key, value, ttl, version))
    }

    /// See [`SessionCacheManager::delete`].
    pub fn delete(&self, key: &[u8]) -> Result<bool, SessionError> {
        self.wait(self.manager.delete(key))
    }

    /// See [`SessionCacheManager::delete_everywhere`].
    pub fn delete_everywhere(&self, key: &[u8]) -> Result<bool, SessionError> {
        self.wait(self.manager.delete_everywhere(key))
    }

    /// See [`SessionCacheManager::touch`].
    pub fn touch(&self, key: &[u8], ttl: Duration) -> Result<bool, SessionError> {
        self.wait(self.manager.touch(key, ttl))
    }

    /// See [`SessionCacheManager::hash_set`].
    pub fn hash_set(&self, key: &[u8], value: &[u8], ttl: Option<Duration>) -> Result<u64, SessionError> {
        self.wait(self.manager.hash_set(key, value, ttl))
    }

    /// See [`SessionCacheManager::check_hash`].
    pub fn check_hash(&self, key: &[u8], value: &[u8]) -> Result<Option<bool>, SessionError> {
        self.wait(self.manager.check_hash(key, value))
    }

    /// See [`SessionCacheManager::on_key`]; the callback runs on the library's thread.
    pub fn on_key(
        &self,
        key: &[u8],
        callback: impl FnOnce(Session) + Send + 'static,
    ) -> Result<(), SessionError> {
        self.manager.on_key(key, callback)
    }

    /// See [`SessionCacheManager::subscribe`]; an iterator that waits for each message.
    pub fn subscribe(&self, topic: &str) -> Messages<'_> {
        Messages { topics: self.wait(self.manager.subscribe(topic)), sessions: self }
    }

    /// See [`SessionCacheManager::ready`]; false when it took longer than `limit`.
    pub fn ready_within(&self, limit: Duration) -> Result<bool, SessionError> {
        self.wait(async {
            tokio::time::timeout(limit, self.manager.ready()).await.map_or(Ok(false), |r| r.map(|()| true))
        })
    }

    /// See [`SessionCacheManager::stats`].
    pub fn stats(&self) -> SessionStats {
        self.manager.stats()
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.handle.block_on(work)
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Does not wait for the tasks: dropping must be possible anywhere, an asynchronous caller included.
            runtime.shutdown_background();
        }
    }
}

/// Messages of a topic, one after another; an error says that some may have been missed.
pub struct Messages<'a> {
    topics: Topics,
    sessions: &'a Sessions,
}

impl Iterator for Messages<'_> {
    type Item = Result<Message, LinkError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.sessions.wait(self.topics.next()) {
            Err(LinkError::Closed) => None,
            result => Some(result),
        }
    }
}
