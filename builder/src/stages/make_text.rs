//! What differs between two texts of one makefile: what make hands to commands, or something that
//! make may not notice.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::same::mentions;

/// How far make, run upon what it has made, can be trusted with a change of a makefile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MakeText {
    /// Lists of objects, flags of compilers, comments. They reach the text of commands, which Kbuild
    /// compares with the text that it ran (`if_changed`), and what is linked. And what is Kbuild's own.
    Lists,
    /// Anything else: rules and recipes, variables with a command that a plain recipe calls
    /// (`$(call cmd,…)`), conditions around them. Make does not compare what those were.
    Rules,
}

/// Assignments that end in lists or flags (Documentation/kbuild/makefiles.rst, sections 3 and 4).
/// `OBJECT_FILES_NON_STANDARD` is none: before 5.16 it decided about a command that Kbuild ran beside
/// the compiler's, and kept no text of.
static LISTS: LazyLock<Regex> = LazyLock::new(|| {
    let list = r"[\w./-]+-(?:y|m|n|objs|\$\(\w+\))";
    let flags = "(?:CFLAGS|AFLAGS|CFLAGS_REMOVE|AFLAGS_REMOVE|KASAN_SANITIZE|KCSAN_SANITIZE|\
                 KMSAN_SANITIZE|UBSAN_SANITIZE|KCOV_INSTRUMENT|GCOV_PROFILE)(?:_[\\w./-]+)?";
    Regex::new(&format!(r"^ *(?:{list}|{flags})\s*[:+?]?=")).expect("a constant pattern")
});

/// Variables that only Kbuild's own makefiles read. `targets` says whose saved commands they include
/// (`scripts/Makefile.build`); what is not among them is made in every run, so more of them change
/// nothing that is current, and fewer have something made again. The others say what `make clean`
/// removes.
const OWN: [&[u8]; 3] = [b"targets", b"clean-files", b"clean-dirs"];

/// The release in the top `Makefile`, which reaches the image only through what the recipe sets.
static RELEASE: LazyLock<Regex> = LazyLock::new(|| {
    let names = "VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION|NAME";
    Regex::new(&format!(r"^ *(?:{names})\s*=")).expect("a constant pattern")
});

/// Compares two texts of a makefile. In one that is for the whole tree, nothing but the release counts
/// as a list: up to 6.0 the lists of what is linked reached `scripts/link-vmlinux.sh` through its
/// environment, whose text nobody compares.
pub(crate) fn make_text(one: &[u8], other: &[u8], is_for_all: bool) -> MakeText {
    let rest = |text| match is_for_all {
        true => others(text, &RELEASE),
        false => without_own(others(text, &LISTS)),
    };
    match rest(one) == rest(other) {
        true => MakeText::Lists,
        false => MakeText::Rules,
    }
}

/// The lines without assignments to variables of Kbuild's own; all of them where a line reads one
/// (`$(targets): …`).
fn without_own(mut lines: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let reads = |line: &[u8]| OWN.iter().any(|name| mentions(line, name));
    if !lines.iter().any(|line| !sets_own(line) && reads(line)) {
        lines.retain(|line| !sets_own(line));
    }
    lines
}

