//! Walks the stack traces of a report to the function that names the bug.

use std::sync::LazyLock;

use regex::bytes::{Captures, Regex};

use super::choose::Choice;
use super::pattern;
use super::skip;

/// One step of a walk through a report's lines.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Go to the next line that matches; what the pattern captures are frames.
    Line(&'static str),
    /// Take the frames from here to where the next trace begins.
    Trace,
}

/// How the guilty function of a report is found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    /// Steps, in order.
    pub(crate) steps: &'static [Step],
    /// Other steps, for when these find nothing.
    pub(crate) otherwise: &'static [Step],
    /// Functions to pass over, beside those that always are.
    pub(crate) skip: &'static [&'static str],
    /// Which of the remaining frames it is.
    pub(crate) choice: Choice,
}

/// Lines at which a stack trace begins.
pub(crate) static TRACE_STARTS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        "Call [Tt]race",
        "Allocated:",
        "Allocated by task [0-9]+:",
        "Freed:",
        "Freed by task [0-9]+:",
        // Not "stack backtrace:", which is a headline above "Call Trace:".
        r"[^k] backtrace(?: \(crc [0-9a-fA-F]*\))?:",
        "Backtrace:",
        "Uninit was stored to memory at",
        RISCV_REGISTERS,
    ]
    .map(pattern::compile)
    .into()
});

/// RISC-V prints the stack after the registers without a headline; this is their last line.
pub(crate) const RISCV_REGISTERS: &str =
    "status: [0-9a-f]{16} badaddr: [0-9a-f]{16} cause: [0-9a-f]{16}";

static TRACE_START: LazyLock<Regex> = LazyLock::new(|| {
    let all: Vec<&str> = TRACE_STARTS.iter().map(Regex::as_str).collect();
    pattern::compile(&all.join("|"))
});

static FRAME: LazyLock<Regex> = LazyLock::new(|| pattern::compile("^ *(?:{PC} ){0,2}{FUNC}"));

/// 32-bit ARM names the frame and its caller on each line. The topmost frame stands nowhere else.
static ARM_FRAME: LazyLock<Regex> =
    LazyLock::new(|| pattern::compile(r"^ *{PC} \(([a-zA-Z0-9_.]+)\) from {PC} \({FUNC}"));

/// Stacks of deliberate failures get mixed into crash reports.
static FOREIGN: LazyLock<Regex> = LazyLock::new(|| {
    pattern::compile(r"^(?: \[<?(?:0x)?[0-9a-f]+>?\])? should_fail(?:slab)?(?:\.[a-z0-9.]+)?\+0x")
});

static ALWAYS_SKIPPED: LazyLock<Regex> =
    LazyLock::new(|| pattern::any_of(skip::always()).expect("the table is not empty"));

/// Whether a line of a report is a stack frame.
pub(crate) fn is_frame(line: &[u8]) -> bool {
    FRAME.is_match(line) || ARM_FRAME.is_match(line)
}

/// Whether a stack trace begins at this line.
pub(crate) fn starts_trace(line: &[u8]) -> bool {
    TRACE_START.is_match(line)
}

/// A function found by a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Guilty {
    /// The name to show.
    pub(crate) name: String,
    /// The name as the kernel has it.
    pub(crate) full: String,
}

/// What a walk found.
#[derive(Debug)]
pub(crate) struct Found {
    /// One function for each group of traces.
    pub(crate) guilty: Vec<Guilty>,
    /// False when a function could not be found, or a foreign stack was met on the way.
    pub(crate) sound: bool,
}

/// The name of a function that nobody can tell.
const UNKNOWN: &str = "corrupted";

/// A [`Walk`] with its patterns compiled.
#[derive(Debug)]
pub(crate) struct Walker {
    steps: Vec<Compiled>,
    otherwise: Vec<Compiled>,
    skip: Option<Regex>,
    choice: Choice,
}

#[derive(Debug)]
enum Compiled {
    Line(Regex),
    Trace,
}

impl Walker {
    pub(crate) fn new(walk: &Walk) -> Self {
        let compile = |steps: &[Step]| {
            steps
                .iter()
                .map(|step| match step {
                    Step::Line(text) => Compiled::Line(pattern::compile(text)),
                    Step::Trace => Compiled::Trace,
                })
                .collect()
        };
        Self {
            steps: compile(walk.steps),
            otherwise: compile(walk.otherwise),
            skip: pattern::any_of(walk.skip.iter().copied()),
            choice: walk.choice,
        }
    }

    /// Walks through `lines`, which begin with the report's first.
    pub(crate) fn walk(&self, lines: &[&[u8]]) -> Found {
        let found = self.follow(&self.steps, lines);
        if found.sound || self.otherwise.is_empty() {
            return found;
        }
        self.follow(&self.otherwise, lines)
    }

    fn follow(&self, steps: &[Compiled], lines: &[&[u8]]) -> Found {
        let mut rest = lines.iter();
        let mut found = Found { guilty: Vec::new(), sound: true };
        let mut names = Vec::new();
        let mut traces = 0;
        let mut at = 0;
        while at < steps.len() {
            match &steps[at] {
                Compiled::Line(wanted) => {
                    for line in rest.by_ref() {
                        if FOREIGN.is_match(line) {
                            found.sound = false;
                            break;
                        }
                        if let Some(captures) = wanted.captures(line) {
                            self.take(&captures, &mut names);
                            break;
                        }
                    }
                }
                Compiled::Trace => {
                    if traces > 0 {
                        self.settle(&mut names, &mut found);
                    }
                    traces += 1;
                    for line in rest.by_ref() {
                        if FOREIGN.is_match(line) {
                            found.sound = false;
                            break;
                        }
                        if starts_trace(line) {
                            break;
                        }
                        if let Some(Compiled::Line(next)) = steps.get(at + 1)
                            && let Some(captures) = next.captures(line)
                        {
                            self.take(&captures, &mut names);
                            at += 1;
                            break;
                        }
                        if let Some(c) = FRAME.captures(line).or_else(|| ARM_FRAME.captures(line)) {
                            self.take(&c, &mut names);
                        }
                    }
                }
            }
            at += 1;
        }
        self.settle(&mut names, &mut found);
        found
    }

