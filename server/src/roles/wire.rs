//! The shapes of peer messages: a session and its place as they cross a link.

use crate::core::outbox::{Mode, Order};
use gs_resp::{
    Args, Code, Protocol, Refusal, Reply, Writer, encode_arg, encode_arg_i64, encode_arg_u64,
    encode_command_head,
};

/// Words of one item of `GS.PUT`.
pub const PUT_WORDS: usize = 7;
/// Words of one item of `GS.HANDOFF`.
pub const HANDOFF_WORDS: usize = 8;
/// Words of one item of `GS.TOMB`.
pub const TOMB_WORDS: usize = 4;
/// Words of one item of `GS.MOVED`.
pub const MOVED_WORDS: usize = 7;
/// Words of one item of `GS.DROPPED`.
pub const DROPPED_WORDS: usize = 5;
/// Words of one item of `GS.REPORT`.
pub const REPORT_WORDS: usize = 4;
/// Words of one item that `GS.KEYS` answers.
pub const KEYS_WORDS: usize = 6;
/// Words of one item of `GS.RELOCATE`.
pub const RELOCATE_WORDS: usize = 5;

/// A session on its way between nodes.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// Logical database.
    pub db: u8,
    /// The key.
    pub key: Vec<u8>,
    /// Its version.
    pub version: u64,
    /// Remaining life in milliseconds, -1 for none.
    pub pttl: i64,
    /// The record's kind.
    pub kind: u8,
    /// Milliseconds since the session was made.
    pub age_ms: u64,
    /// The value.
    pub value: Vec<u8>,
}

/// A parcel as it lies in a request.
#[derive(Clone, Copy)]
pub struct ParcelRef<'a> {
    /// Logical database.
    pub db: u8,
    /// The key.
    pub key: &'a [u8],
    /// Its version.
    pub version: u64,
    /// Remaining life in milliseconds, -1 for none.
    pub pttl: i64,
    /// The record's kind.
    pub kind: u8,
    /// Milliseconds since the session was made.
    pub age_ms: u64,
    /// The value.
    pub value: &'a [u8],
}

impl Parcel {
    /// Appends the words of a `GS.PUT` item.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_arg_u64(out, u64::from(self.db));
        encode_arg(out, &self.key);
        encode_arg_u64(out, self.version);
        encode_arg_i64(out, self.pttl);
        encode_arg_u64(out, u64::from(self.kind));
        encode_arg_u64(out, self.age_ms);
        encode_arg(out, &self.value);
    }
}

impl<'a> ParcelRef<'a> {
    /// Reads the words of a `GS.PUT` item.
    pub fn parse(words: Args<'a>) -> Result<ParcelRef<'a>, Refusal> {
        Ok(ParcelRef {
            db: database(words, 0)?,
            key: word(words, 1)?,
            version: number(words, 2)?,
            pttl: signed(words, 3)?,
            kind: number(words, 4)? as u8,
            age_ms: number(words, 5)?,
            value: word(words, 6)?,
        })
    }
}

/// Begins a batch command: its head, its name, the words before the items and the number of items.
pub fn batch_head(name: &str, before: &[&[u8]], items: usize, words: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + items * 64);
    encode_command_head(&mut out, 2 + before.len() + items * words);
    encode_arg(&mut out, name.as_bytes());
    for arg in before {
        encode_arg(&mut out, arg);
    }
    encode_arg_u64(&mut out, items as u64);
    out
}

/// Appends the words of a `GS.TOMB` item.
pub fn encode_order(out: &mut Vec<u8>, order: &Order) {
    encode_arg(out, order.mode.word().as_bytes());
    encode_arg_u64(out, u64::from(order.db));
    encode_arg(out, &order.key);
    encode_arg_u64(out, order.mode.argument());
}

/// Reads mode, database, key and number of a `GS.TOMB` item.
pub fn parse_order(words: Args<'_>) -> Result<(Mode, u8, &[u8]), Refusal> {
    let n = number(words, 3)?;
    let mode = match word(words, 0)? {
        b"tomb" => Mode::Tomb(n),
        b"floor" => Mode::Floor(n),
        b"drop" => Mode::Drop(n),
        _ => return Err(Refusal::err("an order is one of: tomb, floor, drop")),
    };
    Ok((mode, database(words, 1)?, word(words, 2)?))
}

