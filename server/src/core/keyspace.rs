//! What reading and writing a key means on this node. On a relay it speaks for the whole family: a key that
//! only lives downstream makes a command stop with [`Stop::Below`], is brought up, and the command runs again.
//!
//! Invariants (each has a test in the family's test suite):
//! * A change of a key happens under its stripe; reads take no lock.
//! * A copy is listed in the directory before the record here is freed, and a record is here before the copy
//!   downstream is made unreadable: a read that misses here and in the directory, with an unmoved fence,
//!   has proved absence.
//! * What is superseded or destroyed is made unreadable in the same step, before the reply.

mod write;

pub use write::{Destroy, Destroyed, Write};

use crate::core::bus::ClientId;
use crate::core::members::Tier;
use crate::core::node::{Node, Relay};
use gs_client::cache::{KeyId, Lookup, Meta};
use gs_resp::{Code, Refusal};
use parking_lot::MutexGuard;

/// Why a command did not finish.
#[derive(Debug)]
pub enum Stop {
    /// It is refused; the connection lives.
    Refuse(Refusal),
    /// These keys must be looked for downstream first; nothing was changed.
    Below(Vec<(u8, Box<[u8]>)>),
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
    /// Logical database.
    pub db: u8,
    /// The key.
    pub key: Box<[u8]>,
    /// Version, deadline, kind and times; its block is meaningless.
    pub meta: Meta,
    /// The value.
    pub value: Vec<u8>,
}

/// The identity of a key, computed before its command ran.
///
/// It is believed for the very bytes that it was computed from, told by their place: they lie in the input of the
/// connection, which stays where it is while the command runs, so no other word can have that place. Its memory has
/// been asked for.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The identity.
    pub id: KeyId,
    db: u8,
    at: usize,
    len: usize,
}

impl Default for Known {
    /// Of no key: no word begins at 0.
    fn default() -> Known {
        Known { id: KeyId { hi: 0, lo: 0 }, db: 0, at: 0, len: 0 }
    }
}

impl Known {
    /// The identity of this key in the node's section.
    pub fn of(node: &Node, db: u8, key: &[u8]) -> Known {
        Known { id: node.id(db, key), db, at: key.as_ptr().addr(), len: key.len() }
    }

    /// False where nothing is known.
    pub fn is_some(&self) -> bool {
        self.at != 0
    }

    fn is_of(&self, db: u8, key: &[u8]) -> bool {
        self.at == key.as_ptr().addr() && self.len == key.len() && self.db == db
    }
}

/// A logical database and a key in it.
pub type Place = (u8, Box<[u8]>);

/// The tier and the node that a key came up from.
pub type Origin = (Tier, String);

/// What one command knows beyond the section: keys proven absent, records fetched, where they were found.
#[derive(Default)]
pub struct Scope {
    /// The connection that the command came from, 0 for the node itself.
    pub client: ClientId,
    /// The identity of its first key.
    pub known: Known,
    /// The coarse time, where the connection has just read it; 0 where it has to be read.
    pub now_ms: u64,
    /// True while the stripes of all keys of the command are held (EXEC).
    pub held: bool,
    /// True for a connection whose reads are no uses (CLIENT NO-TOUCH); outlives the command.
    pub no_touch: bool,
    /// True once a command that writes several keys wrote one, and may have to be run again.
    pub begun: bool,
    /// Keys that every possible holder said it does not have.
    pub absent: Vec<(u8, Box<[u8]>)>,
    /// Records fetched but not kept.
    pub fetched: Vec<Fetched>,
    /// Tier and node that a key of this command came up from.
    pub origin: Option<Origin>,
    /// The same of keys that came up ahead of the commands that want them; outlives the command, not the input.
    pub brought: Vec<(Place, Origin)>,
    /// True if one of them found no room here: the rest of the input brings nothing up ahead.
    pub crowded: bool,
}

impl Scope {
    /// Forgets all; called between commands, usually with nothing to forget.
    pub fn clear(&mut self) {
        self.known = Known::default();
        self.now_ms = 0;
        self.held = false;
        self.begun = false;
        if self.origin.is_some() || !self.absent.is_empty() || !self.fetched.is_empty() {
            *self = Scope {
                client: self.client,
                no_touch: self.no_touch,
                brought: std::mem::take(&mut self.brought),
                crowded: self.crowded,
                ..Scope::default()
            };
        }
    }

    /// Forgets what outlives a command but not its input.
    pub fn end_input(&mut self) {
        self.brought.clear();
        self.crowded = false;
    }

    /// Where a key of this command came up from, if it was not here.
    pub fn take_origin(&mut self, db: u8, key: &[u8]) -> Option<Origin> {
        let ahead = self.brought.iter().position(|((d, k), _)| *d == db && **k == *key);
        let ahead = ahead.map(|at| self.brought.swap_remove(at).1);
        self.origin.take().or(ahead)
    }
}

/// The coarse clock is behind the exact one by a tick of the kernel at most: 10 ms where it ticks slowest.
const COARSE_MS_MAX: u64 = 11;
/// The time of a window of commands is older by what those before the last one took: a second is more than sixteen that
/// wait for nothing take.
const WINDOW_MS_MAX: u64 = 1_000;

/// Keys whose records are asked for together.
pub const TOGETHER: usize = 16;

/// How often a read looks again while writers are in its way.
const READ_ATTEMPTS: usize = 64;

