//! The reply guard and decoder against our own encoder, against `redis-protocol`, and against hostile peers.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use gs_resp::{
    DecodeError, GuardError, GuardLimits, Protocol, Refusal, Reply, ReplyGuard, Writer, decode_reply,
};
use proptest::prelude::*;

fn reply() -> impl Strategy<Value = Reply> {
    let leaf = prop_oneof![
        "[ -~]{0,12}".prop_map(Reply::Simple),
        Just(Reply::Simple("HELLO 3".into())),
        "[a-z ]{0,12}".prop_map(|text| Reply::Error(format!("ERR {text}"))),
        any::<i64>().prop_map(Reply::Int),
        prop::collection::vec(any::<u8>(), 0..24).prop_map(|bytes| Reply::Bulk(Bytes::from(bytes))),
        Just(Reply::Null),
        any::<f64>().prop_filter("NaN is not equal to itself", |n| !n.is_nan()).prop_map(Reply::Double),
        any::<bool>().prop_map(Reply::Bool),
        "-?[1-9][0-9]{19,30}".prop_map(Reply::Big),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let list = || prop::collection::vec(inner.clone(), 0..6);
        prop_oneof![
            list().prop_map(Reply::Array),
            list().prop_map(Reply::Set),
            list().prop_map(Reply::Push),
            prop::collection::vec((inner.clone(), inner.clone()), 0..4).prop_map(Reply::Map),
        ]
    })
}

fn write(w: &mut Writer<'_>, reply: &Reply) {
    match reply {
        Reply::Simple(text) => w.simple(text),
        Reply::Error(text) => w.error(&Refusal::err(text.strip_prefix("ERR ").unwrap().to_owned())),
        Reply::Int(n) => w.int(*n),
        Reply::Bulk(bytes) => w.bulk(bytes),
        Reply::Null => w.null(),
        Reply::Double(n) => w.double(*n),
        Reply::Bool(truth) => w.boolean(*truth),
        Reply::Big(digits) => w.big_number(digits),
        Reply::Array(values) => {
            w.array(values.len());
            values.iter().for_each(|value| write(w, value));
        }
        Reply::Set(values) => {
            w.set(values.len());
            values.iter().for_each(|value| write(w, value));
        }
        Reply::Push(values) => {
            w.push(values.len());
            values.iter().for_each(|value| write(w, value));
        }
        Reply::Map(pairs) => {
            w.map(pairs.len());
            for (key, value) in pairs {
                write(w, key);
                write(w, value);
            }
        }
    }
}

fn encoded(reply: &Reply, proto: Protocol) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut Writer::new(&mut out, proto), reply);
    out
}

fn guard_error(bytes: &[u8]) -> GuardError {
    ReplyGuard::new().advance(bytes).unwrap_err()
}

