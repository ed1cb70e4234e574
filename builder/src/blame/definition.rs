//! Whether the text of a C file defines one of some functions.

use regex::bytes::Regex;

/// Longest first line of a definition that is looked at, in bytes.
const LONGEST_LINE: usize = 1_000;

/// Finds definitions of some functions.
pub(super) struct Definition {
    /// One of the names before a bracket: few files have one, and it is found fast.
    named: Regex,
    line: Regex,
}

impl Definition {
    /// Of functions with these names; `None` when there are none.
    pub(super) fn of(functions: &[String]) -> Option<Self> {
        if functions.is_empty() {
            return None;
        }
        let names: Vec<String> = functions.iter().map(|name| regex::escape(name)).collect();
        let names = names.join("|");
        // What the first line of a definition looks like: it begins at the margin, has the name before
        // a bracket, and does not end the statement, as a declaration and a call at the margin would.
        let line = format!(r"^(?:[A-Za-z_][^;]*[^A-Za-z0-9_;])?(?:{names})\([^;]*$");
        Some(Self {
            named: Regex::new(&format!(r"(?:{names})\(")).ok()?,
            line: Regex::new(&line).ok()?,
        })
    }

    /// Whether a text has one.
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        let is_end = |byte: &u8| *byte == b'\n';
        self.named.find_iter(text).any(|name| {
            let from = name.start().saturating_sub(LONGEST_LINE);
            let start = match text[from..name.start()].iter().rposition(is_end) {
                Some(end) => from + end + 1,
                None if from == 0 => 0,
                None => return false,
            };
            let rest = &text[name.end()..text.len().min(name.end() + LONGEST_LINE)];
            let end = name.end() + rest.iter().position(is_end).unwrap_or(rest.len());
            self.line.is_match(&text[start..end])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_and_nothing_else() {
        let definition = Definition::of(&["pipe_write".into(), "vfs_write".into()]).unwrap();
        let is = |text: &str| definition.is_in(text.as_bytes());
        assert!(is("static ssize_t\npipe_write(struct kiocb *iocb, struct iov_iter *from)\n{\n"));
        assert!(is("ssize_t vfs_write(struct file *file,\n\t\tsize_t count)\n{\n"));
        assert!(is("ssize_t *vfs_write(void) {"));
        assert!(is("\tvfs_write(file);\r\nssize_t vfs_write(void)\r\n{\r\n"));
        for other in [
            "\treturn vfs_write(file);\n",
            "ssize_t vfs_write(struct file *);\n",
            "EXPORT_SYMBOL(vfs_write);\n",
            "ssize_t new_vfs_write(void)\n{\n",
            "\t.write = pipe_write,\n",
            &format!("{}vfs_write(a)\n", "a ".repeat(LONGEST_LINE)),
        ] {
            assert!(!is(other), "{other}");
        }
        assert!(Definition::of(&[]).is_none());
    }
}
