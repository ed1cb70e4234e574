//! The first errors of a failed build.

use std::sync::LazyLock;

use regex::Regex;

/// At most this many are kept.
const MOST: usize = 10;

/// Longest line that is kept, in characters.
const LONGEST: usize = 300;

/// What a compiler, assembler, linker or generator says when it gives up.
static DIRECT: LazyLock<Regex> = LazyLock::new(|| {
    let patterns = [
        // file:line: or file:line:column: error, of compiler, assembler, Kconfig and dtc
        r"^[^\s:][^:]*:\d+(:\d+)?: (fatal )?([Ee]rror|syntax error|unknown option|invalid)\b",
        r"^[^\s:][^:]*:\d+: (Error|.*(syntax error|can't open|recursive dependency|unknown statement|invalid statement))",
        // linker, with and without a path in front
        r"undefined reference to ",
        r"multiple definition of ",
        r"(^|[/\s])(\S*-)?ld(\.\w+)?: (?:.*: )?(error|cannot find|undefined|final link failed|.*section .* (overlaps|will not fit|VMA|LMA)|\S+: (file not recognized|No such file))",
        r"^ld: .*(assertion|ASSERT)",
        r"^collect2: (fatal )?error",
        // compiler without a place
        r"^(\S*/)?(\S*-)?(gcc|g\+\+|cc1|cc|clang|as|objcopy|ar)(-[\d.]+)?: (fatal )?error",
        r"internal compiler error",
        // tools of the tree
        r"objtool: .*(error|can't|failed|unsupported|unexpected end)|^error: objtool",
        r"^(ERROR|Error): modpost: |^ERROR: (modpost|\S.*undefined!)|modpost: .*undefined!",
        r"^FATAL: modpost",
        r"^fixdep: error|^(kallsyms|sortextable|insert-sys-cert|sorttable|relocs).*(error|failure|failed|invalid|Too many)",
        r"^Inconsistent kallsyms data",
        r"^Invalid absolute R_X86_64",
        r"^\*\*\* (Configuration file|The source tree)",
    ];
    compile(&patterns)
});

/// What make says of it: kept when nothing more direct was found, or after it.
static MAKE: LazyLock<Regex> = LazyLock::new(|| {
    compile(&[
        r"^(g?make)(\[\d+\])?: \*\*\* (No rule to make target|missing separator|multiple target|recursive variable|commands commence)",
        r"^\S+:\d+: \*\*\* ",
        r"^(/bin/)?(ba|da)?sh: (\d+: |line \d+: )?.*(not found|No such file|[Ss]yntax error|Permission denied)",
    ])
});

/// That a target failed: kept only when there is nothing else.
static LAST_RESORT: LazyLock<Regex> = LazyLock::new(|| {
    compile(&[r"^(g?make)(\[\d+\])?: \*\*\* ", r"(?i)^error[: ]", r"(?i): error: "])
});

fn compile(patterns: &[&str]) -> Regex {
    // The patterns are constants; a test compiles them all.
    Regex::new(&patterns.join("|")).expect("constant patterns")
}

/// The first errors in the output of make, compilers and linkers: at most ten lines in the order
/// of the log, each at most 300 characters, without repetitions. When nothing looks like an error,
/// the last lines that say anything.
pub fn first_errors(log: &str) -> Vec<String> {
    let direct = pick(log, |line| DIRECT.is_match(line) || MAKE.is_match(line));
    if !direct.is_empty() {
        return direct;
    }
    let last_resort = pick(log, |line| LAST_RESORT.is_match(line));
    if !last_resort.is_empty() {
        return last_resort;
    }
    let said: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    said.iter().skip(said.len().saturating_sub(3)).map(|line| shorten(line)).collect()
}

/// Whether a compiler, assembler, linker or generator gives up in this line.
pub(super) fn is_source_error(line: &str) -> bool {
    DIRECT.is_match(line)
}

fn pick(log: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut errors: Vec<String> = Vec::new();
    for line in log.lines().filter(|line| wanted(line)) {
        let line = shorten(line);
        if !errors.contains(&line) {
            errors.push(line);
        }
        if errors.len() == MOST {
            break;
        }
    }
    errors
}

