//! Numbers with a mantissa of 64 bits, as C's `long double` is on x86: what INCRBYFLOAT computes with.
//!
//! Redis reads both numbers with `strtold`, adds them, and stores what `printf("%.17Lf")` makes of the sum without
//! its trailing zeros. With doubles the last digits would differ, so the three steps are done here: reading and
//! adding round once, to the nearest and in doubt to the even mantissa, and printing rounds the exact value.

mod big;

use big::Big;

/// Largest exponent of a value below 2.
const EXPONENT_MAX: i64 = 16_383;
/// A value below two to this is read as zero by C, with an error.
const EXPONENT_MIN: i64 = -16_446;
/// Longest text that Redis reads a number from.
const TEXT_BYTES_MAX: usize = 5 * 1024 - 1;
/// Decimal exponents beyond this are zero or too much whatever stands before them.
const DECIMALS_MAX: i64 = 20_000;

/// A number: `mantissa * 2^exponent`, negative or not; zero has no mantissa.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extended {
    negative: bool,
    /// Its highest bit is set, unless it is zero.
    mantissa: u64,
    exponent: i64,
    infinite: bool,
}

impl Extended {
    /// Zero: what a key that does not exist counts as.
    pub const ZERO: Extended = Extended { negative: false, mantissa: 0, exponent: 0, infinite: false };

    /// Reads a number as Redis's `string2ld`: the whole text, decimal, hexadecimal or `inf`; no space before it, no
    /// NaN, nothing too large or too small to keep.
    pub fn parse(text: &[u8]) -> Option<Extended> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        if text.eq_ignore_ascii_case(b"inf") || text.eq_ignore_ascii_case(b"infinity") {
            return Some(Extended { negative, infinite: true, ..Extended::ZERO });
        }
        let number = match text {
            [b'0', b'x' | b'X', rest @ ..] => hexadecimal(rest)?,
            rest => decimal(rest)?,
        };
        (!number.infinite).then_some(Extended { negative, ..number })
    }

    /// True unless it is an infinity.
    pub fn is_finite(self) -> bool {
        !self.infinite
    }

    /// The sum, rounded; none where infinities cancel.
    pub fn checked_add(self, other: Extended) -> Option<Extended> {
        match (self.infinite, other.infinite) {
            (true, true) if self.negative != other.negative => return None,
            (true, _) => return Some(self),
            (_, true) => return Some(other),
            _ => {}
        }
        if self.mantissa == 0 || other.mantissa == 0 {
            return Some(if self.mantissa == 0 { other } else { self });
        }
        let smaller = (self.exponent, self.mantissa) < (other.exponent, other.mantissa);
        let (large, small) = if smaller { (other, self) } else { (self, other) };
        // 62 bits below the larger mantissa; what falls off the smaller one only matters as "more than nothing".
        const SPARE: i64 = 62;
        let distance = u32::try_from(large.exponent - small.exponent).unwrap_or(u32::MAX);
        let wide = u128::from(large.mantissa) << SPARE;
        let all = u128::from(small.mantissa) << SPARE;
        let shifted = all.checked_shr(distance).unwrap_or(0);
        let lost = shifted.checked_shl(distance) != Some(all);
        let other = shifted | u128::from(lost);
        let sum = if large.negative == small.negative { wide + other } else { wide - other };
        Some(rounded(large.negative, sum, large.exponent - SPARE, false))
    }

    /// Appends the number as `printf("%.17Lf")` writes it, without trailing zeros; `inf` and `-inf` as such.
    pub fn push(self, out: &mut Vec<u8>) {
        if self.infinite {
            out.extend_from_slice(if self.negative { b"-inf" } else { b"inf" });
            return;
        }
        let mark = out.len();
        if self.negative {
            out.push(b'-');
        }
        if self.exponent >= 0 {
            Big::from(u128::from(self.mantissa)).shifted(self.exponent as usize).push(out);
        } else {
            let scaled = u128::from(self.mantissa) * 10u128.pow(FRACTION_DIGITS as u32);
            let n = shifted_to_nearest(scaled, self.exponent.unsigned_abs());
            push_fraction(out, n);
        }
        if &out[mark..] == b"-0" {
            out.remove(mark);
        }
    }
}

/// Digits behind the point that are printed.
const FRACTION_DIGITS: usize = 17;

