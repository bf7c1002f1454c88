//! The pattern matcher against a transcription of Redis's, recursion and corners included.
#![allow(clippy::unwrap_used)]

use gs_resp::{glob_match, glob_match_nocase};
use proptest::prelude::*;

/// Redis 7.0's `stringmatchlen`, branch by branch, with a NUL read past the end as in an sds.
fn reference(mut p: &[u8], mut s: &[u8], nocase: bool) -> bool {
    let low = |byte: u8| if nocase { byte.to_ascii_lowercase() } else { byte };
    while !p.is_empty() && !s.is_empty() {
        match p[0] {
            b'*' => {
                while p.get(1) == Some(&b'*') {
                    p = &p[1..];
                }
                return p.len() == 1 || (0..s.len()).any(|skip| reference(&p[1..], &s[skip..], nocase));
            }
            b'?' => s = &s[1..],
            b'[' => {
                let mut at = 1;
                let not = p.get(at) == Some(&b'^');
                at += usize::from(not);
                let mut found = false;
                loop {
                    let left = p.len() - at;
                    if left >= 2 && p[at] == b'\\' {
                        at += 1;
                        found |= p[at] == s[0];
                    } else if left > 0 && p[at] == b']' {
                        break;
                    } else if left == 0 {
                        at -= 1;
                        break;
                    } else if left >= 3 && p[at + 1] == b'-' {
                        let (mut from, mut to) = (low(p[at]) as i8, low(p[at + 2]) as i8);
                        if from > to {
                            (from, to) = (to, from);
                        }
                        at += 2;
                        found |= low(s[0]) as i8 >= from && low(s[0]) as i8 <= to;
                    } else {
                        found |= low(p[at]) == low(s[0]);
                    }
                    at += 1;
                }
                if found == not {
                    return false;
                }
                p = &p[at..];
                s = &s[1..];
            }
            _ => {
                if p[0] == b'\\' && p.len() >= 2 {
                    p = &p[1..];
                }
                if low(p[0]) != low(s[0]) {
                    return false;
                }
                s = &s[1..];
            }
        }
        p = &p[1..];
        if s.is_empty() {
            while p.first() == Some(&b'*') {
                p = &p[1..];
            }
            break;
        }
    }
    p.is_empty() && s.is_empty()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn patterns_mean_what_they_mean_to_redis(pattern in "[abAB*?\\[\\]^\\\\-]{0,9}", text in "[abcAB\\[\\]^\\\\-]{0,7}") {
        let (p, s) = (pattern.as_bytes(), text.as_bytes());
        prop_assert_eq!(glob_match(p, s), reference(p, s, false));
        prop_assert_eq!(glob_match_nocase(p, s), reference(p, s, true));
    }

    #[test]
    fn any_bytes_match_as_in_redis(pattern in prop::collection::vec(any::<u8>(), 0..9), text: Vec<u8>) {
        prop_assert_eq!(glob_match(&pattern, &text), reference(&pattern, &text, false));
    }

    #[test]
    fn ranges_compare_signed_bytes(from: u8, to: u8, byte: u8) {
        let pattern = [b'[', from, b'-', to, b']'];
        prop_assert_eq!(glob_match(&pattern, &[byte]), reference(&pattern, &[byte], false));
    }
}

#[test]
fn the_patterns_people_write_work() {
    for (pattern, text, expected) in [
        ("*", "anything", true),
        ("sess:*", "sess:abc", true),
        ("sess:*", "ses:abc", false),
        ("h?llo", "hello", true),
        ("h[ae]llo", "hallo", true),
        ("h[^e]llo", "hello", false),
        ("h[a-b]llo", "hbllo", true),
        (r"a\*b", "a*b", true),
        (r"a\*b", "axb", false),
        ("*:*:x", "a:b:c:x", true),
        ("a**", "a", true),
        ("*", "", false),
        ("", "", true),
        ("[", "[", false),
        ("[^", "x", true),
        ("SESS", "sess", false),
    ] {
        assert_eq!(glob_match(pattern.as_bytes(), text.as_bytes()), expected, "{pattern:?} {text:?}");
    }
    assert!(glob_match_nocase(b"MAX*", b"maxmemory"));
}

// A pattern from the network must not buy exponential time: this one takes for ever where each star is retried.
#[test]
fn many_stars_cost_no_more_than_pattern_times_text() {
    let pattern = [b"a*".repeat(512), b"b".to_vec()].concat();
    assert!(!glob_match(&pattern, &b"a".repeat(4096)));
}