/// Whether a line is an assignment to one of them, which reads at most that one.
fn sets_own(line: &[u8]) -> bool {
    let end = line.iter().position(|byte| !matches!(byte, b'a'..=b'z' | b'-'));
    let (name, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_ascii_start();
    let is_set = [&b"="[..], b":=", b"+=", b"?="].iter().any(|sign| rest.starts_with(sign));
    is_set && OWN.iter().all(|own| (*own == name) || !mentions(rest, own)) && OWN.contains(&name)
}

/// The lines, joined where a backslash ends one, that are neither blank nor a comment nor one of the
/// assignments.
fn others(text: &[u8], lists: &Regex) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut goes_on = false;
    for line in text.split(|byte| *byte == b'\n') {
        let (line, more) = match line.strip_suffix(b"\\") {
            Some(line) => (line, true),
            None => (line, false),
        };
        match lines.last_mut().filter(|_| goes_on) {
            Some(last) => {
                last.push(b' ');
                last.extend_from_slice(line);
            }
            None => lines.push(line.to_vec()),
        }
        goes_on = more;
    }
    lines.retain(|line| {
        let text = line.trim_ascii();
        // A comment that begins with a tab is a recipe's.
        let silent = text.is_empty() || (text.starts_with(b"#") && !line.starts_with(b"\t"));
        !silent && !lists.is_match(line)
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "# SPDX\nobj-y := a.o \\\n\tb.o\nobj-$(CONFIG_X) += x.o\nccflags-y := -O1\n\
                        CFLAGS_a.o := -DX\n      cmd_build = perl $< $@\nx.c: gen.pl\n\
                        \t$(call cmd,build)\nifdef CONFIG_Y\nendif\n";

    #[test]
    fn lists_and_flags_are_compared_by_kbuild() {
        for (from, to) in [
            ("a.o \\\n\tb.o", "a.o \\\n\tb.o c.o"),
            ("x.o", "y.o"),
            ("-O1", "-O2"),
            ("-DX", "-DY"),
            ("# SPDX", "# another remark\n\n"),
            ("CFLAGS_a.o := -DX\n", ""),
        ] {
            let other = BASE.replacen(from, to, 1);
            assert_ne!(other, BASE);
            let [one, other] = [BASE.as_bytes(), other.as_bytes()];
            assert_eq!(make_text(one, other, false), MakeText::Lists, "{to}");
        }
    }

    #[test]
    fn what_kbuild_includes_and_cleans_is_its_own_matter() {
        let text = |own: &str, rest: &str| format!("{BASE}{own}\n{rest}\n");
        let of = |one: &str, other: &str| make_text(one.as_bytes(), other.as_bytes(), false);
        for own in ["targets += a.lds", "clean-files := a b", "clean-dirs += include", ""] {
            let (one, other) = (text("targets := b", ""), text(own, ""));
            assert_eq!(of(&one, &other), MakeText::Lists, "{own}");
        }
        let read = "$(targets:%=$(obj)/%.dbg): FLAGS = -m32";
        let (one, other) = (text("targets := b", read), text("targets := c", read));
        assert_eq!(of(&one, &other), MakeText::Rules, "a rule reads it");
        for own in ["targets: b", "my-targets := b", "clean-dirs := $(targets)"] {
            assert_eq!(of(&text("", ""), &text(own, "")), MakeText::Rules, "{own}");
        }
        let whole = make_text(b"targets := a\n", b"targets := b\n", true);
        assert_eq!(whole, MakeText::Rules);
    }

    #[test]
    fn of_the_whole_tree_only_the_release_may_differ() {
        let top = |level: &str, core: &str| {
            format!("VERSION = 6\n# {core}\nSUBLEVEL = {level}\ncore-y := {core}\nall: vmlinux\n")
        };
        let [one, release] = [top("1", "init/ usr/"), top("2", "init/ usr/")];
        assert_eq!(make_text(one.as_bytes(), release.as_bytes(), true), MakeText::Lists);
        for core in ["usr/ init/", "init/"] {
            let other = top("1", core);
            assert_eq!(
                make_text(one.as_bytes(), other.as_bytes(), true),
                MakeText::Rules,
                "{core}"
            );
        }
    }

    #[test]
    fn rules_and_commands_are_not() {
        for (from, to) in [
            ("perl $< $@", "perl -w $< $@"),
            ("x.c: gen.pl", "x.c: gen.pl more"),
            ("\t$(call", "\t@$(call"),
            ("ifdef CONFIG_Y", "ifdef CONFIG_Z"),
            ("endif\n", "endif\nexport A := 1\n"),
            ("obj-y := a.o \\", "obj-y := a.o"),
            ("# SPDX\n", "OBJECT_FILES_NON_STANDARD_a.o := y\n"),
        ] {
            let other = BASE.replacen(from, to, 1);
            assert_ne!(other, BASE);
            let [one, other] = [BASE.as_bytes(), other.as_bytes()];
            assert_eq!(make_text(one, other, false), MakeText::Rules, "{to}");
        }
    }
}
