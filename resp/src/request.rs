//! The request parser: resumable, zero-copy, bounded before it allocates.

use crate::args::{Args, Span};
use crate::inline::{SplitError, split_words};
use crate::limits::Limits;
use crate::num::parse_i64;
use crate::refusal::Refusal;

/// Spans kept between commands; a command with more gives its memory back, so that one huge MSET does not
/// stay paid for by every idle connection.
const SPANS_KEPT: usize = 1024;
/// Bytes of unescaped inline words kept between commands, for the same reason.
const SCRATCH_BYTES_KEPT: usize = 4096;
/// The longest bulk Redis can be configured to take; past it a length is senseless, not merely too big.
const BULK_BYTES_SANE: u64 = 512 * 1024 * 1024;

/// What [`Parser::advance`] found at the start of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The command's end is not there yet: read more, keep what there is at the same place, call again.
    Incomplete,
    /// Bytes that ask for nothing: an empty line or `*0`. Cut them and go on.
    Empty {
        /// How many.
        consumed: usize,
    },
    /// One command. Its words are [`Parser::args`] until the next `advance`; then cut `consumed` bytes.
    Command {
        /// Bytes of the whole command.
        consumed: usize,
    },
}

/// Why the bytes are no request. The stream has lost its place: answer with [`ProtocolError::refusal`], close.
/// The words are those of Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The count after `*` is no number, or over the limit.
    #[error("Protocol error: invalid multibulk length")]
    MultibulkLength,
    /// A stranger declared too many words.
    #[error("Protocol error: unauthenticated multibulk length")]
    UnauthenticatedMultibulkLength,
    /// A word did not start with `$`.
    #[error("Protocol error: expected '$', got '{}'", char::from(*.0))]
    ExpectedBulk(u8),
    /// The length after `$` is no number, or over the limit.
    #[error("Protocol error: invalid bulk length")]
    BulkLength,
    /// A stranger declared too long a word.
    #[error("Protocol error: unauthenticated bulk length")]
    UnauthenticatedBulkLength,
    /// A word is not followed by CR LF where its length says. Redis does not look; a client that miscounts
    /// would make it read data as commands.
    #[error("Protocol error: invalid bulk terminator")]
    BulkTerminator,
    /// No line end within the longest count line.
    #[error("Protocol error: too big mbulk count string")]
    MultibulkCountString,
    /// No line end within the longest length line.
    #[error("Protocol error: too big bulk count string")]
    BulkCountString,
    /// No line end within the longest inline command.
    #[error("Protocol error: too big inline request")]
    InlineTooBig,
    /// An inline command with an open quote, or with text right after a closing one.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    /// The request as a whole is over the limit.
    #[error("Protocol error: too big request")]
    RequestTooBig,
}

impl ProtocolError {
    /// The reply that tells the client, before the connection is closed.
    pub fn refusal(&self) -> Refusal {
        Refusal::err(self.to_string())
    }
}

