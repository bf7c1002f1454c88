//! Calls made from a grammar: mostly right, sometimes with a word too many, too few, or of the wrong sort.

use super::grammar::{Arg, Grammar};

/// What is drawn: the same seed gives the same calls on every machine.
pub(crate) struct Random(fastrand::Rng);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(fastrand::Rng::with_seed(seed))
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0.usize(..n)
    }

    pub(crate) fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// True in `percent` of 100 cases.
    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

const SMALL: &[&str] = &["0", "1", "2", "3", "5", "-1", "-2", "10", "100"];
const EDGES: &[&str] = &[
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "-0",
    "+1",
    "01",
    "1.5",
    "abc",
    "",
    " 1",
    "0x10",
    "1e3",
];
const DOUBLES: &[&str] =
    &["1.5", "-2", "0", "3", "0.1", "1e3", "inf", "-inf", "nan", "abc", "", "1.7976931348623157e308"];
const STRINGS: &[&[u8]] = &[
    b"",
    b"a",
    b"value",
    b"10",
    b"-1",
    b"3.0",
    b"3.25",
    b"12345678901234567890",
    b"\0\xff\r\n",
    b"a string of more than forty-four bytes, and fewer than 64",
    b"ohmytext",
    b"mynewtext",
];
/// Far enough that no call sees it pass, and the edges.
const SECONDS: &[&str] =
    &["100", "1000", "100000", "0", "-1", "9223372036854775807", "9223372036854775", "abc", ""];
const MILLIS: &[&str] = &["100000", "1000000", "100000000", "0", "-1", "9223372036854775807", "abc", ""];
/// 2033, 1970 and the edges.
const UNIX_SECONDS: &[&str] = &["2000000000", "2000000100", "1", "0", "-1", "9223372036854775807", "abc"];
const UNIX_MILLIS: &[&str] =
    &["2000000000000", "2000000100000", "1", "0", "-1", "9223372036854775807", "abc"];
const PATTERNS: &[&str] = &["*", "s*", "?1", "[st]0", "none", "\\s0", "[^h]*", "*a*", ""];

/// The keys of a group: most calls meet a value of their own kind.
fn key(random: &mut Random, group: &str) -> Vec<u8> {
    let own = match group {
        "string" => "s",
        "hash" => "h",
        "set" => "t",
        "sorted-set" => "z",
        _ => "",
    };
    let letter = if own.is_empty() || random.chance(10) { *random.one(&["s", "h", "t", "z"]) } else { own };
    format!("{letter}{}", random.below(3)).into_bytes()
}

/// One call of a command.
pub(crate) fn call(random: &mut Random, of: &Grammar) -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = of.words.iter().map(|word| word.clone().into_bytes()).collect();
    if random.chance(20) {
        words.iter_mut().for_each(|word| word.make_ascii_uppercase());
    }
    let own = words.len();
    append(random, &mut words, &of.args, &of.group);
    match random.below(100) {
        0..=2 => words.push(b"extra".to_vec()),
        3..=5 if words.len() > own => drop(words.pop()),
        6..=8 if words.len() > own => {
            let place = own + random.below(words.len() - own);
            words[place] = random.one(EDGES).as_bytes().to_vec();
        }
        9..=10 if words.len() > own + 1 => {
            let place = own + random.below(words.len() - own - 1);
            words.swap(place, place + 1);
        }
        _ => {}
    }
    words
}

fn append(random: &mut Random, words: &mut Vec<Vec<u8>>, args: &[Arg], group: &str) {
    let mut counted: Option<usize> = None;
    for arg in args {
        if arg.optional && !random.chance(35) {
            continue;
        }
        let times = if arg.multiple { 1 + random.below(3) } else { 1 };
        if arg.name.starts_with("num") && arg.kind == "integer" {
            counted = Some(words.len());
        } else if let (Some(place), true) = (counted.take(), random.chance(90)) {
            words[place] = times.to_string().into_bytes();
        }
        for n in 0..times {
            if let Some(token) = arg.token.as_ref().filter(|_| n == 0 || arg.multiple_token) {
                let spelt = if random.chance(50) { token.to_lowercase() } else { token.clone() };
                words.push(spelt.into_bytes());
            }
            one(random, words, arg, group);
        }
    }
}

fn one(random: &mut Random, words: &mut Vec<Vec<u8>>, arg: &Arg, group: &str) {
    let name = arg.name.as_str();
    let number = |random: &mut Random| {
        let of = if name.contains("millisecond") {
            MILLIS
        } else if name.contains("second") {
            SECONDS
        } else if random.chance(85) {
            SMALL
        } else {
            EDGES
        };
        random.one(of).as_bytes().to_vec()
    };
    let word = match arg.kind.as_str() {
        "pure-token" => return,
        "oneof" => {
            let child = random.one(&arg.children).clone();
            return append(random, words, &[Arg { optional: false, ..child }], group);
        }
        "block" => return append(random, words, &arg.children, group),
        // Any other cursor is another server's.
        _ if name.contains("cursor") => b"0".to_vec(),
        "key" => key(random, group),
        "integer" => number(random),
        "double" => random.one(DOUBLES).as_bytes().to_vec(),
        "pattern" => random.one(PATTERNS).as_bytes().to_vec(),
        "unix-time" if name.contains("milli") => random.one(UNIX_MILLIS).as_bytes().to_vec(),
        "unix-time" => random.one(UNIX_SECONDS).as_bytes().to_vec(),
        _ if name == "field" => format!("f{}", random.below(4)).into_bytes(),
        _ if name == "member" => random.one(&["m0", "m1", "m2", "1", "2"]).as_bytes().to_vec(),
        // Bounds of ranges of sorted sets, by rank, score and name.
        _ if ["min", "max", "start", "stop"].contains(&name) => random
            .one(&["0", "1", "-1", "(1", "-inf", "+inf", "[m0", "(m2", "-", "+", "abc"])
            .as_bytes()
            .to_vec(),
        _ if random.chance(90) => random.one(STRINGS).to_vec(),
        _ => number(random),
    };
    words.push(word);
}
