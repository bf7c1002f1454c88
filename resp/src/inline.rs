//! Inline commands: a line of words with the quoting of a shell, as typed into telnet or sent by a health check.

use crate::args::Span;

/// Why a line is no list of words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SplitError {
    /// A quote is not closed, or a closing quote is not followed by space.
    UnbalancedQuotes,
    /// More words than allowed.
    TooManyWords,
}

/// Splits `line` into `out`, with one span per word; both must be empty before.
///
/// The rules are those of Redis's `sdssplitargs`: words are parted by space; inside double quotes `\xHH`, `\n`,
/// `\r`, `\t`, `\b`, `\a` are bytes and any other escaped byte is itself; inside single quotes only `\'` is an
/// escape; a closing quote must be followed by space or the end; a NUL ends the line, as it does in C.
pub(crate) fn split_words(
    line: &[u8],
    words_max: usize,
    out: &mut Vec<u8>,
    spans: &mut Vec<Span>,
) -> Result<(), SplitError> {
    let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let mut rest = line.trim_start_c();
    while !rest.is_empty() {
        if spans.len() == words_max {
            return Err(SplitError::TooManyWords);
        }
        let start = out.len();
        rest = word(rest, out)?.trim_start_c();
        // A line is bounded far below 4 GiB by the caller, and unescaping only shortens.
        spans.push(Span { start: start as u32, len: (out.len() - start) as u32 });
    }
    Ok(())
}

/// Appends the word at the start of `rest`; returns what follows it.
fn word<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], SplitError> {
    loop {
        match rest {
            [b'"', after @ ..] => return closed(double_quoted(after, out)?),
            [b'\'', after @ ..] => return closed(single_quoted(after, out)?),
            [byte, after @ ..] if !is_space(*byte) => {
                out.push(*byte);
                rest = after;
            }
            _ => return Ok(rest),
        }
    }
}

/// A word ends with its closing quote: anything but space behind it is an error.
fn closed(rest: &[u8]) -> Result<&[u8], SplitError> {
    match rest.first() {
        Some(byte) if !is_space(*byte) => Err(SplitError::UnbalancedQuotes),
        _ => Ok(rest),
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], SplitError> {
    loop {
        rest = match rest {
            [] => return Err(SplitError::UnbalancedQuotes),
            [b'"', after @ ..] => return Ok(after),
            [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(hex(*high) << 4 | hex(*low));
                after
            }
            [b'\\', byte, after @ ..] => {
                out.push(match byte {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                after
            }
            [byte, after @ ..] => {
                out.push(*byte);
                after
            }
        }
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], SplitError> {
    loop {
        rest = match rest {
            [] => return Err(SplitError::UnbalancedQuotes),
            [b'\'', after @ ..] => return Ok(after),
            [b'\\', b'\'', after @ ..] => {
                out.push(b'\'');
                after
            }
            [byte, after @ ..] => {
                out.push(*byte);
                after
            }
        }
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// C's `isspace`, which knows the vertical tab too.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

trait TrimC {
    fn trim_start_c(&self) -> &Self;
}

impl TrimC for [u8] {
    fn trim_start_c(&self) -> &[u8] {
        &self[self.iter().position(|byte| !is_space(*byte)).unwrap_or(self.len())..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Result<Vec<Vec<u8>>, SplitError> {
        let (mut out, mut spans) = (Vec::new(), Vec::new());
        split_words(line.as_bytes(), 8, &mut out, &mut spans)?;
        Ok(spans.iter().map(|s| out[s.start as usize..(s.start + s.len) as usize].to_vec()).collect())
    }

    #[test]
    fn words_are_split_and_unquoted_as_redis_does() {
        let cases: [(&str, &[&[u8]]); 12] = [
            ("", &[]),
            (" \t\x0b ", &[]),
            ("PING", &[b"PING"]),
            ("  set  a\tb ", &[b"set", b"a", b"b"]),
            (r#"set "a b" 'c d'"#, &[b"set", b"a b", b"c d"]),
            (r#""\x00\xfF\n\r\t\b\a\q\"\\""#, &[b"\x00\xff\n\r\t\x08\x07q\"\\"]),
            (r#""\xg1\x1""#, &[b"xg1x1"]),
            (r#"'\x41 \' \n'"#, &[br"\x41 ' \n"]),
            (r#"ab"c d""#, &[b"abc d"]),
            (r#""" ''"#, &[b"", b""]),
            (r"a\b", &[br"a\b"]),
            ("a\0b c", &[b"a"]),
        ];
        for (line, words) in cases {
            assert_eq!(
                split(line).as_deref(),
                Ok(&*words.iter().map(|w| w.to_vec()).collect::<Vec<_>>()),
                "{line}"
            );
        }
    }

    #[test]
    fn an_open_quote_or_text_after_a_quote_is_unbalanced() {
        for line in [r#""abc"#, "'abc", r#""a"b"#, "'a'b", r#"a "b\""#, r#""\"#, r"'\'"] {
            assert_eq!(split(line), Err(SplitError::UnbalancedQuotes), "{line}");
        }
    }

    #[test]
    fn words_are_counted_before_they_are_stored() {
        assert_eq!(split("1 2 3 4 5 6 7 8").map(|words| words.len()), Ok(8));
        assert_eq!(split("1 2 3 4 5 6 7 8 9"), Err(SplitError::TooManyWords));
    }
}