/// Whether a command name is the first word of a browser's or a proxy's request, not of a Redis client's.
/// Close at once without an answer: a page must not be able to make a browser talk to the cache.
pub fn is_cross_protocol(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

/// Reads one request after another from a growing buffer without reading a byte twice.
///
/// One parser per connection. The buffer given to [`advance`](Parser::advance) must start at the first byte
/// of the request being read, and may only grow until a request is found or refused.
#[derive(Debug, Default)]
pub struct Parser {
    /// Words found so far.
    spans: Vec<Span>,
    /// Unescaped words of an inline command; the spans point here then.
    scratch: Vec<u8>,
    inline: bool,
    /// The next byte to parse.
    pos: usize,
    /// Bytes before this hold no end of the line being looked for.
    scanned: usize,
    /// Words still to come.
    missing: usize,
    /// Length of the word being read, once its `$` line is parsed.
    bulk: Option<usize>,
    /// The last call ended a request, the next starts one.
    done: bool,
}

impl Parser {
    /// A parser before its first byte.
    pub fn new() -> Self {
        Parser::default()
    }

    /// Looks for the end of the request that starts at `buf[0]`, going on where the last call stopped.
    ///
    /// # Errors
    /// A [`ProtocolError`] ends the stream; calling again afterwards starts over at `buf[0]`.
    pub fn advance(&mut self, buf: &[u8], limits: &Limits) -> Result<Parsed, ProtocolError> {
        if self.done {
            self.reset();
        }
        if self.pos == 0
            && self.scanned == 0
            && let Some(consumed) = self.whole(buf, limits)
        {
            self.done = true;
            return Ok(Parsed::Command { consumed });
        }
        let found = self.step(buf, limits);
        self.done = !matches!(found, Ok(Parsed::Incomplete));
        found
    }

    /// The words of the command that [`advance`](Parser::advance) just returned; `buf` as it was given there.
    ///
    /// # Panics
    /// May panic when `buf` is shorter than it was.
    pub fn args<'a>(&'a self, buf: &'a [u8]) -> Args<'a> {
        Args::new(if self.inline { &self.scratch } else { buf }, &self.spans)
    }

    /// How long the buffer must at least get before calling again can find anything: what to reserve.
    pub fn needed(&self) -> usize {
        match self.bulk {
            Some(len) if !self.done => self.pos + len + 2,
            _ => 0,
        }
    }

    fn reset(&mut self) {
        self.spans.clear();
        self.spans.shrink_to(SPANS_KEPT);
        self.scratch.clear();
        self.scratch.shrink_to(SCRATCH_BYTES_KEPT);
        self.inline = false;
        self.pos = 0;
        self.scanned = 0;
        self.missing = 0;
        self.bulk = None;
        self.done = false;
    }

    /// The hot way through a request that is all there, well formed and of a few words as most are: its length. None
    /// sends the caller the long way, which decides everything else.
    #[inline]
    fn whole(&mut self, buf: &[u8], limits: &Limits) -> Option<usize> {
        let [b'*', count @ b'1'..=b'9', b'\r', b'\n', ..] = buf else { return None };
        let count = usize::from(*count - b'0');
        let fits = count <= limits.args_max && self.words(buf, count, limits.bulk_bytes_max).is_some();
        let end = self.spans.last().map_or(0, |last| (last.start + last.len) as usize + 2);
        if fits && end <= limits.request_bytes_max.min(u32::MAX as usize) {
            return Some(end);
        }
        self.spans.clear();
        None
    }

    /// Finds so many words behind a count of one digit.
    #[inline]
    fn words(&mut self, buf: &[u8], count: usize, bytes_max: usize) -> Option<()> {
        let mut pos = 4;
        for _ in 0..count {
            let (len, line) = short_length(buf.get(pos..)?.first_chunk()?)?;
            let start = pos + line;
            let end = start + len;
            if len > bytes_max || end > u32::MAX as usize || *buf.get(end..)?.first_chunk()? != *b"\r\n" {
                return None;
            }
            self.spans.push(Span { start: start as u32, len: len as u32 });
            pos = end + 2;
        }
        Some(())
    }

    fn step(&mut self, buf: &[u8], limits: &Limits) -> Result<Parsed, ProtocolError> {
        if self.pos == 0 {
            match buf.first() {
                None => return Ok(Parsed::Incomplete),
                Some(b'*') => {}
                Some(_) => return self.inline(buf, limits),
            }
            let Some(count) = self.count(buf, limits)? else {
                return Ok(Parsed::Incomplete);
            };
            if count == 0 {
                return Ok(Parsed::Empty { consumed: self.pos });
            }
            self.missing = count;
        }
        while self.missing > 0 {
            let len = match self.bulk {
                Some(len) => len,
                None => match self.length(buf, limits)? {
                    Some(len) => len,
                    None => return Ok(Parsed::Incomplete),
                },
            };
            let end = self.pos + len;
            if buf.len() < end + 2 {
                self.bulk = Some(len);
                return Ok(Parsed::Incomplete);
            }
            if buf[end..end + 2] != *b"\r\n" {
                return Err(ProtocolError::BulkTerminator);
            }
            // Both fit: `length` keeps the end of the request below u32::MAX.
            self.spans.push(Span { start: self.pos as u32, len: len as u32 });
            self.pos = end + 2;
            self.bulk = None;
            self.missing -= 1;
        }
        Ok(Parsed::Command { consumed: self.pos })
    }

    /// Reads the `*` line: how many words follow, or none yet.
    fn count(&mut self, buf: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
        let count = match short_number(buf, 1) {
            Some((count, next)) => {
                self.pos = next;
                count
            }
            None => {
                let too_long = ProtocolError::MultibulkCountString;
                let Some(line) = self.line(buf, limits, too_long)? else {
                    return Ok(None);
                };
                let count = parse_i64(&line[1..]).ok_or(ProtocolError::MultibulkLength)?;
                // Zero and below are an empty command, as in Redis.
                u64::try_from(count).unwrap_or(0)
            }
        };
        check_count(count, limits).map(Some)
    }

    /// Reads a `$` line: how long the next word is, or none yet.
    fn length(&mut self, buf: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
        let fast = if buf.get(self.pos) == Some(&b'$') { short_number(buf, self.pos + 1) } else { None };
        let len = match fast {
            Some((len, next)) => {
                self.pos = next;
                len
            }
            None => {
                let too_long = ProtocolError::BulkCountString;
                let Some(line) = self.line(buf, limits, too_long)? else {
                    return Ok(None);
                };
                match line {
                    [b'$', digits @ ..] => parse_i64(digits)
                        .and_then(|len| u64::try_from(len).ok())
                        .ok_or(ProtocolError::BulkLength)?,
                    // An empty line: what stands there is its CR.
                    _ => return Err(ProtocolError::ExpectedBulk(*line.first().unwrap_or(&b'\r'))),
                }
            }
        };
        if len > limits.bulk_bytes_max as u64 {
            let stranger = !limits.authenticated && len <= BULK_BYTES_SANE;
            return Err(if stranger {
                ProtocolError::UnauthenticatedBulkLength
            } else {
                ProtocolError::BulkLength
            });
        }
        let request_bytes_max = limits.request_bytes_max.min(u32::MAX as usize) as u64;
        if self.pos as u64 + len + 2 > request_bytes_max {
            return Err(ProtocolError::RequestTooBig);
        }
        Ok(Some(len as usize))
    }

    /// The line at the current place without its CR LF, moving past it; none when it has no end yet. The cold
    /// way: lines cut by a read, and everything malformed.
    fn line<'b>(
        &mut self,
        buf: &'b [u8],
        limits: &Limits,
        too_long: ProtocolError,
    ) -> Result<Option<&'b [u8]>, ProtocolError> {
        let start = self.pos;
        let from = self.scanned.max(start);
        let Some(found) = buf[from..].iter().position(|byte| *byte == b'\r') else {
            self.scanned = buf.len();
            return if buf.len() - start > limits.inline_bytes_max { Err(too_long) } else { Ok(None) };
        };
        let cr = from + found;
        if cr - start > limits.inline_bytes_max {
            return Err(too_long);
        }
        self.scanned = cr;
        match buf.get(cr + 1) {
            None => Ok(None),
            Some(b'\n') => {
                self.pos = cr + 2;
                Ok(Some(&buf[start..cr]))
            }
            // Redis steps over whatever follows the CR; here a line ends with both or is no line.
            Some(_) if buf[start] == b'*' => Err(ProtocolError::MultibulkLength),
            Some(_) => Err(ProtocolError::BulkLength),
        }
    }

    fn inline(&mut self, buf: &[u8], limits: &Limits) -> Result<Parsed, ProtocolError> {
        self.inline = true;
        let Some(found) = buf[self.scanned..].iter().position(|byte| *byte == b'\n') else {
            self.scanned = buf.len();
            let too_long = buf.len() > limits.inline_bytes_max;
            return if too_long { Err(ProtocolError::InlineTooBig) } else { Ok(Parsed::Incomplete) };
        };
        let newline = self.scanned + found;
        if newline > limits.inline_bytes_max {
            return Err(ProtocolError::InlineTooBig);
        }
        let line = buf[..newline].strip_suffix(b"\r").unwrap_or(&buf[..newline]);
        split_words(line, limits.args_max, &mut self.scratch, &mut self.spans).map_err(
            |error| match error {
                SplitError::UnbalancedQuotes => ProtocolError::UnbalancedQuotes,
                SplitError::TooManyWords => too_many(limits),
            },
        )?;
        let consumed = newline + 1;
        Ok(if self.spans.is_empty() { Parsed::Empty { consumed } } else { Parsed::Command { consumed } })
    }
}