impl Node {
    /// The identity of a key in this node's section.
    pub fn id(&self, db: u8, key: &[u8]) -> KeyId {
        self.cache.section().key_id(db, key)
    }

    /// As [`Node::id`], computed anew only if the command does not know it already.
    #[inline]
    pub fn id_of(&self, scope: &Scope, db: u8, key: &[u8]) -> KeyId {
        if scope.known.is_of(db, key) { scope.known.id } else { self.id(db, key) }
    }

    /// Asks for the memory of several keys, which then wait for it together instead of one after the other.
    pub fn ask_ahead(&self, ids: &[KeyId]) {
        if ids.len() > 1 {
            ids.iter().for_each(|id| self.cache.section().prefetch(id));
            ids.iter().for_each(|id| self.cache.section().prefetch_record(id));
        }
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
        let id = self.id_of(scope, db, key);
        let mark = out.len();
        let mut now_ms = if scope.now_ms > 0 { scope.now_ms } else { self.clock.now_coarse_ms() };
        let unsure_ms = if scope.now_ms > 0 { WINDOW_MS_MAX } else { COARSE_MS_MAX };
        let touch = touch && !scope.no_touch;
        let section = self.cache.section();
        if !scope.known.is_of(db, key) {
            section.prefetch(&id);
            section.prefetch_record(&id);
        }
        for _ in 0..READ_ATTEMPTS {
            match section.get_asked(&id, key, now_ms, touch, out, &head) {
                // The coarse clock may be some milliseconds behind: near its deadline a record is judged by the
                // exact one.
                // And so may the time that was taken for a whole window of commands, by what those took.
                Lookup::Hit(meta) if meta.deadline_ms != 0 && meta.deadline_ms - now_ms < unsure_ms => {
                    let exact_ms = self.now_ms();
                    if exact_ms < meta.deadline_ms {
                        return Ok(Some(meta));
                    }
                    out.truncate(mark);
                    now_ms = exact_ms;
                }
                Lookup::Hit(meta) => return Ok(Some(meta)),
                Lookup::Contended => std::hint::spin_loop(),
                Lookup::Miss { ticket } => {
                    if let Some(found) = scope.fetched.iter().find(|f| f.db == db && *f.key == *key) {
                        head(out, &found.meta);
                        out.extend_from_slice(&found.value);
                        return Ok(Some(found.meta));
                    }
                    if self.may_be_elsewhere(scope, db, &id, key) {
                        return Err(Stop::Below(vec![(db, key.into())]));
                    }
                    if self.cache.section().fence(&id) == ticket {
                        self.settle_expired(db, key, &id);
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
        self.meta_of(scope, db, key, &self.id_of(scope, db, key))
    }

    /// [`Node::meta`] of a key whose identity is known.
    fn meta_of(&self, scope: &Scope, db: u8, key: &[u8], id: &KeyId) -> Result<Option<Meta>, Stop> {
        for _ in 0..READ_ATTEMPTS {
            let fence = self.cache.section().fence(id);
            if let Some(meta) = self.peek(id, key) {
                return Ok(Some(meta));
            }
            if let Some(found) = scope.fetched.iter().find(|f| f.db == db && *f.key == *key) {
                return Ok(Some(found.meta));
            }
            if self.may_be_elsewhere(scope, db, id, key) {
                return Err(Stop::Below(vec![(db, key.into())]));
            }
            if self.cache.section().fence(id) == fence {
                self.settle_expired(db, key, id);
                return Ok(None);
            }
        }
        Err(Refusal::new(Code::TryAgain, "the key is being changed by many writers at once; send it again")
            .into())
    }

    /// [`Node::meta`] for a command that reads, which counts as a hit or a miss.
    pub fn sought(&self, scope: &Scope, db: u8, key: &[u8]) -> Result<Option<Meta>, Stop> {
        let found = self.meta(scope, db, key)?;
        self.metrics.sought(found.is_some());
        Ok(found)
    }

    /// What is resident of a key. The coarse clock finds it; near its deadline the exact one judges.
    fn peek(&self, id: &KeyId, key: &[u8]) -> Option<Meta> {
        let now_ms = self.clock.now_coarse_ms();
        let meta = self.cache.section().peek(id, key, now_ms)?;
        if meta.deadline_ms != 0 && meta.deadline_ms - now_ms < COARSE_MS_MAX {
            return self.cache.section().peek(id, key, self.now_ms());
        }
        Some(meta)
    }

    /// True if someone else may know a key that is not here, and has not been asked by this command.
    fn may_be_elsewhere(&self, scope: &Scope, db: u8, id: &KeyId, key: &[u8]) -> bool {
        let Some(relay) = self.relay() else { return false };
        if scope.absent.iter().any(|(d, k)| *d == db && **k == *key) {
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
        mut keys: impl Iterator<Item = &'k [u8]>,
    ) -> Result<(), Stop> {
        let (mut below, mut ids, mut window) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            window.extend(keys.by_ref().take(TOGETHER));
            if window.is_empty() {
                break;
            }
            ids.extend(window.iter().map(|key| self.id_of(scope, db, key)));
            self.ask_ahead(&ids);
            for (key, id) in window.drain(..).zip(ids.drain(..)) {
                match self.meta_of(scope, db, key, &id) {
                    Err(Stop::Below(mut more)) => below.append(&mut more),
                    other => drop(other?),
                }
            }
        }
        if below.is_empty() { Ok(()) } else { Err(Stop::Below(below)) }
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