fn shorten(line: &str) -> String {
    let line = line.trim_end();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compile_error() {
        let log = "\
  CALL    scripts/checksyscalls.sh
  CC      mm/mmap.o
In file included from ./include/linux/mm.h:5,
                 from mm/mmap.c:15:
mm/mmap.c: In function 'vm_brk':
mm/mmap.c:3012:9: error: 'nope' undeclared (first use in this function); did you mean 'node'?
 3012 |         nope = 1;
      |         ^~~~
      |         node
mm/mmap.c:3012:9: note: each undeclared identifier is reported only once for each function it appears in
mm/mmap.c:3015:1: warning: control reaches end of non-void function [-Wreturn-type]
make[3]: *** [scripts/Makefile.build:250: mm/mmap.o] Error 1
make[2]: *** [scripts/Makefile.build:500: mm] Error 2
make[1]: *** [Makefile:2010: .] Error 2
make: *** [Makefile:238: __sub-make] Error 2
";
        assert_eq!(
            first_errors(log),
            [
                "mm/mmap.c:3012:9: error: 'nope' undeclared (first use in this function); did you mean 'node'?"
            ]
        );
    }

    #[test]
    fn a_missing_header_and_werror() {
        let log = "kernel/fork.c:16:10: fatal error: linux/gone.h: No such file or directory\n\
                   compilation terminated.\n\
                   lib/x.c:4:5: error: unused variable 'x' [-Werror=unused-variable]\n\
                   cc1: all warnings being treated as errors\n";
        assert_eq!(first_errors(log).len(), 2);
    }

    #[test]
    fn a_link_error() {
        let log = "  LD      .tmp_vmlinux.kallsyms1\n\
                   ld: vmlinux.o: in function `start_kernel':\n\
                   main.c:(.init.text+0x21): undefined reference to `gone'\n\
                   ld: mm/a.o:(.data+0x0): multiple definition of `twice'; mm/b.o:(.data+0x0): first defined here\n\
                   make[1]: *** [scripts/Makefile.vmlinux:34: vmlinux] Error 1\n";
        let errors = first_errors(log);
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].contains("undefined reference to `gone'"));
    }

    #[test]
    fn what_make_and_kconfig_say() {
        let rule = "make[4]: *** No rule to make target 'mm/gone.o', needed by 'mm/built-in.a'.  Stop.\n\
                    make[3]: *** [scripts/Makefile.build:500: mm] Error 2\n";
        assert_eq!(first_errors(rule).len(), 1);
        let kconfig = "mm/Kconfig:12: syntax error\nmm/Kconfig:11: unknown statement \"fi\"\n\
                       make[2]: *** [scripts/kconfig/Makefile:77: olddefconfig] Error 1\n";
        assert_eq!(first_errors(kconfig).len(), 2);
        let open = "init/Kconfig:3: can't open file \"gone/Kconfig\"\n";
        assert_eq!(first_errors(open).len(), 1);
        let separator = "mm/Makefile:3: *** missing separator.  Stop.\n";
        assert_eq!(first_errors(separator).len(), 1);
    }

    #[test]
    fn objtool_modpost_and_the_assembler() {
        for line in [
            "vmlinux.o: error: objtool: copy_to_user+0x2: unexpected end of section .text",
            "ERROR: modpost: \"gone\" [drivers/net/dummy.ko] undefined!",
            "arch/x86/entry/entry_64.S:90: Error: no such instruction: `mvoq %rax,%rbx'",
            "ld: arch/x86/boot/setup.elf: error: PHDR segment not covered by LOAD segment",
            "/usr/bin/ld: cannot find -lgone: No such file or directory",
            "drivers/x.c:1:2: internal compiler error: in foo, at bar.c:3",
        ] {
            assert_eq!(first_errors(&format!("  LD x\n{line}\nmake: *** [x] Error 1\n")), [line]);
        }
    }

    #[test]
    fn warnings_and_steps_are_no_errors() {
        let log = "  CC      lib/error.o\nlib/x.c:3:1: warning: error in comment [-Wcomment]\n\
                   make[1]: *** [Makefile:1: x] Error 1\n";
        assert_eq!(first_errors(log), ["make[1]: *** [Makefile:1: x] Error 1"]);
    }

    #[test]
    fn at_most_ten_short_lines_once_each() {
        let line = |n: usize| format!("a.c:{n}:1: error: {}\n", "x".repeat(400));
        let log: String = (0..40).map(|n| line(n / 2)).collect();
        let errors = first_errors(&log);
        assert_eq!(errors.len(), MOST);
        assert!(errors.iter().all(|error| error.chars().count() == LONGEST + 1));
        assert!(errors[1].starts_with("a.c:1:1:"));
    }

    #[test]
    fn something_is_always_said() {
        assert_eq!(first_errors("one\ntwo\n\nthree\nfour\n"), ["two", "three", "four"]);
        assert!(first_errors("").is_empty());
    }
}
