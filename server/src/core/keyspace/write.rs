//! What changes keys: storing, destroying, another deadline, flushing.

use crate::core::bus::ClientId;
use crate::core::change::{Change, KeyEvent};
use crate::core::directory::Holders;
use crate::core::journal::Record;
use crate::core::keyspace::{Scope, Stop};
use crate::core::members::State;
use crate::core::node::{Node, Relay};
use crate::core::outbox::{Mode, Order};
use crate::core::seconds;
use crate::core::stream::Event;
use crate::core::tombs::{Kind, Tomb};
use crate::core::topics::{self, Notice};
use gs_client::cache::{KeyId, Meta, NewRecord, PutError, RecordState};
use gs_client::kinds::is_whole_value;
use gs_resp::{Code, Refusal};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A write of a whole value.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// Logical database.
    pub db: u8,
    /// The key.
    pub key: &'a [u8],
    /// Its identity.
    pub id: KeyId,
    /// The value.
    pub value: &'a [u8],
    /// The record's kind.
    pub kind: u8,
    /// Deadline in boot-time milliseconds, 0 for none.
    pub deadline_ms: u64,
    /// What the change is called; a second event of it is told with [`Node::happened`].
    pub event: KeyEvent,
    /// The connection that writes, 0 for the node itself, which waits for no second copies.
    pub by: ClientId,
    /// How many copies are asked for; none for as many as the path says.
    pub copies: Option<u8>,
}

/// A delete.
#[derive(Clone, Copy, Debug)]
pub struct Destroy<'a> {
    /// Logical database.
    pub db: u8,
    /// The key.
    pub key: &'a [u8],
    /// Its identity.
    pub id: KeyId,
    /// Why, for the topic.
    pub reason: &'a str,
    /// True where somebody waits until every front end has applied it.
    pub sync: bool,
    /// What the change is called.
    pub event: KeyEvent,
    /// The connection that deletes, 0 for the node itself.
    pub by: ClientId,
}

impl Node {
    /// Stores a value under a new version, which it returns. The caller holds the key's stripe.
    pub fn write(&self, write: &Write<'_>) -> Result<u64, Stop> {
        self.store(write, true)
    }

    /// As [`Node::write`]. Where it is not a `must`, a second copy that cannot be had refuses nothing and is counted.
    fn store(&self, write: &Write<'_>, must: bool) -> Result<u64, Stop> {
        let relay = self.owner()?;
        let id = write.id;
        let path = self.paths.of(write.key);
        if path.gone_for.is_some() {
            let unix_ms = self.clock.unix_ms();
            if relay.tombs.gone_until(&id, unix_ms).is_some() {
                return Err(Refusal::new(
                    Code::Gone,
                    format!(
                        "this session was destroyed and path '{}' has destroy = \"wins\": a session that was \
                         logged out is not saved again; create one under a new id",
                        path.name
                    ),
                )
                .into());
            }
            if relay.tombs.is_full() {
                self.metrics.refused_tombs.add(1);
                return Err(Refusal::new(
                    Code::Oom,
                    format!(
                        "{} destroyed sessions are remembered, as many as may be; writes to path '{}' wait until \
                         some are forgotten (gone_for_ms)",
                        relay.tombs.bound(),
                        path.name
                    ),
                )
                .into());
            }
        }
        let mut owes_copy = write.by != 0 && write.copies.unwrap_or(path.copies) > 1;
        if owes_copy && let Err(refusal) = seconds::possible(relay) {
            if must {
                return Err(refusal.into());
            }
            self.metrics.second_copies_missed.add(1);
            owes_copy = false;
        }
        self.settle_expired(write.db, write.key, &id);
        let version = relay.versions.next(self.clock.unix_coarse_ms());
        let now_ms = self.clock.now_coarse_ms();
        let record = NewRecord {
            id,
            db: write.db,
            key: write.key,
            value: write.value,
            version,
            deadline_ms: write.deadline_ms,
            kind: write.kind,
            created_ms: now_ms,
        };
        let put = match self.cache.section().put(&record, now_ms) {
            Ok(put) => put,
            Err(error) => return Err(self.no_room(relay, write, &error)),
        };
        if put.rebucketed {
            relay.moves.push(write.db, write.key);
        }
        // The old copy below becomes unreadable now; its holder is told, and until it acknowledged, even a
        // crash of this node does not let it return: the floor is journaled.
        let (holders, below) = relay.directory.shadow_all(&id, write.db);
        let evicting = put.replaced.is_some_and(|m| m.state == RecordState::Evicting);
        self.supersede(relay, &id, write.db, write.key, Kind::Floor, version, &holders, evicting, 0);
        if owes_copy {
            seconds::owe(self, relay, write, id, version, must);
        }
        if relay.stream.is_enabled() {
            let pttl = self.pttl(write.deadline_ms);
            let (db, key, kind, value) = (write.db, write.key, write.kind, write.value);
            relay.stream.recent.note(id.lo, version, now_ms);
            // A front end reads no collections, so their bytes would be sent for nothing.
            relay.stream.append(&if self.settings.push_values && is_whole_value(kind) {
                Event::Put { db, key, version, pttl, kind, value }
            } else {
                Event::Inval { db, key, version }
            });
        }
        let (db, key) = (write.db, write.key);
        if self.bus.has_listeners() {
            let pttl = (write.deadline_ms != 0).then(|| write.deadline_ms.saturating_sub(self.now_ms()));
            let reason = if put.replaced.is_some() { "changed" } else { "new" };
            let notice = Notice { db, key, version: Some(version), pttl, reason, ..Notice::default() };
            let value = (write.kind == 0).then_some(write.value);
            topics::publish(&self.bus, &path.name, "session", &Notice { value, ..notice });
        }
        if put.replaced.is_none() && !below {
            self.happened(db, key, KeyEvent::NEW);
        }
        self.changed(&Change { db, key, id: &id, event: write.event, by: write.by });
        Ok(version)
    }

