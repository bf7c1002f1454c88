//! The words that many commands share: integers, patterns, times to live and the options of SET and GETEX.

use crate::core::node::Node;
use gs_resp::num::parse_i64;
use gs_resp::{Args, Extended, Refusal};
use std::sync::atomic::{AtomicI64, Ordering};

/// An integer of 64 bits.
pub fn integer(word: &[u8]) -> Result<i64, Refusal> {
    parse_i64(word).ok_or_else(Refusal::not_integer)
}

/// An integer in a range, with other words for what is no integer; what is outside gets them too.
pub fn integer_in(
    word: &[u8],
    range: std::ops::RangeInclusive<i64>,
    else_say: &'static str,
) -> Result<i64, Refusal> {
    parse_i64(word).filter(|n| range.contains(n)).ok_or_else(|| Refusal::err(else_say))
}

/// A number as INCRBYFLOAT takes it.
pub fn float(word: &[u8]) -> Result<Extended, Refusal> {
    Extended::parse(word).ok_or_else(Refusal::not_float)
}

/// How many to take: not below zero.
pub fn count(word: &[u8]) -> Result<usize, Refusal> {
    let n = parse_i64(word).and_then(|n| u64::try_from(n).ok()).ok_or_else(Refusal::not_positive)?;
    Ok(usize::try_from(n).unwrap_or(usize::MAX))
}

/// Bytes of a pattern at most: matching costs its length times that of every name it is held against.
const PATTERN_BYTES_MAX: usize = 1024;

/// A pattern of bounded length.
pub fn pattern(word: &[u8]) -> Result<&[u8], Refusal> {
    if word.len() > PATTERN_BYTES_MAX {
        let text = format!("the pattern has {} bytes; it may have {PATTERN_BYTES_MAX}", word.len());
        return Err(Refusal::err(text));
    }
    Ok(word)
}

/// `YES`/`NO` or `ON`/`OFF`.
pub fn truth(word: &[u8], yes: &str, no: &str) -> Result<bool, Refusal> {
    match word {
        word if word.eq_ignore_ascii_case(yes.as_bytes()) => Ok(true),
        word if word.eq_ignore_ascii_case(no.as_bytes()) => Ok(false),
        _ => Err(Refusal::syntax()),
    }
}

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Seconds from now: EX.
    Seconds,
    /// Milliseconds from now: PX.
    Millis,
    /// Seconds since 1970: EXAT.
    UnixSeconds,
    /// Milliseconds since 1970: PXAT.
    UnixMillis,
}

impl Form {
    fn parse(word: &[u8]) -> Option<Form> {
        const FORMS: [(&str, Form); 4] = [
            ("ex", Form::Seconds),
            ("px", Form::Millis),
            ("exat", Form::UnixSeconds),
            ("pxat", Form::UnixMillis),
        ];
        FORMS.iter().find(|(known, _)| word.eq_ignore_ascii_case(known.as_bytes())).map(|(_, form)| *form)
    }

    /// Milliseconds of `n` in this form; none beyond 64 bits.
    fn millis(self, n: i64) -> Option<i64> {
        match self {
            Form::Seconds | Form::UnixSeconds => n.checked_mul(1000),
            Form::Millis | Form::UnixMillis => Some(n),
        }
    }

    /// True for a point in time rather than a distance.
    fn is_absolute(self) -> bool {
        matches!(self, Form::UnixSeconds | Form::UnixMillis)
    }
}

/// When a key shall end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// So many milliseconds from now; may be negative.
    In(i64),
    /// At this point of the wall clock, milliseconds since 1970; may be past.
    At(i64),
}

impl When {
    /// A time that may be zero or past, as EXPIRE takes it. `command` is named in the refusal.
    pub fn lenient(node: &Node, word: &[u8], form: Form, command: &str) -> Result<When, Refusal> {
        let n = integer(word)?;
        let ms = form.millis(n).ok_or_else(|| Refusal::invalid_expire(command))?;
        When::new(node, ms, form, command)
    }

    /// A time above zero, as SET takes it.
    pub fn strict(node: &Node, word: &[u8], form: Form, command: &str) -> Result<When, Refusal> {
        let n = integer(word)?;
        let ms = form.millis(n).filter(|ms| *ms > 0).ok_or_else(|| Refusal::invalid_expire(command))?;
        When::new(node, ms, form, command)
    }

    fn new(node: &Node, ms: i64, form: Form, command: &str) -> Result<When, Refusal> {
        if form.is_absolute() {
            return Ok(When::At(ms));
        }
        // Redis keeps points in time, so a distance must fit behind the present; one of less than a hundred million
        // years does at any time.
        let fits = ms < i64::MAX / 4 || ms.checked_add_unsigned(node.clock.unix_ms()).is_some();
        if fits { Ok(When::In(ms)) } else { Err(Refusal::invalid_expire(command)) }
    }

