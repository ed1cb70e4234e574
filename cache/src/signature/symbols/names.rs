//! Names without what compilers append to them.

use std::borrow::Cow;

use crate::signature::code::without_lines;
use crate::signature::relocatable::Symbol;

/// The name that the source has. C names have no dots, compilers' suffixes begin with one
/// (`.constprop.0`, `.isra.0`, `.part.0`, `.cold`, `.llvm.123`, `.0` of a static variable).
pub(crate) fn base<'data>(symbol: &Symbol<'data>) -> Cow<'data, [u8]> {
    let cut = |name: &[u8]| match name.iter().skip(1).position(|&byte| byte == b'.') {
        Some(dot) => dot + 1,
        None => name.len(),
    };
    match without_lines(symbol) {
        Cow::Borrowed(name) => Cow::Borrowed(&name[..cut(name)]),
        Cow::Owned(mut name) => {
            name.truncate(cut(&name));
            Cow::Owned(name)
        }
    }
}

/// What the compiler appended, without its numbers: ".part.", ".cold", or nothing.
pub(super) fn suffix(symbol: &Symbol<'_>) -> Vec<u8> {
    let dot = symbol.name.iter().skip(1).position(|&byte| byte == b'.');
    let rest = dot.map_or(&[][..], |dot| &symbol.name[dot + 1..]);
    rest.iter().copied().filter(|byte| !byte.is_ascii_digit()).collect()
}

/// Whether several symbols of one file may have this symbol's base name.
pub(super) fn is_numbered(symbol: &Symbol<'_>) -> bool {
    base(symbol).len() != symbol.name.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::relocatable::Place;

    #[test]
    fn loses_what_the_compiler_adds() {
        let symbol = |name: &'static str, kind, binding| Symbol {
            name: name.as_bytes(),
            kind,
            binding,
            place: Place::Undefined,
            value: 0,
            size: 0,
        };
        for (name, kind, expected, rest) in [
            ("pipe_write", 2, "pipe_write", ""),
            ("pipe_write.cold", 2, "pipe_write", ".cold"),
            ("a2.part.0.isra.13", 2, "a2", ".part..isra."),
            ("__func__.12", 1, "__func__", "."),
            ("__UNIQUE_ID_ddebug343.2", 1, "__UNIQUE_ID_ddebug", "."),
            (".hidden", 2, ".hidden", ""),
        ] {
            let symbol = symbol(name, kind, 0);
            assert_eq!(base(&symbol), expected.as_bytes(), "{name}");
            assert_eq!(suffix(&symbol), rest.as_bytes(), "{name}");
        }
        assert_eq!(base(&symbol("ext4_ops", 1, 1)), &b"ext4_ops"[..]);
        assert!(!is_numbered(&symbol("ext4_ops", 1, 1)));
        assert!(is_numbered(&symbol("x1", 1, 0)));
    }
}