/// Prints `n * 10^-17` without trailing zeros.
fn push_fraction(out: &mut Vec<u8>, n: u128) {
    let text = format!("{n:0width$}", width = FRACTION_DIGITS + 1);
    let (whole, fraction) = text.split_at(text.len() - FRACTION_DIGITS);
    let fraction = fraction.trim_end_matches('0');
    out.extend_from_slice(whole.as_bytes());
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction.as_bytes());
    }
}

/// `n / 2^by` to the nearest, in doubt to the even number.
fn shifted_to_nearest(n: u128, by: u64) -> u128 {
    if by >= 128 {
        return 0;
    }
    let quotient = n >> by;
    let rest = n - (quotient << by);
    let half = 1u128 << (by - 1);
    quotient + u128::from(rest > half || (rest == half && quotient & 1 == 1))
}

/// The nearest number to `n * 2^exponent`, of which `more` says that a little is missing.
fn rounded(negative: bool, n: u128, exponent: i64, more: bool) -> Extended {
    if n == 0 {
        return Extended::ZERO;
    }
    let bits = i64::from(128 - n.leading_zeros());
    let surplus = bits - 64;
    let (mut mantissa, mut exponent) = if surplus <= 0 {
        (n << -surplus, exponent + surplus)
    } else {
        let quotient = n >> surplus;
        let rest = n - (quotient << surplus);
        let half = 1u128 << (surplus - 1);
        let up = rest > half || (rest == half && (more || quotient & 1 == 1));
        (quotient + u128::from(up), exponent + surplus)
    };
    if mantissa >> 64 != 0 {
        mantissa >>= 1;
        exponent += 1;
    }
    let infinite = exponent + 63 > EXPONENT_MAX;
    if infinite {
        return Extended { negative, infinite, ..Extended::ZERO };
    }
    Extended { negative, mantissa: mantissa as u64, exponent, infinite }
}

/// The nearest number to `n * 2^exponent`; none where it is as good as nothing.
fn nearest(n: &Big, exponent: i64, more: bool) -> Option<Extended> {
    let bits = n.bits() as i64;
    if bits == 0 {
        return Some(Extended::ZERO);
    }
    let drop = (bits - 128).max(0);
    let (top, lost) = n.top(drop as usize);
    // The lowest of 128 bits stands for all below it: rounding happens 64 bits further up.
    let number = rounded(false, top | u128::from(lost), exponent + drop, more);
    (number.infinite || number.exponent + 63 >= EXPONENT_MIN).then_some(number)
}

