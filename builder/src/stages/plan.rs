//! Which stage a difference of two trees is a case for. Pure decisions.

use std::fmt;

use crate::closure::{Touch, What, Why, display};
use crate::units::Units;

/// Objects that are worth comparing when it is not clear that they come out the same. Preprocessing
/// on both sides costs 0.54 of compiling, so more of them had better be compiled at once.
pub(super) const MOST_UNITS: usize = 24;

/// Objects that are compiled aside although tokens differ, on the chance that they come out the same:
/// for a declaration that nobody uses, for lines that moved.
pub(super) const MOST_GUESSED: usize = 8;

/// What is known of one changed path that a build could notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Touched {
    pub(crate) touch: Touch,
    pub(crate) what: What,
    /// The text differs in comments and blank lines alone, so far as that can be told.
    pub(crate) comments_only: bool,
    /// And something stands on another line than before, so that no tokens are the same.
    pub(crate) moves_lines: bool,
    /// A makefile, and more differs than lists and flags; or one for the whole tree, and more differs
    /// than the release. Or one of Kconfig, and an option's number is written otherwise.
    pub(crate) rules: bool,
}

/// Why there is nothing for it but to compile, with the path that decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The path.
    pub path: Box<[u8]>,
    /// What is with it, as the rest of a sentence that begins with the path.
    pub what: String,
    /// Make may not see what it has to make again, so all is made from nothing.
    pub from_nothing: bool,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", display(&self.path), self.what)
    }
}

/// What to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Evaluate configuration and commands (T1).
    Evaluate,
    /// Compare these objects, named from the folder of objects (T2, T3), then evaluate.
    Compare {
        /// The objects that were made from changed files; at least one.
        objects: Vec<String>,
        /// Every changed file differs in comments and blank lines only.
        comments_only: bool,
    },
    /// Compile.
    Compile(Reason),
}

/// Decides what to try for a difference, of which a build could notice these paths.
pub(crate) fn plan(touched: &[Touched], units: &Units) -> Plan {
    let mut objects: Vec<String> = Vec::new();
    let mut most: Option<(&Touched, usize)> = None;
    for one in touched {
        let path = &one.touch.path;
        match kind(one, units) {
            Ok(Kind::Evaluated) => {}
            Ok(Kind::Source) => {
                let before = objects.len();
                let readers = units.readers(path).map(|it| String::from_utf8_lossy(it).into());
                objects.extend(readers);
                let count = objects.len() - before;
                if most.is_none_or(|(_, most)| count > most) {
                    most = Some((one, count));
                }
            }
            Err(reason) => return Plan::Compile(reason),
        }
    }
    objects.sort_unstable();
    objects.dedup();
    let comments_only =
        touched.iter().all(|one| one.comments_only || is_make_text(&one.touch.path));
    let moves_lines = touched.iter().any(|one| one.moves_lines);
    match most {
        Some((one, count)) if objects.len() > MOST_GUESSED && comments_only && moves_lines => {
            Plan::Compile(reason(one, format!("has other lines and is read by {count} units")))
        }
        Some((one, count)) if objects.len() > MOST_UNITS && !comments_only => {
            Plan::Compile(reason(one, format!("differs and is read by {count} units")))
        }
        Some(_) => Plan::Compare { objects, comments_only },
        None => Plan::Evaluate,
    }
}

/// Whether a change has everything made anew, as make may not see all that depends on it.
pub(crate) fn is_from_nothing(one: &Touched, units: &Units) -> bool {
    matches!(kind(one, units), Err(reason) if reason.from_nothing)
}

enum Kind {
    /// Make reads it anew in every run.
    Evaluated,
    /// Compilers read it, and nobody else.
    Source,
}

fn reason(one: &Touched, what: impl Into<String>) -> Reason {
    Reason { path: one.touch.path.clone(), what: what.into(), from_nothing: false }
}

fn from_nothing(one: &Touched, what: &str) -> Reason {
    Reason { from_nothing: true, ..reason(one, what) }
}

fn kind(one: &Touched, units: &Units) -> Result<Kind, Reason> {
    let path = &one.touch.path;
    match (one.touch.why, one.what) {
        (Why::Read, _) => {}
        // A header that appears before another one in the path of includes, a script that goes or
        // may be run now: no rule of make has it as a prerequisite.
        (Why::LookedUp, _) => return Err(from_nothing(one, "was looked up and came or went")),
        (Why::Found, What::Mode | What::Kind) => {
            return Err(from_nothing(one, "was looked at and is of another kind or mode"));
        }
        (Why::Found, _) => return Err(reason(one, "was looked at and is of another size")),
        // Make lists folders to look for what it needs, and does so in every run.
        (Why::Listed, _) => {
            let what = "came, went or changed its kind, and its folder was listed";
            return Err(reason(one, what));
        }
    }
    // Built by rules of their own, whose records name files from other folders.
    if path.starts_with(b"tools/") {
        return Err(from_nothing(one, "differs, and a tool of the build is made of it"));
    }
    if one.rules && is_kconfig(path) {
        return Err(from_nothing(one, "differs, and an option of type int is hex or hex is int"));
    }
    if is_make_text(path) {
        return match (one.rules, is_for_all(path)) {
            (true, false) => {
                Err(from_nothing(one, "differs in more than lists of objects and flags"))
            }
            (true, true) => Err(from_nothing(one, "differs, and is for every command")),
            (false, true) => Err(reason(one, "differs, and is for every command")),
            (false, false) => Ok(Kind::Evaluated),
        };
    }
    let readers = units.readers(path).len();
    if readers == 0 {
        return Err(from_nothing(one, "differs, and nobody recorded who reads it"));
    }
    if units.is_read_for_tools(path) {
        return Err(from_nothing(one, "differs, and a program of the build's own is made of it"));
    }
    let said = format!("differs and is read by {readers} units");
    let is_c = path.ends_with(b".c") || path.ends_with(b".h");
    if !is_c {
        return Err(reason(one, said));
    }
    Ok(Kind::Source)
}

