//! From lines to a log: which record each line starts or continues.

use super::errors_text::Kept;
use super::imported::{Answer, Imported, Mark, Role, Tested, Unrecognised};
use super::line::{Line, is_commit, line};
use super::outcome::may_go_on;
use super::{bisecting, head, runs, show};

/// Most of a console that is kept, in bytes.
const CONSOLE: usize = 1 << 20;

/// Reads a log. Never fails: what is not understood is listed in [`Imported::unrecognised`].
///
/// Bytes that are no UTF-8 (consoles have some) are replaced.
pub fn read(log: &[u8]) -> Imported {
    let text = String::from_utf8_lossy(log);
    let mut reader = Reader::default();
    for (number, line) in text.lines().enumerate() {
        reader.take(number + 1, line.trim_end_matches('\r'));
    }
    reader.finish()
}

/// What may follow the last record without being one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Free {
    /// Nothing but empty lines.
    #[default]
    Nothing,
    /// Any text: the rest of an error, or a compiler's.
    Text,
    /// `git show`.
    Show,
    /// What git says, and the ids of candidates.
    Git,
    /// A console, to the end.
    Console,
}

#[derive(Default)]
struct Reader {
    log: Imported,
    free: Free,
    /// Role of the next test.
    next: Role,
    /// Tag of the next test.
    tag: String,
    left: Option<u32>,
    moved: Option<(String, String)>,
    errors: Kept,
    /// `all runs:` of these tests, and whether the reproducer had seemed flaky by then.
    all_runs: Vec<(usize, kiln_cache::evidence::Outcome, bool)>,
    flaky: bool,
    searching: bool,
    own_compiler_line: bool,
    most_listed: u32,
    undecided: bool,
    stepping: bool,
    /// The log is over; what follows is another.
    ended: bool,
}

impl Reader {
    fn take(&mut self, number: usize, text: &str) {
        self.log.lines += 1;
        if self.another_begins(number, text) {
            return;
        }
        if self.free == Free::Console {
            self.console(text);
            return;
        }
        // In free text the words of a result are not one, unless the bill came before.
        let closed = self.log.totals.is_some() || self.free != Free::Text;
        match line(text, closed) {
            Some(record) => {
                self.flush_errors();
                self.free = Free::Nothing;
                self.record(number, text, record);
            }
            None => self.continued(number, text),
        }
    }

    /// Whether this line belongs to another log, behind the end of this one: that is not read, and
    /// said to be not.
    fn another_begins(&mut self, number: usize, text: &str) -> bool {
        if self.ended {
            return true;
        }
        self.ended =
            !self.log.start.is_empty() && matches!(head::line(text), Some(Line::Asked { .. }));
        if self.ended {
            let text = format!("another log begins here: {text}");
            self.log.unrecognised.push(Unrecognised { line: number, text });
        }
        self.ended
    }

    /// A line that starts no record.
    fn continued(&mut self, number: usize, text: &str) {
        let known = match self.free {
            // Minimizing the configuration has many words, and nothing here depends on them.
            Free::Nothing => self.next == Role::Config,
            Free::Console => false,
            Free::Text => {
                self.errors.add(text);
                true
            }
            Free::Show => {
                if let Some(path) = show::changed(text) {
                    self.log.changed.push(path.to_owned());
                }
                show::belongs(text)
            }
            Free::Git => {
                if is_commit(text)
                    && let Answer::Inconclusive { commits } = &mut self.log.answer
                    && !commits.iter().any(|known| known == text)
                {
                    commits.push(text.to_owned());
                }
                is_commit(text) || bisecting::chatter(text)
            }
        };
        if !known && !text.trim().is_empty() {
            self.log.unrecognised.push(Unrecognised { line: number, text: text.to_owned() });
        }
    }

    fn record(&mut self, number: usize, text: &str, record: Line) {
        match record {
            Line::Asked { fix, commit } => {
                self.searching = text.starts_with("searching");
                (self.log.fix, self.log.start) = (fix, commit);
            }
            Line::Config => {
                self.next = Role::Config;
                self.free = Free::Text;
            }
            Line::Release(tag) => (self.next, self.tag) = (Role::Range, tag),
            Line::CurrentHead => (self.next, self.tag) = (Role::Range, "HEAD".into()),
            Line::Testing { commit, compiler } => self.begin(number, commit, compiler),
            Line::Compiler(id) => {
                self.own_compiler_line |= self.log.tests.len() == 1;
                if let Some(test) = self.log.tests.last_mut() {
                    test.compiler = id;
                }
                self.free = Free::Text;
            }
            Line::Signature(signature) => {
                if let Some(test) = self.log.tests.last_mut() {
                    test.signature = Some(signature);
                }
            }
            Line::BuildFailed(error) | Line::MachinesFailed(error) => {
                self.errors.add(&error);
                self.free = Free::Text;
            }
            Line::Run { number, outcome } => self.run(number, outcome),
            Line::SeemsFlaky => self.flaky = true,
            Line::Undecided => self.undecided = true,
            Line::BisectStart { .. } => {
                self.next = Role::Step;
                self.stepping = true;
                self.free = Free::Git;
            }
            Line::Marked { word, commit } => {
                self.mark(word, &commit);
                self.free = Free::Git;
            }
            Line::Left(left) => {
                self.left = Some(left);
                self.free = Free::Git;
            }
            Line::Moved { commit, title } => self.moved = Some((commit, title)),
            Line::FirstBad(_) => self.free = Free::Show,
            Line::OnlySkipped | Line::Git => self.free = Free::Git,
            Line::ErrorProbability(p) => self.log.error_probability = Some(p),
            Line::ParentUntested(_) => self.next = Role::Parent,
            Line::CulpritSignature(signature) => self.log.culprit_signature = Some(signature),
            Line::ParentSignature(signature) => self.log.parent_signature = Some(signature),
            Line::CheckFailed => self.free = Free::Text,
            Line::Totals(totals) => self.log.totals = Some(totals),
            Line::First { commit, title } => self.log.answer = Answer::Culprit { commit, title },
            Line::Candidates => {
                self.log.answer = Answer::Inconclusive { commits: Vec::new() };
                self.free = Free::Git;
            }
            Line::BeyondRange => self.log.answer = Answer::BeyondRange,
            Line::Failed(message) => {
                self.log.answer = Answer::Error { message };
                self.free = Free::Text;
            }
            Line::Crash(title) => {
                self.log.crash_title = Some(title);
                self.free = Free::Console;
            }
            Line::Note | Line::FlaggedFlaky(_) => {}
        }
    }

