//! The table of reports: by which words the kernel begins each, in which source file it says
//! them, and what the report is called. One file a part of the kernel.

mod faults;
mod locks;
mod memory;
mod noise;
mod others;
mod panics;
mod sanitizers;
mod stalls;
mod warn;

use super::blame::Blame;

pub(crate) use noise::NOISE;

/// One kind of report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Headline {
    /// Found in the report's first line; what it captures are the words `{1}`, `{2}`...
    /// `{FUNCTION}` stands for a printed function and captures its name.
    pub(crate) says: &'static str,
    /// Found in lines below, one after the other; they add words, and without them the report is
    /// not of this kind.
    pub(crate) then: &'static [&'static str],
    /// The title: words, and `{f}` for the function that is blamed.
    pub(crate) title: &'static str,
    /// Other titles of the same crash.
    pub(crate) also: &'static [&'static str],
    /// How the function is found.
    pub(crate) blame: Blame,
    /// Names that are plumbing in this kind of report, beside those that always are.
    pub(crate) past: &'static [&'static str],
    /// Whether a whole report of this kind has a stack.
    pub(crate) has_stack: bool,
    /// Whether only what is left of a damaged report looks like this.
    pub(crate) remains: bool,
    /// Whether it goes on with what an earlier report began, wherever one stands before it.
    pub(crate) sequel: bool,
}

/// A report whose title names a function.
const fn report(says: &'static str, title: &'static str, blame: Blame) -> Headline {
    Headline {
        says,
        then: &[],
        title,
        also: &[],
        blame,
        past: &[],
        has_stack: true,
        remains: false,
        sequel: false,
    }
}

/// A report of a line or two, without a function and a stack.
const fn message(says: &'static str, title: &'static str) -> Headline {
    let mut message = report(says, title, Blame::Nobody);
    message.has_stack = false;
    message
}

/// What is left of a report that was torn.
const fn remains(says: &'static str, title: &'static str) -> Headline {
    let mut remains = report(says, title, Blame::Nobody);
    remains.remains = true;
    remains
}

impl Headline {
    const fn then(mut self, lines: &'static [&'static str]) -> Self {
        self.then = lines;
        self
    }

    const fn also(mut self, titles: &'static [&'static str]) -> Self {
        self.also = titles;
        self
    }

    const fn past(mut self, names: &'static [&'static str]) -> Self {
        self.past = names;
        self
    }

    const fn stackless(mut self) -> Self {
        self.has_stack = false;
        self
    }

    const fn sequel(mut self) -> Self {
        self.sequel = true;
        self
    }
}

/// Another title that fits each kind of forbidden access, whoever noticed it.
const BAD_ACCESS: &[&str] = &["bad-access in {f}"];

/// All kinds; of several that begin at one place, the first counts.
pub(crate) fn all() -> impl Iterator<Item = &'static Headline> {
    [
        sanitizers::REPORTS,
        faults::REPORTS,
        locks::REPORTS,
        memory::REPORTS,
        stalls::REPORTS,
        warn::REPORTS,
        panics::REPORTS,
        others::REPORTS,
    ]
    .into_iter()
    .flatten()
}
