//! Keeping only a hash of a value: what a password check needs, without the password.
//!
//! A sealed value is `salt (16 bytes) | SHA-256(salt | value)`. The salt makes equal values look different; it does
//! not make guessing slow, so this fits tokens and keys with real entropy, not passwords that people choose.

use rand::RngCore;
use sha2::{Digest, Sha256};

pub use crate::kinds::{KIND_HASHED, KIND_STRING};

/// Bytes of salt in a sealed value.
pub const SALT_BYTES: usize = 16;
/// Bytes of a sealed value.
pub const SEALED_BYTES: usize = SALT_BYTES + 32;

/// Seals `value` under a fresh random salt.
pub fn seal(value: &[u8]) -> [u8; SEALED_BYTES] {
    let mut salt = [0; SALT_BYTES];
    rand::rng().fill_bytes(&mut salt);
    seal_with(&salt, value)
}

/// Whether `value` is what was sealed. Takes the same time wherever the first difference is; `false` for bytes that
/// are no sealed value.
pub fn verify(sealed: &[u8], value: &[u8]) -> bool {
    let Some(salt) = sealed.first_chunk::<SALT_BYTES>() else {
        return false;
    };
    let expected = seal_with(salt, value);
    if sealed.len() != SEALED_BYTES {
        return false;
    }
    let difference = expected.iter().zip(sealed).fold(0u8, |sum, (a, b)| sum | (a ^ b));
    // Kept opaque, so that the compiler cannot turn the fold into a loop that leaves early.
    std::hint::black_box(difference) == 0
}

fn seal_with(salt: &[u8; SALT_BYTES], value: &[u8]) -> [u8; SEALED_BYTES] {
    let digest = Sha256::new().chain_update(salt).chain_update(value).finalize();
    let mut sealed = [0; SEALED_BYTES];
    sealed[..SALT_BYTES].copy_from_slice(salt);
    sealed[SALT_BYTES..].copy_from_slice(&digest);
    sealed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A check that accepted a near miss would let a guesser in; one that refused the right value would lock out.
    #[test]
    fn only_the_sealed_value_verifies() {
        let sealed = seal(b"correct horse");
        assert!(verify(&sealed, b"correct horse"));
        assert!(!verify(&sealed, b"correct horsf"));
        assert!(!verify(&sealed, b""));
        assert!(!verify(&sealed, b"correct horse "));
    }

    /// The store may hold anything under a key; none of it may verify by accident or panic.
    #[test]
    fn bytes_that_are_no_seal_never_verify() {
        let sealed = seal(b"v");
        for cut in 0..SEALED_BYTES {
            assert!(!verify(&sealed[..cut], b"v"), "{cut} bytes verified");
        }
        let mut longer = sealed.to_vec();
        longer.push(0);
        assert!(!verify(&longer, b"v"));
    }

    /// Two users with the same secret must not be recognisable as such in the store.
    #[test]
    fn equal_values_seal_differently() {
        assert_ne!(seal(b"same"), seal(b"same"));
    }
}
