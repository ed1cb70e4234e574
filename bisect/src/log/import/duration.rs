//! Durations as Go prints them.

/// Seconds of a Go duration such as "3h31m34.6s", "1m0s", "950ms", "0s"; `None` for other text.
///
/// Format: Go's `time.Duration.String`.
pub(super) fn seconds(text: &str) -> Option<f64> {
    let mut rest = text.strip_prefix('-').unwrap_or(text);
    if rest.is_empty() {
        return None;
    }
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        sum += match &rest[..letters] {
            "h" => number * 3600.0,
            "m" => number * 60.0,
            "s" => number,
            "ms" => number / 1e3,
            "µs" | "μs" | "us" => number / 1e6,
            "ns" => number / 1e9,
            _ => return None,
        };
        rest = &rest[letters..];
    }
    Some(if text.starts_with('-') { -sum } else { sum })
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn all_units() {
        assert_eq!(seconds("0s"), Some(0.0));
        assert_eq!(seconds("1h2m3.5s"), Some(3723.5));
        assert_eq!(seconds("950ms"), Some(0.95));
        assert_eq!(seconds("1m0s"), Some(60.0));
        assert!((seconds("2.5µs").unwrap() - 2.5e-6).abs() < 1e-12);
        assert_eq!(seconds("-1m1s"), Some(-61.0));
    }

    #[test]
    fn other_text_is_no_duration() {
        for text in ["", "-", "s", "5", "1d", "1h2", "1.2.3s", "µ", "∞s"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
