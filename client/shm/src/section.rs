//! A section: the region, this process's place in it, and what every operation needs.

use std::hash::Hasher;
#[cfg(not(any(loom, shuttle)))]
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64 as Private, Ordering as PrivateOrdering};

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::blocks::{Ctl, Mem, State};
use crate::evict::{Choose, longest_idle};
use crate::layout::{self, Geometry};
#[cfg(not(any(loom, shuttle)))]
use crate::map::ForkPage;
use crate::process::{Attached, Presence, attached_table};
use crate::region::Region;
use crate::sync::{Ordering, mutant};
use crate::types::{KeyId, Meta, Stats};
use crate::{DATABASES, OpenError, SectionConfig};

/// A section of shared (or private) memory: every method may be called from any thread at any time.
///
/// No method blocks on another process, and none panics on what it finds in the memory: indices are checked
/// against the private geometry and every loop has a cap.
pub struct Section {
    pub(crate) region: Region,
    pub(crate) geometry: Geometry,
    pub(crate) cfg: SectionConfig,
    pub(crate) presence: Presence,
    /// This attachment's owner number: the copy of `presence.slot()` that the hot paths use.
    pub(crate) me: u16,
    pub(crate) secret: [u64; 2],
    /// The secret of each database, derived from it.
    secrets: [[u64; 2]; DATABASES],
    /// Hints of free blocks: private, so losing them loses nothing; a CAS decides.
    pub(crate) pool: Mutex<Vec<u32>>,
    /// Records that expired in the way of a write, for the next sweep to tell.
    pub(crate) passed: Mutex<Vec<(Meta, Vec<u8>)>>,
    /// Where this process looks for free blocks next (owner mode).
    pub(crate) cursor: Private,
    /// Where it looks for abandoned hand-offs next.
    pub(crate) adopt_cursor: Private,
    /// Words of a record that reads ask for before they know its length; see `ahead`.
    pub(crate) span: Private,
    /// Who leaves when there is no room.
    pub(crate) choose: Choose,
    pub(crate) counters: Counters,
    /// The liveness table of a private section, shared by its attachments.
    pub(crate) attached: Option<Attached>,
    /// Name of the shared-memory object, if it has one.
    #[cfg_attr(any(loom, shuttle), allow(dead_code, reason = "loom has no named sections"))]
    pub(crate) shm_name: Option<String>,
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fork_page: ForkPage,
}

/// Figures of this process; see [`Stats`].
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) evicted: Private,
    pub(crate) expired: Private,
    pub(crate) recovered: Private,
    pub(crate) full: Private,
    pub(crate) bucket_full: Private,
    pub(crate) contended: Private,
    pub(crate) corrupt: Private,
}

pub(crate) fn count(counter: &Private) {
    counter.fetch_add(1, PrivateOrdering::Relaxed);
}

impl Section {
    /// A section in private memory (`backing = "memory"`, tests, model checkers). `now_ms` is only noted.
    pub fn heap(cfg: &SectionConfig, now_ms: u64) -> Result<Section, OpenError> {
        Section::heap_with(cfg, random_words(0x5ec2e7), now_ms)
    }

    /// A private section whose key identities are those of every section of this name in `dir`: what a node
    /// noted of a key (a tombstone on disk) is still about that key after a restart.
    #[cfg(not(any(loom, shuttle)))]
    pub fn heap_in(dir: &Path, name: &str, cfg: &SectionConfig, now_ms: u64) -> Result<Section, OpenError> {
        Section::heap_with(cfg, crate::open::lasting_secret(dir, name)?, now_ms)
    }

    fn heap_with(cfg: &SectionConfig, secret: [u64; 2], now_ms: u64) -> Result<Section, OpenError> {
        let geometry = Geometry::of(cfg)?;
        let region = Region::heap(&geometry).map_err(|source| OpenError::Io {
            doing: "mapping private memory for",
            path: "the section".into(),
            source,
        })?;
        let nonce = random_words(0x0a0ce);
        write_identity(&region, &geometry, cfg, secret, nonce, now_ms);
        region.words()[layout::STATE].store(layout::STATE_READY, Ordering::Release);
        Section::attach_private(region, geometry, cfg.clone(), secret, attached_table())
    }

    /// A second attachment to a private section, with an owner number of its own: the sibling inside a
    /// process, or a test's second process. Dropping it is as if that process had died.
    pub fn attach_heap(&self) -> Result<Section, OpenError> {
        let Some(table) = self.attached.clone() else {
            return Err(OpenError::Name(
                "only a section in private memory can be attached to this way".into(),
            ));
        };
        Section::attach_private(
            self.region.clone(),
            self.geometry.clone(),
            self.cfg.clone(),
            self.secret,
            table,
        )
    }

