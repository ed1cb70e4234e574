//! Failures that say nothing of the revision.

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
    /// Anything else, in the log's words.
    Other { line: String },
}

static DISK: LazyLock<Regex> =
    LazyLock::new(|| constant(r"No space left on device|Disk quota exceeded"));

static OTHER: LazyLock<Regex> = LazyLock::new(|| {
    constant(&[
        // A compiler or make's own child killed from outside: out of memory, or somebody.
        r"internal compiler error: (Killed|Terminated)",
        r"fatal error: (Killed|Terminated) signal terminated program",
        r"(gcc|cc1|as|ld|collect2|clang)\S*: .*(terminated with signal 9|unable to execute command: Killed)",
        r"^(g?make)(\[\d+\])?: \*\*\* \[.*\] (Killed|Terminated|Error 137|Error 143)",
        r"^Killed$",
        // Memory.
        r"Cannot allocate memory|virtual memory exhausted|[Oo]ut of memory allocating|memory exhausted$",
        r"std::bad_alloc|(fork|vfork): Resource temporarily unavailable|fork: retry",
        // Disks and tables.
        r"Input/output error|Read-only file system|Too many open files|Stale file handle|Structure needs cleaning",
    ].join("|"))
});

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

/// Whether the log of a failed build shows that the machine is at fault, and how.
///
/// A full disk or a killed compiler counts wherever it appears. A missing tool counts only when
/// Kiln knows its package and no error of the sources came before: trees probe for tools that they
/// can do without.
pub(crate) fn machine_fault(log: &str) -> Option<Fault> {
    let mut absent = None;
    let mut revision_failed = false;
    for line in log.lines().map(str::trim_end).filter(|line| !is_quoted_source(line)) {
        if DISK.is_match(line) {
            return Some(Fault::DiskFull { line: line.to_owned() });
        }
        if OTHER.is_match(line) {
            return Some(Fault::Other { line: line.to_owned() });
        }
        if absent.is_none() && !revision_failed {
            absent = missing(line);
            revision_failed = absent.is_none() && is_source_error(line);
        }
    }
    absent
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

    #[test]
    fn the_machines_failures() {
        for line in [
            "gcc: internal compiler error: Killed (program cc1)",
            "gcc: fatal error: Killed signal terminated program cc1",
            "make[3]: *** [scripts/Makefile.build:250: mm/mmap.o] Killed",
            "make[2]: *** [Makefile:10: vmlinux] Error 137",
            "cc1: out of memory allocating 65536 bytes after a total of 1024 bytes",
            "as: mm/mmap.o: Input/output error",
        ] {
            let log = format!("  CC mm/mmap.o\n{line}\nmake: *** [x] Error 1\n");
            assert_eq!(machine_fault(&log), Some(Fault::Other { line: line.to_owned() }));
        }
        let line = "fixdep: error: write: No space left on device";
        assert_eq!(machine_fault(line), Some(Fault::DiskFull { line: line.to_owned() }));
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
            let fault = machine_fault(&format!("  HOSTCC x\n{line}\n"));
            let found = match &fault {
                Some(Fault::Missing { package, .. }) => Some(*package),
                _ => None,
            };
            assert_eq!(found, Some(package), "{line}: {fault:?}");
        }
    }

    #[test]
    fn the_revisions_failures() {
        for line in [
            "mm/mmap.c:3:1: error: 'Killed' undeclared",
            "kernel/fork.c:16:10: fatal error: linux/gone.h: No such file or directory",
            "mm/mmap.c:3:1: internal compiler error: Segmentation fault",
            "/bin/sh: 1: my-generator: not found",
            "make[1]: *** [Makefile:1: x] Error 1",
            "  12 | puts(\"No space left on device\");",
            "a.c:1:1: error: x\n/bin/sh: 1: zstd: not found",
        ] {
            assert_eq!(machine_fault(line), None, "{line}");
        }
    }
}
