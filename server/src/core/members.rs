//! The reliefs a relay knows, as it persists them: a node keeps its index as long as it keeps its sessions.
//!
//! A relief that returns with another incarnation came back empty: it gets a new index, and the old one is
//! lost. What the directory lists under a lost index answers `-UNAVAILABLE` until its owner says otherwise.

use crate::core::directory::NODE_MAX;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What a relief is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Takes young sessions while pressure builds.
    Expansion,
    /// Takes what aged out.
    Aging,
}

impl Tier {
    /// The word used in replies and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Tier::Expansion => "expansion",
            Tier::Aging => "aging",
        }
    }

    /// The role a node of this tier runs.
    pub fn parse(word: &[u8]) -> Option<Tier> {
        match word {
            b"expansion" | b"relief-expansion" => Some(Tier::Expansion),
            b"aging" | b"relief-aging" => Some(Tier::Aging),
            _ => None,
        }
    }
}

/// Whether a member can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It has joined and is heard from.
    Up,
    /// It has not been heard from for a while; it may come back with its sessions.
    Away,
    /// It came back empty, or an operator gave it up.
    Lost,
}

impl State {
    /// The word used in replies and metrics.
    pub fn word(self) -> &'static str {
        match self {
            State::Up => "up",
            State::Away => "away",
            State::Lost => "lost",
        }
    }
}

/// One relief.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Member {
    /// The index in the directory.
    pub index: u16,
    /// The node's name.
    pub name: String,
    /// What it is for.
    pub tier: Tier,
    /// Where it is reached.
    pub addr: String,
    /// Identity of its contents.
    pub incarnation: String,
    /// Whether it can be asked.
    pub state: State,
    /// True once it has reported all it holds to this life of the relay; before that a miss must ask it.
    #[serde(skip)]
    pub reported: bool,
    /// True once an operator gave it up: its contents are never believed again.
    #[serde(default)]
    pub left: bool,
    /// The share of the slots that an operator gave it, 0 for none; none for what its capacity says.
    #[serde(default)]
    pub weight: Option<u64>,
    /// False while it may hold a copy that nobody listed: one that was sent to it and not settled. Until its
    /// next report, what is overwritten or destroyed is remembered.
    #[serde(skip)]
    pub audited: bool,
    /// How often it came into doubt: a report that began before the last time settles nothing.
    #[serde(skip)]
    pub doubts: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Saved {
    epoch: u16,
    next_index: u16,
    members: Vec<Member>,
}

/// The persisted state of a relay: its epoch and its reliefs.
pub struct Members {
    path: PathBuf,
    saved: RwLock<Saved>,
}

