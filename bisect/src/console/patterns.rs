//! Patterns that a user adds: what else tells of a crash, and what does not.

use regex::bytes::{Regex, RegexBuilder};

/// Additions to what is known of crashes.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    titles: Vec<Title>,
    ignored: Vec<Regex>,
}

#[derive(Clone, Debug)]
pub(crate) struct Title {
    pub(crate) line: Regex,
    pub(crate) title: String,
}

/// A pattern that is no regular expression.
#[derive(Debug, thiserror::Error)]
#[error("'{pattern}' is not a regular expression: {source}")]
pub struct PatternError {
    pattern: String,
    source: regex::Error,
}

impl Patterns {
    /// Adds a kind of report: it begins with a line in which `line`, a regular expression, is
    /// found. In `title`, `{1}`, `{2}`… stand for what the expression captures, and `{f}` for the
    /// function that the report's stack blames. On a line that is known already, this counts.
    pub fn add_title(&mut self, line: &str, title: &str) -> Result<(), PatternError> {
        self.titles.push(Title { line: compile(line)?, title: title.to_owned() });
        Ok(())
    }

    /// Lines in which this regular expression is found tell of no crash.
    pub fn ignore(&mut self, line: &str) -> Result<(), PatternError> {
        self.ignored.push(compile(line)?);
        Ok(())
    }

    /// All of them in one line; none where there are none. Equal lines, equal patterns.
    pub fn canonical(&self) -> Option<String> {
        if self.titles.is_empty() && self.ignored.is_empty() {
            return None;
        }
        let titles = self.titles.iter().map(|title| (title.line.as_str(), title.title.as_str()));
        let ignored = self.ignored.iter().map(Regex::as_str);
        Some(format!("{:?} {:?}", titles.collect::<Vec<_>>(), ignored.collect::<Vec<_>>()))
    }

    pub(crate) fn ignores(&self, line: &[u8]) -> bool {
        self.ignored.iter().any(|pattern| pattern.is_match(line))
    }

    /// The first place where an added kind of report begins, and which it is.
    pub(crate) fn first(&self, console: &[u8]) -> Option<(usize, &Title)> {
        let found = self.titles.iter().filter_map(|title| {
            let mut from = 0;
            loop {
                let at = title.line.find_at(console, from)?.start();
                let line = super::lines::line_at(console, at);
                if !self.ignores(line.raw) {
                    return Some((line.start, title));
                }
                from = line.end + 1;
                if from > console.len() {
                    return None;
                }
            }
        });
        found.min_by_key(|(start, _)| *start)
    }
}

fn compile(pattern: &str) -> Result<Regex, PatternError> {
    RegexBuilder::new(pattern)
        .multi_line(true)
        .build()
        .map_err(|source| PatternError { pattern: pattern.to_owned(), source })
}
