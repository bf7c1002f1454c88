//! What is asked and what must come back, in RESP and in memcached's words.
//!
//! Every key is 32 bytes and every value begins with the 16 characters that end its key, so each reply can be told
//! from another session's at the price of one comparison.

/// Bytes of every key.
pub const KEY_BYTES: usize = 32;
/// Characters that tell one key from another, and that its value begins with.
const TAG_BYTES: usize = 16;
const SESSION: &[u8; 16] = b"bench:session:00";
const HASH: &[u8; 16] = b"bench:hashes::00";
/// Bytes of a field's value.
pub const FIELD_BYTES: usize = 64;
/// Fields of a hash.
pub const FIELDS: u32 = 4;
/// Remaining life that is given, in seconds.
const LIFE: &str = "86400";

/// How a server is spoken to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speech {
    /// As Redis.
    Resp,
    /// As memcached, in text.
    Memcached,
}

/// One operation on one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// Read a session.
    Get,
    /// Write one without an end.
    Set,
    /// Write one with a remaining life.
    SetEx,
    /// Prolong one.
    Expire,
    /// Destroy one.
    Del,
    /// Read so many sessions from this one on.
    Mget(u8),
    /// Write a field of a hash.
    HSet(u8),
    /// Read a field of a hash.
    HGet(u8),
    /// Write a hash of all its fields.
    HFill,
}

/// What must come back.
#[derive(Clone, Copy, Debug)]
pub struct Want {
    op: Op,
    n: u64,
}

/// Sizes and words of one run.
#[derive(Clone, Debug)]
pub struct Shape {
    speech: Speech,
    value_bytes: usize,
    filler: Vec<u8>,
    value_head: Vec<u8>,
    field_head: Vec<u8>,
    set_middle: Vec<u8>,
}

/// The 16 characters of a key's number: no two neighbours look alike, as tokens do not.
fn tag(n: u64) -> [u8; TAG_BYTES] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    std::array::from_fn(|at| HEX[(z >> (60 - 4 * at)) as usize & 15])
}

/// The n-th session's key.
pub fn key(n: u64) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    key[..16].copy_from_slice(SESSION);
    key[16..].copy_from_slice(&tag(n));
    key
}

impl Shape {
    /// For values of this size.
    pub fn new(speech: Speech, value_bytes: usize) -> Shape {
        assert!(value_bytes >= TAG_BYTES, "a value begins with its key's tag");
        let head = |bytes: usize| match speech {
            Speech::Resp => format!("${bytes}\r\n").into_bytes(),
            Speech::Memcached => format!(" 0 {bytes}\r\n").into_bytes(),
        };
        Shape {
            speech,
            value_bytes,
            filler: vec![b'v'; value_bytes.max(FIELD_BYTES)],
            value_head: head(value_bytes),
            field_head: head(FIELD_BYTES),
            set_middle: format!("\r\n${value_bytes}\r\n").into_bytes(),
        }
    }

    /// Bytes of a value.
    pub fn value_bytes(&self) -> usize {
        self.value_bytes
    }

    /// Appends the request, and says what must come back.
    pub fn ask(&self, op: Op, n: u64, out: &mut Vec<u8>) -> Want {
        match self.speech {
            Speech::Resp => self.ask_resp(op, n, out),
            Speech::Memcached => self.ask_memcached(op, n, out),
        }
        Want { op, n }
    }

