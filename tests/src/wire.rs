//! A raw, blocking RESP client: every byte out is chosen by the test, every byte in is kept.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Nothing takes longer than this to answer unless it hangs.
const REPLY_PATIENCE: Duration = Duration::from_secs(60);

/// Deeper replies than this are a bug in whoever sent them.
const DEPTH_MAX: usize = 64;

/// One reply, in the shapes of RESP2 and RESP3.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `+OK`
    Simple(String),
    /// `-ERR ...`, without the dash
    Error(String),
    /// `:1`
    Int(i64),
    /// `$3 abc`
    Bulk(Vec<u8>),
    /// `$-1`, `*-1` or `_`
    Null,
    /// `*2 ...`
    Array(Vec<Value>),
    /// `%1 ...`, in the order it came
    Map(Vec<(Value, Value)>),
    /// `~2 ...`
    Set(Vec<Value>),
    /// `>2 ...`
    Push(Vec<Value>),
    /// `,1.5` as text
    Double(String),
    /// `#t`
    Bool(bool),
    /// `=7 txt:abc`, without the format
    Verbatim(Vec<u8>),
}

impl Value {
    /// A bulk string.
    pub fn bulk(text: impl AsRef<[u8]>) -> Value {
        Value::Bulk(text.as_ref().to_vec())
    }

    /// `+OK`
    pub fn ok() -> Value {
        Value::Simple("OK".to_owned())
    }

    /// The bytes of any string-like reply; panics on another shape.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Value::Bulk(bytes) | Value::Verbatim(bytes) => bytes,
            Value::Simple(text) | Value::Double(text) => text.as_bytes(),
            other => panic!("expected a string, got {other:?}"),
        }
    }

    /// The text of any string-like reply, lossily.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// The integer, also out of a string that spells one; panics on another shape.
    pub fn int(&self) -> i64 {
        match self {
            Value::Int(n) => *n,
            Value::Bulk(_) | Value::Simple(_) => {
                self.text().parse().unwrap_or_else(|_| panic!("expected an integer, got {self:?}"))
            }
            other => panic!("expected an integer, got {other:?}"),
        }
    }

    /// The elements of an array, set or push; panics on another shape.
    pub fn items(&self) -> &[Value] {
        match self {
            Value::Array(items) | Value::Set(items) | Value::Push(items) => items,
            other => panic!("expected an array, got {other:?}"),
        }
    }

    /// What a map holds under `name`: a RESP3 map, or RESP2's flat array of pairs.
    pub fn field(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Map(pairs) => pairs.iter().find(|(key, _)| key.names(name)).map(|(_, value)| value),
            Value::Array(items) => {
                items.chunks_exact(2).find(|pair| pair[0].names(name)).map(|pair| &pair[1])
            }
            _ => None,
        }
    }

    /// As [`Value::field`], and a panic that shows the whole reply when it is not there.
    pub fn must(&self, name: &str) -> &Value {
        self.field(name).unwrap_or_else(|| panic!("no field {name:?} in {self:?}"))
    }

    /// True for an error whose text starts with `prefix` (for example `UNAVAILABLE`).
    pub fn is_error(&self, prefix: &str) -> bool {
        matches!(self, Value::Error(text) if text.starts_with(prefix))
    }

    /// Every string and number of the reply, flattened, to look for a mention in a reply whose shape
    /// the test does not want to fix.
    pub fn flat(&self) -> String {
        match self {
            Value::Simple(s) | Value::Error(s) | Value::Double(s) => s.clone(),
            Value::Int(n) => n.to_string(),
            Value::Bulk(b) | Value::Verbatim(b) => String::from_utf8_lossy(b).into_owned(),
            Value::Null => "(nil)".to_owned(),
            Value::Bool(b) => b.to_string(),
            Value::Array(v) | Value::Set(v) | Value::Push(v) => {
                v.iter().map(Value::flat).collect::<Vec<_>>().join(" ")
            }
            Value::Map(v) => {
                v.iter().map(|(k, v)| format!("{} {}", k.flat(), v.flat())).collect::<Vec<_>>().join(" ")
            }
        }
    }

    fn names(&self, name: &str) -> bool {
        matches!(self, Value::Bulk(b) if b.eq_ignore_ascii_case(name.as_bytes()))
            || matches!(self, Value::Simple(s) if s.eq_ignore_ascii_case(name))
    }
}