    fn attach_private(
        region: Region,
        geometry: Geometry,
        cfg: SectionConfig,
        secret: [u64; 2],
        table: Attached,
    ) -> Result<Section, OpenError> {
        let presence = Presence::private(table.clone()).ok_or(OpenError::NoSlot {
            path: "private memory".into(),
            max: (layout::PROC_SLOTS - 1) as u16,
        })?;
        let section = Section::assemble(region, geometry, cfg, secret, presence, Some(table), None);
        section.recover_own();
        Ok(section)
    }

    pub(crate) fn assemble(
        region: Region,
        geometry: Geometry,
        cfg: SectionConfig,
        secret: [u64; 2],
        presence: Presence,
        attached: Option<Attached>,
        shm_name: Option<String>,
    ) -> Section {
        Section {
            me: presence.slot(),
            region,
            geometry,
            cfg,
            presence,
            secret,
            secrets: std::array::from_fn(|db| {
                let derived = SipHasher13::new_with_keys(secret[0], secret[1]).hash(&[db as u8]);
                [derived.h1, derived.h2]
            }),
            pool: Mutex::new(Vec::new()),
            passed: Mutex::default(),
            cursor: Private::new(0),
            adopt_cursor: Private::new(0),
            span: Private::new(layout::HEAD_WORDS as u64),
            choose: longest_idle,
            counters: Counters::default(),
            attached,
            shm_name,
            #[cfg(not(any(loom, shuttle)))]
            fork_page: ForkPage::new(),
        }
    }

    /// Random number that names this section among all that ever had its name.
    pub fn nonce(&self) -> u128 {
        let words = self.region.words();
        let read = |i: usize| u128::from(words[i].load(Ordering::Relaxed));
        read(layout::ident::NONCE_HI) << 64 | read(layout::ident::NONCE_LO)
    }

    /// Where everything is.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// What the section was asked to be.
    pub fn config(&self) -> &SectionConfig {
        &self.cfg
    }

    /// This attachment's owner number.
    pub fn process_slot(&self) -> u16 {
        self.me
    }

    /// Whether a newer section took its place (or its state word is garbage): attach again.
    pub fn retired(&self) -> bool {
        self.region.words()[layout::STATE].load(Ordering::Acquire) != layout::STATE_READY
    }

    /// Whether this process is a fork of the one that attached: reads go on, writes are refused; attach again.
    pub fn forked(&self) -> bool {
        #[cfg(any(loom, shuttle))]
        return false;
        #[cfg(not(any(loom, shuttle)))]
        self.fork_page.forked()
    }

    pub(crate) fn detached(&self) -> bool {
        (self.forked() && !mutant("fork-unnoticed")) || (self.retired() && !mutant("retired-unnoticed"))
    }

    /// Identity of a key in a database (below [`DATABASES`]): SipHash-1-3-128 under a secret that the section's
    /// gives each database. The database is not hashed as a byte before the key: in one piece and on word
    /// boundaries the hash takes a third fewer instructions.
    #[inline]
    pub fn key_id(&self, db: u8, key: &[u8]) -> KeyId {
        let secret = self.secrets[usize::from(db) & (DATABASES - 1)];
        let hash = SipHasher13::new_with_keys(secret[0], secret[1]).hash(key);
        KeyId { hi: hash.h1, lo: hash.h2 }
    }

