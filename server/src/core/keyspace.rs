//! What reading and writing a key means on this node. On a relay it speaks for the whole family: a key that
//! only lives downstream makes a command stop with [`Stop::Below`], is brought up, and the command runs again.
//!
//! Invariants (each has a test in the family's test suite):
//! * A change of a key happens under its stripe; reads take no lock.
//! * A copy is listed in the directory before the record here is freed, and a record is here before the copy
//!   downstream is made unreadable: a read that misses here and in the directory, with an unmoved fence,
//!   has proved absence.
//! * What is superseded or destroyed is made unreadable in the same step, before the reply.

use crate::core::directory::Holders;
use crate::core::journal::Record;
use crate::core::members::{State, Tier};
use crate::core::node::{Node, Relay};
use crate::core::outbox::{Mode, Order};
use crate::core::stream::Event;
use crate::core::tombs::{Kind, Tomb};
use crate::core::topics::{self, Notice};
use gs_client::cache::{KeyId, Lookup, Meta, NewRecord, PutError, RecordState};
use gs_resp::{Code, Refusal};
use parking_lot::MutexGuard;
use std::sync::atomic::Ordering;

/// Why a command did not finish.
#[derive(Debug)]
pub enum Stop {
    /// It is refused; the connection lives.
    Refuse(Refusal),
    /// These keys must be looked for downstream first; nothing was changed.
    Below(Vec<Box<[u8]>>),
    /// There is no room for the write now; nothing was changed.
    Full,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Stop::Refuse(refusal)
    }
}

/// A record that was found downstream and could not be kept here for want of room.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The key.
    pub key: Box<[u8]>,
    /// Version, deadline, kind and times; its block is meaningless.
    pub meta: Meta,
    /// The value.
    pub value: Vec<u8>,
}

/// What one command knows beyond the section: keys proven absent, records fetched, where they were found.
#[derive(Default)]
pub struct Scope {
    /// True while the stripes of all keys of the command are held (EXEC).
    pub held: bool,
    /// Keys that every possible holder said it does not have.
    pub absent: Vec<Box<[u8]>>,
    /// Records fetched but not kept.
    pub fetched: Vec<Fetched>,
    /// Tier and node that a key of this command came up from.
    pub origin: Option<(Tier, String)>,
}

impl Scope {
    /// Forgets all; called between commands, usually with nothing to forget.
    pub fn clear(&mut self) {
        self.held = false;
        if self.origin.is_some() || !self.absent.is_empty() || !self.fetched.is_empty() {
            *self = Scope::default();
        }
    }
}

/// A write of a whole value.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// Logical database.
    pub db: u8,
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// The record's kind.
    pub kind: u8,
    /// Deadline in boot-time milliseconds, 0 for none.
    pub deadline_ms: u64,
}

/// How often a read looks again while writers are in its way.
const READ_ATTEMPTS: usize = 64;

impl Node {
    /// The identity of a key in this node's section.
    pub fn id(&self, db: u8, key: &[u8]) -> KeyId {
        self.cache.section().key_id(db, key)
    }