/// Splits an exponent (`e` and a signed integer) off the end of a number.
fn exponent(text: &[u8], letter: u8) -> Option<(&[u8], i64)> {
    let Some(at) = text.iter().position(|byte| byte.eq_ignore_ascii_case(&letter)) else {
        return Some((text, 0));
    };
    let (negative, digits) = match &text[at + 1..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |n: i64, digit: &u8| (n * 10 + i64::from(digit - b'0')).min(1_000_000_000);
    let n = digits.iter().fold(0, add);
    Some((&text[..at], if negative { -n } else { n }))
}

/// The digits of a number and how many of them stand behind the point.
fn digits(text: &[u8], is_digit: fn(&u8) -> bool) -> Option<(Vec<u8>, i64)> {
    let mut parts = text.split(|byte| *byte == b'.');
    let (whole, fraction) = (parts.next()?, parts.next().unwrap_or_default());
    if parts.next().is_some() || whole.len() + fraction.len() == 0 {
        return None;
    }
    let all = [whole, fraction].concat();
    all.iter().all(is_digit).then_some((all, fraction.len() as i64))
}

fn decimal(text: &[u8]) -> Option<Extended> {
    let (text, exponent) = exponent(text, b'e')?;
    let (digits, behind) = digits(text, u8::is_ascii_digit)?;
    let n = Big::decimal(&digits);
    if n.bits() == 0 {
        return Some(Extended::ZERO);
    }
    let tens = exponent - behind;
    if tens.abs() > DECIMALS_MAX {
        return None;
    }
    if tens >= 0 {
        return nearest(&n.times_ten_to(tens as usize), 0, false);
    }
    // Enough bits that the quotient has more than a mantissa's; 10 is less than 2^(10/3).
    let spare = (tens.unsigned_abs() as usize * 10).div_ceil(3) + 130;
    let (quotient, more) = n.shifted(spare).over_ten_to(tens.unsigned_abs() as usize);
    nearest(&quotient, -(spare as i64), more)
}

fn hexadecimal(text: &[u8]) -> Option<Extended> {
    let (text, twos) = exponent(text, b'p')?;
    let (digits, behind) = digits(text, u8::is_ascii_hexdigit)?;
    nearest(&Big::hexadecimal(&digits), twos - 4 * behind, false)
}

/// Reads a hexadecimal number, without sign and `0x`, to the nearest double.
pub(crate) fn hexadecimal_f64(text: &[u8]) -> Option<f64> {
    let (text, twos) = exponent(text, b'p')?;
    let (digits, behind) = digits(text, u8::is_ascii_hexdigit)?;
    let n = Big::hexadecimal(&digits);
    let drop = n.bits().saturating_sub(62);
    let (top, lost) = n.top(drop);
    // Odd where a little is missing: the conversion to 53 bits then rounds as it would with all bits there.
    let scale = (twos - 4 * behind + drop as i64).clamp(-4_000, 4_000) as i32;
    let half = scale / 2;
    Some((top as u64 | u64::from(lost)) as f64 * 2f64.powi(half) * 2f64.powi(scale - half))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn sum(a: &str, b: &str) -> String {
        let read = |text: &str| Extended::parse(text.as_bytes()).unwrap();
        let mut out = Vec::new();
        read(a).checked_add(read(b)).unwrap().push(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// What redis-server 7.0 on x86-64 answered to INCRBYFLOAT.
    #[test]
    fn sums_have_the_digits_that_redis_prints() {
        assert_eq!(sum("3.0e3", "200"), "3200");
        assert_eq!(sum("3200", "5.0e-3"), "3200.00499999999999989");
        assert_eq!(sum("3200.00499999999999989", "0.1"), "3200.10499999999999998");
        assert_eq!(sum("3200.1", "1e20"), "100000000000000003200");
        assert_eq!(sum("10.5", "0.1"), "10.6");
        assert_eq!(sum("0", "0x10"), "16");
        assert_eq!(sum("0", "-1e-30"), "0");
        assert_eq!(sum("-0", "-0"), "0");
        assert_eq!(sum("1", "-1"), "0");
        assert_eq!(sum("-1.5", "-0x1.8p1"), "-4.5");
        assert!(sum("0", "1e4000").starts_with("99999999999999999999654638730996237849324925835069576313"));
    }

    /// A tie goes to the even mantissa, and a little more than a tie goes up, however far down it stands.
    #[test]
    fn rounding_is_to_the_nearest_even_mantissa() {
        assert_eq!(sum("18446744073709551616", "1"), "18446744073709551616");
        assert_eq!(sum("18446744073709551618", "1"), "18446744073709551620");
        assert_eq!(sum("0", "18446744073709551617"), "18446744073709551616");
        assert_eq!(
            sum("0", "18446744073709551617.0000000000000000000000000000000000000000000000001"),
            "18446744073709551618"
        );
        assert_eq!(sum("18446744073709551616", "-1"), "18446744073709551615");
        assert_eq!(sum("1e40", "-1e-40"), sum("1e40", "0"));
    }

    #[test]
    fn what_strtold_would_not_read_whole_is_refused() {
        for bad in [
            "",
            " 1",
            "1 ",
            "nan",
            "abc",
            "1e",
            "1e+",
            ".",
            "1.2.3",
            "0x",
            "0xg",
            "--1",
            "1e5000",
            "1e-5000",
            "e5",
            "1e999999999999",
        ] {
            assert_eq!(Extended::parse(bad.as_bytes()), None, "{bad:?}");
        }
        for good in ["1.", ".5", "+1", "1E5", "INF", "-infinity", "0e999999", "1e-4900", "1e4932", "0X1P3"] {
            assert!(Extended::parse(good.as_bytes()).is_some(), "{good:?}");
        }
        assert_eq!(Extended::parse(&[b'1'; 6000]), None);
        assert!(!Extended::parse(b"inf").unwrap().is_finite());
        let (up, down) = (Extended::parse(b"inf").unwrap(), Extended::parse(b"-inf").unwrap());
        assert!(up.checked_add(down).is_none());
    }
}
