//! The calls. A script is written as it would be typed; `\r`, `\n`, `\0` and `\xHH` stand for their
//! bytes, `""` for an empty argument, `;` ends a call.

use super::{Call, Script};

/// Numbers at the edges of what an argument may be.
const NUMBERS: [&str; 20] = [
    "-1",
    "0",
    "1",
    "100",
    "-9223372036854775808",
    "9223372036854775807",
    "9223372036854775808",
    "9223372036854775",
    "9223372036854776",
    "-9223372036854776",
    "18446744073709551616",
    "1.5",
    "1e3",
    "abc",
    "+1",
    "01",
    "-0",
    "\"\"",
    "\" 1\"",
    "0x10",
];

fn word(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => {}
            b'\\' => match rest.next() {
                Some(b'r') => out.push(b'\r'),
                Some(b'n') => out.push(b'\n'),
                Some(b'0') => out.push(0),
                Some(b'x') => {
                    let hex: String = rest.by_ref().take(2).map(char::from).collect();
                    out.push(u8::from_str_radix(&hex, 16).expect("\\x takes two hex digits"));
                }
                other => out.extend(other),
            },
            byte => out.push(byte),
        }
    }
    out
}

/// Words between spaces; quotes keep spaces together.
fn call(line: &str) -> Call {
    let mut words: Vec<String> = vec![String::new()];
    let (mut quoted, mut fresh) = (false, true);
    for c in line.trim().chars() {
        match c {
            '"' => (quoted, fresh) = (!quoted, false),
            ' ' if !quoted => {
                if !fresh {
                    words.push(String::new());
                }
                fresh = true;
                continue;
            }
            _ => fresh = false,
        }
        words.last_mut().expect("there is always a word").push(c);
    }
    Call::Words(words.iter().map(|w| word(w)).collect())
}

pub(crate) fn script(text: &str) -> Script {
    Script { calls: text.split(';').filter(|c| !c.trim().is_empty()).map(call).collect() }
}

pub(crate) fn scripts(texts: &[&str]) -> Vec<Script> {
    texts.iter().map(|t| script(t)).collect()
}

/// `template` once for every number, in place of `N`.
pub(crate) fn with_numbers(templates: &[&str]) -> Vec<Script> {
    let each = |t: &&str| NUMBERS.iter().map(|n| script(&t.replace('N', n))).collect::<Vec<_>>();
    templates.iter().flat_map(each).collect()
}

/// Values, sizes, types and options of the string commands.
pub(crate) fn strings() -> Vec<Script> {
    let mut all = scripts(&[
        "GET a; SET a 1; GET a; set A x; GET a; GeT A; STRLEN a",
        r#"SET a \0\xff\r\n; GET a; ECHO \0\xff\r\n; SET \0\r\n x; GET \0\r\n; EXISTS \0\r\n"#,
        r#"SET a ""; GET a; SET "" x; GET ""; DEL """#,
        "SET a 1; SETNX a 2; SETNX b 3; MGET a b c; MGET; MGET a a a",
        "SET a 1 EX 100; SET a 2; TTL a; SET a 3 EX 100; SET a 4 KEEPTTL; TTL a",
        "SET a 1 GET; SET a 2 GET; SET a 3 NX GET; SET a 4 XX GET; GET a; SET b 1 XX GET; GET b",
        "SET a 1 EX; SET a 1 PX; SET a 1 EX abc; SET a 1 EX 0; SET a 1 EX -1; SET a 1 PX 0; GET a",
        "SET a 1 EXAT 1; GET a; SET b 1 PXAT 1; GET b; SET c 1 EXAT 3400000000; TTL c; PTTL c",
        "SET a 1 NX XX; SET a 1 EX 10 PX 10; SET a 1 EX 10 KEEPTTL; SET a 1 nonsense; SET a 1 EX 10 nonsense; GET a",
        "SETEX a 100 x; TTL a; GET a; SETEX a 0 x; SETEX a -5 x; SETEX a abc x; PSETEX b 100000 y; TTL b; PSETEX b 0 y",
        "SET a x; DEL a; DEL a; SET a x; SET b y; DEL a b c a; UNLINK a; SET a x; UNLINK a a b",
        "SET a x; EXISTS a; EXISTS a a a; EXISTS nope; EXISTS a nope",
        "SET a 1 ex 100 nx; TTL a; SET a 2 px 100000 Nx; GET a; SET a 3 xX pX 200000; TTL a; GET a",
    ]);
    all.extend(with_numbers(&[
        "SET a 1 EX N; TTL a; GET a",
        "SET a 1 PX N; GET a; EXISTS a",
        "SET a 1 EXAT N; GET a; EXISTS a",
        "SET a 1 PXAT N; GET a; EXISTS a",
        "SETEX a N x; GET a",
        "PSETEX a N x; EXISTS a",
    ]));
    // A deadline one millisecond away is not compared: it may pass between two calls.
    all.retain(|s| !matches!(&s.calls[0], Call::Words(w) if w.len() > 2 && ms_near(w)));
    all
}

