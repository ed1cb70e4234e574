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

/// A pattern that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// It is no regular expression.
    #[error("'{pattern}' is not a regular expression: {source}")]
    Syntax {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        source: regex::Error,
    },
    /// Its title asks for what it does not capture.
    #[error("the title '{title}' has {{{number}}}, but '{line}' has no group of that number")]
    Group {
        /// The pattern.
        line: String,
        /// The title.
        title: String,
        /// The group.
        number: usize,
    },
}

impl Patterns {
    /// Adds a kind of report: it begins with a line in which `line`, a regular expression, is
    /// found. In `title`, `{1}`, `{2}`… stand for what the expression captures, and `{f}` for the
    /// function that the report's stack blames. On a line that is known already, this counts.
    pub fn add_title(&mut self, line: &str, title: &str) -> Result<(), PatternError> {
        let pattern = compile(line)?;
        let groups = pattern.captures_len();
        if let Some(number) = numbers(title).find(|number| *number >= groups) {
            let (line, title) = (line.to_owned(), title.to_owned());
            return Err(PatternError::Group { line, title, number });
        }
        self.titles.push(Title { line: pattern, title: title.to_owned() });
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
        .map_err(|source| PatternError::Syntax { pattern: pattern.to_owned(), source })
}

/// The groups that a title names: `{1}`, `{2}`…
fn numbers(title: &str) -> impl Iterator<Item = usize> {
    title.split('{').skip(1).filter_map(|rest| {
        let number = rest.split_once('}')?.0;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        // (One that is too large for a number is no group's either.)
        is_number.then(|| number.parse().unwrap_or(usize::MAX))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_names_only_what_is_captured() {
        let mut patterns = Patterns::default();
        patterns.add_title("my driver: (.*) failed in (.*)", "my {1} in {2}, {f}").unwrap();
        let said = patterns.add_title("my driver: (.*)", "my {2}").unwrap_err().to_string();
        assert_eq!(
            said,
            "the title 'my {2}' has {2}, but 'my driver: (.*)' has no group of that number"
        );
        assert!(patterns.add_title("(", "x").unwrap_err().to_string().contains("'('"));
    }
}