    fn begin(&mut self, number: usize, commit: String, compiler: Option<String>) {
        self.close();
        let moved = self.moved.take().filter(|(id, _)| *id == commit);
        let tag = std::mem::take(&mut self.tag);
        // Kiln tests both ends; the second is no other test of the first.
        if self.next == Role::Start && !self.log.tests.is_empty() && commit != self.log.start {
            self.next = Role::Range;
        }
        let step = self.next == Role::Step;
        self.log.tests.push(Tested {
            line: number,
            commit,
            title: moved.map_or(tag, |(_, title)| title),
            role: self.next,
            compiler: compiler.unwrap_or_default(),
            left: self.left.take().filter(|_| step),
            ..Tested::default()
        });
        // Without a signature, what follows is the raw text of a failed build.
        self.free = Free::Text;
        if self.next == Role::Range && self.stepping {
            self.next = Role::Step;
        }
    }

    fn run(&mut self, number: Option<u32>, outcome: kiln_cache::evidence::Outcome) {
        if may_go_on(&outcome) {
            self.free = Free::Text;
        }
        let Some(index) = self.log.tests.len().checked_sub(1) else { return };
        match number {
            None => self.all_runs.push((index, outcome, self.flaky)),
            Some(_) => {
                let counts = &mut self.log.tests[index].counts;
                counts.add(&outcome, 1);
                self.most_listed = self.most_listed.max(counts.total());
            }
        }
    }

    /// `word` in the terms of the log: when it looks for a fix, "bad" is a kernel without the crash.
    fn mark(&mut self, word: &str, commit: &str) {
        let mark = match (word, self.log.fix) {
            ("good", false) | ("bad", true) => Mark::Good,
            ("bad", false) | ("good", true) => Mark::Bad,
            _ => Mark::Skip,
        };
        if let Some(test) = self.log.tests.last_mut()
            && test.commit == commit
        {
            test.mark = Some(mark);
        }
    }

    /// Text after a record belongs to the current test.
    fn flush_errors(&mut self) {
        if self.errors.is_empty() {
            return;
        }
        let text = self.errors.take();
        match (&mut self.log.answer, self.log.tests.last_mut()) {
            (Answer::Error { message }, _) => {
                text.iter().for_each(|line| {
                    message.push('\n');
                    message.push_str(line);
                });
            }
            (_, Some(test)) if test.counts.total() == 0 && test.errors.is_empty() => {
                test.errors = text;
            }
            _ => {}
        }
    }

    /// The current test is over.
    fn close(&mut self) {
        if std::mem::take(&mut self.undecided)
            && let Some(test) = self.log.tests.last_mut()
        {
            test.mark = Some(Mark::Skip);
        }
    }

    fn console(&mut self, text: &str) {
        if self.log.console.len() + text.len() < CONSOLE {
            self.log.console.push_str(text);
            self.log.console.push('\n');
        }
    }

    fn finish(mut self) -> Imported {
        self.flush_errors();
        self.close();
        let first = self.log.tests.first().map_or("", |test| test.compiler.as_str());
        let rule = runs::Rule::of(self.searching, self.most_listed, first, self.own_compiler_line);
        for (index, outcome, flaky) in self.all_runs {
            if let Some(test) = self.log.tests.get_mut(index) {
                test.counts.add(&outcome, rule.runs(index == 0, flaky));
                test.runs_assumed = true;
            }
        }
        for test in &mut self.log.tests {
            // The verdict of a step is always stated; without one the log broke off there.
            let judged = !matches!(test.role, Role::Step | Role::Parent);
            if test.mark.is_none() && judged {
                test.mark = Some(by_rule(test));
            }
        }
        self.log
    }
}

/// syzkaller's verdict of runs, for tests whose verdict is not logged.
///
/// Source: `pkg/bisect/bisect.go` until 2023-06: any crash is bad; more than two thirds of failed
/// runs is a skip; otherwise any good run is good. Later rules differ only where the log says so.
fn by_rule(test: &Tested) -> Mark {
    let (counts, total) = (&test.counts, test.counts.total());
    let failed = counts.infra + counts.boot_failures.values().sum::<u32>();
    if !counts.crashes.is_empty() {
        Mark::Bad
    } else if counts.ok == 0 || failed * 3 > total * 2 {
        Mark::Skip
    } else {
        Mark::Good
    }
}
