//! The shape of a table entry: how one sort of report looks, and what its title is.

use crate::console::choose::Choice;
use crate::console::walk::{Step, Walk};

/// A marker, and the reports that begin with it.
#[derive(Debug)]
pub(crate) struct Spec {
    /// Text that tells of a crash wherever it stands in a line.
    pub(crate) text: &'static str,
    /// Patterns of lines that have the text and tell of none.
    pub(crate) noise: &'static [&'static str],
    /// The reports by family, special ones first.
    pub(crate) formats: &'static [&'static [Format]],
}

/// One sort of report.
#[derive(Debug)]
pub(crate) struct Format {
    /// Found in the report's first line; what it captures are the words `{1}`, `{2}`...
    pub(crate) title: &'static str,
    /// Found in the first line too; it adds words. Without it the report is not of this sort.
    pub(crate) here: &'static str,
    /// Found in later lines, one after the other; they add words and are needed likewise.
    pub(crate) then: &'static [&'static str],
    /// The title: text with words, and with `{f}` for the guilty function (`{g}` for that of
    /// the second trace).
    pub(crate) name: &'static str,
    /// Other titles of the same crash.
    pub(crate) also: &'static [&'static str],
    /// How to find the guilty function.
    pub(crate) walk: Option<Walk>,
    /// A sound report of this sort has a stack trace.
    pub(crate) traced: bool,
    /// Only damaged reports look like this.
    pub(crate) damaged: bool,
}

impl Format {
    /// A report with a stack trace and a fixed title.
    pub(crate) const fn new(title: &'static str, name: &'static str) -> Self {
        Self {
            title,
            here: "",
            then: &[],
            name,
            also: &[],
            walk: None,
            traced: true,
            damaged: false,
        }
    }

    pub(crate) const fn here(mut self, line: &'static str) -> Self {
        self.here = line;
        self
    }

    pub(crate) const fn then(mut self, lines: &'static [&'static str]) -> Self {
        self.then = lines;
        self
    }

    pub(crate) const fn also(mut self, names: &'static [&'static str]) -> Self {
        self.also = names;
        self
    }

    pub(crate) const fn walk(mut self, walk: Walk) -> Self {
        self.walk = Some(walk);
        self
    }

    pub(crate) const fn untraced(mut self) -> Self {
        self.traced = false;
        self
    }

    pub(crate) const fn damaged(mut self) -> Self {
        self.damaged = true;
        self
    }
}

impl Walk {
    /// Takes the topmost frame that the steps come by.
    pub(crate) const fn of(steps: &'static [Step]) -> Self {
        Self { steps, otherwise: &[], skip: &[], choice: Choice::Top }
    }

    pub(crate) const fn or(mut self, steps: &'static [Step]) -> Self {
        self.otherwise = steps;
        self
    }

    pub(crate) const fn skipping(mut self, names: &'static [&'static str]) -> Self {
        self.skip = names;
        self
    }

    pub(crate) const fn choosing(mut self, choice: Choice) -> Self {
        self.choice = choice;
        self
    }
}

const CALL_TRACE: Step = Step::Line("Call [Tt]race:|Backtrace:");
const RIP: Step = Step::Line("{RIP}");

/// The stack that is printed with the report.
pub(crate) const STACK: Walk = Walk::of(&[CALL_TRACE, Step::Trace]);

/// Where the processor was, and the stack below.
pub(crate) const FAULT: Walk = Walk::of(&[RIP, CALL_TRACE, Step::Trace]);

/// Where the processor was, and nothing else.
pub(crate) const RIP_ONLY: Walk = Walk::of(&[RIP]);

/// A warning: new kernels trap, and the stack begins at the registers; older ones just print it.
pub(crate) const WARNING: Walk =
    Walk::of(&[Step::Line("(?:{RIP}|--- interrupt: [0-9]+ at {FUNC})"), Step::Trace])
        .or(&[CALL_TRACE, Step::Trace]);