fn check_count(count: u64, limits: &Limits) -> Result<usize, ProtocolError> {
    if count <= limits.args_max as u64 {
        Ok(count as usize)
    } else if count > i32::MAX as u64 {
        Err(ProtocolError::MultibulkLength)
    } else {
        Err(too_many(limits))
    }
}

fn too_many(limits: &Limits) -> ProtocolError {
    if limits.authenticated {
        ProtocolError::MultibulkLength
    } else {
        ProtocolError::UnauthenticatedMultibulkLength
    }
}

/// A length line of up to three digits: the length, and the bytes of the line. No request that ends is shorter than what
/// is looked at.
#[inline]
fn short_length(line: &[u8; 6]) -> Option<(usize, usize)> {
    let digit = |at: usize| usize::from(line[at].wrapping_sub(b'0'));
    let (first, second, third) = (digit(1), digit(2), digit(3));
    if line[0] != b'$' || first > 9 {
        return None;
    }
    if line[2] == b'\r' {
        return (line[3] == b'\n').then_some((first, 4));
    }
    if first == 0 || second > 9 {
        return None;
    }
    if line[3] == b'\r' {
        return (line[4] == b'\n').then_some((first * 10 + second, 5));
    }
    (third <= 9 && line[4] == b'\r' && line[5] == b'\n').then_some((first * 100 + second * 10 + third, 6))
}

/// The hot way through a count or length line: up to nine digits and CR LF, all there. Returns the number and
/// the place after the line; none sends the caller the cold way, which decides everything else.
#[inline]
fn short_number(buf: &[u8], start: usize) -> Option<(u64, usize)> {
    let rest = buf.get(start..)?;
    let mut n = 0u64;
    for (i, byte) in rest.iter().take(10).enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            let canonical = (i == 1 || rest[0] != b'0') && i > 0;
            let ended = *byte == b'\r' && rest.get(i + 1) == Some(&b'\n');
            return (canonical && ended).then_some((n, start + i + 2));
        }
        n = n * 10 + u64::from(digit);
    }
    None
}
