//! Numbers as Redis reads and writes them: strict, so that what is stored reads back the same.

/// Reads a signed integer as Redis's `string2ll`: digits and at most a leading `-`; no sign `+`, no space, no
/// leading zero, no `-0`, nothing outside 64 bits.
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    match text {
        [b'-', digits @ ..] => match parse_u64(digits)? {
            0 => None,
            magnitude => 0i64.checked_sub_unsigned(magnitude),
        },
        digits => i64::try_from(parse_u64(digits)?).ok(),
    }
}

/// Reads an unsigned integer with the same strictness.
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    match text {
        [b'0'] => Some(0),
        [b'1'..=b'9', ..] if text.len() <= 20 => {
            let mut n = 0u64;
            for byte in text {
                let digit = byte.wrapping_sub(b'0');
                if digit > 9 {
                    return None;
                }
                n = n.checked_mul(10)?.checked_add(u64::from(digit))?;
            }
            Some(n)
        }
        _ => None,
    }
}

/// Reads a floating point number as Redis's `getDoubleFromObject`: the whole text, no spaces, no NaN, and
/// neither overflow to infinity nor underflow to zero unless written so.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    if let Some((negative, digits)) = hexadecimal(text) {
        let n = crate::extended::hexadecimal_f64(digits)?;
        let lost = n == 0.0
            && digits.iter().take_while(|b| !matches!(b, b'p' | b'P')).any(|b| !matches!(b, b'0' | b'.'));
        return (n.is_finite() && !lost).then_some(if negative { -n } else { n });
    }
    let text = std::str::from_utf8(text).ok()?;
    let n: f64 = text.parse().ok()?;
    let named = text.bytes().any(|byte| matches!(byte, b'n' | b'N'));
    let mantissa = || text.bytes().take_while(|byte| !matches!(byte, b'e' | b'E'));
    if n.is_nan()
        || (n.is_infinite() && !named)
        || (n == 0.0 && mantissa().any(|b| (b'1'..=b'9').contains(&b)))
    {
        return None;
    }
    Some(n)
}

/// The sign and the digits of a number that begins as hexadecimal ones do.
fn hexadecimal(text: &[u8]) -> Option<(bool, &[u8])> {
    match text {
        [b'-', b'0', b'x' | b'X', rest @ ..] => Some((true, rest)),
        [b'+', b'0', b'x' | b'X', rest @ ..] | [b'0', b'x' | b'X', rest @ ..] => Some((false, rest)),
        _ => None,
    }
}

/// Appends `n` in decimal.
pub fn push_i64(out: &mut Vec<u8>, n: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

/// Appends `n` in decimal.
pub fn push_u64(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

/// Significant digits of C's `%.17g`, which Redis 7.0 prints doubles with.
const SIGNIFICANT_DIGITS: i32 = 17;

/// Appends `n` as C's `printf("%.17g")` does; infinities as `inf` and `-inf`, not-a-number as `nan`.
pub fn push_f64(out: &mut Vec<u8>, n: f64) {
    if !n.is_finite() {
        let name: &[u8] = if n.is_nan() {
            b"nan"
        } else if n > 0.0 {
            b"inf"
        } else {
            b"-inf"
        };
        out.extend_from_slice(name);
        return;
    }
    // Rust's `{:e}` rounds exactly as C does, but always writes an exponent: move the point by hand.
    let scientific = format!("{n:.16e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits: Vec<u8> = mantissa.bytes().filter(|byte| *byte != b'.').collect();
    let used = digits.iter().rposition(|digit| *digit != b'0').map_or(1, |last| last + 1);
    let digits = &digits[..used];
    out.extend_from_slice(sign.as_bytes());
    if !(-4..SIGNIFICANT_DIGITS).contains(&exponent) {
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        out.extend_from_slice(format!("e{sign}{:02}", exponent.unsigned_abs()).as_bytes());
    } else if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + (-exponent - 1) as usize, b'0');
        out.extend_from_slice(digits);
    } else {
        let whole = exponent as usize + 1;
        out.extend_from_slice(&digits[..whole.min(digits.len())]);
        out.resize(out.len() + whole.saturating_sub(digits.len()), b'0');
        if digits.len() > whole {
            out.push(b'.');
            out.extend_from_slice(&digits[whole..]);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_canonical_spelling_of_an_integer_is_an_integer() {
        for bad in
            ["", "-", "+1", " 1", "1 ", "01", "-0", "-01", "00", "1a", "0x1", "1.0", "9223372036854775808"]
        {
            assert_eq!(parse_i64(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(parse_i64(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse_i64(b"-9223372036854775809"), None);
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
        assert_eq!(parse_u64(b"-1"), None);
    }

    #[test]
    fn doubles_print_as_in_c() {
        let cases: [(f64, &str); 16] = [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (3.1, "3.1000000000000001"),
            (-1.5, "-1.5"),
            (0.1, "0.10000000000000001"),
            (0.0001, "0.0001"),
            (0.00001, "1.0000000000000001e-05"),
            (100.0, "100"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (1.5e300, "1.5000000000000001e+300"),
            (123456.789, "123456.789"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ];
        for (n, text) in cases {
            let mut out = Vec::new();
            push_f64(&mut out, n);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn floats_that_would_not_survive_are_refused() {
        for bad in
            ["", " 1", "1 ", "nan", "1e400", "1e-400", "1..0", "abc", "0x", "0xg", "0x1p5000", "0x1p-5000"]
        {
            assert_eq!(parse_f64(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(parse_f64(b"5.0e3"), Some(5000.0));
        assert_eq!(parse_f64(b"0e5"), Some(0.0));
        assert_eq!(parse_f64(b"0x10"), Some(16.0));
        assert_eq!(parse_f64(b"-0x1.8P-1"), Some(-0.75));
        assert_eq!(parse_f64(b"0x20000000000001000000000000000000001"), Some(2f64.powi(137) + 2f64.powi(85)));
        assert_eq!(parse_f64(b"-inf"), Some(f64::NEG_INFINITY));
        assert_eq!(parse_f64(b"+Infinity"), Some(f64::INFINITY));
    }

    proptest! {
        #[test]
        fn integers_read_back(n: i64, u: u64) {
            let (mut signed, mut unsigned) = (Vec::new(), Vec::new());
            push_i64(&mut signed, n);
            push_u64(&mut unsigned, u);
            prop_assert_eq!(parse_i64(&signed), Some(n));
            prop_assert_eq!(parse_u64(&unsigned), Some(u));
        }

        #[test]
        fn an_accepted_integer_is_spelled_as_it_prints(text in "[-+0-9 ]{0,22}") {
            let printed = parse_i64(text.as_bytes()).map(|n| n.to_string());
            prop_assert!(printed.is_none_or(|printed| printed == text));
        }

        #[test]
        fn doubles_read_back(bits: u64) {
            let n = f64::from_bits(bits);
            prop_assume!(!n.is_nan());
            let mut out = Vec::new();
            push_f64(&mut out, n);
            prop_assert_eq!(std::str::from_utf8(&out).unwrap().parse::<f64>().unwrap().to_bits(), n.to_bits());
        }
    }
}
