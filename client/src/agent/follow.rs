//! Following a relay's stream for one term as agent.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use gs_resp::Reply;
use tokio::time::{MissedTickBehavior, interval};

use super::Shard;
use crate::cache::{Cache, NewRecord};
use crate::kinds::is_whole_value;
use crate::link::{LinkConfig, LinkError, Wire};
use crate::sessions::shard::DB;
use crate::sessions::{as_version, deadline};

/// Why following ended.
pub(super) enum Ended {
    /// Another process has the role.
    Superseded,
    /// The connection or the stream failed: try again.
    Broken {
        /// In words for the log.
        reason: String,
        /// Whether the lease was renewed at least once meanwhile.
        renewed: bool,
    },
}

/// The agent's state that outlives a connection.
pub(super) struct Follower<'a> {
    shard: &'a Shard,
    cache: &'a Cache,
    epoch: u16,
    applied: u64,
    relay: u64,
}

/// One event of the stream.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Put { db: i64, key: Bytes, version: u64, pttl: i64, kind: u8, age_ms: u64, value: Bytes },
    Inval { db: i64, key: Bytes, version: u64 },
    Gone { db: i64, key: Bytes, version: u64, sync: bool },
    Flush { db: i64 },
}

/// What became of an event.
enum Applied {
    Done,
    /// Somebody waits for the agent to say so.
    AnswerNow,
    Superseded,
}

impl<'a> Follower<'a> {
    pub(super) fn new(shard: &'a Shard, cache: &'a Cache, epoch: u16) -> Self {
        let section = cache.section();
        Self { shard, cache, epoch, applied: section.applied_seq(), relay: section.agent_line() }
    }

    /// Whether this process still has the role, in a section that is still in use.
    pub(super) fn is_agent(&self) -> bool {
        let section = self.cache.section();
        section.lease().agent_epoch == self.epoch && !section.retired()
    }

    /// Follows the relay over one connection.
    pub(super) async fn follow(&mut self) -> Ended {
        let mut connection = Connection::default();
        match self.follow_on(&mut connection).await {
            Ok(()) => Ended::Superseded,
            Err(error) => {
                Ended::Broken { reason: error.to_string(), renewed: connection.renewed_from_ms.is_some() }
            }
        }
    }

