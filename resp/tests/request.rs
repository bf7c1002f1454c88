//! The request parser against the ways bytes really arrive, against `redis-protocol`, and against hostile lengths.
#![allow(clippy::unwrap_used)]

use gs_resp::{Limits, OwnedArgs, Parsed, Parser, ProtocolError, encode_command, is_cross_protocol};
use proptest::prelude::*;

const SMALL: Limits = Limits {
    args_max: 8,
    bulk_bytes_max: 64,
    inline_bytes_max: 48,
    request_bytes_max: 256,
    authenticated: true,
};

type Outcome = (Vec<Vec<Vec<u8>>>, Result<usize, ProtocolError>);

/// Feeds `bytes` cut at `cuts` as a connection would; returns the commands and the bytes left, or the error.
fn feed(bytes: &[u8], cuts: &[usize], limits: &Limits) -> Outcome {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.push(bytes.len());
    cuts.sort_unstable();
    let (mut parser, mut commands, mut start) = (Parser::new(), Vec::new(), 0);
    for end in cuts {
        loop {
            let buf = &bytes[start..end];
            match parser.advance(buf, limits) {
                Err(error) => return (commands, Err(error)),
                Ok(Parsed::Incomplete) => break,
                Ok(Parsed::Empty { consumed }) => start += consumed,
                Ok(Parsed::Command { consumed }) => {
                    commands.push(parser.args(buf).iter().map(<[u8]>::to_vec).collect());
                    start += consumed;
                }
            }
        }
    }
    (commands, Ok(bytes.len() - start))
}

fn error(bytes: &[u8], limits: &Limits) -> String {
    match Parser::new().advance(bytes, limits) {
        Err(error) => error.to_string(),
        Ok(parsed) => panic!("{:?} gave {parsed:?}", String::from_utf8_lossy(bytes)),
    }
}

fn command() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..8)
}

