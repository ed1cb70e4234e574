//! What `git show --stat` prints of the commit that was found.

/// Whether a line belongs to it: header lines, the message (which is indented), changed files in
/// either of git's forms, or nothing.
pub(super) fn belongs(text: &str) -> bool {
    const HEADER: &[&str] = &[
        "commit ",
        "Author:",
        "AuthorDate:",
        "Commit:",
        "CommitDate:",
        "Date:",
        "Merge:",
        "Notes",
    ];
    text.is_empty()
        || text.starts_with(' ')
        || HEADER.iter().any(|word| text.starts_with(word))
        || changed_raw(text).is_some()
}

/// The file that a line names as changed, if it does; folders and cut names included.
pub(super) fn changed(text: &str) -> Option<&str> {
    changed_raw(text).or_else(|| changed_stat(text))
}

/// ` path | 27 +++---` or ` path | Bin 1 -> 2 bytes`; long paths are cut to `.../rest`.
fn changed_stat(text: &str) -> Option<&str> {
    let rest = text.strip_prefix(' ').filter(|rest| !rest.starts_with(' '))?;
    let (path, count) = rest.split_once(" | ")?;
    let count = count.trim_start();
    (count.starts_with(|c: char| c.is_ascii_digit()) || count.starts_with("Bin"))
        .then(|| path.trim())
}

/// `:100644 100644 ID ID M<tab>path`.
fn changed_raw(text: &str) -> Option<&str> {
    let (modes, path) = text.strip_prefix(':')?.split_once('\t')?;
    (modes.split(' ').count() == 5).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_files_in_both_forms() {
        assert_eq!(changed(" arch/x86/kvm/xen.c | 27 +++---"), Some("arch/x86/kvm/xen.c"));
        assert_eq!(changed(" a.bin | Bin 0 -> 12 bytes"), Some("a.bin"));
        assert_eq!(changed(":040000 040000 ab cd M\tnet"), Some("net"));
        assert_eq!(changed("    in a message | 3 things"), None);
        assert_eq!(changed(" 1 file changed, 2 insertions(+)"), None);
    }
}