/// A connection.
pub struct Wire {
    input: BufReader<TcpStream>,
    output: TcpStream,
    peer: String,
}

impl Wire {
    /// Connects; panics if nobody listens.
    pub fn connect(addr: impl ToSocketAddrs + std::fmt::Display) -> Wire {
        let peer = addr.to_string();
        Wire::try_connect(addr).unwrap_or_else(|e| panic!("cannot connect to {peer}: {e}"))
    }

    /// Connects, or says why not.
    pub fn try_connect(addr: impl ToSocketAddrs + std::fmt::Display) -> std::io::Result<Wire> {
        let peer = addr.to_string();
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_PATIENCE))?;
        let output = stream.try_clone()?;
        Ok(Wire { input: BufReader::with_capacity(64 * 1024, stream), output, peer })
    }

    /// Changes how long [`Wire::reply`] waits.
    pub fn patience(&self, patience: Duration) {
        self.output.set_read_timeout(Some(patience)).expect("a socket takes a timeout");
    }

    /// Switches to RESP3 and returns the greeting.
    pub fn hello3(&mut self) -> Value {
        let greeting = self.call(&["HELLO", "3"]);
        assert!(matches!(greeting, Value::Map(_)), "HELLO 3 must answer a map, got {greeting:?}");
        greeting
    }

    /// Sends one command and reads its reply; panics when the connection fails.
    pub fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Value {
        self.try_call(args).unwrap_or_else(|e| {
            let shown: Vec<_> = args.iter().map(|a| String::from_utf8_lossy(a.as_ref())).take(4).collect();
            panic!("{shown:?} at {}: {e}", self.peer)
        })
    }

    /// Sends one command and reads its reply.
    pub fn try_call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> std::io::Result<Value> {
        let mut out = Vec::new();
        encode(&mut out, args);
        self.output.write_all(&out)?;
        self.reply()
    }

    /// Sends commands in one write and reads all replies.
    pub fn pipeline<A: AsRef<[u8]>>(&mut self, commands: &[Vec<A>]) -> Vec<Value> {
        let mut out = Vec::new();
        commands.iter().for_each(|args| encode(&mut out, args));
        self.send(&out);
        commands.iter().map(|_| self.must_reply()).collect()
    }

    /// Sends bytes as they are; panics when the connection fails.
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap_or_else(|e| panic!("sending to {}: {e}", self.peer));
    }

    /// Sends bytes as they are.
    pub fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.output.write_all(bytes)
    }

    /// No more bytes from this side.
    pub fn finish(&self) {
        // The peer may have closed already, which is as good.
        let _ = self.output.shutdown(Shutdown::Write);
    }

    /// Reads one reply; panics when none comes.
    pub fn must_reply(&mut self) -> Value {
        self.reply().unwrap_or_else(|e| panic!("no reply from {}: {e}", self.peer))
    }

    /// Reads one reply.
    pub fn reply(&mut self) -> std::io::Result<Value> {
        read_value(&mut self.input, &mut Vec::new(), 0)
    }

    /// Reads one reply and returns its exact bytes with it.
    pub fn raw_reply(&mut self) -> std::io::Result<(Vec<u8>, Value)> {
        let mut raw = Vec::new();
        let value = read_value(&mut self.input, &mut raw, 0)?;
        Ok((raw, value))
    }

    /// Reads exactly as many bytes as expected and compares them.
    pub fn expect_bytes(&mut self, expected: &[u8]) {
        let mut got = vec![0; expected.len()];
        self.input.read_exact(&mut got).unwrap_or_else(|e| {
            panic!("expected {:?} from {}, got {e}", String::from_utf8_lossy(expected), self.peer)
        });
        assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(expected));
    }

    /// Reads until the peer closes (an orderly end or a reset) and returns what came before.
    pub fn drain(&mut self) -> std::io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        match self.input.read_to_end(&mut rest) {
            Ok(_) => Ok(rest),
            Err(e) if e.kind() == ErrorKind::ConnectionReset => Ok(rest),
            Err(e) => Err(e),
        }
    }
}

