//! What a session costs beside its own bytes: resident memory of a relay's processes and of redis-server, each
//! with the same sessions in it.

use std::path::Path;

use anyhow::ensure;
use gs_shm::{Geometry, SectionConfig};

use crate::compare::machine::{self, Cores};
use crate::compare::servers::{Launch, Peer, Program, Server, find};
use crate::compare::talk::{Batch, Talk};
use crate::compare::wire::{KEY_BYTES, Op, Shape, Speech};

/// Bytes of every value.
pub const VALUE_BYTES: usize = 384;
const BATCH: u64 = 1000;
const WARM_UP_BATCHES: usize = 200;

/// Resident bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// The shared-memory object.
    pub section_bytes: u64,
    /// What the processes grew by while the sessions were stored, shared memory aside.
    pub grown_bytes: u64,
    /// What the processes held before, shared memory aside.
    pub fixed_bytes: u64,
}

/// Stores the sessions in a relay whose section has room for just these.
pub fn of_relay(program: &Path, sessions: u64, block_bytes: u32) -> anyhow::Result<Cost> {
    let cores = Cores::of_this_machine()?;
    let launch = Launch {
        capacity: capacity_for(sessions, block_bytes)?,
        threads: cores.usable,
        sets: vec![format!("section.block_bytes={block_bytes}")],
        wide: true,
        ..Launch::default()
    };
    let peer = Peer { name: "relay".into(), program: Program::Gs(program.to_owned()) };
    let relay = peer.start(&cores, &launch)?;
    let pids = relay.pids();
    ensure!(pids.len() == 2, "a relay and its sibling were expected, not {pids:?}");
    measured(&relay, sessions)
}

/// Stores the sessions in redis-server, if there is one; its version, and the cost.
pub fn of_redis(sessions: u64) -> anyhow::Result<Option<(String, Cost)>> {
    let Some(program) = find("redis-server") else {
        return Ok(None);
    };
    let peer = Peer { name: "redis-server".into(), program: Program::Redis(program) };
    let redis = peer.start(&Cores::of_this_machine()?, &Launch { wide: true, ..Launch::default() })?;
    let cost = measured(&redis, sessions)?;
    Ok(Some((redis.version.clone(), cost)))
}

fn measured(server: &Server, sessions: u64) -> anyhow::Result<Cost> {
    let mut batch = Batch::to(server.addr)?;
    let mut talk = Talk::to(server.addr)?;
    warm_up(&mut batch, &mut talk)?;
    let fixed_bytes = machine::unshared_bytes(&server.pids());
    for from in (0..sessions).step_by(BATCH as usize) {
        store(&mut batch, from, (from + BATCH).min(sessions))?;
    }
    let held = talk.number(&["DBSIZE"])?;
    ensure!(held == sessions, "{sessions} sessions were stored and {held} are there");
    Ok(Cost {
        section_bytes: server.section_bytes(),
        grown_bytes: machine::unshared_bytes(&server.pids()).saturating_sub(fixed_bytes),
        fixed_bytes,
    })
}

/// The least capacity with blocks for that many sessions.
fn capacity_for(sessions: u64, block_bytes: u32) -> anyhow::Result<u64> {
    let of = |capacity_bytes| {
        let cfg = SectionConfig { capacity_bytes, block_bytes, ..SectionConfig::default() };
        let geometry = Geometry::of(&cfg).ok()?;
        let needed = u64::from(geometry.record_blocks(KEY_BYTES, VALUE_BYTES)) * sessions;
        (u64::from(geometry.blocks) >= needed).then_some(())
    };
    let (mut low, mut high) = (0, sessions * 4096 + (64 << 20));
    ensure!(of(high).is_some(), "no capacity fits {sessions} sessions");
    while low + 4096 < high {
        let middle = (low + high) / 2;
        if of(middle).is_some() { high = middle } else { low = middle }
    }
    Ok(high)
}

/// Brings buffers, and pages of the program, to what they are under load: many writes to a few sessions, which
/// are then deleted.
fn warm_up(batch: &mut Batch, talk: &mut Talk) -> anyhow::Result<()> {
    for _ in 0..WARM_UP_BATCHES {
        store(batch, 0, BATCH)?;
    }
    talk.call(&["FLUSHDB"]).map(drop)
}

fn store(batch: &mut Batch, from: u64, to: u64) -> anyhow::Result<()> {
    let shape = Shape::new(Speech::Resp, VALUE_BYTES);
    let mut requests = Vec::new();
    for n in from..to {
        shape.ask(Op::SetEx, n, &mut requests);
    }
    batch.send(&requests)?;
    batch.replies((to - from) as usize)
}
