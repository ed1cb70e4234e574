//! What the named commit itself says about whether it brought the crash.

use std::path::Path;

use crate::log::import::{Answer, Imported, Role};

use super::target::{Target, words};

/// Traits of an answer, each with its reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Traits {
    /// It changes the part of the kernel that crashed: a file or folder of the crash's trace, or a
    /// word of its title. A search that lost its way ends at a commit of any part.
    pub related: bool,
    /// It is a merge or a release: those change next to nothing of their own.
    pub merge: bool,
    /// It brings a check (a warning, lockdep, a sanitizer): the bug may be older than what sees it.
    pub detector: bool,
    /// It changes nothing but Kconfig, Makefiles, documentation, tools and interfaces: it may have
    /// enabled the code that has the bug.
    pub enabler: bool,
    /// The target needs no detector: a fault of the processor shows on every kernel.
    pub fault: bool,
    /// Releases tested on the way back. A bug that looks old is more often one that could not show
    /// on what was older still: other compilers, other configurations.
    pub releases: u32,
}

impl Traits {
    pub(super) fn of(log: &Imported, target: &Target) -> Self {
        let title = match &log.answer {
            Answer::Culprit { title, .. } => title.as_str(),
            _ => "",
        };
        let releases = log.tests.iter().filter(|test| test.role == Role::Range).count();
        Self {
            related: related(log, target, title),
            merge: title.starts_with("Merge ") || is_release(title),
            detector: is_detector(title),
            enabler: !log.changed.is_empty() && log.changed.iter().all(|path| enables(path)),
            fault: is_fault(&target.main),
            releases: releases.min(10) as u32,
        }
    }
}

fn is_release(title: &str) -> bool {
    let rest = title.strip_prefix("Linux ");
    rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn is_detector(title: &str) -> bool {
    const WORDS: &[&str] =
        &["warn", "lockdep", "check", "kasan", "debug", "annotat", "tracker", "odebug", "bug_on"];
    let title = title.to_ascii_lowercase();
    WORDS.iter().any(|word| title.contains(word))
}

fn enables(path: &str) -> bool {
    const PARTS: &[&str] =
        &["Kconfig", "Makefile", "Documentation", "MAINTAINERS", ".rst", "tools/", "uapi"];
    PARTS.iter().any(|part| path.contains(part))
}

fn is_fault(title: &str) -> bool {
    const BEGINNINGS: &[&str] = &[
        "general protection fault",
        "BUG: unable to handle",
        "divide error",
        "double fault",
        "stack segment",
        "PANIC",
    ];
    BEGINNINGS.iter().any(|word| title.starts_with(word))
}

fn related(log: &Imported, target: &Target, title: &str) -> bool {
    let patch = log.changed.iter().map(String::as_str).chain([title]);
    if patch.flat_map(words).any(|word| target.words().contains(&word)) {
        return true;
    }
    // The console at the end is of the last crash that was called bad, which may be another.
    if !log.crash_title.as_deref().is_some_and(|title| target.is(title)) {
        return false;
    }
    // Folders in which every trace passes say nothing.
    const EVERYWHERE: &[&str] = &["", "lib", "kernel", "mm", "include/linux"];
    let traced = traced(&log.console);
    log.changed.iter().any(|path| {
        let folder = folder(path);
        traced.iter().any(|file| {
            file == path || (!EVERYWHERE.contains(&folder) && self::folder(file) == folder)
        })
    })
}

fn folder(path: &str) -> &str {
    Path::new(path).parent().and_then(Path::to_str).unwrap_or("")
}

/// Source files in a console's traces: `path/file.c:123`.
fn traced(console: &str) -> Vec<&str> {
    let mut files: Vec<&str> = console
        .split_whitespace()
        .filter_map(|word| word.split_once(':'))
        .filter(|(path, line)| {
            path.contains('/')
                && [".c", ".h", ".S"].iter().any(|ending| path.ends_with(ending))
                && line.starts_with(|c: char| c.is_ascii_digit())
        })
        .map(|(path, _)| path)
        .collect();
    files.sort_unstable();
    files.dedup();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_trace() {
        let console = "RIP: 0010:foo+0x1/0x2 net/tls/tls_sw.c:12\n bar net/a.h:3 [inline]\n x.c:1";
        assert_eq!(traced(console), ["net/a.h", "net/tls/tls_sw.c"]);
    }

    #[test]
    fn titles_and_paths_are_told_apart() {
        assert!(is_release("Linux 5.2") && !is_release("Linux kernel: fix"));
        assert!(is_detector("net: warn if mac header was not set") && !is_detector("net: fix x"));
        assert!(enables("net/qrtr/Kconfig") && !enables("net/qrtr/qrtr.c"));
        assert!(is_fault("general protection fault in x") && !is_fault("WARNING in x"));
    }
}
