//! Failures that say nothing of the revision.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use super::errors::is_source_error;
use crate::toolchain::package_of;

/// What the machine lacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A tool, header or library, and the Debian package that has it.
    Missing { what: String, package: &'static str },
    /// No room on a disk.
    DiskFull { line: String },
    /// A compiler or another tool crashed. Bad memory does that, and so does a bug that these
    /// sources bring out each time: only a second run tells them apart.
    Crash { line: String },
    /// Anything else, in the log's words.
    Other { line: String },
}

static DISK: LazyLock<Regex> =
    LazyLock::new(|| constant(r"No space left on device|Disk quota exceeded"));

static CRASH: LazyLock<Regex> = LazyLock::new(|| {
    let signal = "(Segmentation fault|Bus error|Illegal instruction)";
    constant(
        &[
            &format!(r"internal compiler error: {signal}"),
            &format!(r"{signal} signal terminated program|unable to execute command: {signal}"),
            // Numbers of SIGILL, SIGBUS and SIGSEGV (signal(7)), alone and as a shell reports them.
            r"(gcc|cc1|as|ld|collect2|clang)\S*: .*terminated with signal (4|7|11)\b",
            &format!(
                r"^(g?make)(\[\d+\])?: \*\*\* \[.*\] ({signal}|Error 132|Error 135|Error 139)"
            ),
        ]
        .join("|"),
    )
});

static OTHER: LazyLock<Regex> = LazyLock::new(|| {
    constant(&[
        // A compiler or make's own child killed from outside: out of memory, or somebody.
        r"internal compiler error: (Killed|Terminated)|\bKilled \(program \w+\)",
        r"fatal error: (Killed|Terminated) signal terminated program",
        r"(gcc|cc1|as|ld|collect2|clang)\S*: .*(terminated with signal 9|unable to execute command: Killed)",
        r"^(g?make)(\[\d+\])?: \*\*\* \[.*\] (Killed|Terminated|Error 137|Error 143)",
        r"^Killed$",
        // Memory.
        r"Cannot allocate memory|virtual memory exhausted|[Oo]ut of memory allocating|memory exhausted$",
        r"std::bad_alloc|(fork|vfork): Resource temporarily unavailable|fork: retry",
        // Disks and tables.
        // What a tool says of a failed call stands at the end of its line.
        r": (Input/output error|Too many open files|Stale file handle|Structure needs cleaning)\.?$",
    ].join("|"))
});

