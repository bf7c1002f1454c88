//! Redis's patterns, on bytes: `*`, `?`, `[a-z]`, `[^a]` and `\x`.
//!
//! The meaning is that of Redis 7.0's `stringmatchlen`, its corners included; the way is not. Redis recurses at
//! each `*`; here only the last `*` is ever tried again, which is enough because every other token takes
//! exactly one byte. Time is at most pattern times text, memory none.

/// Whether `pattern` matches all of `text`.
pub fn glob_match(pattern: &[u8], text: &[u8]) -> bool {
    matches::<false>(pattern, text)
}

/// The same, ASCII case aside, as CONFIG GET compares.
pub fn glob_match_nocase(pattern: &[u8], text: &[u8]) -> bool {
    matches::<true>(pattern, text)
}

fn matches<const NOCASE: bool>(pattern: &[u8], text: &[u8]) -> bool {
    if text.is_empty() {
        // Redis looks at no token when there is no text: even `*` does not match the empty string.
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    // After the last star: where its pattern goes on, and the text place it is tried at.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            if p == pattern.len() {
                return true;
            }
            star = Some((p, t));
            continue;
        }
        if let Some(next) = token::<NOCASE>(&pattern[p..], text[t]) {
            p += next;
            t += 1;
            continue;
        }
        match &mut star {
            None => return false,
            Some((after, from)) => {
                *from += 1;
                p = *after;
                t = *from;
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Matches the token at the start of `pattern`, which is no star, with one byte: how long the token is, or
/// none when there is none or it does not match.
fn token<const NOCASE: bool>(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => class::<NOCASE>(rest, byte).map(|len| 1 + len),
        [b'\\', literal, ..] => same::<NOCASE>(*literal, byte).then_some(2),
        [literal, ..] => same::<NOCASE>(*literal, byte).then_some(1),
    }
}

/// The inside of `[...]`, which the end of the pattern closes too.
fn class<const NOCASE: bool>(inside: &[u8], byte: u8) -> Option<usize> {
    let negated = inside.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    loop {
        match &inside[at..] {
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            [b'\\', literal, ..] => {
                // Redis compares an escaped byte exactly even when case does not matter.
                found |= *literal == byte;
                at += 2;
            }
            // The end of a range may be any byte, `]` and `\` included.
            [from, b'-', to, ..] => {
                // Redis compares C's chars, which are signed where it matters.
                let signed = |byte| fold::<NOCASE>(byte) as i8;
                let (from, to) = (signed(*from), signed(*to));
                found |= (from.min(to)..=from.max(to)).contains(&signed(byte));
                at += 3;
            }
            [literal, ..] => {
                found |= same::<NOCASE>(*literal, byte);
                at += 1;
            }
        }
    }
    (found != negated).then_some(at)
}

fn same<const NOCASE: bool>(a: u8, b: u8) -> bool {
    fold::<NOCASE>(a) == fold::<NOCASE>(b)
}

fn fold<const NOCASE: bool>(byte: u8) -> u8 {
    if NOCASE { byte.to_ascii_lowercase() } else { byte }
}