impl Members {
    /// Reads the state of an earlier life, raises the epoch and saves, before anything is served.
    pub fn open(path: &Path) -> std::io::Result<Members> {
        let mut saved: Saved = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| {
                let text = format!(
                    "{} is damaged ({e}); restore it, or remove it to start with no reliefs",
                    path.display()
                );
                std::io::Error::new(std::io::ErrorKind::InvalidData, text)
            })?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                Saved { epoch: 0, next_index: 1, members: vec![] }
            }
            Err(e) => return Err(e),
        };
        // Versions are positive on the wire, so the epoch has 15 bits.
        if saved.epoch >= 0x7ffe {
            return Err(std::io::Error::other(
                "the epoch of this node has run out after 32,766 starts; move it to a new directory",
            ));
        }
        saved.epoch += 1;
        for member in &mut saved.members {
            if member.state == State::Up {
                member.state = State::Away;
            }
        }
        let members = Members { path: path.to_path_buf(), saved: RwLock::new(saved) };
        members.save(&members.saved.read())?;
        Ok(members)
    }

    fn save(&self, saved: &Saved) -> std::io::Result<()> {
        let fresh = self.path.with_extension("new");
        let mut file = std::fs::File::create(&fresh)?;
        file.write_all(&serde_json::to_vec_pretty(saved).map_err(std::io::Error::other)?)?;
        file.sync_data()?;
        std::fs::rename(&fresh, &self.path)
    }

    /// The epoch of this life.
    pub fn epoch(&self) -> u16 {
        self.saved.read().epoch
    }

    /// A relief joins. Returns its index and, if it came back empty, the index that is lost by that.
    pub fn join(
        &self,
        name: &str,
        tier: Tier,
        addr: &str,
        incarnation: &str,
    ) -> Result<(u16, Option<u16>), String> {
        let mut saved = self.saved.write();
        // Contents that were given up must not return: what was destroyed since is no longer remembered for them.
        if saved.members.iter().any(|m| m.incarnation == incarnation && m.state == State::Lost) {
            return Err(format!(
                "relief '{name}' was given up with these contents; stop it, remove its section, and start it empty"
            ));
        }
        let known = saved.members.iter_mut().find(|m| m.name == name && m.incarnation == incarnation);
        if let Some(member) = known.filter(|member| member.state != State::Lost) {
            (member.state, member.addr, member.tier) = (State::Up, addr.to_string(), tier);
            return Ok((member.index, None));
        }
        let (mut lost, mut weight) = (None, None);
        for member in saved.members.iter_mut().filter(|m| m.name == name && m.state != State::Lost) {
            member.state = State::Lost;
            // An operator's word is about the node, whatever it holds.
            (lost, weight) = (Some(member.index), member.weight);
        }
        let used: Vec<u16> = saved.members.iter().map(|m| m.index).collect();
        let index = (0..NODE_MAX)
            .map(|step| (saved.next_index - 1 + step) % NODE_MAX + 1)
            .find(|index| !used.contains(index))
            .ok_or_else(|| {
                format!(
                    "{NODE_MAX} relief nodes are remembered; give lost ones up with GS.SHARD LEAVE name FORCE"
                )
            })?;
        saved.next_index = index % NODE_MAX + 1;
        saved.members.push(Member {
            index,
            name: name.to_string(),
            tier,
            addr: addr.to_string(),
            incarnation: incarnation.to_string(),
            state: State::Up,
            reported: false,
            audited: false,
            left: false,
            weight,
            doubts: 0,
        });
        self.save(&saved).map_err(|e| format!("the list of members cannot be saved: {e}"))?;
        Ok((index, lost))
    }

    /// Changes what is known of a member; false if there is none of that index.
    pub fn update(&self, index: u16, f: impl FnOnce(&mut Member)) -> bool {
        let mut saved = self.saved.write();
        let Some(member) = saved.members.iter_mut().find(|m| m.index == index) else {
            return false;
        };
        let before = (member.state, member.weight);
        f(member);
        if (member.state, member.weight) != before
            && let Err(e) = self.save(&saved)
        {
            tracing::error!(error = %e, "the list of members cannot be saved");
        }
        true
    }

    /// Gives up members.
    pub fn remove(&self, indexes: &[u16]) {
        let mut saved = self.saved.write();
        for member in saved.members.iter_mut().filter(|m| indexes.contains(&m.index)) {
            (member.state, member.left) = (State::Lost, true);
        }
        if let Err(e) = self.save(&saved) {
            tracing::error!(error = %e, "the list of members cannot be saved");
        }
    }

    /// A member by its index.
    pub fn get(&self, index: u16) -> Option<Member> {
        self.saved.read().members.iter().find(|m| m.index == index).cloned()
    }

    /// The tier and the name of a member.
    pub fn origin(&self, index: u16) -> Option<(Tier, String)> {
        let saved = self.saved.read();
        saved.members.iter().find(|m| m.index == index).map(|m| (m.tier, m.name.clone()))
    }

    /// Whether the member of an index can be asked; none where there is none.
    pub fn state(&self, index: u16) -> Option<State> {
        self.saved.read().members.iter().find(|m| m.index == index).map(|m| m.state)
    }

    /// All members.
    pub fn list(&self) -> Vec<Member> {
        self.saved.read().members.iter().filter(|m| !m.left).cloned().collect()
    }

    /// The sibling has a new life: what its predecessor had sent and not settled may lie anywhere.
    pub fn doubt_all(&self) {
        self.saved.write().members.iter_mut().for_each(|m| (m.audited, m.doubts) = (false, m.doubts + 1));
    }

    /// How many members may hold a copy that nobody listed.
    pub fn doubted(&self) -> usize {
        self.saved.read().members.iter().filter(|m| !m.audited && m.state != State::Lost).count()
    }

    /// Members whose holdings this life of the relay does not know yet, lost ones aside: a miss that the
    /// directory does not explain has to ask them.
    pub fn unreported(&self) -> Vec<Member> {
        self.saved.read().members.iter().filter(|m| !m.reported && m.state != State::Lost).cloned().collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The epoch grows at each start; a node keeps its index with its sessions and gets a new one without.
    #[test]
    fn an_index_stands_for_contents() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("members");
        let members = Members::open(&path).unwrap();
        assert_eq!(members.join("a", Tier::Aging, "h:1", "x").unwrap(), (1, None));
        assert_eq!(members.join("b", Tier::Aging, "h:2", "y").unwrap(), (2, None));
        let again = Members::open(&path).unwrap();
        assert_eq!((members.epoch(), again.epoch()), (1, 2));
        assert_eq!(again.get(1).unwrap().state, State::Away);
        assert_eq!(again.join("a", Tier::Aging, "h:9", "x").unwrap(), (1, None));
        assert_eq!(again.join("a", Tier::Aging, "h:9", "z").unwrap(), (3, Some(1)));
        assert_eq!(again.get(1).unwrap().state, State::Lost);
        again.remove(&[1]);
        assert_eq!(again.list().iter().map(|m| m.index).collect::<Vec<_>>(), [2, 3]);
    }
}
