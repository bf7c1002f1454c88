//! Sessions that describe themselves, so that any byte that is not theirs is seen.

use crate::peers;
use crate::wire::{Value, Wire, encode};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// How many commands are on the way at once when a test reads or writes many keys.
const BATCH: usize = 500;

/// The key of the n-th session.
pub fn key(n: usize) -> String {
    format!("s:{n:08}")
}

/// The value of a session: `len` bytes that begin with the key and continue with a stream only this
/// key and this edition have.
pub fn value(key: &str, edition: u64, len: usize) -> Vec<u8> {
    let mut bytes = format!("{key}#{edition}|").into_bytes();
    let mut state = bytes.iter().fold(edition ^ 0x9E37_79B9_7F4A_7C15, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    });
    while bytes.len() < len {
        bytes.extend_from_slice(&next(&mut state).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// The next number of a small seeded generator (splitmix64).
pub fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// What of many sessions was written, and with which life.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// How many sessions.
    pub count: usize,
    /// Bytes of each value.
    pub len: usize,
    /// Remaining life at the moment of writing, in seconds.
    pub ttl_s: u64,
    /// The edition of the values.
    pub edition: u64,
}

impl Load {
    /// Writes all of it by `redis-cli --pipe`; panics unless every command was answered without error.
    pub fn write_by_pipe(&self, cli: &Path, addr: &str) {
        let (host, port) = addr.rsplit_once(':').expect("an address has a port");
        let mut child = Command::new(cli)
            .args(["-h", host, "-p", port, "--pipe", "--pipe-timeout", "120"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("redis-cli can be run");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let load = *self;
        let feeder = std::thread::spawn(move || {
            let mut out = Vec::new();
            for n in 0..load.count {
                load.encode_set(&mut out, n);
                if out.len() > 1 << 20 {
                    // redis-cli says itself why it stopped reading.
                    if stdin.write_all(&out).is_err() {
                        return;
                    }
                    out.clear();
                }
            }
            let _ = stdin.write_all(&out);
        });
        let output = child.wait_with_output().expect("redis-cli can be waited for");
        feeder.join().expect("the feeder does not panic");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let wanted = format!("errors: 0, replies: {}", self.count);
        assert!(output.status.success() && said.contains(&wanted), "--pipe: {}", peers::shown(&output));
    }

    /// Writes the sessions of a range over one connection and returns those that were not acknowledged.
    pub fn write(&self, wire: &mut Wire, range: std::ops::Range<usize>) -> Vec<(usize, Value)> {
        let mut refused = Vec::new();
        let all: Vec<usize> = range.collect();
        for batch in all.chunks(BATCH) {
            let mut out = Vec::new();
            batch.iter().for_each(|n| self.encode_set(&mut out, *n));
            wire.send(&out);
            for n in batch {
                let reply = wire.must_reply();
                if reply != Value::ok() {
                    refused.push((*n, reply));
                }
            }
        }
        refused
    }

    /// Reads every session of a range back and checks bytes and remaining life; panics with the first
    /// few that are not as they were written.
    ///
    /// `aged_s` bounds how long before this call the writing began: the remaining life must lie between
    /// `ttl_s - aged_s`, less what passes during the call, and `ttl_s`.
    pub fn check(&self, wire: &mut Wire, range: std::ops::Range<usize>, aged_s: u64) {
        let began = Instant::now();
        let mut wrong = Vec::new();
        let total = range.len();
        let all: Vec<usize> = range.collect();
        for batch in all.chunks(BATCH) {
            let mut out = Vec::new();
            for n in batch {
                encode(&mut out, &["GET".as_bytes(), key(*n).as_bytes()]);
                encode(&mut out, &["PTTL".as_bytes(), key(*n).as_bytes()]);
            }
            wire.send(&out);
            for n in batch {
                let (got, pttl) = (wire.must_reply(), wire.must_reply());
                if got != Value::Bulk(value(&key(*n), self.edition, self.len)) {
                    wrong.push(format!("{} reads {}", key(*n), short(&got)));
                }
                let Value::Int(left) = pttl else {
                    wrong.push(format!("{} has a PTTL of {pttl:?}", key(*n)));
                    continue;
                };
                let most = self.ttl_s as i64 * 1000;
                let least = most - aged_s as i64 * 1000 - began.elapsed().as_millis() as i64;
                if left < least || left > most {
                    wrong.push(format!("{} has {left} ms left, not {least}..={most}", key(*n)));
                }
            }
        }
        let shown = &wrong[..wrong.len().min(10)];
        assert!(wrong.is_empty(), "{} findings in {total} sessions, first: {shown:#?}", wrong.len());
    }

    fn encode_set(&self, out: &mut Vec<u8>, n: usize) {
        let (key, ttl) = (key(n), self.ttl_s.to_string());
        let value = value(&key, self.edition, self.len);
        encode(out, &[b"SET", key.as_bytes(), &value, b"EX", ttl.as_bytes()]);
    }
}

/// A reply in few characters.
pub fn short(value: &Value) -> String {
    format!("{value:?}").chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_length_and_belong_to_their_key_and_edition() {
        let one = value("s:1", 1, 384);
        assert_eq!(one.len(), 384);
        assert_eq!(one, value("s:1", 1, 384));
        assert_ne!(one, value("s:2", 1, 384));
        assert_ne!(one[20..], value("s:1", 2, 384)[20..]);
    }
}
