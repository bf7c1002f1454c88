//! Numbers as an operator reads them.

/// Bytes, short.
pub(super) fn bytes(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(shift, _)| bytes >= 1 << shift) {
        Some((shift, unit)) => format!("{:.1} {unit}", bytes as f64 / (1u64 << shift) as f64),
        None => format!("{bytes} B"),
    }
}

/// A time, short.
pub(super) fn span(ms: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m")];
    match units.into_iter().find(|(unit, _)| ms >= 2 * unit) {
        Some((unit, name)) => format!("{}{name}", ms / unit),
        None => format!("{}s", ms / 1000),
    }
}

/// A share in per cent.
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_true() {
        assert_eq!((bytes(1023), bytes(1 << 20)), ("1023 B".into(), "1.0 MiB".into()));
        assert_eq!((span(119_999), span(7_200_000)), ("119s".into(), "2h".into()));
        assert!(percent(1, 0) <= 100.0 && percent(1, 4) > 24.9);
    }
}
