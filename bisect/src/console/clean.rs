//! Takes out of a title what differs between two crashes of one bug: addresses, numbers, lines of
//! source files, offsets into functions, the instances of a fuzzer's programs.

/// Longest title; torn and merged lines can be much longer.
const LONGEST: usize = 120;
/// Digits from which a hexadecimal number is an address.
const ADDRESS: usize = 6;
/// Digits from which a number inside of a name is none of the name's.
const LONG: usize = 7;
/// Programs that number their instances.
const PROGRAMS: [&[u8]; 2] = [b"syz-executor", b"syzkaller"];

/// The title as it is compared and shown: printable ASCII, single spaces, bounded.
pub(crate) fn clean(title: &[u8]) -> String {
    let mut out = Vec::with_capacity(title.len());
    let mut at = 0;
    while at < title.len() {
        at += replace(title, at, &mut out);
    }
    let mut text = String::with_capacity(LONGEST);
    for byte in out.into_iter().map(|byte| if byte == b'\t' { b' ' } else { byte }) {
        let repeated = byte == b' ' && (text.is_empty() || text.ends_with(' '));
        if (0x20..0x7f).contains(&byte) && !repeated {
            text.push(char::from(byte));
        }
    }
    text.truncate(LONGEST);
    text.truncate(text.trim_end().len());
    text
}

/// Writes what stands for the bytes of `title` from `at` on, and says how many it stands for.
fn replace(title: &[u8], at: usize, out: &mut Vec<u8>) -> usize {
    let rest = &title[at..];
    let before = at.checked_sub(1).map(|at| title[at]);
    if let Some(name) = PROGRAMS.iter().find(|name| rest.starts_with(name)) {
        out.extend_from_slice(name);
        return name.len() + instance(&rest[name.len()..]);
    }
    if let Some(number) = rest.strip_prefix(b"CPU#") {
        out.extend_from_slice(if digits(number) > 0 { b"CPU" } else { b"CPU#" });
        return 4 + digits(number);
    }
    if before.is_some_and(is_word)
        && let Some(length) = offset(rest)
    {
        return length;
    }
    let length = run(rest, is_word);
    if length == 0 {
        out.push(rest[0]);
        return 1;
    }
    let word = &rest[..length];
    // What stands at the very beginning is a name.
    let Some(before) = before else {
        out.extend_from_slice(word);
        return length;
    };
    if let Some(length) = line_numbers(title, at) {
        out.extend_from_slice(b"LINE");
        return length;
    }
    let hex = word.strip_prefix(b"0x").unwrap_or(word);
    let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    if let Some(length) = internet_address(rest) {
        out.extend_from_slice(b"IP");
        return length;
    } else if hex.len() >= ADDRESS && hex.iter().all(is_hex) {
        out.extend_from_slice(b"ADDR");
    } else if word.iter().all(u8::is_ascii_digit) && !is_word(before) {
        out.extend_from_slice(b"NUM");
    } else {
        name(word, out);
    }
    length
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn run(text: &[u8], of: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|byte| !of(*byte)).unwrap_or(text.len())
}

fn digits(text: &[u8]) -> usize {
    run(text, |byte| byte.is_ascii_digit())
}

/// The instance of a program: `3`, `.12`, `.3/5`, `12:7`; zero when there is none.
fn instance(text: &[u8]) -> usize {
    let dot = usize::from(text.first() == Some(&b'.'));
    let first = digits(&text[dot..]);
    if first == 0 {
        return 0;
    }
    let rest = &text[dot + first..];
    let second = match rest.first() {
        Some(b'/' | b':') => digits(&rest[1..]),
        _ => 0,
    };
    dot + first + if second > 0 { 1 + second } else { 0 }
}

/// `+0x12/0x34` behind a function.
fn offset(text: &[u8]) -> Option<usize> {
    let hex = |text: &[u8]| {
        let digits = run(text.strip_prefix(b"0x")?, |byte| byte.is_ascii_alphanumeric());
        (digits > 0).then_some(2 + digits)
    };
    let first = hex(text.strip_prefix(b"+")?)?;
    let second = hex(text[1 + first..].strip_prefix(b"/")?)?;
    Some(2 + first + second)
}

/// `12` or `12:5` at `at`, behind `file.c:`.
fn line_numbers(title: &[u8], at: usize) -> Option<usize> {
    let before = title[..at].strip_suffix(b":")?;
    let ending = before.iter().rev().take_while(|byte| is_word(**byte)).count();
    if ending == 0 || before.get(before.len().checked_sub(ending + 1)?) != Some(&b'.') {
        return None;
    }
    let mut length = digits(&title[at..]);
    if length == 0 {
        return None;
    }
    while let Some(more) = title[at + length..].strip_prefix(b":").map(digits).filter(|n| *n > 0) {
        length += 1 + more;
    }
    Some(length)
}

/// Four numbers with dots between them.
fn internet_address(text: &[u8]) -> Option<usize> {
    let mut length = 0;
    for part in 0..4 {
        if part > 0 {
            if text.get(length) != Some(&b'.') {
                return None;
            }
            length += 1;
        }
        let digits = digits(&text[length..]);
        if !(1..=3).contains(&digits) {
            return None;
        }
        length += digits;
    }
    Some(length)
}

/// A name, without long numbers in it.
fn name(word: &[u8], out: &mut Vec<u8>) {
    let mut rest = word;
    while !rest.is_empty() {
        let other = run(rest, |byte| !byte.is_ascii_digit());
        out.extend_from_slice(&rest[..other]);
        rest = &rest[other..];
        let number = digits(rest);
        out.extend_from_slice(if number >= LONG { b"NUM" } else { &rest[..number] });
        rest = &rest[number..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_goes() {
        for (title, cleaned) in [
            ("BUG: x at ffff8801a2b3c4d5", "BUG: x at ADDR"),
            ("kernel BUG at mm/slub.c:4023!", "kernel BUG at mm/slub.c:LINE!"),
            ("bad thing in ip6_fragment+0x1052/0x2d80", "bad thing in ip6_fragment"),
            ("stuck for 22 s on CPU#1, 2,3", "stuck for NUM s on CPU, NUM,NUM"),
            ("WARNING in nl802154_del", "WARNING in nl802154_del"),
            ("from 10.0.0.1", "from IP"),
            ("syz-executor.3: \tbad\u{1b}  thing ", "syz-executor: bad thing"),
        ] {
            assert_eq!(clean(title.as_bytes()), cleaned);
        }
        assert_eq!(clean(&[b'x'; 500]).len(), LONGEST);
        assert_eq!(clean(b""), "");
    }
}