fn ms_near(words: &[Vec<u8>]) -> bool {
    let one = |w: &Vec<u8>| w.as_slice() == b"1" || w.as_slice() == b"100";
    match words[0].as_slice() {
        b"SET" => words.len() == 5 && words[3] == b"PX" && one(&words[4]),
        b"PSETEX" => one(&words[2]),
        b"PEXPIRE" => one(&words[2]),
        _ => false,
    }
}

/// Every ordered choice of up to three options, over an absent and a present key.
pub(crate) fn set_options() -> Vec<Script> {
    let options =
        ["EX 100", "px 200000", "EXAT 3400000000", "pxat 3400000000000", "KEEPTTL", "NX", "xx", "GET"];
    let mut choices: Vec<Vec<&str>> = options.iter().map(|o| vec![*o]).collect();
    for a in options {
        for b in options {
            choices.push(vec![a, b]);
            for c in options {
                choices.push(vec![a, b, c]);
            }
        }
    }
    let script_of = |choice: &Vec<&str>| {
        let options = choice.join(" ");
        script(&format!(
            "SET a new {options}; GET a; TTL a; SET b old EX 50; SET b new {options}; GET b; TTL b"
        ))
    };
    choices.iter().map(script_of).collect()
}

/// Deadlines set, asked and removed.
pub(crate) fn expiry() -> Vec<Script> {
    let mut all = scripts(&[
        "TTL a; PTTL a; EXPIRE a 10; PEXPIRE a 10; SET a x; TTL a; PTTL a; EXPIRE a 100; TTL a; PTTL a",
        "SET a x EX 100; EXPIRE a 0; EXISTS a; SET a x; EXPIRE a -1; EXISTS a; SET a x; PEXPIRE a -100; GET a",
        "SET a x; EXPIRE a 100 NX; TTL a; EXPIRE a 200 NX; TTL a; EXPIRE a 200 XX; TTL a",
        "SET a x EX 100; EXPIRE a 50 GT; TTL a; EXPIRE a 200 GT; TTL a; EXPIRE a 300 LT; TTL a; EXPIRE a 50 LT; TTL a",
        "SET a x; EXPIRE a 100 GT; TTL a; EXPIRE a 100 LT; TTL a; EXPIRE b 100 XX; EXPIRE a 100 NX XX",
        "SET a x; EXPIRE a 100 GT LT; EXPIRE a 100 NX GT; EXPIRE a 100 XX GT; EXPIRE a 100 WHAT; EXPIRE a 100 XX XX; TTL a",
        "SET a x; PEXPIRE a 100000 NX; TTL a; PEXPIRE a 200000 xx; TTL a; PEXPIRE a 100 WHAT",
    ]);
    all.extend(with_numbers(&[
        "SET a x; EXPIRE a N; TTL a; GET a",
        "SET a x EX 50; EXPIRE a N; TTL a; GET a",
        "EXPIRE nope N",
    ]));
    let far = with_numbers(&["SET a x; PEXPIRE a N; EXISTS a"]);
    // 100 ms and less may pass between two calls.
    let near = |s: &Script| matches!(&s.calls[1], Call::Words(w) if ms_near(w));
    all.extend(far.into_iter().filter(|s| !near(s)));
    all
}

