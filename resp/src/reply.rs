//! Replies: one way to write each kind of value, in RESP2 or RESP3.

use crate::num::{push_f64, push_i64, push_u64};
use crate::refusal::Refusal;

/// The protocol a connection chose with HELLO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Until HELLO says otherwise.
    #[default]
    Resp2,
    /// Maps, sets, pushes, doubles, booleans and one null.
    Resp3,
}

impl Protocol {
    /// The number HELLO knows it by.
    pub const fn number(self) -> i64 {
        match self {
            Protocol::Resp2 => 2,
            Protocol::Resp3 => 3,
        }
    }
}

/// Writes replies at the end of a connection's output buffer. Aggregates are headers: the caller writes as
/// many values behind one as it declared.
#[derive(Debug)]
pub struct Writer<'a> {
    /// Where the bytes go.
    pub out: &'a mut Vec<u8>,
    /// How they look.
    pub proto: Protocol,
}

impl<'a> Writer<'a> {
    /// A writer at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>, proto: Protocol) -> Self {
        Writer { out, proto }
    }

    /// The same buffer for a shorter time: what a helper that takes a `Writer` by value is given.
    pub fn reborrow(&mut self) -> Writer<'_> {
        Writer { out: self.out, proto: self.proto }
    }

    /// `+OK`.
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A status word. CR and LF become spaces.
    pub fn simple(&mut self, text: &str) {
        self.out.push(b'+');
        push_line(self.out, text.as_bytes());
    }

    /// An error. Line ends at its end are dropped, others become spaces: whatever a client sent and an error
    /// repeats cannot become a second reply.
    pub fn error(&mut self, refusal: &Refusal) {
        self.out.push(b'-');
        self.out.extend_from_slice(refusal.code.prefix().as_bytes());
        self.out.push(b' ');
        push_line(self.out, refusal.text.trim_end_matches(['\r', '\n']).as_bytes());
    }

    /// An integer.
    pub fn int(&mut self, n: i64) {
        self.out.push(b':');
        push_i64(self.out, n);
        self.crlf();
    }

    /// A length or count as an integer; beyond `i64::MAX` it stays there, as no client could read more.
    pub fn uint(&mut self, n: u64) {
        self.int(i64::try_from(n).unwrap_or(i64::MAX));
    }

    /// A string of bytes.
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 16);
        self.bulk_head(bytes.len());
        self.out.extend_from_slice(bytes);
        self.crlf();
    }

    /// A string.
    pub fn bulk_str(&mut self, text: &str) {
        self.bulk(text.as_bytes());
    }

    /// A number written as a string, as GET of a counter or SCAN's cursor is.
    pub fn bulk_uint(&mut self, n: u64) {
        self.bulk(itoa::Buffer::new().format(n).as_bytes());
    }

    /// A signed number written as a string.
    pub fn bulk_int(&mut self, n: i64) {
        self.bulk(itoa::Buffer::new().format(n).as_bytes());
    }

    /// The head of a string of `len` bytes. The caller appends exactly those to `out`, then calls
    /// [`crlf`](Writer::crlf): a value goes from the store to the socket's buffer in one copy.
    pub fn bulk_head(&mut self, len: usize) {
        self.head(b'$', len);
    }

    /// A line end.
    pub fn crlf(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }

    /// No value.
    pub fn null(&mut self) {
        self.out.extend_from_slice(match self.proto {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// No array, as EXEC of a failed WATCH answers.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(match self.proto {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// The head of an array of `n` values.
    pub fn array(&mut self, n: usize) {
        self.head(b'*', n);
    }

    /// The head of a map of `n` pairs; in RESP2 an array of `2n` values.
    pub fn map(&mut self, n: usize) {
        match self.proto {
            Protocol::Resp2 => self.head(b'*', n.saturating_mul(2)),
            Protocol::Resp3 => self.head(b'%', n),
        }
    }

    /// The head of a set of `n` values; in RESP2 an array.
    pub fn set(&mut self, n: usize) {
        self.head(if self.proto == Protocol::Resp3 { b'~' } else { b'*' }, n);
    }

    /// The head of a push of `n` values, its kind the first; in RESP2 an array.
    pub fn push(&mut self, n: usize) {
        self.head(if self.proto == Protocol::Resp3 { b'>' } else { b'*' }, n);
    }

    /// A double as Redis 7.0 prints it (C's `%.17g`); in RESP2 a string.
    pub fn double(&mut self, n: f64) {
        match self.proto {
            Protocol::Resp2 => {
                let mut text = Vec::with_capacity(24);
                push_f64(&mut text, n);
                self.bulk(&text);
            }
            Protocol::Resp3 => {
                self.out.push(b',');
                push_f64(self.out, n);
                self.crlf();
            }
        }
    }

    /// A truth value; in RESP2 1 or 0.
    pub fn boolean(&mut self, truth: bool) {
        self.out.extend_from_slice(match (self.proto, truth) {
            (Protocol::Resp2, true) => b":1\r\n",
            (Protocol::Resp2, false) => b":0\r\n",
            (Protocol::Resp3, true) => b"#t\r\n",
            (Protocol::Resp3, false) => b"#f\r\n",
        });
    }

    /// An integer beyond 64 bits, as decimal digits; in RESP2 a string.
    pub fn big_number(&mut self, digits: &str) {
        match self.proto {
            Protocol::Resp2 => self.bulk_str(digits),
            Protocol::Resp3 => {
                self.out.push(b'(');
                push_line(self.out, digits.as_bytes());
            }
        }
    }

    /// A text for people with its format, `txt` or `mkd`; in RESP2 a string.
    pub fn verbatim(&mut self, format: [u8; 3], text: &[u8]) {
        match self.proto {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                self.head(b'=', text.len() + 4);
                self.out.extend_from_slice(&format);
                self.out.push(b':');
                self.out.extend_from_slice(text);
                self.crlf();
            }
        }
    }

    /// Bytes that are a reply already.
    pub fn raw(&mut self, reply: &[u8]) {
        self.out.extend_from_slice(reply);
    }

    fn head(&mut self, kind: u8, n: usize) {
        self.out.push(kind);
        push_u64(self.out, n as u64);
        self.crlf();
    }
}

fn push_line(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(text.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn both(write: impl Fn(&mut Writer<'_>)) -> (String, String) {
        let one = |proto| {
            let mut out = Vec::new();
            write(&mut Writer::new(&mut out, proto));
            String::from_utf8(out).unwrap()
        };
        (one(Protocol::Resp2), one(Protocol::Resp3))
    }

    fn pair(two: &str, three: &str) -> (String, String) {
        (two.to_owned(), three.to_owned())
    }

    #[test]
    fn each_value_has_the_shape_its_protocol_has_for_it() {
        assert_eq!(both(|w| w.null()), pair("$-1\r\n", "_\r\n"));
        assert_eq!(both(|w| w.null_array()), pair("*-1\r\n", "_\r\n"));
        assert_eq!(both(|w| w.map(2)), pair("*4\r\n", "%2\r\n"));
        assert_eq!(both(|w| w.set(2)), pair("*2\r\n", "~2\r\n"));
        assert_eq!(both(|w| w.push(3)), pair("*3\r\n", ">3\r\n"));
        assert_eq!(both(|w| w.double(1.5)), pair("$3\r\n1.5\r\n", ",1.5\r\n"));
        assert_eq!(both(|w| w.double(f64::INFINITY)), pair("$3\r\ninf\r\n", ",inf\r\n"));
        assert_eq!(both(|w| w.boolean(true)), pair(":1\r\n", "#t\r\n"));
        assert_eq!(both(|w| w.boolean(false)), pair(":0\r\n", "#f\r\n"));
        assert_eq!(both(|w| w.big_number("-12")), pair("$3\r\n-12\r\n", "(-12\r\n"));
        assert_eq!(
            both(|w| w.verbatim(*b"txt", b"a\r\nb")),
            pair("$4\r\na\r\nb\r\n", "=8\r\ntxt:a\r\nb\r\n")
        );
        for same in [both(|w| w.ok()), both(|w| w.simple("OK"))] {
            assert_eq!(same, pair("+OK\r\n", "+OK\r\n"));
        }
        assert_eq!(both(|w| w.int(i64::MIN)).0, ":-9223372036854775808\r\n");
        assert_eq!(both(|w| w.uint(u64::MAX)).0, ":9223372036854775807\r\n");
        assert_eq!(both(|w| w.bulk_uint(7)).1, "$1\r\n7\r\n");
        assert_eq!(both(|w| w.bulk(b"")).1, "$0\r\n\r\n");
        assert_eq!(both(|w| w.array(0)).1, "*0\r\n");
    }

    #[test]
    fn an_error_cannot_smuggle_a_second_reply() {
        let refusal = Refusal::err("a\r\n+OK\r\n\r\n");
        assert_eq!(both(|w| w.error(&refusal)).0, "-ERR a  +OK\r\n");
        assert_eq!(both(|w| w.simple("a\nb")).0, "+a b\r\n");
    }
}