/// Appends a command as an array of bulk strings.
pub fn encode<A: AsRef<[u8]>>(out: &mut Vec<u8>, args: &[A]) {
    out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        let arg = arg.as_ref();
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

fn read_value(input: &mut impl BufRead, raw: &mut Vec<u8>, depth: usize) -> std::io::Result<Value> {
    if depth > DEPTH_MAX {
        return Err(bad(format!("a reply nested deeper than {DEPTH_MAX}")));
    }
    let line = read_line(input, raw)?;
    let (kind, rest) = line.split_at_checked(1).ok_or_else(|| bad("an empty line".to_owned()))?;
    let count = || rest.parse::<i64>().map_err(|_| bad(format!("a bad length in {line:?}")));
    Ok(match kind {
        "+" => Value::Simple(rest.to_owned()),
        "-" => Value::Error(rest.to_owned()),
        ":" => Value::Int(count()?),
        "," | "(" => Value::Double(rest.to_owned()),
        "#" => Value::Bool(rest == "t"),
        "_" => Value::Null,
        "$" | "=" | "*" if rest == "-1" => Value::Null,
        "$" => Value::Bulk(read_bulk(input, raw, count()?)?),
        "=" => Value::Verbatim(read_bulk(input, raw, count()?)?.split_off(4)),
        "*" => Value::Array(read_many(input, raw, count()?, depth)?),
        "~" => Value::Set(read_many(input, raw, count()?, depth)?),
        ">" => Value::Push(read_many(input, raw, count()?, depth)?),
        "%" => {
            let flat = read_many(input, raw, count()? * 2, depth)?;
            let mut pairs = Vec::new();
            let mut flat = flat.into_iter();
            while let (Some(key), Some(value)) = (flat.next(), flat.next()) {
                pairs.push((key, value));
            }
            Value::Map(pairs)
        }
        _ => return Err(bad(format!("not a reply: {line:?}"))),
    })
}

fn read_many(
    input: &mut impl BufRead,
    raw: &mut Vec<u8>,
    n: i64,
    depth: usize,
) -> std::io::Result<Vec<Value>> {
    (0..n).map(|_| read_value(input, raw, depth + 1)).collect()
}

fn read_bulk(input: &mut impl BufRead, raw: &mut Vec<u8>, len: i64) -> std::io::Result<Vec<u8>> {
    let len = usize::try_from(len).map_err(|_| bad(format!("a bulk of {len} bytes")))?;
    let mut bytes = vec![0; len + 2];
    input.read_exact(&mut bytes)?;
    raw.extend_from_slice(&bytes);
    if !bytes.ends_with(b"\r\n") {
        return Err(bad("a bulk string without its CRLF".to_owned()));
    }
    bytes.truncate(len);
    Ok(bytes)
}

fn read_line(input: &mut impl BufRead, raw: &mut Vec<u8>) -> std::io::Result<String> {
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    raw.extend_from_slice(&line);
    match line.strip_suffix(b"\r\n") {
        Some(text) => Ok(String::from_utf8_lossy(text).into_owned()),
        None => Err(bad(format!("a line without CRLF: {:?}", String::from_utf8_lossy(&line)))),
    }
}

fn bad(text: String) -> std::io::Error {
    std::io::Error::new(ErrorKind::InvalidData, text)
}
