//! Numbers as people write them: bytes by Redis's rules, milliseconds with units.

/// Bytes by Redis's `memtoll`: a whole number and a unit in any case; `k`, `m`, `g`, `t` are powers of 1000, `kb`,
/// `mb`, `gb`, `tb` powers of 1024, nothing or `b` is bytes.
pub fn parse_bytes(text: &str) -> Option<i64> {
    let (number, unit) = split(text)?;
    let factor: i64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        "t" => 1_000_000_000_000,
        "tb" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A share: a whole number from 0 to 100 and a `%`.
pub(crate) fn parse_percent(text: &str) -> Option<u8> {
    let digits = text.trim().strip_suffix('%')?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|percent| plain && *percent <= 100)
}

/// Milliseconds: a whole number, with nothing or `ms` for milliseconds, or `s`, `m`, `h`, `d`.
pub fn parse_millis(text: &str) -> Option<i64> {
    let (number, unit) = split(text)?;
    let factor: i64 = match unit.to_ascii_lowercase().as_str() {
        "" | "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A number of bytes as briefly as it can be said exactly.
pub fn show_bytes(bytes: i64) -> String {
    [(40u32, "tb"), (30, "gb"), (20, "mb"), (10, "kb")]
        .into_iter()
        .find(|(shift, _)| bytes != 0 && bytes % (1i64 << shift) == 0)
        .map_or_else(|| bytes.to_string(), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}

/// A number of milliseconds as briefly as it can be said exactly.
pub fn show_millis(millis: i64) -> String {
    [(86_400_000i64, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")]
        .into_iter()
        .find(|(factor, _)| millis != 0 && millis % factor == 0)
        .map_or_else(|| format!("{millis}ms"), |(factor, unit)| format!("{}{unit}", millis / factor))
}

/// Splits digits (with a sign) from the unit; blanks between are fine, as in `256 mb`.
fn split(text: &str) -> Option<(i64, &str)> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-').len();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}