/// An absolute path inside of a line. One at its very start is the program that speaks.
static ABSOLUTE: LazyLock<Regex> = LazyLock::new(|| constant(r#"[\s'"`‘(=](/[^\s'"`’:)]+)"#));

/// "sh: 1: bison: not found", "/bin/sh: line 3: bc: command not found", "make: bison: No such file
/// or directory".
static NOT_FOUND: LazyLock<Regex> = LazyLock::new(|| {
    constant(
        r"^(?:/bin/)?(?:ba|da)?sh: (?:line )?(?:\d+: )?([\w.+-]+): (?:command )?not found$|^g?make(?:\[\d+\])?: ([\w.+-]+): No such file or directory$|^([\w.+-]+): not found$",
    )
});

/// A header of the host that is missing when a host program is compiled.
static HEADER: LazyLock<Regex> = LazyLock::new(|| {
    constant(
        r"fatal error: '?((?:gelf|libelf|elf|openssl/\w+|ncurses|zlib|dwarf|yaml|gmp|mpc|elfutils/\w+|gcc-plugin)\.h)'?(?:: No such file| file not found)",
    )
});

/// A library of the host that is missing when a host program is linked.
static LIBRARY: LazyLock<Regex> =
    LazyLock::new(|| constant(r"cannot find (-l(?:elf|crypto|ssl|z|dw|c|yaml))\b"));

fn constant(pattern: &str) -> Regex {
    // The patterns are constants; tests compile them all.
    Regex::new(pattern).expect("a constant pattern")
}

/// Whether the log of a failed build shows that the machine is at fault, and how. `source` is where
/// the build saw its sources.
///
/// A full disk or a killed compiler counts wherever it appears. A missing tool counts only when
/// Kiln knows its package and no error of the sources came before: trees probe for tools that they
/// can do without.
pub(crate) fn machine_fault(log: &str, source: &Path) -> Option<Fault> {
    let mut absent = None;
    let mut crash = None;
    let mut revision_failed = false;
    for line in log.lines().map(str::trim_end).filter(|line| !is_quoted_source(line)) {
        if DISK.is_match(line) {
            return Some(Fault::DiskFull { line: line.to_owned() });
        }
        if OTHER.is_match(line) || is_read_only_elsewhere(line, source) {
            return Some(Fault::Other { line: line.to_owned() });
        }
        if crash.is_none() && CRASH.is_match(line) {
            crash = Some(Fault::Crash { line: line.to_owned() });
        }
        if absent.is_none() && !revision_failed {
            absent = missing(line);
            revision_failed = absent.is_none() && is_source_error(line);
        }
    }
    crash.or(absent)
}

/// Whether a file system of the machine has become read-only. The sources are always: a revision
/// that writes to them can't be built, today or ever. Its relative paths may lead there as well,
/// and the objects, where the others lead, hold the log that this line was written to.
fn is_read_only_elsewhere(line: &str, source: &Path) -> bool {
    if !line.contains("Read-only file system") {
        return false;
    }
    let mut paths = ABSOLUTE.captures_iter(line).filter_map(|found| found.get(1)).peekable();
    paths.peek().is_some() && paths.all(|path| !Path::new(path.as_str()).starts_with(source))
}

/// A line in which the compiler shows the source: "  123 | text".
fn is_quoted_source(line: &str) -> bool {
    line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(" | ")
}

fn missing(line: &str) -> Option<Fault> {
    let part = |regex: &Regex| {
        let found = regex.captures(line)?;
        found.iter().skip(1).flatten().next().map(|part| part.as_str().to_owned())
    };
    if let Some(tool) = part(&NOT_FOUND) {
        let package = package_of(&tool)?;
        return Some(Fault::Missing { what: format!("'{tool}'"), package });
    }
    if let Some(header) = part(&HEADER) {
        let package = match header.split(['/', '.']).next()? {
            "openssl" => "libssl-dev",
            "ncurses" => "libncurses-dev",
            "zlib" => "zlib1g-dev",
            "dwarf" => "libdw-dev",
            "yaml" => "libyaml-dev",
            "gmp" => "libgmp-dev",
            "mpc" => "libmpc-dev",
            "elfutils" => "libdw-dev",
            "gcc-plugin" => "gcc-12-plugin-dev",
            // <elf.h> is the C library's.
            "elf" => "libc6-dev",
            _ => "libelf-dev",
        };
        return Some(Fault::Missing { what: format!("the header <{header}>"), package });
    }
    let library = part(&LIBRARY)?;
    let package = match library.as_str() {
        "-lelf" => "libelf-dev",
        "-lz" => "zlib1g-dev",
        "-ldw" => "libdw-dev",
        "-lyaml" => "libyaml-dev",
        "-lc" => "libc6-dev",
        _ => "libssl-dev",
    };
    Some(Fault::Missing { what: format!("the library {library}"), package })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(log: &str) -> Option<Fault> {
        machine_fault(log, Path::new("/mnt/kiln/source"))
    }

    #[test]
    fn the_machines_failures() {
        for line in [
            "gcc: internal compiler error: Killed (program cc1)",
            "gcc: fatal error: Killed signal terminated program cc1",
            "make[3]: *** [scripts/Makefile.build:250: mm/mmap.o] Killed",
            "make[2]: *** [Makefile:10: vmlinux] Error 137",
            "cc1: out of memory allocating 65536 bytes after a total of 1024 bytes",
            "as: mm/mmap.o: Input/output error",
            "cc1: fatal error: Killed (program cc1)",
            "Cannot create temporary file in /tmp/: Read-only file system",
            "cp: cannot create regular file '/tmp/x': Read-only file system",
        ] {
            let log = format!("  CC mm/mmap.o\n{line}\nmake: *** [x] Error 1\n");
            assert_eq!(fault(&log), Some(Fault::Other { line: line.to_owned() }));
        }
        let line = "fixdep: error: write: No space left on device";
        assert_eq!(fault(line), Some(Fault::DiskFull { line: line.to_owned() }));
    }

    #[test]
    fn crashes_are_told_apart() {
        for line in [
            "mm/mmap.c:3:1: internal compiler error: Segmentation fault",
            "gcc: internal compiler error: Bus error signal terminated program cc1",
            "gcc: fatal error: Illegal instruction signal terminated program as",
            "make[3]: *** [scripts/Makefile.build:250: mm/mmap.o] Segmentation fault (core dumped)",
            "make[3]: *** [scripts/Makefile.build:250: mm/mmap.o] Error 139",
        ] {
            assert_eq!(fault(line), Some(Fault::Crash { line: line.to_owned() }));
        }
        // What surely is the machine's comes first.
        let log = "a.c:1:1: internal compiler error: Segmentation fault\nKilled\n";
        assert_eq!(fault(log), Some(Fault::Other { line: "Killed".into() }));
    }

    #[test]
    fn what_is_not_installed() {
        for (line, package) in [
            ("/bin/sh: 1: bc: not found", "bc"),
            ("/bin/sh: 1: flex: not found", "flex"),
            ("sh: line 1: zstd: command not found", "zstd"),
            (
                "scripts/sign-file.c:25:10: fatal error: openssl/opensslv.h: No such file or directory",
                "libssl-dev",
            ),
            (
                "tools/objtool/include/objtool/elf.h:10:10: fatal error: gelf.h: No such file or directory",
                "libelf-dev",
            ),
            ("/usr/bin/ld: cannot find -lelf: No such file or directory", "libelf-dev"),
        ] {
            let found = fault(&format!("  HOSTCC x\n{line}\n"));
            let package_found = match &found {
                Some(Fault::Missing { package, .. }) => Some(*package),
                _ => None,
            };
            assert_eq!(package_found, Some(package), "{line}: {found:?}");
        }
    }

    #[test]
    fn the_revisions_failures() {
        for line in [
            "mm/mmap.c:3:1: error: 'Killed' undeclared",
            "kernel/fork.c:16:10: fatal error: linux/gone.h: No such file or directory",
            "mm/mmap.c:3:1: internal compiler error: in foo, at bar.c:3",
            "/bin/sh: 1: cannot create /mnt/kiln/source/include/x.h: Read-only file system",
            "touch: cannot touch 'kernel/x': Read-only file system",
            "mm/mmap.c:3:1: warning: Input/output error is a string here",
            "/bin/sh: 1: my-generator: not found",
            "make[1]: *** [Makefile:1: x] Error 1",
            "  12 | puts(\"No space left on device\");",
            "a.c:1:1: error: x\n/bin/sh: 1: zstd: not found",
        ] {
            assert_eq!(fault(line), None, "{line}");
        }
    }
}