fn of_resp2(frame: redis_protocol::resp2::types::OwnedFrame) -> Reply {
    use redis_protocol::resp2::types::OwnedFrame as F;
    match frame {
        F::SimpleString(bytes) => Reply::Simple(String::from_utf8(bytes).unwrap()),
        F::Error(text) => Reply::Error(text),
        F::Integer(n) => Reply::Int(n),
        F::BulkString(bytes) => Reply::Bulk(Bytes::from(bytes)),
        F::Array(frames) => Reply::Array(frames.into_iter().map(of_resp2).collect()),
        F::Null => Reply::Null,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    // What one node writes another must read as it was meant, map order, double keys and odd keys included.
    #[test]
    fn what_the_writer_writes_the_decoder_reads(reply in reply()) {
        prop_assert_eq!(decode_reply(&encoded(&reply, Protocol::Resp3)).unwrap(), reply);
    }

    #[test]
    fn in_resp2_the_decoder_agrees_with_redis_protocol(reply in reply()) {
        let bytes = encoded(&reply, Protocol::Resp2);
        let (oracle, used) = redis_protocol::resp2::decode::decode(&bytes).unwrap().unwrap();
        prop_assert_eq!(used, bytes.len());
        prop_assert_eq!(decode_reply(&bytes).unwrap(), of_resp2(oracle));
    }

    // The guard must find the same ends however the bytes come, and none too early.
    #[test]
    fn the_guard_finds_each_end_at_any_split(
        replies in prop::collection::vec(reply(), 1..4),
        resp3: bool,
        step in 1usize..9,
    ) {
        let proto = if resp3 { Protocol::Resp3 } else { Protocol::Resp2 };
        let pieces: Vec<Vec<u8>> = replies.iter().map(|reply| encoded(reply, proto)).collect();
        let bytes = pieces.concat();
        let (mut guard, mut start, mut end, mut lens) = (ReplyGuard::new(), 0, 0, Vec::new());
        while end < bytes.len() {
            end = (end + step).min(bytes.len());
            while let Some(len) = guard.advance(&bytes[start..end]).unwrap() {
                lens.push(len);
                start += len;
            }
        }
        prop_assert_eq!(lens, pieces.iter().map(Vec::len).collect::<Vec<_>>());
    }

    #[test]
    fn no_bytes_panic_and_what_is_guarded_ends_where_the_decoder_ends(
        bytes in "([*$%~>|:,#_+(!=-][-0-9a-z]{0,2}(\r\n)?){0,12}",
    ) {
        let bytes = bytes.as_bytes();
        if let Ok(Some(len)) = ReplyGuard::new().advance(bytes) {
            let decoded = decode_reply(&bytes[..len]);
            prop_assert!(
                matches!(decoded, Ok(_) | Err(DecodeError::Malformed(_))),
                "{:?} gave {:?}", &bytes[..len], decoded
            );
        }
        let _ = decode_reply(bytes);
    }

    #[test]
    fn no_random_bytes_panic(bytes: Vec<u8>) {
        let guarded = ReplyGuard::new().advance(&bytes);
        prop_assert!(!matches!(guarded, Ok(Some(len)) if len > bytes.len()));
        let _ = decode_reply(&bytes);
    }
}

// A few kilobytes of open arrays overflow the stack of a decoder that recurses.
#[test]
fn deep_nesting_is_refused_without_recursion() {
    for head in ["*1\r\n", "~1\r\n", ">1\r\n", "%1\r\n", "|1\r\n", "|0\r\n"] {
        assert_eq!(guard_error(head.repeat(1_000_000).as_bytes()), GuardError::TooDeep, "{head:?}");
    }
    let deepest = format!("{}:1\r\n", "*1\r\n".repeat(32));
    assert_eq!(ReplyGuard::new().advance(deepest.as_bytes()), Ok(Some(deepest.len())));
    assert!(decode_reply(deepest.as_bytes()).is_ok());
    let deeper = format!("*1\r\n{deepest}");
    assert_eq!(guard_error(deeper.as_bytes()), GuardError::TooDeep);
    assert_eq!(decode_reply(deeper.as_bytes()), Err(GuardError::TooDeep.into()));
}

#[test]
fn declared_sizes_are_refused_before_their_bytes_arrive() {
    assert_eq!(guard_error(b"*1048577\r\n"), GuardError::TooManyElements);
    assert_eq!(guard_error(b"%9223372036854775807\r\n"), GuardError::TooManyElements);
    assert_eq!(guard_error(b"*2\r\n*1048575\r\n"), GuardError::TooManyElements);
    assert_eq!(guard_error(b"$536870913\r\n"), GuardError::BulkTooLong);
    assert_eq!(guard_error(b"$9223372036854775807\r\n"), GuardError::BulkTooLong);
    let none =
        GuardLimits { bulk_bytes_max: usize::MAX, reply_bytes_max: usize::MAX, ..GuardLimits::DEFAULT };
    let mut unbounded = ReplyGuard::with_limits(none);
    assert_eq!(unbounded.advance(b"$9223372036854775807\r\n"), Ok(None));
    let mut small = ReplyGuard::with_limits(GuardLimits { reply_bytes_max: 16, ..GuardLimits::DEFAULT });
    assert_eq!(small.advance(b"*2\r\n$4\r\nabcd\r\n$4\r\n"), Err(GuardError::ReplyTooLong));
    assert_eq!(small.advance(b":1\r\n"), Ok(Some(4)), "starts over after an error");
}

#[test]
fn what_is_no_reply_is_refused() {
    for (bytes, expected) in [
        ("PING\r\n", GuardError::UnknownType(b'P')),
        ("HELLO 3\r\n", GuardError::UnknownType(b'H')),
        ("$?\r\n", GuardError::Length),
        ("*?\r\n", GuardError::Length),
        ("*-2\r\n", GuardError::Length),
        ("%-1\r\n", GuardError::Length),
        ("!-1\r\n", GuardError::Length),
        ("*01\r\n", GuardError::Length),
        ("=2\r\nab\r\n", GuardError::Length),
        ("=3\r\ntxt\r\n", GuardError::Length),
        ("+a\rb", GuardError::Terminator),
        ("$1\r\nabc", GuardError::Terminator),
    ] {
        assert_eq!(guard_error(bytes.as_bytes()), expected, "{bytes:?}");
    }
    assert_eq!(guard_error(&[b'+'; 70_000]), GuardError::LineTooLong);
}

#[test]
fn replies_read_as_they_are_meant() {
    let text = |text: &str| Reply::Bulk(Bytes::copy_from_slice(text.as_bytes()));
    let cases = [
        ("$-1\r\n", Reply::Null),
        ("*-1\r\n", Reply::Null),
        ("_\r\n", Reply::Null),
        ("=7\r\ntxt:abc\r\n", text("abc")),
        ("!8\r\nERR a\r\nb\r\n", Reply::Error("ERR a\r\nb".into())),
        (",inf\r\n", Reply::Double(f64::INFINITY)),
        (",-inf\r\n", Reply::Double(f64::NEG_INFINITY)),
        ("#t\r\n", Reply::Bool(true)),
        ("|1\r\n+ttl\r\n:3600\r\n$1\r\na\r\n", text("a")),
        ("*2\r\n|1\r\n+k\r\n+v\r\n:1\r\n:2\r\n", Reply::Array(vec![Reply::Int(1), Reply::Int(2)])),
        (
            "*2\r\n+message\r\n+x\r\n",
            Reply::Array(vec![Reply::Simple("message".into()), Reply::Simple("x".into())]),
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(ReplyGuard::new().advance(bytes.as_bytes()), Ok(Some(bytes.len())), "{bytes:?}");
        assert_eq!(decode_reply(bytes.as_bytes()), Ok(expected), "{bytes:?}");
    }
    assert_eq!(decode_reply(b":1\r\n:2\r\n"), Err(DecodeError::Trailing(4)));
    assert_eq!(decode_reply(b"*2\r\n:1\r\n"), Err(DecodeError::Incomplete));
    for malformed in ["#x\r\n", ",x\r\n", ":x\r\n", "=7\r\nxyz:abc\r\n"] {
        assert!(
            matches!(decode_reply(malformed.as_bytes()), Err(DecodeError::Malformed(_))),
            "{malformed:?}"
        );
    }
}

#[test]
fn an_error_tells_its_code() {
    let reply = decode_reply(b"-WRONGTYPE Operation\r\n").unwrap();
    assert_eq!(reply.error_code(), Some(gs_resp::Code::WrongType));
    assert_eq!(decode_reply(b"-MOVED 1 a:1\r\n").unwrap().error_code(), None);
    assert_eq!(decode_reply(b"$2\r\n42\r\n").unwrap().as_int(), Some(42));
}