    /// The boot-time deadline; none for one that is past already.
    pub fn deadline(self, node: &Node) -> Option<u64> {
        let now_ms = node.now_ms();
        let left = match self {
            When::In(ms) => ms,
            When::At(unix_ms) => unix_ms.saturating_sub(wall_offset_ms(node)).saturating_sub_unsigned(now_ms),
        };
        u64::try_from(left).ok().filter(|left| *left > 0).map(|left| now_ms.saturating_add(left))
    }
}

/// Milliseconds from the boot clock to the wall clock. Both are cut to milliseconds at different instants, so
/// that their difference flickers by one; the last answer is kept while it is that close, and EXPIRETIME gives
/// back exactly what EXPIREAT was given.
pub fn wall_offset_ms(node: &Node) -> i64 {
    static LAST: AtomicI64 = AtomicI64::new(i64::MIN);
    let fresh = (node.clock.unix_ms() as i64).wrapping_sub(node.now_ms() as i64);
    let last = LAST.load(Ordering::Relaxed);
    if last.abs_diff(fresh) <= 1 {
        return last;
    }
    LAST.store(fresh, Ordering::Relaxed);
    fresh
}

/// Which command the options belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionsOf {
    /// `SET key value ...`
    Set,
    /// `GETEX key ...`
    GetEx,
}

/// The options of SET and GETEX.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Only where there is no value.
    pub nx: bool,
    /// Only where there is one.
    pub xx: bool,
    /// Answer the old value.
    pub get: bool,
    /// Leave the deadline as it is.
    pub keep_ttl: bool,
    /// Remove the deadline.
    pub persist: bool,
    /// The deadline as written; checked by the caller, because SET and GETEX do so at different points.
    pub expire: Option<(Form, &'a [u8])>,
}

impl<'a> Options<'a> {
    /// Reads the words from place `from` on, in any order and case.
    pub fn parse(args: Args<'a>, from: usize, of: OptionsOf) -> Result<Options<'a>, Refusal> {
        let set = of == OptionsOf::Set;
        let mut options = Options::default();
        let mut i = from;
        while i < args.len() {
            let o = &mut options;
            if set && args.is(i, "nx") && !o.xx {
                o.nx = true;
            } else if set && args.is(i, "xx") && !o.nx {
                o.xx = true;
            } else if set && args.is(i, "get") {
                o.get = true;
            } else if set && args.is(i, "keepttl") && o.expire.is_none() {
                o.keep_ttl = true;
            } else if !set && args.is(i, "persist") && o.expire.is_none() {
                o.persist = true;
            } else {
                // The same option may be repeated, and the last one counts, as in Redis.
                let form = args.get(i).and_then(Form::parse).ok_or_else(Refusal::syntax)?;
                let agrees = o.expire.is_none_or(|(other, _)| other == form) && !o.keep_ttl && !o.persist;
                let value = args.get(i + 1).filter(|_| agrees).ok_or_else(Refusal::syntax)?;
                o.expire = Some((form, value));
                i += 1;
            }
            i += 1;
        }
        Ok(options)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use gs_resp::OwnedArgs;

    fn set(line: &str) -> Result<String, String> {
        let words = OwnedArgs::from_iter(line.split(' '));
        let options = Options::parse(words.as_args(), 3, OptionsOf::Set).map_err(|r| r.to_string())?;
        let expire = options.expire.map(|(form, word)| format!("{form:?} {}", String::from_utf8_lossy(word)));
        let flag = |set, name| if set { name } else { "" };
        let flags = flag(options.nx, "nx").to_owned() + flag(options.xx, "xx") + flag(options.get, "get");
        Ok(format!("{flags}{}{}", flag(options.keep_ttl, "keepttl"), expire.unwrap_or_default()))
    }

    /// Clients write the options in every order and case; what excludes each other must stay refused.
    #[test]
    fn set_takes_its_options_in_any_order_and_case() {
        assert_eq!(set("SET k v ex 10 nx").unwrap(), "nxSeconds 10");
        assert_eq!(set("SET k v XX GET KEEPTTL").unwrap(), "xxgetkeepttl");
        assert_eq!(set("SET k v NX get pxat 5").unwrap(), "nxgetUnixMillis 5");
        assert_eq!(set("SET k v EX 1 EX 2").unwrap(), "Seconds 2");
        for bad in ["NX XX", "EX", "EX 1 PX 1", "KEEPTTL EX 1", "EX 1 KEEPTTL", "PERSIST", "FOO", "EX 1 2"] {
            assert_eq!(set(&format!("SET k v {bad}")).unwrap_err(), "ERR syntax error", "{bad}");
        }
    }

    #[test]
    fn getex_has_persist_and_no_conditions() {
        let parse = |line: &str| {
            let words = OwnedArgs::from_iter(line.split(' '));
            Options::parse(words.as_args(), 2, OptionsOf::GetEx).map(|o| o.persist)
        };
        assert!(parse("GETEX k persist").unwrap());
        assert!(!parse("GETEX k EXAT 5").unwrap());
        assert!(parse("GETEX k NX").is_err() && parse("GETEX k PERSIST EX 1").is_err());
        assert!(parse("GETEX k KEEPTTL").is_err());
    }
}
