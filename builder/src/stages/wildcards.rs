//! Wildcards and patterns of makefiles that stand for headers.

use std::sync::LazyLock;

use regex::bytes::Regex;

/// A word that make expands to names of headers, as its folder and its last part: in `$(wildcard …)`, or
/// as a prerequisite (GNU make's manual, 4.4), or in a pattern rule (10.5). What stands in quotes is for
/// the shell, and `$*` is the stem of a rule.
static WORD: LazyLock<Regex> = LazyLock::new(|| {
    let before = r"(?:^|[\s(:=,])";
    let folder = r#"((?:[^\s'"]*/)?)"#;
    let name = r"([\w.+-]*[*?%][\w.*?%+-]*\.h)";
    let after = r"(?:$|[\s):,])";
    Regex::new(&format!("{before}{folder}{name}{after}")).expect("a constant pattern")
});

/// How folders begin that hold what the build makes, and no sources.
const MADE: [&[u8]; 3] = [b"$(obj)", b"$(objtree)", b"$(O)"];

/// How folders of a pattern begin that are the makefile's own.
const OWN: [&[u8]; 3] = [b"", b"$(src)/", b"$(srctree)/$(src)/"];

/// The wildcards for headers in a makefile: folder and last part of each.
pub(super) struct Wildcards<'a> {
    /// The folder of the makefile, with the slash behind it; `None` of one that others include.
    own: Option<&'a [u8]>,
    words: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Wildcards<'a> {
    /// Of the text of the makefile at a path. Comments have none, nor do folders that hold what the build
    /// makes.
    pub(super) fn of(makefile: &'a [u8], text: &'a [u8]) -> Self {
        let folder = makefile.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        let own = (!makefile.starts_with(b"scripts/")).then_some(&makefile[..folder]);
        let lines = text.split(|byte| *byte == b'\n');
        let code = lines.filter_map(|line| line.split(|byte| *byte == b'#').next());
        let words = code.flat_map(|code| WORD.captures_iter(code)).filter_map(|word| {
            let (folder, name) = (word.get(1)?.as_bytes(), word.get(2)?.as_bytes());
            (!MADE.iter().any(|made| folder.starts_with(made))).then_some((folder, name))
        });
        Self { own, words: words.collect() }
    }

    /// Whether a rule may depend on a header (its path from the top of the tree) without naming it:
    /// then it is read by more than the compilers say. Folders are compared by their last part, where
    /// that is spelled out; a `%` may stand for folders, too.
    pub(super) fn may_stand_for(&self, path: &[u8]) -> bool {
        let mut parts = path.rsplit(|byte| *byte == b'/');
        let (name, parent) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        self.words.iter().any(|(folder, pattern)| {
            if pattern.contains(&b'%') {
                let elsewhere = || self.own.is_some_and(|own| !path.starts_with(own));
                return matches(pattern, name) && !(OWN.contains(folder) && elsewhere());
            }
            let last = folder.strip_suffix(b"/").unwrap_or(folder);
            let last = last.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            let is_there = last.is_empty() || last.contains(&b'$') || last == parent;
            is_there && matches(pattern, name)
        })
    }
}

/// Whether a name is one that a pattern of `*`, `%` and `?` stands for.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*' | b'%', rest)), _) => {
            matches(rest, name)
                || name.split_first().is_some_and(|(_, name)| matches(pattern, name))
        }
        (Some((b'?', rest)), Some((_, name))) => matches(rest, name),
        (Some((one, rest)), Some((other, name))) => one == other && matches(rest, name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_stand_for(text: &[u8], path: &[u8]) -> bool {
        Wildcards::of(b"scripts/Makefile.lib", text).may_stand_for(path)
    }

    #[test]
    fn patterns_of_a_makefile_are_of_its_own_folder_unless_others_include_it() {
        // drivers/gpu/drm/i915/Makefile, scripts/Makefile.headersinst, tools/lib/subcmd/Makefile
        for (rule, folder) in [
            ("$(obj)/%.hdrtest: $(src)/%.h FORCE\n", "drivers/gpu/drm/i915/"),
            ("$(src-headers): $(dst)/%.h: $(src)/%.h FORCE\n", "scripts/"),
            ("$(INSTALL_HDRS): $(INSTALL_PFX)/sub%.h: %.h\n", "tools/lib/subcmd/"),
        ] {
            let makefile = format!("{folder}Makefile");
            let words = Wildcards::of(makefile.as_bytes(), rule.as_bytes());
            let may = |path: &str| words.may_stand_for(path.as_bytes());
            assert!(may(&format!("{folder}a.h")) && may(&format!("{folder}gt/a.h")), "{rule}");
            assert_eq!(may("include/linux/mm.h"), folder == "scripts/", "{rule}");
            assert!(!may(&format!("{folder}a.c")), "{rule}");
        }
    }

    #[test]
    fn words_that_stand_for_a_header() {
        for text in [
            "all.txt: $(wildcard include/linux/*.h)\n\tcat $^ >$@\n",
            "all.txt: $(srctree)/include/linux/mm_*.h\n",
            "x := $(wildcard $(srctree)/$(src)/*.h $(src)/*.c)\n",
            "x := a.o $(wildcard *.h)",
            "x:include/linux/mm_type?.h y",
        ] {
            assert!(may_stand_for(text.as_bytes(), b"include/linux/mm_types.h"), "{text}");
            assert!(!may_stand_for(text.as_bytes(), b"include/linux/mm_types.c"), "{text}");
        }
    }

    #[test]
    fn words_of_the_kernels_makefiles_that_do_not() {
        for text in [
            "# is used by include/linux/*.h\n",
            "\tfind include/ -name '*.h' | xargs\n",
            "old-headers := $(wildcard $(obj)/*.h)\n",
            "cmd_wrap = echo \"\\#include <asm-generic/$*.h>\" > $@\n",
            "xen-hypercalls.h: $(srctree)/include/xen/interface/xen*.h\n",
            "x := $(wildcard include/asm/*.h)\n",
            "x := $(wildcard include/linux/*.hh include/linux/m*x.h)\n",
            "$(obj)/%.tab.c $(obj)/%.h: $(src)/%.y",
        ] {
            assert!(!may_stand_for(text.as_bytes(), b"include/linux/mm_types.h"), "{text}");
        }
    }
}
