//! What a manager of sessions is opened with.

use std::path::PathBuf;
use std::time::Duration;

use gs_conf::ClientConfig;

use crate::cache::{BLOCK_BYTES_DEFAULT, Backing, Mode, SectionConfig};
use crate::error::SessionError;
use crate::link::LinkConfig;
use crate::tls;

/// This machine's section: where it is and how large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LruConfig {
    /// Directory of the section's name, lock and key files; the same for all processes of the machine.
    pub dir: PathBuf,
    /// Name of the section in it. Each relay has a section of its own, named after this and the relay's address.
    pub name: String,
    /// Whether this process may create the section; one that may not waits until it is there.
    pub manage_section: bool,
    /// Bytes of the section, per relay.
    pub capacity_bytes: u64,
    /// Bytes of a block.
    pub block_bytes: u32,
    /// Values longer than this are not kept here; they are fetched each time.
    pub value_bytes_max: u32,
    /// Shared memory, or private memory for a process that shares with nobody.
    pub backing: Backing,
    /// How long a process that may not create the section waits for it.
    pub attach_wait: Duration,
}

impl Default for LruConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("/tmp/gs-front"),
            name: "front".into(),
            manage_section: true,
            capacity_bytes: 64 << 20,
            block_bytes: BLOCK_BYTES_DEFAULT,
            value_bytes_max: 1 << 20,
            backing: Backing::Shm,
            attach_wait: Duration::from_secs(10),
        }
    }
}

impl From<&ClientConfig> for LruConfig {
    fn from(conf: &ClientConfig) -> Self {
        Self {
            dir: PathBuf::from(&conf.dir),
            name: conf.section.name.clone(),
            manage_section: conf.manage_section,
            capacity_bytes: conf.capacity,
            block_bytes: conf.section.block_bytes,
            value_bytes_max: conf.section.value_bytes_max,
            ..Self::default()
        }
    }
}

impl LruConfig {
    pub(super) fn section(&self, relay: &str) -> SectionConfig {
        SectionConfig {
            capacity_bytes: self.capacity_bytes,
            block_bytes: self.block_bytes,
            value_bytes_max: self.value_bytes_max,
            // The relay knows the keys; here the 128-bit identity is enough, and the room is for values.
            keep_keys: false,
            mode: Mode::Cache,
            policy_fingerprint: fingerprint(relay),
        }
    }

    /// The name of the section that belongs to `relay`. Two processes that list their relays in another order must
    /// still meet in the same sections, so it depends on the address, not on the position.
    pub(super) fn section_name(&self, relay: &str) -> String {
        format!("{}-{:08x}", self.name, fingerprint(relay) as u32)
    }
}

/// FNV-1a: short, and the same in every version of the library.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// What a lookup does while the relay cannot be reached and the lease has lapsed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PartitionPolicy {
    /// Fails. A destroyed session is never served longer than the lease.
    #[default]
    Closed,
    /// Serves what the section has for a while longer; every such answer is counted and marked.
    Stale {
        /// How much longer than the lease, in milliseconds.
        for_ms: u64,
    },
}

/// The relays and how to talk to them.
#[derive(Clone, PartialEq, Eq)]
pub struct RelayConfig {
    /// `HOST:PORT` of each; with several, a key's slot picks one ([`crate::sessions::Owners`]). All processes must list
    /// the same, written the same way, in any order: the text is the relay's name, so one that moves to another machine
    /// keeps its keys if the name stays.
    pub relays: Vec<String>,
    /// The path whose topics [`crate::sessions::SessionCacheManager::subscribe`] means.
    pub auth_path: String,
    /// PEM files for TLS; none for plain TCP.
    pub tls: Option<TlsFiles>,
    /// The relays' password.
    pub password: Option<String>,
    /// How long a call waits for its answer.
    pub timeout: Duration,
    /// How long the section may answer without hearing from its relay; the relay's own figure, if that is shorter.
    pub lease: Duration,
    /// How often the agent renews the lease.
    pub heartbeat: Duration,
    /// What lookups do while cut off.
    pub partition: PartitionPolicy,
    /// Exceptions from `partition` by prefix of the key; the longest prefix that fits wins.
    pub partition_by_prefix: Vec<(Vec<u8>, PartitionPolicy)>,
}