/// Bytes that look like requests often enough to reach every branch.
fn nearly_requests() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => command().prop_map(|words| {
            let mut out = Vec::new();
            encode_command(&mut out, &words.iter().map(Vec::as_slice).collect::<Vec<_>>());
            out
        }),
        2 => "[ a-z'\"\\\\x0-9]{0,60}\r?\n".prop_map(String::into_bytes),
        2 => "[*$][-0-9]{0,3}\r\n".prop_map(String::into_bytes),
        1 => "[*$\r\n0-9a]{0,12}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    // However TCP cuts a stream, the server must see the same commands and the same error.
    #[test]
    fn any_split_gives_the_same_commands(bytes in nearly_requests(), cuts: Vec<usize>) {
        let whole = feed(&bytes, &[], &SMALL);
        prop_assert_eq!(&feed(&bytes, &cuts, &SMALL), &whole);
        let each_byte: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(&feed(&bytes, &each_byte, &SMALL), &whole);
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let (_, left) = feed(&bytes, &[], &SMALL);
        prop_assert!(left.is_err() || left.unwrap() <= bytes.len());
    }

    // A second, independent reader of the same format must agree on every well-formed request.
    #[test]
    fn multibulks_read_as_redis_protocol_reads_them(commands in prop::collection::vec(command(), 1..5)) {
        use redis_protocol::resp2::{decode::decode, types::OwnedFrame};
        let mut bytes = Vec::new();
        for words in &commands {
            encode_command(&mut bytes, &words.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
        let (mut oracle, mut rest) = (Vec::new(), &bytes[..]);
        while let Some((OwnedFrame::Array(frames), used)) = decode(rest).unwrap() {
            let words = frames.into_iter().map(|frame| match frame {
                OwnedFrame::BulkString(bytes) => bytes,
                other => panic!("{other:?}"),
            });
            oracle.push(words.collect::<Vec<_>>());
            rest = &rest[used..];
        }
        let (parsed, left) = feed(&bytes, &[], &Limits::AFTER_AUTH);
        prop_assert_eq!(left, Ok(0));
        prop_assert_eq!(&parsed, &oracle);
        prop_assert_eq!(&parsed, &commands);
    }

    #[test]
    fn owned_words_are_the_words(words in command()) {
        let owned = OwnedArgs::from_iter(&words);
        prop_assert_eq!(owned.as_args().iter().map(<[u8]>::to_vec).collect::<Vec<_>>(), words);
    }
}

#[test]
fn clients_see_redis_s_words_for_each_broken_request() {
    let known = Limits::AFTER_AUTH;
    for bad in ["*x\r\n", "*\r\n", "*01\r\n", "*+1\r\n", "*65537\r\n", "*2147483648\r\n", "*1\rx"] {
        assert_eq!(error(bad.as_bytes(), &known), "Protocol error: invalid multibulk length", "{bad:?}");
    }
    for bad in ["$x\r\n", "$-1\r\n", "$\r\n", "$536870913\r\n", "$99999999999999999999\r\n", "$1\rx"] {
        let bytes = format!("*1\r\n{bad}");
        assert_eq!(error(bytes.as_bytes(), &known), "Protocol error: invalid bulk length", "{bad:?}");
    }
    assert_eq!(error(b"*1\r\nx3\r\nGET\r\n", &known), "Protocol error: expected '$', got 'x'");
    assert_eq!(error(b"*2\r\n$3\r\nGET\r\n:1\r\n", &known), "Protocol error: expected '$', got ':'");
    assert_eq!(error(b"set \"a\r\n", &known), "Protocol error: unbalanced quotes in request");
    assert_eq!(error(&[b'a'; 70_000], &known), "Protocol error: too big inline request");
    assert_eq!(error(&[b'*'; 70_000], &known), "Protocol error: too big mbulk count string");
    assert_eq!(
        error(&[b"*1\r\n$".as_slice(), &[b'1'; 70_000]].concat(), &known),
        "Protocol error: too big bulk count string"
    );
    assert_eq!(error(b"*1\r\n$1\r\nab\r\n", &known), "Protocol error: invalid bulk terminator");
    // What an error repeats cannot end its line: the refusal is encoded with spaces.
    let bare_line = Parser::new().advance(b"*1\r\n\r\n", &known).unwrap_err();
    let mut out = Vec::new();
    gs_resp::Writer::new(&mut out, gs_resp::Protocol::Resp2).error(&bare_line.refusal());
    assert_eq!(out, b"-ERR Protocol error: expected '$', got ' '\r\n");
}

#[test]
fn a_stranger_is_refused_on_the_declared_length_alone() {
    let stranger = Limits::BEFORE_AUTH;
    assert_eq!(error(b"*11\r\n", &stranger), "Protocol error: unauthenticated multibulk length");
    assert_eq!(error(b"*1\r\n$16385\r\n", &stranger), "Protocol error: unauthenticated bulk length");
    assert_eq!(error(b"*1\r\n$536870913\r\n", &stranger), "Protocol error: invalid bulk length");
    assert_eq!(error(b"*2147483648\r\n", &stranger), "Protocol error: invalid multibulk length");
    assert_eq!(
        error(b"1 2 3 4 5 6 7 8 9 10 11\r\n", &stranger),
        "Protocol error: unauthenticated multibulk length"
    );
    let ok = feed(b"*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$1\r\np\r\n", &[], &stranger);
    assert_eq!(ok, (vec![vec![b"AUTH".to_vec(), b"u".to_vec(), b"p".to_vec()]], Ok(0)));
}

#[test]
fn a_request_is_bounded_as_a_whole_before_its_last_word_arrives() {
    let limits = Limits { request_bytes_max: 100, ..Limits::AFTER_AUTH };
    assert_eq!(error(b"*2\r\n$3\r\nSET\r\n$90\r\n", &limits), "Protocol error: too big request");
    let huge = Limits { request_bytes_max: usize::MAX, bulk_bytes_max: usize::MAX, ..Limits::AFTER_AUTH };
    assert_eq!(error(b"*1\r\n$9223372036854775807\r\n", &huge), "Protocol error: too big request");
}

// A request that is there as a whole is read another way than one that comes in pieces: words of every length of up to
// four digits, at the limits and beyond them, come to the same.
#[test]
fn whole_and_in_pieces_is_the_same_for_every_length() {
    let limits = Limits { bulk_bytes_max: 1000, request_bytes_max: 1100, ..Limits::AFTER_AUTH };
    for len in (0..=1101).filter(|len| *len < 130 || len % 50 < 2 || *len > 985) {
        let word = vec![b'w'; len];
        for others in [0, 1, 8, 9] {
            let mut words = vec![&b"x"[..]; others];
            words.push(&word);
            let mut bytes = Vec::new();
            encode_command(&mut bytes, &words);
            let whole = feed(&bytes, &[], &limits);
            assert_eq!(whole, feed(&bytes, &[1, 3, 5], &limits), "{len} behind {others}");
            let refused = bytes.len() > 1100 || len > 1000;
            assert_eq!(whole.1.is_err(), refused, "{len} behind {others}");
            assert!(refused || whole.0[0].iter().map(Vec::as_slice).eq(words), "{len} behind {others}");
        }
    }
    for bad in ["*1\r\n$03\r\nabc\r\n", "*1\r\n$3\nabc\r\n", "*1\r\n$3\r\nabcd\n", "*1\r\n$:3\r\nabc\r\n"] {
        let whole = feed(bad.as_bytes(), &[], &limits);
        assert_eq!(whole, feed(bad.as_bytes(), &[1], &limits), "{bad:?}");
    }
}

#[test]
fn nothing_asked_is_nothing_answered() {
    for (bytes, consumed) in
        [("\r\n", 2), ("\n", 1), ("   \r\n", 5), ("*0\r\n", 4), ("*-1\r\n", 5), ("*-9\r\nPING", 5)]
    {
        let parsed = Parser::new().advance(bytes.as_bytes(), &SMALL);
        assert_eq!(parsed, Ok(Parsed::Empty { consumed }), "{bytes:?}");
    }
    let (commands, left) = feed(b"\r\nPING\r\n*0\r\n*1\r\n$4\r\nPING\r\necho 'a b'\nGE", &[], &SMALL);
    let expected: [&[&[u8]]; 3] = [&[b"PING"], &[b"PING"], &[b"echo", b"a b"]];
    assert_eq!(commands, expected);
    assert_eq!(left, Ok(2));
}

#[test]
fn a_caller_can_reserve_for_a_word_that_is_on_its_way() {
    let mut parser = Parser::new();
    let head = b"*2\r\n$3\r\nSET\r\n$50\r\nabc";
    assert_eq!(parser.advance(head, &SMALL), Ok(Parsed::Incomplete));
    assert_eq!(parser.needed(), head.len() - 3 + 50 + 2);
}

#[test]
fn a_browser_is_recognised_by_its_first_word() {
    assert!(is_cross_protocol(b"POST") && is_cross_protocol(b"host:"));
    assert!(!is_cross_protocol(b"GET") && !is_cross_protocol(b"Host"));
}