    #[inline]
    pub(crate) fn mem(&self) -> Mem<'_> {
        Mem { words: self.region.words(), touch: self.region.touch(), geometry: &self.geometry }
    }

    /// Records with another epoch than their database's were flushed.
    #[inline]
    pub(crate) fn min_epoch(&self, db: usize) -> u16 {
        self.region.words()[layout::MIN_EPOCH + (db & (DATABASES - 1))].load(Ordering::Acquire) as u16
    }

    // --- fences

    /// The fence of a key: it moves with every delete or replacement in its stripe and with every flush. Two
    /// equal readings prove that nothing of the kind finished in between.
    #[inline]
    pub fn fence(&self, id: &KeyId) -> u64 {
        // Both words only grow, so their sum is unchanged only if both are.
        let words = self.region.words();
        let fence = self.mem().fence_word(id.lo).load(Ordering::Acquire);
        fence.wrapping_add(words[layout::FLUSHES].load(Ordering::Acquire))
    }

    /// Moves the fence of a key, so that every fill and every proof of absence begun before fails. Returns
    /// the new reading.
    pub fn bump_fence(&self, id: &KeyId) -> u64 {
        let flushes = self.region.words()[layout::FLUSHES].load(Ordering::Acquire);
        self.bump(id).wrapping_add(1).wrapping_add(flushes)
    }

    /// Moves the fence word and returns what it was.
    pub(crate) fn bump(&self, id: &KeyId) -> u64 {
        self.mem().fence_word(id.lo).fetch_add(1, Ordering::AcqRel)
    }

    // --- counters: advisory, so a crash between a change and its count costs accuracy until the next adoption

    pub(crate) fn used_add(&self, delta: i64) {
        if cfg!(any(loom, shuttle)) {
            return;
        }
        let word = &self.region.words()[layout::USED];
        if delta >= 0 {
            word.fetch_add(delta as u64, Ordering::Relaxed);
        } else {
            word.fetch_sub(delta.unsigned_abs(), Ordering::Relaxed);
        }
    }

    /// Counts a record in or out of its database. The word is [epoch 16 | count 48]: a record of an older
    /// epoch was uncounted by the flush.
    pub(crate) fn live_add(&self, db: usize, epoch: u16, delta: i64) {
        if cfg!(any(loom, shuttle)) {
            return;
        }
        let word = &self.region.words()[layout::LIVE + (db & (DATABASES - 1))];
        let mut old = word.load(Ordering::Relaxed);
        for _ in 0..COUNTER_TRIES {
            let counted = (old >> 48) as u16;
            let count = old & LIVE_MASK;
            let ahead = epoch.wrapping_sub(counted) as i16;
            let new = match ahead {
                0 => count.saturating_add_signed(delta) & LIVE_MASK,
                // A flush has raised the epoch and not yet the counter.
                1.. if delta > 0 => delta as u64,
                _ => return,
            };
            match word.compare_exchange(
                old,
                u64::from(epoch) << 48 | new,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => old = now,
            }
        }
    }

    /// Sets a database's counter for a new epoch, unless someone has counted in it already.
    pub(crate) fn live_reset(&self, db: usize, epoch: u16) {
        let word = &self.region.words()[layout::LIVE + db];
        let mut old = word.load(Ordering::Relaxed);
        for _ in 0..COUNTER_TRIES {
            if epoch.wrapping_sub((old >> 48) as u16) as i16 <= 0 {
                return;
            }
            match word.compare_exchange(old, u64::from(epoch) << 48, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => old = now,
            }
        }
    }

    /// Records of a database, expired but unreclaimed ones included.
    pub fn live_count(&self, db: u8) -> u64 {
        self.region.words()[layout::LIVE + (usize::from(db) & (DATABASES - 1))].load(Ordering::Relaxed)
            & LIVE_MASK
    }

    /// Blocks not in use.
    pub fn free_blocks(&self) -> u64 {
        let blocks = u64::from(self.geometry.blocks);
        let used = self.region.words()[layout::USED].load(Ordering::Relaxed);
        // A count driven below zero by a crash reads as a huge number: then nothing is in use.
        if used > u64::MAX / 2 { blocks } else { blocks.saturating_sub(used) }
    }

    /// Figures of the section, and of this process's work in it.
    pub fn stats(&self) -> Stats {
        let read = |counter: &Private| counter.load(PrivateOrdering::Relaxed);
        let c = &self.counters;
        Stats {
            total_bytes: self.geometry.total_len,
            block_bytes: u64::from(self.geometry.block_bytes),
            blocks: u64::from(self.geometry.blocks),
            free_blocks: self.free_blocks(),
            slots: self.geometry.slots(),
            live: (0..DATABASES as u8).map(|db| self.live_count(db)).sum(),
            evicted: read(&c.evicted),
            expired: read(&c.expired),
            recovered: read(&c.recovered),
            full: read(&c.full),
            bucket_full: read(&c.bucket_full),
            contended: read(&c.contended),
            corrupt: read(&c.corrupt),
        }
    }

    /// Counts blocks and records afresh: at adoption, when nobody else writes.
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn recount(&self) {
        let mem = self.mem();
        let mut live = [0u64; DATABASES];
        let mut used = 0;
        for block in 0..self.geometry.blocks {
            let ctl = mem.load_ctl(block);
            used += u64::from(ctl.state() != State::Free);
            if ctl.state().readable() {
                let shape = mem.head(block, ctl).shape;
                live[shape.db()] += u64::from(shape.epoch() == self.min_epoch(shape.db()));
            }
        }
        mem.words[layout::USED].store(used, Ordering::Relaxed);
        for (db, count) in live.into_iter().enumerate() {
            mem.words[layout::LIVE + db]
                .store(u64::from(self.min_epoch(db)) << 48 | count, Ordering::Relaxed);
        }
    }

    /// Frees or takes over whatever an earlier holder of this owner number left behind.
    pub(crate) fn recover_own(&self) {
        let mem = self.mem();
        let word = &mem.words[layout::PROCS + usize::from(self.me)];
        let dirty = word.load(Ordering::Acquire) != 0;
        word.store(1, Ordering::Release);
        if !dirty || mutant("own-not-recovered") {
            return;
        }
        for block in 0..self.geometry.blocks {
            let ctl = mem.load_ctl(block);
            if ctl.owner() != self.me {
                continue;
            }
            match ctl.state() {
                State::Writing | State::Pending | State::Dead => self.reclaim_dead(mem, block, ctl),
                State::Leaving => {
                    let _ = self.take_over(mem, block, ctl);
                }
                _ => {}
            }
        }
    }

    /// Claims one block in another state for this process.
    pub(crate) fn claim(&self, mem: Mem<'_>, block: u32, from: Ctl, state: State) -> Option<Ctl> {
        let to = from.to(state, self.me);
        mem.cas_ctl(block, from, to).then_some(to)
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        // A thread that panicked may have left a block half written: then the slot stays marked and its next
        // holder looks through the blocks. In a fork the slot is the parent's.
        // Who only looks has no slot.
        if self.me != 0 && !std::thread::panicking() && !self.forked() {
            self.region.words()[layout::PROCS + usize::from(self.me)].store(0, Ordering::Release);
        }
    }
}