/// What is there, by pattern and by cursor, in several databases.
pub(crate) fn keyspace() -> Vec<Script> {
    let mut all = scripts(&[
        "DBSIZE; SET a 1; SET b 2; DBSIZE; SELECT 1; DBSIZE; SET a 3; DBSIZE; SELECT 0; DBSIZE; GET a",
        "SELECT 15; SET a 1; GET a; SELECT 16; SELECT -1; SELECT abc; GET a; SELECT 0; GET a",
        "TYPE a; SET a 1; TYPE a; TYPE",
        "SET a 1; SET b 2; KEYS *; KEYS a; KEYS nope; KEYS [ab]; KEYS [^a]; KEYS ?; KEYS \\\\a",
        "SET user:1 x; SET user:2 x; SET other x; KEYS user:*; KEYS *:?; KEYS *er*; KEYS user:[1-1]; KEYS **; KEYS u*r:*",
        "SET a 1; SCAN 0; SCAN 0 MATCH b*; SCAN 0 COUNT 100; SCAN 0 MATCH a COUNT 10; SCAN 0 TYPE string; SCAN 0 TYPE hash",
        "SCAN; SCAN abc; SCAN 0 COUNT; SCAN 0 COUNT 0; SCAN 0 COUNT -1; SCAN 0 COUNT abc; SCAN 0 MATCH; SCAN 0 NONSENSE x",
        "SCAN -1; SCAN 1.5; SCAN \"\"; SCAN 99999999999999999999999999",
        "SET a 1; FLUSHDB; GET a; SET a 1; SELECT 1; SET b 1; FLUSHDB; SELECT 0; GET a; FLUSHALL; GET a; DBSIZE",
        "FLUSHDB ASYNC; FLUSHDB SYNC; FLUSHALL async; FLUSHALL sync; FLUSHDB NOW; FLUSHALL ASYNC SYNC",
        "SET a 1 PX 100000; SET b 1; DBSIZE; EXISTS a b",
    ]);
    all.extend(with_numbers(&["SELECT N; SET a 1; DBSIZE", "SCAN 0 COUNT N"]));
    all
}

/// MULTI and what may go wrong in it.
pub(crate) fn transactions() -> Vec<Script> {
    scripts(&[
        "MULTI; SET a 1; GET a; EXEC; GET a",
        "MULTI; EXEC; MULTI; DISCARD; GET a",
        "EXEC; MULTI; DISCARD; EXEC",
        "DISCARD; MULTI; MULTI; SET a 1; EXEC; GET a",
        "MULTI; SET a 1; DISCARD; GET a",
        "MULTI; GET; SET a 1; EXEC; GET a",
        "MULTI; NOSUCH x; SET a 1; EXEC; GET a",
        "MULTI; SET a 1 EX abc; SET b 2; EXEC; GET a; GET b",
        "MULTI; SET a 1 EX 100; TTL a; EXPIRE a 200; TTL a; DEL a; GET a; EXEC",
        "MULTI; SELECT 1; SET a one; SELECT 0; GET a; EXEC; GET a",
        "MULTI; PING; PING x; ECHO y; DBSIZE; TYPE a; EXISTS a; MGET a b; EXEC",
        "MULTI; SET a 1 GET; SET a 2 GET; SETNX a 3; EXEC",
        "MULTI x; EXEC x; DISCARD x; MULTI; EXEC x; DISCARD",
        "SET a 1; MULTI; FLUSHALL; GET a; EXEC; DBSIZE",
        "MULTI; PUBLISH c m; EXEC",
    ])
}

/// Connections and what a client asks when it connects.
pub(crate) fn connection() -> Vec<Script> {
    let mut all = scripts(&[
        "PING; PING hello; ping \\0\\xff; PING a b; ECHO hi; ECHO; ECHO a b",
        "HELLO; HELLO 2; HELLO 3; HELLO 2; HELLO 4; HELLO 1; HELLO abc; HELLO 3 AUTH; HELLO 3 SETNAME; HELLO 3 NONSENSE",
        "HELLO 3 SETNAME joe; CLIENT GETNAME; HELLO 2 SETNAME ann; CLIENT GETNAME",
        "AUTH x; AUTH default x; AUTH nobody x; AUTH; AUTH a b c; HELLO 3 AUTH nobody x; HELLO 2 AUTH default x",
        "CLIENT GETNAME; CLIENT SETNAME joe; CLIENT GETNAME; CLIENT SETNAME \"a b\"; CLIENT SETNAME \"\"; CLIENT GETNAME; CLIENT SETNAME a\\nb",
        "CLIENT ID; CLIENT; CLIENT NONSENSE; CLIENT ID x; CLIENT GETNAME x; CLIENT SETNAME; client id",
        "SELECT 0; SELECT; SELECT 0 1; SELECT 1",
        "CONFIG GET nosuch; CONFIG GET databases; CONFIG GET maxclients; CONFIG GET; CONFIG NONSENSE; CONFIG",
        "INFO; INFO server; INFO nosuch; INFO server clients",
        "NOSUCH; NOSUCH a b c; nosuch \"a b\" \\r\\n; \"\"; get; \"GET \" a",
        "NOSUCH aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b c d e f g h i j k l m n o p q r s t u v w x y z",
        "QUIT",
        "SET a 1; QUIT",
    ]);
    all.extend(with_numbers(&["HELLO N"]));
    all
}

