//! One `.cmd` file of Kbuild.

/// What Kbuild wrote down of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// The object, as Kbuild names it: from the folder of objects, or absolute (`tools/`).
    pub(crate) target: String,
    /// The shell's command line that made it.
    pub(crate) command: String,
    /// Its source and every file that was included, as the compiler named them.
    pub(crate) reads: Vec<String>,
    /// Whether a compiler made it: then it names its source.
    pub(crate) is_compiled: bool,
}

impl Record {
    /// Reads a `.cmd` file; `None` for one of a command whose reads nobody wrote down.
    ///
    /// The form is that of `scripts/basic/fixdep.c`: a line `cmd_TARGET := COMMAND` (`savedcmd_…`
    /// from 6.2 on), `source_TARGET := FILE`, and `deps_TARGET := \` with a file on each line that
    /// follows. Characters that make would take for its own are written `$$` and `$(pound)`
    /// (`make-cmd` in `scripts/Kbuild.include`). Scripts that write down themselves what they read name
    /// no source (`kernel/gen_kheaders.sh` since 6.17).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let (target, command) = lines.find_map(|line| {
            let line = line.strip_prefix("savedcmd_").or_else(|| line.strip_prefix("cmd_"))?;
            line.split_once(" := ")
        })?;
        let source = text.split_once(&format!("\nsource_{target} := "));
        let source = source.and_then(|(_, rest)| rest.lines().next());
        let mut reads: Vec<String> = source.map(|it| it.trim().to_owned()).into_iter().collect();
        let listed = text.split_once(&format!("\ndeps_{target} := \\\n"))?.1;
        for line in listed.lines().take_while(|line| !line.is_empty()) {
            let path = line.trim();
            let path = path.strip_suffix('\\').unwrap_or(path).trim_end();
            // "$(wildcard include/config/X)": an option, not a file of the sources.
            if !path.is_empty() && !path.starts_with("$(") {
                reads.push(path.to_owned());
            }
        }
        let command = command.replace("$(pound)", "#").replace("$$", "$");
        Some(Self { target: target.to_owned(), command, reads, is_compiled: source.is_some() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_spellings() {
        for word in ["cmd", "savedcmd"] {
            let text = format!(
                "{word}_mm/a.o := gcc -D'X(s)=$(pound)s' -DY='$$' -c -o mm/a.o /s/mm/a.c\n\n\
                 source_mm/a.o := /s/mm/a.c\n\ndeps_mm/a.o := \\\n    \
                 $(wildcard include/config/X) \\\n  /s/include/a.h \\\n  include/generated/b.h \\\n\
                 \nmm/a.o: $(deps_mm/a.o)\n\n$(deps_mm/a.o):\n"
            );
            let record = Record::parse(&text).unwrap();
            assert_eq!(record.target, "mm/a.o");
            assert_eq!(record.command, "gcc -D'X(s)=#s' -DY='$' -c -o mm/a.o /s/mm/a.c");
            assert_eq!(record.reads, ["/s/mm/a.c", "/s/include/a.h", "include/generated/b.h"]);
        }
    }

    #[test]
    fn commands_without_a_source_are_none() {
        assert_eq!(Record::parse("cmd_mm/built-in.a := rm -f x; ar cDPrST x a.o\n"), None);
        assert_eq!(Record::parse(""), None);
        assert_eq!(Record::parse("cmd_a.o := gcc a.c\n\nsource_a.o := a.c\n"), None);
    }

    #[test]
    fn a_script_that_wrote_down_what_it_read_is_one() {
        let text = "savedcmd_kernel/all.tar.xz := sh gen.sh\n\ndeps_kernel/all.tar.xz := \\\n  \
                    /s/include/a.h \\\n\nkernel/all.tar.xz: $(deps_kernel/all.tar.xz)\n";
        let record = Record::parse(text).unwrap();
        assert_eq!((&*record.target, &*record.command), ("kernel/all.tar.xz", "sh gen.sh"));
        assert_eq!(record.reads, ["/s/include/a.h"]);
        assert!(!record.is_compiled);
    }
}
