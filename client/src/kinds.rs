//! What a record can hold: the number that every record carries in four bits, in every tier.

/// An ordinary string.
pub const KIND_STRING: u8 = 0;
/// A sealed value, of which only a hash is kept: no command gives its bytes away.
pub const KIND_HASHED: u8 = 1;
/// Fields and their values.
pub const KIND_HASH: u8 = 2;
/// Members, each once.
pub const KIND_SET: u8 = 3;
/// Members in the order of their scores.
pub const KIND_SORTED_SET: u8 = 4;

/// The word TYPE has for a kind of record.
pub fn type_word(kind: u8) -> &'static str {
    match kind {
        KIND_STRING => "string",
        KIND_HASHED => "hashed",
        KIND_HASH => "hash",
        KIND_SET => "set",
        KIND_SORTED_SET => "zset",
        _ => "unknown",
    }
}

/// True for what a front end can read: of collections it only hears that they changed, and asks the relay.
pub fn is_whole_value(kind: u8) -> bool {
    matches!(kind, KIND_STRING | KIND_HASHED)
}
