//! Values that describe themselves: whoever reads one can tell for which key, version and writer every
//! single byte of it was made, without the section's word for it.

use crate::random::random_of;

/// Bytes of the description; shorter values are pseudo-random bytes of key and version alone.
const HEADER: usize = 40;

/// What a value says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) key: u64,
    pub(crate) version: u64,
    /// Process number of whoever stored it.
    pub(crate) writer: u64,
    /// The oracle's count right after the writer took its ticket.
    pub(crate) since: u64,
}

/// Length of a key's value at a version: mostly sessions, some empty, some of many blocks.
pub(crate) fn len_of(key: u64, version: u64, longest: usize) -> usize {
    let mut random = random_of(&[key, version, 1]);
    let below = match random.u64(..40) {
        0..=3 => HEADER,
        4..=28 => 500,
        29..=38 => 3_000,
        _ => longest + 1,
    };
    random.u64(..below.min(longest + 1) as u64) as usize
}

/// Makes a value in `out`.
pub(crate) fn make(described: &Described, longest: usize, out: &mut Vec<u8>) {
    let Described { key, version, writer, since } = *described;
    let len = len_of(key, version, longest);
    out.clear();
    let mut random = if len < HEADER {
        random_of(&[key, version])
    } else {
        for word in [key, version, writer, since, len as u64] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        random_of(&[key, version, writer, since, len as u64])
    };
    while out.len() < len {
        out.extend_from_slice(&random.u64(..).to_le_bytes());
    }
    out.truncate(len);
}

/// Every byte of a value that was read for `key` at `version`. `None` instead of a description: it is too
/// short to bear one, and right.
pub(crate) fn verify(
    key: u64,
    version: u64,
    longest: usize,
    bytes: &[u8],
    scratch: &mut Vec<u8>,
) -> Result<Option<Described>, String> {
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at * 8..at * 8 + 8]);
        u64::from_le_bytes(word)
    };
    let described = if bytes.len() < HEADER {
        Described { key, version, writer: 0, since: 0 }
    } else {
        Described { key: word(0), version: word(1), writer: word(2), since: word(3) }
    };
    if (described.key, described.version) != (key, version) {
        return Err(format!("asked for key {key} version {version}, the bytes say {described:?}"));
    }
    make(&described, longest, scratch);
    if scratch != bytes {
        let at = scratch.iter().zip(bytes).take_while(|(a, b)| a == b).count();
        return Err(format!(
            "{described:?}: byte {at} of {} is wrong (length should be {})",
            bytes.len(),
            scratch.len()
        ));
    }
    Ok((bytes.len() >= HEADER).then_some(described))
}
