//! Key slots, as Redis Cluster counts them.

/// How many slots there are.
pub const SLOTS: u16 = 16_384;

/// The slot of `key` in `0..SLOTS`: CRC16 of the part between the first `{` and the next `}` when that part is
/// not empty, else of the whole key.
pub fn slot_of(key: &[u8]) -> u16 {
    redis_protocol::redis_keyslot(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_user_share_a_slot() {
        assert_eq!(slot_of(b"123456789"), 0x31C3);
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"{user1000}.followers"));
        assert_eq!(slot_of(b"foo{{bar}}zap"), slot_of(b"{bar"));
        assert_ne!(slot_of(b"foo{}{bar}"), slot_of(b"bar"));
        assert_eq!(slot_of(b""), 0);
    }
}