/// Whether text of make is for the whole tree: it may set variables that scripts find in their
/// environment, which no comparison of commands sees.
pub(super) fn is_for_all(path: &[u8]) -> bool {
    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    match parts[..] {
        [b"Makefile"] | [b"scripts", ..] => true,
        [b"arch", _, name] => name.starts_with(b"Makefile"),
        _ => false,
    }
}

/// Whether a file is one of Kconfig or make, by its name.
pub(crate) fn is_make_text(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    [&b"Kconfig"[..], b"Makefile", b"Kbuild"].iter().any(|known| name.starts_with(known))
}

/// Whether a file is one of Kconfig, by its name.
pub(super) fn is_kconfig(path: &[u8]) -> bool {
    path.rsplit(|byte| *byte == b'/').next().is_some_and(|name| name.starts_with(b"Kconfig"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Record;

    fn units() -> Units {
        let record = |target: &str, reads: &[&str]| Record {
            target: target.to_owned(),
            command: if target.starts_with("scripts/") { "gcc" } else { "gcc -D__KERNEL__" }.into(),
            is_compiled: true,
            reads: reads.iter().map(|path| format!("/s/{path}")).collect(),
        };
        let mut records: Vec<Record> = (0..30)
            .map(|n| record(&format!("fs/{n}.o"), &["include/wide.h", &format!("fs/{n}.c")]))
            .collect();
        records.push(record("mm/a.o", &["mm/a.c", "include/a.h", "mm/a.S"]));
        records.push(record("mm/b.o", &["include/a.h"]));
        records.push(record("scripts/sorttable", &["scripts/sorttable.h", "include/tool.h"]));
        records.push(record("mm/c.o", &["include/tool.h"]));
        Units::of(&records, &["/s".into()])
    }

    fn touched(path: &str) -> Touched {
        let touch = Touch { path: path.as_bytes().into(), why: Why::Read };
        let what = What::Content;
        Touched { touch, what, comments_only: false, moves_lines: false, rules: false }
    }

    fn compiles(touched: &[Touched]) -> Reason {
        match plan(touched, &units()) {
            Plan::Compile(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn make_text_is_evaluated() {
        let texts = [touched("drivers/net/Kconfig"), touched("mm/Makefile")];
        assert_eq!(plan(&texts, &units()), Plan::Evaluate);
        assert_eq!(plan(&[], &units()), Plan::Evaluate);
        let rules = |path: &str| Touched { rules: true, ..touched(path) };
        for path in ["Makefile", "scripts/Makefile.build", "arch/x86/Makefile"] {
            for one in [touched(path), rules(path)] {
                assert!(compiles(&[one]).to_string().contains("every command"), "{path}");
            }
            assert!(compiles(&[rules(path)]).from_nothing, "{path}");
        }
        assert!(compiles(&[rules("mm/Makefile")]).from_nothing);
        let number = compiles(&[rules("mm/Kconfig")]);
        assert!(number.from_nothing && number.what.contains("hex"), "{number}");
        assert!(!compiles(&[touched("Makefile")]).from_nothing, "another release");
    }

    #[test]
    fn sources_are_compared_while_that_is_cheaper_than_compiling() {
        let all = [touched("mm/a.c"), touched("include/a.h"), touched("mm/Kconfig")];
        let objects = vec!["mm/a.o".to_owned(), "mm/b.o".to_owned()];
        assert_eq!(plan(&all, &units()), Plan::Compare { objects, comments_only: false });
        let wide = compiles(&[touched("mm/a.c"), touched("include/wide.h")]);
        assert_eq!(wide.to_string(), "include/wide.h differs and is read by 30 units");
        let remark = Touched { comments_only: true, ..touched("include/wide.h") };
        let Plan::Compare { objects, comments_only: true } = plan(&[remark], &units()) else {
            panic!("a comment is likely to change nothing");
        };
        assert_eq!(objects.len(), 30);
        // One more line, and none of their tokens are where they were.
        let more = Touched { comments_only: true, moves_lines: true, ..touched("include/wide.h") };
        assert_eq!(
            compiles(std::slice::from_ref(&more)).to_string(),
            "include/wide.h has other lines and is read by 30 units"
        );
        let narrow = Touched { touch: touched("include/a.h").touch, ..more };
        assert!(matches!(plan(&[narrow], &units()), Plan::Compare { comments_only: true, .. }));
    }

    #[test]
    fn everything_else_is_compiled() {
        assert!(!compiles(&[touched("mm/a.S")]).from_nothing, "make knows who reads it");
        for (why, what, all) in [
            (Why::Found, What::Mode, true),
            (Why::Found, What::Size, false),
            (Why::LookedUp, What::Presence, true),
            (Why::Listed, What::Presence, false),
        ] {
            let mut one = touched("mm/a.c");
            (one.touch.why, one.what) = (why, what);
            assert_eq!(compiles(&[one]).from_nothing, all, "{why:?} {what:?}");
        }
    }

    #[test]
    fn what_make_may_overlook_is_built_from_nothing() {
        for path in [
            "scripts/mksysmap",
            "scripts/sorttable.h",
            "include/tool.h",
            "tools/objtool/check.c",
            "kernel/time/timeconst.bc",
        ] {
            assert!(compiles(&[touched(path)]).from_nothing, "{path}");
        }
    }
}