const LIVE_MASK: u64 = (1 << 48) - 1;
/// Tries of a counter update before it is left to the next recount.
const COUNTER_TRIES: usize = 64;

/// Two words from the system's generator; private sections fall back to the hasher's seed.
pub(crate) fn random_words(salt: u64) -> [u64; 2] {
    if cfg!(any(loom, shuttle)) {
        return [salt, !salt];
    }
    let mut bytes = [0u8; 16];
    let read = std::fs::File::open("/dev/urandom")
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes))
        .is_ok();
    let half = |at: usize| {
        let mut word = [0u8; 8];
        word.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(word)
    };
    if read {
        return [half(0), half(8)];
    }
    use std::hash::BuildHasher;
    let seeded = |n: u64| std::collections::hash_map::RandomState::new().hash_one(n);
    [seeded(salt), seeded(!salt)]
}

/// Everything in the header that says what the section is.
pub(crate) fn write_identity(
    region: &Region,
    geometry: &Geometry,
    cfg: &SectionConfig,
    secret: [u64; 2],
    nonce: [u64; 2],
    now_ms: u64,
) {
    use layout::ident;
    let words = region.words();
    for (at, value) in [
        (ident::MAGIC, layout::MAGIC),
        (ident::LAYOUT_VERSION, layout::LAYOUT_VERSION),
        (ident::MIN_READER, layout::MIN_READER),
        (ident::ARCH, layout::ARCH),
        (ident::FEATURES, layout::FEATURES),
        (ident::TOTAL_LEN, geometry.total_len),
        (ident::CAPACITY, cfg.capacity_bytes),
        (ident::BLOCK_BYTES, u64::from(cfg.block_bytes)),
        (ident::VALUE_BYTES_MAX, u64::from(cfg.value_bytes_max)),
        (ident::KEEP_KEYS, u64::from(cfg.keep_keys)),
        (ident::MODE, cfg.mode as u64),
        (ident::POLICY, cfg.policy_fingerprint),
        (ident::LAYOUT_HASH, geometry.layout_hash(cfg)),
        (ident::NONCE_HI, nonce[0]),
        (ident::NONCE_LO, nonce[1]),
        (ident::SECRET_CHECK, secret_check(secret)),
        (ident::CREATED_AT, now_ms),
        (ident::CREATOR_PID, u64::from(std::process::id())),
    ] {
        words[at].store(value, Ordering::Relaxed);
    }
}

/// A word that shows whether the secret beside the section is the one it was filled under.
pub(crate) fn secret_check(secret: [u64; 2]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(secret[0], secret[1]);
    hasher.write(b"gs-shm secret check");
    hasher.finish128().h1
}
