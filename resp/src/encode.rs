//! Requests to a peer, as it wants to read them.

use crate::num::push_u64;

/// Appends one command as a multibulk of bulk strings.
pub fn encode_command(out: &mut Vec<u8>, args: &[&[u8]]) {
    // 16 covers the header of each word but the longest: one reservation instead of a doubling per word.
    out.reserve(args.iter().map(|arg| arg.len() + 16).sum::<usize>() + 16);
    encode_command_head(out, args.len());
    for arg in args {
        encode_arg(out, arg);
    }
}

/// Appends the head of a command of `args` words; the caller adds each with [`encode_arg`] or
/// [`encode_arg_u64`]. For batches whose words are never gathered in a slice.
pub fn encode_command_head(out: &mut Vec<u8>, args: usize) {
    out.push(b'*');
    push_u64(out, args as u64);
    out.extend_from_slice(b"\r\n");
}

/// Appends one word.
pub fn encode_arg(out: &mut Vec<u8>, arg: &[u8]) {
    out.push(b'$');
    push_u64(out, arg.len() as u64);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(arg);
    out.extend_from_slice(b"\r\n");
}

/// Appends one word that is a decimal number.
pub fn encode_arg_u64(out: &mut Vec<u8>, n: u64) {
    encode_arg(out, itoa::Buffer::new().format(n).as_bytes());
}

/// Appends one word that is a signed decimal number.
pub fn encode_arg_i64(out: &mut Vec<u8>, n: i64) {
    encode_arg(out, itoa::Buffer::new().format(n).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_a_multibulk_of_bulk_strings() {
        let mut out = b"before".to_vec();
        encode_command(&mut out, &[b"GET", b"", b"a\r\nb"]);
        assert_eq!(out, b"before*3\r\n$3\r\nGET\r\n$0\r\n\r\n$4\r\na\r\nb\r\n");
        let mut out = Vec::new();
        encode_command_head(&mut out, 2);
        encode_arg_u64(&mut out, u64::MAX);
        encode_arg_i64(&mut out, -1);
        assert_eq!(out, b"*2\r\n$20\r\n18446744073709551615\r\n$2\r\n-1\r\n");
    }
}