/// Splits the words of a batch into its items after checking their number against the count at `at`.
pub fn items<'a>(args: Args<'a>, at: usize, words: usize) -> Result<impl Iterator<Item = Args<'a>>, Refusal> {
    let count = number(args, at)? as usize;
    let rest = args.skip(at + 1);
    if count.checked_mul(words) != Some(rest.len()) {
        let text = format!("{count} items of {words} words were announced, {} words came", rest.len());
        return Err(Refusal::err(text));
    }
    Ok((0..count).map(move |i| rest.skip(i * words).take(words)))
}

/// The word at `i`.
pub fn word<'a>(args: Args<'a>, i: usize) -> Result<&'a [u8], Refusal> {
    args.get(i).ok_or_else(Refusal::syntax)
}

/// The unsigned number at `i`.
pub fn number(args: Args<'_>, i: usize) -> Result<u64, Refusal> {
    args.get(i).and_then(gs_resp::parse_u64).ok_or_else(Refusal::not_integer)
}

/// The signed number at `i`.
pub fn signed(args: Args<'_>, i: usize) -> Result<i64, Refusal> {
    args.get(i).and_then(gs_resp::parse_i64).ok_or_else(Refusal::not_integer)
}

/// The logical database at `i`.
pub fn database(args: Args<'_>, i: usize) -> Result<u8, Refusal> {
    let db = number(args, i)?;
    if db < 16 { Ok(db as u8) } else { Err(Refusal::err("DB index is out of range")) }
}

/// The text at `i`.
pub fn text(args: Args<'_>, i: usize) -> Result<&str, Refusal> {
    std::str::from_utf8(word(args, i)?).map_err(|_| Refusal::err("a name must be UTF-8"))
}

/// The integers of an array reply; none when it is anything else.
pub fn integers(reply: &Reply) -> Option<Vec<i64>> {
    match reply {
        Reply::Array(list) => list.iter().map(Reply::as_int).collect(),
        _ => None,
    }
}

/// Writes a peer's reply, which came as RESP2, on to a client; `write` is how, where the client speaks RESP3.
pub fn forward_whole(w: &mut Writer<'_>, reply: &[u8], write: fn(&mut Writer<'_>, &Reply)) {
    // An error of ours is counted and worded like any other.
    if w.proto == Protocol::Resp2 && reply.first() != Some(&b'-') {
        return w.out.extend_from_slice(reply);
    }
    match gs_resp::decode_reply(reply) {
        Ok(reply) => write(w, &reply),
        Err(_) => w.error(&Refusal::err("the peer's answer was not understood")),
    }
}

/// A peer's error as one of this node.
pub fn refusal(text: &str) -> Refusal {
    let (code, rest) = text.split_once(' ').unwrap_or((text, ""));
    let code = Code::from_prefix(code.as_bytes()).unwrap_or(Code::Err);
    Refusal::new(code, rest.to_string())
}

/// Writes a peer's reply on to a client, its flat pairs as maps: so nodes send them to each other.
pub fn forward_map(w: &mut Writer<'_>, reply: &Reply) {
    match reply {
        Reply::Array(list) if list.first().is_some_and(|item| item.as_array().is_some()) => {
            w.array(list.len());
            list.iter().for_each(|item| forward_map(w, item));
        }
        Reply::Array(list) if !list.is_empty() && list.len().is_multiple_of(2) => {
            w.map(list.len() / 2);
            list.iter().for_each(|item| forward(w, item));
        }
        other => forward(w, other),
    }
}

/// Writes a peer's reply on to a client.
pub fn forward(w: &mut Writer<'_>, reply: &Reply) {
    match reply {
        Reply::Simple(text) => w.simple(text),
        Reply::Error(text) => w.error(&refusal(text)),
        Reply::Int(n) => w.int(*n),
        Reply::Bulk(bytes) => w.bulk(bytes),
        Reply::Null => w.null(),
        Reply::Array(list) | Reply::Set(list) | Reply::Push(list) => {
            w.array(list.len());
            list.iter().for_each(|item| forward(w, item));
        }
        Reply::Map(pairs) => {
            w.map(pairs.len());
            for (key, value) in pairs {
                forward(w, key);
                forward(w, value);
            }
        }
        Reply::Double(n) => w.double(*n),
        Reply::Bool(b) => w.boolean(*b),
        Reply::Big(digits) => w.bulk_str(digits),
    }
}