    /// Turns a refused put into what the command shall do about it.
    fn no_room(&self, relay: &Relay, write: &Write<'_>, error: &PutError) -> Stop {
        match error {
            PutError::Full { .. } => Stop::Full,
            PutError::BucketFull => {
                if self.drops_when_full() {
                    crate::roles::relay::drop_from_buckets(self, &write.id);
                } else if let Some(link) = relay.downstream() {
                    let mut out = Vec::new();
                    let db = write.db.to_string();
                    gs_resp::encode_command(&mut out, &[b"GS.RELIEVE", db.as_bytes(), write.key]);
                    // Not awaited: the command waits for the room, not for the answer.
                    let _sent = link.start(out, 1, Duration::from_secs(1));
                }
                Stop::Full
            }
            PutError::Lost => Refusal::new(Code::TryAgain, error.to_string()).into(),
            _ => Refusal::new(Code::Err, error.to_string()).into(),
        }
    }

    /// Destroys a key. True if it existed anywhere in the family; the number of the journal's record to wait
    /// for, and the version of the delete. The caller holds the key's stripe.
    pub fn destroy(&self, gone: &Destroy<'_>) -> Result<Option<Destroyed>, Stop> {
        let Destroy { db, key, id, reason, sync, .. } = *gone;
        let relay = self.owner()?;
        self.settle_expired(db, key, &id);
        let found = self.cache.section().delete(&id, key).found;
        let now_ms = self.now_ms();
        let alive = found.filter(|meta| meta.deadline_ms == 0 || meta.deadline_ms > now_ms);
        let (holders, below) = relay.directory.shadow_all(&id, db);
        if alive.is_none() && !below && holders.is_empty() && !relay.has_doubts() {
            return Ok(None);
        }
        let version = relay.versions.next(self.clock.unix_ms());
        let path = self.paths.of(key);
        let gone_for = path.gone_for.filter(|_| alive.is_some() || below).map_or(0, |d| d.as_millis() as u64);
        let evicting = found.is_some_and(|m| m.state == RecordState::Evicting);
        let journaled =
            self.supersede(relay, &id, db, key, Kind::Tomb, version, &holders, evicting, gone_for);
        if relay.stream.is_enabled() {
            relay.stream.recent.note(id.lo, version, now_ms);
        }
        let seq = relay.stream.append(&Event::Gone { db, key, version, sync });
        if alive.is_none() && !below {
            return Ok(None);
        }
        let notice = Notice { db, key, version: Some(version), reason, ..Notice::default() };
        topics::publish(&self.bus, &path.name, "session_gone", &notice);
        self.changed(&Change { db, key, id: &id, event: gone.event, by: gone.by });
        Ok(Some(Destroyed { version, journaled, seq }))
    }