/// The PEM files of a TLS link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The CAs that may sign a relay's certificate.
    pub ca: PathBuf,
    /// This client's certificate, where relays ask for one.
    pub cert: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            relays: vec!["127.0.0.1:7878".into()],
            auth_path: "auths".into(),
            tls: None,
            password: None,
            timeout: Duration::from_secs(2),
            lease: Duration::from_secs(1),
            heartbeat: Duration::from_millis(250),
            partition: PartitionPolicy::Closed,
            partition_by_prefix: Vec::new(),
        }
    }
}

impl From<&ClientConfig> for RelayConfig {
    fn from(conf: &ClientConfig) -> Self {
        let file = |path: &str| (!path.is_empty()).then(|| PathBuf::from(path));
        Self {
            relays: conf.relays.clone(),
            auth_path: conf.auth_path.clone(),
            tls: conf.link.tls.then(|| TlsFiles {
                ca: PathBuf::from(&conf.link.ca),
                cert: file(&conf.link.cert),
                key: file(&conf.link.key),
            }),
            password: (!conf.link.password.is_empty()).then(|| conf.link.password.clone()),
            timeout: Duration::from_millis(conf.timeout_ms),
            lease: Duration::from_millis(conf.lease_ms),
            heartbeat: Duration::from_millis(conf.heartbeat_ms),
            partition: match conf.partition {
                gs_conf::Partition::Closed => PartitionPolicy::Closed,
                gs_conf::Partition::Stale => PartitionPolicy::Stale { for_ms: conf.stale_ms },
            },
            partition_by_prefix: Vec::new(),
        }
    }
}

impl std::fmt::Debug for RelayConfig {
    // By hand: the password must not reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelayConfig")
            .field("relays", &self.relays)
            .field("tls", &self.tls)
            .field("password", &self.password.is_some())
            .field("lease", &self.lease)
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}

impl RelayConfig {
    /// The policy for a key.
    pub(super) fn partition_of(&self, key: &[u8]) -> PartitionPolicy {
        let fitting = self.partition_by_prefix.iter().filter(|(prefix, _)| key.starts_with(prefix));
        fitting.max_by_key(|(prefix, _)| prefix.len()).map_or(self.partition, |(_, policy)| *policy)
    }

    /// A link's configuration for each relay; reads the TLS files.
    pub(super) fn links(&self) -> Result<Vec<LinkConfig>, SessionError> {
        if self.relays.is_empty() {
            return Err(SessionError::NoRelay);
        }
        let tls = match &self.tls {
            None => None,
            Some(files) => Some(tls::client_config(&files.ca, files.cert.as_deref(), files.key.as_deref())?),
        };
        let link = |addr: &String| LinkConfig {
            tls: tls.clone(),
            password: self.password.clone(),
            call_timeout: self.timeout,
            connect_timeout: self.timeout,
            ..LinkConfig::new(addr.clone())
        };
        Ok(self.relays.iter().map(link).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path that must fail closed must not be served stale because a shorter prefix says so.
    #[test]
    fn the_longest_prefix_decides_what_a_partition_means() {
        let stale = PartitionPolicy::Stale { for_ms: 5 };
        let config = RelayConfig {
            partition: stale,
            partition_by_prefix: vec![(b"s".to_vec(), stale), (b"sess:".to_vec(), PartitionPolicy::Closed)],
            ..RelayConfig::default()
        };
        assert_eq!(config.partition_of(b"sess:1"), PartitionPolicy::Closed);
        assert_eq!(config.partition_of(b"set"), stale);
        assert_eq!(config.partition_of(b"x"), stale);
    }

    /// Two relays in one section would answer for each other's keys.
    #[test]
    fn each_relay_has_a_section_of_its_own() {
        let lru = LruConfig::default();
        assert_ne!(lru.section_name("a:1"), lru.section_name("b:1"));
        assert_eq!(lru.section_name("a:1"), lru.clone().section_name("a:1"));
    }
}