    /// Locks a key for a change, unless the command already holds its locks.
    pub fn lock_key(&self, scope: &Scope, id: &KeyId) -> Option<MutexGuard<'_, ()>> {
        (!scope.held).then(|| self.stripes.lock(id))
    }

    /// Reads a key: `head` is called with what is known before the value is appended to `out`.
    pub fn read(
        &self,
        scope: &Scope,
        db: u8,
        key: &[u8],
        touch: bool,
        out: &mut Vec<u8>,
        head: impl Fn(&mut Vec<u8>, &Meta),
    ) -> Result<Option<Meta>, Stop> {
        let id = self.id(db, key);
        let now_ms = self.clock.now_coarse_ms();
        for _ in 0..READ_ATTEMPTS {
            match self.cache.section().get(&id, key, now_ms, touch, out, &head) {
                Lookup::Hit(meta) => return Ok(Some(meta)),
                Lookup::Contended => std::hint::spin_loop(),
                Lookup::Miss { ticket } => {
                    if let Some(found) = scope.fetched.iter().find(|f| *f.key == *key) {
                        head(out, &found.meta);
                        out.extend_from_slice(&found.value);
                        return Ok(Some(found.meta));
                    }
                    if self.may_be_elsewhere(scope, &id, key) {
                        return Err(Stop::Below(vec![key.into()]));
                    }
                    if self.cache.section().fence(&id) == ticket {
                        return Ok(None);
                    }
                }
            }
        }
        Err(Refusal::new(Code::TryAgain, "the key is being changed by many writers at once; send it again")
            .into())
    }

    /// What is known of a key, without its value and without counting as a use.
    pub fn meta(&self, scope: &Scope, db: u8, key: &[u8]) -> Result<Option<Meta>, Stop> {
        let id = self.id(db, key);
        for _ in 0..READ_ATTEMPTS {
            let fence = self.cache.section().fence(&id);
            if let Some(meta) = self.cache.section().peek(&id, key, self.now_ms()) {
                return Ok(Some(meta));
            }
            if let Some(found) = scope.fetched.iter().find(|f| *f.key == *key) {
                return Ok(Some(found.meta));
            }
            if self.may_be_elsewhere(scope, &id, key) {
                return Err(Stop::Below(vec![key.into()]));
            }
            if self.cache.section().fence(&id) == fence {
                return Ok(None);
            }
        }
        Err(Refusal::new(Code::TryAgain, "the key is being changed by many writers at once; send it again")
            .into())
    }

    /// True if someone else may know a key that is not here, and has not been asked by this command.
    fn may_be_elsewhere(&self, scope: &Scope, id: &KeyId, key: &[u8]) -> bool {
        let Some(relay) = self.relay() else { return false };
        if scope.absent.iter().any(|k| **k == *key) {
            return false;
        }
        relay.directory.is_below(id)
            || relay.has_unreported()
            || self.paths.of(key).external_wait.is_some_and(|_| self.is_validated_outside(key))
    }

    /// True if an external validator listens for keys of this path.
    pub fn is_validated_outside(&self, key: &[u8]) -> bool {
        let topic = format!("{}/need_session", self.paths.of(key).name);
        self.bus.is_heard(topic.as_bytes())
    }

    /// Fails with [`Stop::Below`] naming all keys that have to be brought up first.
    pub fn require<'k>(
        &self,
        scope: &Scope,
        db: u8,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> Result<(), Stop> {
        let mut below = Vec::new();
        for key in keys {
            match self.meta(scope, db, key) {
                Err(Stop::Below(mut more)) => below.append(&mut more),
                other => drop(other?),
            }
        }
        if below.is_empty() { Ok(()) } else { Err(Stop::Below(below)) }
    }

    /// Stores a value under a new version, which it returns. The caller holds the key's stripe.
    pub fn write(&self, write: &Write<'_>) -> Result<u64, Stop> {
        let relay = self.owner()?;
        let id = self.id(write.db, write.key);
        let path = self.paths.of(write.key);
        let unix_ms = self.clock.unix_ms();
        if path.gone_for.is_some() {
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
        let version = relay.versions.next(unix_ms);
        let now_ms = self.now_ms();
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
        let (holders, _) = relay.directory.shadow_all(&id, write.db);
        let evicting = put.replaced.is_some_and(|m| m.state == RecordState::Evicting);
        self.supersede(relay, &id, write.db, write.key, Kind::Floor, version, &holders, evicting, 0);
        if relay.stream.is_enabled() {
            let pttl = self.pttl(write.deadline_ms);
            let (db, key, kind, value) = (write.db, write.key, write.kind, write.value);
            relay.stream.append(&if self.settings.push_values {
                Event::Put { db, key, version, pttl, kind, value }
            } else {
                Event::Inval { db, key, version }
            });
        }
        let pttl = (write.deadline_ms != 0).then(|| write.deadline_ms.saturating_sub(now_ms));
        let reason = if put.replaced.is_some() { "changed" } else { "new" };
        let (db, key) = (write.db, write.key);
        let notice = Notice { db, key, version: Some(version), pttl, reason, ..Notice::default() };
        let value = (write.kind == 0).then_some(write.value);
        topics::publish(&self.bus, &path.name, "session", &Notice { value, ..notice });
        Ok(version)
    }

    /// Turns a refused put into what the command shall do about it.
    fn no_room(&self, relay: &Relay, write: &Write<'_>, error: &PutError) -> Stop {
        match error {
            PutError::Full { .. } => Stop::Full,
            PutError::BucketFull => {
                if self.drops_when_full() {
                    crate::roles::relay::drop_from_buckets(self, &self.id(write.db, write.key));
                } else if let Some(link) = relay.downstream() {
                    let mut out = Vec::new();
                    let db = write.db.to_string();
                    gs_resp::encode_command(&mut out, &[b"GS.RELIEVE", db.as_bytes(), write.key]);
                    // Not awaited: the command waits for the room, not for the answer.
                    let _sent = link.start(out, 1, std::time::Duration::from_secs(1));
                }
                Stop::Full
            }
            PutError::Lost => Refusal::new(Code::TryAgain, error.to_string()).into(),
            _ => Refusal::new(Code::Err, error.to_string()).into(),
        }
    }

    /// Destroys a key. True if it existed anywhere in the family; the number of the journal's record to wait
    /// for, and the version of the delete. The caller holds the key's stripe.
    pub fn destroy(&self, db: u8, key: &[u8], reason: &str, sync: bool) -> Result<Option<Destroyed>, Stop> {
        let relay = self.owner()?;
        let id = self.id(db, key);
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
        let seq = relay.stream.append(&Event::Gone { db, key, version, sync });
        if alive.is_none() && !below {
            return Ok(None);
        }
        let notice = Notice { db, key, version: Some(version), reason, ..Notice::default() };
        topics::publish(&self.bus, &path.name, "session_gone", &notice);
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
        let mut owed: Vec<(u16, u64)> = holders.iter().map(|h| (h.node, h.copy)).collect();
        if in_flight {
            // The old record is being handed over: its copy may arrive at any relief after this.
            for member in relay.members.list().iter().filter(|m| m.state == State::Up) {
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

    /// Changes the deadline of a key that is resident. Later: in place. Sooner or never: a new version, which
    /// travels. False if the key is not there. The caller holds the key's stripe.
    pub fn set_deadline(&self, scope: &Scope, db: u8, key: &[u8], deadline_ms: u64) -> Result<bool, Stop> {
        let Some(meta) = self.meta(scope, db, key)? else {
            return Ok(false);
        };
        let id = self.id(db, key);
        let later = deadline_ms != 0 && meta.deadline_ms != 0 && deadline_ms >= meta.deadline_ms;
        if later {
            let touched = self.cache.section().set_deadline(&id, key, deadline_ms, self.now_ms());
            if touched.is_some() {
                return Ok(true);
            }
        }
        let mut value = Vec::new();
        let Some(meta) = self.read(scope, db, key, false, &mut value, |_, _| ())? else {
            return Ok(false);
        };
        self.write(&Write { db, key, value: &value, kind: meta.kind, deadline_ms })?;
        Ok(true)
    }

    /// Flushes one database or all, here and below.
    pub fn flush(&self, db: Option<u8>) -> Result<u64, Stop> {
        let relay = self.owner()?;
        let all = self.stripes.lock_all();
        let version = relay.versions.next(self.clock.unix_ms());
        for n in 0..16 {
            if db.is_none_or(|db| db == n) {
                relay.flushed[usize::from(n)].store(version, Ordering::Release);
            }
        }
        self.cache.section().flush_db(db, self.now_ms());
        relay.directory.flush(db);
        let number = relay.journal.append(&Record::Flush { db: db.unwrap_or(16), version });
        relay.stream.append(&Event::Flush { db, version });
        drop(all);
        relay.flushes.fetch_add(1, Ordering::AcqRel);
        relay.outbox.wake();
        Ok(number)
    }

    /// Sessions of a database in the whole family, each once, also while they move.
    pub fn count(&self, db: u8) -> u64 {
        let _no_moves = self.stripes.counting();
        let here = self.cache.section().live_count(db);
        here + self.relay().map_or(0, |relay| relay.directory.live(db))
    }

    /// The relay's state, or the refusal that an application's write gets on any other node.
    pub fn owner(&self) -> Result<&Relay, Stop> {
        self.relay().ok_or_else(|| {
            let text = format!("this is a {} node: write to its relay", self.role.word());
            Refusal::new(Code::ReadOnly, text).into()
        })
    }
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