    /// Remembers that older copies must not return, and orders their holders to drop them.
    #[allow(clippy::too_many_arguments)]
    fn supersede(
        &self,
        relay: &Relay,
        id: &KeyId,
        db: u8,
        key: &[u8],
        kind: Kind,
        version: u64,
        holders: &Holders,
        in_flight: bool,
        gone_for_ms: u64,
    ) -> u64 {
        let in_flight = in_flight || relay.copying.has(id);
        // Nearly always: no other copy, nothing to remember.
        if holders.is_empty() && !in_flight && gone_for_ms == 0 && !relay.has_doubts() {
            return 0;
        }
        let mut owed: Vec<(u16, u64)> = holders.iter().map(|h| (h.node, h.copy)).collect();
        if in_flight {
            // A copy is on its way: it may arrive at any relief after this, also at one that is silent now.
            for member in relay.members.list().iter().filter(|m| m.state != State::Lost) {
                if owed.iter().all(|(node, _)| *node != member.index) {
                    owed.push((member.index, 0));
                }
            }
        }
        let unix_ms = self.clock.unix_ms();
        let gone_until = if gone_for_ms == 0 { 0 } else { unix_ms + gone_for_ms };
        // Nobody below could bring the key back, and nobody must be kept from writing it again.
        if owed.is_empty() && gone_until == 0 && !relay.has_doubts() {
            return 0;
        }
        let tomb = Tomb { kind, version, gone_until, at: unix_ms, owed: owed.len() as u32 };
        relay.tombs.put(id, tomb);
        let number = relay.journal.append(&Record::Key(*id, tomb));
        let mode = if kind == Kind::Tomb { Mode::Tomb(version) } else { Mode::Floor(version) };
        for (node, copy) in owed {
            relay.outbox.push(node, Order { mode, db, key: key.into(), id: *id, copy });
        }
        number
    }

    /// Changes the deadline of a key that was found. Later: in place. Sooner or never: a new version, which travels.
    /// False if the key is not there any more. The caller holds the key's stripe, and held it when it found it.
    pub fn set_deadline(
        &self,
        scope: &Scope,
        (db, key): (u8, &[u8]),
        meta: &Meta,
        deadline_ms: u64,
    ) -> Result<bool, Stop> {
        let id = self.id_of(scope, db, key);
        let event = if deadline_ms == 0 { KeyEvent::PERSIST } else { KeyEvent::EXPIRE };
        let later = deadline_ms != 0 && meta.deadline_ms != 0 && deadline_ms >= meta.deadline_ms;
        // A second copy has, or will have, the old deadline: then even an extension is a new version, which supersedes
        // it.
        if later && !relay_lists(self, &id) {
            let touched = self.cache.section().set_deadline(&id, key, deadline_ms, self.now_ms());
            if touched.is_some() {
                self.changed(&Change { db, key, id: &id, event, by: scope.client });
                return Ok(true);
            }
        }
        let mut value = Vec::new();
        let Some(meta) = self.read(scope, db, key, false, &mut value, |_, _| ())? else {
            return Ok(false);
        };
        let by = scope.client;
        // What was asked to be twice stays twice: another deadline is not another wish. But it stores nothing, so
        // where no relief takes the copy it is answered all the same: a read that extends (GETEX) must not fail.
        let twice = relay_lists(self, &id);
        let (kind, copies) = (meta.kind, twice.then_some(2));
        self.store(&Write { db, key, id, value: &value, kind, deadline_ms, event, by, copies }, false)?;
        Ok(true)
    }

    /// Flushes one database or all, here and below.
    pub fn flush(&self, scope: &Scope, db: Option<u8>) -> Result<u64, Stop> {
        let relay = self.owner()?;
        // EXEC with a flush in it holds all of them already.
        let all = (!scope.held).then(|| self.stripes.lock_all());
        let version = relay.versions.next(self.clock.unix_ms());
        for n in 0..16 {
            if db.is_none_or(|db| db == n) {
                relay.flushed[usize::from(n)].store(version, Ordering::Release);
            }
        }
        self.cache.section().flush_db(db, self.now_ms());
        relay.directory.flush(db);
        let number = relay.journal.append(&Record::Flush { db: db.unwrap_or(16), version });
        relay.stream.recent.note_flush(version, self.now_ms());
        relay.stream.append(&Event::Flush { db, version });
        self.emptied(db);
        drop(all);
        relay.flushes.fetch_add(1, Ordering::AcqRel);
        relay.outbox.wake();
        Ok(number)
    }
}

/// True where a readable copy of a resident key lives downstream, or is on its way there.
fn relay_lists(node: &Node, id: &KeyId) -> bool {
    node.relay().is_some_and(|relay| relay.directory.is_below(id) || relay.copying.has(id))
}

/// What a delete left behind.
#[derive(Clone, Copy, Debug)]
pub struct Destroyed {
    /// The version of the delete.
    pub version: u64,
    /// The journal's record to wait for, 0 for none.
    pub journaled: u64,
    /// The stream's event to wait for.
    pub seq: u64,
}
