//! The options of the front-end library (`client.toml`), declared as those of a node are.

use crate::options::{CAPACITY_MIN, Link, TIB};
use crate::row::{Kind, group, row};
use crate::words::Partition;

group! {
    /// The configuration of one process that uses the client library.
    pub struct ClientConfig in "" {
        /// The relays to talk to; with several, a key's slot picks one.
        relays: Vec<String> = row(Kind::Endpoints, "127.0.0.1:7878");
        /// The path that sessions of this process belong to; it names the topics.
        auth_path: String = row(Kind::Name, "auths");
        /// Whether this process may create the section; one that may not waits for it, then attaches.
        manage_section: bool = row(Kind::Bool, "true");
        /// Bytes of the section, per relay.
        capacity: u64 = row(Kind::Bytes { min: CAPACITY_MIN, max: TIB }, "64mb");
        /// The directory of the section's name and key; all processes of a machine that share a section name the same.
        dir: String = row(Kind::Text, "/tmp/gs-front");
        /// How long the section may answer without hearing from the relay.
        lease_ms: u64 = row(Kind::Millis { min: 50, max: 600_000 }, "1000");
        /// How often the agent asks the relay for the state of its stream.
        heartbeat_ms: u64 = row(Kind::Millis { min: 10, max: 60_000 }, "250");
        /// How long a call waits for the relay.
        timeout_ms: u64 = row(Kind::Millis { min: 1, max: 600_000 }, "2000");
        /// What a lookup does once cut off from the relay: fail (`closed`), or answer a while longer (`stale`).
        partition: Partition = row(Kind::Choice(Partition::WORDS), "closed");
        /// How much longer, where it does.
        stale_ms: u64 = row(Kind::Millis { min: 0, max: 86_400_000 }, "30000");
    }
    with {
        /// The section.
        section: ClientSection,
        /// The link to the relays.
        link: Link,
    }
}

group! {
    /// The front end's section.
    pub struct ClientSection in "section." {
        /// Its name in `dir`.
        name: String = row(Kind::Name, "front");
        /// Bytes of a block; a record takes one or more. A multiple of 8.
        block_bytes: u32 = row(Kind::Integer { min: 128, max: 4096 }, "248");
        /// Largest value that is kept on this machine; larger ones are fetched each time. Unless set, at most a quarter of the section.
        value_bytes_max: u32 = row(Kind::Bytes { min: 1024, max: gs_shm::VALUE_BYTES_LIMIT as i64 }, "1mb");
    }
}
