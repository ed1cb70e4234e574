//! Numbers, times and sizes as people read them, and text that a terminal can't be fooled by.

use std::borrow::Cow;

use super::table::WIDTH;

/// "3 min 15 s", "4.2 s", "2 h 5 min".
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 10.0 => format!("{seconds:.1} s"),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// "1 build", "2 builds".
pub(crate) fn count(n: impl Into<u64>, what: &str) -> String {
    let n = n.into();
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// A word as a shell reads it, quoted where it must be.
pub(crate) fn shell_word(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', r"'\''")).into(),
    }
}

/// Text that begins a sentence.
pub(crate) fn capitalized(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

/// "12.4 MB" (powers of ten, as disks are sold and `ls --si` prints).
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A percentage that never rounds uncertainty away: "97 %", "99.96 %", "over 99.99 %".
pub(crate) fn percent(share: f64) -> String {
    match share {
        p if p > 0.9999 && p < 1.0 => "over 99.99 %".into(),
        p if p > 0.0 && p < 0.0001 => "under 0.01 %".into(),
        p if p > 0.99 && p < 1.0 => format!("{:.2} %", p * 100.0),
        p if p > 0.0 && p < 0.01 => format!("{:.2} %", p * 100.0),
        p => format!("{:.0} %", p * 100.0),
    }
}

/// Text from elsewhere, such as a commit's subject or a console, as it may reach a terminal: what
/// would move the cursor, recolour the screen or turn the direction of writing is replaced. Line
/// ends and tabs stay.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    if text.contains(is_harmful) {
        text.replace("\r\n", "\n").replace(is_harmful, "\u{fffd}").into()
    } else {
        text.into()
    }
}

fn is_harmful(c: char) -> bool {
    // The second list: the marks of the Unicode bidirectional algorithm that override or isolate.
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text on one line, cut to a width in characters, with an ellipsis when cut.
pub(crate) fn fit(text: &str, width: usize) -> String {
    let text = harmless(text).replace(['\n', '\t'], " ");
    if text.chars().count() <= width {
        return text;
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Text broken between words into lines of at most `width` characters, where words permit.
pub(crate) fn wrapped(text: &str, width: usize) -> String {
    // A number is not parted from its sign.
    let text = text.replace(" %", "\u{1}%");
    let (mut out, mut used) = (String::new(), 0);
    for word in text.split_ascii_whitespace() {
        let own = word.chars().count();
        if used > 0 && used + 1 + own > width {
            out.push('\n');
            used = 0;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += own;
    }
    out.replace('\u{1}', " ")
}

/// A label and its text, wrapped to 80 columns; lines after the first are indented.
pub(crate) fn labelled(label: &str, text: &str) -> String {
    hanging(&format!("{label:<13}"), text)
}

/// A beginning and a text, wrapped to 80 columns; lines after the first are indented as far as the
/// beginning reaches. Only a word that is longer than a line makes a longer one.
pub(crate) fn hanging(beginning: &str, text: &str) -> String {
    let indent = beginning.chars().count();
    let text = wrapped(text, WIDTH.saturating_sub(indent));
    let below = format!("\n{}", " ".repeat(indent));
    format!("{beginning}{}", text.replace('\n', &below)).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_wrap() {
        let text = labelled("next", &"word ".repeat(40));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.starts_with("next         word word"));
        assert!(text.lines().nth(1).unwrap().starts_with("             word"));
    }

    #[test]
    fn long_text_hangs_below_its_beginning() {
        let text = hanging("  note: ", &"word ".repeat(40));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.starts_with("  note: word"));
        assert!(text.lines().nth(1).unwrap().starts_with("        word"));
        assert_eq!(hanging("  ", "one"), "  one");
    }

    #[test]
    fn what_a_terminal_would_obey_is_replaced() {
        for (text, shown) in [
            ("net: fix a leak", "net: fix a leak"),
            ("\u{1b}[2J\u{1b}]0;title\u{7}gone", "\u{fffd}[2J\u{fffd}]0;title\u{fffd}gone"),
            ("a\u{9b}31mred", "a\u{fffd}31mred"),
            ("bad\rgood", "bad\u{fffd}good"),
            ("one\r\ntwo\tthree\n", "one\ntwo\tthree\n"),
            ("a\u{202e}b\u{2066}c", "a\u{fffd}b\u{fffd}c"),
            ("Größe", "Größe"),
        ] {
            assert_eq!(harmless(text), shown);
        }
        assert_eq!(fit("a\u{1b}[1m\tb\nc", 80), "a\u{fffd}[1m b c");
    }

    #[test]
    fn words_are_quoted_for_the_shell() {
        for (word, quoted) in [
            ("/usr/bin/gcc-12", "/usr/bin/gcc-12"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's $HOME", r"'it'\''s $HOME'"),
            ("~/x", "'~/x'"),
            ("a\nb", "'a\nb'"),
        ] {
            assert_eq!(shell_word(word), quoted);
        }
    }

    #[test]
    fn text_is_broken_between_words() {
        assert_eq!(wrapped("one two three", 7), "one two\nthree");
        assert_eq!(wrapped("averylongword a", 5), "averylongword\na");
        assert_eq!(wrapped("one 95 %", 6), "one\n95 %");
    }

    #[test]
    fn durations() {
        assert_eq!(duration(0.04), "0.0 s");
        assert_eq!(duration(59.4), "59 s");
        assert_eq!(duration(195.0), "3 min 15 s");
        assert_eq!(duration(7500.0), "2 h 5 min");
    }

    #[test]
    fn sizes() {
        assert_eq!(size(999), "999 B");
        assert_eq!(size(12_957_464), "13.0 MB");
        assert_eq!(size(999_999_999), "1.0 GB");
    }

    #[test]
    fn percentages_keep_doubt_visible() {
        assert_eq!(percent(0.97), "97 %");
        assert_eq!(percent(0.9951), "99.51 %");
        assert_eq!(percent(0.999_999), "over 99.99 %");
        assert_eq!(percent(0.0004), "0.04 %");
    }

    #[test]
    fn fits() {
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("äbcd", 3), "äb…");
    }
}