/// Channels, patterns, and what a subscriber may not do.
pub(crate) fn pubsub() -> Vec<Script> {
    scripts(&[
        "SUBSCRIBE c; PUBLISH c m; PSUBSCRIBE c*; PUBLISH c m; PUBLISH d m; SSUBSCRIBE s; SPUBLISH s m; UNSUBSCRIBE c; PUBLISH c m; PUNSUBSCRIBE; PUBLISH c m",
        "PUBLISH c m; PUBSUB NUMSUB; PUBSUB NUMSUB a b; PUBSUB NUMPAT; PUBSUB CHANNELS; PUBSUB CHANNELS a*; PUBSUB; PUBSUB NONSENSE",
        "SUBSCRIBE a; SUBSCRIBE a b c; PING; PING x; UNSUBSCRIBE a; UNSUBSCRIBE nope; UNSUBSCRIBE c; UNSUBSCRIBE; PING",
        "PSUBSCRIBE a*; PSUBSCRIBE a* b?; PUNSUBSCRIBE a*; PUNSUBSCRIBE; PING",
        "UNSUBSCRIBE; PUNSUBSCRIBE; UNSUBSCRIBE a b; PUNSUBSCRIBE x",
        "SUBSCRIBE a; GET a; SET a 1; MULTI1; NOSUCH; SUBSCRIBE b; UNSUBSCRIBE a b; GET a",
        "SUBSCRIBE a; PSUBSCRIBE p*; UNSUBSCRIBE; PUNSUBSCRIBE; GET a",
        "SUBSCRIBE \\0\\r\\n; UNSUBSCRIBE \\0\\r\\n",
        "SUBSCRIBE a; QUIT",
    ])
}

/// Requests byte by byte: inline commands, and frames that are none.
pub(crate) fn raw() -> Vec<Script> {
    let lines: [&[u8]; 27] = [
        b"PING\r\n",
        b"PING\n",
        b"\r\n\r\nPING\r\n",
        b"   ping   \r\n",
        b"SET a \"x y\"\r\nGET a\r\n",
        b"SET a 'x y'\r\nGET a\r\n",
        b"SET a \"\\x00\\xff\\n\\\"\"\r\nGET a\r\n",
        b"SET a 'it\\'s'\r\nGET a\r\n",
        b"SET a \"\"\r\nGET a\r\n",
        b"SET a \"x\r\n",
        b"SET a 'x\r\n",
        b"SET a \"x\"y\r\n",
        b"*0\r\n",
        b"*-1\r\n",
        b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n",
        b"*abc\r\n",
        b"*1\r\n$abc\r\n",
        b"*1\r\n+PING\r\n",
        b"*1\r\n:1\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n$999999999999\r\n",
        b"*9223372036854775808\r\n",
        b"*1\r\n$0\r\n\r\n",
        b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$3\r\n\x00\r\n\r\n",
        b"GET a b c\r\n",
        b"NOSUCH inline words\r\n",
    ];
    lines.iter().map(|raw| Script { calls: vec![Call::Raw(raw.to_vec())] }).collect()
}

/// Every command with too few and too many words.
pub(crate) fn arity() -> Vec<Script> {
    let names = [
        "AUTH",
        "CLIENT",
        "CLIENT GETNAME",
        "CLIENT ID",
        "CLIENT SETNAME",
        "CONFIG GET",
        "DBSIZE",
        "DEL",
        "DISCARD",
        "ECHO",
        "EXEC",
        "EXISTS",
        "EXPIRE",
        "FLUSHALL",
        "FLUSHDB",
        "GET",
        "KEYS",
        "MGET",
        "MULTI",
        "PEXPIRE",
        "PSETEX",
        "PSUBSCRIBE",
        "PTTL",
        "PUBLISH",
        "PUBSUB",
        "PUBSUB NUMPAT",
        "SCAN",
        "SELECT",
        "SET",
        "SETEX",
        "SETNX",
        "SUBSCRIBE",
        "TTL",
        "TYPE",
        "UNLINK",
    ];
    let mut all = Vec::new();
    for name in names {
        // A script with MULTI in it has no sentinels; these calls never leave a transaction open.
        if name == "MULTI" {
            all.push(script("MULTI a; MULTI a b; GET x"));
            continue;
        }
        for words in 0..2 {
            all.push(script(&format!("{name}{}", " x".repeat(words))));
        }
        if !matches!(name, "DEL" | "EXISTS" | "MGET" | "UNLINK" | "SUBSCRIBE" | "PSUBSCRIBE") {
            all.push(script(&format!("{name}{}", " x".repeat(9))));
        }
    }
    all
}
