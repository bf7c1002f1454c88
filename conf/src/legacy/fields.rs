//! Every field of the ancestors' configurations, and what it means here.

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The part of the configuration that it belongs to: `role`, `cache`, `lru` or `net`.
    pub part: &'static str,
    /// Its name; below a table of its own, dotted.
    pub name: &'static str,
    /// What becomes of it.
    pub meaning: Meaning,
}

/// What a field means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// These options carry it.
    Honoured(&'static str),
    /// It has no meaning here, and why. Loading notes it in one line.
    NoMeaning(&'static str),
}

use Meaning::{Honoured, NoMeaning};

const fn field(part: &'static str, name: &'static str, meaning: Meaning) -> Field {
    Field { part, name, meaning }
}

const FILES: &str = "messages are not written to files; what must survive is in the section and the journal";
const MULTICAST: &str = "nodes find each other by the addresses they are given, not by UDP";
const RECONNECT: &str = "links always reconnect, with a pause that grows and no last attempt";
const TIMER: &str = "records leave when room is needed, not by a timer; see aging.free_target_pct";

/// Every field, once.
pub const FIELDS: &[Field] = &[
    field("role", "edge_supported_relay", Honoured("role = relay")),
    field("role", "half_edge", Honoured("role = sibling")),
    field("role", "full_edge", Honoured("role = relief-expansion or relief-aging")),
    field("role", "age_or_replica", Honoured("role: replicating = relief-expansion, age-out = relief-aging")),
    field("cache", "token_path", Honoured("section.name and dir")),
    field(
        "cache",
        "am_initializer",
        Honoured("role: a relay creates, a sibling attaches; manage_section of a client"),
    ),
    field("cache", "seed", Honoured("section.name")),
    field("cache", "record_size", Honoured("section.block_bytes and capacity")),
    field("cache", "el_count", Honoured("capacity")),
    field(
        "cache",
        "hop_scotch_scale",
        NoMeaning("the index has two candidate buckets per key and needs no scale"),
    ),
    field("cache", "max_evictions", Honoured("aging.batch")),
    field("cache", "aged_out_secs", Honoured("aging.aged_after_ms")),
    field("cache", "sessions_length", NoMeaning(TIMER)),
    field("cache", "evictions_timeout", NoMeaning(TIMER)),
    field("cache", "immediate_evictions", NoMeaning("evicting as room is needed is all there is")),
    field("cache", "stop_child", NoMeaning("a sibling always ends with the relay that started it")),
    field(
        "cache",
        "hasher",
        NoMeaning("keys are identified by a keyed 128-bit hash that cannot be exchanged"),
    ),
    field("cache", "custom_lru", NoMeaning("code is not loaded from a configuration")),
    field("cache", "custom_lru_manager", NoMeaning("code is not loaded from a configuration")),
    field("cache", "master_of_ceremonies", NoMeaning("processes need no slots: any number may attach")),
    field("cache", "proc_names", NoMeaning("processes need no slots: any number may attach")),
    field(
        "lru",
        "manage_section",
        Honoured("manage_section of a client; a relief always has its own section"),
    ),
    field("lru", "auth_path", Honoured("paths.<name> with prefix \"\"; auth_path of a client")),
    field("lru", "module_path", NoMeaning("code is not loaded from a configuration")),
    field("lru", "evictor", NoMeaning("code is not loaded from a configuration; victims go to the reliefs")),
    field("lru", "lru_path", NoMeaning("code is not loaded from a configuration")),
    field("lru", "custom_fanout_relayer", NoMeaning("code is not loaded from a configuration")),
    field(
        "lru",
        "eviction_schedule.time_sfhit",
        Honoured("aging.aged_after_ms, where aged_out_secs is not given"),
    ),
    field("lru", "eviction_schedule.max_evicts", Honoured("aging.batch, where max_evictions is not given")),
    field("lru", "eviction_schedule.intrerval", Honoured("aging.interval_ms")),
    field("net", "port", Honoured("port; of a relief the port of sibling; of a client that of relays")),
    field("net", "address", Honoured("bind; of a relief the host of sibling; of a client that of relays")),
    field("net", "uds_path", NoMeaning("nodes talk over TCP; processes of one machine share the section")),
    field(
        "net",
        "uds_path_count",
        NoMeaning("nodes talk over TCP; processes of one machine share the section"),
    ),
    field("net", "tls.server_key", Honoured("tls.key of a server")),
    field("net", "tls.server_cert", Honoured("tls.cert of a server; link.ca")),
    field("net", "tls.client_key", Honoured("link.key")),
    field("net", "tls.client_cert", Honoured("tls.ca of a server; link.cert, where client_key is given")),
    field("net", "tls.preloaded", NoMeaning("keys are named by file, never written in a configuration")),
    field("net", "default_tls", NoMeaning("there is no built-in certificate; name the files in tls")),
    field("net", "extended_tls_options", NoMeaning("the options of another TLS library")),
    field("net", "attempt_reconnect", NoMeaning(RECONNECT)),
    field("net", "max_reconnect", NoMeaning(RECONNECT)),
    field("net", "reconnect_wait", NoMeaning(RECONNECT)),
    field(
        "net",
        "max_pending_messages",
        NoMeaning("what waits is bounded in bytes; see limits and stream.buffer_bytes"),
    ),
    field("net", "files_only", NoMeaning(FILES)),
    field("net", "file_per_message", NoMeaning(FILES)),
    field("net", "file_shunting", NoMeaning(FILES)),
    field("net", "output_dir", NoMeaning(FILES)),
    field("net", "output_file", NoMeaning(FILES)),
    field("net", "wrap_limit", NoMeaning("replies come in order and need no numbers that wrap")),
    field("net", "send_on_reconnect", NoMeaning("a front end asks the stream for what it missed")),
    field("net", "response_vector", NoMeaning("replies come in order and need no matching")),
    field("net", "max_message_wait_time", NoMeaning("a client waits timeout_ms; a node's waits are its own")),
    field("net", "balance_strategy", NoMeaning("with several relays a key's slot picks the one")),
    field("net", "time_out_period", NoMeaning("idle connections stay; limits.idle_timeout_ms ends them")),
    field("net", "no_keeps", NoMeaning("connections are always kept")),
    field("net", "use_broadcast", NoMeaning(MULTICAST)),
    field("net", "multicast_addr", NoMeaning(MULTICAST)),
    field("net", "multicast_port_map", NoMeaning(MULTICAST)),
    field("net", "path_types", Honoured("paths.<name>")),
    field("net", "path_handler_factory", NoMeaning("code is not loaded from a configuration")),
    field("net", "relay.proc_name", Honoured("sibling_mode = child; its file's port is sibling_port")),
];

/// The field of a key as it was written, in whatever part it stands.
pub(crate) fn field_of(key: &str, parent: &str) -> Option<&'static Field> {
    let below = format!("{parent}.{key}");
    FIELDS.iter().find(|field| field.name == key || field.name == below).or_else(|| {
        // The misspelling is the original's; a file that spells it right means the same.
        (key == "interval" || key == "time_shift").then(|| {
            let original = if key == "interval" {
                "eviction_schedule.intrerval"
            } else {
                "eviction_schedule.time_sfhit"
            };
            FIELDS.iter().find(|field| field.name == original)
        })?
    })
}