    fn value(&self, n: u64, bytes: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&tag(n));
        out.extend_from_slice(&self.filler[..bytes - TAG_BYTES]);
        out.extend_from_slice(b"\r\n");
    }

    fn ask_resp(&self, op: Op, n: u64, out: &mut Vec<u8>) {
        let named = |out: &mut Vec<u8>, head: &[u8], space: &[u8; 16]| {
            out.extend_from_slice(head);
            out.extend_from_slice(b"$32\r\n");
            out.extend_from_slice(space);
            out.extend_from_slice(&tag(n));
        };
        match op {
            Op::Get => named(out, b"*2\r\n$3\r\nGET\r\n", SESSION),
            Op::Set => {
                named(out, b"*3\r\n$3\r\nSET\r\n", SESSION);
                out.extend_from_slice(&self.set_middle);
                return self.value(n, self.value_bytes, out);
            }
            Op::SetEx => {
                named(out, b"*5\r\n$3\r\nSET\r\n", SESSION);
                out.extend_from_slice(&self.set_middle);
                self.value(n, self.value_bytes, out);
                out.extend_from_slice(b"$2\r\nEX\r\n$5\r\n");
                out.extend_from_slice(LIFE.as_bytes());
            }
            Op::Expire => {
                named(out, b"*3\r\n$6\r\nEXPIRE\r\n", SESSION);
                out.extend_from_slice(b"\r\n$5\r\n");
                out.extend_from_slice(LIFE.as_bytes());
            }
            Op::Del => named(out, b"*2\r\n$3\r\nDEL\r\n", SESSION),
            Op::Mget(count) => {
                out.extend_from_slice(format!("*{}\r\n$4\r\nMGET", u32::from(count) + 1).as_bytes());
                for nth in 0..u64::from(count) {
                    out.extend_from_slice(b"\r\n$32\r\n");
                    out.extend_from_slice(&key(n + nth));
                }
            }
            Op::HGet(field) => {
                named(out, b"*3\r\n$4\r\nHGET\r\n", HASH);
                out.extend_from_slice(&[b'\r', b'\n', b'$', b'2', b'\r', b'\n', b'f', b'0' + field]);
            }
            Op::HSet(field) => {
                named(out, b"*4\r\n$4\r\nHSET\r\n", HASH);
                self.field(n, field, out);
                return;
            }
            Op::HFill => {
                let head = format!("*{}\r\n$4\r\nHSET\r\n", 2 + 2 * FIELDS);
                named(out, head.as_bytes(), HASH);
                for field in 0..FIELDS as u8 {
                    self.field(n, field, out);
                    out.truncate(out.len() - 2);
                }
            }
        }
        out.extend_from_slice(b"\r\n");
    }

    fn field(&self, n: u64, field: u8, out: &mut Vec<u8>) {
        out.extend_from_slice(&[b'\r', b'\n', b'$', b'2', b'\r', b'\n', b'f', b'0' + field]);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.field_head);
        self.value(n, FIELD_BYTES, out);
    }

    fn ask_memcached(&self, op: Op, n: u64, out: &mut Vec<u8>) {
        let key = key(n);
        let mut words = |before: &[u8], after: &[u8]| {
            [before, &key, after].iter().for_each(|part| out.extend_from_slice(part));
        };
        match op {
            Op::Get | Op::HGet(_) => words(b"get ", b"\r\n"),
            Op::Set | Op::SetEx | Op::HSet(_) | Op::HFill => {
                let life = if op == Op::SetEx { LIFE } else { "0" };
                out.extend_from_slice(b"set ");
                out.extend_from_slice(&key);
                out.extend_from_slice(format!(" 0 {life} {}\r\n", self.value_bytes).as_bytes());
                self.value(n, self.value_bytes, out);
            }
            Op::Expire => words(b"touch ", b" 86400\r\n"),
            Op::Del => words(b"delete ", b"\r\n"),
            Op::Mget(count) => {
                out.extend_from_slice(b"get");
                for nth in 0..u64::from(count) {
                    out.push(b' ');
                    out.extend_from_slice(&self::key(n + nth));
                }
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Looks at the front of what came: `None` while the reply is not complete, else its length and whether it is
    /// what was wanted.
    pub fn judge(&self, want: &Want, input: &[u8]) -> Option<(usize, bool)> {
        match self.speech {
            Speech::Resp => self.judge_resp(want, input),
            Speech::Memcached => self.judge_memcached(want, input),
        }
    }

    fn judge_resp(&self, want: &Want, input: &[u8]) -> Option<(usize, bool)> {
        let right = match want.op {
            Op::Get => bulk(input, &self.value_head, self.value_bytes, want.n),
            Op::HGet(_) => bulk(input, &self.field_head, FIELD_BYTES, want.n),
            Op::Set | Op::SetEx => input.starts_with(b"+OK\r\n").then_some(5),
            Op::Expire | Op::Del => input.starts_with(b":1\r\n").then_some(4),
            Op::HFill | Op::HSet(_) => {
                (input.len() >= 4 && input[0] == b':' && input[1].is_ascii_digit() && input[2] == b'\r')
                    .then_some(4)
            }
            Op::Mget(count) => {
                let mut at = line(input)?;
                let mut right = input.starts_with(format!("*{count}\r\n").as_bytes());
                for nth in 0..u64::from(count) {
                    match bulk(&input[at..], &self.value_head, self.value_bytes, want.n + nth) {
                        Some(len) => at += len,
                        None => right = false,
                    }
                }
                right.then_some(at)
            }
        };
        match right {
            Some(len) => Some((len, true)),
            None => frame(input).map(|len| (len, self.is_early(want, &input[..len]))),
        }
    }

    /// A complete reply that the quick look did not recognise may still be the right one.
    fn is_early(&self, want: &Want, reply: &[u8]) -> bool {
        matches!(want.op, Op::HSet(_) | Op::HFill) && reply.starts_with(b":")
    }

    fn judge_memcached(&self, want: &Want, input: &[u8]) -> Option<(usize, bool)> {
        let word = |word: &[u8]| {
            let end = line(input)?;
            Some((end, &input[..end] == word))
        };
        match want.op {
            Op::Set | Op::SetEx | Op::HSet(_) | Op::HFill => word(b"STORED\r\n"),
            Op::Expire => word(b"TOUCHED\r\n"),
            Op::Del => word(b"DELETED\r\n"),
            Op::Get | Op::HGet(_) => self.values(1, want.n, input),
            Op::Mget(count) => self.values(u64::from(count), want.n, input),
        }
    }

    fn values(&self, count: u64, n: u64, input: &[u8]) -> Option<(usize, bool)> {
        if !input.starts_with(b"VALUE ") {
            return line(input).map(|end| (end, false));
        }
        let each = 6 + KEY_BYTES + self.value_head.len() + self.value_bytes + 2;
        let all = each * count as usize + 5;
        if input.len() < all {
            return None;
        }
        let right = (0..count).all(|nth| {
            let tag = tag(n + nth);
            let one = &input[nth as usize * each..][..each];
            one[6 + 16..].starts_with(&tag)
                && one[6 + KEY_BYTES..].starts_with(&self.value_head)
                && one[6 + KEY_BYTES + self.value_head.len()..].starts_with(&tag)
        });
        Some((all, right && input[..all].ends_with(b"\r\nEND\r\n")))
    }
}

/// The length of a bulk string with this head and this session's bytes.
#[inline]
fn bulk(input: &[u8], head: &[u8], bytes: usize, n: u64) -> Option<usize> {
    let all = head.len() + bytes + 2;
    let right = input.len() >= all
        && input.starts_with(head)
        && input[head.len()..].starts_with(&tag(n))
        && input[all - 2..].starts_with(b"\r\n");
    right.then_some(all)
}

/// Where the next line begins.
fn line(input: &[u8]) -> Option<usize> {
    input.iter().position(|byte| *byte == b'\n').map(|at| at + 1)
}

/// The length of the RESP value at the front, if it is complete.
pub fn frame(input: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut left = 1u64;
    while left > 0 {
        left -= 1;
        let end = at + line(&input[at..])?;
        let number = || -> i64 {
            let digits = input[at + 1..end].strip_suffix(b"\r\n").unwrap_or_default();
            std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        let count = match input[at] {
            b'$' | b'=' | b'!' => {
                at = end + usize::try_from(number()).map_or(0, |bytes| bytes + 2);
                if at > input.len() {
                    return None;
                }
                continue;
            }
            b'*' | b'>' | b'~' => number().max(0) as u64,
            b'%' => 2 * number().max(0) as u64,
            _ => 0,
        };
        left += count;
        at = end;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(n: u64, bytes: usize) -> Vec<u8> {
        let mut reply = format!("${bytes}\r\n").into_bytes();
        Shape::new(Speech::Resp, bytes).value(n, bytes, &mut reply);
        reply
    }

    #[test]
    fn another_sessions_value_is_seen() {
        let shape = Shape::new(Speech::Resp, 64);
        let want = shape.ask(Op::Get, 7, &mut Vec::new());
        let (mine, other) = (reply(7, 64), reply(8, 64));
        assert_eq!(shape.judge(&want, &mine), Some((mine.len(), true)));
        assert_eq!(shape.judge(&want, &other), Some((other.len(), false)));
        assert_eq!(shape.judge(&want, b"$-1\r\n"), Some((5, false)), "a miss is an error too");
        assert_eq!(shape.judge(&want, b"-ERR no\r\n+"), Some((9, false)));
        assert_eq!(shape.judge(&want, &mine[..mine.len() - 1]), None, "it is not complete");
    }

    #[test]
    fn frames_end_where_they_end() {
        for text in ["+OK\r\n", "$-1\r\n", "*2\r\n$1\r\na\r\n:3\r\n", ">3\r\n+a\r\n*1\r\n_\r\n$0\r\n\r\n"] {
            assert_eq!(frame(format!("{text}+").as_bytes()), Some(text.len()), "{text:?}");
            assert_eq!(frame(&text.as_bytes()[..text.len() - 1]), None, "{text:?}");
        }
    }
}
