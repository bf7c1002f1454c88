//! A family of separate processes: a relay with its child sibling, and reliefs that join it.

use crate::node::{Node, Spec, knows_what_is_absent, port_of};
use crate::wire::Wire;
use crate::{http, ports, wait};
use tempfile::TempDir;

/// A running family. The relay drops first, then the reliefs, then the directory.
pub struct Cluster {
    /// The relay; its child is the sibling.
    pub relay: Node,
    /// The reliefs, in the order in which they were asked for.
    pub reliefs: Vec<Node>,
    /// Where everything lives.
    pub root: TempDir,
}

/// What to start.
pub struct Plan {
    relay_capacity: String,
    reliefs: Vec<(&'static str, String)>,
    relay_sets: Vec<(String, String)>,
    all_sets: Vec<(String, String)>,
}

impl Plan {
    /// A relay of this size and no relief yet.
    pub fn relay(capacity: &str) -> Plan {
        Plan {
            relay_capacity: capacity.into(),
            reliefs: Vec::new(),
            relay_sets: Vec::new(),
            all_sets: Vec::new(),
        }
    }

    /// Adds an expansion relief of this size.
    pub fn expansion(mut self, capacity: &str) -> Plan {
        self.reliefs.push(("relief-expansion", capacity.into()));
        self
    }

    /// Adds an aging relief of this size.
    pub fn aging(mut self, capacity: &str) -> Plan {
        self.reliefs.push(("relief-aging", capacity.into()));
        self
    }

    /// An option of the relay and its sibling.
    pub fn set(mut self, key: &str, value: impl ToString) -> Plan {
        self.relay_sets.push((key.into(), value.to_string()));
        self
    }

    /// An option of every node.
    pub fn set_all(mut self, key: &str, value: impl ToString) -> Plan {
        self.all_sets.push((key.into(), value.to_string()));
        self
    }

    /// Starts all of it and waits until every relief has joined.
    pub fn start(self) -> Cluster {
        let root = tempfile::tempdir().expect("a directory can be made");
        let base = ports::reserve();
        let options = |mut spec: Spec, sets: &[(String, String)]| {
            for (key, value) in sets {
                spec = spec.set(key, value);
            }
            spec
        };
        let spec = Spec::role("relay", &root.path().join("relay"))
            .flag("port", base)
            .flag("sibling-port", base + 1)
            .flag("http-port", base + 2)
            .flag("capacity", &self.relay_capacity);
        let relay = Node::start(options(options(spec, &self.all_sets), &self.relay_sets));
        let sibling = relay.addr_of("sibling", "resp");
        let start = |(nth, (role, capacity)): (usize, &(&'static str, String))| {
            let port = base + 4 + 2 * nth as u16;
            let spec = Spec::role(role, &root.path().join(format!("relief{nth}")))
                .flag("port", port)
                .flag("http-port", port + 1)
                .flag("sibling", &sibling)
                .flag("capacity", capacity);
            Node::start(options(spec, &self.all_sets))
        };
        let reliefs: Vec<Node> = self.reliefs.iter().enumerate().map(start).collect();
        let cluster = Cluster { relay, reliefs, root };
        cluster.wait_joined();
        knows_what_is_absent(&cluster.relay.addr());
        cluster
    }
}

impl Cluster {
    /// A connection to the relay.
    pub fn wire(&self) -> Wire {
        self.relay.wire()
    }

    /// A connection to the sibling.
    pub fn sibling(&self) -> Wire {
        self.relay.wire_to("sibling")
    }

    /// The reliefs of one role.
    pub fn of_role(&self, role: &str) -> Vec<&Node> {
        self.reliefs.iter().filter(|n| n.listeners().iter().any(|l| l.role == role)).collect()
    }

    /// Waits until the sibling lists every relief as a member that it hears.
    pub fn wait_joined(&self) {
        let ports: Vec<u16> = self.reliefs.iter().map(Node::port).collect();
        wait::until("every relief has joined", || {
            let mut wire =
                Wire::try_connect(self.relay.addr_of("sibling", "resp")).map_err(|e| e.to_string())?;
            let nodes = wire.try_call(&["GS.SHARD", "NODES"]).map_err(|e| e.to_string())?;
            let up = up_ports(&nodes);
            if ports.iter().all(|p| up.contains(p)) {
                Ok(())
            } else {
                Err(format!("wanted {ports:?}, have {nodes:?}"))
            }
        });
    }

    /// The relay's metrics.
    pub fn metrics(&self) -> http::Metrics {
        http::Metrics::of(&self.relay.addr_of("relay", "http"))
    }

    /// Every metric of every process of the family, one after the other.
    pub fn all_metrics(&self) -> http::Metrics {
        let mut all = self.metrics();
        let sibling =
            self.relay.listeners().into_iter().rev().find(|l| l.role == "sibling" && l.proto == "http");
        if let Some(sibling) = sibling {
            all.add(http::Metrics::of(&sibling.addr));
        }
        for relief in &self.reliefs {
            let role = relief.listeners()[0].role.clone();
            all.add(http::Metrics::of(&relief.addr_of(&role, "http")));
        }
        all
    }
}

/// The ports of the members that `GS.SHARD NODES` calls up: one entry per node, a map (or flat pairs)
/// with its `address` and its `state`.
fn up_ports(nodes: &crate::wire::Value) -> Vec<u16> {
    let entries = nodes.items().iter();
    let up = entries.filter(|n| n.field("state").is_some_and(|s| s.text().eq_ignore_ascii_case("up")));
    up.filter_map(|n| n.field("address").map(|a| port_of(&a.text()))).collect()
}