    async fn follow_on(&mut self, connection: &mut Connection) -> Result<(), LinkError> {
        let mut wire = self.connect(connection).await?;
        let mut heartbeat = interval(self.shard.heartbeat.max(Duration::from_millis(1)));
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // As long as several leases without an answer: the connection is dead and does not know it.
        let silence_ms_max = (4 * self.shard.lease.as_millis() as u64).max(1000);
        let mut heard_ms = self.cache.now_ms();
        loop {
            let reply = tokio::select! {
                // Renewing first: a flood of events must not keep the renewals back.
                biased;
                _ = heartbeat.tick() => {
                    if !self.is_agent() {
                        return Ok(());
                    }
                    if self.cache.now_ms().saturating_sub(heard_ms) > silence_ms_max {
                        return Err(LinkError::Timeout);
                    }
                    self.send_renew(connection, &mut wire);
                    continue;
                }
                reply = wire.next() => reply?,
            };
            heard_ms = self.cache.now_ms();
            match reply {
                Reply::Push(parts) => match self.event(connection, parts)? {
                    Applied::Done => {}
                    Applied::AnswerNow => self.send_renew(connection, &mut wire),
                    Applied::Superseded => return Ok(()),
                },
                Reply::Error(text) => return Err(LinkError::Protocol(text)),
                reply => {
                    if !self.renewed(connection, &reply)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Connects and asks for the stream from where the section stands; flushes the section if the relay cannot go on
    /// from there.
    async fn connect(&mut self, connection: &mut Connection) -> Result<Wire, LinkError> {
        let hello = vec![vec![b"HELLO".to_vec(), b"3".to_vec()]];
        let (mut wire, _) = Wire::connect(&LinkConfig { hello, ..self.shard.link_config.clone() }).await?;
        let (from, relay) = ((self.applied + 1).to_string(), self.relay.to_string());
        wire.send_command(&[b"GS.STREAM", from.as_bytes(), relay.as_bytes()]);
        let limit = self.shard.link_config.connect_timeout;
        let reply = tokio::time::timeout(limit, wire.next()).await.map_err(|_| LinkError::Timeout)??;
        if let Reply::Error(text) = reply {
            return Err(LinkError::Protocol(text));
        }
        let parts = reply.as_array().unwrap_or_default();
        let [relay, next_seq, continues, lease_ms] = parts else {
            return Err(bad("GS.STREAM"));
        };
        let (Some(relay), Some(next_seq), Some(continues), Some(lease_ms)) =
            (as_version(relay), next_seq.as_u64(), continues.as_int(), lease_ms.as_u64())
        else {
            return Err(bad("GS.STREAM"));
        };
        connection.lease_ms = lease_ms.min(self.shard.lease.as_millis() as u64);
        if continues == 0 || relay != self.relay {
            self.start_over(relay, next_seq.saturating_sub(1));
        }
        Ok(wire)
    }

    /// The stream has a gap: whatever the section holds may have been deleted meanwhile, and fills that are on their
    /// way may be older than that too. The flush ends both; the subscription stands already, so nothing is missed.
    fn start_over(&mut self, relay: u64, applied: u64) {
        let section = self.cache.section();
        section.flush_db(None, self.cache.now_ms());
        (self.relay, self.applied) = (relay, applied);
        // The number first: with the old relay's line it at worst means another flush.
        section.set_applied_seq(applied);
        section.set_agent_line(relay);
        self.shard.counters.gaps.fetch_add(1, Ordering::Relaxed);
    }

    fn send_renew(&self, connection: &mut Connection, wire: &mut Wire) {
        // The time it is queued: not later than it is sent, which is what the lease counts from.
        connection.renewals.push_back(self.cache.now_ms());
        wire.send_command(&[b"GS.RENEW", self.applied.to_string().as_bytes()]);
    }

    /// The answer to a renewal comes behind all events that the relay had when it read it. False when superseded.
    fn renewed(&mut self, connection: &mut Connection, reply: &Reply) -> Result<bool, LinkError> {
        let (Some(sent_ms), Some(seq)) = (connection.renewals.pop_front(), reply.as_u64()) else {
            return Err(bad("GS.RENEW"));
        };
        if seq != self.applied {
            return Err(LinkError::Protocol(format!("the stream is at {seq}, {} was applied", self.applied)));
        }
        connection.renewed_from_ms = Some(sent_ms);
        let until_ms = (sent_ms + connection.lease_ms).saturating_sub(self.cache.clock().coarse_lag_ms());
        Ok(self.cache.section().renew(self.epoch, until_ms))
    }

    fn event(&mut self, connection: &Connection, parts: Vec<Reply>) -> Result<Applied, LinkError> {
        let Some((seq, event)) = read_event(parts).ok_or_else(|| bad("GS.STREAM"))? else {
            return Ok(Applied::Done);
        };
        if seq <= self.applied {
            return Ok(Applied::Done);
        }
        if seq != self.applied + 1 {
            // Nothing is lost: the next connection asks for what is missing, or flushes.
            return Err(LinkError::Protocol(format!("event {seq} came after {}", self.applied)));
        }
        let applied = self.apply(connection, &event);
        if !matches!(applied, Applied::Superseded) {
            self.applied = seq;
            self.cache.section().set_applied_seq(seq);
            self.shard.counters.events.fetch_add(1, Ordering::Relaxed);
        }
        Ok(applied)
    }

    fn apply(&self, connection: &Connection, event: &Event) -> Applied {
        let section = self.cache.section();
        match event {
            // Nobody here reads collections: whoever asks for one is told by the relay what it is.
            Event::Put { db, key, version, kind, .. } if *db == i64::from(DB) && !is_whole_value(*kind) => {
                if !self.is_agent() {
                    return Applied::Superseded;
                }
                section.invalidate(&section.key_id(DB, key), key, Some(*version));
            }
            Event::Put { db, key, version, pttl, kind, age_ms, value } if *db == i64::from(DB) => {
                let id = section.key_id(DB, key);
                // The ticket before the look at the epoch: if this process is stopped in between and another becomes
                // the agent, what that one kills moves the fence, and this put is refused.
                let ticket = section.ticket(&id);
                if !self.is_agent() {
                    return Applied::Superseded;
                }
                let Some(then_ms) = connection.renewed_from_ms else {
                    // A replay: how long the event has been waiting, and so how much of its life is left, is not
                    // known. The key is fetched when it is wanted.
                    section.invalidate(&id, key, Some(*version));
                    return Applied::Done;
                };
                let record = NewRecord {
                    id,
                    db: DB,
                    key,
                    value,
                    version: *version,
                    deadline_ms: deadline(*pttl, then_ms),
                    kind: *kind,
                    created_ms: then_ms.saturating_sub(*age_ms),
                };
                self.shard.keep_late(self.cache, &record, ticket);
            }
            _ if !self.is_agent() => return Applied::Superseded,
            Event::Inval { db, key, version } if *db == i64::from(DB) => {
                section.invalidate(&section.key_id(DB, key), key, Some(*version));
            }
            Event::Gone { db, key, version, sync } => {
                if *db == i64::from(DB) {
                    section.invalidate(&section.key_id(DB, key), key, Some(version.saturating_add(1)));
                }
                if *sync {
                    return Applied::AnswerNow;
                }
            }
            Event::Flush { db } if *db < 0 || *db == i64::from(DB) => {
                section.flush_db(None, self.cache.now_ms());
            }
            // Other databases are not sessions.
            Event::Put { .. } | Event::Inval { .. } | Event::Flush { .. } => {}
        }
        Applied::Done
    }
}

/// What lives as long as a connection.
#[derive(Default)]
struct Connection {
    lease_ms: u64,
    /// When the renewals that are not answered yet were sent.
    renewals: VecDeque<u64>,
    /// When the last answered renewal was sent: no event that comes now was made before.
    renewed_from_ms: Option<u64>,
}

/// Reads a push; `Some(None)` for one that is no event of ours, `None` for a broken one.
fn read_event(parts: Vec<Reply>) -> Option<Option<(u64, Event)>> {
    let mut parts = parts.into_iter();
    let name = parts.next()?;
    let name = name.as_bytes()?;
    if !matches!(name, b"gs.put" | b"gs.inval" | b"gs.gone" | b"gs.flush") {
        return Some(None);
    }
    let seq = parts.next()?.as_u64()?;
    let db = parts.next()?.as_int()?;
    if name == b"gs.flush" {
        return Some(Some((seq, Event::Flush { db })));
    }
    let key = parts.next()?.into_bulk()?;
    let version = as_version(&parts.next()?)?;
    let event = match name {
        b"gs.inval" => Event::Inval { db, key, version },
        b"gs.gone" => Event::Gone { db, key, version, sync: parts.next()?.as_int()? != 0 },
        _ => Event::Put {
            db,
            key,
            version,
            pttl: parts.next()?.as_int()?,
            kind: u8::try_from(parts.next()?.as_int()?).ok()?,
            age_ms: parts.next()?.as_u64()?,
            value: parts.next()?.into_bulk()?,
        },
    };
    Some(Some((seq, event)))
}

fn bad(command: &str) -> LinkError {
    LinkError::Protocol(format!("the relay's answer to {command} is not understood"))
}
