//! The preprocessor's output, as what the compiler is given.

use std::sync::LazyLock;

use blake3::Hasher;
use kiln_cache::Digest;
use regex::bytes::Regex;

use super::same::literal;

/// What two outputs are compared by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tokens {
    /// Every line that is not blank, with the file and line that it came from.
    pub(super) placed: Digest,
    /// The files that were included, in order of their first line.
    pub(super) files: Digest,
}

impl Tokens {
    /// Of a preprocessor's output (`cc -E`; GCC manual, "Preprocessor Output"): `# LINE "FILE"
    /// FLAGS` says where the next line comes from, and every other line, directives that are left
    /// (`#pragma`) among them, is what the compiler proper sees. Comments are gone, and blanks
    /// between tokens are one blank; the indentation shows the column of a line's first token.
    ///
    /// `None` where tokens are not all that becomes the object: with `.incbin` the assembler takes in
    /// another file. Nor of a text with a raw string (GCC manual, "C Extensions"), whose lines keep
    /// their blanks.
    pub(super) fn of(output: &[u8]) -> Option<Self> {
        static INCLUDES: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"\.incbin\b").expect("a constant pattern"));
        if INCLUDES.is_match(output) || has_raw_strings(output) {
            return None;
        }
        let (mut placed, mut files) = (Hasher::new(), Hasher::new());
        let mut seen = std::collections::HashSet::new();
        let (mut file, mut number): (&[u8], u64) = (b"", 0);
        for line in output.split(|byte| *byte == b'\n') {
            if let Some((next, name)) = marker(line) {
                (number, file) = (next, name);
                if seen.insert(name) {
                    field(&mut files, name);
                }
                continue;
            }
            let content = line.trim_ascii_end();
            if !content.is_empty() {
                field(&mut placed, file);
                placed.update(&number.to_le_bytes());
                field(&mut placed, content);
            }
            number += 1;
        }
        let [placed, files] = [placed, files].map(|it| it.finalize().into());
        Some(Self { placed, files })
    }
}

/// Whether a string begins with `R"`, and is not merely one that holds it.
fn has_raw_strings(output: &[u8]) -> bool {
    static PREFIX: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"\b(?:u8|[uUL])?R""#).expect("a constant pattern"));
    let mut lines = output.split(|byte| *byte == b'\n');
    PREFIX.is_match(output)
        && lines.any(|line| {
            let mut at = 0;
            while let Some(found) = line[at..].iter().position(|byte| matches!(byte, b'"' | b'\''))
            {
                let begins = at + found;
                // The pattern with nothing behind it: the quote at hand is that of a string.
                let prefix = PREFIX.find_at(line, at);
                if prefix.is_some_and(|prefix| prefix.end() == begins + 1) {
                    return true;
                }
                at = begins + literal(&line[begins..]);
            }
            false
        })
}

fn field(hasher: &mut Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

/// Line and file of a marker.
fn marker(line: &[u8]) -> Option<(u64, &[u8])> {
    let rest = line.strip_prefix(b"# ")?;
    let space = rest.iter().position(|byte| *byte == b' ')?;
    let number = std::str::from_utf8(&rest[..space]).ok()?.parse().ok()?;
    let name = rest[space + 1..].strip_prefix(b"\"")?;
    let end = name.iter().rposition(|byte| *byte == b'"')?;
    Some((number, &name[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str =
        "# 0 \"a.c\"\n# 1 \"a.h\" 1\nint x;\n\n# 2 \"a.c\" 2\n  int y;\n#pragma pack\n";

    fn of(text: &str) -> Tokens {
        Tokens::of(text.as_bytes()).unwrap()
    }

    #[test]
    fn markers_and_blank_lines_only_say_where() {
        let same = "# 0 \"a.c\"\n# 1 \"a.h\" 1\nint x; \n# 1 \"a.c\"\n\n  int y;\n#pragma pack\n";
        assert_eq!(of(ONE), of(same));
    }

    #[test]
    fn a_file_that_the_assembler_takes_in_is_not_among_them() {
        let taken = format!("{ONE}asm(\"\t.incbin \\\"data.gz\\\"\\n\");\n");
        assert_eq!(Tokens::of(taken.as_bytes()), None);
    }

    #[test]
    fn blanks_at_the_end_of_a_line_of_a_raw_string_are_content() {
        let raw = |prefix: &str| format!("char *x = {prefix}\"(a  \nb)\", *y = \"z\";\n");
        for prefix in ["R", "LR", "uR", "UR", "u8R"] {
            assert_eq!(Tokens::of(raw(prefix).as_bytes()), None, "{prefix}");
        }
        for text in [r#"x("ERROR", "R", "a R", 'R', "\"R", ERROR"R");"#, "# 1 \"R\"\n", "R \"(\""] {
            assert!(Tokens::of(text.as_bytes()).is_some(), "{text}");
        }
    }

    #[test]
    fn a_moved_line_is_at_another_place() {
        let moved = of(&ONE.replace("# 2 \"a.c\"", "# 3 \"a.c\""));
        assert_ne!(of(ONE).placed, moved.placed);
        assert_eq!(of(ONE).files, moved.files);
    }

    #[test]
    fn tokens_indentation_and_included_files_count() {
        for (from, to) in [("int x", "int z"), ("  int y", " int y"), ("#pragma pack", "")] {
            assert_ne!(of(ONE).placed, of(&ONE.replace(from, to)).placed, "{from}");
        }
        // A file without a token of its own.
        let more = of(&ONE.replace("# 2 \"a.c\" 2", "# 1 \"b.h\" 1\n# 2 \"a.c\" 2"));
        assert_eq!(of(ONE).placed, more.placed);
        assert_ne!(of(ONE).files, more.files);
    }
}
