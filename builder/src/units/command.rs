//! Taking a compiler's command line apart, to run it again with another end.

/// One run of the compiler, by its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invocation {
    /// Program and arguments, without those that name the output or say what kind it is.
    arguments: Vec<String>,
    /// What Kbuild runs on the object afterwards (objtool), as a shell's command line.
    after: String,
    /// Where the object goes.
    output: String,
    /// `-c` or `-S`.
    kind: &'static str,
}

impl Invocation {
    /// Understands the command by which Kbuild made an object of the kernel from a C file; `None`
    /// for any other (assembler files, host programs, modules, linking), and for one that uses more
    /// of the shell than quotes.
    pub(crate) fn parse(command: &str) -> Option<Self> {
        let (words, after) = split(command)?;
        let (mut arguments, mut output, mut kind) = (Vec::new(), None, None);
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "-c" => kind = Some("-c"),
                "-S" => kind = Some("-S"),
                "-o" => output = Some(words.next()?),
                "-E" | "-M" | "-MM" | "-DMODULE" => return None,
                _ if word.starts_with("-Wp,-M") || word.starts_with("-save-temps") => {}
                _ => arguments.push(word),
            }
        }
        let is_kernel = arguments.iter().any(|word| word == "-D__KERNEL__");
        let is_c = arguments.last().is_some_and(|word| word.ends_with(".c"));
        (is_kernel && is_c).then_some(Self { arguments, after, output: output?, kind: kind? })
    }

    /// Whether equal tokens at equal lines give an equal object. Columns inside lines and comments
    /// are in none of them; debug information, sanitizers and coverage record columns, and where
    /// warnings are errors a comment may decide (`-Wimplicit-fallthrough` reads some).
    pub(crate) fn tokens_decide(&self) -> bool {
        self.arguments.iter().all(|word| {
            let debug = word.strip_prefix("-g").is_some_and(|level| level != "0");
            let beyond = ["-fsanitize", "-fprofile-arcs", "-ftest-coverage", "--coverage"];
            !debug && word != "-Werror" && !beyond.iter().any(|flag| word.starts_with(flag))
        })
    }

    /// A command line of the shell that only preprocesses, into a file.
    pub(crate) fn preprocess(&self, into: &str) -> String {
        self.with(&["-E"], into)
    }

    /// A command line of the shell that makes the object elsewhere; `None` when what comes after
    /// the compiler can't be told to work on another file.
    pub(crate) fn compile(&self, into: &str) -> Option<String> {
        let mut command = self.with(&[self.kind], into);
        for step in self.after.split(';').map(str::trim).filter(|step| !step.is_empty()) {
            // Kbuild gives the object last and by its name ("objtool … mm/mmap.o").
            let (step, file) = step.rsplit_once(' ')?;
            if file != self.output || step.contains(&self.output) || split(step).is_none() {
                return None;
            }
            command += &format!(" && {step} {}", quoted(into));
        }
        Some(command)
    }

    fn with(&self, more: &[&str], into: &str) -> String {
        let arguments = self.arguments.iter().map(String::as_str);
        let all = arguments.chain(more.iter().copied()).chain(["-o", into]);
        all.map(quoted).collect::<Vec<_>>().join(" ")
    }
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Words of the shell's first command, and what follows behind its `;`. `None` when a word is more
/// than text and quotes.
fn split(command: &str) -> Option<(Vec<String>, String)> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = command.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            ' ' | '\t' => words.extend(word.take()),
            ';' => {
                words.extend(word.take());
                return Some((words, command[at + 1..].trim().to_owned()));
            }
            '\'' => {
                let text = word.get_or_insert_default();
                loop {
                    match letters.next()?.1 {
                        '\'' => break,
                        letter => text.push(letter),
                    }
                }
            }
            '"' => {
                let text = word.get_or_insert_default();
                loop {
                    match letters.next()?.1 {
                        '"' => break,
                        '\\' => text.push(letters.next()?.1),
                        '$' | '`' => return None,
                        letter => text.push(letter),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(letters.next()?.1),
            '$' | '`' | '|' | '&' | '<' | '>' | '(' | ')' | '*' | '?' | '~' | '#' | '\n' => {
                return None;
            }
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word.take());
    Some((words, String::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMAND: &str = "gcc -Wp,-MMD,mm/.a.o.d -nostdinc -D__KERNEL__ -D\"X(s)=#s\" \
        -DKBUILD_MODNAME='\"a\"' -c -o mm/a.o /s/mm/a.c";

    #[test]
    fn the_output_is_put_elsewhere() {
        let invocation = Invocation::parse(COMMAND).unwrap();
        let plain =
            "'gcc' '-nostdinc' '-D__KERNEL__' '-DX(s)=#s' '-DKBUILD_MODNAME=\"a\"' '/s/mm/a.c'";
        assert_eq!(invocation.preprocess("x.i"), format!("{plain} '-E' '-o' 'x.i'"));
        assert_eq!(invocation.compile("x.o").unwrap(), format!("{plain} '-c' '-o' 'x.o'"));
    }

    #[test]
    fn columns_and_warnings_are_beyond_tokens() {
        let decide = |flag: &str| {
            let command = COMMAND.replace("-nostdinc", &format!("-nostdinc {flag}"));
            Invocation::parse(&command).unwrap().tokens_decide()
        };
        for flag in ["", "-g0", "-Werror=strict-prototypes", "-fno-common"] {
            assert!(decide(flag), "{flag}");
        }
        for flag in ["-g", "-gdwarf-5", "-Werror", "-fsanitize=kernel-address", "-fprofile-arcs"] {
            assert!(!decide(flag), "{flag}");
        }
    }

    #[test]
    fn objtool_works_on_the_other_file() {
        let command = format!("{COMMAND} ; ./tools/objtool/objtool --orc --retpoline mm/a.o");
        let compile = Invocation::parse(&command).unwrap().compile("x.o").unwrap();
        assert!(compile.ends_with("'x.o' && ./tools/objtool/objtool --orc --retpoline 'x.o'"));
        for odd in ["; strip mm/a.o -x", "; cp mm/a.o mm/a.o", "; a $X mm/a.o"] {
            let invocation = Invocation::parse(&format!("{COMMAND} {odd}")).unwrap();
            assert_eq!(invocation.compile("x.o"), None, "{odd}");
        }
    }

    #[test]
    fn what_is_not_plain_is_left_alone() {
        for other in [
            "gcc -D__KERNEL__ -c -o a.o $(x) a.c",
            "gcc -D__KERNEL__ -c -o a.o a.c | cat",
            "gcc -c -o scripts/a.o scripts/a.c",
            "gcc -D__KERNEL__ -DMODULE -c -o a.o a.c",
            "gcc -D__KERNEL__ -c -o a.o a.S",
            "gcc -D__KERNEL__ -c -o a.o 'a.c",
            "ld -o a.o b.o",
        ] {
            assert_eq!(Invocation::parse(other), None, "{other}");
        }
    }
}