    /// Adds the functions that a line names, unless they are passed over.
    fn take(&self, captures: &Captures<'_>, names: &mut Vec<String>) {
        for name in captures.iter().skip(1).flatten() {
            let name = readable(&String::from_utf8_lossy(name.as_bytes()));
            let passed = |skip: &Regex| skip.is_match(name.as_bytes());
            if !passed(&ALWAYS_SKIPPED) && !self.skip.as_ref().is_some_and(passed) {
                names.push(name);
            }
        }
    }

    /// Chooses among the names gathered so far.
    fn settle(&self, names: &mut Vec<String>, found: &mut Found) {
        let short: Vec<&str> = names.iter().map(|name| skip::without_prefix(name)).collect();
        let guilty = match self.choice.of(&short) {
            Some((at, name)) => Guilty { name: name.to_owned(), full: names[at].clone() },
            None => {
                found.sound = false;
                Guilty { name: UNKNOWN.to_owned(), full: UNKNOWN.to_owned() }
            }
        };
        found.guilty.push(guilty);
        names.clear();
    }
}

/// A name as its author wrote it, without parameters: Rust's and C++'s are mangled in traces.
fn readable(name: &str) -> String {
    let plain = if name.starts_with("_R") {
        rustc_demangle::try_demangle(name).ok().map(|d| format!("{d:#}"))
    } else {
        name.strip_prefix("_Z").and_then(cpp_name)
    };
    plain.unwrap_or_else(|| name.to_owned())
}

/// The name in a mangled C++ name that is a plain or nested one: lengths and parts, as the
/// Itanium C++ ABI has them.
fn cpp_name(mangled: &str) -> Option<String> {
    let (nested, mut rest) = match mangled.strip_prefix('N') {
        Some(rest) => (true, rest),
        None => (false, mangled),
    };
    let mut parts = Vec::new();
    loop {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            break;
        }
        let length: usize = rest[..digits].parse().ok()?;
        let end = digits.checked_add(length)?;
        parts.push(rest.get(digits..end)?);
        rest = &rest[end..];
        if !nested {
            break;
        }
    }
    if parts.is_empty() || (nested && !rest.starts_with('E')) {
        return None;
    }
    Some(parts.join("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: [&[u8]; 9] = [
        b"BUG: bad thing",
        b"RIP: 0010:memcpy+0x1/0x2",
        b"Call Trace:",
        b" kasan_report+0x1/0x2",
        b" [<ffffffff81000000>] __x64_sys_thing+0x1/0x2",
        b" inner.isra.5+0x1/0x2",
        b" do_syscall_64+0x1/0x2",
        b"Allocated by task 7:",
        b" other+0x1/0x2",
    ];

    fn walk(steps: &'static [Step], skip: &'static [&'static str], choice: Choice) -> Found {
        Walker::new(&Walk { steps, otherwise: &[], skip, choice }).walk(&REPORT)
    }

    #[test]
    fn passes_over_what_reports_and_what_everybody_calls() {
        const STEPS: &[Step] = &[Step::Line("{RIP}"), Step::Line("Call Trace"), Step::Trace];
        let found = walk(STEPS, &[], Choice::Top);
        assert!(found.sound);
        assert_eq!(found.guilty.len(), 1);
        assert_eq!(found.guilty[0].name, "sys_thing");
        assert_eq!(found.guilty[0].full, "__x64_sys_thing");
        assert_eq!(walk(STEPS, &["thing"], Choice::Top).guilty[0].name, "inner");
        assert_eq!(walk(STEPS, &[], Choice::Entered).guilty[0].name, "inner");
    }

    #[test]
    fn second_trace_gives_a_second_function() {
        const STEPS: &[Step] = &[Step::Line("Call Trace"), Step::Trace, Step::Trace];
        let found = walk(STEPS, &[], Choice::Top);
        let names: Vec<&str> = found.guilty.iter().map(|g| g.name.as_str()).collect();
        assert_eq!(names, ["sys_thing", "other"]);
    }

    #[test]
    fn nothing_found_is_said() {
        let found = walk(&[Step::Line("no such line"), Step::Trace], &[], Choice::Top);
        assert!(!found.sound);
        assert_eq!(found.guilty[0].name, "corrupted");
    }

    #[test]
    fn mangled_names_are_readable() {
        let name = "_RNvMs_NtCs1a2B_11rust_binder7processNtB4_7Process10update_ref";
        assert!(readable(name).contains("rust_binder::process::Process"), "{}", readable(name));
        assert_eq!(readable("_Z8fakeNameiii"), "fakeName");
        assert_eq!(readable("_ZN3foo3barEv"), "foo::bar");
        for name in ["vfs_read", "_Z", "_Z99x", "_ZN3foo", "_Rubbish", "_Z99999999999999999999x"] {
            assert_eq!(readable(name), name);
        }
    }
}
