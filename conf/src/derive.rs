//! What follows from a configuration without being said: listeners, names, the parts of a family.

use std::net::SocketAddr;
use std::sync::OnceLock;

use crate::options::{Config, PathConfig};
use crate::words::{PortChoice, Role};

/// How far the HTTP port lies above the RESP port.
pub const HTTP_PORT_OFFSET: u16 = 2000;

impl Config {
    /// The plain RESP port; `None` where that port speaks TLS only. 0 picks a free one.
    #[must_use]
    pub fn plain_port(&self) -> Option<u16> {
        let tls_only = self.port != 0 && self.tls.port == PortChoice::At(self.port);
        (!tls_only).then_some(self.port)
    }

    /// The TLS port, if there is one. 0 picks a free one.
    #[must_use]
    pub fn tls_port(&self) -> Option<u16> {
        match self.tls.port {
            PortChoice::At(port) => Some(port),
            PortChoice::Off | PortChoice::Auto => None,
        }
    }

    /// The HTTP port, if there is one. 0 picks a free one; so does a RESP port that is free to choose, and one so
    /// high that nothing lies 2000 above it.
    #[must_use]
    pub fn http(&self) -> Option<u16> {
        match self.http_port {
            PortChoice::Off => None,
            PortChoice::At(port) => Some(port),
            PortChoice::Auto if self.port == 0 => Some(0),
            PortChoice::Auto => Some(self.port.checked_add(HTTP_PORT_OFFSET).unwrap_or(0)),
        }
    }

    /// The section's name in `dir`. A sibling attaches to its relay's, so it has that one's name.
    #[must_use]
    pub fn section_name(&self) -> &str {
        if !self.section.name.is_empty() {
            return &self.section.name;
        }
        match self.role {
            Role::Family | Role::Relay | Role::Sibling => "relay",
            Role::ReliefExpansion => "expansion",
            Role::ReliefAging => "aging",
        }
    }

    /// What the section of this role is asked to be. (A family has three: ask its parts.)
    #[must_use]
    pub fn section_config(&self) -> gs_shm::SectionConfig {
        gs_shm::SectionConfig {
            capacity_bytes: self.capacity,
            block_bytes: self.section.block_bytes,
            value_bytes_max: self.section.value_bytes_max,
            // Owners iterate and hand off by key.
            keep_keys: true,
            mode: gs_shm::Mode::Owner,
            // A relay's paths may change over a restart without making its sessions unreadable.
            policy_fingerprint: 0,
        }
    }

    /// The capacity of every section that this process makes.
    pub(crate) fn capacities(&self) -> Vec<u64> {
        match self.role {
            Role::Family => vec![self.capacity, self.expansion_capacity, self.aging_capacity],
            _ => vec![self.capacity],
        }
    }

    /// The password that links present: their own, else this node's.
    #[must_use]
    pub fn link_password(&self) -> &str {
        if self.link.password.is_empty() { &self.requirepass } else { &self.link.password }
    }

    /// The path of a key: the longest prefix that fits.
    #[must_use]
    pub fn path_of(&self, key: &[u8]) -> &PathConfig {
        // Sorted longest first, and the last one has prefix "": there is always one.
        self.paths
            .iter()
            .find(|path| key.starts_with(path.prefix.as_bytes()))
            .unwrap_or_else(|| self.default_path())
    }

    /// The path of the keys that no other path takes.
    #[must_use]
    pub fn default_path(&self) -> &PathConfig {
        static EVERYTHING: OnceLock<PathConfig> = OnceLock::new();
        // Loading always leaves a last path with prefix ""; a list emptied by hand still gets an answer.
        self.paths.last().unwrap_or_else(|| EVERYTHING.get_or_init(crate::defaults::default_path))
    }

    /// The aging parameters as the policies take them.
    #[must_use]
    pub fn params(&self) -> gs_policies::Params {
        let mut params = gs_policies::Params::default();
        let aging = &self.aging;
        for (name, value) in [
            ("aged_after_ms", aging.aged_after_ms),
            ("worth_moving_ms", aging.worth_moving_ms),
            ("free_target_pct", u64::from(aging.free_target_pct)),
            ("hand_back_below_pct", u64::from(aging.hand_back_below_pct)),
            ("batch", u64::from(aging.batch)),
            ("interval_ms", aging.interval_ms),
        ] {
            // The table has the policies' own ranges; a value out of them would have been refused on loading.
            let _ = params.set(name, value);
        }
        params
    }

    /// The configuration of one part of a family, as if it ran alone; a process of one role has itself as its only
    /// part (and of a relay the sibling, with the relay's settings and `sibling_port`).
    ///
    /// The family serves HTTP once, on the relay's port + 2000, so its other parts have none.
    #[must_use]
    pub fn part(&self, role: Role) -> Config {
        let mut part = self.clone();
        if role == self.role {
            return part;
        }
        part.role = role;
        let family_part = role != Role::Family;
        match role {
            Role::Family | Role::Relay => {}
            Role::Sibling => part.port = self.sibling_port,
            Role::ReliefExpansion => {
                part.port = self.expansion_port;
                part.capacity = self.expansion_capacity;
            }
            Role::ReliefAging => {
                part.port = self.aging_port;
                part.capacity = self.aging_capacity;
            }
        }
        if family_part && role != Role::Relay {
            part.announce.clear();
            // Where the port that was configured speaks TLS only, nothing of the family answers in the clear.
            part.tls.port = match self.plain_port() {
                None => PortChoice::At(part.port),
                Some(_) => PortChoice::Off,
            };
            if !part.name.is_empty() {
                part.name = format!("{}-{role}", part.name);
            }
            if self.role == Role::Family {
                part.http_port = PortChoice::Off;
            } else if part.http_port != PortChoice::Off {
                part.http_port = PortChoice::Auto;
            }
        }
        if role.is_relief() && !part.section.name.is_empty() {
            part.section.name = format!("{}-{role}", part.section.name);
        }
        part.sibling = endpoint(&self.bind, self.sibling_port);
        part.relay = endpoint(&self.bind, self.port);
        part
    }
}

/// `HOST:PORT` to dial for something that listens on `bind`: the loopback where it listens everywhere.
fn endpoint(bind: &str, port: u16) -> String {
    match bind.parse::<std::net::IpAddr>() {
        Ok(ip) if ip.is_unspecified() && ip.is_ipv4() => format!("127.0.0.1:{port}"),
        Ok(ip) if ip.is_unspecified() => format!("[::1]:{port}"),
        Ok(ip) => SocketAddr::new(ip, port).to_string(),
        Err(_) => format!("{bind}:{port}"),
    }
}
