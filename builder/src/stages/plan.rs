//! Which stage a difference of two trees is a case for. Pure decisions.

use std::fmt;

use crate::closure::{Touch, What, Why, display};
use crate::units::Units;

/// Objects that are worth comparing when it is not clear that they come out the same. Preprocessing
/// on both sides costs 0.54 of compiling, so more of them had better be compiled at once.
pub(super) const MOST_UNITS: usize = 24;

/// What is known of one changed path that a build could notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Touched {
    pub(crate) touch: Touch,
    pub(crate) what: What,
    /// The text differs in comments and blank lines alone, so far as that can be told.
    pub(crate) comments_only: bool,
    /// A line differs that begins with a tab.
    pub(crate) recipe: bool,
    /// A makefile mentions its name.
    pub(crate) named: bool,
}

/// Why there is nothing for it but to compile, with the path that decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The path.
    pub path: Box<[u8]>,
    /// What is with it, as the rest of a sentence that begins with the path.
    pub what: String,
    /// Make may not see that it has to make something again: nobody recorded who reads it.
    pub unrecorded: bool,
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
    match most {
        Some((one, count)) if objects.len() > MOST_UNITS && !comments_only => {
            Plan::Compile(reason(one, format!("differs and is read by {count} units")))
        }
        Some(_) => Plan::Compare { objects, comments_only },
        None => Plan::Evaluate,
    }
}

enum Kind {
    /// Make reads it anew in every run.
    Evaluated,
    /// Compilers read it, and nobody else.
    Source,
}

fn reason(one: &Touched, what: impl Into<String>) -> Reason {
    Reason { path: one.touch.path.clone(), what: what.into(), unrecorded: false }
}

fn kind(one: &Touched, units: &Units) -> Result<Kind, Reason> {
    let path = &one.touch.path;
    if one.touch.why != Why::Read {
        let said = match one.touch.why {
            Why::Found => "was looked at and is of another kind, mode or size".to_owned(),
            Why::LookedUp => "was looked up and came or went".to_owned(),
            _ => "came, went or changed its kind, and its folder was listed".to_owned(),
        };
        return Err(reason(one, said));
    }
    if is_make_text(path) {
        if is_for_all(path) {
            return Err(reason(one, "differs, and is for every command"));
        }
        return match one.recipe {
            true => Err(reason(one, "differs in a line that may be a recipe")),
            false => Ok(Kind::Evaluated),
        };
    }
    let readers = units.readers(path).count();
    let said = format!("differs and is read by {readers} units");
    if readers == 0 {
        let unrecorded = !one.named;
        let what = match unrecorded {
            true => "differs, and nobody recorded who reads it",
            false => "differs, and a makefile names it",
        };
        return Err(Reason { unrecorded, ..reason(one, what) });
    }
    let is_c = path.ends_with(b".c") || path.ends_with(b".h");
    if !is_c {
        return Err(reason(one, said));
    }
    if one.named {
        return Err(reason(one, format!("{said}, and a makefile names it")));
    }
    Ok(Kind::Source)
}

/// Whether text of make is for the whole tree: it may set variables that scripts find in their
/// environment, which no comparison of commands sees.
fn is_for_all(path: &[u8]) -> bool {
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::units::Record;

    fn units() -> Units {
        let record = |target: &str, reads: &[&str]| Record {
            target: target.to_owned(),
            command: String::new(),
            reads: reads.iter().map(|path| format!("/s/{path}")).collect(),
        };
        let mut records: Vec<Record> = (0..30)
            .map(|n| record(&format!("fs/{n}.o"), &["include/wide.h", &format!("fs/{n}.c")]))
            .collect();
        records.push(record("mm/a.o", &["mm/a.c", "include/a.h", "mm/a.S"]));
        records.push(record("mm/b.o", &["include/a.h"]));
        Units::of(&records, Path::new("/s"))
    }

    fn touched(path: &str) -> Touched {
        let touch = Touch { path: path.as_bytes().into(), why: Why::Read };
        let what = What::Content;
        Touched { touch, what, comments_only: false, recipe: false, named: false }
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
        for path in ["Makefile", "scripts/Makefile.build", "arch/x86/Makefile"] {
            assert!(compiles(&[touched(path)]).to_string().contains("every command"), "{path}");
        }
        let recipe = Touched { recipe: true, ..touched("mm/Makefile") };
        assert!(compiles(&[recipe]).to_string().contains("recipe"));
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
    }

    #[test]
    fn everything_else_is_compiled() {
        assert!(!compiles(&[touched("mm/a.S")]).unrecorded, "make knows who reads it");
        assert!(compiles(&[touched("scripts/mksysmap")]).unrecorded);
        let named = |path: &str| Touched { named: true, ..touched(path) };
        assert!(!compiles(&[named("kernel/time/timeconst.bc")]).unrecorded);
        assert!(compiles(&[named("include/a.h")]).to_string().contains("makefile names it"));
        for why in [Why::Found, Why::LookedUp, Why::Listed] {
            let mut one = touched("mm/a.c");
            one.touch.why = why;
            assert!(!compiles(&[one]).what.is_empty());
        }
    }
}
